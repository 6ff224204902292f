/*
 * Conditions that narrow a grant. Read and checked; refused until the condition engine exists.
 *
 * Comes in: [[brane.X.when]]. Goes out: nothing. Called through the registry. Never does: widen a
 * grant, or treat a condition that nobody evaluates as true.
 */
#include <omega/cap.h>

static const struct om_field when_fields[] = {
	{.key = "grant",
	 .type = OM_FIELD_STRING,
	 .required = true,
	 .doc = "the key that it narrows, as TABLE.KEY",
	 .example = "\"network.egress\""},
	{.key = "unless",
	 .type = OM_FIELD_STRING,
	 .doc = "an expression; the grant does not hold while it is true",
	 .example = "\"context.hour >= 22\""},
	{.key = "if",
	 .type = OM_FIELD_STRING,
	 .doc = "an expression; the grant holds only while it is true",
	 .example = "\"context.hour < 22\""},
	{0},
};

static const struct om_field fields[] = {
	{.key = "when",
	 .type = OM_FIELD_TABLES,
	 .doc = "conditions; they narrow grants and never widen them",
	 .example = "[{ grant = \"network.egress\", unless = \"context.hour >= 22\" }]",
	 .fields = when_fields},
	{0},
};

static void check(struct om_cap_ctx *ctx, const struct om_value *table)
{
	om_value_for_each(v, om_value_get(table, "when"))
	{
		const struct om_value *grant = om_value_get(v, "grant");

		if (grant && !om_registry_field(grant->text, NULL))
			om_diag_add(ctx->diags, OM_SEV_ERROR, OM_ERR_BIND_VALUE, grant->pos,
				    "write TABLE.KEY, as in \"network.egress\"",
				    "'%.80s' is not a key that grants something", grant->text);
		if (!om_value_get(v, "unless") == !om_value_get(v, "if"))
			om_diag_add(ctx->diags, OM_SEV_ERROR, OM_ERR_BIND_MISSING, v->pos,
				    "write unless = '...' or if = '...'",
				    "a condition needs exactly one of unless and if");
	}
}

const struct om_cap om_cap_when = {
	.name = "when",
	.table = "",
	.summary = "conditions that narrow a grant",
	.missing = "the condition engine",
	.fields = fields,
	.check = check,
};
