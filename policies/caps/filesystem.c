/*
 * Files: read, write, create, exec.
 *
 * Comes in: [brane.X.filesystem]. Goes out: OM_GRANT_FILE. Called through the registry. Never does:
 * let a place be writable and executable by accident, which is how a downloaded program becomes a
 * running one.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <omega/arena.h>
#include <omega/limits.h>
#include <omega/sha256.h>
#include <policies/ir/ir.h>
#include <policies/path.h>

/* One way or the other. */
#define RUNS	       (OM_MAY_EXEC | OM_MAY_EXEC_BOUND)
#define MAY_WRITE_TREE (OM_MAY_READ | OM_MAY_WRITE | OM_MAY_CREATE | OM_MAY_REMOVE)

static const struct om_field exec_fields[] = {
	{.key = "path",
	 .type = OM_FIELD_STRING,
	 .required = true,
	 .doc = "the program, or a tree of libraries with a trailing slash",
	 .example = "\"/usr/lib/\""},
	{.key = "sha256",
	 .type = OM_FIELD_STRINGS,
	 .doc = "SHA-256 of the contents that may run, of one program or library; empty: any",
	 .example = "[\"9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08\"]"},
	{0},
};

static const struct om_field fields[] = {
	{.key = "read",
	 .type = OM_FIELD_STRINGS,
	 .doc = "objects to read; a trailing slash grants the whole tree",
	 .example = "[\"/etc/api/\"]"},
	{.key = "write",
	 .type = OM_FIELD_STRINGS,
	 .doc = "objects to read and write; in a tree also to create and remove",
	 .example = "[\"/var/lib/api/\"]"},
	{.key = "create",
	 .type = OM_FIELD_STRINGS,
	 .doc = "names to create and write in one directory; one * in the last component",
	 .example = "[\"/var/log/api/*.log\"]"},
	{.key = "exec",
	 .type = OM_FIELD_MIXED,
	 .doc = "programs and libraries to read, execute and map executable",
	 .example = "[\"/usr/lib/\", { path = \"/usr/bin/api\", sha256 = "
		    "[\"9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08\"] }]",
	 .fields = exec_fields},
	{.key = "allow-write-exec",
	 .type = OM_FIELD_BOOL,
	 .doc = "let places be writable and executable, and memory that no granted file backs",
	 .dflt = "false",
	 .example = "true"},
	{0},
};

static void grant_list(struct om_cap_ctx *ctx, const struct om_value *table, const char *key,
		       unsigned int flags, uint32_t object_may, uint32_t tree_may)
{
	om_value_for_each(v, om_value_get(table, key))
	{
		struct om_grant g = {.kind = OM_GRANT_FILE, .pos = v->pos};

		if (!om_path_bind(ctx, v, flags, &g.file))
			continue;
		g.file.may = g.file.tree ? tree_may : object_may;
		om_cap_grant(ctx, &g);
	}
}

/* What is wrong with TEXT as a digest, and what to write instead into FIX; NULL: nothing. */
static const char *digest_fault(const char *text, char *fix, size_t size)
{
	static const char hex[] = "0123456789abcdefABCDEF";
	size_t n = strlen(text);

	snprintf(fix, size, "write 64 lower-case hexadecimal digits, as sha256sum prints them");
	if (strncmp(text, "sha256:", 7) == 0 && strspn(text + 7, hex) == 64 && n == 71) {
		snprintf(fix, size, "write \"%.64s\"", text + 7);
		return "has a prefix";
	}
	if (strspn(text, hex) != n || n == 0)
		return "is not a SHA-256 digest";
	if (n != 64)
		return n == 40	  ? "is not a SHA-256 digest but has the length of SHA-1"
		       : n == 128 ? "is not a SHA-256 digest but has the length of SHA-512"
				  : "does not have 64 digits";
	if (strpbrk(text, "ABCDEF")) {
		int k = snprintf(fix, size, "did you mean \"");

		for (size_t i = 0; i < n; i++)
			fix[k + (int)i] = (char)(text[i] | (text[i] >= 'A' ? 0x20 : 0));
		memcpy(fix + k + n, "\"?", 3);
		return "has upper-case digits";
	}
	return NULL;
}

/* The contents that LIST names, into F. False: a finding was added. */
static bool bind_digests(struct om_cap_ctx *ctx, const struct om_value *list,
			 struct om_grant_file *f)
{
	uint8_t(*all)[OM_DIGEST_LEN];
	bool good = true;

