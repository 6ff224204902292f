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
	char state_dir[4096]; /* of the audit log and the keys; "": none. Only guarded */
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

/* --- txn/watch.c --- */

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

#endif
