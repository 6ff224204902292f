/*
 * One table for all branes, one chain and three sets for each: put, remove, verify, count.
 *
 * Comes in: a bundle and a cgroup id. Goes out: kernel state, in one transaction per change. Called by:
 * loader/. Never does: leave the sets of one version beside the rules of another.
 */
#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <libnftnl/chain.h>
#include <libnftnl/expr.h>
#include <libnftnl/rule.h>
#include <libnftnl/set.h>
#include <libnftnl/table.h>
#include <omega/abi/op.h>
#include <loader/net/nft_impl.h>

static int msg_table(struct om_nft_batch *b, uint16_t type, uint16_t flags)
{
	struct nftnl_table *t = nftnl_table_alloc();
	struct nlmsghdr *h = t ? om_nft_msg(b, type, flags) : NULL;
	if (h) {
		nftnl_table_set_str(t, NFTNL_TABLE_NAME, b->n->table);
		nftnl_table_set_u32(t, NFTNL_TABLE_FAMILY, NFPROTO_INET);
		nftnl_table_nlmsg_build_payload(h, t);
	}
	if (t)
		nftnl_table_free(t);
	return h ? 0 : -ENOMEM;
}

static int msg_chain(struct om_nft_batch *b, uint16_t type, uint16_t flags, const char *name,
		     bool base)
{
	struct nftnl_chain *c = nftnl_chain_alloc();
	struct nlmsghdr *h = c ? om_nft_msg(b, type, flags) : NULL;
	if (h) {
		nftnl_chain_set_str(c, NFTNL_CHAIN_TABLE, b->n->table);
		nftnl_chain_set_str(c, NFTNL_CHAIN_NAME, name);
		if (base) {
			nftnl_chain_set_str(c, NFTNL_CHAIN_TYPE, "filter");
			nftnl_chain_set_u32(c, NFTNL_CHAIN_HOOKNUM, NF_INET_LOCAL_OUT);
			nftnl_chain_set_u32(c, NFTNL_CHAIN_PRIO, 0);
			nftnl_chain_set_u32(c, NFTNL_CHAIN_POLICY, NF_ACCEPT);
		}
		nftnl_chain_nlmsg_build_payload(h, c);
	}
	if (c)
		nftnl_chain_free(c);
	return h ? 0 : -ENOMEM;
}

/* All rules of a chain. */
static int msg_flush(struct om_nft_batch *b, const char *chain)
{
	struct nftnl_rule *r = nftnl_rule_alloc();
	struct nlmsghdr *h = r ? om_nft_msg(b, NFT_MSG_DELRULE, 0) : NULL;
	if (h) {
		nftnl_rule_set_str(r, NFTNL_RULE_TABLE, b->n->table);
		nftnl_rule_set_str(r, NFTNL_RULE_CHAIN, chain);
		nftnl_rule_nlmsg_build_payload(h, r);
	}
	if (r)
		nftnl_rule_free(r);
	return h ? 0 : -ENOMEM;
}

/* NEWSET with the layout of KIND, or NFT_SET_KINDS for the verdict map; DELSET; DELSETELEM of all. */
static int msg_set(struct om_nft_batch *b, uint16_t type, uint16_t flags, const char *name,
		   int kind)
{
	/* Widths of the concatenated fields, which pipapo needs to know (trap 7). */
	static const uint8_t v4[] = {4, 1, 2}, v6[] = {16, 1, 2};
	struct nftnl_set *s = nftnl_set_alloc();
	struct nlmsghdr *h = s ? om_nft_msg(b, type, flags) : NULL;
	if (h) {
		nftnl_set_set_str(s, NFTNL_SET_TABLE, b->n->table);
		nftnl_set_set_str(s, NFTNL_SET_NAME, name);
		nftnl_set_set_u32(s, NFTNL_SET_FAMILY, NFPROTO_INET);
	}
	if (h && type == NFT_MSG_NEWSET) {
		uint32_t f = kind == NFT_SET_KINDS    ? NFT_SET_MAP
			     : kind == NFT_SET_LISTEN ? 0
						      : NFT_SET_INTERVAL | NFT_SET_CONCAT;
		uint32_t len = kind == NFT_SET_V4 ? 12 : kind == NFT_SET_V6 ? 24 : 8;
		nftnl_set_set_u32(s, NFTNL_SET_FLAGS, f);
		nftnl_set_set_u32(s, NFTNL_SET_KEY_LEN, len);
		nftnl_set_set_u32(s, NFTNL_SET_KEY_TYPE, 0); /* a matter of nft's printing only */
		nftnl_set_set_u32(s, NFTNL_SET_ID, (uint32_t)kind + 1);
		if (kind == NFT_SET_KINDS)
			nftnl_set_set_u32(s, NFTNL_SET_DATA_TYPE, NFT_DATA_VERDICT);
		else if (kind == NFT_SET_V4)
			nftnl_set_set_data(s, NFTNL_SET_DESC_CONCAT, v4, sizeof(v4));
		else if (kind == NFT_SET_V6)
			nftnl_set_set_data(s, NFTNL_SET_DESC_CONCAT, v6, sizeof(v6));
	}
	if (h && type == NFT_MSG_DELSETELEM)
		nftnl_set_elems_nlmsg_build_payload(h, s);
	else if (h)
		nftnl_set_nlmsg_build_payload(h, s);
	if (s)
		nftnl_set_free(s);
	return h ? 0 : -ENOMEM;
}

