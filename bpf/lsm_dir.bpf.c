/*
 * Questions answered here: may this brane make, remove, rename or link this name? May it mount?
 *
 * The inputs are the directory and the name that the kernel has looked up and holds locked; both are
 * dentries, so a name that is about to exist is judged by its place. Links and renames may not give an
 * object rights at its new place that it did not have at the old one: otherwise a brane could carry a
 * file that it may not read into a tree that it may.
 */
#define OM_KERNEL_LAYER 1
#include "bpf/lib/core.bpf.h"
#include "bpf/lib/scope.bpf.h"
#include "bpf/lib/walk.bpf.h"
#include "bpf/lib/path.bpf.h"

char LICENSE[] SEC("license") = "GPL";

#define OM_MAY_USE (OM_MAY_READ | OM_MAY_WRITE | OM_MAY_EXEC)

static __always_inline int om_check_name(struct om_ctx *c, const struct path *dir, struct dentry *d,
					 __u32 need)
{
	c->need = om_file_missing(c, d, need);
	if (!c->need)
		return 0;
	return om_deny_path(c, d, dir->mnt);
}

SEC("lsm/path_mknod")
int BPF_PROG(om_path_mknod, const struct path *dir, struct dentry *d, unsigned int mode)
{
	__u32 type = mode & OM_S_IFMT;
	struct om_ctx c;

	if (!om_scope(&c))
		return 0;
	OM_HOOK(&c, "path_mknod");
	/* A device node would open hardware by a path that the brane chose. */
	if (type == OM_S_IFCHR || type == OM_S_IFBLK) {
		c.op = OM_OP_DEVICE;
		OM_RETURN(om_deny_path(&c, d, dir->mnt), OM_EPERM);
	}
	/* No grant means a set-user-id file: a user of the host would run it as the brane's user. */
	if (mode & OM_S_SPECIAL) {
		c.need = OM_MAY_CREATE;
		OM_RETURN(om_deny_path(&c, d, dir->mnt), OM_EPERM);
	}
	OM_RETURN(om_check_name(&c, dir, d, OM_MAY_CREATE), OM_EACCES);
}

SEC("lsm/path_mkdir")
int BPF_PROG(om_path_mkdir, const struct path *dir, struct dentry *d)
{
	struct om_ctx c;

	if (!om_scope(&c))
		return 0;
	OM_HOOK(&c, "path_mkdir");
	OM_RETURN(om_check_name(&c, dir, d, OM_MAY_CREATE), OM_EACCES);
}

SEC("lsm/path_symlink")
int BPF_PROG(om_path_symlink, const struct path *dir, struct dentry *d)
{
	struct om_ctx c;

	if (!om_scope(&c))
		return 0;
	OM_HOOK(&c, "path_symlink");
	OM_RETURN(om_check_name(&c, dir, d, OM_MAY_CREATE), OM_EACCES);
}

SEC("lsm/path_unlink")
int BPF_PROG(om_path_unlink, const struct path *dir, struct dentry *d)
{
	struct om_ctx c;

	if (!om_scope(&c))
		return 0;
	OM_HOOK(&c, "path_unlink");
	OM_RETURN(om_check_name(&c, dir, d, OM_MAY_REMOVE), OM_EACCES);
}

SEC("lsm/path_rmdir")
int BPF_PROG(om_path_rmdir, const struct path *dir, struct dentry *d)
{
	struct om_ctx c;

	if (!om_scope(&c))
		return 0;
	OM_HOOK(&c, "path_rmdir");
	OM_RETURN(om_check_name(&c, dir, d, OM_MAY_REMOVE), OM_EACCES);
}

/*
 * MISSING, as a number that the verifier knows nothing about. It follows what comes after a walk once for
 * each end that the walk can have; several walks in a row would multiply that.
 */
static __always_inline __u32 om_forget(__u32 missing)
{
	__u32 same;

	if (bpf_probe_read_kernel(&same, sizeof(same), &missing))
		return OM_MAY_USE; /* never; but then everything is missing */
	return same;
}

/* Rights that the object at FROM would have at the name TO and does not have now. */
static __always_inline __u32 om_gained(const struct om_ctx *c, struct dentry *from,
				       struct dentry *to)
{
	struct inode *inode = from->d_inode;
	__u32 lacks, other;

	/* There always is one; newer verifiers want to see it. Without it, nothing is shown to be owned. */
	if (!inode)
		return OM_MAY_USE;
	/* OM_SELF_TREE for a directory, else OM_SELF_ALL; without a branch, which would double the walks. */
	other = (inode->i_mode & OM_S_IFMT) ^ OM_S_IFDIR;
	asm volatile("" : "+r"(other));
	other = 0u - ((other | (0u - other)) >> 31);
	lacks = om_forget(om_missing(c->policy, from, OM_MAY_USE, other, 0));
	if (!lacks)
		return 0;
	return om_forget(lacks & ~om_missing(c->policy, to, lacks, 0, 1));
}

