/*
 * The view: which mounts make up the only tree that the brane sees.
 *
 * Comes in: the file and mount grants of an IR. Goes out: OM_SEC_VIEW, a directory before what lies
 * below it. Called by: om_emit_bundle. Never does: look at the host (whether a path is a file or a
 * directory is found by the loader), or widen: a grant that mounts cannot express is an error.
 *
 * A grant below another granted tree gets a mount of its own only where it gives more: rights add up,
 * so what lies deeper never has less than what lies above it.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <policies/emit/emit.h>
#include <policies/ir/ir.h>
#include <policies/path.h>

#define MAY_CHANGE (OM_MAY_WRITE | OM_MAY_CREATE | OM_MAY_REMOVE)

enum node_kind { NODE_OBJECT, NODE_DIR, NODE_TREE, NODE_BIND, NODE_TMPFS };

struct node {
	const char *path;
	enum node_kind kind;
	uint32_t may;  /* its own; then with what trees above give */
	uint32_t tree; /* what it gives to everything below it, with what trees above give */
	uint32_t grant;
	const struct om_grant_mount *mount;
	uint32_t pattern, patterns; /* of plan.patterns: patterns on names in this directory */
	/* Filled while walking down: */
	int32_t up;	/* nearest node that PATH lies below, -1 */
	bool moved;	/* on or below a mount grant: not the image's own path */
	int32_t holder; /* the node whose mount this path lies on, itself if it has one, -1 */
	uint32_t flags; /* of that mount, when it is its own */
};

struct plan {
	const struct om_ir *ir;
	struct node *nodes; /* one for each path once collected, parents first */
	uint32_t count;
	uint32_t *patterns; /* grants, those of one directory side by side */
};

static void plan_done(struct plan *p)
{
	free(p->nodes);
	free(p->patterns);
}

static int by_path(const void *a, const void *b)
{
	const struct node *x = a, *y = b;
	int c = om_ir_path_compare(x->path, y->path);

	if (c)
		return c;
	if (x->kind != y->kind)
		return x->kind < y->kind ? 1 : -1; /* the strongest first: it takes the others in */
	return (x->grant > y->grant) - (x->grant < y->grant);
}

/* Whether a mount of this kind shows names below it at all. */
static bool holds_below(enum node_kind kind)
{
	return kind != NODE_OBJECT;
}

/* Whether the rights hold for everything below; a directory with patterns gives only to its names. */
static bool gives_below(enum node_kind kind)
{
	return kind == NODE_TREE || kind == NODE_BIND || kind == NODE_TMPFS;
}

/* Harmless: they read as nothing, zero or random, and writing to them is forgotten. */
static bool is_device(const char *path)
{
	static const char *const ok[] = {"/dev/null", "/dev/zero", "/dev/full", "/dev/random",
					 "/dev/urandom"};

	for (size_t i = 0; i < OM_ARRAY_LEN(ok); i++)
		if (strcmp(ok[i], path) == 0)
			return true;
	return false;
}

/*
 * The kernel's own file systems show and steer other branes and the host. They need views of their own
 * (proc with subset=pid and masked entries, a private /dev with a pty), which do not exist yet: a bind
 * mount of the host's would be the opposite of what the manifest's author believes to get.
 */
static int check_source(const struct om_ir *ir, const char *path, bool tree, struct om_err *err)
{
	const char *what = om_path_special(path);

	/* A device is one object: as a tree it is not the harmless thing that its name promises. */
	if (!what && tree && is_device(path))
		what = "a private /dev";
	if (what)
		return om_err_set(err, OM_ERR_CAP_NOT_ENFORCEABLE, -ENOTSUP,
				  "%s needs %s, which is not built", path, what);
	if (tree && ir->image == OM_IMAGE_HOST && !path[1])
		return om_err_set(
			err, OM_ERR_CAP_NOT_ENFORCEABLE, -ENOTSUP,
			"/ of the host holds /proc and /sys: name the directories instead");
	return 0;
}

