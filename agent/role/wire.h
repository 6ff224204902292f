/*
 * What the roles say to each other. One table of types, one fixed struct for each.
 *
 *     parent <-> each role      READY, STOP
 *     api -> compile -> api     COMPILE, COMPILED_BRANE*, COMPILED
 *     api -> load -> api        LOAD, (BRANE | HOST | HOOK)*, DONE; ENDED unasked
 *     load -> drain -> load     MAPS, NOTE, COUNTS, DONE; LOG_STATE unasked
 *
 * The numbers in struct om_wire_brane are the loader's (loader/loader.h), asserted in the load role.
 * Called by: omegad's roles. Never does: travel further than this host and this build.
 */
#ifndef OMEGA_ROLE_WIRE_H
#define OMEGA_ROLE_WIRE_H

#include <string.h>
#include <sys/types.h>
#include <omega/diag.h>
#include <omega/limits.h>
#include "agent/role/msg.h"

enum om_msg_type {
	OM_MSG_READY = 1,	    /* role to parent */
	OM_MSG_STOP = 2,	    /* either way: end in order */
	OM_MSG_COMPILE = 10,	    /* om_wire_compile; fds: manifest [, command] */
	OM_MSG_COMPILED_BRANE = 11, /* om_wire_compiled_brane; fd: bundle */
	OM_MSG_COMPILED = 12,	    /* om_wire_compiled; fd: array of struct om_diag, if any */
	OM_MSG_LOAD = 20,	    /* om_wire_load; fds as its verb says */
	OM_MSG_DONE = 21,	    /* om_wire_done; fd: for OM_VERB_OPEN */
	OM_MSG_BRANE = 22,	    /* om_wire_brane */
	OM_MSG_HOST = 23,	    /* om_wire_host */
	OM_MSG_HOOK = 24,	    /* om_wire_hook */
	OM_MSG_ENDED = 25,	    /* om_wire_brane: its workload ended and is not started anew */
	OM_MSG_MAPS = 30,	    /* fds: events, stats, folds */
	OM_MSG_NOTE = 31,      /* om_wire_note: something to record; DONE once durable if id != 0 */
	OM_MSG_COUNTS = 32,    /* om_wire_counts, both ways */
	OM_MSG_LOG_STATE = 33, /* om_wire_log_state */
};

/* Who asked, by SO_PEERCRED of the control connection. */
struct om_wire_peer {
	uint32_t uid;
	uint32_t pid;
};

struct om_wire_err {
	uint32_t id; /* enum om_err_id; 0: none */
	int32_t ret;
	char text[OM_ERR_TEXT_MAX];
};

struct om_wire_compile {
	uint32_t argc; /* strings in the second descriptor, NUL-terminated each; 0: none */
	char only[OM_NAME_MAX + 1];
};

struct om_wire_compiled_brane {
	uint32_t index;
	uint32_t pad;
	uint8_t policy_id[32];
	char name[OM_NAME_MAX + 1];
};

struct om_wire_compiled {
	struct om_wire_err err;
	uint32_t branes;
	uint32_t findings;
	uint32_t dropped;
	uint32_t pad;
};

enum om_verb {
	OM_VERB_HOST = 1, /* HOST, DONE */
	OM_VERB_LIST,	  /* BRANE*, DONE */
	OM_VERB_GET,	  /* DONE */
	OM_VERB_DOCTOR,	  /* HOST, HOOK*, DONE */
	OM_VERB_OPEN,	  /* file: DONE with its descriptor */
	OM_VERB_COUNTS,	  /* COUNTS, DONE */
	OM_VERB_APPLY,	  /* fds: bundle, manifest [, stdin, stdout, stderr] */
	OM_VERB_DELETE,
	OM_VERB_FREEZE,
	OM_VERB_THAW,
	OM_VERB_RESTART,
	OM_VERB_REJECTED, /* a manifest was refused: text says why; recorded */
	OM_VERB_STOP,
	OM_VERB_GUARD, /* release the strict self-guard */
	OM_VERB_COUNT
};

