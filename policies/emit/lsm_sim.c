/*
 * The BPF-LSM layer, asked without a kernel: the walk of bpf/lib over paths instead of dentries.
 *
 * Comes in: OM_SEC_FILES and a request. Goes out: an opinion. Called by: om_sim_decide. Never does:
 * remember anything between questions, or know what a path really is (the kernel has the object).
 */
#include <string.h>

#include <omega/abi/policy.h>
#include <policies/emit/emit.h>

uint32_t om_op_need(enum om_op op)
{
	switch ((int)op) {
	case OM_OP_FILE_READ:
		return OM_MAY_READ;
	case OM_OP_FILE_WRITE:
		return OM_MAY_WRITE;
	case OM_OP_FILE_EXEC:
		return OM_MAY_EXEC;
	case OM_OP_FILE_CREATE:
		return OM_MAY_CREATE;
	case OM_OP_FILE_REMOVE:
		return OM_MAY_REMOVE;
	default:
		return 0;
	}
}

bool om_path_below(const char *dir, const char *path)
{
	size_t n = strlen(dir);

	if (n == 1)
		return path[0] == '/' && path[1];
	return strncmp(dir, path, n) == 0 && path[n] == '/';
}

/* Prefix and suffix must not share bytes: "a*a" does not match "a". */
static bool pattern_matches(const struct om_bundle *b, const struct om_b_file *f, const char *name)
{
	const char *prefix = om_bundle_str(b, f->prefix), *suffix = om_bundle_str(b, f->suffix);
	size_t np = strlen(prefix), ns = strlen(suffix), n = strlen(name);

	if (f->exact)
		return strcmp(name, prefix) == 0;
	return n >= np + ns && memcmp(name, prefix, np) == 0 &&
	       memcmp(name + n - ns, suffix, ns) == 0;
}

/* What the rows for the object at PATH[0..LEN) give: SELF at the start of the walk, else TREE. */
static uint32_t object_may(const struct om_bundle *b, const char *path, size_t len, bool self,
			   const char *name)
{
	uint32_t n, may = 0;
	const struct om_b_file *f = om_bundle_section(b, OM_SEC_FILES, &n);

	for (uint32_t i = 0; i < n; i++, f++) {
		const char *p = om_bundle_str(b, f->path);

		if (strlen(p) != len || memcmp(p, path, len) != 0)
			continue;
		may |= f->tree;
		if (self)
			may |= f->self;
		if (name && f->pattern_may && pattern_matches(b, f, name))
			may |= f->pattern_may;
	}
	return may;
}

/*
 * Rights add up on the way, as in the kernel: what is missing shrinks until nothing is, or the root or
 * the bound is reached. Past the bound the answer is no, also for what a tree far above would give.
 */
static bool walk(const struct om_bundle *b, const char *path, uint32_t need)
{
	size_t len = strlen(path);
	const char *name = NULL;
	uint32_t have = 0;

	/* Making and removing an entry is a question to its directory: the object itself is not asked. */
	if (!(need & (OM_MAY_CREATE | OM_MAY_REMOVE)))
		have = object_may(b, path, len, true, NULL);
	for (unsigned int depth = 0; depth < OM_WALK_MAX; depth++) {
		if ((have & need) == need)
			return true;
		if (len <= 1)
			return false;
		if (depth == 0)
			name = strrchr(path, '/') + 1;
		while (len > 1 && path[len - 1] != '/')
			len--;
		if (len > 1)
			len--;
		have |= object_may(b, path, len, false, name);
		name = NULL;
	}
	return (have & need) == need;
}

/* Whether the row for PATH has the content of REQ; 0: none binds it. A content not told is a right one. */
static enum om_opinion bound(const struct om_bundle *b, const struct om_request *req)
{
	uint32_t files, n;
	const struct om_b_file *f = om_bundle_section(b, OM_SEC_FILES, &files);
	const struct om_b_digest *d = om_bundle_section(b, OM_SEC_DIGESTS, &n);

	for (uint32_t i = 0; i < files; i++) {
		if (!(f[i].self & OM_MAY_EXEC_BOUND) ||
		    strcmp(om_bundle_str(b, f[i].path), req->text) != 0)
			continue;
		for (uint32_t k = 0; k < n; k++)
			if (d[k].file == i &&
			    (!req->has_sha256 || memcmp(d[k].sha256, req->sha256, 32) == 0))
				return OM_OPINION_ALLOW;
		return OM_OPINION_DENY;
	}
	return OM_OPINION_NONE;
}

enum om_opinion om_sim_lsm(const struct om_bundle *b, const struct om_request *req)
{
	uint32_t need = om_op_need(req->op);

	if (req->op == OM_OP_MEM_EXEC)
		return b->meta->slot_flags & OM_SLOT_WRITE_EXEC ? OM_OPINION_ALLOW
								: OM_OPINION_DENY;
	if (!need)
		return om_net_sets(b, req);
	if (need == OM_MAY_EXEC && bound(b, req) != OM_OPINION_NONE)
		return bound(b, req);
	return req->text[0] == '/' && walk(b, req->text, need) ? OM_OPINION_ALLOW : OM_OPINION_DENY;
}
