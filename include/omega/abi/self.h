/*
 * The strict self-guard: what is the agent's, and who is the agent. Shared with BPF.
 *
 * These maps lie in a directory of pins of their own and exist only while the guard is strict. They are
 * written by the load role; programs read them.
 */
#ifndef OMEGA_ABI_SELF_H
#define OMEGA_ABI_SELF_H

#include <linux/types.h>

/*
 * Stands for the host in events and in om_stats: a task outside every brane was denied something of the
 * agent's. No brane has this number.
 */
#define OM_BRANE_HOST 0xfffffffeu

/* om_self_state, array of one. */
#define OM_SELF_OFF    0u
#define OM_SELF_STRICT 1u
#define OM_SELF_OPTS   256u
struct om_self_state {
	__u32 level;	/* OM_SELF_OFF or OM_SELF_STRICT: the one word that switches all of it */
	__u32 links;	/* how many links are pinned */
	__u32 mnt_ns;	/* number of the agent's mount namespace */
	__u32 root_mnt; /* id of the mount that its root directory is on */
	__u64 opts[OM_SELF_OPTS /
		   8]; /* text: what omegad was started with, apart from its directories */
};

/* om_self_tasks: task storage. Inherited at fork, settled at execve. */
#define OM_SELF_NOBODY	  0u
#define OM_SELF_CANDIDATE 1u /* runs omegad's own program and nothing else; has no rights yet */
#define OM_SELF_AGENT	  2u
struct om_self_task {
	__u32 who;
	__u32 pad;
};

/* om_self_pids: hash, __u32 process id of an agent in the initial namespace -> __u32 1. */

/* om_self_objects: hash. */
struct om_self_key {
	__u32 dev; /* as in struct om_object_key */
	__u32 gen;
	__u64 ino;
};
#define OM_SELF_TREE	 0x001u /* nobody else changes this directory or what is below it */
#define OM_SELF_FILE	 0x002u /* nobody else changes this object */
#define OM_SELF_SECRET	 0x004u /* with TREE or FILE: nor reads it */
#define OM_SELF_ABOVE	 0x008u /* leads to one of them: is not renamed or mounted over */
#define OM_SELF_STEER	 0x010u /* a cgroup that the agent is in: its control files steer the agent */
#define OM_SELF_MAIN	 0x020u /* the program omegad */
#define OM_SELF_ROLE	 0x040u /* a program that only the agent starts as the agent */
#define OM_SELF_CODE	 0x080u /* may be mapped executable by the agent */
#define OM_SELF_RUN	 0x100u /* which directory it is */
#define OM_SELF_STATE	 0x200u
#define OM_SELF_PINS	 0x400u
#define OM_SELF_ROOT	 0x800u /* the root directory of the agent */
#define OM_SELF_PIDS_MAX 8192u
/* The agent's directories are this deep at most, so that no walk goes further up. */
#define OM_SELF_DEPTH 8

/* om_self_ids: hash. Value: __u32 1. */
#define OM_SELF_MAP  1u
#define OM_SELF_PROG 2u
#define OM_SELF_LINK 3u
#define OM_SELF_PEER 4u /* a peer group of mounts that passes on to the agent's namespace */
#define OM_SELF_DEV  5u /* a file system that holds something of the agent's */
#define OM_SELF_MNT  6u /* a mount by which the agent's directories are reached */
struct om_self_id {
	__u32 kind;
	__u32 id;
};

/* The argument of om_self_claim, by which a candidate becomes the agent. Never stored. */
struct om_self_claim_args {
	__u32 fds[3]; /* run, state and pin directory, open in the caller */
	__u32 granted;
	__u64 opts[OM_SELF_OPTS / 8];
};

#endif
