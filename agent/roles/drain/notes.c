/*
 * What the load role reports, as records.
 *
 * Comes in: OM_MSG_NOTE, OM_MSG_COUNTS, OM_MSG_MAPS. Goes out: records; OM_MSG_DONE once durable. Called
 * by: the event loop. Never does: answer "done" for something that is not on disk.
 */
#include <errno.h>
#include <stdio.h>
#include <omega/ir.h>
#include "agent/role/log.h"
#include "agent/roles/drain/drain.h"

#define EXIT_GRACE_MS 2000u /* for the shim's last words after the load role saw the end */

int drain_tell_log(struct drain *d, bool stuck, struct om_err *err)
{
	struct om_wire_log_state s = {.state = stuck ? OM_LOG_STUCK : OM_LOG_GOOD};

	if (d->load_gone)
		return 0;
	return om_msg_send(FD_LOAD, OM_MSG_LOG_STATE, 0, &s, sizeof(s), NULL, 0, err);
}

static void put_brane(struct om_data *data, const struct om_wire_brane *w, char *hex, size_t size)
{
	static const char *const modes[] = {"enforce", "audit"};

	for (unsigned int i = 0; i < 8 && 2 * i + 3 <= size; i++)
		snprintf(hex + 2 * i, 3, "%02x", w->policy_id[i]);
	om_data_word(data, "pol", hex);
	om_data_word(data, "mode", w->mode < OM_ARRAY_LEN(modes) ? modes[w->mode] : "unknown");
}

static const char *layer_words(uint32_t layers, char *buf, size_t size)
{
	snprintf(buf, size, "%s%s%s", layers & OM_LAYER_PROCESS ? "process " : "",
		 layers & OM_LAYER_KERNEL ? "kernel " : "",
		 layers & OM_LAYER_NETWORK ? "network " : "");
	if (*buf)
		buf[strlen(buf) - 1] = 0;
	return buf;
}

/* A plain record: kind, peer, text. */
static int simple(struct drain *d, const struct brane *b, const char *kind,
		  const struct om_wire_note *n, unsigned int flags, struct om_err *err)
{
	struct om_data data;
	char code[8];

	om_data_init(&data);
	drain_put_peer(&data, &n->peer);
	if (n->err_id)
		om_data_word(&data, "err", om_err_code((enum om_err_id)n->err_id, code));
	if (n->text[0])
		om_data_bytes(&data, "text", n->text, strlen(n->text));
	if (!b && n->brane.name[0])
		om_data_word(&data, "of", n->brane.name);
	return drain_put(d, b, kind, &data, flags, err);
}

/* The life that NOTE speaks of: another instance under the same number closes the one before. */
static int enter(struct drain *d, const struct om_wire_note *n, struct brane **out,
		 struct om_err *err)
{
	struct brane *b = drain_brane_take(d, &n->brane);
	int ret = 0;

	if (!b)
		return om_err_set(err, OM_ERR_NOMEM, -ENOMEM, "brane '%s'", n->brane.name);
	*out = b;
	if (b->open && strncmp(b->instance, n->brane.instance, sizeof(b->instance)) != 0) {
		/* Events of the life before belong to its stream. */
		ret = drain_ring(d, err);
		if (!ret)
			ret = drain_exit(d, b, OM_EXIT_NONE, 0, 0, err);
		if (!ret)
			ret = drain_brane_close(d, b, "replaced", err);
	}
	if (ret < 0)
		return ret;
	memcpy(b->instance, n->brane.instance, sizeof(b->instance));
	return drain_brane_open(d, b, err);
}

static int on_apply(struct drain *d, const struct om_wire_note *n, struct om_err *err)
{
	static const char *const changes[] = {"unknown", "created", "configured", "unchanged"};
	struct om_data data;
	struct brane *b;
	char hex[17], layers[32];
	int ret = enter(d, n, &b, err);

	if (ret < 0)
		return ret;
	om_data_init(&data);
	put_brane(&data, &n->brane, hex, sizeof(hex));
	om_data_word(&data, "change", changes[n->change < OM_ARRAY_LEN(changes) ? n->change : 0]);
	om_data_word(&data, "layers", layer_words(n->brane.layers, layers, sizeof(layers)));
	om_data_id(&data, "cgroup", n->brane.cgid);
	om_data_int(&data, "num", n->brane.brane);
	drain_put_peer(&data, &n->peer);
	return drain_put(d, b, "policy.apply", &data, OM_LOG_URGENT, err);
}