	if (!list || !list->count)
		return true;
	all = om_arena_array(ctx->ir->arena, list->count, sizeof(*all));
	if (!all) {
		ctx->ret = -ENOMEM;
		return false;
	}
	om_value_for_each(v, list)
	{
		char fix[160];
		const char *fault = digest_fault(v->text, fix, sizeof(fix));

		if (!fault && om_sha256_parse(v->text, all[f->digests])) {
			f->digests++;
			continue;
		}
		om_diag_add(ctx->diags, OM_SEV_ERROR, OM_ERR_CAP_DIGEST, v->pos, fix, "'%.130s' %s",
			    v->text, fault);
		good = false;
	}
	f->sha256 = (const uint8_t(*)[OM_DIGEST_LEN])all;
	return good;
}

static void grant_exec(struct om_cap_ctx *ctx, const struct om_value *table)
{
	om_value_for_each(v, om_value_get(table, "exec"))
	{
		const struct om_value *path = v->text ? v : om_value_get(v, "path");
		const struct om_value *list = v->text ? NULL : om_value_get(v, "sha256");
		struct om_grant g = {.kind = OM_GRANT_FILE, .pos = v->pos};
		bool good = bind_digests(ctx, list, &g.file);

		if (!path || !om_path_bind(ctx, path, OM_PATH_TREE_OK, &g.file) || !good)
			continue;
		if (g.file.digests && g.file.tree) {
			om_diag_add(ctx->diags, OM_SEV_ERROR, OM_ERR_CAP_NOT_ENFORCEABLE,
				    list->key_pos,
				    "name each file of the tree with its own sha256, or write "
				    "sha256 = []",
				    "a tree cannot be bound to contents: the content identity of "
				    "whole trees is not built");
			continue;
		}
		g.file.may = OM_MAY_READ | (g.file.digests ? OM_MAY_EXEC_BOUND : OM_MAY_EXEC);
		om_cap_grant(ctx, &g);
	}
}

static void lower(struct om_cap_ctx *ctx, const struct om_value *table)
{
	grant_list(ctx, table, "read", OM_PATH_TREE_OK, OM_MAY_READ, OM_MAY_READ);
	grant_list(ctx, table, "write", OM_PATH_TREE_OK, OM_MAY_READ | OM_MAY_WRITE,
		   MAY_WRITE_TREE);
	grant_list(ctx, table, "create", OM_PATH_PATTERN_OK, OM_MAY_CREATE | OM_MAY_WRITE, 0);
	grant_exec(ctx, table);
	ctx->ir->write_exec = om_value_num(table, "allow-write-exec", 0);
}

static void add_write_exec(struct om_cap_ctx *ctx, const struct om_grant *g)
{
	om_diag_add(ctx->diags, OM_SEV_ERROR, OM_ERR_CAP_WRITE_EXEC, g->pos,
		    g->file.may & OM_MAY_EXEC_BOUND
			    ? "narrow what is writable: what sha256 names must not change"
			    : "narrow one of the two, or set allow-write-exec = true in "
			      "[filesystem]",
		    "path '%.120s%s%.60s' is both writable and executable", g->file.path,
		    g->file.prefix && g->file.path[1] ? "/" : "",
		    g->file.prefix		      ? g->file.prefix
		    : g->file.tree && g->file.path[1] ? "/"
						      : "");
}

/* Whether the executable object X is a name that the pattern P lets the brane create. */
static bool pattern_makes(const struct om_grant_file *p, const struct om_grant_file *x)
{
	const char *name = strrchr(x->path, '/') + 1;
	size_t dir = name - x->path == 1 ? 1 : (size_t)(name - x->path - 1);

	return strlen(p->path) == dir && strncmp(p->path, x->path, dir) == 0 &&
	       om_ir_pattern_match(p, name, strlen(name));
}

/*
 * The normal form already gave each grant what trees above it give, so both bits on one grant is
 * every overlap, save a pattern beside an object that it matches. RUNS: the executable ones that count.
 */
static void review_write_exec(struct om_cap_ctx *ctx, uint32_t runs)
{
	const struct om_ir *ir = ctx->ir;

	for (uint32_t i = 0; i < ir->count && ir->grants[i].kind == OM_GRANT_FILE; i++) {
		const struct om_grant *g = &ir->grants[i];
		bool writes = g->file.may & (OM_MAY_WRITE | OM_MAY_CREATE);

		if (writes && (g->file.may & runs)) {
			add_write_exec(ctx, g);
			continue;
		}
		/* What lies in the pattern's directory follows it closely in the sorted list. */
		for (uint32_t j = i + 1; writes && g->file.prefix && j < ir->count; j++) {
			const struct om_grant *x = &ir->grants[j];

			if (x->kind != OM_GRANT_FILE ||
			    !om_ir_path_covers(g->file.path, x->file.path))
				break;
			if (x->file.prefix || !(x->file.may & runs) ||
			    !pattern_makes(&g->file, &x->file))
				continue;
			add_write_exec(ctx, x);
		}
	}
}

