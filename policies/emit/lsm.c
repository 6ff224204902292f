/*
 * The BPF-LSM layer: what is granted on which object, by path in the view.
 *
 * Comes in: the file grants of an IR. Goes out: OM_SEC_FILES, one row per path, one more per pattern,
 * sorted by path. Called by: om_emit_bundle. Never does: resolve a path (the loader does, inside the
 * brane's own view), or give a mount more than the file grants at its place give.
 */
#include <errno.h>
#include <string.h>

#include <policies/emit/emit.h>

/* A grant with its index: sorting must not lose which line of the manifest it was. */
struct item {
	const struct om_grant_file *file;
	uint32_t grant;
};

static int by_path(const void *a, const void *b)
{
	const struct item *x = a, *y = b;
	int c = strcmp(x->file->path, y->file->path);

	if (c)
		return c;
	/* Plain grants before patterns, then by index: the same IR always gives the same bytes. */
	c = (x->file->prefix != NULL) - (y->file->prefix != NULL);
	return c ? c : (x->grant > y->grant) - (x->grant < y->grant);
}

/* One star at most was checked by the capability; here only what the map's value can hold. */
static int pattern_row(const struct om_emit *e, const struct item *it, struct om_b_file *row,
		       struct om_err *err)
{
	const struct om_grant_file *f = it->file;
	const char *suffix = f->suffix ? f->suffix : "";
	int ret;

	if (strlen(f->prefix) > OM_PATTERN_PART_MAX || strlen(suffix) > OM_PATTERN_PART_MAX)
		return om_err_set(err, OM_ERR_IR_LIMIT, -E2BIG,
				  "%s: part of a pattern is longer than %u bytes", f->path,
				  OM_PATTERN_PART_MAX);
	row->pattern_may = f->may;
	row->exact = f->suffix == NULL;
	ret = om_bundle_w_str(e->w, f->prefix, &row->prefix, err);
	return ret ? ret : om_bundle_w_str(e->w, suffix, &row->suffix, err);
}

/* The contents of the row that is about to be added; the normal form has them sorted, each once. */
static int emit_digests(const struct om_emit *e, const struct om_grant_file *f, uint32_t row,
			struct om_err *err)
{
	int ret = 0;

	if (!(f->may & OM_MAY_EXEC_BOUND))
		return 0;
	if (f->tree || f->prefix || !f->digests)
		return om_err_set(err, OM_ERR_CAP_NOT_ENFORCEABLE, -EOPNOTSUPP,
				  "%s: only an object can be bound to contents", f->path);
	for (uint32_t i = 0; i < f->digests && !ret; i++) {
		struct om_b_digest d = {.file = row};

		memcpy(d.sha256, f->sha256[i], sizeof(d.sha256));
		ret = om_bundle_w_add(e->w, OM_SEC_DIGESTS, &d, 1, err);
	}
	return ret;
}

/*
 * Plain grants on one path become one row, because the map has one value per object: written as two,
 * the second would replace the first. Patterns have a map of their own and stay apart.
 */
static int emit_rows(const struct om_emit *e, const struct item *items, uint32_t n,
		     struct om_err *err)
{
	uint32_t patterns = 0, rows = 0;

	for (uint32_t i = 0; i < n;) {
		const struct om_grant_file *f = items[i].file;
		struct om_b_file row = {.grant = items[i].grant};
		int ret = om_bundle_w_str(e->w, f->path, &row.path, err);

		if (ret)
			return ret;
		if (!i || strcmp(items[i - 1].file->path, f->path) != 0)
			patterns = 0;
		if (f->prefix) {
			/* The BPF program tries them one by one: a bound that the verifier accepts. */
			if (++patterns > OM_PATTERNS_MAX)
				return om_err_set(err, OM_ERR_IR_LIMIT, -E2BIG,
						  "%s: more than %u patterns in one directory",
						  f->path, OM_PATTERNS_MAX);
			ret = pattern_row(e, &items[i++], &row, err);
			if (ret)
				return ret;
		} else {
			const char *path = f->path;

			for (; i < n && !items[i].file->prefix &&
			       strcmp(items[i].file->path, path) == 0;
			     i++) {
				row.self |= items[i].file->may;
				row.tree |= items[i].file->tree ? items[i].file->may : 0;
				ret = emit_digests(e, items[i].file, rows, err);
				if (ret)
					return ret;
			}
		}
		ret = om_bundle_w_add(e->w, OM_SEC_FILES, &row, 1, err);
		if (ret)
			return ret;
		rows++;
	}
	return 0;
}

/* The first of the N sorted items at PATH[0..LEN), NULL if there is none. */
static const struct item *find(const struct item *items, uint32_t n, const char *path, size_t len)
{
	uint32_t lo = 0, hi = n;

	while (lo < hi) {
		uint32_t mid = (lo + hi) / 2;
		const char *p = items[mid].file->path;
		int c = strncmp(p, path, len);

		if (c < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < n && strncmp(items[lo].file->path, path, len) == 0 &&
			       items[lo].file->path[len] == '\0'
		       ? &items[lo]
		       : NULL;
}

/* What tree grants at exactly this place give. */
static uint32_t tree_may(const struct item *items, uint32_t n, const char *path, size_t len)
{
	const struct item *it = find(items, n, path, len);
	uint32_t may = 0;

	for (; it && it < items + n && strlen(it->file->path) == len &&
	       memcmp(it->file->path, path, len) == 0;
	     it++)
		may |= it->file->tree ? it->file->may : 0;
	return may;
}

/*
 * The walk from a file goes up by dentries and never crosses a mount, so a tree granted above a bind
 * mount does not reach what was bound there from elsewhere: its root needs a row with the same rights.
 */
static struct om_grant_file mount_root(const struct item *items, uint32_t n, const char *to)
{
	struct om_grant_file f = {.path = to, .tree = true};

	for (size_t len = strlen(to); len > 1; len--)
		if (to[len] == '/' || to[len] == '\0')
			f.may |= tree_may(items, n, to, len);
	f.may |= tree_may(items, n, "/", 1);
	return f;
}

int om_emit_lsm(const struct om_emit *e, struct om_err *err)
{
	OM_CLEANUP(om_free_ptr) struct item *items = NULL;
	OM_CLEANUP(om_free_ptr) struct om_grant_file *roots = NULL;
	size_t cap = e->ir->count ? e->ir->count : 1;
	uint32_t n = 0, all;

	items = calloc(cap, sizeof(*items));
	roots = calloc(cap, sizeof(*roots));
	if (!items || !roots)
		return om_err_set(err, OM_ERR_NOMEM, -ENOMEM, "file grants");
	for (uint32_t i = 0; i < e->ir->count; i++)
		if (e->ir->grants[i].kind == OM_GRANT_FILE)
			items[n++] = (struct item){&e->ir->grants[i].file, i};
	qsort(items, n, sizeof(*items), by_path);
	all = n;
	for (uint32_t i = 0; i < e->ir->count; i++) {
		const struct om_grant *g = &e->ir->grants[i];

		/* A tmpfs does not exist yet: the loader grants its root when it makes it. */
		if (g->kind != OM_GRANT_MOUNT || !g->mount.from)
			continue;
		roots[i] = mount_root(items, n, g->mount.to);
		if (roots[i].may)
			items[all++] = (struct item){&roots[i], i};
	}
	qsort(items, all, sizeof(*items), by_path);
	return emit_rows(e, items, all, err);
}
