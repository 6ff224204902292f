/*
 * The reference interpreter: what an IR means, in the plainest way it can be said.
 *
 * Comes in: an IR and one question. Goes out: yes or no, and which grant says yes. Called by:
 * omegactl (simulate, can), the compiler's own checks, and every three-way agreement test, where it
 * is the authority. Never does: index, cache or optimise; each question is one scan over all
 * grants.
 */
#include <linux/audit.h>
#include <stdio.h>
#include <string.h>

#include <omega/addr.h>
#include <policies/ir/ir.h>
#include <policies/policy.h>
#include <policies/profiles/syscalls.h>

/*
 * What a grant gives to the object at PATH: itself for an object, itself and all below for a tree.
 */
static uint32_t file_may(const struct om_grant_file *f, const char *path)
{
	const char *slash;

	if (!f->prefix)
		return strcmp(f->path, path) == 0 || (f->tree && om_ir_path_covers(f->path, path))
			       ? f->may
			       : 0;
	/* A pattern: PATH's last component matches and stands right in the grant's directory. */
	slash = strrchr(path, '/');
	if (!slash || slash[1] == 0)
		return 0;
	if (slash == path ? strcmp(f->path, "/") != 0
			  : strlen(f->path) != (size_t)(slash - path) ||
				    strncmp(f->path, path, (size_t)(slash - path)) != 0)
		return 0;
	return om_ir_pattern_match(f, slash + 1, strlen(slash + 1)) ? f->may : 0;
}

/*
 * What a grant gives to the directory in which PATH is an entry: only trees and patterns speak of
 * it.
 */
static uint32_t entry_may(const struct om_grant_file *f, const char *path)
{
	char dir[OM_PATH_MAX];
	const char *slash = strrchr(path, '/');

	if (f->prefix)
		return file_may(f, path);
	/* "/" is an entry of nothing. */
	if (!f->tree || !slash || slash[1] == 0)
		return 0;
	snprintf(dir, sizeof(dir), "%.*s", slash == path ? 1 : (int)(slash - path), path);
	return om_ir_path_covers(f->path, dir) ? f->may : 0;
}

/* Whether F binds the object at PATH to contents. */
static bool binds(const struct om_grant_file *f, const char *path)
{
	return (f->may & OM_MAY_EXEC_BOUND) && !f->prefix && strcmp(f->path, path) == 0;
}

/*
 * A content that is not told is taken for one that the policy names: the answer is about the policy, and
 * what lies on this host is the kernel's to compare.
 */
static bool exec_allows(const struct om_grant_file *f, const struct om_request *req, bool bound)
{
	if (!bound)
		return file_may(f, req->text) & OM_MAY_EXEC;
	return binds(f, req->text) &&
	       (req->has_sha256 ? om_ir_digest_named(f, req->sha256) : f->digests > 0);
}

static bool file_allows(const struct om_grant_file *f, const struct om_request *req, bool bound)
{
	switch ((int)req->op) {
	case OM_OP_FILE_READ:
		return file_may(f, req->text) & OM_MAY_READ;
	case OM_OP_FILE_WRITE:
		return file_may(f, req->text) & OM_MAY_WRITE;
	case OM_OP_FILE_EXEC:
		return exec_allows(f, req, bound);
	/* Making and removing change the directory, so its grant is asked, as the kernel does. */
	case OM_OP_FILE_CREATE:
		return entry_may(f, req->text) & OM_MAY_CREATE;
	case OM_OP_FILE_REMOVE:
		return entry_may(f, req->text) & OM_MAY_REMOVE;
	default:
		return false;
	}
}

static bool egress_allows(const struct om_grant_egress *e, const struct om_request *req)
{
	return req->op == OM_OP_NET_CONNECT && e->proto == req->proto && e->port_lo <= req->port &&
	       req->port <= e->port_hi && om_addr_match(e->addr, req->addr, e->bits);
}

static bool stdio_allows(const struct om_grant_stdio *s, const struct om_request *req)
{
	uint32_t want = strcmp(req->text, "in") == 0	? OM_STDIO_IN
			: strcmp(req->text, "out") == 0 ? OM_STDIO_OUT
			: strcmp(req->text, "err") == 0 ? OM_STDIO_ERR
							: 0;

	return req->op == OM_OP_STDIO && want && (s->which & want);
}

static int syscall_nr(const struct om_request *req)
{
	return req->nr >= 0 ? req->nr : om_sys_nr(req->text);
}

/* The profile with this IR's additions; a name without arguments asks "may it be made at all?". */
static bool profile_allows(const struct om_ir *ir, const struct om_request *req)
{
	static const uint64_t none[6];
	const struct om_sys_rule *rule = om_sys_rule(syscall_nr(req));
	bool bare = rule && memcmp(req->args, none, sizeof(none)) == 0;
	struct om_sys_set set;

	if (syscall_nr(req) < 0)
		return false;
	om_sys_set_init(&set, ir);
	return om_sys_decide(&set, AUDIT_ARCH_X86_64, (uint32_t)syscall_nr(req),
			     bare ? rule->example : req->args) == OM_SYS_ALLOW;
}

/* BOUND: a grant binds the object that REQ would execute to contents, so that no other gives it. */
static bool grant_allows(const struct om_grant *g, const struct om_request *req, bool bound)
{
	switch (g->kind) {
	case OM_GRANT_FILE:
		return file_allows(&g->file, req, bound);
	case OM_GRANT_EGRESS:
		return egress_allows(&g->egress, req);
	case OM_GRANT_LISTEN:
		return req->op == OM_OP_NET_LISTEN && g->listen.proto == req->proto &&
		       g->listen.port == req->port;
	case OM_GRANT_ENV:
		return req->op == OM_OP_ENV && strcmp(g->env.name, req->text) == 0;
	case OM_GRANT_STDIO:
		return stdio_allows(&g->stdio, req);
	case OM_GRANT_SYSCALL:
		return req->op == OM_OP_SYSCALL && g->syscall.nr == syscall_nr(req);
	case OM_GRANT_MOUNT: /* what it gives stands in a file grant beside it */
	case OM_GRANT_LIMIT: /* takes, never gives */
		return false;
	}
	return false;
}

void om_engine_decide(const struct om_ir *ir, const struct om_request *req, struct om_verdict *out)
{
	bool bound = false;

	memset(out, 0, sizeof(*out));
	out->grant = -1;
	for (uint32_t i = 0; i < ir->count && req->op == OM_OP_FILE_EXEC; i++)
		bound |= ir->grants[i].kind == OM_GRANT_FILE &&
			 binds(&ir->grants[i].file, req->text);
	for (uint32_t i = 0; i < ir->count; i++) {
		if (!grant_allows(&ir->grants[i], req, bound))
			continue;
		out->allow = true;
		out->grant = (int32_t)i;
		break;
	}
	if (req->op == OM_OP_SYSCALL && !out->allow)
		out->allow = profile_allows(ir, req);
	if (req->op == OM_OP_MEM_EXEC)
		out->allow = ir->write_exec;
	/* The suggestion also names the rule that decides, allowed or not. */
	om_suggest(ir->name, req, out);
	if (out->allow)
		out->suggestion[0] = 0;
}
