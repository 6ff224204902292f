/*
 * From paths to objects: opens what the bundle grants, once, before anything is changed.
 *
 * Comes in: FILES and VIEW rows. Goes out: descriptors of the sources, one struct om_resolved per
 * object. Called by: the transaction's step "resolve". Never does: follow a magic link, leave the
 * image's root, or skip a path that is not there: a grant that cannot be loaded is an error.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <linux/magic.h>
#include <loader/process/own.h>
#include <omega/ir.h>
#include <omega/sha256.h>

#define CHUNK (256u * 1024u) /* of a file that is hashed */

static int open_in(int root, const char *path)
{
	struct open_how how = {.flags = O_PATH | O_CLOEXEC,
			       .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS};
	int fd = (int)syscall(SYS_openat2, root, path, &how, sizeof(how));
	return fd < 0 ? -errno : fd;
}

static int unresolved(const struct om_bundle *b, uint32_t grant, const char *path, int ret,
		      struct om_err *err)
{
	uint32_t n = 0;
	const struct om_b_grant *g = om_bundle_section(b, OM_SEC_GRANTS, &n);
	if (grant < n)
		return om_err_sys(err, OM_ERR_RESOLVE, ret, "line %u: %s: %s", g[grant].line,
				  om_bundle_str(b, g[grant].text), path);
	return om_err_sys(err, OM_ERR_RESOLVE, ret, "%s", path);
}

/* Bytes of PATH that lie in or at TO, a directory or file of the view; 0: it is elsewhere. */
static size_t covers(const char *to, const char *path)
{
	size_t n = strlen(to);
	if (n == 1)
		return 1;
	return strncmp(to, path, n) == 0 && (path[n] == '/' || path[n] == '\0') ? n : 0;
}

/*
 * A path in the view, as a path in the image, into OUT of OM_PATH_MAX. 1: it lies in a tmpfs, which
 * is keyed when it is made; 0; or -ENAMETOOLONG.
 */
static int in_image(const struct om_bundle *b, bool view, const char *path, char *out)
{
	uint32_t n = 0;
	const struct om_b_mount *m = om_bundle_section(b, OM_SEC_VIEW, &n);
	const struct om_b_mount *best = NULL;
	size_t best_len = 0;

	for (uint32_t i = 0; view && i < n; i++) {
		size_t len = covers(om_bundle_str(b, m[i].to), path);
		if (len >= best_len && len > 0) {
			best = &m[i];
			best_len = len;
		}
	}
	if (best && best->flags & OM_MNT_TMPFS)
		return 1;
	const char *from = best ? om_bundle_str(b, best->from) : "";
	const char *rest = best_len == 1 ? path : path + best_len;
	if (strcmp(from, "/") == 0)
		from = "";
	int k = snprintf(out, OM_PATH_MAX, "%s%s", from, rest);
	return k < 0 || k >= (int)OM_PATH_MAX ? -ENAMETOOLONG : 0;
}