/* What is bound to contents is run by the kernel layer alone, and nothing may give it another way to. */
static void review_contents(struct om_cap_ctx *ctx)
{
	const struct om_ir *ir = ctx->ir;

	for (uint32_t i = 0; i < ir->count && ir->grants[i].kind == OM_GRANT_FILE; i++) {
		const struct om_grant *g = &ir->grants[i];

		if (!(g->file.may & OM_MAY_EXEC_BOUND))
			continue;
		if (!(ir->layers & OM_LAYER_KERNEL))
			om_diag_add(
				ctx->diags, OM_SEV_ERROR, OM_ERR_CAP_LAYER, g->pos,
				"add \"kernel\" to layers, or write sha256 = []",
				"'sha256' is decided by the kernel layer, which 'layers' leaves "
				"out");
		if (g->file.may & OM_MAY_EXEC)
			om_diag_add(
				ctx->diags, OM_SEV_ERROR, OM_ERR_CAP_CONTRADICTION, g->pos,
				"name it in one exec entry, outside of every exec tree, or write "
				"sha256 = []",
				"'%.150s' is bound to contents, and another exec entry grants it "
				"with any",
				g->file.path);
	}
}

static void review_patterns(struct om_cap_ctx *ctx)
{
	const struct om_ir *ir = ctx->ir;
	uint32_t n = 0;

	for (uint32_t i = 0; i < ir->count && ir->grants[i].kind == OM_GRANT_FILE; i++) {
		const struct om_grant *g = &ir->grants[i];

		if (!g->file.prefix) {
			n = 0;
			continue;
		}
		n = n && strcmp(ir->grants[i - 1].file.path, g->file.path) == 0 ? n + 1 : 1;
		if (n == OM_PATTERNS_MAX + 1)
			om_diag_add(ctx->diags, OM_SEV_ERROR, OM_ERR_CAP_PATTERN, g->pos,
				    "a shorter pattern covers several, or 'write' grants the tree",
				    "more than %u patterns in '%.120s'", OM_PATTERNS_MAX,
				    g->file.path);
	}
}

static const struct {
	const char *path;
	uint32_t may;
	const char *risk;
} risks[] = {
	{"/", OM_MAY_WRITE, "the whole tree is writable"},
	{"/", OM_MAY_READ, "the whole tree is readable, secrets of this host included"},
	{"/etc", OM_MAY_WRITE, "writing below /etc changes accounts, names and start scripts"},
	{"/run/docker.sock", OM_MAY_READ, "the container engine's socket gives root on this host"},
	{"/var/run/docker.sock", OM_MAY_READ,
	 "the container engine's socket gives root on this host"},
	{"/root", OM_MAY_READ, "the administrator's home holds keys"},
	{"/etc/shadow", OM_MAY_READ, "it holds the password hashes of this host"},
};

static void review_risks(struct om_cap_ctx *ctx)
{
	const struct om_ir *ir = ctx->ir;

	for (uint32_t i = 0; i < ir->count && ir->grants[i].kind == OM_GRANT_FILE; i++) {
		const struct om_grant *g = &ir->grants[i];

		for (size_t r = 0; r < OM_ARRAY_LEN(risks); r++) {
			if (strcmp(g->file.path, risks[r].path) != 0 ||
			    !(g->file.may & risks[r].may) ||
			    (!g->file.tree && strchr(risks[r].path + 1, '.') == NULL &&
			     strcmp(risks[r].path, "/etc/shadow") != 0))
				continue;
			om_diag_add(ctx->diags, OM_SEV_WARNING, OM_ERR_CAP_RISK, g->pos,
				    "name only what the program needs", "%s: %s", g->file.path,
				    risks[r].risk);
			break;
		}
	}
}