static int msg_verdict(struct om_nft_batch *b, uint16_t type, uint64_t cgid, const char *chain)
{
	struct nftnl_set *s = nftnl_set_alloc();
	struct nftnl_set_elem *x = nftnl_set_elem_alloc();
	struct nlmsghdr *h = s && x ? om_nft_msg(b, type, NLM_F_CREATE) : NULL;
	if (h) {
		nftnl_set_set_str(s, NFTNL_SET_TABLE, b->n->table);
		nftnl_set_set_str(s, NFTNL_SET_NAME, NFT_MAP_NAME);
		nftnl_set_elem_set(x, NFTNL_SET_ELEM_KEY, &cgid, sizeof(cgid));
		if (chain) {
			nftnl_set_elem_set_u32(x, NFTNL_SET_ELEM_VERDICT, (uint32_t)NFT_JUMP);
			nftnl_set_elem_set_str(x, NFTNL_SET_ELEM_CHAIN, chain);
		}
		nftnl_set_elem_add(s, x);
		x = NULL;
		nftnl_set_elems_nlmsg_build_payload(h, s);
	}
	if (x)
		nftnl_set_elem_free(x);
	if (s)
		nftnl_set_free(s);
	return h ? 0 : -ENOMEM;
}

/* --- opening --- */

static int make_base(struct om_nft *n, struct om_err *err)
{
	OM_CLEANUP(om_nft_batch_done) struct om_nft_batch b = {0};
	int ret = om_nft_begin(n, &b, err);
	if (ret < 0)
		return ret;
	/* Without NLM_F_EXCL everything but rules is idempotent; those are flushed and made again. */
	ret = msg_table(&b, NFT_MSG_NEWTABLE, NLM_F_CREATE);
	if (ret == 0)
		ret = msg_set(&b, NFT_MSG_NEWSET, NLM_F_CREATE, NFT_MAP_NAME, NFT_SET_KINDS);
	if (ret == 0)
		ret = msg_chain(&b, NFT_MSG_NEWCHAIN, NLM_F_CREATE, NFT_CHAIN_MEMBER, false);
	if (ret == 0)
		ret = msg_chain(&b, NFT_MSG_NEWCHAIN, NLM_F_CREATE, NFT_CHAIN_OUT, true);
	if (ret == 0)
		ret = msg_flush(&b, NFT_CHAIN_OUT);
	if (ret == 0)
		ret = msg_flush(&b, NFT_CHAIN_MEMBER);
	if (ret == 0)
		ret = om_nft_base_rules(&b);
	if (ret == 0)
		ret = om_nft_commit(&b);
	if (ret < 0)
		return om_err_sys(err, OM_ERR_NFT_UNSUPPORTED, ret,
				  "cannot make the table %s (nf_tables, nft_socket)", n->table);
	return 0;
}

int om_nft_open(const char *table, uint64_t parent_cgid, uint32_t parent_level, struct om_nft **out,
		struct om_err *err)
{
	struct om_nft *n = calloc(1, sizeof(*n));
	if (!n)
		return om_err_set(err, OM_ERR_NOMEM, -ENOMEM, "nftables");
	n->seq = 1;
	n->parent_cgid = parent_cgid;
	n->parent_level = parent_level;
	(void)snprintf(n->table, sizeof(n->table), "%s", table);
	int ret = 0;
	n->sock = mnl_socket_open2(NETLINK_NETFILTER, SOCK_CLOEXEC);
	if (!n->sock || mnl_socket_bind(n->sock, 0, MNL_SOCKET_AUTOPID) < 0)
		ret = om_err_sys(err, OM_ERR_NFT_UNSUPPORTED, -errno, "no netfilter netlink");
	if (ret == 0) {
		n->portid = mnl_socket_get_portid(n->sock);
		ret = make_base(n, err);
	}
	if (ret < 0) {
		om_nft_free(n);
		return ret;
	}
	*out = n;
	return 0;
}

