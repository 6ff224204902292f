/*
 * The policy compiler: every stop of the way in order.
 *
 * Comes in: a manifest's bytes. Goes out: normalised IRs, or findings. Called by: roles/compile,
 * omegactl. Never does: stop at the first finding, or hand out a policy for a file that has an
 * error in it.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <policies/ir/ir.h>
#include <policies/manifest/bind.h>
#include <policies/policy.h>

struct om_policy {
	uint32_t count;
	struct om_ir *irs[OM_MANIFEST_BRANES_MAX];
};

void om_policy_free(struct om_policy *p)
{
	if (!p)
		return;
	for (uint32_t i = 0; i < p->count; i++)
		om_ir_free(p->irs[i]);
	free(p);
}

static void policy_freep(struct om_policy **p)
{
	om_policy_free(*p);
}

/* Values to grants: every capability, whatever the others found. */
static void lower_all(struct om_cap_ctx *ctx, const struct om_bound_brane *brane)
{
	const struct om_cap *cap;

	for (uint32_t i = 0; (cap = om_registry_at(i)); i++) {
		const struct om_value *table = om_bound_table(brane, cap);
		uint32_t errors = ctx->diags->errors;

		if (cap->check)
			cap->check(ctx, table);
		if (cap->lower && ctx->diags->errors == errors)
			cap->lower(ctx, table);
	}
}

/* What the remaining layers cannot enforce must not be granted: it would only look like a limit. */
static void review_layers(struct om_cap_ctx *ctx, const struct om_cap *cap,
			  const struct om_value *table)
{
	static const char *const names[] = {"process", "kernel", "network"};

	if (!cap->layers || (cap->layers & ctx->ir->layers))
		return;
	for (const struct om_field *f = cap->fields; f->key; f++) {
		const struct om_value *v = om_value_get(table, f->key);
		char hint[64];

		if (!v || (v->items && !v->count))
			continue;
		snprintf(hint, sizeof(hint), "add \"%s\" to layers",
			 names[__builtin_ctz(cap->layers)]);
		om_diag_add(
			ctx->diags, OM_SEV_ERROR, OM_ERR_CAP_LAYER, v->key_pos, hint,
			"'%s' in [brane.%s%s%s] is enforced by a layer that 'layers' leaves out",
			f->key, ctx->ir->name, cap->table[0] ? "." : "", cap->table);
	}
}

static void review_all(struct om_cap_ctx *ctx, const struct om_bound_brane *brane)
{
	const struct om_cap *cap;

	for (uint32_t i = 0; (cap = om_registry_at(i)); i++) {
		const struct om_value *table = om_bound_table(brane, cap);

		review_layers(ctx, cap, table);
		if (cap->review)
			cap->review(ctx, table);
	}
}

static int compile_brane(const struct om_bound_brane *brane, uint32_t bind_errors,
			 struct om_policy *p, struct om_diags *diags, struct om_err *err)
{
	struct om_cap_ctx ctx = {.diags = diags};
	uint32_t errors = diags->errors;
	int ret;

	ret = om_ir_new(&p->irs[p->count], brane->name, err);
	if (ret < 0)
		return ret;
	/* Counted at once, so that om_policy_free finds it on every way out. */
	ctx.ir = p->irs[p->count++];
	ctx.ir->pos = brane->pos;
	lower_all(&ctx, brane);
	if (ctx.ret == -ENOMEM)
		return om_err_set(err, OM_ERR_NOMEM, -ENOMEM, "no memory for brane %s",
				  brane->name);
	/* What is missing by an error would make the review find things that are not there. */
	if (bind_errors || diags->errors != errors)
		return 0;
	ret = om_ir_normalise(ctx.ir, err);
	if (ret == -E2BIG) {
		om_diag_add(diags, OM_SEV_ERROR, OM_ERR_IR_LIMIT, brane->pos,
			    "grant networks and trees instead of single objects", "%s",
			    err ? err->text : "too many grants");
		return 0;
	}
	if (ret < 0)
		return ret;
	review_all(&ctx, brane);
	return 0;
}

static int refuse(const struct om_diags *diags, struct om_err *err)
{
	const struct om_diag *d = diags->count ? &diags->items[0] : NULL;

	/* An error that could not be stored is still an error: never a policy. */
	if (!d)
		return om_err_set(err, OM_ERR_NOMEM, -EINVAL, "no memory for the findings");
	return om_err_set(err, d->id, -EINVAL, "%u:%u: %s", d->pos.line, d->pos.col, d->message);
}

int om_policy_compile(const char *data, size_t len, struct om_policy **out, struct om_diags *diags,
		      struct om_err *err)
{
	OM_CLEANUP(om_binding_done) struct om_binding binding = {0};
	OM_CLEANUP(policy_freep) struct om_policy *p = NULL;
	struct om_toml *toml = NULL;
	uint32_t bind_errors;
	int ret;

	*out = NULL;
	ret = om_toml_parse(data, len, &toml, diags, err);
	if (ret < 0) {
		om_diags_sort(diags);
		return ret == -ENOMEM ? ret : refuse(diags, err);
	}
	ret = om_bind(toml, &binding, diags, err);
	if (ret < 0)
		return ret;
	bind_errors = diags->errors;
	p = calloc(1, sizeof(*p));
	if (!p)
		return om_err_set(err, OM_ERR_NOMEM, -ENOMEM, "no memory for the policy");
	for (uint32_t i = 0; i < binding.count; i++) {
		ret = compile_brane(&binding.branes[i], bind_errors, p, diags, err);
		if (ret < 0)
			return ret;
	}
	om_diags_sort(diags);
	if (diags->errors)
		return refuse(diags, err);
	*out = OM_STEAL_PTR(p);
	return 0;
}

uint32_t om_policy_count(const struct om_policy *p)
{
	return p->count;
}

const struct om_ir *om_policy_ir(const struct om_policy *p, uint32_t i)
{
	return i < p->count ? p->irs[i] : NULL;
}

const struct om_ir *om_policy_find(const struct om_policy *p, const char *name)
{
	for (uint32_t i = 0; i < p->count; i++)
		if (strcmp(p->irs[i]->name, name) == 0)
			return p->irs[i];
	return NULL;
}
