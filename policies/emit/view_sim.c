/*
 * The view, asked without a kernel: is the path on a mount, and does that mount allow it?
 *
 * Comes in: OM_SEC_VIEW and a request. Goes out: an opinion. Called by: om_sim_decide. Never does: ask
 * what the grants were; a mount shows all that lies on it, and this says so.
 */
#include <string.h>

#include <policies/emit/emit.h>

/* Mounts that show what lies below them; the others are one object (bundle.h says why). */
#define HOLDS_NAMES (OM_MNT_TREE | OM_MNT_DIR | OM_MNT_TMPFS)

static bool on_mount(const struct om_bundle *b, const struct om_b_mount *m, const char *path)
{
	const char *to = om_bundle_str(b, m->to);

	return strcmp(to, path) == 0 || ((m->flags & HOLDS_NAMES) && om_path_below(to, path));
}

/* The innermost mount is the last one that covers the path: parents are mounted first. */
static const struct om_b_mount *find(const struct om_bundle *b, const char *path)
{
	uint32_t n;
	const struct om_b_mount *m = om_bundle_section(b, OM_SEC_VIEW, &n);

	while (n--)
		if (on_mount(b, &m[n], path))
			return &m[n];
	return NULL;
}

/* A directory that exists only because something below it is mounted. Empty but for that. */
static bool is_skeleton(const struct om_bundle *b, const char *path)
{
	uint32_t n;
	const struct om_b_mount *m = om_bundle_section(b, OM_SEC_VIEW, &n);

	if (strcmp(path, "/") == 0)
		return true;
	while (n--)
		if (om_path_below(path, om_bundle_str(b, m[n].to)))
			return true;
	return false;
}

static const struct om_b_mount *find_parent(const struct om_bundle *b, const char *path)
{
	char dir[OM_PATH_MAX];
	const char *slash = strrchr(path, '/');
	size_t n = slash == path ? 1 : (size_t)(slash - path);

	if (!slash || !slash[1] || n >= sizeof(dir))
		return NULL;
	memcpy(dir, path, n);
	dir[n] = '\0';
	return find(b, dir);
}

enum om_opinion om_sim_view(const struct om_bundle *b, const struct om_request *req)
{
	uint32_t need = om_op_need(req->op);
	const struct om_b_mount *m;

	if (!need)
		return OM_OPINION_NONE;
	if (need & (OM_MAY_CREATE | OM_MAY_REMOVE)) {
		/* An entry is made in its directory's mount, whatever is mounted on the name. */
		m = find_parent(b, req->text);
		return m && (m->flags & HOLDS_NAMES) && !(m->flags & OM_MNT_RO) ? OM_OPINION_ALLOW
										: OM_OPINION_DENY;
	}
	m = find(b, req->text);
	if (!m)
		return is_skeleton(b, req->text) ? OM_OPINION_DENY_LATE : OM_OPINION_DENY;
	/* EROFS comes before any hook; writing to a device node changes no file and is not stopped. */
	if ((need & OM_MAY_WRITE) && (m->flags & OM_MNT_RO) && !(m->flags & OM_MNT_DEVICE))
		return OM_OPINION_DENY;
	/* Looked at before file_open, so a tmpfs is mounted without it where BPF-LSM decides. */
	if ((need & OM_MAY_EXEC) && (m->flags & OM_MNT_NOEXEC))
		return (m->flags & OM_MNT_TMPFS) && (b->meta->layers & OM_LAYER_KERNEL)
			       ? OM_OPINION_DENY_LATE
			       : OM_OPINION_DENY;
	return OM_OPINION_ALLOW;
}
