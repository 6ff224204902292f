/*
 * RFC 6962 Merkle trees: growing one, its root, and the two proofs.
 *
 * Comes in: leaf hashes. Goes out: roots; verdicts on proofs. Called by: the log, the signer, verify.
 * Never does: store leaves (a tree is its frontier: the roots of the perfect subtrees that the bits
 * of its size name, largest first).
 */
#ifndef OMEGA_CHAIN_MERKLE_H
#define OMEGA_CHAIN_MERKLE_H

#include <stddef.h>
#include <stdint.h>
#include <omega/compiler.h>

#define OM_TREE_LEVELS 64u

struct om_tree {
	uint64_t size;
	uint8_t level[OM_TREE_LEVELS]
		     [32]; /* level[k]: subtree of 2^k leaves, valid iff bit k of size */
};

void om_tree_init(struct om_tree *t);

/*
 * Adds N leaf hashes. LEAF is used as working space and holds garbage afterwards. The cost is one
 * node hash a leaf, done level by level so that two run at a time.
 */
void om_tree_append(struct om_tree *t, uint8_t leaf[][32], size_t n);

/* SHA-256 of nothing for an empty tree. */
void om_tree_root(const struct om_tree *t, uint8_t root[32]);

/* The frontier, largest subtree first: popcount(size) hashes into OUT; the count. */
unsigned int om_tree_frontier(const struct om_tree *t, uint8_t out[][32]);
/* The inverse. */
void om_tree_load(struct om_tree *t, uint64_t size, const uint8_t frontier[][32]);

/* RFC 6962 2.1.1 and 2.1.2 (as in RFC 9162 2.1.3.2 and 2.1.4.2). 0, or -EBADMSG. */
int om_tree_check_inclusion(uint64_t index, uint64_t size, const uint8_t leaf[32],
			    const uint8_t proof[][32], size_t n, const uint8_t root[32])
	OM_MUST_CHECK;
int om_tree_check_consistency(uint64_t size1, uint64_t size2, const uint8_t root1[32],
			      const uint8_t root2[32], const uint8_t proof[][32], size_t n)
	OM_MUST_CHECK;

#endif
