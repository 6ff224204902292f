/*
 * apply: manifests to the daemon.
 *
 * Comes in: manifests. Goes out: a line for each brane (created, configured, unchanged), the grants that
 * come and go on stderr. Called by: main. Never does: send a manifest that does not compile here (its
 * findings are printed and nothing is touched), or send some of several when one of them is refused.
 */
#include <errno.h>
#include <string.h>
#include "agent/ctl/command.h"
#include "agent/ctl/lib/daemon.h"
#include "agent/ctl/lib/out.h"
#include "agent/ctl/lib/source.h"

#define POLL_US 50000

struct apply {
	struct om_ctl *ctl;
	const char *dry_run; /* "client", "daemon" or NULL */
	bool restart, wait, changed, json;
	json_t *results; /* all of them */
};

/* The texts of a policy's grants, as an object used as a set. */
static json_t *grants_of(const struct om_ir *ir)
{
	OM_CLEANUP(om_free_ptr) uint8_t *data = NULL;
	json_t *set = json_object();
	struct om_bundle b;
	size_t len;
	uint32_t n;
	const struct om_b_grant *g;

	if (om_emit_bundle(ir, &data, &len, NULL) < 0 || om_bundle_open(data, len, &b, NULL) < 0)
		return set;
	g = om_bundle_section(&b, OM_SEC_GRANTS, &n);
	for (uint32_t i = 0; i < n; i++)
		json_object_set_new(set, om_bundle_str(&b, g[i].text), json_true());
	return set;
}

static void put_missing(const struct om_ctl *ctl, json_t *have, json_t *in, char mark)
{
	const char *key;
	json_t *value;

	json_object_foreach (have, key, value) {
		if (json_object_get(in, key))
			continue;
		fprintf(stderr, "  %s%c ",
			om_ctl_color(ctl->color_err, mark == '+' ? CTL_GREEN : CTL_RED), mark);
		om_ctl_put(stderr, key, strlen(key));
		fprintf(stderr, "%s\n", om_ctl_uncolor(ctl->color_err));
	}
}

/* What changes for a brane that is loaded already. Only a courtesy: whatever fails here is silent. */
static void show_change(struct om_ctl *ctl, const struct om_ir *ir)
{
	OM_CLEANUP(om_json_put) json_t *reply = NULL;
	OM_CLEANUP(om_json_put) json_t *before = NULL;
	OM_CLEANUP(om_json_put) json_t *after = NULL;
	struct om_policy *old = NULL;
	struct om_diags diags;
	const char *text;

	if (om_ctl_call_name(ctl, "io.omega.Observe.Describe", ir->name, &reply, NULL) < 0)
		return;
	text = om_json_text(reply, "manifest", "");
	om_diags_init(&diags);
	if (om_policy_compile(text, strlen(text), &old, &diags, NULL) == 0 &&
	    om_policy_find(old, ir->name)) {
		before = grants_of(om_policy_find(old, ir->name));
		after = grants_of(ir);
		if (!json_equal(before, after))
			fprintf(stderr, "brane/%s:\n", ir->name);
		put_missing(ctl, before, after, '-');
		put_missing(ctl, after, before, '+');
	}
	om_diags_done(&diags);
	om_policy_free(old);
}

static int client_only(struct apply *ap, const struct om_sources *s, struct om_err *err)
{
	for (uint32_t i = 0; i < s->count; i++)
		for (uint32_t k = 0; k < om_policy_count(s->items[i].policy); k++) {
			const struct om_ir *ir = om_policy_ir(s->items[i].policy, k);
			OM_CLEANUP(om_free_ptr) uint8_t *data = NULL;
			size_t len;
			int ret = om_emit_bundle(ir, &data, &len, err);

			if (ret < 0)
				return ret;
			if (ap->json)
				json_array_append_new(ap->results,
						      json_pack("{s:s,s:s}", "name", ir->name,
								"change", "valid"));
			else
				printf("brane/%s valid (dry run: client)\n", ir->name);
		}
	return 0;
}

static void take_results(struct apply *ap, const json_t *reply)
{
	json_t *one;
	size_t i;

	json_array_foreach (json_object_get(reply, "results"), i, one) {
		const char *change = om_json_text(one, "change", "?");

		ap->changed |= strcmp(change, "unchanged") != 0;
		json_array_append(ap->results, one);
		if (ap->json)
			continue;
		printf("brane/");
		om_ctl_put(stdout, om_json_text(one, "name", "?"),
			   strlen(om_json_text(one, "name", "?")));
		printf(" %s%s\n", change, ap->dry_run ? " (dry run: daemon)" : "");
	}
}

