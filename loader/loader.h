/*
 * The loader: bundles in, kernel state out, as transactions.
 *
 * Comes in: a bundle (already checked by om_bundle_open). Goes out: a confined, running brane, or
 * nothing at all. Called by: the load role only. Never does: parse a manifest, speak to a client,
 * write the audit log, or leave a brane half loaded: on failure it is undone, and what cannot be
 * undone is frozen and killed.
 */
#ifndef OMEGA_LOADER_LOADER_H
#define OMEGA_LOADER_LOADER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <omega/bundle.h>
#include <omega/err.h>
#include <omega/ir.h>
#include <omega/shim.h>
#include <loader/bpf.h>

struct om_loader;

struct om_loader_opts {
	const char
		*run_dir; /* "/run/omega": branes/NAME/{bundle,manifest,state,exit,stdout,stderr} */
	const char
		*state_dir; /* "/var/lib/omega": never opened, only kept out of grants; or NULL */
	const char *bpffs;  /* "/sys/fs/bpf/omega" */
	const char *cgroup; /* parent of all branes; NULL: "omega" below the first cgroup2 mount */
	const char *shim;   /* path of the omegad-shim executable */
	const char *nft_table; /* "omega" */
	uint32_t layers;       /* OM_LAYER_* wanted of this host */
};

/*
 * Makes the parent cgroup (controllers enabled as far as the host has them), loads or adopts BPF,
 * makes the base nftables table. *GOT: the layers this host can enforce, completely; the reasons for
 * the missing ones are in om_loader_why.
 */
int om_loader_open(const struct om_loader_opts *opts, struct om_loader **out, uint32_t *got,
		   struct om_err *err) OM_MUST_CHECK;
/* Closes descriptors. Branes and their policy stay. Takes NULL. */
void om_loader_free(struct om_loader *l);
/* One line why LAYER (one OM_LAYER_* bit) is missing; "" when it is there. */
const char *om_loader_why(const struct om_loader *l, uint32_t layer);
struct om_bpf *om_loader_bpf(struct om_loader *l); /* borrowed; NULL without any BPF */

enum om_brane_state {
	OM_BRANE_LOADING = 1, /* a transaction is under way or was cut short */
	OM_BRANE_RUNNING,
	OM_BRANE_EXITED, /* no task left; policy still loaded */
	OM_BRANE_FROZEN,
};

struct om_brane_info {
	char name[64];
	char instance[8]; /* random [a-z0-9], new at every start, NUL-terminated */
	uint32_t brane;	  /* number in the maps; 0: none */
	uint32_t policy;
	uint8_t policy_id[32];
	uint64_t cgid;
	uint32_t state;	 /* enum om_brane_state */
	uint32_t layers; /* enforced for it */
	uint32_t mode;	 /* enum om_mode */
	uint32_t on_full;
	uint32_t restart;
	int32_t shim_pid, init_pid; /* 0: none */
	uint64_t started_ns;	    /* CLOCK_REALTIME at execve */
	uint32_t restarts;
	uint32_t exit_cause; /* enum om_exit_cause */
	int32_t exit_code;
};

enum om_change { OM_CHANGE_CREATED = 1, OM_CHANGE_CONFIGURED, OM_CHANGE_UNCHANGED };

struct om_apply {
	const void *bundle; /* checked; 8-aligned */
	size_t bundle_len;
	const void *manifest; /* its source text, kept for describe; may be NULL */
	size_t manifest_len;
	int stdio[3]; /* given by `run`: used instead of the files; -1: not given. Borrowed */
	bool restart; /* start the workload anew even if the policy is unchanged */
	/*
	 * Called when everything is in place and verified, before anything runs: the caller makes the
	 * policy.apply record durable. Non-zero rolls back.
	 */
	int (*before_start)(const struct om_brane_info *info, enum om_change change, void *ctx,
			    struct om_err *err);
	void *ctx;
};

/*
 * Loads a brane, or swaps its policy. One slot update makes a new policy live; if parts that a running
 * process cannot change differ (view, seccomp, command, environment, user, namespaces) the workload
 * is started anew under the new policy.
 *   OM_ERR_TXN_ROLLED_BACK  undone, nothing changed (text names the step and cause)
 *   OM_ERR_TXN_FROZEN	     an undo failed: the brane is killed or frozen, and denied everything
 *   ids with exit code 9    a layer the bundle requires is missing on this host; nothing was touched
 *   OM_ERR_RESOLVE	     a granted path does not exist; nothing was touched
 */
int om_txn_apply(struct om_loader *l, const struct om_apply *what, enum om_change *change,
		 struct om_brane_info *info, struct om_err *err) OM_MUST_CHECK;

/* Kills (cgroup.kill), waits until it is empty, withdraws policy, removes cgroup and state. */
int om_txn_delete(struct om_loader *l, const char *name, struct om_brane_info *info,
		  struct om_err *err) OM_MUST_CHECK;
/* cgroup.freeze; waits until it is frozen. */
int om_loader_freeze(struct om_loader *l, const char *name, bool freeze, struct om_err *err)
	OM_MUST_CHECK;
/* cgroup.kill without removing policy. */
int om_loader_kill(struct om_loader *l, const char *name, struct om_err *err) OM_MUST_CHECK;

enum om_adopted {
	OM_ADOPT_RUNNING = 1, /* whole and verified */
	OM_ADOPT_EXITED,      /* its workload ended meanwhile; policy verified */
	OM_ADOPT_TAMPERED,    /* maps differ from the stored bundle: denied everything, frozen */
	OM_ADOPT_CUT_SHORT,   /* a transaction was cut short: removed (its processes killed) */
};
/* Takes over what an earlier agent left. FN is told of each brane; ERR is set for TAMPERED. */
int om_loader_adopt(struct om_loader *l,
		    void (*fn)(const struct om_brane_info *info, enum om_adopted how,
			       const struct om_err *why, void *ctx),
		    void *ctx, struct om_err *err) OM_MUST_CHECK;

/* OM_ERR_NOT_FOUND when there is none. State and exit are read anew. */
int om_loader_get(struct om_loader *l, const char *name, struct om_brane_info *out,
		  struct om_err *err) OM_MUST_CHECK;
int om_loader_each(struct om_loader *l, int (*fn)(const struct om_brane_info *info, void *ctx),
		   void *ctx, struct om_err *err) OM_MUST_CHECK;
/* The maps against the stored bundle. OM_ERR_TAMPERED names the first difference. */
int om_loader_verify(struct om_loader *l, const char *name, struct om_err *err) OM_MUST_CHECK;
/* A stored file of the brane ("manifest", "bundle", "stdout", "stderr"), opened read-only. */
int om_loader_open_file(struct om_loader *l, const char *name, const char *file, int *fd,
			struct om_err *err) OM_MUST_CHECK;
/* Readable when any brane may have changed state (exit): for the role's event loop; -1: none. */
int om_loader_event_fd(const struct om_loader *l);
/* Call when it is readable; FN gets every brane whose workload ended since the last call. */
int om_loader_poll(struct om_loader *l, void (*fn)(const struct om_brane_info *info, void *ctx),
		   void *ctx, struct om_err *err) OM_MUST_CHECK;

#endif
