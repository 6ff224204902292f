/*
 * Every bound of the product, each with its reason. Nothing else in the tree hard-codes a size that
 * an input can reach.
 */
#ifndef OMEGA_LIMITS_H
#define OMEGA_LIMITS_H

/* Manifest. A policy that a person can review fits in these; a larger input is an attack or a bug. */
#define OM_MANIFEST_BYTES_MAX  (256u * 1024u)
#define OM_MANIFEST_DEPTH_MAX  16u
#define OM_MANIFEST_KEYS_MAX   4096u
#define OM_MANIFEST_BRANES_MAX 256u
#define OM_DIAG_MAX	       256u /* more findings than a person reads in one go */

/* Names. 63 is the DNS label limit: brane names end up in host names and cgroup directories. */
#define OM_NAME_MAX	 63u
#define OM_INSTANCE_LEN	 6u    /* characters of a brane's random instance suffix */
#define OM_PATH_MAX	 4096u /* PATH_MAX, terminating NUL included */
#define OM_COMPONENT_MAX 255u  /* NAME_MAX */

/* IR. 10,000 grants a brane is the figure that the decision cost is proved flat at. */
#define OM_GRANTS_MAX		16384u
#define OM_IR_BYTES_MAX		(32u * 1024u * 1024u) /* one brane's strings and grants, growth included */
#define OM_ARGV_MAX		256u
#define OM_ENV_MAX		256u
#define OM_BUNDLE_MAX		(8u * 1024u * 1024u)
#define OM_DIGESTS_MAX		4096u /* contents that one brane's exec entries name: a manifest's worth */
#define OM_PATTERNS_MAX		16u  /* create patterns on one directory: bounded loop in BPF */
#define OM_PATTERNS_WRITTEN_MAX 512u /* before covered ones are dropped: that takes their square */
#define OM_PATTERN_PART_MAX	64u  /* bytes of a pattern's prefix and of its suffix */
/*
 * RLIMIT_CORE of a brane without core files, in bytes. Not 0: with core_pattern a pipe the kernel ignores
 * the size, but takes 1 for "no core at all" (core(5)).
 */
#define OM_CORE_NONE 1u

/* Kernel side. */
#define OM_WALK_MAX	       256u /* dentry parents visited; past it the answer is deny */
#define OM_BRANES_MAX	       4096u
#define OM_OBJECTS_MAX	       (1u << 20)
#define OM_PATTERN_ENTRIES_MAX (1u << 16) /* create patterns of all policies together */
#define OM_CONTENTS_MAX	       (1u << 16) /* contents that exec entries of all policies name */
#define OM_CONTENT_BYTES_MAX \
	(1u << 30) /* of a file with sha256: read at apply and at every execve */
#define OM_EGRESS_MAX (1u << 18)
#define OM_LISTEN_MAX (1u << 16)
#define OM_RING_BYTES (4u * 1024u * 1024u) /* 10k events of room; more is counted, not lost */
#define OM_FOLD_MAX   65536u /* distinct (brane, hook, class) counters and absent paths */

/* Seccomp. The kernel's own limit on a filter (BPF_MAXINSNS). */
#define OM_SECCOMP_INSNS_MAX 4096u

/* Audit log (design page "audit"). 65,535 is the C2SP entry bundle limit. */
#define OM_RECORD_MAX	    16384u
#define OM_BATCH_EVENTS_MAX 4096u
#define OM_BATCH_BYTES_MAX  (1024u * 1024u)
#define OM_BATCH_MS_MAX	    10u
#define OM_HEARTBEAT_S	    10u

/* Control protocol. A frame carries at most one manifest, escaped, plus its envelope. */
#define OM_FRAME_MAX   (2u * 1024u * 1024u)
#define OM_CLIENTS_MAX 64u

/* Workload output kept per brane and stream before the older half is dropped. */
#define OM_OUTPUT_BYTES_MAX (1024u * 1024u)
/* A denied system call waits at most so long for the drain role, then is denied and counted. */
#define OM_NOTIFY_WAIT_MS 2000u

#endif
