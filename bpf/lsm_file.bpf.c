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
#include "bpf/lib/path.bpf.h"

char LICENSE[] SEC("license") = "GPL";

static __always_inline int om_check_file(struct om_ctx *c, struct file *file, __u32 need)
{
	struct dentry *d = file->f_path.dentry;

	c->need = om_file_missing(c, d, need);
	if (!c->need)
		return 0;
	return om_deny_path(c, d, file->f_path.mnt);
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
	/* A pipe has no name; who holds a descriptor of one may open it again through /proc. */
	if (file->f_path.dentry->d_sb->s_magic == OM_PIPEFS_MAGIC && !(c.flags & OM_SLOT_DENY_ALL))
		need &= ~(OM_MAY_READ | OM_MAY_WRITE);
	if (!need)
		return 0;
	OM_HOOK(&c, "file_open");
	OM_RETURN(om_check_file(&c, file, need), OM_EACCES);
}

SEC("lsm/file_truncate")
int BPF_PROG(om_file_truncate, struct file *file)
{
	struct om_ctx c;

	if (!om_scope(&c))
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
	c.need = om_file_missing(&c, path->dentry, OM_MAY_WRITE);
	if (!c.need)
		return 0;
	OM_HOOK(&c, "path_truncate");
	OM_RETURN(om_deny_path(&c, path->dentry, path->mnt), OM_EACCES);
}
