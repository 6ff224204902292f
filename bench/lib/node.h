/*
 * A node of its own for a bench: an omegad with many branes, each with many grants.
 *
 * Comes in: layers, counts. Goes out: a running daemon, timed calls. Called by: bench/bench_*.c. Never
 * does: touch an installed agent. The run directory is on a tmpfs, as /run is; state is on
 * OMEGA_BENCH_DIR (default /tmp).
 */
#ifndef OMEGA_BENCH_NODE_H
#define OMEGA_BENCH_NODE_H

#include <sys/types.h>
#include "agent/varlink/client.h"

#define NODE_FILES_MAX 10000u

struct node {
	pid_t pid;
	const char *layers; /* "process,network" */
	char dir[96];	    /* state and granted files */
	char run[96], bpffs[96], cgroup[320], table[32], exe[3000], data[128];
	struct om_vl_client control;
};

/* Names and directories only; granted files are made. */
void node_prepare(struct node *n, const char *layers);
void node_start(struct node *n); /* returns when it serves */
/* Deletes branes bNNN below COUNT, stops the daemon, removes everything. */
void node_stop(struct node *n, unsigned int count);
/* Without a daemon: removes what node_prepare and a loader made. */
void node_clean(struct node *n);

struct node_policy {
	const char *name;
	unsigned int files; /* granted one by one: each is a mount and an object */
	unsigned int addrs; /* granted addresses with a port */
	unsigned int port;  /* of the first address: another one is another policy */
};
/* Four more grants than files + addrs: program, libraries, loader, its cache. Static buffer. */
const char *node_manifest(const struct node *n, const struct node_policy *p);
/* Seconds from call to answer. CHANGE must be what the daemon says: "created", ... */
double node_apply(struct node *n, const char *manifest, const char *change);
void node_delete(struct node *n, const char *name);
/* Branes b000 to b(COUNT - 1), as P but for the name. */
void node_fill(struct node *n, const struct node_policy *p, unsigned int count);

#endif
