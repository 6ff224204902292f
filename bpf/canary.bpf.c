/*
 * Question answered here: does this kernel call BPF-LSM programs at all?
 *
 * Without "bpf" in the kernel's list of LSMs the programs load and attach, and never run: a brane would
 * look confined and not be. The loader attaches this one, makes one harmless call (getsid on itself)
 * and looks whether it was counted. Detached at once; decides nothing.
 */
#define OM_KERNEL_LAYER 1
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

__u32 om_canary_tgid; /* set by the loader before the call */
__u32 om_canary_hits;

SEC("lsm/task_getsid")
int om_canary(void *ctx)
{
	if (bpf_get_current_pid_tgid() >> 32 == om_canary_tgid)
		__sync_fetch_and_add(&om_canary_hits, 1);
	return 0;
}
