/*
 * Question answered here: what is in this file, which is about to become code?
 *
 * Only for objects that a grant binds to contents (sha256), whose whole file the kernel then reads, which
 * may sleep; all other files cost one look-up. The finding is left in om_seen for the program of the same
 * hook in lsm_exec, which decides and records. These programs deny nothing, so what goes wrong here is a
 * missing finding there, and that is a denial.
 */
#define OM_KERNEL_LAYER 1
#include "bpf/lib/core.bpf.h"
#include "bpf/lib/null.bpf.h"
#include "bpf/lib/scope.bpf.h"
#include "bpf/lib/content.bpf.h"

char LICENSE[] SEC("license") = "GPL";

/* 1: the policy of the current task binds FILE. Its own entry only, so that nothing has to be walked. */
static __always_inline int om_bound(struct file *file)
{
	struct om_object_key key = {};
	struct om_object_val *val;
	struct dentry *d;
	struct om_ctx c;

	if (!om_scope(&c))
		return 0;
	d = file->f_path.dentry;
	key.policy = c.policy;
	key.dev = d->d_sb->s_dev;
	key.ino = d->d_inode->i_ino;
	key.gen = d->d_inode->i_generation;
	val = bpf_map_lookup_elem(&om_objects, &key);
	return val && (val->self & OM_MAY_EXEC_BOUND);
}

static __always_inline void om_look(struct file *file)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct om_seen found = {.file = (__u64)file}, *seen;

	found.writers = om_writers(file);
	found.algo = (__s32)bpf_ima_file_hash(file, found.sha256, sizeof(found.sha256));
	seen = om_seen_of(task, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (seen)
		*seen = found;
}

SEC("lsm.s/bprm_check_security")
int BPF_PROG(om_hash_bprm, struct linux_binprm *bprm)
{
	if (om_bound(bprm->file))
		om_look(bprm->file);
	return 0;
}

SEC("lsm.s/mmap_file")
int BPF_PROG(om_hash_mmap, struct file *file, unsigned long reqprot, unsigned long prot,
	     unsigned long flags)
{
	/* Anonymous memory; om_mapped says why the pointer is not compared by itself. */
	if (!(prot & OM_PROT_EXEC) || !om_mapped(ctx) || !file)
		return 0;
	if (om_bound(file))
		om_look(file);
	return 0;
}
