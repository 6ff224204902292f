/*
 * Questions answered here: may this brane read, write or execute the object behind this descriptor as
 * it is opened or resized?
 *
 * The object is the one that the kernel resolved and is about to hand out; symlinks, hard links, binds,
 * /proc/self/fd and detached mounts have been followed already and cannot change it any more. A file of
 * a file system that no grant names (memfd, a fresh tmpfs) is covered by no entry and thus denied.
 */
#define OM_KERNEL_LAYER 1
#include "bpf/lib/core.bpf.h"
#include "bpf/lib/scope.bpf.h"
#include "bpf/lib/walk.bpf.h"
#include "bpf/lib/ioctl.bpf.h"
#include "bpf/lib/path.bpf.h"

char LICENSE[] SEC("license") = "GPL";

static __always_inline int om_check_file(struct om_ctx *c, struct file *file, __u32 need)
{
	struct dentry *d = file->f_path.dentry;

	/* What is bound to contents may be opened by execve: bprm_check and mmap_file look at the content. */
	c->need = om_file_missing(c, d, need) & ~OM_MAY_EXEC_BOUND;
	if (!c->need)
		return 0;
	return om_deny_path(c, d, file->f_path.mnt);
}

/*
 * Objects without a path that a grant could name. Who holds a descriptor of a pipe may open it again
 * through /proc; a process descriptor (6.9+: a file of its own) gives nothing that task_kill and
 * ptrace_access_check do not decide.
 */
static __always_inline int om_nameless(const struct dentry *d)
{
	unsigned long magic = d->d_sb->s_magic;

	return magic == OM_PIPEFS_MAGIC || magic == OM_PIDFS_MAGIC;
}

/*
 * An overlay sets attributes of its upper files with the mounter's credentials; the task was asked
 * about the overlay's own file already. No task can borrow credentials otherwise: io_uring, whose
 * personalities could, is not to be had in a brane (inode_init_security_anon).
 */
static __always_inline int om_borrowed_cred(void)
{
	struct task_struct *task = bpf_get_current_task_btf();

	return task->cred != task->real_cred;
}

/*
 * An overlay lists its layers' directories, and copies a file up, by opening them itself: with borrowed
 * credentials, on a mount of its own that is in no namespace. The task was asked about the overlay's
 * object before. A core dump borrows credentials too, but opens by a path.
 */
#define OM_MNT_INTERNAL ((__u64)-22) /* mnt_ns of a mount that no path leads to: ERR_PTR(-EINVAL) */

static __always_inline int om_overlay_inner(struct file *file)
{
	__u32 off = __builtin_preserve_field_info(((struct mount *)0)->mnt, BPF_FIELD_BYTE_OFFSET);
	__u64 mnt = (__u64)BPF_CORE_READ(file, f_path.mnt);

	if (!om_borrowed_cred())
		return 0;
	return (__u64)BPF_CORE_READ((struct mount *)(mnt - off), mnt_ns) == OM_MNT_INTERNAL;
}

SEC("lsm/file_open")
int BPF_PROG(om_file_open, struct file *file)
{
	__u32 mode = file->f_mode, flags = file->f_flags, need = 0;
	struct om_ctx c;

	if (!om_scope(&c))
		return 0;
	/* The file below an overlay's own: the overlay's file was decided on, a task cannot ask for this. */
	if (mode & OM_FMODE_BACKING)
		return 0;
	if (flags & OM_FMODE_EXEC) /* set by execve only: open() masks it */
		need |= OM_MAY_EXEC;
	else if (mode & OM_FMODE_READ)
		need |= OM_MAY_READ;
	if ((mode & OM_FMODE_WRITE) || (flags & OM_O_TRUNC))
		need |= OM_MAY_WRITE;
	if (flags & OM_O_TMPFILE)
		need |= OM_MAY_CREATE;
	if (om_nameless(file->f_path.dentry) && !(c.flags & OM_SLOT_DENY_ALL))
		need &= ~(OM_MAY_READ | OM_MAY_WRITE);
	if (!need || (om_overlay_inner(file) && !(c.flags & OM_SLOT_DENY_ALL)))
		return 0;
	OM_HOOK(&c, "file_open");
	/* A file without a name was made by no path hook; it may get a name later. */
	if ((flags & OM_O_TMPFILE) && (file->f_inode->i_mode & OM_S_SPECIAL)) {
		c.need = OM_MAY_CREATE;
		OM_RETURN(om_deny_path(&c, file->f_path.dentry, file->f_path.mnt), OM_EPERM);
	}
	OM_RETURN(om_check_file(&c, file, need), OM_EACCES);
}

