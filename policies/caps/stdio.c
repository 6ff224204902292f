/*
 * Standard streams.
 *
 * Comes in: [brane.X.stdio]. Goes out: one OM_GRANT_STDIO, always. Called through the registry.
 * Never does: hand over the operator's terminal: output is collected through pipes, and what is not
 * granted is /dev/null.
 */
#include <stdio.h>
#include <string.h>

#include <omega/cap.h>
#include <policies/path.h>

static const struct om_field fields[] = {
	{.key = "in",
	 .type = OM_FIELD_BOOL,
	 .doc = "whether it may read what omegactl run gives it",
	 .dflt = "false: an empty stream",
	 .example = "true"},
	{.key = "out",
	 .type = OM_FIELD_BOOL,
	 .doc = "whether its output is collected for omegactl logs",
	 .dflt = "true",
	 .example = "false"},
	{.key = "err",
	 .type = OM_FIELD_BOOL,
	 .doc = "whether its error output is collected for omegactl logs",
	 .dflt = "true",
	 .example = "false"},
	{0},
};

static void lower(struct om_cap_ctx *ctx, const struct om_value *table)
{
	struct om_grant g = {.kind = OM_GRANT_STDIO, .pos = table ? table->pos : ctx->ir->pos};

	if (om_value_num(table, "in", 0))
		g.stdio.which |= OM_STDIO_IN;
	if (om_value_num(table, "out", 1))
		g.stdio.which |= OM_STDIO_OUT;
	if (om_value_num(table, "err", 1))
		g.stdio.which |= OM_STDIO_ERR;
	om_cap_grant(ctx, &g);
}

static bool suggest(const char *brane, const struct om_request *req, struct om_verdict *out)
{
	if (req->op != OM_OP_STDIO)
		return false;
	snprintf(out->rule, sizeof(out->rule), "stdio.%.3s", req->text);
	snprintf(out->suggestion, sizeof(out->suggestion), "[brane.%s.stdio] %.3s = true", brane,
		 req->text);
	return true;
}

const struct om_cap om_cap_stdio = {
	.name = "stdio",
	.table = "stdio",
	.summary = "which of its three streams are connected",
	.layers = OM_LAYER_PROCESS,
	.fields = fields,
	.lower = lower,
	.suggest = suggest,
};
