/*
 * delete, freeze, thaw, restart: one call for each name. guard release: one call.
 *
 * Comes in: names. Goes out: a line for each ("brane/api deleted"). Called by: main. Never does: stop at
 * the first name that fails: the others are still asked for; the exit code is the first failure's.
 */
#include <string.h>
#include "agent/ctl/command.h"
#include "agent/ctl/lib/daemon.h"
#include "agent/ctl/lib/out.h"

static int change(struct om_ctl *ctl, const struct om_args *a, const char *method, const char *done)
{
	bool json = ctl->format == CTL_JSON || ctl->format == CTL_JSONL;
	json_t *list = json_array(), *out;
	struct om_err err = {0};
	int code = 0;

	for (uint32_t i = 0; i < a->npos; i++) {
		OM_CLEANUP(om_json_put) json_t *reply = NULL;
		const char *name = a->pos[i];
		json_t *b;

		if (strncmp(name, "brane/", 6) == 0)
			name += 6;
		if (om_ctl_call_name(ctl, method, name, &reply, &err) < 0) {
			int failed = om_ctl_fail(ctl, &err);

			code = code ? code : failed;
			continue;
		}
		b = json_object_get(reply, "brane");
		json_array_append(list, b ? b : reply);
		if (!json)
			printf("brane/%s %s\n", om_json_text(b, "name", name), done);
	}
	out = om_ctl_json_new();
	json_object_set_new(out, "branes", list);
	if (!json)
		json_decref(out);
	else if (om_ctl_json(out, ctl->format == CTL_JSONL, &err) < 0)
		return om_ctl_fail(ctl, &err);
	return code;
}

int cmd_delete(struct om_ctl *ctl, const struct om_args *a)
{
	return change(ctl, a, "io.omega.Control.Delete", "deleted");
}

int cmd_freeze(struct om_ctl *ctl, const struct om_args *a)
{
	return change(ctl, a, "io.omega.Control.Freeze", "frozen");
}

int cmd_thaw(struct om_ctl *ctl, const struct om_args *a)
{
	return change(ctl, a, "io.omega.Control.Thaw", "thawed");
}

int cmd_restart(struct om_ctl *ctl, const struct om_args *a)
{
	return change(ctl, a, "io.omega.Control.Restart", "restarted");
}

int cmd_guard_release(struct om_ctl *ctl, const struct om_args *a)
{
	OM_CLEANUP(om_json_put) json_t *reply = NULL;
	bool json = ctl->format == CTL_JSON || ctl->format == CTL_JSONL;
	struct om_err err = {0};
	json_t *out;

	if (om_ctl_call(ctl, "io.omega.Admin.GuardRelease", NULL, &reply, &err) < 0)
		return om_ctl_fail(ctl, &err);
	if (!json) {
		puts("self-guard released: brane");
		return 0;
	}
	out = om_ctl_json_new();
	json_object_set_new(out, "self_guard", json_string("brane"));
	return om_ctl_json(out, ctl->format == CTL_JSONL, &err) < 0 ? om_ctl_fail(ctl, &err) : 0;
}
