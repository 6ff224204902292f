/*
 * The argument of the program om_object_key: fd in, the rest out. Shared by bpf/key.bpf.c and
 * loader/bpf_key.c; never stored, so it is no part of OM_ABI_VERSION.
 */
#ifndef OMEGA_ABI_KEY_H
#define OMEGA_ABI_KEY_H

#include <linux/types.h>

struct om_key_args {
	__u32 fd;    /* of the calling task */
	__u32 found; /* 1: the rest is valid */
	__u32 dev;
	__u32 gen;
	__u64 ino;
	__u32 mode;
	__u32 pad;
};

#endif