static void review(struct om_cap_ctx *ctx, const struct om_value *table)
{
	const struct om_value *create = om_value_get(table, "create");
	const struct om_value *v = om_value_get(table, "allow-write-exec");

	if (create && create->count && !(ctx->ir->layers & OM_LAYER_KERNEL))
		om_diag_add(ctx->diags, OM_SEV_ERROR, OM_ERR_CAP_LAYER, create->key_pos,
			    "add \"kernel\" to layers, or grant the tree in 'write'",
			    "'create' patterns are decided by the kernel layer, which 'layers' "
			    "leaves out");
	/* What is bound to contents must stay as it is while it runs: allow-write-exec is no excuse. */
	review_write_exec(ctx, ctx->ir->write_exec ? OM_MAY_EXEC_BOUND : RUNS);
	if (ctx->ir->write_exec && v)
		om_diag_add(ctx->diags, OM_SEV_WARNING, OM_ERR_CAP_RISK, v->pos,
			    "leave it out unless the program compiles code at run time",
			    "allow-write-exec lets downloaded bytes run as code");
	review_contents(ctx);
	review_patterns(ctx);
	review_risks(ctx);
}

static void suggest_line(struct om_verdict *out, const char *brane, const char *key,
			 const char *path)
{
	om_suggest_list(out, brane, "filesystem", key, path);
	if (!om_path_can_name(path))
		out->suggestion[0] = 0;
}

/* Only a tree lets its entries be removed, so the line names the directory. */
static void suggest_remove(struct om_verdict *out, const char *brane, const char *path)
{
	const char *slash = strrchr(path, '/');
	char dir[OM_PATH_MAX];

	snprintf(dir, sizeof(dir), "%.*s/", slash && slash > path ? (int)(slash - path) : 0, path);
	suggest_line(out, brane, "write", dir);
}

/* What is there is granted already: what is missing is its content, beside or instead of the others. */
static void suggest_content(struct om_verdict *out, const char *brane, const struct om_request *req)
{
	char hex[65], *at = strstr(out->suggestion, "exec = [");
	size_t used = at ? (size_t)(at - out->suggestion) + 8 : 0, tail;
	int n;

	if (!at)
		return;
	/* The path, quoted: between "exec = [" and the bracket at the end. */
	tail = strlen(out->suggestion + used) - 1;
	om_sha256_format(req->sha256, hex);
	if (used + 9 + tail + 85 > sizeof(out->suggestion)) {
		out->suggestion[0] = 0;
		return;
	}
	memmove(out->suggestion + used + 9, out->suggestion + used, tail);
	memcpy(out->suggestion + used, "{ path = ", 9);
	used += 9 + tail;
	n = snprintf(out->suggestion + used, sizeof(out->suggestion) - used,
		     ", sha256 = [\"%s\"] }]", hex);
	if (n < 0 || (size_t)n >= sizeof(out->suggestion) - used)
		out->suggestion[0] = 0;
}

static bool suggest(const char *brane, const struct om_request *req, struct om_verdict *out)
{
	switch ((int)req->op) {
	case OM_OP_FILE_READ:
	case OM_OP_FILE_ABSENT:
		suggest_line(out, brane, "read", req->text);
		return true;
	case OM_OP_FILE_WRITE:
		suggest_line(out, brane, "write", req->text);
		return true;
	case OM_OP_FILE_CREATE:
		suggest_line(out, brane, "create", req->text);
		return true;
	case OM_OP_FILE_REMOVE:
		suggest_remove(out, brane, req->text);
		return true;
	case OM_OP_FILE_EXEC:
		suggest_line(out, brane, "exec", req->text);
		if (req->has_sha256)
			suggest_content(out, brane, req);
		return true;
	case OM_OP_MEM_EXEC:
		snprintf(out->rule, sizeof(out->rule), "filesystem.allow-write-exec");
		snprintf(out->suggestion, sizeof(out->suggestion),
			 "[brane.%s.filesystem] allow-write-exec = true", brane);
		return true;
	default:
		return false;
	}
}

const struct om_cap om_cap_filesystem = {
	.name = "filesystem",
	.table = "filesystem",
	.summary = "files and directories to read, write, create in and execute",
	.explain = "A path is a place in the brane's own view: absolute, without '..'. A trailing "
		   "slash grants "
		   "the whole tree, otherwise the one object. Grants add up; 'exec' implies "
		   "reading, 'write' "
		   "never implies 'exec'. Libraries are mapped executable, so they are named in "
		   "'exec' too. With sha256 an entry names one file and the contents that it may "
		   "have: the "
		   "kernel reads the whole file each time that it is executed or mapped "
		   "executable, and "
		   "refuses any other content, one that is open for writing, and mprotect. Such a "
		   "file "
		   "may stand in no exec tree and in nothing writable.",
	.layers = OM_LAYER_PROCESS | OM_LAYER_KERNEL,
	.fields = fields,
	.lower = lower,
	.review = review,
	.suggest = suggest,
};
