/*
 * Paths as manifests write them.
 *
 * Comes in: text. Goes out: a canonical path and what its spelling asks for. Called by: the
 * capabilities that grant places. Never does: repair a path in silence; what is not canonical is
 * shown corrected.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <omega/limits.h>
#include <policies/ir/ir.h>
#include <policies/path.h>

static bool bad(struct om_cap_ctx *ctx, const struct om_value *v, enum om_err_id id,
		const char *hint, const char *what)
{
	om_diag_add(ctx->diags, OM_SEV_ERROR, id, v->pos, hint, "path '%.160s' %s", v->text, what);
	return false;
}

/* Drops empty and "." components, and with ".." the one before: the remedy in a finding. */
static void corrected(const char *s, char *buf, size_t size)
{
	size_t n = 0;

	while (*s && n + 2 < size) {
		size_t len = strcspn(s, "/");

		if (len == 2 && s[0] == '.' && s[1] == '.') {
			while (n > 0 && buf[n - 1] != '/')
				n--;
			n -= n > 0;
		} else if (len > 0 && !(len == 1 && s[0] == '.')) {
			buf[n++] = '/';
			for (size_t i = 0; i < len && n + 1 < size; i++)
				buf[n++] = s[i];
		}
		s += len;
		if (*s == '/' && s[1] == 0 && n + 1 < size)
			buf[n++] = '/';
		s += *s == '/';
	}
	if (n == 0)
		buf[n++] = '/';
	buf[n] = 0;
}

/* What is wrong with the components of S, which begins with '/'; NULL if nothing. */
static const char *component_fault(const char *s)
{
	s++;
	while (*s) {
		size_t len = strcspn(s, "/");

		if (len == 0)
			return "has an empty component";
		if (len == 1 && s[0] == '.')
			return "has a '.' component";
		if (len == 2 && s[0] == '.' && s[1] == '.')
			return "has a '..' component";
		if (len > OM_COMPONENT_MAX)
			return "has a component of more than 255 bytes";
		s += len;
		s += *s == '/';
	}
	return NULL;
}

static bool check_text(struct om_cap_ctx *ctx, const struct om_value *v)
{
	const char *s = v->text, *fault;
	char fixed[160], hint[240];

	if (s[0] != '/') {
		corrected(s, fixed, sizeof(fixed));
		snprintf(hint, sizeof(hint), "write it from the root of the brane's view: \"%s\"",
			 fixed);
		return bad(ctx, v, OM_ERR_CAP_PATH, s[0] ? hint : "write \"/\" for the root",
			   s[0] ? "is not absolute" : "is empty");
	}
	if (strlen(s) >= OM_PATH_MAX)
		return bad(ctx, v, OM_ERR_CAP_PATH, "the kernel takes paths up to 4095 bytes",
			   "is too long");
	for (const char *c = s; *c; c++)
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			return bad(ctx, v, OM_ERR_CAP_PATH,
				   "such a name can forge a line of a report",
				   "has a control character");
	fault = component_fault(s);
	if (fault) {
		corrected(s, fixed, sizeof(fixed));
		snprintf(hint, sizeof(hint), "write the place itself: \"%s\"", fixed);
		return bad(ctx, v, OM_ERR_CAP_PATH, hint, fault);
	}
	return true;
}

static bool bind_pattern(struct om_cap_ctx *ctx, const struct om_value *v, struct om_grant_file *f)
{
	const char *name = strrchr(v->text, '/') + 1, *star = strchr(name, '*');
	size_t dir = name == v->text + 1 ? 1 : (size_t)(name - v->text - 1);
	size_t head = star ? (size_t)(star - name) : strlen(name);

	if (memchr(v->text, '*', (size_t)(name - v->text)))
		return bad(ctx, v, OM_ERR_CAP_PATTERN, "name each directory in an entry of its own",
			   "has a '*' before its last component");
	if (star && strchr(star + 1, '*'))
		return bad(ctx, v, OM_ERR_CAP_PATTERN, "one '*' stands for any part of the name",
			   "has more than one '*'");
	if (name[0] == 0)
		return bad(
			ctx, v, OM_ERR_CAP_PATTERN,
			"name the files, as in \"/var/log/api/*.log\"; 'write' grants a whole tree",
			"names no file");
	if (head >= OM_PATTERN_PART_MAX || (star && strlen(star + 1) >= OM_PATTERN_PART_MAX))
		return bad(ctx, v, OM_ERR_CAP_PATTERN, "a shorter part with a '*' covers it too",
			   "has more than 63 bytes beside the '*'");
	f->path = om_ir_text(ctx->ir, v->text, dir);
	f->prefix = om_ir_text(ctx->ir, name, head);
	f->suffix = star ? om_ir_text(ctx->ir, star + 1, strlen(star + 1)) : NULL;
	if (!f->path || !f->prefix || (star && !f->suffix)) {
		ctx->ret = -ENOMEM;
		return false;
	}
	return true;
}

bool om_path_bind(struct om_cap_ctx *ctx, const struct om_value *v, unsigned int flags,
		  struct om_grant_file *f)
{
	size_t len = strlen(v->text);

	if (!check_text(ctx, v))
		return false;
	if (flags & OM_PATH_PATTERN_OK)
		return bind_pattern(ctx, v, f);
	if (strchr(v->text, '*'))
		return bad(ctx, v, OM_ERR_CAP_PATTERN,
			   "a trailing slash grants the whole tree; '*' belongs in 'create'",
			   "has a '*'");
	f->tree = v->text[len - 1] == '/';
	if (f->tree && !(flags & OM_PATH_TREE_OK) && len > 1)
		return bad(ctx, v, OM_ERR_CAP_PATH, "leave the trailing slash out",
			   "stands for a tree where one object is meant");
	if (f->tree && len > 1)
		len--;
	f->path = om_ir_text(ctx->ir, v->text, len);
	if (!f->path)
		ctx->ret = -ENOMEM;
	return f->path != NULL;
}

/*
 * These show and steer other branes and the host: a bind mount of the host's would be the opposite
 * of what the manifest's author believes to get.
 */
const char *om_path_special(const char *path)
{
	static const char *const plain[] = {"/dev/null", "/dev/zero", "/dev/full", "/dev/random",
					    "/dev/urandom"};

	for (size_t i = 0; i < OM_ARRAY_LEN(plain); i++)
		if (strcmp(plain[i], path) == 0)
			return NULL;
	return om_ir_path_covers("/proc", path)	 ? "a procfs view of the brane's own"
	       : om_ir_path_covers("/sys", path) ? "a sysfs view of the brane's own"
	       : om_ir_path_covers("/dev", path) ? "a private /dev"
						 : NULL;
}

bool om_path_can_name(const char *path)
{
	for (const char *c = path; *c; c++)
		if ((unsigned char)*c < ' ' || *c == 0x7f || *c == '*')
			return false;
	/* "/" alone would grant the whole tree, not the one object. */
	return path[0] == '/' && path[1] && !component_fault(path) && !om_path_special(path);
}

void om_cap_grant(struct om_cap_ctx *ctx, const struct om_grant *g)
{
	struct om_err err;
	int ret;

	if (ctx->ret < 0)
		return;
	ret = om_ir_add(ctx->ir, g, &err);
	if (ret == -E2BIG)
		om_diag_add(ctx->diags, OM_SEV_ERROR, OM_ERR_IR_LIMIT, g->pos,
			    "grant trees and networks instead of single objects", "%s", err.text);
	if (ret < 0)
		ctx->ret = ret;
}
