/*
 * The one way into the audit log, and what becomes durable with it.
 *
 * Comes in: records. Goes out: lines, commits, acknowledgements. Called by: the other files of this
 * role. Never does: acknowledge before a commit returned 0.
 */
#include <errno.h>
#include <time.h>
#include "agent/role/log.h"
#include "agent/roles/drain/drain.h"

#define RETRY_MS 1000u

uint64_t drain_now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static int stuck(struct drain *d, struct om_err *err)
{
	struct om_err why = *err;

	d->retry_ms = drain_now_ms() + RETRY_MS;
	if (d->stuck)
		return -EAGAIN;
	d->stuck = true;
	om_slog_err(OM_FAIL, "log_cannot_be_written", NULL, &why);
	if (drain_tell_log(d, true, err) < 0)
		return err->ret;
	return -EAGAIN;
}

/* Maps the log's errors to what this role does about them. */
static int judge(struct drain *d, int ret, struct om_err *err)
{
	if (!ret)
		return 0;
	if (err->id == OM_ERR_LOG_FULL)
		return stuck(d, err);
	if (err->id == OM_ERR_LOG_RECORD) {
		/* One unfit record must not stop the log; that there was one is in the next commit. */
		om_slog_err(OM_FAIL, "record_unfit", NULL, err);
		om_log_drop(d->log, OM_DROP_RATE, 1);
		return 0;
	}
	/* -EAGAIN means "stuck" to every caller; nothing else may pass for it. */
	return ret == -EAGAIN ? -EIO : ret;
}

int drain_put(struct drain *d, const struct brane *b, const char *kind, struct om_data *data,
	      unsigned int flags, struct om_err *err)
{
	char of[OM_NAME_MAX + 16];
	uint32_t handle = b && b->open ? b->handle : OM_LOG_NODE;

	if (d->stuck)
		return -EAGAIN;
	/* Late events of a brane whose stream is closed still name it. */
	if (b && !b->open) {
		size_t n = strlen(b->name);

		memcpy(of, b->name, n);
		of[n] = '#';
		memcpy(of + n + 1, b->instance, sizeof(b->instance));
		of[n + 1 + sizeof(b->instance)] = 0;
		om_data_word(data, "of", of);
	}
	return judge(d, om_log_append(d->log, handle, kind, data, flags, err), err);
}

int drain_commit(struct drain *d, struct om_err *err)
{
	int ret = judge(d, om_log_commit(d->log, err), err);

	if (ret < 0)
		return ret;
	if (d->have_maps)
		om_ring_release(&d->ring);
	d->held = 0;
	drain_shims_ack(d);
	drain_counts_save(d);
	if (d->stuck) {
		d->stuck = false;
		om_slog(OM_WARN, "log_can_be_written", NULL);
		ret = drain_tell_log(d, false, err);
		if (!ret)
			ret = drain_pending(d, err);
	}
	return ret;
}

void drain_put_peer(struct om_data *data, const struct om_wire_peer *peer)
{
	if (peer->uid == ~0u)
		return;
	om_data_int(data, "uid", peer->uid);
	om_data_int(data, "pid", peer->pid);
}