void om_nft_free(struct om_nft *n)
{
	if (!n)
		return;
	if (n->sock)
		mnl_socket_close(n->sock);
	free(n);
}

int om_nft_destroy(struct om_nft *n, struct om_err *err)
{
	OM_CLEANUP(om_nft_batch_done) struct om_nft_batch b = {0};
	int ret = om_nft_begin(n, &b, err);
	if (ret == 0)
		ret = msg_table(&b, NFT_MSG_DELTABLE, 0);
	if (ret == 0)
		ret = om_nft_commit(&b);
	return ret < 0 && ret != -ENOENT
		       ? om_err_sys(err, OM_ERR_NFT_COMMIT, ret, "cannot remove %s", n->table)
		       : 0;
}

/* --- one brane --- */

static bool has_udp(const struct om_bundle *bundle)
{
	uint32_t n = 0;
	const struct om_b_listen *l = om_bundle_section(bundle, OM_SEC_LISTEN, &n);
	for (uint32_t i = 0; i < n; i++)
		if (l[i].proto == OM_PROTO_UDP)
			return true;
	return false;
}

static int put_sets(struct om_nft_batch *b, const char *name, const struct om_bundle *bundle,
		    struct om_err *err)
{
	for (int k = 0; k < NFT_SET_KINDS; k++) {
		OM_CLEANUP(om_nft_elems_done) struct om_nft_elems e = {0};
		char set[NFT_NAME];
		om_nft_set_name((enum om_nft_set)k, name, set);
		int ret = om_nft_elems(bundle, (enum om_nft_set)k, &e, err);
		if (ret < 0)
			return ret;
		ret = msg_set(b, NFT_MSG_NEWSET, NLM_F_CREATE, set, k);
		if (ret == 0)
			ret = msg_set(b, NFT_MSG_DELSETELEM, 0, set, k);
		if (ret == 0)
			ret = om_nft_add_elems(b, set, &e);
		if (ret < 0)
			return om_err_sys(err, OM_ERR_NFT_COMMIT, ret, "set %s", set);
	}
	return 0;
}

int om_nft_put(struct om_nft *n, const char *name, uint64_t cgid, const struct om_bundle *bundle,
	       struct om_err *err)
{
	OM_CLEANUP(om_nft_batch_done) struct om_nft_batch b = {0};
	char chain[NFT_NAME];

	om_nft_chain_name(name, chain);
	int ret = om_nft_begin(n, &b, err);
	if (ret == 0)
		ret = put_sets(&b, name, bundle, err);
	if (ret < 0)
		return ret;
	ret = msg_chain(&b, NFT_MSG_NEWCHAIN, NLM_F_CREATE, chain, false);
	if (ret == 0)
		ret = msg_flush(&b, chain);
	if (ret == 0)
		ret = om_nft_brane_rules(&b, name, has_udp(bundle));
	if (ret == 0)
		ret = msg_verdict(&b, NFT_MSG_NEWSETELEM, cgid, chain);
	if (ret == 0)
		ret = om_nft_commit(&b);
	if (ret < 0)
		return om_err_sys(err, OM_ERR_NFT_COMMIT, ret, "chain %s", chain);
	return om_nft_verify(n, name, cgid, bundle, err);
}

struct find_verdict {
	const char *chain;
	uint64_t cgid[16];
	uint32_t count;
};

static int match_verdict(struct nftnl_set_elem *x, void *ctx)
{
	struct find_verdict *f = ctx;
	uint32_t len = 0;
	const void *key = nftnl_set_elem_get(x, NFTNL_SET_ELEM_KEY, &len);
	const char *chain = nftnl_set_elem_get_str(x, NFTNL_SET_ELEM_CHAIN);
	if (key && chain && len == sizeof(uint64_t) && strcmp(chain, f->chain) == 0 &&
	    f->count < OM_ARRAY_LEN(f->cgid))
		memcpy(&f->cgid[f->count++], key, sizeof(uint64_t));
	return 0;
}

