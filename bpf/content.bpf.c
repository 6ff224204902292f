/*
 * Question answered here: does this kernel tell what is in a file?
 *
 * The helper behind sha256 grants exists only where the kernel was built with IMA, and answers in the
 * algorithm that the host chose (ima_hash=). The loader attaches this program, maps a file of its own and
 * compares the answer with the digest that it computed itself. Detached at once; decides nothing.
 */
#define OM_KERNEL_LAYER 1
#include "bpf/lib/core.bpf.h"
#include "bpf/lib/null.bpf.h"

char LICENSE[] SEC("license") = "GPL";

__u32 om_content_tgid; /* set by the loader before the call */
__u64 om_content_ino;
__s32 om_content_algo; /* HASH_ALGO_*, or -errno */
__u8 om_content_sha256[32];

/* Not file_open: there a file is not readable yet, also for the kernel. */
SEC("lsm.s/mmap_file")
int BPF_PROG(om_content, struct file *file)
{
	__u8 found[32] = {};

	if (bpf_get_current_pid_tgid() >> 32 != om_content_tgid || !om_mapped(ctx) || !file ||
	    file->f_inode->i_ino != om_content_ino)
		return 0;
	om_content_algo = (__s32)bpf_ima_file_hash(file, found, sizeof(found));
	__builtin_memcpy(om_content_sha256, found, sizeof(found));
	return 0;
}
