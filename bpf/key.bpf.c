/*
 * Question answered here: what is the kernel's own key of the object behind this descriptor?
 *
 * stat's device and inode numbers are what a file system likes to show (btrfs, overlayfs and FUSE show
 * others than the kernel uses). The loader runs this program for each granted path and reads the key
 * from the same fields as the hooks do, so that the two cannot disagree. Run by om_bpf_object_key with
 * a descriptor of the caller's own table. Never does: change anything.
 */
#define OM_KERNEL_LAYER 1
#include "bpf/lib/core.bpf.h"
#include <omega/abi/key.h>

char LICENSE[] SEC("license") = "GPL";

SEC("syscall")
int om_object_key(struct om_key_args *args)
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();
	struct fdtable *fdt = BPF_CORE_READ(task, files, fdt);
	struct file **table = BPF_CORE_READ(fdt, fd), *file = 0;
	struct dentry *d;

	args->found = 0;
	if (args->fd >= BPF_CORE_READ(fdt, max_fds))
		return 0;
	if (bpf_probe_read_kernel(&file, sizeof(file), table + args->fd) || !file)
		return 0;
	d = BPF_CORE_READ(file, f_path.dentry);
	args->dev = BPF_CORE_READ(d, d_sb, s_dev);
	args->ino = BPF_CORE_READ(d, d_inode, i_ino);
	args->gen = BPF_CORE_READ(d, d_inode, i_generation);
	args->mode = BPF_CORE_READ(d, d_inode, i_mode);
	args->found = 1;
	return 0;
}