SEC("lsm/path_link")
int BPF_PROG(om_path_link, struct dentry *old, const struct path *dir, struct dentry *d)
{
	struct om_ctx c;

	if (!om_scope(&c))
		return 0;
	OM_HOOK(&c, "path_link");
	/* A second name outlives the first: only for what the brane may change anyway. */
	c.need = om_forget(om_file_missing(&c, old, OM_MAY_READ | OM_MAY_WRITE)) |
		 om_gained(&c, old, d);
	if (c.need)
		OM_RETURN(om_deny_path(&c, old, dir->mnt), OM_EACCES);
	OM_RETURN(om_check_name(&c, dir, d, OM_MAY_CREATE), OM_EACCES);
}

/* One direction of a rename. 1: denied and recorded. */
static __always_inline int om_check_move(struct om_ctx *c, const struct path *from_dir,
					 struct dentry *from, const struct path *to_dir,
					 struct dentry *to)
{
	c->need = om_forget(om_file_missing(c, from, OM_MAY_REMOVE));
	if (!c->need)
		c->need = om_gained(c, from, to);
	if (c->need)
		return om_deny_path(c, from, from_dir->mnt);
	/* A name that exists is replaced, which removes what stands there. */
	return om_check_name(c, to_dir, to,
			     om_exists(to) ? OM_MAY_CREATE | OM_MAY_REMOVE : OM_MAY_CREATE);
}

SEC("lsm/path_rename")
int BPF_PROG(om_path_rename, const struct path *old_dir, struct dentry *old,
	     const struct path *new_dir, struct dentry *new, unsigned int flags)
{
	struct om_ctx c;

	if (!om_scope(&c))
		return 0;
	OM_HOOK(&c, "path_rename");
	if (om_check_move(&c, old_dir, old, new_dir, new))
		OM_RETURN(1, OM_EACCES);
	if (!(flags & OM_RENAME_EXCHANGE))
		return 0;
	c.op = OM_OP_NONE;
	OM_RETURN(om_check_move(&c, new_dir, new, old_dir, old), OM_EACCES);
}

/*
 * --- mounts: a brane's view is made before it starts and never by itself ---
 */

static __always_inline int om_deny_mount(struct om_ctx *c, const struct path *path)
{
	c->op = OM_OP_MOUNT;
	c->need = 0;
	return om_deny_path(c, path->dentry, path->mnt);
}

SEC("lsm/sb_mount")
int BPF_PROG(om_sb_mount, const char *dev, const struct path *path)
{
	struct om_ctx c;

	if (!om_scope(&c))
		return 0;
	OM_HOOK(&c, "sb_mount");
	OM_RETURN(om_deny_mount(&c, path), OM_EPERM);
}

SEC("lsm/move_mount")
int BPF_PROG(om_move_mount, const struct path *from, const struct path *to)
{
	struct om_ctx c;

	if (!om_scope(&c))
		return 0;
	OM_HOOK(&c, "move_mount");
	OM_RETURN(om_deny_mount(&c, to), OM_EPERM);
}

SEC("lsm/sb_pivotroot")
int BPF_PROG(om_sb_pivotroot, const struct path *old, const struct path *new)
{
	struct om_ctx c;

	if (!om_scope(&c))
		return 0;
	OM_HOOK(&c, "sb_pivotroot");
	OM_RETURN(om_deny_mount(&c, new), OM_EPERM);
}

SEC("lsm/path_chroot")
int BPF_PROG(om_path_chroot, const struct path *path)
{
	struct om_ctx c;

	if (!om_scope(&c))
		return 0;
	OM_HOOK(&c, "path_chroot");
	OM_RETURN(om_deny_mount(&c, path), OM_EPERM);
}

SEC("lsm/sb_umount")
int BPF_PROG(om_sb_umount)
{
	struct om_ctx c;

	if (!om_scope(&c))
		return 0;
	OM_HOOK(&c, "sb_umount");
	OM_RETURN(om_deny_plain(&c, OM_OP_MOUNT), OM_EPERM);
}

SEC("lsm/sb_remount")
int BPF_PROG(om_sb_remount)
{
	struct om_ctx c;

	if (!om_scope(&c))
		return 0;
	OM_HOOK(&c, "sb_remount");
	OM_RETURN(om_deny_plain(&c, OM_OP_MOUNT), OM_EPERM);
}
