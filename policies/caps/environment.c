/*
 * Environment: the variables that the workload starts with. Nothing is inherited.
 *
 * Comes in: [brane.X.environment]. Goes out: OM_GRANT_ENV. Called through the registry. Never does:
 * pass a variable of the daemon on.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <omega/limits.h>
#include <policies/ir/ir.h>
#include <policies/path.h>

static const struct om_field fields[] = {
	{.key = "set",
	 .type = OM_FIELD_MAP,
	 .doc = "variables and their values; the log shows them, so secrets do not belong here",
	 .example = "{ LANG = \"C.UTF-8\" }"},
	{0},
};

static bool name_is_valid(const char *s)
{
	static const char first[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_";
	static const char rest[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_0123456789";

	return s[0] && strchr(first, s[0]) && strspn(s, rest) == strlen(s);
}

static void lower(struct om_cap_ctx *ctx, const struct om_value *table)
{
	const struct om_value *set = om_value_get(table, "set");

	if (set && set->count > OM_ENV_MAX)
		om_diag_add(ctx->diags, OM_SEV_ERROR, OM_ERR_CAP_ENV, set->key_pos, NULL,
			    "more than %u variables", OM_ENV_MAX);
	om_value_for_each(v, set)
	{
		struct om_grant g = {.kind = OM_GRANT_ENV, .pos = v->key_pos};

		if (!name_is_valid(v->key)) {
			om_diag_add(ctx->diags, OM_SEV_ERROR, OM_ERR_CAP_ENV, v->key_pos,
				    "letters, digits and '_', not beginning with a digit",
				    "'%.80s' is not the name of a variable", v->key);
			continue;
		}
		g.env.name = om_ir_text(ctx->ir, v->key, strlen(v->key));
		g.env.value = om_ir_text(ctx->ir, v->text, strlen(v->text));
		if (!g.env.name || !g.env.value)
			ctx->ret = -ENOMEM;
		om_cap_grant(ctx, &g);
	}
}

static void review(struct om_cap_ctx *ctx, const struct om_value *table)
{
	static const char *const secret[] = {"PASSWORD", "SECRET", "TOKEN", "API_KEY",
					     "PRIVATE_KEY"};

	om_value_for_each(v, om_value_get(table, "set"))
	{
		/* A guess by name, so a warning: the value itself is nobody's to judge. */
		for (size_t i = 0; i < OM_ARRAY_LEN(secret); i++) {
			if (!strstr(v->key, secret[i]))
				continue;
			om_diag_add(ctx->diags, OM_SEV_WARNING, OM_ERR_CAP_RISK, v->key_pos,
				    "variables are seen by every child and shown in the log",
				    "'%.80s' looks like a secret", v->key);
			break;
		}
		if (strncmp(v->key, "LD_", 3) == 0)
			om_diag_add(ctx->diags, OM_SEV_WARNING, OM_ERR_CAP_RISK, v->key_pos,
				    "name the library in the program instead",
				    "'%.80s' changes which code every program loads", v->key);
	}
}

static bool suggest(const char *brane, const struct om_request *req, struct om_verdict *out)
{
	int n;

	if (req->op != OM_OP_ENV)
		return false;
	snprintf(out->rule, sizeof(out->rule), "environment.set");
	if (!name_is_valid(req->text))
		return true;
	n = snprintf(out->suggestion, sizeof(out->suggestion),
		     "[brane.%s.environment] set = { %s = \"\" }", brane, req->text);
	if (n < 0 || (size_t)n >= sizeof(out->suggestion))
		out->suggestion[0] = 0;
	return true;
}

const struct om_cap om_cap_environment = {
	.name = "environment",
	.table = "environment",
	.summary = "the variables it starts with; nothing is inherited",
	.layers = OM_LAYER_PROCESS,
	.fields = fields,
	.lower = lower,
	.review = review,
	.suggest = suggest,
};