#define OM_LOAD_DRY_RUN 0x1u
#define OM_LOAD_RESTART 0x2u
struct om_wire_load {
	uint32_t verb;	/* enum om_verb */
	uint32_t flags; /* OM_LOAD_* */
	struct om_wire_peer peer;
	char name[OM_NAME_MAX + 1];
	char file[16];	/* OM_VERB_OPEN: manifest, stdout, stderr */
	char text[128]; /* OM_VERB_REJECTED: "OM1203 at 12:1"; never manifest content */
};

/* loader.h's om_brane_info; 64-bit fields first. */
struct om_wire_brane {
	uint64_t cgid;
	uint64_t started_ns;
	uint32_t brane, policy;
	uint32_t state, layers, mode, on_full, restart;
	int32_t shim_pid, init_pid;
	uint32_t restarts, exit_cause;
	int32_t exit_code;
	uint8_t policy_id[32];
	char name[OM_NAME_MAX + 1];
	char instance[8];
};

struct om_wire_done {
	struct om_wire_err err;
	struct om_wire_brane brane;
	uint32_t change; /* enum om_change */
	uint32_t pad;
};

struct om_wire_host {
	uint32_t layers;
	uint32_t strict;	      /* 1: the self-guard is */
	char why[3][OM_ERR_TEXT_MAX]; /* process, kernel, network; "": there */
};

struct om_wire_hook {
	uint32_t layer;
	uint32_t required;
	uint32_t ok;
	char name[32];
	char why[160];
};

enum om_note {
	OM_NOTE_APPLY = 1, /* before the start: DONE once it is durable */
	OM_NOTE_STARTED,
	OM_NOTE_EXITED,
	OM_NOTE_ROLLED_BACK,
	OM_NOTE_ADOPTED,
	OM_NOTE_TAMPERED,
	OM_NOTE_CUT_SHORT,
	OM_NOTE_DELETED,
	OM_NOTE_FROZEN,
	OM_NOTE_THAWED,
	OM_NOTE_RESTARTED, /* by the operator */
	OM_NOTE_REJECTED,
	OM_NOTE_STOP,		/* by the operator */
	OM_NOTE_READY,		/* the agent's layers are known: brane.layers; name is empty */
	OM_NOTE_GUARD_STRICT,	/* from here on nobody else reaches the agent */
	OM_NOTE_GUARD_RELEASED, /* by the operator */
	OM_NOTE_COUNT
};

struct om_wire_note {
	uint32_t what; /* enum om_note */
	uint32_t change;
	struct om_wire_peer peer; /* uid ~0: nobody asked */
	struct om_wire_brane brane;
	char text[160]; /* error, or what was refused */
	uint32_t err_id;
	uint32_t pad;
};

struct om_wire_counts {
	char name[OM_NAME_MAX + 1];
	uint64_t denied, events, folded, lost;
};

enum om_log_state { OM_LOG_GOOD = 1, OM_LOG_STUCK };
struct om_wire_log_state {
	uint32_t state;
};

static inline void om_wire_err_put(struct om_wire_err *w, const struct om_err *e)
{
	w->id = (uint32_t)e->id;
	w->ret = e->ret;
	memcpy(w->text, e->text, sizeof(w->text));
}

/* Returns 0 for "no error", else the negative errno it carried. */
static inline int om_wire_err_get(const struct om_wire_err *w, struct om_err *e)
{
	if (!w->id)
		return 0;
	e->id = (enum om_err_id)w->id;
	e->ret = w->ret < 0 ? w->ret : -5; /* an error is never success, whatever the peer says */
	memcpy(e->text, w->text, sizeof(e->text));
	e->text[sizeof(e->text) - 1] = 0;
	return e->ret;
}

#endif
