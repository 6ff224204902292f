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

#define OM_SELF_OURS	 (OM_SELF_TREE | OM_SELF_FILE)
#define OM_PROC_MAGIC	 0x9fa0
#define OM_CGROUP2_MAGIC 0x63677270

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
struct hlist_node___self {
	void *next;
};
struct hlist_head___self {
	struct hlist_node___self *first;
};
struct inode___self {
	struct hlist_head___self i_dentry;
};
struct super_block___self {
	struct dentry *s_root;
};
struct upid___self {
	int nr;
};
struct pid___self {
	struct upid___self numbers[1];
};
struct proc_inode___self {
	struct pid___self *pid;
	struct inode vfs_inode;
};
struct dentry___self {
	struct hlist_node___self d_u;
};
struct dentry___late {
	struct hlist_node___self d_alias;
};
#pragma clang attribute pop

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

/*
 * Another file than the one that its path leads to: an overlay opens the file below itself and keeps its own path.
 * Any name that the inode has says where it lies.
 */
static __always_inline __u64 om_self_alias(struct file *file)
{
	struct inode___self *inode = (struct inode___self *)file->f_inode;
	__u64 first = (__u64)BPF_CORE_READ(inode, i_dentry.first);

	if (!first)
		return 0;
	/* Its name until 7.0 or so; later kernels have it without the union. */
	if (bpf_core_field_exists(((struct dentry___self *)0)->d_u))
		return first - __builtin_preserve_field_info(((struct dentry___self *)0)->d_u,
							     BPF_FIELD_BYTE_OFFSET);
	return first - __builtin_preserve_field_info(((struct dentry___late *)0)->d_alias,
						     BPF_FIELD_BYTE_OFFSET);
}

/*
 * 1: nobody knows where D lies: opened by a file handle, it has no parent, though it is no root. On a file system
 * that holds something of the agent's it could be that.
 */
static __always_inline int om_self_lost(struct dentry *d)
{
	struct super_block___self *sb = (struct super_block___self *)d->d_sb;

	if (d->d_parent != d || (__u64)BPF_CORE_READ(sb, s_root) == (__u64)d)
		return 0;
	return om_self_id(OM_SELF_DEV, d->d_sb->s_dev);
}

/* Files that steer a process (oom_score_adj and others), or all of them at once (sysrq-trigger). */
static __always_inline int om_self_proc(struct file *file, struct dentry *d)
{
	__u32 off = __builtin_preserve_field_info(((struct proc_inode___self *)0)->vfs_inode,
						  BPF_FIELD_BYTE_OFFSET);
	struct proc_inode___self *proc = (void *)((__u64)file->f_inode - off);
	struct pid___self *pid = BPF_CORE_READ(proc, pid);
	struct dentry *parent = d->d_parent;
	__u64 word = 0;
	__u32 nr;

	if (pid) {
		nr = (__u32)BPF_CORE_READ(pid, numbers[0].nr);
		return bpf_map_lookup_elem(&om_self_pids, &nr) != 0;
	}
	if (parent->d_parent != parent || d->d_name.len != 13)
		return 0;
	bpf_probe_read_kernel(&word, sizeof(word), d->d_name.name);
	return (word & 0x00ffffffffffffffull) == OM_WORD("sysrq-t");
}

/* Control files of a cgroup that the agent is in. Others may join it; the init system may set its limits. */
static __always_inline int om_self_steers(struct dentry *d)
{
	struct inode *dir = d->d_parent->d_inode;
	__u64 word = 0;
	char what;

	if (!(om_self_inode(dir) & OM_SELF_STEER))
		return 0;
	bpf_probe_read_kernel(&word, sizeof(word), d->d_name.name);
	what = (char)(word >> 56);
	if ((word & 0x00ffffffffffffffull) != OM_WORD("cgroup."))
		what = 0;
	if (bpf_get_current_pid_tgid() >> 32 == 1)
		return what == 'k' || what == 'f';
	return what != 'p' && what != 't';
}

SEC("lsm/file_open")
int BPF_PROG(om_self_open, struct file *file)
{
	struct dentry *d = file->f_path.dentry;
	__u32 mode = file->f_mode, flags;
	unsigned long magic;
	struct om_ctx c;
	__u64 alias;

	if (!om_self_on())
		return 0;
	flags = om_self_dentry(d);
	if (mode & OM_FMODE_WRITE) {
		magic = d->d_sb->s_magic;
		if (magic == OM_PROC_MAGIC && om_self_proc(file, d))
			flags |= OM_SELF_FILE;
		else if (magic == OM_CGROUP2_MAGIC && om_self_steers(d))
			flags |= OM_SELF_FILE;
		else if (om_self_lost(d))
			flags |= OM_SELF_FILE;
	}
	if (!flags && (__u64)file->f_inode != (__u64)d->d_inode) {
		alias = om_self_alias(file);
		flags = alias ? om_self_address(alias) : 0;
	}
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
