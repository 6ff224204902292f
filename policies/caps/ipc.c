/*
 * Messages to other branes. Read and checked; refused until the broker exists.
 *
 * Comes in: [brane.X.ipc]. Goes out: nothing. Called through the registry. Never does: look for the
 * other brane: it may be in another file.
 */
#include <string.h>

#include <omega/cap.h>
#include <omega/limits.h>

static const struct om_field fields[] = {
	{.key = "send",
	 .type = OM_FIELD_STRINGS,
	 .doc = "branes that it may send messages to",
	 .example = "[\"pong\"]"},
	{0},
};

static void check(struct om_cap_ctx *ctx, const struct om_value *table)
{
	static const char alphabet[] = "abcdefghijklmnopqrstuvwxyz0123456789-";

	om_value_for_each(v, om_value_get(table, "send"))
	{
		size_t len = strlen(v->text);

		if (len == 0 || len > OM_NAME_MAX || strspn(v->text, alphabet) != len ||
		    v->text[0] == '-' || v->text[len - 1] == '-')
			om_diag_add(ctx->diags, OM_SEV_ERROR, OM_ERR_BIND_NAME, v->pos,
				    "lower-case letters, digits and inner '-', at most 63",
				    "'%.80s' is not a valid name for a brane", v->text);
	}
}

const struct om_cap om_cap_ipc = {
	.name = "ipc",
	.table = "ipc",
	.summary = "branes that it may send messages to",
	.missing = "the message broker",
	.fields = fields,
	.check = check,
};
