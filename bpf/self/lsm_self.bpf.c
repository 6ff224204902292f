/*
 * Questions answered here, while the self-guard is strict: who is the agent, and may a task that is not
 * reach the agent's processes and BPF objects?
 *
 * The agent is a label in task storage. The load role gives it to the processes that run when the guard is
 * made strict; children inherit it; execve takes it away unless the program is one of the agent's. A
 * program started from outside gets it in two steps: execve of omegad itself makes a candidate, which may
 * do nothing more than others but cannot be traced or given foreign code; om_self_claim makes that the
 * agent, if it holds the very directories and options of the agent before it.
 */
#define OM_KERNEL_LAYER 1
#include "bpf/lib/self.bpf.h"
#include "bpf/lib/task.bpf.h"

char LICENSE[] SEC("license") = "GPL";

#define OM_ANON_INODE_MAGIC 0x09041934
#define OM_SIGTERM	    15
#define OM_NOAUDIT	    0x04 /* PTRACE_MODE_NOAUDIT */

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
struct ns_common___self {
	unsigned int inum;
};
struct mnt_namespace___self {
	struct ns_common___self ns;
};
struct nsproxy___self {
	struct mnt_namespace___self *mnt_ns;
};
struct seccomp___self {
	int mode;
};
struct mount___self {
	struct vfsmount mnt;
	int mnt_id;
};
struct task_struct___self {
	unsigned int ptrace;
	struct nsproxy___self *nsproxy;
	struct seccomp___self seccomp;
};
struct linux_binprm___self {
	struct file *file;
	int unsafe;
};
struct bpf_map___self {
	__u32 id;
};
struct bpf_prog_aux___self {
	__u32 id;
};
struct bpf_prog___self {
	struct bpf_prog_aux___self *aux;
};
struct bpf_link___self {
	__u32 id;
};
struct file___self {
	void *private_data;
};
#pragma clang attribute pop

static __always_inline __u32 om_mnt_ns(struct task_struct *task)
{
	struct task_struct___self *t = (void *)task;

	return BPF_CORE_READ(t, nsproxy, mnt_ns, ns.inum);
}

SEC("lsm/task_alloc")
int BPF_PROG(om_self_fork, struct task_struct *task, unsigned long clone_flags)
{
	struct om_self_task fresh = {};

	if (!om_self_on())
		return 0;
	fresh.who = om_self_who(bpf_get_current_task_btf());
	if (!fresh.who)
		return 0;
	/* A role without a label would be refused its own files: better it is not born. */
	if (!bpf_task_storage_get(&om_self_tasks, task, &fresh, BPF_LOCAL_STORAGE_GET_F_CREATE))
		OM_RETURN(1, OM_EPERM);
	return 0;
}

/*
 * 1: nobody else has a hand in this execve. A tracer, a task that shares the file system root, or a system
 * call filter that answers in the kernel's place would have.
 */
static __always_inline int om_self_alone(struct linux_binprm___self *bprm, struct task_struct *task)
{
	struct task_struct___self *t = (void *)task;

	return !(BPF_CORE_READ(bprm, unsafe)) && !BPF_CORE_READ(t, ptrace) &&
	       !BPF_CORE_READ(t, seccomp.mode);
}

/* Past the point of no return of execve, before the new program's memory is mapped. */
SEC("lsm/bprm_committed_creds")
int BPF_PROG(om_self_exec, struct linux_binprm *bprm)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct om_self_task *label, fresh = {};
	__u32 flags, who, pid, one = 1;

	if (!om_self_on())
		return 0;
	who = om_self_who(task);
	pid = (__u32)task->tgid;
	flags = om_self_inode(bprm->file->f_inode);
	if (who == OM_SELF_AGENT && (flags & (OM_SELF_MAIN | OM_SELF_ROLE))) {
		/* A brane's workload that is one of our own programs is a workload. */
		if (!om_self_braned()) {
			bpf_map_update_elem(&om_self_pids, &pid, &one, BPF_ANY);
			return 0;
		}
	} else if ((flags & OM_SELF_MAIN) && !om_self_braned() &&
		   om_self_alone((void *)bprm, task)) {
		fresh.who = OM_SELF_CANDIDATE;
	}
	label = bpf_task_storage_get(&om_self_tasks, task, &fresh,
				     fresh.who ? BPF_LOCAL_STORAGE_GET_F_CREATE : 0);
	if (label) {
		label->who = fresh.who;
		bpf_map_delete_elem(&om_self_pids, &pid);
	}
	return 0;
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(om_self_exit, struct task_struct *task)
{
	__u32 pid = (__u32)task->tgid;

	if (task->pid == task->tgid)
		bpf_map_delete_elem(&om_self_pids, &pid);
	return 0;
}

/* 1: what TASK calls "/" is what the agent does: names that it opens lead where the agent's did. */
static __always_inline int om_self_rooted(const struct om_self_state *state,
					  struct task_struct *task)
{
	__u32 off = __builtin_preserve_field_info(((struct mount___self *)0)->mnt,
						  BPF_FIELD_BYTE_OFFSET);
	__u64 mnt = (__u64)BPF_CORE_READ(task, fs, root.mnt);
	struct mount___self *m = (struct mount___self *)(mnt - off);
	struct dentry *root = BPF_CORE_READ(task, fs, root.dentry);
	struct om_self_key key = {};

