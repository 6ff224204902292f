/*
 * Questions answered here: may this brane touch that process, or the kernel itself? And the label's
 * inheritance: a child is in its parent's brane before it runs.
 *
 * The inputs are the kernel's task structs and the label of each; pids and namespaces are not looked
 * at. Kernel surfaces (bpf, perf, modules, keys, clock, log, quotas, user namespaces) are denied whole:
 * no grant can name them. Signals that the kernel sends pass no hook.
 */
#define OM_KERNEL_LAYER 1
#include "bpf/lib/core.bpf.h"
#include "bpf/lib/scope.bpf.h"
#include "bpf/lib/task.bpf.h"

char LICENSE[] SEC("license") = "GPL";

#define OM_MQUEUE_MAGIC	 0x19800202
#define OM_F_SETOWN	 8
#define OM_F_SETOWN_EX	 15
#define OM_CLONE_INTO_CG 0x200000000ull
#define OM_RLIMIT_CORE	 4

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct rlimit {
	unsigned long rlim_cur;
	unsigned long rlim_max;
};

struct signal_struct {
	struct rlimit rlim[OM_RLIMIT_CORE + 1]; /* longer in the kernel */
};

struct task_struct___limits {
	struct signal_struct *signal;
};

#pragma clang attribute pop

/*
 * At fork and clone, io_uring workers included. The parent's brane is found by label or by cgroup, so
 * that a child that leaves the cgroup later carries the label from birth.
 */
SEC("lsm/task_alloc")
int BPF_PROG(om_task_alloc, struct task_struct *task, unsigned long clone_flags)
{
	struct om_label fresh = {};
	struct om_ctx c;

	/* A brane that BPF-LSM does not decide for is labelled too: its layers may change. */
	__builtin_memset(&c, 0, sizeof(c));
	if (!om_scope(&c) && !c.brane)
		return 0;
	/*
	 * Born into a cgroup of its choice, a child would be outside of the brane's limits, of its
	 * network programs and of its end. Root owns those directories: no capability is asked for.
	 */
	if (clone_flags & OM_CLONE_INTO_CG) {
		OM_HOOK(&c, "task_alloc");
		OM_RETURN(om_deny_plain(&c, OM_OP_SCOPE), OM_EPERM);
	}
	fresh.brane = c.brane;
	if (OM_FAIL(OM_FAULT_LABEL, 0,
		    bpf_task_storage_get(&om_tasks, task, &fresh, BPF_LOCAL_STORAGE_GET_F_CREATE)))
		return 0;
	/* A child without a label could shed its brane by leaving the cgroup: there is no child. */
	OM_HOOK(&c, "task_alloc");
	c.flags |= OM_SLOT_DENY_ALL;
	om_deny_plain(&c, OM_OP_SCOPE);
	OM_RETURN(1, OM_EPERM);
}

static __always_inline int om_deny_task(struct om_ctx *c, struct task_struct *task, __u16 op,
					__u32 arg)
{
	if (!(c->flags & OM_SLOT_DENY_ALL) && om_same_brane(c, task))
		return 0;
	return om_emit_task(c, task, op, arg);
}

/* Also /proc/PID/{fd,mem,environ,maps}, pidfd_getfd, process_vm_readv, kcmp. */
SEC("lsm/ptrace_access_check")
int BPF_PROG(om_ptrace_access, struct task_struct *child, unsigned int mode)
{
	struct om_ctx c;

	if (!om_scope(&c))
		return 0;
	OM_HOOK(&c, "ptrace_access_check");
	OM_RETURN(om_deny_task(&c, child, OM_OP_PTRACE, mode), OM_EPERM);
}

SEC("lsm/ptrace_traceme")
int BPF_PROG(om_ptrace_traceme, struct task_struct *parent)
{
	struct om_ctx c;

	if (!om_scope(&c))
		return 0;
	OM_HOOK(&c, "ptrace_traceme");
	OM_RETURN(om_deny_task(&c, parent, OM_OP_PTRACE, 0), OM_EPERM);
}