static int on_started(struct drain *d, const struct om_wire_note *n, struct om_err *err)
{
	struct om_data data;
	struct brane *b;
	int ret = enter(d, n, &b, err);

	/* The life before, if there was one, is over: its counters are cleared some time from now. */
	if (!ret)
		ret = drain_counts(d, err);
	if (ret < 0)
		return ret;
	om_data_init(&data);
	om_data_int(&data, "pid", n->brane.init_pid);
	om_data_int(&data, "shim", n->brane.shim_pid);
	om_data_int(&data, "restarts", n->brane.restarts);
	om_data_int(&data, "started", (int64_t)(n->brane.started_ns / 1000));
	ret = drain_put(d, b, "brane.start", &data, 0, err);
	if (ret < 0)
		return ret;
	b->started = true;
	return drain_shim_early_exit(d, b, err);
}

static int on_exited(struct drain *d, const struct om_wire_note *n, struct om_err *err)
{
	struct brane *b = drain_brane(d, n->brane.brane);
	int ret;

	if (!b || strncmp(b->instance, n->brane.instance, sizeof(b->instance)) != 0)
		return 0;
	ret = drain_ring(d, err);
	if (!ret)
		ret = drain_counts(d, err);
	if (ret < 0)
		return ret;
	/* The shim waited for the process itself: its word is taken if it comes in time. */
	b->late_cause = n->brane.exit_cause;
	b->late_code = n->brane.exit_code;
	if (b->open && !b->close_ms)
		b->close_ms = drain_now_ms() + EXIT_GRACE_MS;
	return 0;
}

/*
 * A brane stays loaded after its end, and an agent that starts then finds it. Its stream was closed with
 * its end; to open that again would be a second life under one id, which verify-chain calls tampering.
 * A log that is new knows no lives at all: there, what runs gets a stream.
 */
static bool life_is_over(const struct drain *d, const struct om_wire_brane *b)
{
	struct om_log_stat st;

	om_log_stat(d->log, &st);
	return st.reopened && !om_log_brane_is_open(d->log, b->name, b->instance);
}

static int on_adopted(struct drain *d, const struct om_wire_note *n, struct om_err *err)
{
	struct om_data data;
	struct brane *b;
	char hex[17], layers[32], code[8];
	int ret;

	if (life_is_over(d, &n->brane))
		return n->what == OM_NOTE_TAMPERED
			       ? simple(d, NULL, "tamper", n, OM_LOG_URGENT, err)
			       : 0;
	ret = enter(d, n, &b, err);
	if (ret < 0)
		return ret;
	om_data_init(&data);
	put_brane(&data, &n->brane, hex, sizeof(hex));
	om_data_word(&data, "layers", layer_words(n->brane.layers, layers, sizeof(layers)));
	om_data_int(&data, "num", n->brane.brane);
	om_data_int(&data, "pid", n->brane.init_pid);
	if (n->err_id)
		om_data_word(&data, "err", om_err_code((enum om_err_id)n->err_id, code));
	if (n->text[0])
		om_data_bytes(&data, "text", n->text, strlen(n->text));
	ret = drain_put(d, b, n->what == OM_NOTE_TAMPERED ? "tamper" : "adopt", &data,
			OM_LOG_URGENT, err);
	b->started |= !ret;
	return ret;
}

/* What was announced by policy.apply did not happen: a life that never began ends here. */
static int on_rolled_back(struct drain *d, const struct om_wire_note *n, struct om_err *err)
{
	struct brane *b = drain_brane(d, n->brane.brane);
	int ret = drain_ring(d, err);

	if (!ret)
		ret = simple(d, b, "policy.rollback", n, OM_LOG_URGENT, err);
	if (!ret && b && b->open && !b->started) {
		ret = drain_shim_early_exit(d, b, err);
		if (!ret)
			ret = drain_brane_close(d, b, "rolled-back", err);
	}
	return ret;
}

