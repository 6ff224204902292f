/*
 * Pointers that may be NULL though the verifier thinks otherwise.
 *
 * Comes in: a hook's context, a dentry. Goes out: whether there is something behind it. Used by: walk.bpf.h and
 * the programs of mmap_file. Never does: compare such a pointer as one.
 */
#ifndef OMEGA_BPF_NULL_H
#define OMEGA_BPF_NULL_H

#include "core.bpf.h"

/*
 * 1: a file is behind the mapping. Up to 6.17 or so the verifier takes the hook's pointer for never NULL
 * and drops a comparison with NULL as dead code: a task that maps anonymous memory would then stop the
 * machine. Read as a number, it is compared. A failed read counts as no file.
 */
static __always_inline int om_mapped(void *ctx)
{
	__u64 file = 0;

	if (bpf_probe_read_kernel(&file, sizeof(file), ctx))
		return 0;
	return file != 0;
}

/*
 * 1: something has the name D. From 6.4 to 6.15 the verifier takes d_inode for never NULL and drops a
 * comparison with NULL as dead code: making a file would then stop the machine. So it is compared with a
 * number that is zero and that the verifier cannot know; a helper would do, and costs as much as a look-up.
 */
static __always_inline int om_exists(const struct dentry *d)
{
	__u64 dev = d->d_sb->s_dev, same = dev;

	asm volatile("" : "+r"(same));
	return (__u64)d->d_inode != (dev & ~same);
}

#endif
