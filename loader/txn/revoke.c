/*
 * Does a new version take away what a running process may still be holding?
 *
 * Comes in: two bundles. Goes out: yes or no. Called by: om_txn_update, which then starts the workload anew.
 * A right to read, write or execute outlives its withdrawal in an open descriptor and in a mapping, whose
 * loads and stores no hook sees; making, removing and talking to the network are asked about each time.
 * Never does: look at the host. What it cannot tell it takes for a withdrawal.
 */
#include <string.h>
#include <loader/txn/txn.h>

#define HELD (OM_MAY_READ | OM_MAY_WRITE | OM_MAY_EXEC) /* bound execution: keeps_exec */

/* Rows lie sorted by path, those without a pattern first. The first at PATH[0..LEN), or -1. */
static int64_t first_at(const struct om_bundle *b, const char *path, size_t len)
{
	uint32_t n, lo = 0, hi;
	const struct om_b_file *f = om_bundle_section(b, OM_SEC_FILES, &n);

	for (hi = n; lo < hi;) {
		uint32_t mid = lo + (hi - lo) / 2;
		const char *p = om_bundle_str(b, f[mid].path);
		int c = strncmp(p, path, len);

		if (c < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (lo == n || strlen(om_bundle_str(b, f[lo].path)) != len ||
	    strncmp(om_bundle_str(b, f[lo].path), path, len) != 0)
		return -1;
	return lo;
}

/* What trees at PATH and above it give to everything below PATH. */
static uint32_t trees_at(const struct om_bundle *b, const char *path)
{
	uint32_t n, may = 0;
	const struct om_b_file *f = om_bundle_section(b, OM_SEC_FILES, &n);
	size_t len = strlen(path);

	while (len) {
		int64_t at = first_at(b, path, len);

		if (at >= 0)
			may |= f[at].tree;
		if (len == 1)
			break;
		while (len && path[len - 1] != '/')
			len--;
		/* The slash is the root's own name, and no part of any other. */
		if (len > 1)
			len--;
	}
	return may;
}

/* What the same pattern in the same directory gives. */
static uint32_t pattern_at(const struct om_bundle *b, const struct om_bundle *was,
			   const struct om_b_file *row)
{
	const char *path = om_bundle_str(was, row->path);
	int64_t at = first_at(b, path, strlen(path));
	uint32_t n, may = 0;
	const struct om_b_file *f = om_bundle_section(b, OM_SEC_FILES, &n);

	for (int64_t i = at; at >= 0 && i < n; i++) {
		if (strcmp(om_bundle_str(b, f[i].path), path) != 0)
			break;
		if (f[i].pattern_may && f[i].exact == row->exact &&
		    !strcmp(om_bundle_str(b, f[i].prefix), om_bundle_str(was, row->prefix)) &&
		    !strcmp(om_bundle_str(b, f[i].suffix), om_bundle_str(was, row->suffix)))
			may |= f[i].pattern_may;
	}
	return may;
}

/* Every content that row I of WAS is bound to, row AT of B is bound to as well. */
static bool keeps_contents(const struct om_bundle *was, int64_t i, const struct om_bundle *b,
			   int64_t at)
{
	uint32_t n, m;
	const struct om_b_digest *x = om_bundle_section(was, OM_SEC_DIGESTS, &n);
	const struct om_b_digest *y = om_bundle_section(b, OM_SEC_DIGESTS, &m);

	for (uint32_t k = 0; k < n; k++) {
		bool kept = false;

		for (uint32_t j = 0; x[k].file == i && j < m && !kept; j++)
			kept = y[j].file == at && !memcmp(x[k].sha256, y[j].sha256, 32);
		if (x[k].file == i && !kept)
			return false;
	}
	return true;
}

/* An object that is bound to contents is bound whatever trees give; all others run with any. */
static bool keeps_exec(const struct om_bundle *was, const struct om_bundle *b, const char *path)
{
	uint32_t n;
	const struct om_b_file *x = om_bundle_section(was, OM_SEC_FILES, &n);
	const struct om_b_file *y = om_bundle_section(b, OM_SEC_FILES, &n);
	int64_t i = first_at(was, path, strlen(path)), at = first_at(b, path, strlen(path));
	uint32_t had = trees_at(was, path) | (i >= 0 ? x[i].self : 0);
	uint32_t has = trees_at(b, path) | (at >= 0 ? y[at].self : 0);

	if (!(had & (OM_MAY_EXEC | OM_MAY_EXEC_BOUND)))
		return true;
	if (!(has & OM_MAY_EXEC_BOUND))
		return has & OM_MAY_EXEC;
	return had & OM_MAY_EXEC_BOUND && keeps_contents(was, i, b, at);
}

static bool keeps_row(const struct om_bundle *was, const struct om_b_file *row,
		      const struct om_bundle *b)
{
	const char *path = om_bundle_str(was, row->path);
	uint32_t n, tree = trees_at(b, path), self = tree;
	const struct om_b_file *f = om_bundle_section(b, OM_SEC_FILES, &n);
	int64_t at;

	if (row->pattern_may)
		return !(row->pattern_may & HELD & ~(tree | pattern_at(b, was, row)));
	at = first_at(b, path, strlen(path));
	if (at >= 0)
		self |= f[at].self;
	return !(row->tree & HELD & ~tree) && !(row->self & HELD & ~self) &&
	       keeps_exec(was, b, path);
}

bool om_txn_takes_away(const struct om_bundle *was, const struct om_bundle *b)
{
	const struct om_b_file *f;
	uint32_t n;

	/* What audit mode let pass may be held too, and so may memory that is written to and executed. */
	if (was->meta->slot_flags & ~b->meta->slot_flags & (OM_SLOT_AUDIT | OM_SLOT_WRITE_EXEC))
		return true;
	/* Without BPF-LSM the view alone decides about files, and it is compared whole. */
	if (!(was->meta->layers & OM_LAYER_KERNEL))
		return false;
	f = om_bundle_section(was, OM_SEC_FILES, &n);
	for (uint32_t i = 0; i < n; i++)
		if (!keeps_row(was, &f[i], b))
			return true;
	/* A new row may bind what a tree let run with any content. */
	f = om_bundle_section(b, OM_SEC_FILES, &n);
	for (uint32_t i = 0; i < n; i++)
		if (f[i].self & OM_MAY_EXEC_BOUND &&
		    !keeps_exec(was, b, om_bundle_str(b, f[i].path)))
			return true;
	return false;
}