SEC("lsm/task_kill")
int BPF_PROG(om_task_kill, struct task_struct *target, void *info, int sig)
{
	struct task_struct *self = bpf_get_current_task_btf();
	struct om_ctx c;

	if (!om_scope(&c))
		return 0;
	/* A task may always end itself, in a withdrawn brane too. */
	if (target->tgid == self->tgid)
		return 0;
	OM_HOOK(&c, "task_kill");
	OM_RETURN(om_deny_task(&c, target, OM_OP_SIGNAL, (__u32)sig), OM_EPERM);
}

/*
 * The kernel signals a descriptor's "owner", with any signal that the descriptor's holder names, and
 * passes no task_kill. A brane without a view of its own names processes of the host; with one, it
 * cannot name any but its own.
 */
SEC("lsm/file_fcntl")
int BPF_PROG(om_file_fcntl, struct file *file, unsigned int cmd, unsigned long arg)
{
	__u32 self = bpf_get_current_pid_tgid() >> 32;
	struct om_body body = {};
	struct om_ctx c;

	if (cmd != OM_F_SETOWN && cmd != OM_F_SETOWN_EX)
		return 0;
	if (cmd == OM_F_SETOWN && (!(__u32)arg || (__u32)arg == self))
		return 0;
	if (!om_scope(&c) || (c.flags & OM_SLOT_VIEW))
		return 0;
	OM_HOOK(&c, "file_fcntl");
	c.op = OM_OP_SIGNAL;
	body.task.pid = cmd == OM_F_SETOWN ? (__u32)arg : 0;
	OM_RETURN(om_emit(&c, &body, OM_BODY_TASK), OM_EPERM);
}

