/*
 * Questions answered here, while the self-guard is strict: may a task that is not the agent steer it from the
 * side? By the cgroup that it is in or is moved to, by its files in /proc, by a mount over what it uses, by a
 * lock, by a link that a pin leads to, by its shims' socket, through the kernel's own memory.
 */
#define OM_KERNEL_LAYER 1
#include "bpf/lib/self.bpf.h"
#include "bpf/lib/ioctl.bpf.h"

char LICENSE[] SEC("license") = "GPL";

#define OM_MAY_INODE_WRITE 2 /* MAY_WRITE of inode_permission */
#define OM_BPFFS_MAGIC	   0xcafe4a11
#define OM_CGROUP2_MAGIC   0x63677270
#define OM_MAY_ACCESS	   0x10 /* asked by access() */
/* Remount, bind-remount, unbindable, private, slave, shared: no new mount. */
#define OM_MS_KIND    (32 | 1 << 17 | 1 << 18 | 1 << 19 | 1 << 20)
#define OM_MS_SLAVE   (1 << 19)
#define OM_SIDE_PEERS 256 /* mounts of one peer group that are looked at */
#define OM_FAN_PERM \
	0x00170000 /* FAN_OPEN_PERM, FAN_ACCESS_PERM, FAN_OPEN_EXEC_PERM, FAN_PRE_ACCESS */

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
struct ns_common___side {
	unsigned int inum;
};
struct mnt_namespace___side {
	struct ns_common___side ns;
};
struct nsproxy___side {
	struct mnt_namespace___side *mnt_ns;
};
struct kernfs_node___side {
	__u64 id;
};
struct cgroup___side {
	struct kernfs_node___side *kn;
};
struct css_set___side {
	struct cgroup___side *dfl_cgrp;
};
struct task_struct___side {
	struct nsproxy___side *nsproxy;
	struct css_set___side *cgroups;
};
struct vfsmount___side {
	struct dentry *mnt_root;
	int mnt_flags;
};
struct list_head___side {
	struct list_head___side *next;
};
struct mount___side {
	struct list_head___side mnt_share;
	struct mount___side *mnt_parent;
	struct vfsmount___side mnt;
	struct mnt_namespace___side *mnt_ns;
	int mnt_id;
	int mnt_group_id;
};
#pragma clang attribute pop

static __always_inline int om_side_deny(struct om_ctx *c, struct dentry *d, struct vfsmount *mnt,
					__u32 need, __u16 op)
{
	c->need = need;
	c->op = op;
	return om_deny_path(c, d, mnt);
}

/* --- cgroups --- */

/* Whom the current task is about to move to another cgroup. Taken by the permission check that follows. */
struct om_self_move {
	__u32 pid;
	__u32 pad;
};
struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct om_self_move);
} om_self_moves SEC(".maps");

/*
 * Something was written to a cgroup.procs: this found the task that is meant. No hook is asked about the move
 * itself, but the kernel asks for the permission to write to the new cgroup in the same call, next.
 * Moved elsewhere the agent could be frozen or killed with its new cgroup, and a brane would be without the
 * programs and limits of its own.
 */
