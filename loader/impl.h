/*
 * Inside the loader: what its files share. Not for other folders.
 *
 * Comes in: struct om_loader, opened once. Goes out: the helpers of each part, grouped by file. Called
 * by: loader/ only. Never does: appear in a public header.
 */
#ifndef OMEGA_LOADER_IMPL_H
#define OMEGA_LOADER_IMPL_H

#include <loader/loader.h>
#include <loader/net/nft.h>
#include <loader/process/process.h>
#include <loader/process/view.h>

/* A killed task can sit in an uninterruptible sleep; past this the brane counts as not undone. */
#define OM_EMPTY_WAIT_MS 10000
/* From exec of the shim to exec of the workload. Past it something hangs, and the start has failed. */
#define OM_START_WAIT_MS 20000
/* For a shim to write the exit file of a workload that was just killed. */
#define OM_SHIM_END_MS 500
/* Replaced policies whose entries wait for the next idle moment; past it the apply itself waits. */
#define OM_RETIRED_MAX 64u

struct om_watch {
	char name[64];
	int wd;		/* inotify watch on the brane's state directory */
	int shim_pidfd; /* -1: none */
	bool told;	/* this instance's end was passed on */
	bool look;	/* something happened to it since it was last looked at */
};

struct om_loader {
	char run_dir[96];
	char bpffs[256];
	char shim[4096];
	char nft_table[32];
	char cgroup[4096];
	int branes; /* RUN_DIR/branes */
	int parent; /* cgroup whose children are the branes */
	int shims;  /* cgroup whose children are their shims: PARENT.shims */
	uint64_t parent_cgid;
	uint32_t level; /* of the children of parent */
	char controllers[256];
	uint32_t layers;
	char why[3][200];
	struct om_bpf *bpf;
	struct om_nft *nft;
	int epoll, inotify;
	int kick; /* eventfd: look at all of them once */
	struct om_watch *watches;
	uint32_t watch_count, watch_cap;
	uint32_t retired[OM_RETIRED_MAX]; /* policies that decide nothing any more, to be dropped */
	uint32_t retired_count;
};

/* --- txn/state.c: RUN_DIR/branes/NAME --- */

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

/* --- cgroup.c --- */

int om_cgroup_open(struct om_loader *l, const char *path, struct om_err *err) OM_MUST_CHECK;
/* OM_ERR_CGROUP_CONTROLLER when a row needs a controller that children of the parent do not get. */
int om_cgroup_check(const struct om_loader *l, const struct om_bundle *b, struct om_err *err)
	OM_MUST_CHECK;
int om_cgroup_make(int parent, const char *name, int *fd, uint64_t *cgid, struct om_err *err)
	OM_MUST_CHECK;
/* Rows of B; rows that OLD (may be NULL) had and B has not are set back to "max". */
int om_cgroup_limits(int cg, const struct om_bundle *b, const struct om_bundle *old,
		     struct om_err *err) OM_MUST_CHECK;
int om_cgroup_kill(int cg);
int om_cgroup_wait_empty(int cg, int ms, struct om_err *err) OM_MUST_CHECK;
/* Kills, waits, removes, sub-cgroups first. A cgroup that is not there counts as removed. */
int om_cgroup_remove(int parent, const char *name, struct om_err *err) OM_MUST_CHECK;
int om_cgroup_freeze(int cg, bool freeze, struct om_err *err) OM_MUST_CHECK;
/* 1, 0, or -errno (gone). */
int om_cgroup_event(int cg, const char *key);
/* Directory descriptor or -errno. */
int om_cgroup_child(int parent, const char *name);
uint64_t om_cgroup_id(int cg);

/* --- watch.c --- */

int om_watch_open(struct om_loader *l, struct om_err *err) OM_MUST_CHECK;
void om_watch_close(struct om_loader *l);
/* Takes over SHIM_PIDFD. Replaces what NAME had. */
int om_watch_add(struct om_loader *l, const char *name, int shim_pidfd, bool told,
		 struct om_err *err) OM_MUST_CHECK;
void om_watch_del(struct om_loader *l, const char *name);

/* --- process/spawn.c --- */

struct om_spawn {
	const struct om_bundle *bundle;
	const struct om_brane_info *info; /* name, instance, brane, policy, layers */
	const struct om_view *view;	  /* NULL without the process layer */
	const int *stdio;
	int cg, shim_cg, dir;
};
/* Starts the shim and waits until the workload's execve. CONTROL awaits consent (om_spawn_consent). */
int om_spawn(const struct om_loader *l, const struct om_spawn *s, struct om_ready *ready,
	     int *control, int *shim_pidfd, struct om_err *err) OM_MUST_CHECK;
int om_spawn_consent(int control, struct om_err *err) OM_MUST_CHECK;

/* --- txn/txn.c --- */

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

/* txn/steps.c: of a new brane; txn/update.c: of one that exists. */
extern const struct om_step om_create_steps[];
extern const size_t om_create_count;
extern const struct om_step om_update_steps[];
extern const size_t om_update_count;
int om_txn_update(struct om_txn *t, struct om_err *err) OM_MUST_CHECK;

/* Drops the entries of replaced policies. Takes a grace period (10 ms and more) if there are any. */
int om_txn_collect(struct om_loader *l, struct om_err *err) OM_MUST_CHECK;

/* Single steps that create and update share (txn/steps.c). */
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
