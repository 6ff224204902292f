/*
 * The brane's own keys: what runs, from where, as whom, under which layers.
 *
 * Comes in: [brane.X]. Goes out: the head of the IR. Called through the registry. Never does: grant
 * anything; the command, too, runs only if filesystem.exec names it.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <omega/arena.h>
#include <omega/limits.h>
#include <policies/ir/ir.h>
#include <policies/path.h>
#include <policies/policy.h>

static const char *const capability_words[] = {"standard", "frontier", NULL};
static const char *const restart_words[] = {"never", "on-failure", "always", NULL};
static const char *const mode_words[] = {"enforce", "audit", NULL};
static const char *const full_words[] = {"freeze", "kill", "count", NULL};
static const char *const layer_words[] = {"process", "kernel", "network", NULL};

static const struct om_field fields[] = {
	{.key = "substrate",
	 .type = OM_FIELD_STRING,
	 .doc = "label of the node it may be placed on",
	 .dflt = "any node",
	 .example = "\"local\""},
	{.key = "capability",
	 .type = OM_FIELD_WORD,
	 .doc = "standard, or frontier for a microVM around everything",
	 .dflt = "\"standard\"",
	 .example = "\"standard\"",
	 .words = capability_words},
	{.key = "image",
	 .type = OM_FIELD_STRING,
	 .required = true,
	 .doc = "the tree that grants are about: \"host:\" or \"dir:/path\"",
	 .example = "\"host:\""},
	{.key = "digest",
	 .type = OM_FIELD_STRING,
	 .doc = "SHA-256 of the image; another content is refused",
	 .example = "\"sha256:...\"",
	 .missing = "the image store"},
	{.key = "command",
	 .type = OM_FIELD_STRINGS,
	 .doc = "program and arguments; the program must be named in filesystem.exec",
	 .dflt = "none: given to omegactl run",
	 .example = "[\"/usr/bin/api\", \"--port\", \"8080\"]"},
	{.key = "workdir",
	 .type = OM_FIELD_STRING,
	 .doc = "directory the program starts in, in the brane's view",
	 .dflt = "\"/\"",
	 .example = "\"/\""},
	{.key = "user",
	 .type = OM_FIELD_INT,
	 .doc = "user and group id inside the brane",
	 .dflt = "65534",
	 .example = "1000",
	 .min = 0,
	 .max = 4294967294},
	{.key = "restart",
	 .type = OM_FIELD_WORD,
	 .doc = "whether to start it again when it ends",
	 .dflt = "\"never\"",
	 .example = "\"on-failure\"",
	 .words = restart_words},
	{.key = "mode",
	 .type = OM_FIELD_WORD,
	 .doc = "enforce, or audit to record what would be denied and allow it",
	 .dflt = "\"enforce\"",
	 .example = "\"enforce\"",
	 .words = mode_words},
	{.key = "layers",
	 .type = OM_FIELD_WORDS,
	 .doc = "the layers it does not start without",
	 .dflt = "[\"process\", \"kernel\", \"network\"]",
	 .example = "[\"process\", \"network\"]",
	 .words = layer_words},
	{.key = "on-log-full",
	 .type = OM_FIELD_WORD,
	 .doc = "what happens to the brane when the audit log cannot be written",
	 .dflt = "\"freeze\"",
	 .example = "\"freeze\"",
	 .words = full_words},
	{0},
};

/*
 * "host:" and "dir:" are trees that exist; every other scheme needs something that unpacks or runs
 * the image, and is refused by the name of what is missing rather than read as a path.
 */