static int verdict_msg(const struct nlmsghdr *h, void *ctx)
{
	struct nftnl_set *s = nftnl_set_alloc();
	if (s && nftnl_set_elems_nlmsg_parse(h, s) == 0)
		(void)nftnl_set_elem_foreach(s, match_verdict, ctx);
	if (s)
		nftnl_set_free(s);
	return MNL_CB_OK;
}

static int verdicts_once(struct om_nft *n, struct find_verdict *f)
{
	char buf[1024];
	struct nftnl_set *s = nftnl_set_alloc();
	if (!s)
		return -ENOMEM;
	struct nlmsghdr *h =
		nftnl_nlmsg_build_hdr(buf, NFT_MSG_GETSETELEM, NFPROTO_INET, NLM_F_DUMP, n->seq++);
	nftnl_set_set_str(s, NFTNL_SET_TABLE, n->table);
	nftnl_set_set_str(s, NFTNL_SET_NAME, NFT_MAP_NAME);
	nftnl_set_nlmsg_build_payload(h, s);
	nftnl_set_free(s);
	return om_nft_dump(n, h, verdict_msg, f);
}

/* The cgroup ids whose verdict is a jump to CHAIN. */
static int verdicts(struct om_nft *n, struct find_verdict *f)
{
	int ret = -EINTR;
	for (int i = 0; i < NFT_DUMP_TRIES && ret == -EINTR; i++) {
		f->count = 0;
		ret = verdicts_once(n, f);
	}
	return ret;
}

struct chain_rules {
	const char *table, *chain;
	uint32_t count;
	uint64_t dropped;
};

static int read_counter(struct nftnl_expr *e, void *ctx)
{
	struct chain_rules *c = ctx;
	if (strcmp(nftnl_expr_get_str(e, NFTNL_EXPR_NAME), "counter") == 0)
		c->dropped = nftnl_expr_get_u64(e, NFTNL_EXPR_CTR_PACKETS);
	return 0;
}

static int rule_msg(const struct nlmsghdr *h, void *ctx)
{
	struct chain_rules *c = ctx;
	struct nftnl_rule *r = nftnl_rule_alloc();
	/* Older kernels dump every rule of the family, whatever was asked for. */
	if (r && nftnl_rule_nlmsg_parse(h, r) == 0 &&
	    strcmp(nftnl_rule_get_str(r, NFTNL_RULE_TABLE), c->table) == 0 &&
	    strcmp(nftnl_rule_get_str(r, NFTNL_RULE_CHAIN), c->chain) == 0) {
		c->count++;
		(void)nftnl_expr_foreach(r, read_counter, c);
	}
	if (r)
		nftnl_rule_free(r);
	return MNL_CB_OK;
}

static int rules_once(struct om_nft *n, struct chain_rules *c)
{
	char buf[1024];
	struct nftnl_rule *r = nftnl_rule_alloc();
	if (!r)
		return -ENOMEM;
	struct nlmsghdr *h =
		nftnl_nlmsg_build_hdr(buf, NFT_MSG_GETRULE, NFPROTO_INET, NLM_F_DUMP, n->seq++);
	nftnl_rule_set_str(r, NFTNL_RULE_TABLE, c->table);
	nftnl_rule_set_str(r, NFTNL_RULE_CHAIN, c->chain);
	nftnl_rule_nlmsg_build_payload(h, r);
	nftnl_rule_free(r);
	return om_nft_dump(n, h, rule_msg, c);
}

static int rules(struct om_nft *n, struct chain_rules *c)
{
	int ret = -EINTR;
	for (int i = 0; i < NFT_DUMP_TRIES && ret == -EINTR; i++) {
		c->count = 0;
		ret = rules_once(n, c);
	}
	return ret;
}