/* `/proc/self/fd/N` says where FD is on the host. */
static int host_path(int fd, char *out)
{
	char link[64];
	(void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	ssize_t n = readlink(link, out, OM_PATH_MAX - 1);
	if (n < 0)
		return -errno;
	out[n] = '\0';
	return 0;
}

struct submounts {
	int (*fn)(const char *path, const char *type, void *ctx, struct om_err *err);
	void *ctx;
};

/* Every mount point strictly below the directory behind FD. */
static int each_submount(int fd, const struct submounts *s, struct om_err *err)
{
	char top[OM_PATH_MAX], *line = NULL;
	size_t cap = 0;
	int ret = host_path(fd, top);
	if (ret < 0)
		return om_err_sys(err, OM_ERR_RESOLVE, ret,
				  "cannot find a granted directory again");
	FILE *f = fopen("/proc/self/mountinfo", "re");
	if (!f)
		return om_err_sys(err, OM_ERR_IO, -errno, "cannot read the mount table");
	while (ret == 0 && getline(&line, &cap, f) > 0) {
		char *save = NULL, *tok = strtok_r(line, " ", &save);
		for (int i = 0; i < 4 && tok; i++)
			tok = strtok_r(NULL, " ", &save);
		if (!tok || !save)
			continue;
		char *dash = strstr(save, "- ");
		om_mount_unescape(tok);
		size_t n = covers(top, tok);
		if (n == 0 || tok[n] == '\0' || strcmp(tok, "/") == 0)
			continue;
		ret = s->fn(tok, dash ? dash + 2 : "", s->ctx, err);
	}
	free(line);
	(void)fclose(f);
	return ret;
}

#define MAY_ALL (OM_MAY_READ | OM_MAY_WRITE | OM_MAY_CREATE | OM_MAY_REMOVE)

/* The judgement of own.c, with the manifest's line in front of what it says. */
static int judge(struct om_own *own, const struct om_bundle *b, uint32_t grant, const char *path,
		 int fd, const struct om_own_rights *r, struct om_err *err)
{
	uint32_t n = 0;
	const struct om_b_grant *g = om_bundle_section(b, OM_SEC_GRANTS, &n);
	int ret = om_own_judge(own, fd, r, err);

	if (ret < 0 && grant < n)
		om_err_prefix(err, "line %u: %s: %s", g[grant].line,
			      om_bundle_str(b, g[grant].text), path);
	else if (ret < 0)
		om_err_prefix(err, "%s", path);
	return ret;
}

struct tree_ctx {
	struct om_bpf *b;
	struct om_own *own;
	const struct om_bundle *bundle;
	struct om_objects *objs;
	const struct om_b_file *row;
	bool view;
};

/*
 * A walk by dentry parents ends at a mount's root, so the roots of what is mounted below a granted
 * tree are granted too. /proc is not: it would show the host's processes.
 */
static int grant_submount(const char *path, const char *type, void *ctx, struct om_err *err)
{
	struct tree_ctx *t = ctx;
	if (strncmp(type, "proc ", 5) == 0)
		return t->view ? om_err_set(err, OM_ERR_NOT_BUILT, -EOPNOTSUPP,
					    "%s lies below a granted tree: a private /proc is not "
					    "built",
					    path)
			       : 0;
	OM_CLEANUP(om_close_fd) int fd = open(path, O_PATH | O_CLOEXEC);
	if (fd < 0)
		return 0; /* unmounted meanwhile: nothing to grant, denied */
	struct om_own_rights r = {
		.self = t->row->tree, .tree = t->row->tree, .holes = t->b, .submount = true};
	int ret = judge(t->own, t->bundle, t->row->grant, path, fd, &r, err);
	if (ret != 0)
		return ret < 0 ? ret : 0; /* the agent's own mount: without an entry it is denied */
	return om_objects_add(t->b, t->objs, fd, t->row->tree, t->row->tree, NULL, t->row->grant,
			      err);
}

static bool on_proc(int fd)
{
	struct statfs fs;
	return fstatfs(fd, &fs) == 0 && fs.f_type == PROC_SUPER_MAGIC;
}

static bool make_pattern(const struct om_bundle *b, const struct om_b_file *f, struct om_pattern *p)
{
	const char *prefix = om_bundle_str(b, f->prefix), *suffix = om_bundle_str(b, f->suffix);
	size_t pl = strlen(prefix), sl = strlen(suffix);

	memset(p, 0, sizeof(*p));
	if (pl > sizeof(p->prefix) || sl > sizeof(p->suffix))
		return false;
	p->mask = f->pattern_may;
	p->prefix_len = (uint16_t)pl;
	p->suffix_len = (uint16_t)sl;
	p->exact = f->exact;
	memcpy(p->prefix, prefix, pl);
	memcpy(p->suffix, suffix, sl);
	return true;
}

/* Only a regular file is opened: opening a FIFO waits, and a device may act. */
static int open_again(int fd, int *out)
{
	char link[64];
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	if (st.st_size > (off_t)OM_CONTENT_BYTES_MAX)
		return -EFBIG;
	(void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	*out = open(link, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	return *out < 0 ? -errno : 0;
}

static int digest_of(int fd, uint8_t out[static OM_SHA256_LEN])
{
	OM_CLEANUP(om_free_ptr) uint8_t *buf = malloc(CHUNK);
	OM_CLEANUP(om_close_fd) int in = -1;
	struct om_sha256 c;
	uint64_t all = 0;
	ssize_t n;
	int ret = open_again(fd, &in);

	if (ret < 0)
		return ret;
	if (!buf)
		return -ENOMEM;
	om_sha256_init(&c);
	while ((n = read(in, buf, CHUNK)) > 0) {
		/* One that grows while it is read would keep the loader for ever. */
		all += (uint64_t)n;
		if (all > OM_CONTENT_BYTES_MAX)
			return -EFBIG;
		om_sha256_update(&c, buf, (size_t)n);
	}
	if (n < 0)
		return -errno;
	om_sha256_final(&c, out);
	return 0;
}

/*
 * What is there when it is granted, against what the manifest says is there. Never instead of the kernel's
 * comparison at every use: this one tells an author at once what would otherwise be a denial.
 */
static int check_content(const struct om_bundle *b, const struct om_b_file *f, int fd,
			 const char *path, struct om_err *err)
{
	uint32_t files, grants, n, count = 0;
	const struct om_b_file *first = om_bundle_section(b, OM_SEC_FILES, &files);
	const struct om_b_grant *g = om_bundle_section(b, OM_SEC_GRANTS, &grants);
	const struct om_b_digest *d = om_bundle_section(b, OM_SEC_DIGESTS, &n), *one = NULL;
	uint32_t line = f->grant < grants ? g[f->grant].line : 0;
	uint8_t found[OM_SHA256_LEN];
	char is[65], want[65];

	if (!(f->self & OM_MAY_EXEC_BOUND))
		return 0;
	int ret = digest_of(fd, found);
	if (ret < 0)
		return om_err_sys(err, OM_ERR_CONTENT, ret,
				  "line %u: filesystem.exec %s: its content cannot be read", line,
				  path);
	for (uint32_t i = 0; i < n; i++) {
		if (d[i].file != (uint32_t)(f - first))
			continue;
		if (memcmp(d[i].sha256, found, sizeof(found)) == 0)
			return 0;
		one = one ? one : &d[i];
		count++;
	}
	om_sha256_format(found, is);
	om_sha256_format(one ? one->sha256 : found, want);
	return om_err_set(
		err, OM_ERR_CONTENT, -EKEYREJECTED,
		"line %u: filesystem.exec %.200s: its content is %s, the manifest names %s%s", line,
		path, is, one ? want : "none", count > 1 ? " and others" : "");
}

static int one_file(struct om_bpf *b, const struct om_bundle *bundle, bool view, struct om_own *own,
		    const struct om_b_file *f, struct om_resolution *r, struct om_err *err)
{
	const char *path = om_bundle_str(bundle, f->path);
	char image[OM_PATH_MAX];
	struct om_pattern pattern;

	int ret = in_image(bundle, view, path, image);
	if (ret != 0)
		return ret > 0 ? 0 : unresolved(bundle, f->grant, path, ret, err);
	OM_CLEANUP(om_close_fd) int fd = open_in(r->root, image);
	if (fd < 0)
		return unresolved(bundle, f->grant, path, fd, err);
	if (view && on_proc(fd))
		return om_err_set(err, OM_ERR_NOT_BUILT, -EOPNOTSUPP,
				  "%s: a private /proc is not built", path);
	struct om_own_rights rights = {
		.self = f->self, .tree = f->tree, .names = f->pattern_may, .holes = b};
	ret = judge(own, bundle, f->grant, path, fd, &rights, err);
	if (ret < 0)
		return ret;
	if (f->pattern_may && !make_pattern(bundle, f, &pattern))
		return om_err_set(err, OM_ERR_LIMIT, -E2BIG, "%s: pattern is too long", path);
	ret = check_content(bundle, f, fd, path, err);
	if (ret < 0)
		return ret;
	ret = om_objects_add(b, &r->objs, fd, f->self, f->tree, f->pattern_may ? &pattern : NULL,
			     f->grant, err);
	if (ret < 0 || !f->tree)
		return ret;
	struct tree_ctx ctx = {b, own, bundle, &r->objs, f, view};
	struct submounts s = {grant_submount, &ctx};
	return each_submount(fd, &s, err);
}

/*
 * What the view alone narrows: a mount shows all that lies below its source, so nothing of the agent's
 * may. Where BPF-LSM decides, FILES was judged, and this would refuse what can be carved out.
 */
static int judge_source(struct om_own *own, const struct om_bundle *b, const struct om_b_mount *m,
			int fd, struct om_err *err)
{
	uint32_t may = m->flags & OM_MNT_RO ? OM_MAY_READ : MAY_ALL;
	struct om_own_rights r = {.self = may,
				  .tree = m->flags & (OM_MNT_TREE | OM_MNT_DIR) ? may : 0};

	if (b->meta->layers & OM_LAYER_KERNEL)
		return 0;
	return judge(own, b, m->grant, om_bundle_str(b, m->from), fd, &r, err);
}

static int sources(const struct om_bundle *b, struct om_own *own, struct om_resolution *r,
		   struct om_err *err)
{
	uint32_t n = 0;
	const struct om_b_mount *m = om_bundle_section(b, OM_SEC_VIEW, &n);

	r->sources = calloc((size_t)n + 1, sizeof(*r->sources));
	if (!r->sources)
		return om_err_set(err, OM_ERR_NOMEM, -ENOMEM, "%u mounts", n);
	for (uint32_t i = 0; i < n; i++) {
		r->sources[i].fd = -1;
		r->count = i + 1;
		if (m[i].flags & OM_MNT_TMPFS)
			continue;
		const char *from = om_bundle_str(b, m[i].from);
		int fd = open_in(r->root, from);
		if (fd < 0)
			return unresolved(b, m[i].grant, from, fd, err);
		r->sources[i].fd = fd;
		if (on_proc(fd))
			return om_err_set(err, OM_ERR_NOT_BUILT, -EOPNOTSUPP,
					  "%s: a private /proc is not built", from);
		int ret = judge_source(own, b, &m[i], fd, err);
		if (ret < 0)
			return ret;
	}
	return 0;
}

/* Entries that take the agent's directories out of the readable trees that hold them. */
static int carve(struct om_bpf *b, const struct om_own *own, struct om_objects *objs,
		 struct om_err *err)
{
	int ret = 0;

	for (uint32_t i = 0; i < own->count && ret == 0; i++)
		if (own->above & (1u << i))
			ret = om_objects_add(b, objs, own->dirs[i].fd, OM_MAY_NEVER, OM_MAY_NEVER,
					     NULL, ~0u, err);
	return ret;
}

int om_resolve(struct om_bpf *b, const struct om_bundle *bundle, bool view,
	       const struct om_own_names *names, struct om_resolution *r, struct om_err *err)
{
	OM_CLEANUP(om_own_done) struct om_own own = {0};
	const struct om_b_meta *m = bundle->meta;
	const char *top = m->image == OM_IMAGE_DIR ? om_bundle_str(bundle, m->image_dir) : "/";
	uint32_t n = 0;

	r->root = open(top, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (r->root < 0)
		return om_err_sys(err, OM_ERR_RESOLVE, -errno, "image %s", top);
	int ret = om_own_open(names, &own, err);
	if (ret == 0 && view)
		ret = sources(bundle, &own, r, err);
	const struct om_b_file *f = om_bundle_section(bundle, OM_SEC_FILES, &n);
	for (uint32_t i = 0; i < n && ret == 0; i++)
		ret = one_file(b, bundle, view, &own, &f[i], r, err);
	return ret == 0 ? carve(b, &own, &r->objs, err) : ret;
}

void om_resolution_done(struct om_resolution *r)
{
	for (uint32_t i = 0; i < r->count; i++)
		om_close_fd(&r->sources[i].fd);
	free(r->sources);
	om_close_fd(&r->root);
	free(r->objs.v);
	*r = (struct om_resolution){.root = -1};
}