	key.dev = BPF_CORE_READ(root, d_sb, s_dev);
	key.ino = BPF_CORE_READ(root, d_inode, i_ino);
	key.gen = BPF_CORE_READ(root, d_inode, i_generation);
	return (__u32)BPF_CORE_READ(m, mnt_id) == state->root_mnt &&
	       (om_self_entry(&key) & OM_SELF_ROOT);
}

/* OM_SELF_* of the directory that the current task has open as FD. */
static __noinline __u32 om_self_dir(__u32 fd)
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();
	struct fdtable *fdt = BPF_CORE_READ(task, files, fdt);
	struct file **table = BPF_CORE_READ(fdt, fd), *file = 0;
	struct om_self_key key = {};

	if (fd >= BPF_CORE_READ(fdt, max_fds))
		return 0;
	if (bpf_probe_read_kernel(&file, sizeof(file), table + fd) || !file)
		return 0;
	key.dev = BPF_CORE_READ(file, f_path.dentry, d_sb, s_dev);
	key.ino = BPF_CORE_READ(file, f_path.dentry, d_inode, i_ino);
	key.gen = BPF_CORE_READ(file, f_path.dentry, d_inode, i_generation);
	return om_self_entry(&key);
}

/* Run by omegad at its start, when it finds the guard strict. */
SEC("syscall")
int om_self_claim(struct om_self_claim_args *args)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct om_self_state *state = om_self_on();
	struct om_self_task *label;
	__u32 pid, one = 1;

	args->granted = 0;
	if (!state || state->mnt_ns != om_mnt_ns(task) || !om_self_rooted(state, task))
		return 0;
	label = bpf_task_storage_get(&om_self_tasks, task, 0, 0);
	if (!label || label->who != OM_SELF_CANDIDATE)
		return 0;
		/* Unrolled: the verifier takes constant offsets into the argument only. */
#pragma clang loop unroll(full)
	for (int i = 0; i < 3; i++)
		if (!(om_self_dir(args->fds[i]) & (OM_SELF_RUN << i)))
			return 0;
#pragma clang loop unroll(full)
	for (int i = 0; i < (int)(OM_SELF_OPTS / sizeof(__u64)); i++)
		if (args->opts[i] != state->opts[i])
			return 0;
	pid = (__u32)BPF_CORE_READ(task, tgid);
	bpf_map_update_elem(&om_self_pids, &pid, &one, BPF_ANY);
	label->who = OM_SELF_AGENT;
	args->granted = 1;
	return 0;
}

/* --- processes --- */

SEC("lsm/ptrace_access_check")
int BPF_PROG(om_self_ptrace, struct task_struct *child, unsigned int mode)
{
	struct om_ctx c;

	if (!om_self_on() || !om_self_who(child) || !om_self_outside(&c))
		return 0;
	/* ps and its like ask this way and do without; a record each time would tell nothing. */
	if (mode & OM_NOAUDIT)
		OM_RETURN(1, OM_EPERM);
	OM_HOOK(&c, "ptrace_access_check");
	OM_RETURN(om_emit_task(&c, child, OM_OP_PTRACE, mode), OM_EPERM);
}

SEC("lsm/task_kill")
int BPF_PROG(om_self_kill, struct task_struct *target, void *info, int sig)
{
	struct task_struct *self = bpf_get_current_task_btf();
	struct om_ctx c;

	if (!sig || !om_self_on() || om_self_who(target) != OM_SELF_AGENT)
		return 0;
	/* The orderly end, asked for by the init system. What was confined stays so. */
	if (sig == OM_SIGTERM && self->tgid == 1)
		return 0;
	if (!om_self_outside(&c))
		return 0;
	OM_HOOK(&c, "task_kill");
	OM_RETURN(om_emit_task(&c, target, OM_OP_SIGNAL, (__u32)sig), OM_EPERM);
}

/* A descriptor's owner is sent any signal that its holder names. Nothing of the agent's waits for one. */
SEC("lsm/file_send_sigiotask")
int BPF_PROG(om_self_sigio, struct task_struct *target)
{
	if (!om_self_on() || om_self_who(target) != OM_SELF_AGENT)
		return 0;
	OM_RETURN(1, OM_EPERM);
}

