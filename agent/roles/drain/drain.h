/*
 * The drain role: kernel events, shim messages and notes in, signed and durable records out.
 *
 * Comes in: the ring buffer, counters, shims, the load role's notes. Goes out: the audit log;
 * acknowledgements, only once durable. Called by: omegad. Never does: hold an event in memory that the
 * kernel or a shim has forgotten: while the log cannot be written nothing is taken, the ring fills, the
 * kernel counts what finds no room, the shims deny and count, and the load role freezes the branes.
 * One exception: look-ups of paths that the host lacks too are counted here between two reports.
 */
#ifndef OMEGA_ROLES_DRAIN_H
#define OMEGA_ROLES_DRAIN_H

#include <stdbool.h>
#include <stdint.h>
#include <omega/abi/policy.h>
#include <omega/shim.h>
#include "agent/chain/log.h"
#include "agent/events/events.h"
#include "agent/events/ring.h"
#include "agent/role/wire.h"

enum { FD_PARENT = 3, FD_SIGN = 4, FD_LOAD = 5, FD_SHIM = 6 };

#define DRAIN_POLICIES 4u   /* numbers of past policies that late events may still carry */
#define DRAIN_ABSENT   256u /* absent paths remembered per brane; more share one counter */
#define DRAIN_NAMES    512u /* paths a brane whose repeats are named */
#define DRAIN_FIRST    8u /* places of both to begin with: most branes miss few paths, and are many */
#define DRAIN_SHIMS    OM_BRANES_MAX
#define DRAIN_ACKS     512u  /* unacknowledged shim messages at most */
#define DRAIN_PENDING  128u  /* notes kept while the log cannot be written */
#define DRAIN_UNSYNCED 1024u /* ring samples held before a commit is forced */

struct absent {
	uint64_t hash; /* of the path */
	uint64_t count;
	uint64_t first_ns, last_ns;
	uint32_t len;
	char path[236]; /* its end, when longer */
};

struct brane {
	uint32_t num;
	char name[OM_NAME_MAX + 1];
	char instance[8];
	struct {
		uint32_t num;
		char id[17]; /* first 16 hex digits of the policy id */
	} policy[DRAIN_POLICIES];
	unsigned int policy_at;
	uint32_t handle; /* in the log; OM_LOG_NODE while no stream is open */
	bool open;
	bool started; /* the load role said so: brane.start is recorded before brane.exit */
	bool exit_recorded;
	struct {
		bool here; /* the shim told of the end before the load role told of the start */
		uint32_t cause, shim;
		int32_t code;
		uint64_t run_ns, id;
	} early_exit;
	uint64_t close_ms; /* CLOCK_MONOTONIC; 0: not planned */
	uint32_t
		late_cause; /* of the exit as the load role saw it, used if the shim stays silent */
	int32_t late_code;
	bool seq_known;
	uint64_t next_seq;
	uint64_t denied, events, folded, lost; /* of this agent's life and the counters found */
	uint64_t shim_id;		       /* highest shim message taken */
	uint32_t shim_pid;		       /* of that shim */
	struct absent *absent;		       /* absent_cap of them; grows to DRAIN_ABSENT */
	struct name *names;		       /* names_cap of them; grows to DRAIN_NAMES */
	uint32_t absent_cap, names_cap;
	uint64_t absent_more; /* absent paths past that */
	struct brane *next;   /* in the bucket */
};

struct shim {
	int fd;		     /* -1: free */
	uint32_t brane, pid; /* 0: no HELLO yet */
};

struct ack {
	uint32_t shim; /* index */
	uint64_t id;
};

/* Seen so far of one kernel counter, so that only what is new is recorded. */
struct seen {
	struct om_fold_key key; /* brane 0: free place */
	uint64_t count;
};

struct drain {
	struct om_log *log;
	struct om_signer *signer;
	bool stuck;
	uint64_t retry_ms;
	bool ready; /* adoption is over: events can be attributed */
	bool load_gone;
	int ep;

	struct om_ring ring;
	bool have_maps;
	bool ring_armed;
	int events_fd, stats_fd, folds_fd;
	uint32_t held; /* samples read, not released */

	struct brane *buckets[OM_BRANES_MAX];
	uint32_t branes;
	struct shim *shims;
	struct ack acks[DRAIN_ACKS];
	uint32_t n_acks;

	struct om_msg pending[DRAIN_PENDING]; /* notes, while stuck */
	uint32_t n_pending;

