/*
 * Policy as it lies in BPF maps: keys and values, fixed width, every offset asserted. Shared with BPF.
 *
 * All integers are in host order. A policy number names one complete, immutable version of one
 * brane's policy; it is never reused while the pins exist. Entries are written under a new number,
 * read back, and become live in one update of the brane's slot: no task ever sees half a policy.
 * A change here changes OM_ABI_VERSION, which is part of the pin directory's name.
 */
#ifndef OMEGA_ABI_POLICY_H
#define OMEGA_ABI_POLICY_H

#include <linux/types.h>
#include <omega/abi/op.h>

#define OM_ABI_VERSION 3

/*
 * Part of a policy's number: among its objects are some that take rights away (OM_MAY_NEVER,
 * OM_MAY_EXEC_BOUND). Programs then ask om_objects at each step, whatever om_filter says: an entry that a
 * wrong filter hid would be a hole. In all other policies it can only be a grant, and hidden it denies.
 */
#define OM_POLICY_EXACT 0x80000000u

/* om_config, array of one: set once by the loader. */
struct om_config {
	__u32 abi;	    /* OM_ABI_VERSION */
	__u32 cgroup_level; /* ancestor level of a brane's own cgroup; the root is level 0 */
	__u64 parent_cgid;  /* cgroup id of the parent of all branes */
	__u32 agent_pidns;  /* reserved for self-guard, 0 */
	__u32 pad;
};

/* om_branes: hash, __u32 brane id -> slot. The one place that publishes a policy. */
#define OM_SLOT_AUDIT	   0x01u /* record what would be denied, allow it */
#define OM_SLOT_DENY_ALL   0x02u /* deny every mediated operation (failed update, unloading) */
#define OM_SLOT_WRITE_EXEC 0x04u /* allow-write-exec: executable anonymous memory is granted */
#define OM_SLOT_KERNEL	   0x08u /* BPF-LSM decides for this brane */
#define OM_SLOT_NETWORK	   0x10u /* cgroup BPF decides for this brane */
#define OM_SLOT_VIEW	   0x20u /* the brane has a view of its own: absent paths are reported */
#define OM_SLOT_OWN_NET	   0x40u /* a network namespace of its own: abstract unix names stay inside */
struct om_slot {
	__u32 brane;
	__u32 policy;
	__u32 flags; /* OM_SLOT_* */
	__u32 pad;
	__u64 cgid; /* the brane's cgroup */
};

/* om_cgroups: hash, __u64 cgroup id at cgroup_level -> __u32 brane id. */
/* om_tasks: task storage. Inherited at fork and clone, never cleared. */
struct om_label {
	__u32 brane;
	__u32 pad;
};

/* om_objects: hash, what one policy grants on one file object. */
struct om_object_key {
	__u32 policy;
	__u32 dev; /* the kernel's own s_dev (major << 20 | minor), not stat's */
	__u64 ino;
	__u32 gen; /* i_generation */
	__u32 pad; /* 0 */
};
struct om_object_val {
	__u32 self;	/* OM_MAY_* on the object itself */
	__u32 tree;	/* OM_MAY_* on everything below it, by dentry parents */
	__u32 patterns; /* how many om_pattern entries this directory has */
	/*
	 * Index of the grant in the bundle, for reports; ~0: made by the loader. With OM_MAY_EXEC_BOUND
	 * it is also what om_contents lists the object's contents under.
	 */
	__u32 grant;
};

/* om_contents: hash, the contents of objects with OM_MAY_EXEC_BOUND. Value: __u32 1. */
struct om_content_key {
	__u32 policy;
	__u32 grant; /* om_object_val.grant */
	__u8 sha256[32];
};

/*
 * om_seen: task storage. What the sleepable programs found in FILE, for the program of the same hook call
 * that decides. Taken once: FILE is 0 afterwards.
 */
struct om_seen {
	__u64 file;    /* address, compared only */
	__s32 algo;    /* HASH_ALGO_* of the kernel, or -errno */
	__u32 writers; /* 1: somebody had it open for writing before it was read */
	__u8 sha256[32];
};

/* om_patterns: hash. `create = ["/var/log/api/x*.log"]`: one star in the last component. */
struct om_pattern_key {
	__u32 policy;
	__u32 dev;
	__u64 ino;
	__u32 gen;
	__u32 index; /* 0 .. om_object_val.patterns - 1 */
};
struct om_pattern {
	__u32 mask; /* OM_MAY_* given on a name that matches */
	__u16 prefix_len;
	__u16 suffix_len;
	__u32 exact; /* no *: the name must be the prefix */
	__u32 pad;
	__u8 prefix[64];
	__u8 suffix[64];
};