int om_nft_remove(struct om_nft *n, const char *name, uint64_t cgid, struct om_err *err)
{
	OM_CLEANUP(om_nft_batch_done) struct om_nft_batch b = {0};
	char chain[NFT_NAME], set[NFT_NAME];

	om_nft_chain_name(name, chain);
	struct find_verdict f = {.chain = chain};
	struct chain_rules c = {.table = n->table, .chain = chain};
	(void)cgid; /* the map itself says which ids lead to the chain */
	int ret = verdicts(n, &f);
	if (ret == 0)
		ret = rules(n, &c);
	if (ret < 0 && ret != -ENOENT)
		return om_err_sys(err, OM_ERR_NFT_COMMIT, ret, "cannot read %s", n->table);
	if (c.count == 0 && f.count == 0)
		return 0; /* made in one batch, so it is there whole or not at all */
	ret = om_nft_begin(n, &b, err);
	if (ret < 0)
		return ret;
	for (uint32_t i = 0; i < f.count && ret == 0; i++)
		ret = msg_verdict(&b, NFT_MSG_DELSETELEM, f.cgid[i], NULL);
	if (ret == 0)
		ret = msg_flush(&b, chain);
	if (ret == 0)
		ret = msg_chain(&b, NFT_MSG_DELCHAIN, 0, chain, false);
	for (int k = 0; k < NFT_SET_KINDS && ret == 0; k++) {
		om_nft_set_name((enum om_nft_set)k, name, set);
		ret = msg_set(&b, NFT_MSG_DELSET, 0, set, k);
	}
	if (ret == 0)
		ret = om_nft_commit(&b);
	return ret < 0 ? om_err_sys(err, OM_ERR_NFT_COMMIT, ret, "cannot remove %s", chain) : 0;
}

static int verify_set(struct om_nft *n, const char *set, const struct om_nft_elems *want,
		      struct om_err *err)
{
	OM_CLEANUP(om_nft_elems_done) struct om_nft_elems have = {0};
	int ret = om_nft_read_elems(n, set, &have);
	if (ret < 0)
		return om_err_sys(err, OM_ERR_NFT_VERIFY, ret, "set %s", set);
	if (have.count != want->count)
		return om_err_set(err, OM_ERR_NFT_VERIFY, -EBADMSG,
				  "set %s has %u elements instead of %u", set, have.count,
				  want->count);
	for (uint32_t i = 0; i < have.count; i++)
		if (memcmp(&have.v[i], &want->v[i], sizeof(have.v[i])) != 0)
			return om_err_set(err, OM_ERR_NFT_VERIFY, -EBADMSG,
					  "set %s differs at element %u", set, i);
	return 0;
}

int om_nft_verify(struct om_nft *n, const char *name, uint64_t cgid, const struct om_bundle *bundle,
		  struct om_err *err)
{
	char chain[NFT_NAME], set[NFT_NAME];
	uint32_t want = NFT_BRANE_RULES + has_udp(bundle);

	om_nft_chain_name(name, chain);
	struct find_verdict f = {.chain = chain};
	struct chain_rules c = {.table = n->table, .chain = chain};
	for (int k = 0; k < NFT_SET_KINDS; k++) {
		OM_CLEANUP(om_nft_elems_done) struct om_nft_elems e = {0};
		om_nft_set_name((enum om_nft_set)k, name, set);
		int ret = om_nft_elems(bundle, (enum om_nft_set)k, &e, err);
		if (ret == 0)
			ret = verify_set(n, set, &e, err);
		if (ret < 0)
			return ret;
	}
	int ret = verdicts(n, &f);
	if (ret == 0)
		ret = rules(n, &c);
	if (ret < 0)
		return om_err_sys(err, OM_ERR_NFT_VERIFY, ret, "cannot read %s", n->table);
	if (f.count != 1 || f.cgid[0] != cgid)
		return om_err_set(err, OM_ERR_NFT_VERIFY, -EBADMSG,
				  "%u cgroups lead to %s instead of one", f.count, chain);
	if (c.count != want)
		return om_err_set(err, OM_ERR_NFT_VERIFY, -EBADMSG, "%s has %u rules instead of %u",
				  chain, c.count, want);
	c = (struct chain_rules){.table = n->table, .chain = NFT_CHAIN_OUT};
	ret = rules(n, &c);
	if (ret < 0)
		return om_err_sys(err, OM_ERR_NFT_VERIFY, ret, "cannot read %s", n->table);
	if (c.count != 1)
		return om_err_set(err, OM_ERR_NFT_VERIFY, -EBADMSG, "the base chain was changed");
	return 0;
}

int om_nft_drops(struct om_nft *n, const char *name, uint64_t *packets, struct om_err *err)
{
	char chain[NFT_NAME];
	om_nft_chain_name(name, chain);
	struct chain_rules c = {.table = n->table, .chain = chain};
	int ret = rules(n, &c);
	if (ret < 0)
		return om_err_sys(err, OM_ERR_NFT_VERIFY, ret, "cannot read %s", n->table);
	*packets = c.dropped;
	return c.count ? 0 : om_err_set(err, OM_ERR_NOT_FOUND, -ENOENT, "%s", name);
}
