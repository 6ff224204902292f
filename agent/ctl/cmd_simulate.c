/*
 * simulate and can: what a policy answers to a request.
 *
 * Comes in: a manifest (from a file, or the one that is loaded) and requests. Goes out: the verdict of
 * the reference interpreter and, for simulate, of a simulator for each generated layer. Exit 0 when all
 * are allowed, 1 otherwise. Called by: main. Never does: answer for a manifest other than the one that
 * is enforced: `can` compares policy ids first.
 */
#include <errno.h>
#include <string.h>
#include "agent/ctl/command.h"
#include "agent/ctl/lib/daemon.h"
#include "agent/ctl/lib/layers.h"
#include "agent/ctl/lib/out.h"
#include "agent/ctl/lib/source.h"

struct question {
	const struct om_ir *ir;
	struct om_bundle bundle;
	bool layered; /* ask the simulators as well */
	bool denied;
	json_t *list; /* JSON output, else NULL */
};

static const char *layer_verdict(const struct om_sim_result *r, unsigned int i)
{
	if (!(r->asked & (1u << i)))
		return NULL;
	return r->denied & (1u << i) ? "deny" : "allow";
}

static json_t *verdict_json(const struct question *q, const char *text, const struct om_verdict *v,
			    const struct om_sim_result *r)
{
	json_t *o =
		json_pack("{s:s,s:o,s:b,s:o,s:o}", "brane", q->ir->name, "request",
			  om_ctl_json_text(text), "allow", (int)v->allow, "rule",
			  om_ctl_json_text(v->rule), "suggestion", om_ctl_json_text(v->suggestion));
	json_t *layers = json_object();

	if (!q->layered) {
		json_decref(layers);
		return o;
	}
	for (unsigned int i = 1; i < OM_WHERE_COUNT; i++)
		if (layer_verdict(r, i))
			json_object_set_new(layers, om_where_name((enum om_where)i),
					    json_string(layer_verdict(r, i)));
	json_object_set_new(o, "layers", layers);
	json_object_set_new(o, "simulated", json_boolean(r->allow));
	json_object_set_new(o, "denied_by",
			    r->allow ? json_null() : json_string(om_where_name(r->where)));
	return o;
}

static void verdict_text(const struct om_ctl *ctl, const struct question *q, const char *text,
			 const struct om_verdict *v, const struct om_sim_result *r)
{
	printf("%s%s%s  ", om_ctl_color(ctl->color_out, v->allow ? CTL_GREEN : CTL_RED),
	       v->allow ? "allowed" : "denied", om_ctl_uncolor(ctl->color_out));
	om_ctl_put(stdout, text, strlen(text));
	printf("\n  rule: %s\n", v->rule[0] ? v->rule : "nothing grants such operations");
	if (!v->allow && v->suggestion[0]) {
		printf("  would be granted by: ");
		om_ctl_put(stdout, v->suggestion, strlen(v->suggestion));
		printf("\n");
	} else if (!v->allow) {
		printf("  no manifest line can grant it\n");
	}
	if (!q->layered)
		return;
	printf("  layers:");
	for (unsigned int i = 1; i < OM_WHERE_COUNT; i++)
		if (layer_verdict(r, i))
			printf(" %s=%s", om_where_name((enum om_where)i), layer_verdict(r, i));
	printf("%s\n", r->asked ? "" : " none has an opinion");
	if (r->allow != v->allow)
		printf("  THE LAYERS DISAGREE with the interpreter: this is a bug in Omega\n");
}

static int ask(const struct om_ctl *ctl, struct question *q, const char *text, size_t len,
	       struct om_err *err)
{
	OM_CLEANUP(om_free_ptr) char *shown = NULL;
	static struct om_request req;
	struct om_sim_result r = {.allow = true};
	struct om_verdict v = {0};
	int ret = om_request_parse(text, len, &req, err);

	if (ret < 0)
		return ret;
	shown = strndup(text, len);
	if (!shown)
		return om_err_set(err, OM_ERR_NOMEM, -ENOMEM, "no memory");
	om_engine_decide(q->ir, &req, &v);
	if (!v.allow && !v.suggestion[0])
		om_suggest(q->ir->name, &req, &v);
	if (q->layered)
		om_sim_decide(&q->bundle, &req, &r);
	/* Where they disagree the answer is the stricter one. */
	q->denied |= !v.allow || (q->layered && !r.allow);
	if (q->list)
		json_array_append_new(q->list, verdict_json(q, shown, &v, &r));
	else
		verdict_text(ctl, q, shown, &v, &r);
	return 0;
}

static int ask_stdin(const struct om_ctl *ctl, struct question *q, struct om_err *err)
{
	OM_CLEANUP(om_free_ptr) char *line = NULL;
	size_t cap = 0;
	ssize_t n;

	while ((n = getline(&line, &cap, stdin)) >= 0) {
		int ret;

		if (n && line[n - 1] == '\n')
			n--;
		if (!n || line[0] == '#')
			continue;
		ret = ask(ctl, q, line, (size_t)n, err);
		if (ret < 0)
			return ret;
	}
	return 0;
}