/*
 * om_egress: LPM trie. An IPv4 network a.b.c.d/n is ::ffff:a.b.c.d/(96 + n). Everything before addr is
 * matched exactly: prefixlen = 64 + network bits.
 */
struct om_egress_key {
	__u32 prefixlen;
	__u32 policy;
	__u16 port; /* host order, 1-65535 */
	__u8 proto; /* OM_PROTO_TCP or OM_PROTO_UDP */
	__u8 pad;   /* 0 */
	__u8 addr[16];
};
/* Value: __u32 grant index. */

/* om_listen: hash. */
struct om_listen_key {
	__u32 policy;
	__u16 port; /* host order, 1-65535 */
	__u8 proto;
	__u8 pad; /* 0 */
};
/* Value: __u32 grant index. */

/* A counter of identical denials. */
struct om_fold {
	__u64 count;
	__u64 first_ns; /* CLOCK_BOOTTIME */
	__u64 last_ns;
};

/*
 * om_stats: hash, __u32 brane id -> counters. The loader makes the entry before the brane is published
 * and takes it away when the log has it; programs never insert. So no other brane, and no amount of
 * denials, can take the place that a denial is counted in.
 */
#define OM_FULL_LAYERS 3u  /* that write to the ring: view, BPF-LSM, cgroup BPF */
#define OM_FULL_OPS    32u /* room for enum om_op */
struct om_stat {
	__u64 seq;    /* denials decided: the next event's sequence number */
	__u64 events; /* of those, put into the ring buffer */
	__u64 folded; /* of those, counted: in full[] below, or as a repeat in om_folds */
	__u64 lost;   /* of those, counted here only: an operation that full[] has no place for */
	struct om_fold full[OM_FULL_LAYERS][OM_FULL_OPS]; /* the ring was full */
};
/* Counts what is denied to tasks whose brane has no entry any more: withdrawn, and forgotten. */
#define OM_BRANE_LEFT 0xffffffffu
/* Row of om_stat.full for an enum om_where; OM_FULL_LAYERS and more: none. */
#define OM_FULL_LAYER(where) ((where) == OM_WHERE_VIEW ? 0u : (where) ? (__u32)(where) : ~0u)

/* om_folds: hash. Identical denials after the first, which was sent. */
struct om_fold_key {
	__u32 brane;
	__u16 op;
	__u8 where;
	__u8 full;  /* 0; the drain role marks what it took from om_stat.full with 1 */
	__u64 hash; /* of the object */
};

#ifndef __bpf__
#include <stddef.h>
#define OM_AT(s, f, o) _Static_assert(offsetof(struct s, f) == (o), #s "." #f)
_Static_assert(sizeof(struct om_config) == 24, "om_config");
_Static_assert(sizeof(struct om_slot) == 24, "om_slot");
OM_AT(om_slot, cgid, 16);
_Static_assert(sizeof(struct om_label) == 8, "om_label");
_Static_assert(sizeof(struct om_object_key) == 24, "om_object_key");
OM_AT(om_object_key, ino, 8);
OM_AT(om_object_key, gen, 16);
_Static_assert(sizeof(struct om_object_val) == 16, "om_object_val");
_Static_assert(sizeof(struct om_pattern_key) == 24, "om_pattern_key");
OM_AT(om_pattern_key, index, 20);
_Static_assert(sizeof(struct om_content_key) == 40, "om_content_key");
OM_AT(om_content_key, sha256, 8);
_Static_assert(sizeof(struct om_seen) == 48, "om_seen");
_Static_assert(sizeof(struct om_pattern) == 144, "om_pattern");
OM_AT(om_pattern, prefix, 16);
OM_AT(om_pattern, suffix, 80);
_Static_assert(sizeof(struct om_egress_key) == 28, "om_egress_key");
OM_AT(om_egress_key, port, 8);
OM_AT(om_egress_key, addr, 12);
_Static_assert(sizeof(struct om_listen_key) == 8, "om_listen_key");
_Static_assert(sizeof(struct om_stat) == 32 + 96 * sizeof(struct om_fold), "om_stat");
OM_AT(om_stat, full, 32);
_Static_assert(OM_OP_COUNT <= OM_FULL_OPS, "om_stat.full");
_Static_assert(sizeof(struct om_fold_key) == 16, "om_fold_key");
OM_AT(om_fold_key, hash, 8);
_Static_assert(sizeof(struct om_fold) == 24, "om_fold");
#endif

#endif