SEC("lsm/file_truncate")
int BPF_PROG(om_file_truncate, struct file *file)
{
	struct om_ctx c;

	if (!om_scope(&c))
		return 0;
	if (om_own_memory(&c, file->f_path.dentry))
		return 0;
	OM_HOOK(&c, "file_truncate");
	OM_RETURN(om_check_file(&c, file, OM_MAY_WRITE), OM_EACCES);
}

SEC("lsm/path_truncate")
int BPF_PROG(om_path_truncate, const struct path *path)
{
	struct om_ctx c;

	if (!om_scope(&c))
		return 0;
	if (om_own_memory(&c, path->dentry))
		return 0;
	c.need = om_file_missing(&c, path->dentry, OM_MAY_WRITE);
	if (!c.need)
		return 0;
	OM_HOOK(&c, "path_truncate");
	OM_RETURN(om_deny_path(&c, path->dentry, path->mnt), OM_EACCES);
}

/*
 * --- metadata: who may write a file may set its mode, owner, times and attributes ---
 */

static __always_inline int om_check_path(struct om_ctx *c, const struct path *path, __u32 need)
{
	c->need = om_file_missing(c, path->dentry, need);
	if (!c->need)
		return 0;
	return om_deny_path(c, path->dentry, path->mnt);
}

/* Set-group-id means another thing on a directory: whom new files in it belong to. */
static __always_inline int om_special(struct dentry *d, unsigned int mode)
{
	__u16 type = BPF_CORE_READ(d, d_inode, i_mode) & OM_S_IFMT;

	return type != OM_S_IFDIR && (mode & OM_S_SPECIAL);
}

SEC("lsm/path_chmod")
int BPF_PROG(om_path_chmod, const struct path *path, unsigned int mode)
{
	struct om_ctx c;

	if (!om_scope(&c))
		return 0;
	OM_HOOK(&c, "path_chmod");
	/* No grant means these bits: a user of the host would run the file with the brane's user id. */
	if (om_special(path->dentry, mode)) {
		c.need = OM_MAY_WRITE;
		OM_RETURN(om_deny_path(&c, path->dentry, path->mnt), OM_EPERM);
	}
	OM_RETURN(om_check_path(&c, path, OM_MAY_WRITE), OM_EACCES);
}

SEC("lsm/path_chown")
int BPF_PROG(om_path_chown, const struct path *path)
{
	struct om_ctx c;

	if (!om_scope(&c))
		return 0;
	OM_HOOK(&c, "path_chown");
	OM_RETURN(om_check_path(&c, path, OM_MAY_WRITE), OM_EACCES);
}

/* Watching a file tells when others use it. */
SEC("lsm/path_notify")
int BPF_PROG(om_path_notify, const struct path *path)
{
	struct om_ctx c;

	if (!om_scope(&c))
		return 0;
	OM_HOOK(&c, "path_notify");
	OM_RETURN(om_check_path(&c, path, OM_MAY_READ), OM_EACCES);
}

static __always_inline int om_check_inode(struct om_ctx *c, struct dentry *d, __u32 need)
{
	if (om_borrowed_cred() && !(c->flags & OM_SLOT_DENY_ALL))
		return 0;
	c->need = om_file_missing(c, d, need);
	if (!c->need)
		return 0;
	return om_deny_path(c, d, 0);
}

#define OM_ATTR_SIZE	   0x08
#define OM_ATTR_PATH_HOOKS 0x0f /* mode, uid, gid, size: a path hook has recorded these */

static __always_inline int om_setattr(struct dentry *d, struct iattr *attr)
{
	struct om_ctx c;

	if (!om_scope(&c))
		return 0;
	if (!om_verdict(&c) && (attr->ia_valid & OM_ATTR_PATH_HOOKS))
		return 0;
	/* Its size; mode and owner are path_chmod's and path_chown's to refuse. */
	if ((attr->ia_valid & OM_ATTR_SIZE) && om_own_memory(&c, d))
		return 0;
	OM_HOOK(&c, "inode_setattr");
	OM_RETURN(om_check_inode(&c, d, OM_MAY_WRITE), OM_EACCES);
}

/* Two flavours: kernels before 6.8 or so pass no mount's id map. */
SEC("lsm/inode_setattr")
int BPF_PROG(om_inode_setattr2, struct dentry *d, struct iattr *attr)
{
	return om_setattr(d, attr);
}

SEC("lsm/inode_setattr")
int BPF_PROG(om_inode_setattr3, void *idmap, struct dentry *d, struct iattr *attr)
{
	return om_setattr(d, attr);
}