/* The brane that is meant: by name, or the only one. */
static const struct om_ir *choose(const struct om_sources *s, const char *name, struct om_err *err)
{
	const struct om_ir *ir = NULL;
	uint32_t count = 0;

	for (uint32_t i = 0; i < s->count; i++) {
		const struct om_policy *p = s->items[i].policy;

		for (uint32_t k = 0; k < om_policy_count(p); k++) {
			const struct om_ir *one = om_policy_ir(p, k);

			if (name && strcmp(one->name, name) != 0)
				continue;
			ir = one;
			count++;
		}
	}
	if (count == 1)
		return ir;
	if (name)
		om_err_set(err, OM_ERR_NOT_FOUND, -ENOENT, "the manifest defines no brane '%s'",
			   name);
	else
		om_err_set(err, OM_ERR_USAGE, -EINVAL,
			   "the manifest defines %u branes: choose one with --brane", count);
	return NULL;
}

static int finish(const struct om_ctl *ctl, struct question *q, struct om_err *err)
{
	json_t *out;

	if (!q->list)
		return q->denied ? CTL_EXIT_FAILED : 0;
	out = om_ctl_json_new();
	json_object_set_new(out, "results", q->list);
	if (om_ctl_json(out, false, err) < 0)
		return om_ctl_fail(ctl, err);
	return q->denied ? CTL_EXIT_FAILED : 0;
}

int cmd_simulate(struct om_ctl *ctl, const struct om_args *a)
{
	OM_CLEANUP(om_sources_done) struct om_sources s = {0};
	const char *file = om_args_value(a, "file", a->npos ? a->pos[0] : NULL);
	OM_CLEANUP(om_free_ptr) uint8_t *data = NULL;
	struct question q = {.layered = true};
	struct om_err err = {0};
	size_t len;
	int ret;

	if (!file)
		ret = om_err_set(&err, OM_ERR_USAGE, -EINVAL, "simulate: name a manifest");
	else
		ret = om_sources_read(&s, file, &err);
	if (ret < 0)
		return om_ctl_fail(ctl, &err);
	ret = om_sources_compile(&s, &err);
	if (ret == -EINVAL) {
		for (uint32_t i = 0; i < s.count; i++)
			om_source_print(ctl, &s.items[i], stderr, ctl->color_err);
		return CTL_EXIT_REJECTED;
	}
	if (!ret) {
		q.ir = choose(&s, om_args_value(a, "brane", NULL), &err);
		ret = q.ir ? om_emit_bundle(q.ir, &data, &len, &err) : -EINVAL;
	}
	if (!ret)
		ret = om_bundle_open(data, len, &q.bundle, &err);
	if (ret < 0)
		return om_ctl_fail(ctl, &err);
	if (ctl->format == CTL_JSON || ctl->format == CTL_JSONL)
		q.list = json_array();
	if (!om_args_has(a, "request"))
		ret = ask_stdin(ctl, &q, &err);
	for (uint32_t i = 0; i < a->nvals && !ret; i++)
		if (strcmp(a->vals[i].opt->name, "request") == 0)
			ret = ask(ctl, &q, a->vals[i].value, strlen(a->vals[i].value), &err);
	if (ret < 0) {
		json_decref(q.list);
		return om_ctl_fail(ctl, &err);
	}
	return finish(ctl, &q, &err);
}

/* The words behind the name, as one line. */
static int join(const struct om_args *a, char *buf, size_t size, struct om_err *err)
{
	size_t n = 0;

	for (uint32_t i = 1; i < a->npos; i++) {
		int w = snprintf(buf + n, size - n, "%s%s", i > 1 ? " " : "", a->pos[i]);

		if (w < 0 || (size_t)w >= size - n)
			return om_err_set(err, OM_ERR_REQUEST_FORMAT, -E2BIG,
					  "the request is too long");
		n += (size_t)w;
	}
	return 0;
}

int cmd_can(struct om_ctl *ctl, const struct om_args *a)
{
	OM_CLEANUP(om_sources_done) struct om_sources s = {0};
	OM_CLEANUP(om_json_put) json_t *reply = NULL;
	char id[65], request[OM_PATH_MAX + 64];
	struct om_diags diags;
	struct question q = {0};
	struct om_policy *p = NULL;
	const char *text;
	struct om_err err = {0};
	int ret = join(a, request, sizeof(request), &err);

	if (!ret)
		ret = om_ctl_call_name(ctl, "io.omega.Observe.Describe", a->pos[0], &reply, &err);
	if (ret < 0)
		return om_ctl_fail(ctl, &err);
	text = om_json_text(reply, "manifest", "");
	om_diags_init(&diags);
	ret = om_policy_compile(text, strlen(text), &p, &diags, &err);
	om_diags_done(&diags);
	q.ir = ret ? NULL : om_policy_find(p, a->pos[0]);
	if (q.ir)
		om_ctl_hex(q.ir->policy_id, id);
	/* The kernel enforces what was loaded, so an answer from anything else would be a lie. */
	if (!q.ir || strcmp(om_json_text(json_object_get(reply, "brane"), "policy_id", ""), id)) {
		om_err_set(&err, OM_ERR_STATE, -ESTALE,
			   "the stored manifest of '%s' does not give the policy that is enforced "
			   "(another command, another version, or a damaged state directory)",
			   a->pos[0]);
		om_policy_free(p);
		return om_ctl_fail(ctl, &err);
	}
	if (ctl->format == CTL_JSON || ctl->format == CTL_JSONL)
		q.list = json_array();
	ret = ask(ctl, &q, request, strlen(request), &err);
	if (ret < 0)
		json_decref(q.list);
	ret = ret < 0 ? om_ctl_fail(ctl, &err) : finish(ctl, &q, &err);
	om_policy_free(p);
	return ret;
}
