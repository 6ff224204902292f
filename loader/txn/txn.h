/*
 * Inside the transaction: the state it keeps on disk, its steps, what undoes them.
 *
 * Comes in: struct om_loader. Goes out: the helpers of loader/txn/, grouped by file. Called by: loader/
 * and its fault tests only. Never does: appear in a public header.
 */
#ifndef OMEGA_LOADER_TXN_H
#define OMEGA_LOADER_TXN_H

#include <loader/impl.h>

/* --- state.c: RUN_DIR/branes/NAME --- */

#define OM_STATE_MAGIC "OMEGAST1"
struct om_state {
	char magic[8];
	uint32_t size;
	uint32_t slot_flags;
	struct om_brane_info info;
	uint8_t bundle[32]; /* SHA-256 of the file `bundle` */
	uint8_t objects
		[32]; /* of the file `objects`: struct om_resolved, as loaded into the maps */
	uint32_t object_count;
	uint32_t nft;	      /* 1: it has a chain */
	uint32_t next_policy; /* number that a transaction under way is filling, 0: none */
	uint32_t pad;
	uint8_t digest[32]; /* of all before */
};

/* Directory of NAME; CREATE makes it. OM_ERR_NOT_FOUND, OM_ERR_INVALID for a name that is no name. */
int om_state_dir(const struct om_loader *l, const char *name, bool create, int *fd,
		 struct om_err *err) OM_MUST_CHECK;
int om_state_read(int dir, struct om_state *st, struct om_err *err) OM_MUST_CHECK;
int om_state_read_as(int dir, const char *file, struct om_state *st, struct om_err *err)
	OM_MUST_CHECK;
int om_state_write(int dir, struct om_state *st, struct om_err *err) OM_MUST_CHECK;
int om_state_write_as(int dir, const char *file, struct om_state *st, struct om_err *err)
	OM_MUST_CHECK;
/* Makes the files *.next the current ones, `state` last; or removes them. Repeatable. */
int om_state_promote(int dir, struct om_err *err) OM_MUST_CHECK;
void om_state_discard(int dir);
/* Removes what an ended workload left: exit, killed. */
void om_state_forget_exit(int dir);
/* Whole file by rename, durable; and back, malloc'd, 8-aligned. */
int om_state_put(int dir, const char *file, const void *data, size_t len, struct om_err *err)
	OM_MUST_CHECK;
int om_state_get(int dir, const char *file, size_t max, void **data, size_t *len,
		 struct om_err *err) OM_MUST_CHECK;
int om_state_remove(const struct om_loader *l, const char *name, struct om_err *err) OM_MUST_CHECK;
/* Fills state and exit of INFO from the directory and the cgroup, as they are now. */
void om_state_refresh(const struct om_loader *l, int dir, struct om_brane_info *info);
bool om_name_ok(const char *name);

/* --- txn.c --- */

struct om_txn {
	struct om_loader *l;
	const struct om_apply *what;
	struct om_bundle b;
	const char *name;
	enum om_change change;
	bool start; /* this transaction starts the workload */
	struct om_state st;
	int dir, cg, shim_cg;
	struct om_resolution res;
	struct om_view view;
	int control, shim_pidfd;
	bool spawned, published, filled, nft_done, staged;
	/* the version being replaced */
	bool have_old, old_killed;
	struct om_state old;
	void *old_data;
	struct om_bundle old_b;
};

struct om_step {
	const char *name;
	bool touches; /* from here on a failure is OM_ERR_TXN_ROLLED_BACK */
	int (*run)(struct om_txn *t, struct om_err *err);
	/* Also called for the step that failed: copes with half of it. */
	int (*undo)(struct om_txn *t, struct om_err *err);
};
/* Runs STEPS; on failure undoes them in reverse, or freezes. */
int om_txn_run(struct om_txn *t, const struct om_step *steps, size_t n, struct om_err *err)
	OM_MUST_CHECK;
void om_txn_done(struct om_txn *t);
/* Nothing that NAME has may act any more: its slot denies everything, its cgroup is frozen. */
void om_txn_deny(struct om_loader *l, const char *name, const struct om_state *st);
/* That, and it is killed, and the next adoption removes it. */
void om_txn_condemn(struct om_loader *l, const char *name, struct om_state *st);
/* Removes every trace of NAME: processes, policy, nft, cgroups, state. Repeatable. */
int om_txn_purge(struct om_loader *l, const char *name, const struct om_state *st,
		 struct om_err *err) OM_MUST_CHECK;

/* steps.c: of a new brane; update.c: of one that exists. */
extern const struct om_step om_create_steps[];
extern const size_t om_create_count;
extern const struct om_step om_update_steps[];
extern const size_t om_update_count;
int om_txn_update(struct om_txn *t, struct om_err *err) OM_MUST_CHECK;

/* --- revoke.c --- */

/* 1: under B a process of WAS could go on using a file, or memory, that B does not grant. */
bool om_txn_takes_away(const struct om_bundle *was, const struct om_bundle *b);

/* Drops the entries of replaced policies. Takes a grace period (10 ms and more) if there are any. */
int om_txn_collect(struct om_loader *l, struct om_err *err) OM_MUST_CHECK;

/* Single steps that create and update share (steps.c). */
int om_step_check(struct om_txn *t, struct om_err *err);
int om_step_resolve(struct om_txn *t, struct om_err *err);
int om_step_view(struct om_txn *t, struct om_err *err);
int om_step_policy(struct om_txn *t, struct om_err *err);
int om_undo_policy(struct om_txn *t, struct om_err *err);
int om_step_record(struct om_txn *t, struct om_err *err);
int om_step_spawn(struct om_txn *t, struct om_err *err);
int om_undo_spawn(struct om_txn *t, struct om_err *err);
bool om_txn_wants_nft(const struct om_txn *t);
/* What the state says of bundle B: ids, layers, mode, digest. */
void om_txn_describe(struct om_state *st, const struct om_bundle *b);
/* Six random characters. */
int om_txn_instance(char out[static 8], struct om_err *err) OM_MUST_CHECK;
/* The slot that info and flags describe. */
struct om_slot om_txn_slot(const struct om_state *st);

#endif