static void check_image(struct om_cap_ctx *ctx, const struct om_value *v)
{
	struct om_grant_file dir = {0};
	struct om_value path = *v;

	if (strcmp(v->text, "host:") == 0) {
		ctx->ir->image = OM_IMAGE_HOST;
		return;
	}
	if (strncmp(v->text, "dir:", 4) == 0) {
		path.text += 4;
		ctx->ir->image = OM_IMAGE_DIR;
		if (om_path_bind(ctx, &path, OM_PATH_TREE_OK, &dir))
			ctx->ir->image_dir = dir.path;
		return;
	}
	if (strncmp(v->text, "host:", 5) == 0 || v->text[0] == 0) {
		om_diag_add(ctx->diags, OM_SEV_ERROR, OM_ERR_BIND_VALUE, v->pos,
			    "write image = \"host:\" or image = \"dir:/path\"",
			    "image '%.100s' is not one of host:, dir:/path, wasm:FILE, NAME:TAG",
			    v->text);
		return;
	}
	om_diag_add(ctx->diags, OM_SEV_ERROR, OM_ERR_CAP_NOT_ENFORCEABLE, v->pos,
		    "write image = \"host:\" or image = \"dir:/path\"",
		    "image '%.100s' needs the %s, which is not built", v->text,
		    strncmp(v->text, "wasm:", 5) == 0 ? "WASI runtime layer" : "OCI image store");
}

static void check_digest(struct om_cap_ctx *ctx, const struct om_value *v)
{
	if (strncmp(v->text, "sha256:", 7) == 0 && strlen(v->text) == 7 + 64 &&
	    strspn(v->text + 7, "0123456789abcdef") == 64)
		return;
	om_diag_add(ctx->diags, OM_SEV_ERROR, OM_ERR_CAP_DIGEST, v->pos,
		    "write sha256: and 64 lower-case hexadecimal digits",
		    "'%.100s' is not a SHA-256 digest", v->text);
}

static void check(struct om_cap_ctx *ctx, const struct om_value *table)
{
	const struct om_value *v = om_value_get(table, "image");

	if (v)
		check_image(ctx, v);
	v = om_value_get(table, "digest");
	if (v)
		check_digest(ctx, v);
	v = om_value_get(table, "capability");
	if (v && v->num == 1)
		om_diag_add(ctx->diags, OM_SEV_ERROR, OM_ERR_CAP_NOT_ENFORCEABLE, v->pos,
			    "write capability = \"standard\"",
			    "capability 'frontier' needs the microVM layer, which is not built");
	v = om_value_get(table, "layers");
	if (v && v->count == 0)
		om_diag_add(ctx->diags, OM_SEV_ERROR, OM_ERR_CAP_LAYER, v->pos,
			    "name at least one of process, kernel, network",
			    "a brane without any layer is not confined");
}

static void lower_command(struct om_cap_ctx *ctx, const struct om_value *v)
{
	struct om_grant_file program = {0};

	if (v->count == 0) {
		om_diag_add(ctx->diags, OM_SEV_ERROR, OM_ERR_CAP_COMMAND, v->pos,
			    "leave the key out, or name a program", "the command is empty");
		return;
	}
	if (v->count > OM_ARGV_MAX) {
		om_diag_add(ctx->diags, OM_SEV_ERROR, OM_ERR_BIND_RANGE, v->pos, NULL,
			    "the command has more than %u words", OM_ARGV_MAX);
		return;
	}
	/* No search path: which program runs must not depend on a variable. */
	if (!om_path_bind(ctx, &v->items[0], 0, &program))
		return;
	ctx->ir->argv = om_arena_array(ctx->ir->arena, v->count + 1, sizeof(*ctx->ir->argv));
	if (!ctx->ir->argv) {
		ctx->ret = -ENOMEM;
		return;
	}
	for (uint32_t i = 0; i < v->count; i++) {
		ctx->ir->argv[i] = om_ir_text(ctx->ir, v->items[i].text, strlen(v->items[i].text));
		if (!ctx->ir->argv[i])
			ctx->ret = -ENOMEM;
	}
	ctx->ir->argc = v->count;
}

