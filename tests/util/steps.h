/*
 * A brane whose workload makes one request at a time, and what the kernel recorded of each.
 *
 * Comes in: a bundle whose command is the helper `reach --step`. Goes out: for each request the errno
 * and the events that it left, of the ring and of the shim. Called by: live tests. Never does: judge.
 */
#ifndef OMEGA_TESTS_STEPS_H
#define OMEGA_TESTS_STEPS_H

#include "agent/events/events.h"
#include "tests/util/live.h"

#define STEPS_EVENTS_MAX 8u

struct steps {
	struct live *v;
	struct om_brane_info info;
	char name[64];
	int server, shim; /* RUN_DIR/shim.sock and the brane's connection, -1 */
	int pid;	  /* of the workload */
	int at;		  /* requests made */
	void *ring;	  /* struct ring_buffer, NULL without BPF */
	struct om_bpf_drain_fds fds;
	struct om_stat stat;	   /* after the last request */
	struct om_decoded *events; /* STEPS_EVENTS_MAX */
};

struct step {
	int err;	  /* errno of the request; 0: allowed; -1: the helper does not know it */
	uint32_t events;  /* in the ring and from the shim, s->events[0..] */
	uint32_t folded;  /* repeats of an event that is already there, counted by the kernel */
	uint64_t decided; /* denials by the kernel's own number */
};

/* Listens where shims report, opens the ring. Asserts. */
void steps_open(struct steps *s, struct live *v);
void steps_close(struct steps *s);
/* Applies and waits until the workload waits for its first step. Returns as om_txn_apply. */
int steps_start(struct steps *s, const struct om_apply *a, struct om_err *err);
/* Makes the next request. False: the workload is gone. */
bool steps_next(struct steps *s, struct step *out);
/* Deletes the brane. */
void steps_end(struct steps *s);

#endif
