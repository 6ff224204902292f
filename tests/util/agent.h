/*
 * An omegad of its own for a live test, in temporary directories, with its own cgroup and table.
 *
 * Comes in: layers. Goes out: a running daemon, calls, records. Called by: tests/live, tests/fault.
 * Never does: touch an installed agent; end a process that it did not start.
 */
#ifndef OMEGA_TESTS_AGENT_H
#define OMEGA_TESTS_AGENT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <omega/err.h>

struct agent {
	pid_t pid; /* 0: not running */
	char dir[64], cgroup[320], table[32], bpffs[64], exe[3100];
	const char *layers;
	bool tmpfs; /* on the state directory */
};

/* Makes the directories and starts it. Skips the running test (cmocka) when not root. */
void agent_open(struct agent *a, const char *layers);
/* As agent_open without starting it; the state directory is a tmpfs of STATE_SIZE ("8m"), if given. */
void agent_prepare(struct agent *a, const char *layers, const char *state_size);
/* Starts it again; waits until it serves (20 s at most, asserts). */
void agent_start(struct agent *a);
/* Sends SIG and waits; returns the exit code, or 128 + signal. */
int agent_stop(struct agent *a, int sig);
/* Deletes every brane, stops it, removes all that it made. */
void agent_close(struct agent *a);

/*
 * A call on SOCKET ("observe", "control", "admin"). The reply's parameters; on an error of the daemon
 * ERR is set and the error's parameters are returned. Asserts that there was an answer.
 */
json_t *agent_call(struct agent *a, const char *socket, const char *method, json_t *params,
		   struct om_err *err);
/* Apply of MANIFEST; returns as agent_call. */
json_t *agent_apply(struct agent *a, const char *manifest, struct om_err *err);

/* How many signed records of BRANE ("@node", NULL: any) are of KIND and have FIELD == VALUE in data. */
unsigned int agent_records(struct agent *a, const char *brane, const char *kind, const char *field,
			   const char *value);
/* Waits until there is at least one (20 s at most); returns agent_records. */
unsigned int agent_await(struct agent *a, const char *brane, const char *kind, const char *field,
			 const char *value);
/* verify-chain with the pinned key: enum om_verdict. */
int agent_verify(struct agent *a);
/* The pid of ROLE ("load", "drain", …), by the daemon's children; 0: none. */
pid_t agent_role(struct agent *a, const char *role);

/* A manifest of one brane NAME that runs SCRIPT in bash under process and network layers. */
const char *agent_manifest(const char *name, const char *script, const char *extra);

#endif