#define OM_GUARD_TASK(hook_)                                                    \
	SEC("lsm/" #hook_)                                                      \
	int BPF_PROG(om_##hook_, struct task_struct *target)                    \
	{                                                                       \
		struct om_ctx c;                                                \
                                                                                \
		if (!om_scope(&c))                                              \
			return 0;                                               \
		OM_HOOK(&c, #hook_);                                            \
		OM_RETURN(om_deny_task(&c, target, OM_OP_PTRACE, 0), OM_EPERM); \
	}

/* Steering another process's share of the machine. On itself and its own brane: free. */
OM_GUARD_TASK(task_setnice)
OM_GUARD_TASK(task_setscheduler)
OM_GUARD_TASK(task_setioprio)
OM_GUARD_TASK(task_movememory)

/*
 * A task's own limits are its own, but that on core files where none are granted: at OM_CORE_NONE the
 * kernel makes no core, at 0 it would pipe the task's memory into the host's core handler, a program that
 * it starts as root outside every brane.
 */
static bool om_keeps_core(const struct task_struct *target, unsigned int resource,
			  const struct rlimit *want)
{
	const struct task_struct___limits *t = (const void *)target;

	if (resource != OM_RLIMIT_CORE)
		return false;
	if (BPF_CORE_READ(t, signal, rlim[OM_RLIMIT_CORE].rlim_max) != OM_CORE_NONE)
		return false;
	return BPF_CORE_READ(want, rlim_cur) != OM_CORE_NONE;
}

SEC("lsm/task_setrlimit")
int BPF_PROG(om_task_setrlimit, struct task_struct *target, unsigned int resource,
	     struct rlimit *want)
{
	struct om_ctx c;

	if (!om_scope(&c))
		return 0;
	OM_HOOK(&c, "task_setrlimit");
	if (om_keeps_core(target, resource, want)) {
		OM_RETURN(om_deny_plain(&c, OM_OP_SYSTEM), OM_EPERM);
	}
	OM_RETURN(om_deny_task(&c, target, OM_OP_PTRACE, 0), OM_EPERM);
}

/* Denied whole. */
#define OM_GUARD(hook_, op_)                                 \
	SEC("lsm/" #hook_)                                   \
	int BPF_PROG(om_##hook_)                             \
	{                                                    \
		struct om_ctx c;                             \
                                                             \
		if (!om_scope(&c))                           \
			return 0;                            \
		OM_HOOK(&c, #hook_);                         \
		OM_RETURN(om_deny_plain(&c, op_), OM_EPERM); \
	}

OM_GUARD(bpf, OM_OP_BPF)
OM_GUARD(perf_event_open, OM_OP_PERF)
OM_GUARD(kernel_read_file, OM_OP_MODULE)
OM_GUARD(kernel_load_data, OM_OP_MODULE)
OM_GUARD(kernel_module_request, OM_OP_MODULE)
OM_GUARD(userns_create, OM_OP_NAMESPACE)
OM_GUARD(key_alloc, OM_OP_KEY)
OM_GUARD(key_permission, OM_OP_KEY)
OM_GUARD(syslog, OM_OP_SYSTEM)
OM_GUARD(settime, OM_OP_SYSTEM)
OM_GUARD(quotactl, OM_OP_SYSTEM)
OM_GUARD(tun_dev_create, OM_OP_NET_SOCKET)
OM_GUARD(uring_override_creds, OM_OP_SYSTEM)
OM_GUARD(uring_sqpoll, OM_OP_SYSTEM)
OM_GUARD(uring_cmd, OM_OP_SYSTEM)
OM_GUARD(uring_allowed, OM_OP_SYSTEM)

/*
 * --- the host's IPC namespace, when the brane has none of its own: no grant names what is in it ---
 */
#define OM_GUARD_IPC(hook_, name_)                                    \
	SEC("lsm/" #hook_)                                            \
	int BPF_PROG(om_##hook_)                                      \
	{                                                             \
		struct om_ctx c;                                      \
                                                                      \
		if (!om_scope(&c) || (c.flags & OM_SLOT_VIEW))        \
			return 0;                                     \
		OM_HOOK(&c, name_);                                   \
		OM_RETURN(om_deny_plain(&c, OM_OP_SYSTEM), OM_EPERM); \
	}

OM_GUARD_IPC(ipc_permission, "ipc_permission")
OM_GUARD_IPC(shm_alloc_security, "shm_alloc_security")
OM_GUARD_IPC(msg_queue_alloc_security, "msg_alloc_security")
OM_GUARD_IPC(sem_alloc_security, "sem_alloc_security")
OM_GUARD_IPC(shm_shmctl, "shm_shmctl")
OM_GUARD_IPC(msg_queue_msgctl, "msg_queue_msgctl")
OM_GUARD_IPC(sem_semctl, "sem_semctl")

/* POSIX queues are made and removed without a path hook; opening one passes file_open. */
static __always_inline int om_queue(struct super_block *sb)
{
	struct om_ctx c;

	if (sb->s_magic != OM_MQUEUE_MAGIC || !om_scope(&c) || (c.flags & OM_SLOT_VIEW))
		return 0;
	OM_HOOK(&c, "mqueue");
	OM_RETURN(om_deny_plain(&c, OM_OP_SYSTEM), OM_EPERM);
}

SEC("lsm/inode_create")
int BPF_PROG(om_inode_create, struct inode *dir)
{
	return om_queue(dir->i_sb);
}

SEC("lsm/inode_unlink")
int BPF_PROG(om_inode_unlink, struct inode *dir)
{
	return om_queue(dir->i_sb);
}

/* Executable System V memory is executable memory that no file backs. */
SEC("lsm/shm_shmat")
int BPF_PROG(om_shm_shmat, void *perm, char *addr, int flags)
{
	struct om_ctx c;

	if (!(flags & 0100000) /* SHM_EXEC */ || !om_scope(&c))
		return 0;
	if ((c.flags & (OM_SLOT_WRITE_EXEC | OM_SLOT_DENY_ALL)) == OM_SLOT_WRITE_EXEC)
		return 0;
	OM_HOOK(&c, "shm_shmat");
	OM_RETURN(om_deny_plain(&c, OM_OP_MEM_EXEC), OM_EPERM);
}

/*
 * io_uring, userfaultfd and secret memory get their descriptors here: the first works past every
 * system call filter, the second widens races, the third hides memory from the host.
 */
SEC("lsm/inode_init_security_anon")
int BPF_PROG(om_anon_inode, struct inode *inode, const struct qstr *name)
{
	const unsigned char *text = name->name;
	__u64 word = 0;
	struct om_ctx c;

	if (!om_scope(&c))
		return 0;
	bpf_probe_read_kernel_str(&word, sizeof(word), text);
	if (word != OM_WORD("[io_uri") && word != OM_WORD("[userfa") && word != OM_WORD("[secret"))
		return 0;
	OM_HOOK(&c, "anon_inode");
	OM_RETURN(om_deny_plain(&c, OM_OP_SYSTEM), OM_EPERM);
}