static int on_deleted(struct drain *d, const struct om_wire_note *n, struct om_err *err)
{
	struct brane *b = drain_brane_named(d, n->brane.name);
	int ret = drain_ring(d, err);

	if (!ret)
		ret = drain_counts(d, err);
	if (!ret)
		ret = simple(d, b, "operator.delete", n, OM_LOG_URGENT, err);
	if (ret < 0 || !b)
		return ret;
	ret = drain_exit(d, b, OM_EXIT_DELETED, 0, 0, err);
	if (!ret)
		ret = drain_brane_close(d, b, "deleted", err);
	/* The entry stays: the shim may still say its last word, and its number is never used again. */
	return ret;
}

static void close_orphan(const char *id, void *ctx)
{
	struct drain *d = ctx;
	const char *hash = strchr(id, '#');
	char name[OM_BRANE_ID_MAX + 1];
	struct om_err err = {0};
	struct om_data data;
	uint32_t handle;

	if (d->stuck || !hash || (size_t)(hash - id) >= sizeof(name))
		return;
	memcpy(name, id, (size_t)(hash - id));
	name[hash - id] = 0;
	om_data_init(&data);
	om_data_word(&data, "why", "gone");
	if (om_log_brane_open(d->log, name, hash + 1, NULL, &handle, &err) < 0 ||
	    om_log_brane_close(d->log, handle, &data, &err) < 0)
		om_slog_err(OM_WARN, "orphan_left_open", id, &err);
}

/* Adoption is over: streams that nobody took up belong to branes that are gone. */
static int on_ready(struct drain *d, const struct om_wire_note *n, struct om_err *err)
{
	struct om_data data;
	char layers[32];
	int ret;

	om_data_init(&data);
	om_data_word(&data, "layers", layer_words(n->brane.layers, layers, sizeof(layers)));
	ret = drain_put(d, NULL, "agent.ready", &data, 0, err);
	if (ret < 0)
		return ret;
	om_log_each_orphan(d->log, close_orphan, d);
	d->ready = true;
	ret = drain_ring(d, err);
	return ret < 0 ? ret : drain_counts(d, err);
}

static int write_note(struct drain *d, const struct om_wire_note *n, struct om_err *err)
{
	struct brane *b = drain_brane_named(d, n->brane.name);

	switch ((enum om_note)n->what) {
	case OM_NOTE_APPLY:
		return on_apply(d, n, err);
	case OM_NOTE_STARTED:
		return on_started(d, n, err);
	case OM_NOTE_EXITED:
		return on_exited(d, n, err);
	case OM_NOTE_TAMPERED:
		/* No brane: the pins themselves are damaged. */
		if (!n->brane.name[0])
			return simple(d, NULL, "tamper", n, OM_LOG_URGENT, err);
		return on_adopted(d, n, err);
	case OM_NOTE_ADOPTED:
		return on_adopted(d, n, err);
	case OM_NOTE_CUT_SHORT:
		return simple(d, b, "recover.brane", n, 0, err);
	case OM_NOTE_ROLLED_BACK:
		return on_rolled_back(d, n, err);
	case OM_NOTE_DELETED:
		return on_deleted(d, n, err);
	case OM_NOTE_FROZEN:
		return simple(d, b, "operator.freeze", n, 0, err);
	case OM_NOTE_THAWED:
		return simple(d, b, "operator.thaw", n, 0, err);
	case OM_NOTE_RESTARTED:
		return simple(d, b, "operator.restart", n, 0, err);
	case OM_NOTE_REJECTED:
		return simple(d, NULL, "policy.denied", n, 0, err);
	case OM_NOTE_STOP:
		return simple(d, NULL, "operator.stop", n, OM_LOG_URGENT, err);
	case OM_NOTE_GUARD_STRICT:
		return simple(d, NULL, "guard.strict", n, OM_LOG_URGENT, err);
	case OM_NOTE_GUARD_RELEASED:
		return simple(d, NULL, "operator.release", n, OM_LOG_URGENT, err);
	case OM_NOTE_READY:
		return on_ready(d, n, err);
	case OM_NOTE_COUNT:
		break;
	}
	return om_err_set(err, OM_ERR_ROLE_PROTOCOL, -EBADMSG, "load: note %u", n->what);
}

