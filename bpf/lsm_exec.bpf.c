/*
 * Questions answered here: may this file become code in this brane, by execve or by mapping? May memory
 * that no granted file backs be executable?
 *
 * An object that is bound to contents runs with one of them only: lsm_hash has looked, content.bpf.h
 * compares.
 *
 * The inputs are the kernel's own: the file that execve opened (not its name), the file behind a
 * mapping, the protection that the kernel will apply (READ_IMPLIES_EXEC included). `ld.so FILE`, memfd,
 * dlopen and LD_PRELOAD all end in mmap_file or file_mprotect with PROT_EXEC and are decided there.
 */
#define OM_KERNEL_LAYER 1
#include "bpf/lib/core.bpf.h"
#include "bpf/lib/null.bpf.h"
#include "bpf/lib/scope.bpf.h"
#include "bpf/lib/walk.bpf.h"
#include "bpf/lib/path.bpf.h"
#include "bpf/lib/content.bpf.h"

char LICENSE[] SEC("license") = "GPL";

/*
 * Whether FILE has a content that its grant names. As om_deny_path: 1 denied, 0 not. QUIET: a denial that
 * audit mode lets pass was recorded before.
 */
static __always_inline int om_check_content(struct om_ctx *c, struct file *file, int quiet)
{
	if (!om_content_check(c, file))
		return 0;
	if (quiet && !om_verdict(c))
		return 0;
	c->need = OM_MAY_EXEC;
	c->dentry = (__u64)file->f_path.dentry;
	c->mnt = (__u64)file->f_path.mnt;
	return om_emit_content(c);
}

SEC("lsm/bprm_check_security")
int BPF_PROG(om_bprm_check, struct linux_binprm *bprm)
{
	struct om_ctx c;
	struct dentry *d;

	if (!om_scope(&c))
		return 0;
	d = bprm->file->f_path.dentry;
	c.need = om_file_missing(&c, d, OM_MAY_EXEC);
	if (!c.need)
		return 0;
	OM_HOOK(&c, "bprm_check");
	if (c.need == OM_MAY_EXEC_BOUND)
		OM_RETURN(om_check_content(&c, bprm->file, 0), OM_EACCES);
	/* execve opened the file through file_open, which has recorded this one in audit mode. */
	if (!om_verdict(&c))
		return 0;
	OM_RETURN(om_deny_path(&c, d, bprm->file->f_path.mnt), OM_EACCES);
}

/* Executable memory without a file. Shared by mmap_file and file_mprotect. */
static __always_inline int om_mem_exec(struct om_ctx *c)
{
	struct om_body none = {};

	if ((c->flags & (OM_SLOT_WRITE_EXEC | OM_SLOT_DENY_ALL)) == OM_SLOT_WRITE_EXEC)
		return 0;
	c->op = OM_OP_MEM_EXEC;
	return om_emit(c, &none, OM_BODY_NONE);
}

/* 1: FILE is the program that the task runs. */
static __always_inline int om_is_exe(struct file *file)
{
	struct task_struct___mm *task = (void *)bpf_get_current_task();

	return BPF_CORE_READ(task, mm, exe_file, f_inode) == file->f_inode;
}

/* What is missing on FILE is recorded as such, not as a content that nobody looked at. */
static __always_inline int om_deny_exec(struct om_ctx *c, struct file *file)
{
	if (c->need & OM_MAY_EXEC_BOUND)
		c->need = (c->need & ~OM_MAY_EXEC_BOUND) | OM_MAY_EXEC;
	return om_deny_path(c, file->f_path.dentry, file->f_path.mnt);
}

SEC("lsm/mmap_file")
int BPF_PROG(om_mmap_file, struct file *file, unsigned long reqprot, unsigned long prot,
	     unsigned long flags)
{
	__u32 need = 0;
	struct om_ctx c;
	int mapped;

	if (prot & OM_PROT_EXEC)
		need |= OM_MAY_EXEC;
	/* A store into a shared mapping passes no hook of its own: decide when it is made. */
	if ((flags & OM_MAP_TYPE) != OM_MAP_PRIVATE && (prot & OM_PROT_WRITE))
		need |= OM_MAY_WRITE;
	if (!need || !om_scope(&c))
		return 0;
	mapped = om_mapped(ctx);
	if (!mapped && !(need & OM_MAY_EXEC))
		return 0;
	OM_HOOK(&c, "mmap_file");
	if (!mapped || !file)
		OM_RETURN(om_mem_exec(&c), OM_EACCES);
	if (om_own_memory(&c, file->f_path.dentry))
		need &= ~OM_MAY_WRITE;
	c.need = need ? om_file_missing(&c, file->f_path.dentry, need) : 0;
	if (!c.need)
		return 0;
	/* The program itself, which execve maps: bprm_check has recorded this one in audit mode. */
	if (c.need == OM_MAY_EXEC_BOUND)
		OM_RETURN(om_check_content(&c, file, om_is_exe(file)), OM_EACCES);
	OM_RETURN(om_deny_exec(&c, file), OM_EACCES);
}

/*
 * Executable later than mapped: an object that is bound to contents is refused. The content cannot be
 * read under the lock that mprotect holds, and pages that are in use already are not the file's any more.
 */
SEC("lsm/file_mprotect")
int BPF_PROG(om_file_mprotect, struct vm_area_struct *vma, unsigned long reqprot,
	     unsigned long prot)
{
	struct file *file = vma->vm_file;
	unsigned long vm_flags = vma->vm_flags;
	__u32 need = 0;
	struct om_ctx c;

	if ((prot & OM_PROT_EXEC) && !(vm_flags & OM_VM_EXEC))
		need |= OM_MAY_EXEC;
	if ((prot & OM_PROT_WRITE) && (vm_flags & OM_VM_SHARED) && file)
		need |= OM_MAY_WRITE;
	if (!need || !om_scope(&c))
		return 0;
	OM_HOOK(&c, "file_mprotect");
	/* Private pages of a file that were written to hold what the task wrote, not the file. */
	if (!file || ((need & OM_MAY_EXEC) && vma->anon_vma && !(vm_flags & OM_VM_SHARED)))
		OM_RETURN(om_mem_exec(&c), OM_EACCES);
	if (om_own_memory(&c, file->f_path.dentry))
		need &= ~OM_MAY_WRITE;
	c.need = need ? om_file_missing(&c, file->f_path.dentry, need) : 0;
	if (!c.need)
		return 0;
	OM_RETURN(om_deny_exec(&c, file), OM_EACCES);
}
