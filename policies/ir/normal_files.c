/*
 * The normal form of file grants.
 *
 * Comes in: file grants sorted by om_ir_compare, without duplicates. Goes out: fewer of them, each
 * with the rights that trees above give to the same object. Called by: om_ir_normalise. Never does:
 * depend on the manifest's order.
 *
 * One pass with a stack of the trees that are open around the current path: the sort puts a
 * directory right before what lies below it. The rights of a grant are made complete so that each
 * can be read alone: reviews (writable and executable), the view's mounts and the policy id need no
 * look at what lies above. The kernel adds up the same rights by itself.
 */
#include <errno.h>
#include <string.h>

#include <omega/limits.h>
#include <policies/ir/ir.h>

struct open_tree {
	const char *path;
	uint32_t may; /* complete: what lies above is included */
};

/* Whether each name that B matches is matched by A, on the same directory. */
static bool pattern_covers(const struct om_grant_file *a, const struct om_grant_file *b)
{
	size_t head = strlen(a->prefix), tail, other;

	if (!b->suffix)
		return om_ir_pattern_match(a, b->prefix, strlen(b->prefix));
	if (!a->suffix)
		return false;
	tail = strlen(a->suffix);
	other = strlen(b->suffix);
	return strncmp(a->prefix, b->prefix, head) == 0 && other >= tail &&
	       strcmp(b->suffix + other - tail, a->suffix) == 0;
}

/* Drops patterns of one directory that another pattern of the same directory covers. */
static uint32_t reduce_patterns(struct om_grant *g, uint32_t count)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < count; i++) {
		bool covered = false;

		for (uint32_t j = 0; j < count && !covered; j++)
			covered = j != i && pattern_covers(&g[j].file, &g[i].file) &&
				  (g[i].file.may & ~g[j].file.may) == 0;
		/* Marked, not moved: the inner loop must still see it. No two are equal. */
		g[i].file.tree = covered;
	}
	for (uint32_t i = 0; i < count; i++) {
		if (g[i].file.tree)
			continue;
		g[kept++] = g[i];
	}
	return kept;
}

int om_ir_normal_files(struct om_grant *g, uint32_t *count, struct om_err *err)
{
	OM_CLEANUP(om_free_ptr) struct open_tree *stack = NULL;
	uint32_t depth = 0, kept = 0;

	stack = calloc(*count, sizeof(*stack));
	if (!stack)
		return om_err_set(err, OM_ERR_NOMEM, -ENOMEM, "no memory to normalise");
	for (uint32_t i = 0; i < *count; i++) {
		struct om_grant_file *f = &g[i].file;
		uint32_t above;

		while (depth && !om_ir_path_covers(stack[depth - 1].path, f->path))
			depth--;
		above = depth ? stack[depth - 1].may : 0;
		if ((f->may & ~above) == 0)
			continue;
		f->may |= above;
		if (f->tree)
			stack[depth++] = (struct open_tree){f->path, f->may};
		g[kept++] = g[i];
	}
	*count = kept;

	kept = 0;
	for (uint32_t i = 0, n; i < *count; i += n) {
		uint32_t left = 1;

		for (n = 1; g[i].file.prefix && i + n < *count && g[i + n].file.prefix; n++)
			if (strcmp(g[i].file.path, g[i + n].file.path) != 0)
				break;
		if (n > OM_PATTERNS_WRITTEN_MAX)
			return om_err_set(err, OM_ERR_IR_LIMIT, -E2BIG,
					  "more than %u patterns in '%.200s'",
					  OM_PATTERNS_WRITTEN_MAX, g[i].file.path);
		if (n > 1)
			left = reduce_patterns(g + i, n);
		memmove(g + kept, g + i, left * sizeof(*g));
		kept += left;
	}
	*count = kept;
	return 0;
}
