/*
 * The branes that the drain role knows: numbers to names, streams of the log, lives and ends.
 *
 * Comes in: notes. Goes out: log.open, brane.exit, log.close. Called by: notes.c, events.c, shims.c,
 * the event loop. Never does: give two lives of a name one stream.
 */
#include <errno.h>
#include <stdio.h>
#include "agent/roles/drain/drain.h"

struct brane *drain_brane(struct drain *d, uint32_t num)
{
	struct brane *b = num ? d->buckets[num % OM_BRANES_MAX] : NULL;

	while (b && b->num != num)
		b = b->next;
	return b;
}

/* Deleted branes stay for their late events; a name is that of the newest, whose number is highest. */
struct brane *drain_brane_named(struct drain *d, const char *name)
{
	struct brane *found = NULL;

	for (uint32_t i = 0; i < OM_BRANES_MAX; i++)
		for (struct brane *b = d->buckets[i]; b; b = b->next)
			if (!strcmp(b->name, name) && (!found || b->num > found->num))
				found = b;
	return found;
}

/* Room for one more: the oldest brane whose life is over goes; its late events lose their name only. */
static void make_room(struct drain *d)
{
	struct brane *oldest = NULL;

	if (d->branes < 2 * OM_BRANES_MAX)
		return;
	for (uint32_t i = 0; i < OM_BRANES_MAX; i++)
		for (struct brane *b = d->buckets[i]; b; b = b->next)
			if (!b->open && (!oldest || b->num < oldest->num))
				oldest = b;
	if (oldest)
		drain_brane_forget(d, oldest);
}

static void remember_policy(struct brane *b, const struct om_wire_brane *w)
{
	for (unsigned int i = 0; i < DRAIN_POLICIES; i++)
		if (b->policy[i].num == w->policy && b->policy[i].id[0])
			return;
	b->policy[b->policy_at].num = w->policy;
	for (unsigned int i = 0; i < 8; i++)
		snprintf(b->policy[b->policy_at].id + 2 * i, 3, "%02x", w->policy_id[i]);
	b->policy_at = (b->policy_at + 1) % DRAIN_POLICIES;
}

const char *drain_policy_id(const struct brane *b, uint32_t policy)
{
	const char *newest;

	if (!b)
		return NULL;
	for (unsigned int i = 0; i < DRAIN_POLICIES; i++)
		if (b->policy[i].num == policy && b->policy[i].id[0])
			return b->policy[i].id;
	/* The shim knows no policy numbers (0): its brane has one policy at a time. */
	newest = b->policy[(b->policy_at + DRAIN_POLICIES - 1) % DRAIN_POLICIES].id;
	return !policy && newest[0] ? newest : NULL;
}

struct brane *drain_brane_take(struct drain *d, const struct om_wire_brane *w)
{
	struct brane *b = drain_brane(d, w->brane);

	if (!w->brane)
		return NULL;
	if (!b) {
		struct brane **bucket = &d->buckets[w->brane % OM_BRANES_MAX];

		make_room(d);
		b = d->branes < 2 * OM_BRANES_MAX ? calloc(1, sizeof(*b)) : NULL;
		if (!b)
			return NULL;
		b->num = w->brane;
		memcpy(b->name, w->name, sizeof(b->name));
		b->next = *bucket;
		*bucket = b;
		d->branes++;
	}
	remember_policy(b, w);
	return b;
}

void drain_brane_forget(struct drain *d, struct brane *b)
{
	struct brane **p = &d->buckets[b->num % OM_BRANES_MAX];

	while (*p != b)
		p = &(*p)->next;
	*p = b->next;
	d->branes--;
	free(b->absent);
	free(b->names);
	free(b);
}

int drain_brane_open(struct drain *d, struct brane *b, struct om_err *err)
{
	int ret;

	if (b->open)
		return 0;
	if (d->stuck)
		return -EAGAIN;
	ret = om_log_brane_open(d->log, b->name, b->instance, NULL, &b->handle, err);
	if (err->id == OM_ERR_LOG_FULL && ret < 0) {
		struct om_data none;

		/* Through the one place that knows what to do about it. */
		om_data_init(&none);
		ret = drain_put(d, NULL, "stuck", &none, 0, err);
		return ret ? ret : -EAGAIN;
	}
	if (ret < 0)
		return ret;
	b->open = true;
	b->started = false;
	b->exit_recorded = false;
	b->late_cause = OM_EXIT_NONE;
	b->early_exit.here = false;
	b->close_ms = 0;
	/* Another life has another shim, should it get the same pid: its messages count from 1 again. */
	b->shim_pid = 0;
	b->shim_id = 0;
	return 0;
}

int drain_brane_close(struct drain *d, struct brane *b, const char *why, struct om_err *err)
{
	struct om_data data;
	int ret;

	if (!b->open)
		return 0;
	ret = b->late_cause ? drain_exit(d, b, b->late_cause, b->late_code, 0, err) : 0;
	if (!ret)
		ret = drain_absent_report(d, b, err);
	if (ret < 0)
		return ret;
	if (d->stuck)
		return -EAGAIN;
	om_data_init(&data);
	om_data_word(&data, "why", why);
	om_data_id(&data, "denied", b->denied);
	ret = om_log_brane_close(d->log, b->handle, &data, err);
	if (ret < 0 && err->id == OM_ERR_LOG_FULL)
		return -EAGAIN; /* tried again when the log can be written: close_ms stays */
	if (ret < 0)
		return ret;
	b->open = false;
	b->handle = OM_LOG_NODE;
	b->close_ms = 0;
	b->seq_known = false;
	return 0;
}

int drain_branes_due(struct drain *d, struct om_err *err)
{
	uint64_t now = drain_now_ms();

	for (uint32_t i = 0; i < OM_BRANES_MAX; i++) {
		for (struct brane *b = d->buckets[i]; b; b = b->next) {
			int ret = b->close_ms && b->close_ms <= now && !d->stuck
					  ? drain_brane_close(d, b, "exit", err)
					  : 0;

			if (ret < 0)
				return ret;
		}
	}
	return 0;
}

int drain_exit(struct drain *d, struct brane *b, uint32_t cause, int32_t code, uint64_t run_ns,
	       struct om_err *err)
{
	static const char *const causes[] = {
		[OM_EXIT_NONE] = "unknown",    [OM_EXIT_CODE] = "code",
		[OM_EXIT_SIGNAL] = "signal",   [OM_EXIT_OOM] = "oom",
		[OM_EXIT_DELETED] = "deleted", [OM_EXIT_SETUP] = "setup",
	};
	struct om_data data;
	int ret;

	if (!b->open || b->exit_recorded)
		return 0;
	om_data_init(&data);
	om_data_word(&data, "cause", cause < OM_ARRAY_LEN(causes) ? causes[cause] : "unknown");
	om_data_int(&data, "code", code);
	if (run_ns)
		om_data_int(&data, "run_us", (int64_t)(run_ns / 1000));
	ret = drain_put(d, b, "brane.exit", &data, 0, err);
	if (!ret)
		b->exit_recorded = true;
	return ret;
}
