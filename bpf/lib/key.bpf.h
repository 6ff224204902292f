/*
 * The argument of the program om_object_key: fd in, the rest out. Shared by bpf/key.bpf.c and
 * loader/bpf_key.c; private to the two, so it is no part of the ABI.
 */
#ifndef OMEGA_BPF_KEY_H
#define OMEGA_BPF_KEY_H

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
