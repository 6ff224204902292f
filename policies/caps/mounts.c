/*
 * Mounts: directories of the image at another place, and private tmpfs.
 *
 * Comes in: filesystem.mounts. Goes out: OM_GRANT_MOUNT for the view, and beside it OM_GRANT_FILE
 * for what may be done below it. Called through the registry. Never does: mount two things on one
 * place.
 */
#include <errno.h>
#include <string.h>

#include <policies/ir/ir.h>
#include <policies/path.h>

#define MAY_RW (OM_MAY_READ | OM_MAY_WRITE | OM_MAY_CREATE | OM_MAY_REMOVE)

static const char *const mode_words[] = {"ro", "rw", NULL};

static const struct om_field mount_fields[] = {
	{.key = "from",
	 .type = OM_FIELD_STRING,
	 .doc = "directory or file of the image",
	 .example = "\"/srv/api-data\""},
	{.key = "to",
	 .type = OM_FIELD_STRING,
	 .doc = "where it appears in the brane's view",
	 .example = "\"/var/lib/api\""},
	{.key = "tmpfs",
	 .type = OM_FIELD_STRING,
	 .doc = "where an empty private file system in memory appears, instead of from and to",
	 .example = "\"/tmp\""},
	{.key = "size",
	 .type = OM_FIELD_SIZE,
	 .doc = "of the tmpfs; it is required there, for memory is never unbounded",
	 .example = "\"64MiB\"",
	 .min = 4096,
	 .max = 1ull << 50},
	{.key = "mode",
	 .type = OM_FIELD_WORD,
	 .doc = "ro, or rw to write, create and remove below it",
	 .dflt = "\"ro\"; \"rw\" for a tmpfs",
	 .example = "\"rw\"",
	 .words = mode_words},
	{.key = "exec",
	 .type = OM_FIELD_BOOL,
	 .doc = "whether what lies below it may be executed",
	 .dflt = "false",
	 .example = "false"},
	{0},
};

static const struct om_field fields[] = {
	{.key = "mounts",
	 .type = OM_FIELD_TABLES,
	 .doc = "directories of the image at another place, and private tmpfs",
	 .example = "[{ tmpfs = \"/tmp\", size = \"64MiB\" }]",
	 .fields = mount_fields},
	{0},
};

static void add(struct om_cap_ctx *ctx, enum om_err_id id, const struct om_value *v,
		const char *hint, const char *what)
{
	om_diag_add(ctx->diags, OM_SEV_ERROR, id, v->pos, hint, "%s", what);
}

/* Which of the two forms it is, and whether it is complete. */
static bool form_is_sound(struct om_cap_ctx *ctx, const struct om_value *v)
{
	const struct om_value *from = om_value_get(v, "from"), *to = om_value_get(v, "to");
	const struct om_value *tmpfs = om_value_get(v, "tmpfs"), *size = om_value_get(v, "size");

	if (tmpfs && (from || to))
		add(ctx, OM_ERR_CAP_CONTRADICTION, v, "one entry for each of the two",
		    "a mount is either a tmpfs or has from and to");
	else if (!tmpfs && !(from && to))
		add(ctx, OM_ERR_BIND_MISSING, v,
		    "write { from = \"/srv/data\", to = \"/data\" } or { tmpfs = \"/tmp\", size = "
		    "\"64MiB\" }",
		    "a mount needs from and to, or tmpfs");
	else if (tmpfs && !size)
		add(ctx, OM_ERR_BIND_MISSING, v, "write size = \"64MiB\"", "a tmpfs needs a size");
	else if (!tmpfs && size)
		add(ctx, OM_ERR_CAP_CONTRADICTION, size, "leave it out", "only a tmpfs has a size");
	else
		return true;
	return false;
}

static void lower_one(struct om_cap_ctx *ctx, const struct om_value *v)
{
	const struct om_value *tmpfs = om_value_get(v, "tmpfs");
	struct om_grant mount = {.kind = OM_GRANT_MOUNT, .pos = v->pos};
	struct om_grant file = {.kind = OM_GRANT_FILE, .pos = v->pos};
	struct om_grant_file from = {0}, to = {0};

	if (!form_is_sound(ctx, v))
		return;
	if (!om_path_bind(ctx, tmpfs ? tmpfs : om_value_get(v, "to"), OM_PATH_TREE_OK, &to))
		return;
	if (!tmpfs && !om_path_bind(ctx, om_value_get(v, "from"), OM_PATH_TREE_OK, &from))
		return;
	/* Every other grant would name a place that no longer shows. */
	if (strcmp(to.path, "/") == 0) {
		add(ctx, OM_ERR_CAP_PATH, v, "mount below a directory",
		    "a mount on '/' would hide the whole view");
		return;
	}
	mount.mount.from = from.path;
	mount.mount.to = to.path;
	mount.mount.bytes = om_value_num(v, "size", 0);
	mount.mount.may = om_value_num(v, "mode", tmpfs != NULL) ? MAY_RW : OM_MAY_READ;
	if (om_value_num(v, "exec", 0))
		mount.mount.may |= OM_MAY_EXEC;
	file.file.path = to.path;
	file.file.tree = true;
	file.file.may = mount.mount.may;
	om_cap_grant(ctx, &mount);
	om_cap_grant(ctx, &file);
}

static void lower(struct om_cap_ctx *ctx, const struct om_value *table)
{
	om_value_for_each(v, om_value_get(table, "mounts")) lower_one(ctx, v);
}