static void lower(struct om_cap_ctx *ctx, const struct om_value *table)
{
	const struct om_value *v = om_value_get(table, "workdir");
	const char *substrate = om_value_text(table, "substrate", NULL);
	struct om_grant_file dir = {.path = ctx->ir->workdir};
	struct om_ir *ir = ctx->ir;

	if (v && om_path_bind(ctx, v, OM_PATH_TREE_OK, &dir))
		ir->workdir = dir.path;
	if (substrate) {
		ir->substrate = om_ir_text(ir, substrate, strlen(substrate));
		if (!ir->substrate)
			ctx->ret = -ENOMEM;
	}
	ir->user = (uint32_t)om_value_num(table, "user", ir->user);
	/* The words stand in the order of the enums. */
	ir->restart = (enum om_restart)om_value_num(table, "restart", OM_RESTART_NEVER);
	ir->mode = (enum om_mode)om_value_num(table, "mode", OM_MODE_ENFORCE);
	ir->on_full = (enum om_on_full)om_value_num(table, "on-log-full", OM_ON_FULL_FREEZE);
	v = om_value_get(table, "layers");
	if (v) {
		ir->layers = 0;
		om_value_for_each(item, v) ir->layers |= 1u << item->num;
	}
	v = om_value_get(table, "command");
	if (v)
		lower_command(ctx, v);
}

static void review(struct om_cap_ctx *ctx, const struct om_value *table)
{
	const struct om_value *v = om_value_get(table, "command");
	struct om_request req = {.op = OM_OP_FILE_EXEC, .nr = -1};
	struct om_verdict verdict;

	/* Found here, with its line, instead of as a failed start on some host. */
	if (v && ctx->ir->argc) {
		snprintf(req.text, sizeof(req.text), "%s", ctx->ir->argv[0]);
		om_engine_decide(ctx->ir, &req, &verdict);
		if (!verdict.allow)
			om_diag_add(ctx->diags, OM_SEV_ERROR, OM_ERR_CAP_COMMAND, v->items[0].pos,
				    verdict.suggestion,
				    "command '%.100s' is not granted by "
				    "filesystem.exec, so it cannot be started",
				    req.text);
	}
	v = om_value_get(table, "mode");
	if (ctx->ir->mode == OM_MODE_AUDIT && v)
		om_diag_add(ctx->diags, OM_SEV_WARNING, OM_ERR_CAP_RISK, v->pos,
			    "write mode = \"enforce\" once the records show no surprise",
			    "mode 'audit' records what would be denied and allows it");
	v = om_value_get(table, "on-log-full");
	if (ctx->ir->on_full == OM_ON_FULL_COUNT && v)
		om_diag_add(ctx->diags, OM_SEV_WARNING, OM_ERR_CAP_RISK, v->pos,
			    "\"freeze\" stops the brane until the log can be written",
			    "the brane runs on while its log cannot be written; denials are only "
			    "counted");
	v = om_value_get(table, "user");
	if (ctx->ir->user == 0 && v)
		om_diag_add(ctx->diags, OM_SEV_WARNING, OM_ERR_CAP_RISK, v->pos,
			    "write user = 65534, or any id the program needs",
			    "user 0 owns every file of the image that root owns");
	v = om_value_get(table, "layers");
	if (v && ctx->ir->layers != OM_LAYER_ALL)
		om_diag_add(ctx->diags, OM_SEV_WARNING, OM_ERR_CAP_RISK, v->pos,
			    "leave the key out to require all three",
			    "with fewer layers, one mistake in a layer is enough to escape");
}

const struct om_cap om_cap_brane = {
	.name = "brane",
	.table = "",
	.summary = "what runs, from which tree, as whom, and which layers it needs",
	.explain = "[brane.NAME] alone is a valid manifest: it runs and reaches nothing. Every "
		   "other table "
		   "adds grants; what no table names is denied.",
	.fields = fields,
	.check = check,
	.lower = lower,
	.review = review,
};
