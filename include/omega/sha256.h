/*
 * SHA-256 (FIPS 180-4), and the two domain-separated forms of RFC 6962 that the audit trees use.
 *
 * Comes in: (pointer, length). Goes out: 32 bytes. Called by: policies/ (policy id), loader/ (program
 * digests), agent/chain/ (leaves, chains, trees). The SHA extensions of the processor are used when
 * it has them, nettle otherwise; both give the same bytes. Never does: allocate, fail.
 * Whatever links libbase.a also links -lnettle.
 */
#ifndef OMEGA_SHA256_H
#define OMEGA_SHA256_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <omega/compiler.h>
#include <stdint.h>

#define OM_SHA256_LEN 32u

/* Streaming state: opaque, caller-owned, may be copied to fork a stream. */
struct om_sha256 {
	uint32_t h[8];
	uint64_t len;
	uint8_t buf[64];
	uint8_t other[128]; /* the state of nettle where that is used */
};

void om_sha256_init(struct om_sha256 *c);
void om_sha256_update(struct om_sha256 *c, const void *data, size_t len);
/* Writes the digest and leaves C undefined. */
void om_sha256_final(struct om_sha256 *c, uint8_t out[static OM_SHA256_LEN]);

/* One shot. DATA may be NULL when LEN is 0. */
void om_sha256(const void *data, size_t len, uint8_t out[static OM_SHA256_LEN]);

/* SHA-256(0x00 || data): an RFC 6962 leaf. */
void om_sha256_leaf(const void *data, size_t len, uint8_t out[static OM_SHA256_LEN]);

/* As om_sha256_leaf for N byte strings, two at a time. OUT[i] is the hash of the i-th. */
void om_sha256_leaves(const void *const data[], const size_t len[], size_t n,
		      uint8_t out[][OM_SHA256_LEN]);

/*
 * SHA-256(0x01 || left || right) for N pairs: PAIRS holds 2N hashes, OUT receives N. OUT may be
 * PAIRS itself (a level is folded in place).
 */
void om_sha256_nodes(const uint8_t pairs[][OM_SHA256_LEN], size_t n, uint8_t out[][OM_SHA256_LEN]);

/* "sha-ni" or "nettle", for reports. */
const char *om_sha256_backend(void);

/* Tests only: forces the fallback on (1) or off (0); not for use while other threads hash. */
void om_sha256_force_fallback(int on);

/* 64 lower-case digits and a NUL, as sha256sum prints them. */
void om_sha256_format(const uint8_t digest[static OM_SHA256_LEN], char out[static 65]);
/* Reads exactly that form from the 64 bytes at TEXT. False: it is another. */
bool om_sha256_parse(const char *text, uint8_t out[static OM_SHA256_LEN]) OM_MUST_CHECK;

#endif
