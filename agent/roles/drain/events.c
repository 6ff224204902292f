/*
 * From the ring buffer into the log.
 *
 * Comes in: samples. Goes out: one record each, in order, with gaps in the kernel's numbering recorded.
 * Called by: the event loop, notes.c (before a life ends). Never does: give a sample back before its
 * record is durable.
 */
#include <bpf/bpf.h>
#include <errno.h>
#include <sys/epoll.h>
#include <omega/abi/self.h>
#include <omega/sha256.h>
#include "agent/role/log.h"
#include "agent/roles/drain/drain.h"

int drain_ring_open(struct drain *d, int events, int stats, int folds, struct om_err *err)
{
	struct bpf_map_info info = {0};
	uint32_t len = sizeof(info);
	struct epoll_event ev = {.events = 0, .data.u64 = (uint32_t)events};
	int ret;

	if (d->have_maps)
		return om_err_set(err, OM_ERR_ROLE_PROTOCOL, -EBADMSG, "maps came twice");
	if (bpf_obj_get_info_by_fd(events, &info, &len) < 0)
		return om_err_sys(err, OM_ERR_BPF_MAP, -errno, "om_events");
	if (info.type != BPF_MAP_TYPE_RINGBUF)
		return om_err_set(err, OM_ERR_ROLE_PROTOCOL, -EBADMSG, "om_events is no ring");
	ret = om_ring_open(events, info.max_entries, &d->ring, err);
	if (ret < 0)
		return ret;
	if (epoll_ctl(d->ep, EPOLL_CTL_ADD, events, &ev) < 0)
		return om_err_sys(err, OM_ERR_IO, -errno, "epoll");
	d->events_fd = events;
	d->stats_fd = stats;
	d->folds_fd = folds;
	d->have_maps = true;
	return 0;
}

/*
 * One shot: while samples are held the kernel sees an unread ring, which would be "readable" without
 * end. Arming looks again, so that nothing that came meanwhile is missed.
 */
void drain_ring_arm(struct drain *d)
{
	struct epoll_event ev = {.events = EPOLLIN | EPOLLONESHOT,
				 .data.u64 = (uint32_t)d->events_fd};

	if (!d->have_maps || d->held || d->stuck || !d->ready || d->ring_armed)
		return;
	if (epoll_ctl(d->ep, EPOLL_CTL_MOD, d->events_fd, &ev) < 0)
		om_slog(OM_FAIL, "ring_unwatched", NULL);
	else
		d->ring_armed = true;
}

static void put_args(struct om_data *data, const struct om_decoded *e)
{
	static const char *const names[] = {"arg0", "arg1", "arg2", "arg3"};

	for (uint32_t i = 0; i < e->n_args && i < OM_ARRAY_LEN(names); i++)
		om_data_id(data, names[i], e->args[i]);
}

int drain_denial(struct drain *d, struct brane *b, const struct om_decoded *e, bool kernel,
		 struct om_err *err)
{
	bool host = e->head.brane == OM_BRANE_HOST;
	struct om_data data;
	char hex[65];

