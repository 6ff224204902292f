/*
 * The `heads` hash of a commit record: one root over the brane checkpoints that a batch touched.
 *
 * Comes in: (brane id, size, root) of each. Goes out: 32 bytes. Called by: the log, the signer,
 * verify. Never does: sign; a tenant shown its own head learns log2(n) hashes, not its neighbours.
 */
#ifndef OMEGA_CHAIN_HEADS_H
#define OMEGA_CHAIN_HEADS_H

#include <stddef.h>
#include <stdint.h>

struct om_head {
	const char *id; /* not NUL-terminated */
	uint32_t id_len;
	uint64_t size;
	uint8_t root[32];
};

/*
 * RFC 6962 root over the checkpoint bodies "ORIGIN/brane/ID LF size LF root LF", sorted by origin in
 * byte order. HEADS is sorted in place. N may be 0 (the root of the empty tree).
 */
void om_heads_root(const char *origin, struct om_head *heads, size_t n, uint8_t root[32]);

/* "ORIGIN/brane/ID" into BUF of OM_KEY_NAME_MAX + 1; its length. */
size_t om_brane_origin(const char *origin, const char *id, size_t id_len, char *buf);

#endif