SEC("fexit/cgroup_procs_write_start")
int BPF_PROG(om_self_moved)
{
	struct task_struct *self = bpf_get_current_task_btf();
	struct task_struct___side *who;
	struct om_self_move *move;
	__u64 task = 0;
	struct om_ctx c;
	__u32 pid;

	if (!om_self_on())
		return 0;
	if (bpf_get_func_ret(ctx, &task) || task >= (__u64)-4095 || !task)
		return 0;
	who = (struct task_struct___side *)task;
	pid = BPF_CORE_READ((struct task_struct *)task, tgid);
	if (!bpf_map_lookup_elem(&om_self_pids, &pid) &&
	    !om_brane_of_cgroup(BPF_CORE_READ(who, cgroups, dfl_cgrp, kn, id)))
		return 0;
	if (!om_self_outside(&c))
		return 0;
	move = bpf_task_storage_get(&om_self_moves, self, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (move)
		move->pid = pid;
	return 0;
}

/* 1: the permission asked for is that of a move which must not be. */
static __always_inline __u32 om_side_move(void)
{
	struct om_self_move *move =
		bpf_task_storage_get(&om_self_moves, bpf_get_current_task_btf(), 0, 0);
	__u32 pid = move ? move->pid : 0;

	if (pid)
		move->pid = 0;
	return pid;
}

/*
 * Asked for every component of every path: what is on another file system than these two costs a look at its
 * number. A link of the agent's is had by nobody else, because a descriptor of one could be exchanged for
 * another between the check and the use of a later call.
 */
SEC("lsm/inode_permission")
int BPF_PROG(om_self_permission, struct inode *inode, int mask)
{
	unsigned long magic = inode->i_sb->s_magic;
	struct om_body body = {};
	struct om_ctx c;
	__u32 pid;

	if (magic != OM_CGROUP2_MAGIC && magic != OM_BPFFS_MAGIC)
		return 0;
	if (!om_self_on())
		return 0;
	if (magic == OM_BPFFS_MAGIC) {
		/* access() hands out nothing. */
		if ((mask & OM_MAY_ACCESS) || !(om_self_inode(inode) & OM_SELF_FILE))
			return 0;
		if (!om_self_outside(&c))
			return 0;
		OM_HOOK(&c, "inode_permission");
		OM_RETURN(om_deny_plain(&c, OM_OP_BPF), OM_EPERM);
	}
	if (!(mask & OM_MAY_INODE_WRITE))
		return 0;
	pid = om_side_move();
	if (!pid || !om_self_outside(&c))
		return 0;
	OM_HOOK(&c, "cgroup_attach");
	c.op = OM_OP_SCOPE;
	body.task.pid = pid;
	OM_RETURN(om_emit(&c, &body, OM_BODY_TASK), OM_EPERM);
}

/* --- mounts --- */

#define OM_SIDE_WHICH (OM_SELF_TREE | OM_SELF_FILE | OM_SELF_ABOVE)

static __always_inline struct mount___side *om_side_mount(__u64 vfsmount)
{
	return (struct mount___side *)(vfsmount - __builtin_preserve_field_info(
							  ((struct mount___side *)0)->mnt,
							  BPF_FIELD_BYTE_OFFSET));
}

struct om_side_peers {
	__u64 at, first;
	__u64 open; /* 1: a peer is the agent's, or not all were looked at */
};

/* 1: the agent's directories are reached by M. */
static __always_inline int om_side_ours(struct mount___side *m)
{
	return om_self_id(OM_SELF_MNT, (__u32)BPF_CORE_READ(m, mnt_id));
}

static long om_side_peer(__u32 i, struct om_side_peers *p)
{
	__u32 off = __builtin_preserve_field_info(((struct mount___side *)0)->mnt_share,
						  BPF_FIELD_BYTE_OFFSET);
	struct list_head___side *here = (struct list_head___side *)p->at;
	struct mount___side *m;

	p->at = (__u64)BPF_CORE_READ(here, next);
	if (p->at == p->first) {
		p->open = 0;
		return 1;
	}
	m = (struct mount___side *)(p->at - off);
	return om_side_ours(m);
}

/* 1: what happens on M happens on a mount of the agent's too, by propagation. */
static __always_inline int om_side_peers(struct mount___side *m)
{
	__u32 off = __builtin_preserve_field_info(((struct mount___side *)0)->mnt_share,
						  BPF_FIELD_BYTE_OFFSET);
	struct om_side_peers peers = {.at = (__u64)m + off, .first = (__u64)m + off, .open = 1};
	__u32 group = (__u32)BPF_CORE_READ(m, mnt_group_id);

	if (!group)
		return 0;
	if (om_self_id(OM_SELF_PEER, group))
		return 1;
	bpf_loop(OM_SIDE_PEERS, om_side_peer, &peers, 0);
	return (int)peers.open;
}

/* 1: a mount on PATH would hide something from the agent. OWN: of this very mount, not of its peers. */
static __always_inline int om_side_over(const struct path *path, int own)
{
	struct mount___side *m = om_side_mount((__u64)path->mnt);

	if (!om_self_on() || !(om_self_address((__u64)path->dentry) & OM_SIDE_WHICH))
		return 0;
	return om_side_ours(m) || (!own && om_side_peers(m));
}

SEC("lsm/sb_mount")
int BPF_PROG(om_self_sb_mount, const char *dev, const struct path *path, const char *type,
	     unsigned long flags)
{
	struct om_ctx c;

	/*
	 * Only what puts something there, or lets others: not a change of flags, nor of propagation except to
	 * one that receives.
	 */
	if ((flags & OM_MS_KIND) && !(flags & OM_MS_SLAVE))
		return 0;
	if (!om_side_over(path, flags & OM_MS_SLAVE) || !om_self_outside(&c))
		return 0;
	OM_HOOK(&c, "sb_mount");
	OM_RETURN(om_side_deny(&c, path->dentry, path->mnt, 0, OM_OP_MOUNT), OM_EPERM);
}

SEC("lsm/move_mount")
int BPF_PROG(om_self_move_mount, const struct path *from, const struct path *to)
{
	struct om_ctx c;

	if (!om_side_over(to, 0) && !om_side_over(from, 0))
		return 0;
	if (!om_self_outside(&c))
		return 0;
	OM_HOOK(&c, "move_mount");
	OM_RETURN(om_side_deny(&c, to->dentry, to->mnt, 0, OM_OP_MOUNT), OM_EPERM);
}

SEC("lsm/sb_umount")
int BPF_PROG(om_self_sb_umount, struct vfsmount *mnt, int flags)
{
	struct mount___side *m, *up;
	struct om_ctx c;
	__u64 root;

	if (!om_self_on())
		return 0;
	m = om_side_mount((__u64)mnt);
	root = (__u64)BPF_CORE_READ(m, mnt.mnt_root);
	if (!(om_self_address(root) & OM_SIDE_WHICH))
		return 0;
	up = BPF_CORE_READ(m, mnt_parent);
	if ((!om_side_ours(m) && !om_side_peers(up)) || !om_self_outside(&c))
		return 0;
	OM_HOOK(&c, "sb_umount");
	c.op = OM_OP_MOUNT;
	c.dentry = root;
	c.mnt = (__u64)mnt;
	OM_RETURN(om_emit_path(&c), OM_EPERM);
}

SEC("lsm/sb_pivotroot")
int BPF_PROG(om_self_pivotroot, const struct path *old, const struct path *new)
{
	struct task_struct___side *task = (void *)bpf_get_current_task();
	struct om_self_state *state = om_self_on();
	struct om_ctx c;

	if (!state || BPF_CORE_READ(task, nsproxy, mnt_ns, ns.inum) != state->mnt_ns)
		return 0;
	/* The init system, on the way to the end of the machine. */
	if (bpf_get_current_pid_tgid() >> 32 == 1 || !om_self_outside(&c))
		return 0;
	OM_HOOK(&c, "sb_pivotroot");
	OM_RETURN(om_side_deny(&c, old->dentry, old->mnt, 0, OM_OP_MOUNT), OM_EPERM);
}

/* --- locks, flags, watches, sockets --- */

static __always_inline int om_side_file(struct om_ctx *c, struct file *file)
{
	struct dentry *d = file->f_path.dentry;

	return om_self_on() && (om_self_address((__u64)d) & (OM_SELF_TREE | OM_SELF_FILE)) &&
	       om_self_outside(c);
}

/* A lock keeps the next omegad from starting, a lease keeps the agent waiting. */
SEC("lsm/file_lock")
int BPF_PROG(om_self_lock, struct file *file, unsigned int cmd)
{
	struct om_ctx c;

	if (cmd == OM_F_UNLCK || !om_side_file(&c, file))
		return 0;
	OM_HOOK(&c, "file_lock");
	OM_RETURN(om_side_deny(&c, file->f_path.dentry, file->f_path.mnt, OM_MAY_WRITE, 0),
		  OM_EPERM);
}

/* chattr needs no descriptor that is open for writing; another generation makes it another object. */
static __always_inline int om_side_ioctl(struct file *file, unsigned int cmd)
{
	struct om_ctx c;

	if (!om_ioctl_changes(file, cmd) || !om_side_file(&c, file))
		return 0;
	OM_HOOK(&c, "file_ioctl");
	OM_RETURN(om_side_deny(&c, file->f_path.dentry, file->f_path.mnt, OM_MAY_WRITE, 0),
		  OM_EPERM);
}

SEC("lsm/file_ioctl")
int BPF_PROG(om_self_ioctl, struct file *file, unsigned int cmd)
{
	return om_side_ioctl(file, cmd);
}

SEC("lsm/file_ioctl_compat")
int BPF_PROG(om_self_ioctl_compat, struct file *file, unsigned int cmd)
{
	return om_side_ioctl(file, cmd);
}

/* A watch that must be answered keeps the agent waiting at its own files. */
SEC("lsm/path_notify")
int BPF_PROG(om_self_notify, const struct path *path, __u64 mask, unsigned int type)
{
	__u64 d = (__u64)path->dentry;
	struct om_ctx c;
	__u32 dev;

	if (!(mask & OM_FAN_PERM) || !om_self_on())
		return 0;
	dev = path->dentry->d_sb->s_dev;
	/* On a whole file system or mount: the agent's files are under it, whatever was named. */
	if (type ? !om_self_id(OM_SELF_DEV, dev) : !(om_self_address(d) & OM_SIDE_WHICH))
		return 0;
	if (!om_self_outside(&c))
		return 0;
	OM_HOOK(&c, "path_notify");
	OM_RETURN(om_side_deny(&c, path->dentry, path->mnt, OM_MAY_WRITE, 0), OM_EPERM);
}

/* The shims' socket: what arrives there goes into the log. The control sockets check who asks. */
SEC("lsm/unix_stream_connect")
int BPF_PROG(om_self_connect, struct sock *sock, struct sock *other, struct sock *newsk)
{
	struct unix_sock *u;
	struct om_ctx c;
	__u64 d;

	if (!om_self_on() || BPF_CORE_READ(other, sk_type) != OM_SOCK_SEQPACKET)
		return 0;
	u = bpf_skc_to_unix_sock(other);
	if (!u)
		return 0;
	d = (__u64)BPF_CORE_READ(u, path.dentry);
	if (!d || !(om_self_address(d) & OM_SELF_TREE) || !om_self_outside(&c))
		return 0;
	OM_HOOK(&c, "unix_stream_connect");
	c.op = OM_OP_NET_UNIX;
	c.dentry = d;
	c.mnt = (__u64)BPF_CORE_READ(u, path.mnt);
	OM_RETURN(om_emit_path(&c), OM_EPERM);
}

/* --- the kernel's own memory --- */

enum lockdown_reason___side {
	LOCKDOWN_DEV_MEM___side,
	LOCKDOWN_BPF_WRITE_USER___side,
	LOCKDOWN_DBG_WRITE_KERNEL___side,
	LOCKDOWN_KCORE___side,
};
#define OM_REASON(name) bpf_core_enum_value(enum lockdown_reason___side, name##___side)

/*
 * What reads or writes any memory, the agent's included, without a program of its own in the kernel.
 * Modules and kexec are not here: they replace the kernel, and with it this.
 */
SEC("lsm/locked_down")
int BPF_PROG(om_self_locked_down, int what)
{
	struct om_ctx c;

	if (!om_self_on())
		return 0;
	if (what != (int)OM_REASON(LOCKDOWN_DEV_MEM) &&
	    what != (int)OM_REASON(LOCKDOWN_BPF_WRITE_USER) &&
	    what != (int)OM_REASON(LOCKDOWN_DBG_WRITE_KERNEL) &&
	    what != (int)OM_REASON(LOCKDOWN_KCORE))
		return 0;
	if (!om_self_outside(&c))
		return 0;
	OM_HOOK(&c, "locked_down");
	OM_RETURN(om_deny_plain(&c, OM_OP_SYSTEM), OM_EPERM);
}