/* Grants to nodes, still in the manifest's number. */
static int add_nodes(struct plan *p, struct om_err *err)
{
	for (uint32_t i = 0; i < p->ir->count; i++) {
		const struct om_grant *g = &p->ir->grants[i];
		struct node *n = &p->nodes[p->count];

		if (g->kind == OM_GRANT_FILE) {
			*n = (struct node){.path = g->file.path, .may = g->file.may, .grant = i};
			n->kind = g->file.prefix ? NODE_DIR
				  : g->file.tree ? NODE_TREE
						 : NODE_OBJECT;
			/* A mount shows all names in a directory: only BPF-LSM tells them apart. */
			if (g->file.prefix && !(p->ir->layers & OM_LAYER_KERNEL))
				return om_err_set(err, OM_ERR_CAP_LAYER, -EINVAL,
						  "%s: a pattern needs the layer \"kernel\"",
						  n->path);
		} else if (g->kind == OM_GRANT_MOUNT) {
			*n = (struct node){.path = g->mount.to, .may = g->mount.may, .grant = i};
			n->kind = g->mount.from ? NODE_BIND : NODE_TMPFS;
			n->mount = &g->mount;
			if (g->mount.from) {
				int ret = check_source(p->ir, g->mount.from, true, err);

				if (ret)
					return ret;
			}
		} else {
			continue;
		}
		p->count++;
	}
	return 0;
}

/* One node for each path. The strongest kind came first in the order; the others add their rights. */
static int merge_nodes(struct plan *p, struct om_err *err)
{
	uint32_t out = 0, patterns = 0;

	for (uint32_t i = 0; i < p->count; i++) {
		struct node n = p->nodes[i];
		struct node *last = out ? &p->nodes[out - 1] : NULL;

		if (last && strcmp(last->path, n.path) == 0) {
			if (n.mount && last->mount)
				return om_err_set(err, OM_ERR_CAP_CONTRADICTION, -EINVAL,
						  "two mounts at %s", n.path);
			last->may |= n.may;
		} else {
			n.pattern = patterns;
			p->nodes[out++] = n;
			last = &p->nodes[out - 1];
		}
		if (n.kind != NODE_DIR)
			continue;
		p->patterns[patterns++] = n.grant;
		/* The same bound as in the kernel; here it keeps the cost of a directory linear. */
		if (++last->patterns > OM_PATTERNS_MAX)
			return om_err_set(err, OM_ERR_IR_LIMIT, -E2BIG,
					  "%s: more than %u patterns in one directory", n.path,
					  OM_PATTERNS_MAX);
	}
	p->count = out;
	return 0;
}

/* Sorted so that a directory stands right before what lies below it: the way up is a climb. */
static int link_nodes(struct plan *p, struct om_err *err)
{
	for (uint32_t i = 0; i < p->count; i++) {
		struct node *n = &p->nodes[i];
		int ret;

		n->up = (int32_t)i - 1;
		while (n->up >= 0 && !om_path_below(p->nodes[n->up].path, n->path))
			n->up = p->nodes[n->up].up;
		n->moved = n->mount || (n->up >= 0 && p->nodes[n->up].moved);
		if (n->moved || (n->kind == NODE_OBJECT && is_device(n->path)))
			continue;
		ret = check_source(p->ir, n->path, n->kind == NODE_TREE, err);
		if (ret)
			return ret;
	}
	return 0;
}

/* After this every node knows its nearest ancestor, and nothing refers to the manifest's order. */
static int make_plan(struct plan *p, struct om_err *err)
{
	size_t cap = p->ir->count ? p->ir->count : 1;
	int ret;

	p->nodes = calloc(cap, sizeof(*p->nodes));
	p->patterns = calloc(cap, sizeof(*p->patterns));
	if (!p->nodes || !p->patterns)
		return om_err_set(err, OM_ERR_NOMEM, -ENOMEM, "mounts");
	ret = add_nodes(p, err);
	if (ret)
		return ret;
	qsort(p->nodes, p->count, sizeof(*p->nodes), by_path);
	ret = merge_nodes(p, err);
	return ret ? ret : link_nodes(p, err);
}

/* Where the object at PATH comes from in the image: its own path unless a mount grant moved it. */
static int source_of(const struct node *nodes, const struct node *n, char *buf, struct om_err *err)
{
	const struct node *m = n;
	int len;

	while (!m->mount && m->up >= 0)
		m = &nodes[m->up];
	if (!m->mount) {
		snprintf(buf, OM_PATH_MAX, "%s", n->path);
		return 0;
	}
	if (!m->mount->from)
		return om_err_set(err, OM_ERR_CAP_NOT_ENFORCEABLE, -ENOTSUP,
				  "%s lies in the tmpfs at %s and is granted more than it", n->path,
				  m->path);
	len = snprintf(buf, OM_PATH_MAX, "%s%s", m->mount->from[1] ? m->mount->from : "",
		       n->path + (m->path[1] ? strlen(m->path) : 0));
	if (len >= (int)OM_PATH_MAX)
		return om_err_set(err, OM_ERR_CAP_PATH, -ENAMETOOLONG, "%s: source is too long",
				  n->path);
	if (!len)
		snprintf(buf, OM_PATH_MAX, "/");
	return 0;
}

