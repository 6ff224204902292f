/*
 * RFC 6962 trees by frontier, and proof verification.
 *
 * Comes in: leaf hashes, proofs. Goes out: roots, verdicts. Called by: the log, the signer, verify.
 * Never does: allocate.
 */
#include <errno.h>
#include <string.h>

#include <omega/sha256.h>
#include "agent/chain/format/merkle.h"

void om_tree_init(struct om_tree *t)
{
	t->size = 0;
}

/*
 * At each level the run of new nodes may be preceded by one waiting on the left; pairs fold into the
 * next level, an odd one out waits. OFFSET 1 leaves room in front for the waiting node.
 */
void om_tree_append(struct om_tree *t, uint8_t leaf[][32], size_t n)
{
	uint64_t size = t->size;
	uint8_t pair[2][32];

	t->size += n;
	for (unsigned int k = 0; n; k++, size >>= 1) {
		size_t from = 0, made = 0;

		if (size & 1) {
			memcpy(pair[0], t->level[k], 32);
			memcpy(pair[1], leaf[0], 32);
			om_sha256_nodes((const uint8_t(*)[32])pair, 1, pair);
			from = 1;
		}
		if ((n - from) & 1)
			memcpy(t->level[k], leaf[n - 1], 32);
		made = (n - from) / 2;
		/* In place is safe: node i reads 2i+from and later, writes i+from. */
		om_sha256_nodes((const uint8_t(*)[32])(leaf + from), made, leaf + from);
		if (from)
			memcpy(leaf[0], pair[0], 32);
		n = made + from;
	}
}

void om_tree_root(const struct om_tree *t, uint8_t root[32])
{
	uint8_t pair[2][32];
	int have = 0;

	if (!t->size) {
		om_sha256(NULL, 0, root);
		return;
	}
	for (unsigned int k = 0; k < OM_TREE_LEVELS; k++) {
		if (!(t->size >> k & 1))
			continue;
		if (!have) {
			memcpy(pair[1], t->level[k], 32);
			have = 1;
			continue;
		}
		memcpy(pair[0], t->level[k], 32);
		om_sha256_nodes((const uint8_t(*)[32])pair, 1, pair + 1);
	}
	memcpy(root, pair[1], 32);
}

unsigned int om_tree_frontier(const struct om_tree *t, uint8_t out[][32])
{
	unsigned int n = 0;

	for (int k = OM_TREE_LEVELS - 1; k >= 0; k--)
		if (t->size >> k & 1)
			memcpy(out[n++], t->level[k], 32);
	return n;
}

void om_tree_load(struct om_tree *t, uint64_t size, const uint8_t frontier[][32])
{
	unsigned int n = 0;

	t->size = size;
	for (int k = OM_TREE_LEVELS - 1; k >= 0; k--)
		if (size >> k & 1)
			memcpy(t->level[k], frontier[n++], 32);
}

static void join(const uint8_t *left, const uint8_t *right, uint8_t *out)
{
	uint8_t pair[2][32];

	memcpy(pair[0], left, 32);
	memcpy(pair[1], right, 32);
	om_sha256_nodes((const uint8_t(*)[32])pair, 1, pair);
	memcpy(out, pair[0], 32);
}

int om_tree_check_inclusion(uint64_t index, uint64_t size, const uint8_t leaf[32],
			    const uint8_t proof[][32], size_t n, const uint8_t root[32])
{
	uint64_t fn = index, sn = size - 1;
	uint8_t r[32];

	if (index >= size)
		return -EBADMSG;
	memcpy(r, leaf, 32);
	for (size_t i = 0; i < n; i++) {
		if (!sn)
			return -EBADMSG;
		if ((fn & 1) || fn == sn) {
			join(proof[i], r, r);
			while (!(fn & 1) && fn) {
				fn >>= 1;
				sn >>= 1;
			}
		} else {
			join(r, proof[i], r);
		}
		fn >>= 1;
		sn >>= 1;
	}
	return !sn && !memcmp(r, root, 32) ? 0 : -EBADMSG;
}

int om_tree_check_consistency(uint64_t size1, uint64_t size2, const uint8_t root1[32],
			      const uint8_t root2[32], const uint8_t proof[][32], size_t n)
{
	uint64_t fn = size1 - 1, sn = size2 - 1;
	uint8_t fr[32], sr[32];
	size_t i = 0;

	if (size1 > size2)
		return -EBADMSG;
	if (size1 == size2)
		return !n && !memcmp(root1, root2, 32) ? 0 : -EBADMSG;
	if (!size1)
		return n ? -EBADMSG : 0; /* everything extends the empty tree */
	if (!n)
		return -EBADMSG;
	for (; fn & 1; fn >>= 1)
		sn >>= 1;
	/* A first tree that is a perfect subtree is its own first node. */
	memcpy(fr, fn ? proof[i++] : root1, 32);
	memcpy(sr, fr, 32);
	for (; i < n; i++) {
		if (!sn)
			return -EBADMSG;
		if ((fn & 1) || fn == sn) {
			join(proof[i], fr, fr);
			join(proof[i], sr, sr);
			while (!(fn & 1) && fn) {
				fn >>= 1;
				sn >>= 1;
			}
		} else {
			join(sr, proof[i], sr);
		}
		fn >>= 1;
		sn >>= 1;
	}
	return !sn && !memcmp(fr, root1, 32) && !memcmp(sr, root2, 32) ? 0 : -EBADMSG;
}