/* The mount that PATH lies on or below, the innermost; NULL if it is on the image itself. */
static const struct om_grant_mount *mount_over(const struct om_ir *ir, uint32_t first,
					       const char *path)
{
	const struct om_grant_mount *found = NULL;

	/* Sorted by kind, then by place: an inner one comes behind those around it. */
	for (uint32_t i = first; i < ir->count && ir->grants[i].kind == OM_GRANT_MOUNT; i++)
		if (om_ir_path_covers(ir->grants[i].mount.to, path))
			found = &ir->grants[i].mount;
	return found;
}

/* SOURCE is a place of the image. */
static void review_source(struct om_cap_ctx *ctx, const struct om_grant *g, const char *source,
			  bool tree)
{
	const char *needs = om_path_special(source);

	if (needs)
		om_diag_add(ctx->diags, OM_SEV_ERROR, OM_ERR_CAP_NOT_ENFORCEABLE, g->pos,
			    "of these, only /dev/null, zero, full, random and urandom can be named",
			    "'%.100s' needs %s, which is not built", source, needs);
	if (tree && ctx->ir->image == OM_IMAGE_HOST && strcmp(source, "/") == 0)
		om_diag_add(ctx->diags, OM_SEV_ERROR, OM_ERR_CAP_NOT_ENFORCEABLE, g->pos,
			    "name the directories the program needs",
			    "'/' of this host holds /proc and /sys, which need views of their own, "
			    "which are not built");
}

/* What the view cannot show is refused here, with its line, before any layer is made. */
static void review_view(struct om_cap_ctx *ctx)
{
	const struct om_ir *ir = ctx->ir;
	uint32_t first = 0;

	while (first < ir->count && ir->grants[first].kind == OM_GRANT_FILE)
		first++;
	for (uint32_t i = 0; i < ir->count; i++) {
		const struct om_grant *g = &ir->grants[i];
		const struct om_grant_mount *over;

		if (g->kind == OM_GRANT_MOUNT && g->mount.from)
			review_source(ctx, g, g->mount.from, true);
		if (g->kind != OM_GRANT_FILE)
			continue;
		over = mount_over(ir, first, g->file.path);
		if (!over) {
			review_source(ctx, g, g->file.path, g->file.tree);
		} else if (!over->from && strcmp(over->to, g->file.path) != 0) {
			/* The normal form left it because it gives more than the tmpfs does. */
			om_diag_add(ctx->diags, OM_SEV_ERROR, OM_ERR_CAP_NOT_ENFORCEABLE, g->pos,
				    "give the tmpfs that mode, or name another place",
				    "'%.100s' is granted more than the tmpfs at '%.60s' around it",
				    g->file.path, over->to);
		}
	}
}

static bool overlap(const char *a, const char *b)
{
	return om_ir_path_covers(a, b) || om_ir_path_covers(b, a);
}

/*
 * BPF-LSM knows objects, not names: one directory that is granted under two names has the rights of both
 * under either. A manifest that says "read here, executable there" of the same files would promise
 * less than the kernel gives (a program forbidden by one name would run by that name), so it is refused.
 */
static void review_alias(struct om_cap_ctx *ctx, const struct om_grant *mount, uint32_t first)
{
	const struct om_ir *ir = ctx->ir;

	for (uint32_t i = 0; i < ir->count; i++) {
		const struct om_grant *g = &ir->grants[i];
		const char *place = g->kind == OM_GRANT_FILE	? g->file.path
				    : g->kind == OM_GRANT_MOUNT ? g->mount.from
								: NULL;
		uint32_t may = g->kind == OM_GRANT_FILE ? g->file.may : g->mount.may;

		if (g == mount || !place || may == mount->mount.may ||
		    !overlap(place, mount->mount.from))
			continue;
		/* A place on a mount is not a place of the image. */
		if (g->kind == OM_GRANT_FILE && mount_over(ir, first, place))
			continue;
		om_diag_add(ctx->diags, OM_SEV_ERROR, OM_ERR_CAP_CONTRADICTION, mount->pos,
			    "grant the same rights on both, or only one of them",
			    "'%.70s' and '%.70s' are the same files with different rights",
			    mount->mount.from, place);
		return;
	}
}

static void review_aliases(struct om_cap_ctx *ctx)
{
	const struct om_ir *ir = ctx->ir;
	uint32_t first = 0;

	while (first < ir->count && ir->grants[first].kind == OM_GRANT_FILE)
		first++;
	for (uint32_t i = first; i < ir->count && ir->grants[i].kind == OM_GRANT_MOUNT; i++)
		if (ir->grants[i].mount.from)
			review_alias(ctx, &ir->grants[i], first);
}

static void review(struct om_cap_ctx *ctx, const struct om_value *table)
{
	const struct om_grant *last = NULL;

	/* Sorted by place: two on one place stand side by side. */
	for (uint32_t i = 0; i < ctx->ir->count; i++) {
		const struct om_grant *g = &ctx->ir->grants[i];

		if (g->kind != OM_GRANT_MOUNT)
			continue;
		if (last && strcmp(last->mount.to, g->mount.to) == 0)
			om_diag_add(ctx->diags, OM_SEV_ERROR, OM_ERR_CAP_CONTRADICTION, g->pos,
				    "keep one of them", "two different mounts on '%.160s'",
				    g->mount.to);
		last = g;
	}
	review_view(ctx);
	review_aliases(ctx);
}

const struct om_cap om_cap_mounts = {
	.name = "mounts",
	.table = "filesystem",
	.summary = "directories of the image at another place, and private tmpfs",
	.explain = "A mount also grants what its mode says on the tree below it. A tmpfs is empty "
		   "at start, belongs to "
		   "this brane alone and vanishes with it.",
	.layers = OM_LAYER_PROCESS,
	.fields = fields,
	.lower = lower,
	.review = review,
};
