/*
 * The operations of bench_decision: one for each family of hooks, granted, denied, and outside a brane.
 *
 * Comes in: the bench's directory. Goes out: a table of operations and the program whose cost each shows.
 * Called by: bench_decision.c. Never does: time anything.
 */
#ifndef OMEGA_BENCH_OPS_H
#define OMEGA_BENCH_OPS_H

#include <stdbool.h>
#include <stddef.h>

#define OPS_MAX	 64u
#define OPS_PORT 9 /* discard; nobody listens */

struct op {
	const char *what;
	const char *prog; /* whose cost is reported */
	int (*fn)(const char *arg);
	const char *arg;
	bool inside, succeeds; /* what fails ends early: its time says nothing */
};

/* Makes what they need below DIR: "granted" is what a policy is to grant, all rights. 0 or -errno. */
int ops_make(const char *dir);
/* With LSM those of BPF-LSM and two of cgroup BPF, else those of cgroup BPF. */
const struct op *ops_list(bool lsm, size_t *n);

#endif