#define OM_SELF_STEERED(hook_)                                                  \
	SEC("lsm/" #hook_)                                                      \
	int BPF_PROG(om_self_##hook_, struct task_struct *target)               \
	{                                                                       \
		struct om_ctx c;                                                \
                                                                                \
		if (!om_self_on() || om_self_who(target) != OM_SELF_AGENT)      \
			return 0;                                               \
		if (!om_self_outside(&c))                                       \
			return 0;                                               \
		OM_HOOK(&c, #hook_);                                            \
		OM_RETURN(om_emit_task(&c, target, OM_OP_PTRACE, 0), OM_EPERM); \
	}

OM_SELF_STEERED(task_setnice)
OM_SELF_STEERED(task_setscheduler)
OM_SELF_STEERED(task_setioprio)
OM_SELF_STEERED(task_movememory)

/* Its arguments are another task's only for prlimit(). */
OM_SELF_STEERED(task_setrlimit)

/* --- BPF objects --- */

static __always_inline int om_self_deny_bpf(struct om_ctx *c, __u32 cmd, __u32 kind, __u32 id)
{
	struct om_body body = {};

	body.sys.nr = 321; /* bpf */
	body.sys.arch = 0xc000003e;
	body.sys.args[0] = cmd;
	body.sys.args[1] = kind;
	body.sys.args[2] = id;
	c->op = OM_OP_BPF;
	return om_emit(c, &body, OM_BODY_SYS);
}

/* A descriptor of a map or program is about to be handed out, by id or by pin. */
SEC("lsm/bpf_map")
int BPF_PROG(om_self_map, void *map, unsigned int fmode)
{
	__u32 id = BPF_CORE_READ((struct bpf_map___self *)map, id);
	struct om_ctx c;

	if (!om_self_on() || !om_self_id(OM_SELF_MAP, id) || !om_self_outside(&c))
		return 0;
	OM_HOOK(&c, "bpf_map");
	OM_RETURN(om_self_deny_bpf(&c, 0, OM_SELF_MAP, id), OM_EPERM);
}

SEC("lsm/bpf_prog")
int BPF_PROG(om_self_prog, void *prog)
{
	__u32 id = BPF_CORE_READ((struct bpf_prog___self *)prog, aux, id);
	struct om_ctx c;

	if (!om_self_on() || !om_self_id(OM_SELF_PROG, id) || !om_self_outside(&c))
		return 0;
	OM_HOOK(&c, "bpf_prog");
	OM_RETURN(om_self_deny_bpf(&c, 0, OM_SELF_PROG, id), OM_EPERM);
}

struct om_self_found {
	__u32 kind, id;
};

/* Which BPF object the descriptor FD of the current task is. */
static __noinline int om_self_fd(__u32 fd, struct om_self_found *out)
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();
	struct fdtable *fdt = BPF_CORE_READ(task, files, fdt);
	struct file **table = BPF_CORE_READ(fdt, fd), *file = 0;
	__u64 word = 0;
	void *data;

	out->kind = 0;
	if (fd >= BPF_CORE_READ(fdt, max_fds))
		return 0;
	if (bpf_probe_read_kernel(&file, sizeof(file), table + fd) || !file)
		return 0;
	if (BPF_CORE_READ(file, f_inode, i_sb, s_magic) != OM_ANON_INODE_MAGIC)
		return 0;
	bpf_probe_read_kernel(&word, sizeof(word), BPF_CORE_READ(file, f_path.dentry, d_name.name));
	data = BPF_CORE_READ((struct file___self *)file, private_data);
	if (word == OM_WORD("bpf-map")) {
		out->kind = OM_SELF_MAP;
		out->id = BPF_CORE_READ((struct bpf_map___self *)data, id);
	} else if (word == 0x6b6e696c5f667062ull /* bpf_link */) {
		out->kind = OM_SELF_LINK;
		out->id = BPF_CORE_READ((struct bpf_link___self *)data, id);
	}
	return 0;
}

/*
 * What is done by an id, or through a descriptor that was held before the guard was strict. Numbers are
 * enum bpf_cmd, and where the kernel's copy of the arguments names the object: UAPI both.
 */
SEC("lsm/bpf")
int BPF_PROG(om_self_bpf, int cmd, void *attr, unsigned int size)
{
	struct om_self_found found = {};
	struct om_ctx c;
	__u32 word = 0, off = 0;

	if (!om_self_on())
		return 0;
	if (cmd == BPF_MAP_UPDATE_BATCH || cmd == BPF_MAP_DELETE_BATCH ||
	    cmd == BPF_MAP_LOOKUP_AND_DELETE_BATCH)
		off = 36;
	else if (cmd != BPF_LINK_GET_FD_BY_ID && cmd != BPF_LINK_UPDATE && cmd != BPF_LINK_DETACH &&
		 cmd != BPF_MAP_UPDATE_ELEM && cmd != BPF_MAP_DELETE_ELEM &&
		 cmd != BPF_MAP_FREEZE && cmd != BPF_MAP_LOOKUP_AND_DELETE_ELEM)
		return 0;
	if (bpf_probe_read_kernel(&word, sizeof(word), attr + off))
		return 0;
	if (cmd == BPF_LINK_GET_FD_BY_ID) {
		found.kind = OM_SELF_LINK;
		found.id = word;
	} else {
		om_self_fd(word, &found);
	}
	if (!found.kind || !om_self_id(found.kind, found.id) || !om_self_outside(&c))
		return 0;
	OM_HOOK(&c, "bpf");
	OM_RETURN(om_self_deny_bpf(&c, (__u32)cmd, found.kind, found.id), OM_EPERM);
}
