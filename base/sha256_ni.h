/*
 * The compression function on the processor's SHA extensions, one and two streams.
 *
 * Comes in: eight working words, whole 64-byte blocks. Goes out: the words after them. Called by:
 * base/sha256.c, and only after om_sha256_ni_usable said yes. Never does: padding.
 */
#ifndef OMEGA_BASE_SHA256_NI_H
#define OMEGA_BASE_SHA256_NI_H

#include <stddef.h>
#include <stdint.h>

/* 1 when this processor has SHA, SSSE3 and SSE4.1. */
int om_sha256_ni_usable(void);

/* N blocks at P into H. */
void om_sha256_ni_blocks(uint32_t h[static 8], const uint8_t *p, size_t n);

/* N blocks of two independent streams, interleaved to hide the latency of one in the other. */
void om_sha256_ni_blocks2(uint32_t ha[static 8], const uint8_t *a, uint32_t hb[static 8],
			  const uint8_t *b, size_t n);

#endif
