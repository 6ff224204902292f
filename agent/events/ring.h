/*
 * A consumer of the kernel's BPF ring buffer that gives room back only when told to.
 *
 * Comes in: the map's descriptor. Goes out: samples. Called by: the drain role. Never does: release a
 * sample that is not durable yet: libbpf's own consumer gives each back at once, and a drain role that
 * was killed before its commit would have lost it. The layout (two position pages, then the data
 * mapped twice; 8-byte sample headers) is the kernel's ABI, kernel/bpf/ringbuf.c.
 */
#ifndef OMEGA_EVENTS_RING_H
#define OMEGA_EVENTS_RING_H

#include <stddef.h>
#include <stdint.h>
#include <omega/compiler.h>
#include <omega/err.h>

struct om_ring {
	uint64_t *consumer;	  /* ours, shared with the kernel */
	const uint64_t *producer; /* the kernel's */
	const uint8_t *data;
	size_t size; /* power of two */
	uint64_t at; /* read so far; consumer..at is held */
	void *map[2];
	size_t map_len[2];
};

/* BYTES is the map's max_entries. */
int om_ring_open(int map_fd, size_t bytes, struct om_ring *r, struct om_err *err) OM_MUST_CHECK;
void om_ring_done(struct om_ring *r);

/*
 * 1: the next sample, LEN bytes, 8-aligned, valid until om_ring_release; 0: none is ready; -EBADMSG:
 * the buffer makes no sense (it is shared memory; nothing else writes to it unless someone tampers).
 */
int om_ring_next(struct om_ring *r, const void **sample, size_t *len) OM_MUST_CHECK;
/* Gives back all that was read. */
void om_ring_release(struct om_ring *r);
/* Bytes held or waiting. */
size_t om_ring_used(const struct om_ring *r);

#endif
