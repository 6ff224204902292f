/*
 * om_filter: which keys om_objects may hold, told without a look-up in it. Shared with BPF.
 *
 * Comes in: policy, device and inode of an object. Goes out: the place of its counter. A counter says how
 * many entries of om_objects share the place; the loader raises it before it writes an entry and lowers
 * it after it has removed one. So zero means: there is no such entry. Anything else means: look. Too high
 * a counter costs look-ups. A zero that is wrong hides an entry, which denies: policies with entries that
 * take rights away do not ask here (OM_POLICY_EXACT), nor does what compares two places of a rename. Each
 * counter is read back with its entry before a policy goes live, and again at adoption.
 */
#ifndef OMEGA_ABI_FILTER_H
#define OMEGA_ABI_FILTER_H

#include <linux/types.h>

#define OM_FILTER_BITS	20 /* counters of one byte: as many as OM_OBJECTS_MAX */
#define OM_FILTER_WORDS (1u << (OM_FILTER_BITS - 3))
#define OM_FILTER_STUCK 255 /* a counter that once was full is never lowered */

/* One element of the array om_filter: eight counters. */
struct om_filter_word {
	__u8 count[8];
};

/* The part of the place that a whole walk shares. */
static inline __u64 om_filter_base(__u32 policy, __u32 dev)
{
	return ((__u64)policy << 32 | dev) * 0x9e3779b97f4a7c15ull;
}

static inline __u32 om_filter_place(__u64 base, __u64 ino)
{
	return (__u32)(((base ^ ino) * 0xd6e8feb86659fd93ull) >> (64 - OM_FILTER_BITS));
}

#endif