static bool note_ok(const struct om_wire_note *n)
{
	return om_msg_str_ok(n->text, sizeof(n->text)) &&
	       om_msg_str_ok(n->brane.name, sizeof(n->brane.name)) &&
	       om_msg_str_ok(n->brane.instance, sizeof(n->brane.instance));
}

static int on_note(struct drain *d, struct om_msg *m, struct om_err *err)
{
	struct om_wire_done done = {0};
	struct om_wire_note n;
	struct om_err why = {0};
	int ret;

	memcpy(&n, m->body.bytes, sizeof(n));
	if (!note_ok(&n))
		return om_err_set(err, OM_ERR_ROLE_PROTOCOL, -EBADMSG, "load: note %u", n.what);
	ret = write_note(d, &n, err);
	if (!ret && m->head.id)
		ret = drain_commit(d, err);
	if (ret < 0 && ret != -EAGAIN)
		return ret;
	if (ret == -EAGAIN && !m->head.id) {
		/* The event loop stops reading notes before this is full. */
		if (d->n_pending < DRAIN_PENDING)
			d->pending[d->n_pending++] = *m;
		return 0;
	}
	if (!m->head.id)
		return 0;
	if (ret < 0) {
		om_err_set(&why, OM_ERR_LOG_FULL, -ENOSPC, "it cannot be recorded");
		om_wire_err_put(&done.err, &why);
	}
	return om_msg_send(FD_LOAD, OM_MSG_DONE, m->head.id, &done, sizeof(done), NULL, 0, err);
}

int drain_pending(struct drain *d, struct om_err *err)
{
	uint32_t i = 0;
	int ret = 0;

	while (i < d->n_pending && !ret) {
		ret = write_note(d, (const struct om_wire_note *)d->pending[i].body.bytes, err);
		i += !ret;
	}
	memmove(d->pending, d->pending + i, (d->n_pending - i) * sizeof(*d->pending));
	d->n_pending -= i;
	return ret;
}

static int on_counts(struct drain *d, const struct om_msg *m, struct om_err *err)
{
	struct om_wire_counts c;
	const struct brane *b;

	memcpy(&c, m->body.bytes, sizeof(c));
	if (!om_msg_str_ok(c.name, sizeof(c.name)))
		return om_err_set(err, OM_ERR_ROLE_PROTOCOL, -EBADMSG, "load: counts");
	b = drain_brane_named(d, c.name);
	c.denied = b ? b->denied : 0;
	c.events = b ? b->events : 0;
	c.folded = b ? b->folded : 0;
	c.lost = b ? b->lost : 0;
	return om_msg_send(FD_LOAD, OM_MSG_COUNTS, m->head.id, &c, sizeof(c), NULL, 0, err);
}

int drain_from_load(struct drain *d, struct om_msg *m, struct om_err *err)
{
	if (om_msg_body(m, OM_MSG_NOTE, sizeof(struct om_wire_note), 0, 0))
		return on_note(d, m, err);
	if (om_msg_body(m, OM_MSG_COUNTS, sizeof(struct om_wire_counts), 0, 0))
		return on_counts(d, m, err);
	if (om_msg_body(m, OM_MSG_MAPS, 0, 3, 3)) {
		int ret = drain_ring_open(d, m->fds[0], m->fds[1], m->fds[2], err);

		if (!ret)
			m->nfds = 0; /* kept for the life of this process */
		return ret;
	}
	return om_err_set(err, OM_ERR_ROLE_PROTOCOL, -EBADMSG, "load: message %u", m->head.type);
}
