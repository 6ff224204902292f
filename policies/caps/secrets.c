/*
 * Secrets: by name, delivered as a file or injected by the gateway. Read and checked; refused until
 * the vault exists.
 *
 * Comes in: [brane.X.secrets.NAME]. Goes out: nothing. Called through the registry. Never does: let
 * a secret become an environment variable, which every child inherits.
 */
#include <string.h>

#include <omega/cap.h>

static const struct om_field use_fields[] = {
	{.key = "file",
	 .type = OM_FIELD_STRING,
	 .doc = "name of the file in /run/secrets that holds it",
	 .example = "\"db-password\""},
	{.key = "header",
	 .type = OM_FIELD_STRING,
	 .doc = "HTTP header that the gateway adds; {} stands for the secret",
	 .example = "\"Authorization: Bearer {}\""},
	{.key = "host",
	 .type = OM_FIELD_STRING,
	 .doc = "the one host that the header is sent to",
	 .example = "\"api.github.com\""},
	{0},
};

static const struct om_field secret_fields[] = {
	{.key = "use",
	 .type = OM_FIELD_TABLE,
	 .required = true,
	 .doc = "how it is delivered: as a file, or in a header",
	 .example = "{ file = \"db-password\" }",
	 .fields = use_fields},
	{0},
};

static const struct om_field fields[] = {
	{.key = "secrets",
	 .type = OM_FIELD_NAMED,
	 .doc = "secrets by name, and how each is delivered",
	 .example = "{ DB_PASSWORD = { use = { file = \"db-password\" } } }",
	 .fields = secret_fields},
	{0},
};

static void add(struct om_cap_ctx *ctx, enum om_err_id id, struct om_pos pos, const char *hint,
		const char *name, const char *what)
{
	om_diag_add(ctx->diags, OM_SEV_ERROR, id, pos, hint, "secret '%.60s' %s", name, what);
}

static void check_one(struct om_cap_ctx *ctx, const struct om_value *v)
{
	static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789";
	const struct om_value *use = om_value_get(v, "use");
	const struct om_value *file = om_value_get(use, "file"), *host = om_value_get(use, "host");
	const struct om_value *header = om_value_get(use, "header");

	if (!v->key[0] || strspn(v->key, alphabet) != strlen(v->key))
		add(ctx, OM_ERR_BIND_NAME, v->key_pos, "upper-case letters, digits and '_'", v->key,
		    "has an invalid name");
	if (use && !file == !header)
		add(ctx, OM_ERR_CAP_CONTRADICTION, use->pos,
		    "write use = { file = ... } or use = { header = ..., host = ... }", v->key,
		    "needs exactly one of file and header");
	if (header && !host)
		add(ctx, OM_ERR_BIND_MISSING, header->pos, "write host = \"api.example.org\"",
		    v->key, "has a header but no host to send it to");
	if (header && !strstr(header->text, "{}"))
		add(ctx, OM_ERR_BIND_VALUE, header->pos, "write \"Authorization: Bearer {}\"",
		    v->key, "has no {} in its header");
	/* A slash or a leading dot would place it outside the private directory, or hide it. */
	if (file && (!file->text[0] || strchr(file->text, '/') || file->text[0] == '.'))
		add(ctx, OM_ERR_CAP_PATH, file->pos, "one name: it lies in /run/secrets", v->key,
		    "has a file that is not a plain name");
}

static void check(struct om_cap_ctx *ctx, const struct om_value *table)
{
	om_value_for_each(v, om_value_get(table, "secrets")) check_one(ctx, v);
}

const struct om_cap om_cap_secrets = {
	.name = "secrets",
	.table = "",
	.summary = "secrets by name, as a file or injected by the gateway",
	.missing = "the vault layer",
	.fields = fields,
	.check = check,
};
