/*
 * What the load role does without being asked: restarts, and obedience to the log.
 *
 * Comes in: ended workloads, time, the log's state. Goes out: restarts with back-off; frozen, killed or
 * untouched branes as each policy's on-log-full says. Called by: the event loop. Never does: thaw what
 * the operator froze.
 */
#include <signal.h>
#include <stdio.h>
#include <time.h>
#include "agent/role/log.h"
#include "agent/roles/load/load.h"

#define DELAY_FIRST_MS 100u
#define DELAY_MAX_MS   30000u
#define SETTLED_MS     60000u /* a workload that ran so long starts again after the first delay */

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

struct load_entry *load_entry(struct load *l, const char *name, bool make)
{
	struct load_entry *free_one = NULL;

	for (uint32_t i = 0; i < OM_BRANES_MAX; i++) {
		struct load_entry *e = &l->entries[i];

		if (e->used && !strcmp(e->name, name))
			return e;
		if (!e->used && !free_one)
			free_one = e;
	}
	if (!make || !free_one)
		return NULL;
	memset(free_one, 0, sizeof(*free_one));
	snprintf(free_one->name, sizeof(free_one->name), "%s", name);
	free_one->used = true;
	return free_one;
}

void load_entry_drop(struct load *l, const char *name)
{
	struct load_entry *e = load_entry(l, name, false);

	if (e)
		e->used = false;
}

static bool wants_restart(const struct om_brane_info *i)
{
	/* Setup that fails once fails again: a restart would be a loop without a workload. */
	if (i->exit_cause == OM_EXIT_DELETED || i->exit_cause == OM_EXIT_SETUP)
		return false;
	if (i->restart == OM_RESTART_ALWAYS)
		return true;
	return i->restart == OM_RESTART_ON_FAILURE &&
	       !(i->exit_cause == OM_EXIT_CODE && !i->exit_code);
}

static void tell_api(const struct load *l, const struct om_brane_info *info)
{
	struct om_wire_brane w;
	struct om_err err;

	load_wire_brane(l, &w, info);
	if (om_msg_send(FD_API, OM_MSG_ENDED, 0, &w, sizeof(w), NULL, 0, &err) < 0)
		om_slog_err(OM_WARN, "api_unheard", info->name, &err);
}

void load_settle(struct load *l, struct om_brane_info *info)
{
	struct om_err err;

	for (int i = 0;
	     i < 50 && info->state == OM_BRANE_EXITED && info->exit_cause == OM_EXIT_SIGNAL &&
	     info->exit_code == SIGKILL && info->shim_pid > 0 && !kill(info->shim_pid, 0);
	     i++) {
		nanosleep(&(struct timespec){0, 2000000}, NULL);
		if (om_loader_get(l->l, info->name, info, &err) < 0)
			return;
	}
}

void load_ended(struct load *l, const struct om_brane_info *found)
{
	struct om_brane_info settled = *found, *info = &settled;
	struct load_entry *e;
	struct om_wire_note n;
	struct om_err err;

	load_settle(l, info);
	om_slog(OM_INFO, "ended", "name", info->name, "cause", om_slog_num(info->exit_cause),
		"code", om_slog_num(info->exit_code), NULL);
	load_note_init(&n, OM_NOTE_EXITED, info, NULL);
	if (load_note_send(l, &n, false, &err) < 0)
		om_slog_err(OM_FAIL, "drain_unheard", info->name, &err);
	e = wants_restart(info) ? load_entry(l, info->name, true) : NULL;
	if (!e) {
		load_entry_drop(l, info->name);
		tell_api(l, info);
		return;
	}
	if (!e->delay_ms || now_ms() - e->started_ms > SETTLED_MS)
		e->delay_ms = DELAY_FIRST_MS;
	else
		e->delay_ms = OM_MIN(e->delay_ms * 2, DELAY_MAX_MS);
	e->due_ms = now_ms() + e->delay_ms;
}

int load_wait_ms(const struct load *l)
{
	uint64_t first = 0, now;

	for (uint32_t i = 0; i < OM_BRANES_MAX; i++) {
		const struct load_entry *e = &l->entries[i];

		if (e->used && e->due_ms && (!first || e->due_ms < first))
			first = e->due_ms;
	}
	if (!first)
		return -1;
	now = now_ms();
	return first <= now ? 0 : (int)(first - now);
}

void load_restarts(struct load *l)
{
	for (uint32_t i = 0; i < OM_BRANES_MAX; i++) {
		struct load_entry *e = &l->entries[i];
		struct om_brane_info info;
		struct om_err err = {0};

		if (!e->used || !e->due_ms || e->due_ms > now_ms())
			continue;
		e->due_ms = 0;
		e->started_ms = now_ms();
		if (!load_again(l, e->name, NULL, &info, &err))
			continue;
		om_slog_err(OM_WARN, "restart_failed", e->name, &err);
		if (err.id == OM_ERR_NOT_FOUND) {
			e->used = false;
			continue;
		}
		/* Still confined and not running: try again, later and later. */
		e->delay_ms = OM_MIN(e->delay_ms * 2, DELAY_MAX_MS);
		e->due_ms = now_ms() + e->delay_ms;
	}
}

static int obey_one(const struct om_brane_info *i, void *ctx)
{
	struct load *l = ctx;
	struct load_entry *e;
	struct om_err err = {0};
	int ret = 0;

	if (i->on_full == OM_ON_FULL_COUNT || i->state == OM_BRANE_EXITED)
		return 0;
	if (i->on_full == OM_ON_FULL_KILL) {
		ret = om_loader_kill(l->l, i->name, &err);
	} else if (i->state != OM_BRANE_FROZEN) {
		e = load_entry(l, i->name, true);
		ret = om_loader_freeze(l->l, i->name, true, &err);
		if (e && !ret)
			e->frozen_for_log = true;
		/* What cannot be frozen must not go on unrecorded. */
		if (ret < 0) {
			om_slog_err(OM_FAIL, "freeze_failed", i->name, &err);
			ret = om_loader_kill(l->l, i->name, &err);
		}
	}
	if (ret < 0)
		om_slog_err(OM_FAIL, "log_policy_failed", i->name, &err);
	return 0;
}

static void thaw_ours(struct load *l)
{
	for (uint32_t i = 0; i < OM_BRANES_MAX; i++) {
		struct load_entry *e = &l->entries[i];
		struct om_err err = {0};

		if (!e->used || !e->frozen_for_log)
			continue;
		e->frozen_for_log = false;
		if (om_loader_freeze(l->l, e->name, false, &err) < 0)
			om_slog_err(OM_FAIL, "thaw_failed", e->name, &err);
	}
}

void load_obey_log(struct load *l)
{
	struct om_err err = {0};

	if (l->log_state == l->log_applied)
		return;
	l->log_applied = l->log_state;
	om_slog(OM_FAIL, l->log_state == OM_LOG_STUCK ? "log_stuck" : "log_good_again", NULL);
	if (l->log_state == OM_LOG_GOOD)
		thaw_ours(l);
	else if (om_loader_each(l->l, obey_one, l, &err) < 0)
		om_slog_err(OM_FAIL, "log_policy_failed", NULL, &err);
}