SEC("lsm/inode_setxattr")
int BPF_PROG(om_inode_setxattr, void *idmap, struct dentry *d, const char *name)
{
	__u64 prefix = 0;
	__u32 need = OM_MAY_WRITE;
	struct om_ctx c;

	if (!om_scope(&c))
		return 0;
	OM_HOOK(&c, "inode_setxattr");
	/*
	 * Before 6.9 a registered BPF-LSM makes the kernel skip its own capability check for security.*
	 * attributes. No grant means those: they are denied whatever the rights on the file.
	 */
	bpf_probe_read_kernel_str(&prefix, sizeof(prefix), name);
	if (prefix == OM_WORD("securit") && !om_borrowed_cred()) {
		c.need = need;
		OM_RETURN(om_deny_path(&c, d, 0), OM_EACCES);
	}
	OM_RETURN(om_check_inode(&c, d, need), OM_EACCES);
}

SEC("lsm/inode_removexattr")
int BPF_PROG(om_inode_removexattr, void *idmap, struct dentry *d)
{
	struct om_ctx c;

	if (!om_scope(&c))
		return 0;
	OM_HOOK(&c, "inode_removexattr");
	OM_RETURN(om_check_inode(&c, d, OM_MAY_WRITE), OM_EACCES);
}

/* 6.2 and later: POSIX ACLs left inode_setxattr. */
SEC("lsm/inode_set_acl")
int BPF_PROG(om_inode_set_acl, void *idmap, struct dentry *d)
{
	struct om_ctx c;

	if (!om_scope(&c))
		return 0;
	OM_HOOK(&c, "inode_set_acl");
	OM_RETURN(om_check_inode(&c, d, OM_MAY_WRITE), OM_EACCES);
}

SEC("lsm/inode_remove_acl")
int BPF_PROG(om_inode_remove_acl, void *idmap, struct dentry *d)
{
	struct om_ctx c;

	if (!om_scope(&c))
		return 0;
	OM_HOOK(&c, "inode_remove_acl");
	OM_RETURN(om_check_inode(&c, d, OM_MAY_WRITE), OM_EACCES);
}

/*
 * --- ioctl: what changes a file without being a write, and what types into a terminal ---
 */

#define OM_TIOCSTI   0x5412
#define OM_TIOCLINUX 0x541c
#define OM_FIOSETOWN 0x8901 /* as fcntl(F_SETOWN), and so is the next */
#define OM_SIOCSPGRP 0x8902

static __always_inline int om_ioctl(struct file *file, unsigned int cmd)
{
	int owner = cmd == OM_FIOSETOWN || cmd == OM_SIOCSPGRP;
	int types = cmd == OM_TIOCSTI || cmd == OM_TIOCLINUX;
	int changes = om_ioctl_changes(file, cmd);
	struct om_ctx c;

	if (!owner && !types && !changes)
		return 0;
	if (!om_scope(&c))
		return 0;
	OM_HOOK(&c, "file_ioctl");
	if (owner) {
		/* A view has a pid namespace of its own: nobody outside of it can be named. */
		if (c.flags & OM_SLOT_VIEW)
			return 0;
		OM_RETURN(om_deny_plain(&c, OM_OP_SIGNAL), OM_EPERM);
	}
	if (types)
		OM_RETURN(om_deny_plain(&c, OM_OP_SYSTEM), OM_EPERM);
	OM_RETURN(om_check_file(&c, file, OM_MAY_WRITE), OM_EACCES);
}

SEC("lsm/file_ioctl")
int BPF_PROG(om_file_ioctl, struct file *file, unsigned int cmd)
{
	return om_ioctl(file, cmd);
}

/* 6.8 and later: 32-bit callers have a hook of their own. */
SEC("lsm/file_ioctl_compat")
int BPF_PROG(om_file_ioctl_compat, struct file *file, unsigned int cmd)
{
	return om_ioctl(file, cmd);
}

/*
 * --- locks: who may not change a file may not shut others out of it either ---
 */

/* Opened for writing: decided then. Else the object is asked, whose owner may have meant it read-only. */
static __always_inline int om_check_lock(struct om_ctx *c, struct file *file)
{
	return file->f_mode & OM_FMODE_WRITE ? 0 : om_check_file(c, file, OM_MAY_WRITE);
}

/* flock() takes an exclusive lock on a descriptor that is open for reading: a channel, and a stop sign. */
SEC("lsm/file_lock")
int BPF_PROG(om_file_lock, struct file *file, unsigned int cmd)
{
	struct om_ctx c;

	if (cmd != OM_F_WRLCK || !om_scope(&c))
		return 0;
	OM_HOOK(&c, "file_lock");
	OM_RETURN(om_check_lock(&c, file), OM_EACCES);
}

/* A read lease makes everybody who opens the file for writing wait until it is given back. */
SEC("lsm/file_fcntl")
int BPF_PROG(om_file_lease, struct file *file, unsigned int cmd, unsigned long arg)
{
	struct om_ctx c;

	if (cmd != OM_F_SETLEASE || (__u32)arg == OM_F_UNLCK || !om_scope(&c))
		return 0;
	OM_HOOK(&c, "file_fcntl");
	OM_RETURN(om_check_lock(&c, file), OM_EACCES);
}