	struct seen *seen; /* open addressing, seen_cap places */
	uint32_t seen_cap, seen_used;
	bool seen_dirty;
	uint64_t counted_ms; /* last look at the counters */
	uint64_t absent_ms;  /* last report of absent paths */
	int state_dir;	     /* run_dir/drain */
};

uint64_t drain_now_ms(void);

/* --- put.c: everything that goes into the log passes here --- */
/*
 * 0: appended, or counted as unfit; -EAGAIN: the log cannot be written now (D is stuck) and the record
 * was not taken; any other error ends the role.
 */
int drain_put(struct drain *d, const struct brane *b, const char *kind, struct om_data *data,
	      unsigned int flags, struct om_err *err) OM_MUST_CHECK;
/* Makes all of it durable, then releases the ring and acknowledges. As above. */
int drain_commit(struct drain *d, struct om_err *err) OM_MUST_CHECK;
/* Adds uid and pid of who asked. */
void drain_put_peer(struct om_data *data, const struct om_wire_peer *peer);

/* --- brane.c --- */
struct brane *drain_brane(struct drain *d, uint32_t num);
struct brane *drain_brane_named(struct drain *d, const char *name);
/* The entry for W: found, or made. Its policy number is remembered. */
struct brane *drain_brane_take(struct drain *d, const struct om_wire_brane *w);
void drain_brane_forget(struct drain *d, struct brane *b);
/* Opens its stream in the log if there is none. As drain_put. */
int drain_brane_open(struct drain *d, struct brane *b, struct om_err *err) OM_MUST_CHECK;
int drain_brane_close(struct drain *d, struct brane *b, const char *why, struct om_err *err)
	OM_MUST_CHECK;
/* Closes those whose time has come. */
int drain_branes_due(struct drain *d, struct om_err *err) OM_MUST_CHECK;
const char *drain_policy_id(const struct brane *b, uint32_t policy);
/* Records why the workload ended, once for each life. */
int drain_exit(struct drain *d, struct brane *b, uint32_t cause, int32_t code, uint64_t run_ns,
	       struct om_err *err) OM_MUST_CHECK;

/* --- events.c: ring and denials --- */
int drain_ring_open(struct drain *d, int events, int stats, int folds, struct om_err *err)
	OM_MUST_CHECK;
/* Takes what is in the ring. As drain_put. */
int drain_ring(struct drain *d, struct om_err *err) OM_MUST_CHECK;
void drain_ring_arm(struct drain *d);
/* One decoded denial into the log. */
int drain_denial(struct drain *d, struct brane *b, const struct om_decoded *e, bool kernel,
		 struct om_err *err) OM_MUST_CHECK;

/* --- absent.c --- */
/* True when the host has the path: then it is a denial. Otherwise it is counted here. */
bool drain_absent(struct brane *b, const struct om_decoded *e);
int drain_absent_report(struct drain *d, struct brane *b, struct om_err *err) OM_MUST_CHECK;

/* --- counts.c: om_stats and om_folds --- */
int drain_counts(struct drain *d, struct om_err *err) OM_MUST_CHECK;
void drain_counts_load(struct drain *d);
void drain_counts_save(struct drain *d); /* after a commit */

/* --- shims.c --- */
int drain_shims_init(struct drain *d, struct om_err *err) OM_MUST_CHECK;
void drain_shim_accept(struct drain *d);
int drain_shim_read(struct drain *d, uint32_t index, struct om_err *err) OM_MUST_CHECK;
void drain_shims_ack(struct drain *d);
/* The end that was told too early, now that the start is recorded. */
int drain_shim_early_exit(struct drain *d, struct brane *b, struct om_err *err) OM_MUST_CHECK;

/* --- notes.c: the load role --- */
int drain_from_load(struct drain *d, struct om_msg *m, struct om_err *err) OM_MUST_CHECK;
/* Writes down what was kept while the log could not be written. */
int drain_pending(struct drain *d, struct om_err *err) OM_MUST_CHECK;
/* Tells the load role that the log is stuck or good again. */
int drain_tell_log(struct drain *d, bool stuck, struct om_err *err) OM_MUST_CHECK;

/* --- names.c: what the hashes of folded repeats stand for --- */
void drain_name_keep(struct brane *b, uint64_t hash, const char *path, size_t len, bool denied);
/* Puts "obj" if the path is known; true: the host has it, so the look-ups were denials. */
bool drain_name_put(struct brane *b, uint64_t hash, struct om_data *data);

#endif
