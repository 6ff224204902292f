/*
 * nftables for branes in the host's network namespace: one table, one chain and two sets per brane.
 *
 * Comes in: a bundle's OM_SEC_NFT and OM_SEC_LISTEN, a cgroup id. Goes out: one atomic batch per
 * change, read back and compared. Called by: the transaction's steps, adoption. Never does: run the
 * nft command, print a rule as text, or change a set in two batches (a packet between them would
 * meet half a policy).
 *
 *   table inet NAME
 *     map branes  { type cgroupsv2 : verdict }
 *     chain output { type filter hook output priority 0; policy accept
 *         socket cgroupv2 level N == PARENT jump members     one comparison for all who are no brane
 *     chain members {
 *         socket cgroupv2 level N+1 vmap @branes             one lookup, whatever the number of branes
 *         counter drop }                                     a brane nobody knows: an old cgroup id
 *     chain b_BRANE {
 *         tcp sport @l_BRANE, not a bare SYN: accept         answers of what it may listen on; never
 *                                                            a connection that it opens itself
 *         udp sport @l_BRANE, ct established accept
 *         ip daddr . l4proto . dport @v4_BRANE accept
 *         ip6 daddr . l4proto . dport @v6_BRANE accept
 *         counter drop }
 */
#ifndef OMEGA_LOADER_NFT_H
#define OMEGA_LOADER_NFT_H

#include <stdbool.h>
#include <stdint.h>
#include <omega/bundle.h>
#include <omega/err.h>

struct om_nft;

/* Makes the table and the base chain, or takes over what is there. OM_ERR_NFT_UNSUPPORTED. */
int om_nft_open(const char *table, uint64_t parent_cgid, uint32_t parent_level, struct om_nft **out,
		struct om_err *err) OM_MUST_CHECK;
void om_nft_free(struct om_nft *n);
/* Removes the table and everything in it. Uninstalling and tests. */
int om_nft_destroy(struct om_nft *n, struct om_err *err) OM_MUST_CHECK;

/*
 * Makes the chain and sets of NAME and enters CGID into the verdict map, or replaces what NAME has:
 * one batch either way. Then reads back (om_nft_verify).
 */
int om_nft_put(struct om_nft *n, const char *name, uint64_t cgid, const struct om_bundle *b,
	       struct om_err *err) OM_MUST_CHECK;
/* Removes NAME's; what is not there counts as removed. */
int om_nft_remove(struct om_nft *n, const char *name, uint64_t cgid, struct om_err *err)
	OM_MUST_CHECK;
/* Elements of the sets and the verdict against B. OM_ERR_NFT_VERIFY names the first difference. */
int om_nft_verify(struct om_nft *n, const char *name, uint64_t cgid, const struct om_bundle *b,
		  struct om_err *err) OM_MUST_CHECK;
/* Packets that NAME's chain has dropped. */
int om_nft_drops(struct om_nft *n, const char *name, uint64_t *packets, struct om_err *err)
	OM_MUST_CHECK;

#endif