static int send_one(struct apply *ap, const struct om_source *src, struct om_err *err)
{
	OM_CLEANUP(om_json_put) json_t *reply = NULL;
	json_t *text = json_stringn(src->data, src->len), *params;
	int ret;

	if (!text)
		return om_err_set(err, OM_ERR_TOML_UTF8, -EINVAL, "%s", src->name);
	params = json_pack("{s:o,s:o,s:b}", "manifest", text, "file", om_ctl_json_text(src->name),
			   "dry_run", (int)(ap->dry_run != NULL));
	if (params && ap->restart)
		json_object_set_new(params, "restart", json_true());
	if (!params)
		return om_err_set(err, OM_ERR_NOMEM, -ENOMEM, "no memory for the manifest");
	ret = om_ctl_call(ap->ctl, "io.omega.Control.Apply", params, &reply, err);
	/* Warnings were printed already, from the same compiler; what only the daemon found is new. */
	if (ret < 0)
		om_findings_print(json_object_get(reply, "findings"), src->name, src->data,
				  src->len, stderr, ap->ctl->color_err);
	/* Some of its branes may have been loaded before one was refused. */
	take_results(ap, reply);
	return ret;
}

static int wait_running(struct apply *ap, const char *name, struct om_err *err)
{
	int64_t end = om_ctl_now_us() + (int64_t)ap->ctl->timeout_ms * 1000;

	for (;;) {
		OM_CLEANUP(om_json_put) json_t *reply = NULL;
		int ret = om_ctl_call_name(ap->ctl, "io.omega.Observe.Describe", name, &reply, err);

		if (ret < 0)
			return ret;
		if (strcmp(om_json_text(json_object_get(reply, "brane"), "state", ""), "loading"))
			return 0;
		if (om_ctl_now_us() > end)
			return om_err_set(err, OM_ERR_CTL_TIMEOUT, -ETIMEDOUT,
					  "brane '%s' is still loading", name);
		usleep(POLL_US);
	}
}

static int send_all(struct apply *ap, const struct om_sources *s, struct om_err *err)
{
	json_t *one;
	size_t k;
	int ret = 0;

	for (uint32_t i = 0; i < s->count && !ret; i++) {
		const struct om_policy *p = s->items[i].policy;

		for (uint32_t b = 0; b < om_policy_count(p) && !ap->json; b++)
			show_change(ap->ctl, om_policy_ir(p, b));
		ret = send_one(ap, &s->items[i], err);
	}
	if (ret || !ap->wait || ap->dry_run)
		return ret;
	json_array_foreach (ap->results, k, one) {
		ret = wait_running(ap, om_json_text(one, "name", ""), err);
		if (ret)
			return ret;
	}
	return 0;
}

int cmd_apply(struct om_ctl *ctl, const struct om_args *a)
{
	OM_CLEANUP(om_sources_done) struct om_sources s = {0};
	const char *file = om_args_value(a, "file", a->npos ? a->pos[0] : NULL);
	struct apply ap = {.ctl = ctl,
			   .dry_run = om_args_value(a, "dry-run", NULL),
			   .restart = om_args_has(a, "restart"),
			   .wait = om_args_has(a, "wait"),
			   .json = ctl->format == CTL_JSON || ctl->format == CTL_JSONL};
	struct om_err err = {0}, print_err = {0};
	json_t *out;
	int ret;

	if (!file)
		ret = om_err_set(&err, OM_ERR_USAGE, -EINVAL, "apply: name a manifest");
	else
		ret = om_sources_read(&s, file, &err);
	if (ret < 0)
		return om_ctl_fail(ctl, &err);
	ret = om_sources_compile(&s, &err);
	for (uint32_t i = 0; i < s.count; i++)
		om_source_print(ctl, &s.items[i], stderr, ctl->color_err);
	if (ret == -EINVAL)
		return CTL_EXIT_REJECTED;
	if (ret < 0)
		return om_ctl_fail(ctl, &err);
	ap.results = json_array();
	if (ap.dry_run && strcmp(ap.dry_run, "client") == 0)
		ret = client_only(&ap, &s, &err);
	else
		ret = send_all(&ap, &s, &err);
	out = om_ctl_json_new();
	json_object_set_new(out, "results", ap.results);
	if (!ap.json)
		json_decref(out);
	else if (om_ctl_json(out, ctl->format == CTL_JSONL, &print_err) < 0)
		return om_ctl_fail(ctl, &print_err);
	if (ret < 0)
		return om_ctl_fail(ctl, &err);
	return ap.changed && om_args_has(a, "exit-code") ? CTL_EXIT_CHANGED : 0;
}
