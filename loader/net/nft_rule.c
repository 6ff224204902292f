/*
 * The rules, as expressions: what nft.h shows in nft's own notation.
 *
 * Comes in: names. Goes out: NFT_MSG_NEWRULE messages in a batch. Called by: nft.c. Never does: match on
 * anything a brane chooses (an interface name, a mark): only its cgroup, and what the packet is.
 */
#include <errno.h>
#include <netinet/in.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nf_tables.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <libnftnl/expr.h>
#include <libnftnl/rule.h>
#include <loader/net/nft_impl.h>

void om_nft_set_name(enum om_nft_set kind, const char *brane, char out[static NFT_NAME])
{
	static const char *const prefix[NFT_SET_KINDS] = {"v4", "v6", "l"};
	(void)snprintf(out, NFT_NAME, "%s_%s", prefix[kind], brane);
}

void om_nft_chain_name(const char *brane, char out[static NFT_NAME])
{
	(void)snprintf(out, NFT_NAME, "b_%s", brane);
}

/* A rule under construction; any allocation that fails makes the whole of it NULL. */
struct build {
	struct nftnl_rule *r;
};

static struct nftnl_expr *expr(struct build *b, const char *name)
{
	struct nftnl_expr *e = b->r ? nftnl_expr_alloc(name) : NULL;
	if (e) {
		nftnl_rule_add_expr(b->r, e);
	} else if (b->r) {
		nftnl_rule_free(b->r);
		b->r = NULL;
	}
	return e;
}

static void start(struct build *b, const char *table, const char *chain)
{
	b->r = nftnl_rule_alloc();
	if (!b->r)
		return;
	nftnl_rule_set_str(b->r, NFTNL_RULE_TABLE, table);
	nftnl_rule_set_str(b->r, NFTNL_RULE_CHAIN, chain);
	nftnl_rule_set_u32(b->r, NFTNL_RULE_FAMILY, NFPROTO_INET);
}

static int finish(struct build *b, struct om_nft_batch *batch)
{
	struct nlmsghdr *h =
		b->r ? om_nft_msg(batch, NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND) : NULL;
	if (h)
		nftnl_rule_nlmsg_build_payload(h, b->r);
	if (b->r)
		nftnl_rule_free(b->r);
	return h ? 0 : -ENOMEM;
}

static void add_meta(struct build *b, uint32_t key, uint32_t reg)
{
	struct nftnl_expr *e = expr(b, "meta");
	if (!e)
		return;
	nftnl_expr_set_u32(e, NFTNL_EXPR_META_KEY, key);
	nftnl_expr_set_u32(e, NFTNL_EXPR_META_DREG, reg);
}

static void add_payload(struct build *b, uint32_t base, uint32_t off, uint32_t len, uint32_t reg)
{
	struct nftnl_expr *e = expr(b, "payload");
	if (!e)
		return;
	nftnl_expr_set_u32(e, NFTNL_EXPR_PAYLOAD_BASE, base);
	nftnl_expr_set_u32(e, NFTNL_EXPR_PAYLOAD_OFFSET, off);
	nftnl_expr_set_u32(e, NFTNL_EXPR_PAYLOAD_LEN, len);
	nftnl_expr_set_u32(e, NFTNL_EXPR_PAYLOAD_DREG, reg);
}

static void add_cmp(struct build *b, uint32_t reg, uint32_t op, const void *data, uint32_t len)
{
	struct nftnl_expr *e = expr(b, "cmp");
	if (!e)
		return;
	nftnl_expr_set_u32(e, NFTNL_EXPR_CMP_SREG, reg);
	nftnl_expr_set_u32(e, NFTNL_EXPR_CMP_OP, op);
	nftnl_expr_set(e, NFTNL_EXPR_CMP_DATA, data, len);
}

static void add_mask(struct build *b, uint32_t reg, const void *mask, uint32_t len)
{
	static const uint8_t zero[8];
	struct nftnl_expr *e = expr(b, "bitwise");
	if (!e)
		return;
	nftnl_expr_set_u32(e, NFTNL_EXPR_BITWISE_SREG, reg);
	nftnl_expr_set_u32(e, NFTNL_EXPR_BITWISE_DREG, reg);
	nftnl_expr_set_u32(e, NFTNL_EXPR_BITWISE_LEN, len);
	nftnl_expr_set(e, NFTNL_EXPR_BITWISE_MASK, mask, len);
	nftnl_expr_set(e, NFTNL_EXPR_BITWISE_XOR, zero, len);
}

static void add_socket(struct build *b, uint32_t level)
{
	struct nftnl_expr *e = expr(b, "socket");
	if (!e)
		return;
	nftnl_expr_set_u32(e, NFTNL_EXPR_SOCKET_KEY, NFT_SOCKET_CGROUPV2);
	nftnl_expr_set_u32(e, NFTNL_EXPR_SOCKET_LEVEL, level);
	nftnl_expr_set_u32(e, NFTNL_EXPR_SOCKET_DREG, NFT_REG_1);
}

static void add_lookup(struct build *b, const char *set, uint32_t reg, bool map)
{
	struct nftnl_expr *e = expr(b, "lookup");
	if (!e)
		return;
	nftnl_expr_set_str(e, NFTNL_EXPR_LOOKUP_SET, set);
	nftnl_expr_set_u32(e, NFTNL_EXPR_LOOKUP_SREG, reg);
	if (map)
		nftnl_expr_set_u32(e, NFTNL_EXPR_LOOKUP_DREG, NFT_REG_VERDICT);
}

