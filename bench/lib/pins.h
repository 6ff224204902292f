/*
 * Pins, a parent cgroup and branes of a bench's own, without a daemon.
 *
 * Comes in: the layers wanted. Goes out: an open set of maps; branes with policies made by hand. Called by:
 * bench_decision, bench_exec, bench_memory. Never does: touch an installed agent's pins or cgroups.
 */
#ifndef OMEGA_BENCH_PINS_H
#define OMEGA_BENCH_PINS_H

#include <stdbool.h>
#include <stdint.h>
#include <loader/bpf.h>

struct pins {
	struct om_bpf *bpf;
	char dir[64], bpffs[64], parent[300]; /* directory for files, pins, cgroup */
	int parent_fd;
	uint64_t parent_id;
	uint32_t layers;
};

/* Directory, mount and parent cgroup; nothing is loaded. All of these end the program on failure. */
void pins_prepare(struct pins *p, uint32_t layers);
void pins_open(struct pins *p);
/* A brane's cgroup NAME; its id. */
uint64_t pins_cgroup(const struct pins *p, const char *name);
/* Unloads and removes everything; cgroups of pins_cgroup must be empty. */
void pins_done(struct pins *p);
void pins_enter(const struct pins *p, const char *name); /* the calling process */
/* A fresh policy for S, published; the old one is dropped. */
void pins_publish(struct pins *p, struct om_slot *s, const struct om_bundle *b,
		  const struct om_resolved *objs, uint32_t n);

/* A bundle with META, one grant and what is given; *DATA is malloc'd and holds it. */
struct pins_parts {
	const struct om_b_egress *egress;
	uint32_t egress_n;
	const uint8_t *sha256; /* of the one file that may be executed; NULL: none */
};
struct om_bundle pins_bundle(const struct pins_parts *parts, uint8_t **data);

#endif
