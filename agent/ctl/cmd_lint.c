/*
 * lint: every finding about a manifest.
 *
 * Comes in: manifests. Goes out: findings on stdout (they are the result), exit 3 when one is an error.
 * Called by: main. Never does: look at this host, talk to the daemon, stop at the first finding.
 */
#include <errno.h>
#include "agent/ctl/command.h"
#include "agent/ctl/lib/out.h"
#include "agent/ctl/lib/source.h"

static int as_json(const struct om_sources *s, uint32_t errors, struct om_err *err)
{
	json_t *out = om_ctl_json_new(), *list = json_array();

	for (uint32_t i = 0; i < s->count; i++)
		if (om_source_json(&s->items[i], list) < 0) {
			json_decref(out);
			json_decref(list);
			return om_err_set(err, OM_ERR_NOMEM, -ENOMEM, "no memory for the findings");
		}
	json_object_set_new(out, "errors", json_integer(errors));
	json_object_set_new(out, "findings", list);
	return om_ctl_json(out, false, err);
}

static void summary(const struct om_ctl *ctl, const struct om_sources *s)
{
	for (uint32_t i = 0; i < s->count; i++) {
		const struct om_source *src = &s->items[i];

		if (src->diags.errors) {
			fprintf(stderr, "%s: rejected: %u error%s\n", src->name, src->diags.errors,
				src->diags.errors == 1 ? "" : "s");
			continue;
		}
		fprintf(stderr, "%s: ok, %u brane%s", src->name, om_policy_count(src->policy),
			om_policy_count(src->policy) == 1 ? "" : "s");
		if (src->diags.count)
			fprintf(stderr, ", %u warning%s", src->diags.count,
				src->diags.count == 1 ? "" : "s");
		fprintf(stderr, "\n");
	}
}

int cmd_lint(struct om_ctl *ctl, const struct om_args *a)
{
	OM_CLEANUP(om_sources_done) struct om_sources s = {0};
	const char *file = om_args_value(a, "file", NULL);
	struct om_err err = {0};
	uint32_t errors = 0;
	int ret = 0;

	if (!file && !a->npos)
		ret = om_err_set(&err, OM_ERR_USAGE, -EINVAL, "lint: name a manifest");
	if (file)
		ret = om_sources_read(&s, file, &err);
	for (uint32_t i = 0; i < a->npos && !ret; i++)
		ret = om_sources_read(&s, a->pos[i], &err);
	if (!ret)
		ret = om_sources_compile(&s, &err);
	if (ret < 0 && ret != -EINVAL)
		return om_ctl_fail(ctl, &err);
	if (ret < 0 && !s.count)
		return om_ctl_fail(ctl, &err);
	for (uint32_t i = 0; i < s.count; i++)
		errors += s.items[i].diags.errors;
	if (ctl->format == CTL_JSON || ctl->format == CTL_JSONL) {
		if (as_json(&s, errors, &err) < 0)
			return om_ctl_fail(ctl, &err);
		return errors ? CTL_EXIT_REJECTED : 0;
	}
	for (uint32_t i = 0; i < s.count; i++)
		om_source_print(ctl, &s.items[i], stdout, ctl->color_out);
	fflush(stdout);
	summary(ctl, &s);
	return errors ? CTL_EXIT_REJECTED : 0;
}
