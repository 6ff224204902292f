/*
 * Detached mounts: the private root, and one mount per row of the view.
 *
 * Comes in: open sources. Goes out: mount descriptors that exist nowhere until the builder attaches
 * them in the brane's own namespace. Called by: the transaction's step "view". Never does: attach;
 * leave a mount shared with the host (propagation is private, recursively).
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>
#include <loader/process/view.h>
#include <omega/ir.h>

/* Directories and links only; a grant's own data never lies in it. */
#define ROOT_BYTES	 (4u * 1024u * 1024u)
#define TMPFS_INODES_MAX 65536u /* memory that the size option does not count */

static int new_tmpfs(uint64_t bytes, const char *mode, uint64_t attr, struct om_err *err)
{
	char size[32], inodes[32];
	OM_CLEANUP(om_close_fd) int fs = fsopen("tmpfs", FSOPEN_CLOEXEC);
	(void)snprintf(size, sizeof(size), "%llu", (unsigned long long)bytes);
	(void)snprintf(inodes, sizeof(inodes), "%u", TMPFS_INODES_MAX);
	if (fs < 0 || fsconfig(fs, FSCONFIG_SET_STRING, "size", size, 0) < 0 ||
	    fsconfig(fs, FSCONFIG_SET_STRING, "nr_inodes", inodes, 0) < 0 ||
	    fsconfig(fs, FSCONFIG_SET_STRING, "mode", mode, 0) < 0 ||
	    fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return om_err_sys(err, OM_ERR_VIEW, -errno, "cannot make a tmpfs of %s bytes",
				  size);
	int fd = fsmount(fs, FSMOUNT_CLOEXEC, (unsigned int)attr);
	if (fd < 0)
		return om_err_sys(err, OM_ERR_VIEW, -errno, "cannot mount a tmpfs");
	return fd;
}

/* Readable or writable by anybody without effect on the host: null zero full random urandom tty. */
static bool harmless(const struct stat *st)
{
	static const unsigned int minors[] = {3, 5, 7, 8, 9};
	if (!S_ISCHR(st->st_mode))
		return false;
	for (size_t i = 0; i < OM_ARRAY_LEN(minors); i++)
		if (st->st_rdev == makedev(1, minors[i]))
			return true;
	return st->st_rdev == makedev(5, 0);
}

static int bind_one(int source, uint32_t flags, const char *path, struct om_err *err)
{
	unsigned int tree = flags & OM_MNT_TREE ? AT_RECURSIVE : 0;
	struct mount_attr attr = {
		.attr_set = MOUNT_ATTR_NOSUID,
		.propagation = MS_PRIVATE, /* else a later mount on the host appears in the brane */
	};
	struct stat st;

	if (flags & OM_MNT_RO)
		attr.attr_set |= MOUNT_ATTR_RDONLY;
	if (flags & OM_MNT_NOEXEC)
		attr.attr_set |= MOUNT_ATTR_NOEXEC;
	if (!(flags & OM_MNT_DEVICE)) {
		attr.attr_set |= MOUNT_ATTR_NODEV;
	} else if (fstat(source, &st) < 0 || !harmless(&st)) {
		/* What /dev/null names on this host could have been replaced (CVE-2025-31133). */
		return om_err_set(err, OM_ERR_VIEW, -ENODEV, "%s is not a harmless device", path);
	}
	OM_CLEANUP(om_close_fd)
	int fd = open_tree(source, "", AT_EMPTY_PATH | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | tree);
	if (fd < 0)
		return om_err_sys(err, OM_ERR_VIEW, -errno, "cannot clone the mount of %s", path);
	if (mount_setattr(fd, "", AT_EMPTY_PATH | tree, &attr, sizeof(attr)) < 0)
		return om_err_sys(err, OM_ERR_VIEW, -errno, "cannot restrict the mount of %s",
				  path);
	return OM_STEAL_FD(fd);
}

static int tmpfs_one(struct om_bpf *b, const struct om_b_mount *m, struct om_objects *objs,
		     struct om_err *err)
{
	uint64_t attr = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV;
	uint32_t may = OM_MAY_READ;

	if (m->flags & OM_MNT_RO)
		attr |= MOUNT_ATTR_RDONLY;
	else
		may |= OM_MAY_WRITE | OM_MAY_CREATE | OM_MAY_REMOVE;
	if (!(m->flags & OM_MNT_NOEXEC))
		may |= OM_MAY_EXEC;
	else if (!b)
		attr |= MOUNT_ATTR_NOEXEC; /* with BPF-LSM it would hide the attempt from the record */
	OM_CLEANUP(om_close_fd) int fd = new_tmpfs(m->bytes, "1777", attr, err);
	if (fd < 0)
		return fd;
	int ret = om_objects_add(b, objs, fd, may, may, NULL, ~0u, err);
	return ret < 0 ? ret : OM_STEAL_FD(fd);
}

/*
 * What leads to a granted path is not granted itself. BPF-LSM denies listing it, and records that; without
 * it the mode does: to walk through, not to read. Every member lacks the capabilities that pass modes.
 */
static mode_t skeleton_mode(const struct om_bundle *bundle)
{
	return bundle->meta->layers & OM_LAYER_KERNEL ? 0755 : 0111;
}

static int one(struct om_bpf *b, const struct om_bundle *bundle, const struct om_b_mount *m,
	       struct om_source *src, struct om_skeleton *skel, struct om_objects *objs,
	       struct om_err *err)
{
	const char *to = om_bundle_str(bundle, m->to);
	char canon[OM_PATH_MAX];
	struct stat st = {.st_mode = S_IFDIR};

	if (src->fd >= 0 && fstat(src->fd, &st) < 0)
		return om_err_sys(err, OM_ERR_VIEW, -errno, "%s", to);
	/* A directory bound for its own sake shows all below it: only BPF-LSM can narrow that. */
	if (src->fd >= 0 && S_ISDIR(st.st_mode) && !(m->flags & (OM_MNT_TREE | OM_MNT_DIR)) &&
	    !(bundle->meta->layers & OM_LAYER_KERNEL))
		return om_err_set(err, OM_ERR_VIEW, -EISDIR,
				  "%s is a directory, granted without what is in it", to);
	int ret = om_skeleton_add(skel, to, S_ISDIR(st.st_mode), canon);
	if (ret < 0)
		return om_err_sys(err, OM_ERR_VIEW, ret, "cannot make a place for %s", to);
	src->to = strdup(canon);
	if (!src->to)
		return om_err_set(err, OM_ERR_NOMEM, -ENOMEM, "%s", to);
	if (src->fd < 0)
		return tmpfs_one(b, m, objs, err);
	return bind_one(src->fd, m->flags, to, err);
}

int om_view_prepare(struct om_bpf *b, const struct om_bundle *bundle, struct om_resolution *res,
		    struct om_view *v, struct om_err *err)
{
	uint32_t n = 0;
	const struct om_b_mount *m = om_bundle_section(bundle, OM_SEC_VIEW, &n);
	struct mount_attr ro = {.attr_set = MOUNT_ATTR_RDONLY};

	v->mounts = calloc((size_t)n + 1, sizeof(*v->mounts));
	v->to = calloc((size_t)n + 1, sizeof(*v->to));
	if (!v->mounts || !v->to)
		return om_err_set(err, OM_ERR_NOMEM, -ENOMEM, "%u mounts", n);
	v->root = new_tmpfs(ROOT_BYTES, skeleton_mode(bundle) == 0755 ? "755" : "111",
			    MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC, err);
	if (v->root < 0)
		return v->root;
	struct om_skeleton skel = {
		.skel = v->root, .image = res->root, .mode = skeleton_mode(bundle)};
	int ret = om_skeleton_usr(v->root, res->root);
	if (ret < 0)
		return om_err_sys(err, OM_ERR_VIEW, ret, "cannot make the root's links");
	for (uint32_t i = 0; i < n; i++) {
		int fd = one(b, bundle, &m[i], &res->sources[i], &skel, &res->objs, err);
		v->to[i] = OM_STEAL_PTR(res->sources[i].to);
		v->count = i + 1;
		v->mounts[i] = fd;
		if (fd < 0)
			return fd;
	}
	/* Not granted: whoever lists what leads to a granted path asks for more than the path. */
	if (mount_setattr(v->root, "", AT_EMPTY_PATH, &ro, sizeof(ro)) < 0)
		return om_err_sys(err, OM_ERR_VIEW, -errno, "cannot make the root read-only");
	return 0;
}

void om_view_done(struct om_view *v)
{
	for (uint32_t i = 0; i < v->count; i++) {
		om_close_fd(&v->mounts[i]);
		free(v->to[i]);
	}
	free(v->mounts);
	free(v->to);
	om_close_fd(&v->root);
	*v = (struct om_view){.root = -1};
}
