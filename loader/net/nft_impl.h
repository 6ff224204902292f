/*
 * Inside loader/net: batches, elements, names.
 *
 * Comes in, goes out: netlink messages built by libnftnl. Called by: nft*.c. Never does: appear elsewhere.
 */
#ifndef OMEGA_LOADER_NFT_IMPL_H
#define OMEGA_LOADER_NFT_IMPL_H

#include <libmnl/libmnl.h>
#include <loader/net/nft.h>

struct nftnl_set;

struct om_nft {
	struct mnl_socket *sock;
	uint32_t portid, seq;
	char table[32];
	uint64_t parent_cgid;
	uint32_t parent_level;
};

/* Trap 5 of the network design: a longer element list does not fit its 16-bit attribute. */
#define NFT_ELEMS_PER_MSG 500u
/* Room for one message of that many of the largest elements. */
#define NFT_MSG_ROOM 65536u
#define NFT_WAIT_MS  5000
/* A dump is torn by any change in the namespace, in whoever's table, and then read again. */
#define NFT_DUMP_TRIES 64

enum om_nft_set { NFT_SET_V4, NFT_SET_V6, NFT_SET_LISTEN, NFT_SET_KINDS };

/* One element: KEY..END, both LEN bytes, in the set's own layout. */
struct om_nft_elem {
	uint8_t len;
	uint8_t key[24], end[24];
};
struct om_nft_elems {
	struct om_nft_elem *v;
	uint32_t count;
};

/* --- nft_batch.c --- */

struct om_nft_batch {
	struct om_nft *n;
	char *buf;
	size_t used, cap;
	struct nlmsghdr *last; /* the message being built */
};
int om_nft_begin(struct om_nft *n, struct om_nft_batch *b, struct om_err *err) OM_MUST_CHECK;
/* A header of TYPE to be followed by a libnftnl payload; NULL when memory ran out. */
struct nlmsghdr *om_nft_msg(struct om_nft_batch *b, uint16_t type, uint16_t flags);
/* Ends, sends, waits for the kernel's answer: 0 or -errno, all or nothing. */
int om_nft_commit(struct om_nft_batch *b) OM_MUST_CHECK;
void om_nft_batch_done(struct om_nft_batch *b);
/* Sends one dump request (built in BUF) and feeds every answer to CB. 0 or -errno; -EINTR: torn, CB saw a part. */
int om_nft_dump(struct om_nft *n, struct nlmsghdr *nlh, mnl_cb_t cb, void *ctx) OM_MUST_CHECK;

/* --- nft_elem.c --- */

/* The elements of B for set KIND: sorted, overlapping intervals united. */
int om_nft_elems(const struct om_bundle *b, enum om_nft_set kind, struct om_nft_elems *out,
		 struct om_err *err) OM_MUST_CHECK;
/* The elements the kernel has. -ENOENT when the set is not there. */
int om_nft_read_elems(struct om_nft *n, const char *set, struct om_nft_elems *out) OM_MUST_CHECK;
void om_nft_elems_done(struct om_nft_elems *e);
/* Appends messages that put E into SET. */
int om_nft_add_elems(struct om_nft_batch *b, const char *set, const struct om_nft_elems *e)
	OM_MUST_CHECK;

/* --- nft_rule.c --- */

#define NFT_NAME 80
void om_nft_set_name(enum om_nft_set kind, const char *brane, char out[static NFT_NAME]);
void om_nft_chain_name(const char *brane, char out[static NFT_NAME]);
/* Appends the rules of the base chains, or of one brane's chain. 0 or -ENOMEM. */
int om_nft_base_rules(struct om_nft_batch *b) OM_MUST_CHECK;
int om_nft_brane_rules(struct om_nft_batch *b, const char *brane, bool udp_listen) OM_MUST_CHECK;
/* How many rules om_nft_brane_rules makes. */
#define NFT_BRANE_RULES 4u

/* "branes": cgroup id -> jump. */
#define NFT_MAP_NAME	 "branes"
#define NFT_CHAIN_OUT	 "output"
#define NFT_CHAIN_MEMBER "members"

#endif
