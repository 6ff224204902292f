/*
 * What bench/core.bpf.c and bench/bench_core.c agree on: arguments and the keys of the other shapes.
 *
 * Comes in and goes out: nothing beyond these two files.
 */
#ifndef OMEGA_BENCH_CORE_H
#define OMEGA_BENCH_CORE_H

#include <linux/types.h>

#define CORE_KEY     400 /* bytes of a path in a hash key */
#define CORE_PARTS   16	 /* components asked for */
#define CORE_PREFIX  64	 /* bytes of a rule that is compared in a scan */
#define CORE_RULES   64
#define CORE_TEXT    248 /* an LPM trie takes 256 bytes of data at the most */
#define CORE_ENTRIES 16384

struct core_args {
	__u32 n;
	__u32 gen;
	__u32 dev;
	__u32 pad;
	__u64 ino;
	__u64 ns;
	__u64 sum;
};

struct core_path {
	__u32 len;
	__u32 ends[CORE_PARTS]; /* where each component ends; 0: no more */
	char text[CORE_TEXT];
};

struct core_rule {
	char prefix[CORE_PREFIX];
};

struct core_trie_key {
	__u32 bits;
	char text[CORE_TEXT];
};

#endif
