/*
 * The load role's talk with the drain role.
 *
 * Comes in: what happened to a brane. Goes out: notes; waits where they must be durable first. Called
 * by: apply.c, verbs.c, watch.c. Never does: go on when the drain role says no.
 */
#include <errno.h>
#include <stdio.h>
#include <time.h>
#include <bpf/bpf.h>
#include "agent/roles/load/load.h"

#define DRAIN_WAIT_MS 5000

void load_note_init(struct om_wire_note *n, enum om_note what, const struct om_brane_info *info,
		    const struct om_wire_peer *peer)
{
	memset(n, 0, sizeof(*n));
	n->what = what;
	n->peer = peer ? *peer : (struct om_wire_peer){.uid = ~0u};
	if (info)
		load_wire_brane(NULL, &n->brane, info);
}

int load_from_drain(struct load *l, const struct om_msg *m, struct om_err *err)
{
	const struct om_wire_log_state *s = om_msg_body(m, OM_MSG_LOG_STATE, sizeof(*s), 0, 0);

	if (!s || (s->state != OM_LOG_GOOD && s->state != OM_LOG_STUCK))
		return om_err_set(err, OM_ERR_ROLE_PROTOCOL, -EBADMSG, "drain: message %u",
				  m->head.type);
	/* Only remembered: this may be the middle of a transaction. The event loop obeys. */
	l->log_state = s->state;
	return 0;
}

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* The reply with ID into M; what comes unasked meanwhile is taken on the way. */
static int reply(struct load *l, uint64_t id, struct om_msg *m, struct om_err *err)
{
	int64_t end = now_ms() + DRAIN_WAIT_MS;

	for (;;) {
		int64_t left = end - now_ms();
		int ret = left <= 0 ? 0 : om_msg_recv(FD_DRAIN, (int)left, m, err);

		if (ret < 0)
			return ret;
		if (left <= 0)
			return om_err_set(err, OM_ERR_LOG_IO, -ETIMEDOUT,
					  "not recorded within %d ms", DRAIN_WAIT_MS);
		if (!ret)
			continue;
		if (m->head.id == id)
			return 0;
		om_msg_done(m);
		/* A late answer to a question that timed out. */
		if (m->head.type == OM_MSG_DONE && m->head.id && m->head.id < id)
			continue;
		ret = load_from_drain(l, m, err);
		if (ret < 0)
			return ret;
	}
}

int load_note_send(struct load *l, const struct om_wire_note *n, bool wait, struct om_err *err)
{
	uint64_t id = wait ? l->next_id++ : 0;
	const struct om_wire_done *d;
	struct om_msg m;
	int ret = om_msg_send(FD_DRAIN, OM_MSG_NOTE, id, n, sizeof(*n), NULL, 0, err);

	if (ret < 0 || !wait)
		return ret;
	ret = reply(l, id, &m, err);
	if (ret < 0)
		return ret;
	om_msg_done(&m);
	d = om_msg_body(&m, OM_MSG_DONE, sizeof(*d), 0, 0);
	if (!d)
		return om_err_set(err, OM_ERR_ROLE_PROTOCOL, -EBADMSG, "drain: message %u",
				  m.head.type);
	return om_wire_err_get(&d->err, err);
}

int load_counts(struct load *l, struct om_wire_counts *c, struct om_err *err)
{
	uint64_t id = l->next_id++;
	const struct om_wire_counts *got;
	struct om_msg m;
	int ret = om_msg_send(FD_DRAIN, OM_MSG_COUNTS, id, c, sizeof(*c), NULL, 0, err);

	if (!ret)
		ret = reply(l, id, &m, err);
	if (ret < 0)
		return ret;
	om_msg_done(&m);
	got = om_msg_body(&m, OM_MSG_COUNTS, sizeof(*got), 0, 0);
	if (!got)
		return om_err_set(err, OM_ERR_ROLE_PROTOCOL, -EBADMSG, "drain: message %u",
				  m.head.type);
	*c = *got;
	return 0;
}

void load_sweep(struct load *l)
{
	struct om_bpf *bpf = om_loader_bpf(l->l);
	struct om_bpf_drain_fds f = {-1, -1, -1};
	uint32_t key, next, guard = 0;
	int more;

	l->lives = 0;
	if (!bpf || l->log_state == OM_LOG_STUCK)
		return;
	om_bpf_drain_fds(bpf, &f);
	more = f.stats < 0 ? -1 : bpf_map_get_next_key(f.stats, NULL, &key);
	while (!more && guard++ < 2 * OM_BRANES_MAX) {
		struct om_err none;

		more = bpf_map_get_next_key(f.stats, &key, &next);
		/* Of a brane that is there it refuses; what cannot be cleared now is tried again. */
		if (key)
			(void)!om_bpf_brane_forget(bpf, key, &none);
		key = next;
	}
}
