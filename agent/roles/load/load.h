/*
 * The load role: the only one that may change kernel state, through loader/.
 *
 * Comes in: requests of the api role, notes of the drain role, ended workloads. Goes out: loaded,
 * running, frozen or deleted branes, and what is to be recorded. Called by: omegad. Never does: parse
 * a manifest, trust a bundle it has not checked itself, start anything before the drain role has
 * written down durably that it will.
 */
#ifndef OMEGA_ROLES_LOAD_H
#define OMEGA_ROLES_LOAD_H

#include <stdbool.h>
#include <stdint.h>
#include <loader/guard/self.h>
#include <loader/loader.h>
#include "agent/role/wire.h"

enum { FD_PARENT = 3, FD_API = 4, FD_DRAIN = 5 };

/* A workload that is to be started anew, or was frozen by us because the log cannot be written. */
struct load_entry {
	char name[OM_NAME_MAX + 1];
	uint64_t due_ms;   /* CLOCK_MONOTONIC; 0: no restart is planned */
	uint32_t delay_ms; /* of the last restart */
	uint64_t started_ms;
	bool frozen_for_log;
	bool used;
};

struct load {
	struct om_loader *l;
	uint32_t layers;
	uint64_t next_id;
	uint32_t log_state;   /* enum om_log_state, as the drain role last said */
	uint32_t log_applied; /* and as the branes were last treated */
	bool stop_asked;
	bool want_strict;     /* --self-guard=strict */
	char guard_opts[256]; /* what the next omegad must be started with as well */
	enum om_guard guard;  /* as it is */
	const char *run_dir;
	uint32_t lives;		    /* started since the counters were swept */
	struct load_entry *entries; /* OM_BRANES_MAX */
};

/* --- drain.c: what is to be recorded --- */

/* Fills a note about INFO (may be NULL). PEER may be NULL: nobody asked. */
void load_note_init(struct om_wire_note *n, enum om_note what, const struct om_brane_info *info,
		    const struct om_wire_peer *peer);
/*
 * Sends it. With WAIT, returns only when it is durable: OM_ERR_LOG_IO when the drain role says no or
 * nothing within 5 s (the caller rolls back: what cannot be recorded does not happen).
 */
int load_note_send(struct load *l, const struct om_wire_note *n, bool wait, struct om_err *err)
	OM_MUST_CHECK;
int load_counts(struct load *l, struct om_wire_counts *c, struct om_err *err) OM_MUST_CHECK;
/* Takes one message that the drain role sent unasked. Negative: end the role. */
int load_from_drain(struct load *l, const struct om_msg *m, struct om_err *err) OM_MUST_CHECK;

/*
 * Clears the kernel's counters of branes that are gone: without this the map of OM_BRANES_MAX is full
 * after so many lives and no brane starts any more. Only after an answer of the drain role, which has
 * then recorded every counter of lives that ended before; does nothing while the log is stuck.
 */
void load_sweep(struct load *l);

/* --- verbs.c: what the api role asks --- */
int load_from_api(struct load *l, struct om_msg *m, struct om_err *err) OM_MUST_CHECK;
void load_wire_brane(const struct load *l, struct om_wire_brane *w, const struct om_brane_info *i);

/* --- apply.c --- */
struct load_apply {
	const void *bundle;
	size_t bundle_len;
	const void *manifest;
	size_t manifest_len;
	int stdio[3];
	const struct om_wire_peer *peer; /* NULL: the restart policy */
	bool restart, dry_run;
};
int load_apply(struct load *l, const struct load_apply *a, const char *name, enum om_change *change,
	       struct om_brane_info *info, struct om_err *err) OM_MUST_CHECK;
/* The stored bundle of NAME, once more. */
int load_again(struct load *l, const char *name, const struct om_wire_peer *peer,
	       struct om_brane_info *info, struct om_err *err) OM_MUST_CHECK;

/*
 * Reads INFO anew while it says "killed" and the shim is still there: the exit file, which tells the
 * truth, may not be written yet. Waits 100 ms at most.
 */
void load_settle(struct load *l, struct om_brane_info *info);

/* --- watch.c: ended workloads, restarts, a log that cannot be written --- */
void load_ended(struct load *l, const struct om_brane_info *info);
/* Milliseconds until the next restart is due, -1: none. */
int load_wait_ms(const struct load *l);
void load_restarts(struct load *l);
/* Makes the branes what the log's state demands. */
void load_obey_log(struct load *l);
struct load_entry *load_entry(struct load *l, const char *name, bool make);
void load_entry_drop(struct load *l, const char *name);

/* --- guard.c: the strict self-guard --- */
/* As omegad was asked, unless it was released in this omegad's life; recorded. */
int load_guard(struct load *l, const struct om_loader_opts *o, struct om_err *err) OM_MUST_CHECK;
/* Recorded durably, then lifted. */
int load_guard_release(struct load *l, const struct om_wire_peer *peer, struct om_err *err)
	OM_MUST_CHECK;

/* `omegad --probe`: prints what this kernel can enforce; the exit code. */
int load_probe(void);

#endif