/* One row. The path is looked up again by the loader, inside the image's root. */
static int put_mount(const struct om_emit *e, const struct node *nodes, const struct node *n,
		     struct om_err *err)
{
	OM_CLEANUP(om_free_ptr) char *from = NULL;
	struct om_b_mount row = {.flags = n->flags, .grant = n->grant};
	int ret = om_bundle_w_str(e->w, n->path, &row.to, err);

	if (ret)
		return ret;
	if (n->kind == NODE_TMPFS) {
		row.bytes = n->mount->bytes;
	} else {
		from = malloc(OM_PATH_MAX);
		if (!from)
			return om_err_set(err, OM_ERR_NOMEM, -ENOMEM, "mount source");
		ret = source_of(nodes, n, from, err);
		if (!ret)
			ret = om_bundle_w_str(e->w, from, &row.from, err);
		if (ret)
			return ret;
	}
	return om_bundle_w_add(e->w, OM_SEC_VIEW, &row, 1, err);
}

/* What patterns on the directory of N give to it: its own mount must not take that away. */
static uint32_t pattern_may(const struct plan *p, const struct node *n)
{
	const char *name = strrchr(n->path, '/') + 1;
	const struct node *up = n->up >= 0 ? &p->nodes[n->up] : NULL;
	uint32_t may = 0;

	/* Only names right in the directory: nothing but the name lies behind its path. */
	if (!up || strchr(n->path + strlen(up->path) + (up->path[1] != 0), '/'))
		return 0;
	for (uint32_t i = 0; i < up->patterns; i++) {
		const struct om_grant_file *f = &p->ir->grants[p->patterns[up->pattern + i]].file;

		if (om_ir_pattern_match(f, name, strlen(name)))
			may |= f->may;
	}
	return may;
}

/* Decides whether node I needs a mount; its ancestors were decided before it. */
static bool place(struct plan *p, uint32_t i)
{
	struct node *nodes = p->nodes;
	struct node *n = &nodes[i];
	const struct node *up = n->up >= 0 ? &nodes[n->up] : NULL;
	const struct node *on;
	bool kernel = p->ir->layers & OM_LAYER_KERNEL;
	uint32_t base = up ? up->tree : 0, same = OM_MNT_RO | OM_MNT_NOEXEC;
	int32_t h = n->up;

	n->tree = base | (gives_below(n->kind) ? n->may : 0);
	n->may |= base | pattern_may(p, n);
	n->flags = (n->may & MAY_CHANGE ? 0 : OM_MNT_RO) |
		   (n->may & (OM_MAY_EXEC | OM_MAY_EXEC_BOUND) ? 0 : OM_MNT_NOEXEC);
	if (n->kind == NODE_OBJECT && is_device(n->path))
		n->flags = OM_MNT_DEVICE | OM_MNT_RO | OM_MNT_NOEXEC;
	/* The mount that PATH would lie on: that of the nearest node above which has or shares one. */
	while (h >= 0 && !(nodes[h].holder >= 0 && holds_below(nodes[nodes[h].holder].kind)))
		h = nodes[h].up;
	on = h >= 0 ? &nodes[nodes[h].holder] : NULL;
	/*
	 * The kernel looks at noexec before it asks file_open: an attempt to run what is not granted would
	 * end without a record. BPF-LSM decides instead. A tmpfs keeps the flag, which says there what
	 * its grant gives, and the loader mounts it likewise.
	 */
	if (kernel && on && on->kind != NODE_TMPFS)
		same = OM_MNT_RO;
	if (on && !n->mount && (on->flags & same) == (n->flags & same) &&
	    !(n->flags & OM_MNT_DEVICE) && !(n->kind == NODE_TREE && on->kind == NODE_DIR)) {
		n->holder = nodes[h].holder;
		return false;
	}
	n->holder = (int32_t)i;
	if (kernel && n->kind != NODE_TMPFS && !(n->flags & OM_MNT_DEVICE))
		n->flags &= ~OM_MNT_NOEXEC;
	if (n->kind == NODE_TREE || n->kind == NODE_BIND)
		n->flags |= OM_MNT_TREE;
	else if (n->kind == NODE_DIR)
		n->flags |= OM_MNT_DIR;
	else if (n->kind == NODE_TMPFS)
		n->flags |= OM_MNT_TMPFS;
	return true;
}

int om_emit_view(const struct om_emit *e, struct om_err *err)
{
	OM_CLEANUP(plan_done) struct plan p = {.ir = e->ir};
	int ret = make_plan(&p, err);

	for (uint32_t i = 0; !ret && i < p.count; i++)
		if (place(&p, i))
			ret = put_mount(e, p.nodes, &p.nodes[i], err);
	return ret;
}