	om_data_init(&data);
	om_data_word(&data, "act", e->allowed ? "allow" : "deny");
	om_data_word(&data, "layer", e->layer);
	om_data_word(&data, "op", e->row->op);
	om_data_word(&data, "rule", host ? "self-guard" : e->row->rule);
	if (e->obj_len)
		om_data_bytes(&data, "obj", e->obj, e->obj_len);
	if (e->cut)
		om_data_bool(&data, "cut", true);
	if (e->proto)
		om_data_word(&data, "proto", e->proto);
	if (e->ino) {
		om_data_id(&data, "ino", e->ino);
		om_data_int(&data, "dev", e->dev);
	}
	if (e->why)
		om_data_word(&data, "why", e->why);
	if (e->has_sha256) {
		om_sha256_format(e->sha256, hex);
		om_data_bytes(&data, "sha256", hex, sizeof(hex) - 1);
	}
	put_args(&data, e);
	om_data_bytes(&data, "hook", e->head.hook, strnlen(e->head.hook, sizeof(e->head.hook)));
	/* A packet has no task; 0 would accuse the kernel's idle thread. */
	if (e->head.pid) {
		om_data_int(&data, "pid", e->head.pid);
		om_data_int(&data, "uid", e->head.uid);
		om_data_bytes(&data, "proc", e->head.comm,
			      strnlen(e->head.comm, sizeof(e->head.comm)));
	}
	om_data_word(&data, "pol", drain_policy_id(b, e->head.policy));
	om_data_id(&data, kernel ? "seq" : "shim_seq", e->head.seq);
	om_data_int(&data, "t", (int64_t)(e->head.time_ns / 1000));
	if (!b && !host)
		om_data_int(&data, "num", e->head.brane);
	return drain_put(d, b, e->row->kind, &data, e->row->urgent ? OM_LOG_URGENT : 0, err);
}

/*
 * The kernel numbers every denial, sent or folded. A jump is therefore no loss by itself: the folds
 * account for it. It is recorded so that a reader can add up: records + counts = the last number.
 */
static int note_gap(struct drain *d, struct brane *b, uint64_t seq, struct om_err *err)
{
	struct om_data data;
	int ret;

	if (!b->seq_known || seq <= b->next_seq)
		return 0;
	om_data_init(&data);
	om_data_id(&data, "from", b->next_seq);
	om_data_id(&data, "to", seq - 1);
	om_data_id(&data, "count", seq - b->next_seq);
	om_data_word(&data, "why", "folded");
	ret = drain_put(d, b, "gap", &data, 0, err);
	if (!ret)
		b->next_seq = seq;
	return ret;
}

static int one_sample(struct drain *d, const void *p, size_t len, struct om_err *err)
{
	static struct om_decoded e;
	struct brane *b;
	int ret = 0;

	if (om_event_decode(p, len, &e) < 0) {
		/* Counted, not skipped: something was denied there. */
		om_slog(OM_FAIL, "event_malformed", "bytes", om_slog_num((int64_t)len), NULL);
		om_log_drop(d->log, OM_DROP_RINGBUF, 1);
		return 0;
	}
	b = drain_brane(d, e.head.brane);
	if (b) {
		ret = note_gap(d, b, e.head.seq, err);
		if (ret < 0)
			return ret;
	}
	if (e.head.op == OM_OP_FILE_ABSENT && b && !drain_absent(b, &e))
		ret = 0; /* counted per path */
	else
		ret = drain_denial(d, b, &e, true, err);
	if (ret < 0)
		return ret;
	if (b) {
		b->denied += e.head.op != OM_OP_FILE_ABSENT;
		/* Two processors may submit in the other order: never step back. */
		if (!b->seq_known || e.head.seq >= b->next_seq)
			b->next_seq = e.head.seq + 1;
		b->seq_known = true;
	}
	return 0;
}

int drain_ring(struct drain *d, struct om_err *err)
{
	const void *p;
	size_t len;
	int ret;

	if (!d->have_maps || !d->ready || d->stuck)
		return d->stuck ? -EAGAIN : 0;
	for (;;) {
		uint64_t before = d->ring.at;

		ret = om_ring_next(&d->ring, &p, &len);
		if (ret < 0)
			return om_err_set(err, OM_ERR_TAMPERED, ret,
					  "the ring buffer makes no sense");
		if (!ret)
			return 0;
		ret = one_sample(d, p, len, err);
		if (ret < 0) {
			/* Not taken: it is read again once the log can be written. */
			d->ring.at = before;
			return ret;
		}
		if (++d->held >= DRAIN_UNSYNCED) {
			ret = drain_commit(d, err);
			if (ret < 0)
				return ret;
		}
	}
}
