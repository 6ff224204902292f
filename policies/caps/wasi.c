/*
 * Imports of a WASI component. Read and checked; refused until the link check exists.
 *
 * Comes in: [brane.X.wasi]. Goes out: nothing. Called through the registry. Never does: let wasi:*
 * be named here: those imports follow from the other capabilities.
 */
#include <string.h>

#include <omega/cap.h>

static const struct om_field fields[] = {
	{.key = "imports",
	 .type = OM_FIELD_STRINGS,
	 .doc = "custom interfaces, exactly: NAMESPACE:PACKAGE/INTERFACE@VERSION",
	 .example = "[\"acme:pricing/quote@1\"]"},
	{0},
};

static void check(struct om_cap_ctx *ctx, const struct om_value *table)
{
	om_value_for_each(v, om_value_get(table, "imports"))
	{
		const char *colon = strchr(v->text, ':'), *slash = strchr(v->text, '/');
		const char *at = strchr(v->text, '@');

		if (!colon || !slash || !at || colon == v->text || slash <= colon + 1 ||
		    at <= slash + 1 || !at[1])
			om_diag_add(ctx->diags, OM_SEV_ERROR, OM_ERR_BIND_VALUE, v->pos,
				    "write \"acme:pricing/quote@1\"",
				    "'%.100s' is not NAMESPACE:PACKAGE/INTERFACE@VERSION", v->text);
		else if (strncmp(v->text, "wasi:", 5) == 0)
			om_diag_add(ctx->diags, OM_SEV_ERROR, OM_ERR_CAP_CONTRADICTION, v->pos,
				    "leave it out", "'%.100s' follows from the other capabilities",
				    v->text);
	}
}

const struct om_cap om_cap_wasi = {
	.name = "wasi",
	.table = "wasi",
	.summary = "custom interfaces that a WASI component may import",
	.missing = "the WASI runtime layer",
	.fields = fields,
	.check = check,
};
