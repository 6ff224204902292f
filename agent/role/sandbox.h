/*
 * A role's descriptor and how it confines itself.
 *
 * Comes in: one struct per role, next to its main(). Goes out: a process that can do that and nothing
 * else. Called by: each role, once, after what it must open is open. Never does: fail open: a step
 * that cannot be done ends the role, and with it the set.
 */
#ifndef OMEGA_ROLE_SANDBOX_H
#define OMEGA_ROLE_SANDBOX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <omega/err.h>

#define OM_UID_NOBODY 65534u

struct om_role_desc {
	const char *name;
	uint32_t uid;	     /* 0, or OM_UID_NOBODY */
	uint64_t caps;	     /* bits kept: permitted, effective, bounding */
	const int *syscalls; /* beyond the common ones; ends in -1; NULL: no filter */
	uint32_t files_max;  /* RLIMIT_NOFILE; 0: as it was */
	bool no_files;	     /* Landlock: no path can be opened */
	bool no_processes;   /* RLIMIT_NPROC 0 */
};

/*
 * Numbered steps: 1 die with the parent, 2 rlimits, 3 capabilities and uid, 4 no_new_privs, 5
 * Landlock, 6 seccomp. PARENT_SOCK is the pair that omegad made: its peer must be our parent.
 * OM_ERR_SANDBOX names the step.
 */
int om_role_enter(const struct om_role_desc *d, int parent_sock, struct om_err *err) OM_MUST_CHECK;

#endif