static void add_verdict(struct build *b, int verdict, const char *chain)
{
	struct nftnl_expr *e = expr(b, "immediate");
	if (!e)
		return;
	nftnl_expr_set_u32(e, NFTNL_EXPR_IMM_DREG, NFT_REG_VERDICT);
	nftnl_expr_set_u32(e, NFTNL_EXPR_IMM_VERDICT, (uint32_t)verdict);
	if (chain)
		nftnl_expr_set_str(e, NFTNL_EXPR_IMM_CHAIN, chain);
}

static int drop_rule(struct om_nft_batch *batch, const char *chain)
{
	struct build b;
	start(&b, batch->n->table, chain);
	(void)expr(&b, "counter");
	add_verdict(&b, NF_DROP, NULL);
	return finish(&b, batch);
}

int om_nft_base_rules(struct om_nft_batch *batch)
{
	struct om_nft *n = batch->n;
	struct build b;

	/* A packet without a full socket matches neither: a reset the kernel itself answers with. */
	start(&b, n->table, NFT_CHAIN_OUT);
	add_socket(&b, n->parent_level);
	add_cmp(&b, NFT_REG_1, NFT_CMP_EQ, &n->parent_cgid, sizeof(n->parent_cgid));
	add_verdict(&b, NFT_JUMP, NFT_CHAIN_MEMBER);
	int ret = finish(&b, batch);
	if (ret < 0)
		return ret;
	start(&b, n->table, NFT_CHAIN_MEMBER);
	add_socket(&b, n->parent_level + 1);
	add_lookup(&b, NFT_MAP_NAME, NFT_REG_1, true);
	ret = finish(&b, batch);
	/* A cgroup made anew has a new id: what the map does not know must not pass (trap 2). */
	return ret < 0 ? ret : drop_rule(batch, NFT_CHAIN_MEMBER);
}

static int egress_rule(struct om_nft_batch *batch, const char *chain, const char *set, bool v6)
{
	uint8_t family = v6 ? NFPROTO_IPV6 : NFPROTO_IPV4;
	uint32_t addr = v6 ? 16 : 4;
	/* Where the destination lies in either header (RFC 791, RFC 8200). */
	uint32_t off = v6 ? 24 : 16;
	struct build b;

	start(&b, batch->n->table, chain);
	add_meta(&b, NFT_META_NFPROTO, NFT_REG_1);
	add_cmp(&b, NFT_REG_1, NFT_CMP_EQ, &family, 1);
	add_payload(&b, NFT_PAYLOAD_NETWORK_HEADER, off, addr, NFT_REG32_00);
	add_meta(&b, NFT_META_L4PROTO, NFT_REG32_00 + addr / 4);
	add_payload(&b, NFT_PAYLOAD_TRANSPORT_HEADER, 2, 2, NFT_REG32_00 + addr / 4 + 1);
	add_lookup(&b, set, NFT_REG32_00, false);
	add_verdict(&b, NF_ACCEPT, NULL);
	return finish(&b, batch);
}

/*
 * Answers from a port it may listen on. A TCP connection that the brane opens from that port begins with
 * a bare SYN, which is not an answer; for UDP only conntrack can tell who spoke first.
 */
static int listen_rule(struct om_nft_batch *batch, const char *chain, const char *set,
		       uint8_t proto)
{
	static const uint8_t syn_ack = 0x12, syn = 0x02; /* RFC 9293, octet 13 */
	static const uint32_t established = NF_CT_STATE_BIT(IP_CT_ESTABLISHED), none;
	struct build b;

	start(&b, batch->n->table, chain);
	add_meta(&b, NFT_META_L4PROTO, NFT_REG32_00);
	add_cmp(&b, NFT_REG32_00, NFT_CMP_EQ, &proto, 1);
	add_payload(&b, NFT_PAYLOAD_TRANSPORT_HEADER, 0, 2, NFT_REG32_01);
	add_lookup(&b, set, NFT_REG32_00, false);
	if (proto == IPPROTO_TCP) {
		add_payload(&b, NFT_PAYLOAD_TRANSPORT_HEADER, 13, 1, NFT_REG_1);
		add_mask(&b, NFT_REG_1, &syn_ack, 1);
		add_cmp(&b, NFT_REG_1, NFT_CMP_NEQ, &syn, 1);
	} else {
		struct nftnl_expr *e = expr(&b, "ct");
		if (e) {
			nftnl_expr_set_u32(e, NFTNL_EXPR_CT_KEY, NFT_CT_STATE);
			nftnl_expr_set_u32(e, NFTNL_EXPR_CT_DREG, NFT_REG_1);
		}
		add_mask(&b, NFT_REG_1, &established, sizeof(established));
		add_cmp(&b, NFT_REG_1, NFT_CMP_NEQ, &none, sizeof(none));
	}
	add_verdict(&b, NF_ACCEPT, NULL);
	return finish(&b, batch);
}

int om_nft_brane_rules(struct om_nft_batch *batch, const char *brane, bool udp_listen)
{
	char chain[NFT_NAME], set[NFT_SET_KINDS][NFT_NAME];
	int ret;

	om_nft_chain_name(brane, chain);
	for (int k = 0; k < NFT_SET_KINDS; k++)
		om_nft_set_name((enum om_nft_set)k, brane, set[k]);
	ret = listen_rule(batch, chain, set[NFT_SET_LISTEN], IPPROTO_TCP);
	/* Connection tracking costs the whole host something: only where a grant needs it. */
	if (ret == 0 && udp_listen)
		ret = listen_rule(batch, chain, set[NFT_SET_LISTEN], IPPROTO_UDP);
	if (ret == 0)
		ret = egress_rule(batch, chain, set[NFT_SET_V4], false);
	if (ret == 0)
		ret = egress_rule(batch, chain, set[NFT_SET_V6], true);
	return ret == 0 ? drop_rule(batch, chain) : ret;
}
