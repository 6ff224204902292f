/*
 * Questions answered here, while the self-guard is strict: may a task that is not the agent change the
 * agent's files, pins, cgroups and programs, or read its keys? And may the agent run this code?
 *
 * Objects are told by the kernel's own key of the inode, and by the dentry parents up to OM_SELF_DEPTH: no
 * name, link or mount makes another object of them. The hooks are those of the inode, which an overlay or a
 * file server in the kernel passes too.
 */
#define OM_KERNEL_LAYER 1
#include "bpf/lib/self.bpf.h"

char LICENSE[] SEC("license") = "GPL";

#define OM_SELF_OURS (OM_SELF_TREE | OM_SELF_FILE)

#define OM_SELF_NAME(hook_, prog_, need_, which_, ...)                \
	SEC("lsm/" #hook_)                                            \
	int BPF_PROG(prog_, __VA_ARGS__)                              \
	{                                                             \
		struct om_ctx c;                                      \
                                                                      \
		if (!om_self_on() || !(om_self_dentry(d) & (which_))) \
			return 0;                                     \
		if (!om_self_outside(&c))                             \
			return 0;                                     \
		OM_HOOK(&c, #hook_);                                  \
		c.need = (need_);                                     \
		OM_RETURN(om_deny_path(&c, d, 0), OM_EPERM);          \
	}

OM_SELF_NAME(inode_create, om_self_create, OM_MAY_CREATE, OM_SELF_OURS, struct inode *dir,
	     struct dentry *d)
OM_SELF_NAME(inode_mkdir, om_self_mkdir, OM_MAY_CREATE, OM_SELF_OURS, struct inode *dir,
	     struct dentry *d)
OM_SELF_NAME(inode_mknod, om_self_mknod, OM_MAY_CREATE, OM_SELF_OURS, struct inode *dir,
	     struct dentry *d)
OM_SELF_NAME(inode_symlink, om_self_symlink, OM_MAY_CREATE, OM_SELF_OURS, struct inode *dir,
	     struct dentry *d)
OM_SELF_NAME(inode_unlink, om_self_unlink, OM_MAY_REMOVE, OM_SELF_OURS, struct inode *dir,
	     struct dentry *d)
OM_SELF_NAME(inode_rmdir, om_self_rmdir, OM_MAY_REMOVE, OM_SELF_OURS | OM_SELF_ABOVE,
	     struct inode *dir, struct dentry *d)
OM_SELF_NAME(inode_setxattr, om_self_setxattr, OM_MAY_WRITE, OM_SELF_OURS, void *idmap,
	     struct dentry *d)
OM_SELF_NAME(inode_removexattr, om_self_removexattr, OM_MAY_WRITE, OM_SELF_OURS, void *idmap,
	     struct dentry *d)
OM_SELF_NAME(inode_set_acl, om_self_set_acl, OM_MAY_WRITE, OM_SELF_OURS, void *idmap,
	     struct dentry *d)
OM_SELF_NAME(inode_remove_acl, om_self_remove_acl, OM_MAY_WRITE, OM_SELF_OURS, void *idmap,
	     struct dentry *d)
/* Mode, owner, times, and the length by truncate and ftruncate. */
OM_SELF_NAME(inode_setattr, om_self_setattr2, OM_MAY_WRITE, OM_SELF_OURS, struct dentry *d)
OM_SELF_NAME(inode_setattr, om_self_setattr3, OM_MAY_WRITE, OM_SELF_OURS, void *idmap,
	     struct dentry *d)

/* A second name would be outside the trees: what it leads to is asked as well as where it is. */
SEC("lsm/inode_link")
int BPF_PROG(om_self_link, struct dentry *old, struct inode *dir, struct dentry *d)
{
	struct om_ctx c;

	if (!om_self_on() || !((om_self_dentry(old) | om_self_dentry(d)) & OM_SELF_OURS))
		return 0;
	if (!om_self_outside(&c))
		return 0;
	OM_HOOK(&c, "inode_link");
	c.need = OM_MAY_CREATE;
	OM_RETURN(om_deny_path(&c, old, 0), OM_EPERM);
}

SEC("lsm/inode_rename")
int BPF_PROG(om_self_rename, struct inode *from_dir, struct dentry *from, struct inode *to_dir,
	     struct dentry *to)
{
	__u32 which = OM_SELF_OURS | OM_SELF_ABOVE;
	struct om_ctx c;

	if (!om_self_on() || !((om_self_dentry(from) | om_self_dentry(to)) & which))
		return 0;
	if (!om_self_outside(&c))
		return 0;
	OM_HOOK(&c, "inode_rename");
	c.need = OM_MAY_REMOVE;
	OM_RETURN(om_deny_path(&c, from, 0), OM_EPERM);
}

SEC("lsm/file_open")
int BPF_PROG(om_self_open, struct file *file)
{
	struct dentry *d = file->f_path.dentry;
	__u32 mode = file->f_mode, flags;
	struct om_ctx c;

	if (!om_self_on())
		return 0;
	flags = om_self_dentry(d);
	if (!(flags & OM_SELF_OURS))
		return 0;
	if (!(mode & OM_FMODE_WRITE) && !(flags & OM_SELF_SECRET))
		return 0;
	if (!om_self_outside(&c))
		return 0;
	OM_HOOK(&c, "file_open");
	c.need = mode & OM_FMODE_WRITE ? OM_MAY_WRITE : OM_MAY_READ;
	OM_RETURN(om_deny_path(&c, d, file->f_path.mnt), OM_EPERM);
}

/* --- the agent's own code --- */

/*
 * Whoever starts omegad chooses its environment: LD_PRELOAD, LD_AUDIT or another library path would make
 * the agent run code of theirs. It runs nothing but what it ran when the guard was made strict.
 */
static __always_inline int om_self_foreign(struct om_ctx *c)
{
	__builtin_memset(c, 0, sizeof(*c));
	c->brane = OM_BRANE_HOST;
	c->where = OM_WHERE_LSM;
	c->need = OM_MAY_EXEC;
	return 1;
}

SEC("lsm/mmap_file")
int BPF_PROG(om_self_mmap, struct file *file, unsigned long reqprot, unsigned long prot,
	     unsigned long flags)
{
	struct om_ctx c;

	if (!(prot & OM_PROT_EXEC) || !om_self_on() || !om_self_who(bpf_get_current_task_btf()))
		return 0;
	om_self_foreign(&c);
	OM_HOOK(&c, "mmap_file");
	if (!om_mapped(ctx) || !file)
		OM_RETURN(om_deny_plain(&c, OM_OP_MEM_EXEC), OM_EACCES);
	if (om_self_inode(file->f_inode) & OM_SELF_CODE)
		return 0;
	OM_RETURN(om_deny_path(&c, file->f_path.dentry, file->f_path.mnt), OM_EACCES);
}

SEC("lsm/file_mprotect")
int BPF_PROG(om_self_mprotect, struct vm_area_struct *vma, unsigned long reqprot,
	     unsigned long prot)
{
	struct om_ctx c;

	if (!(prot & OM_PROT_EXEC) || (vma->vm_flags & OM_VM_EXEC))
		return 0;
	if (!om_self_on() || !om_self_who(bpf_get_current_task_btf()))
		return 0;
	om_self_foreign(&c);
	OM_HOOK(&c, "file_mprotect");
	OM_RETURN(om_deny_plain(&c, OM_OP_MEM_EXEC), OM_EACCES);
}
