/*
 * The network layers, asked without a kernel: the longest-prefix set of cgroup BPF and BPF-LSM, and
 * the interval set of nftables.
 *
 * Comes in: OM_SEC_EGRESS and LISTEN, or OM_SEC_NFT, and a request. Goes out: an opinion. Called by:
 * om_sim_decide, lsm_sim.c. Never does: let one set answer for the other.
 */
#include <string.h>

#include <omega/addr.h>
#include <policies/emit/emit.h>

static bool egress_has(const struct om_bundle *b, const struct om_request *req)
{
	uint32_t n;
	const struct om_b_egress *e = om_bundle_section(b, OM_SEC_EGRESS, &n);

	/* A hit is a hit: the trie's longest match only decides which grant is reported. */
	for (uint32_t i = 0; i < n; i++)
		if (e[i].port == req->port && e[i].proto == req->proto &&
		    om_addr_match(e[i].addr, req->addr, e[i].bits))
			return true;
	return false;
}

static bool listen_has(const struct om_bundle *b, const struct om_request *req)
{
	uint32_t n;
	const struct om_b_listen *l = om_bundle_section(b, OM_SEC_LISTEN, &n);

	for (uint32_t i = 0; i < n; i++)
		if (l[i].port == req->port && l[i].proto == req->proto)
			return true;
	return false;
}

enum om_opinion om_net_sets(const struct om_bundle *b, const struct om_request *req)
{
	if (req->op == OM_OP_NET_CONNECT)
		return egress_has(b, req) ? OM_OPINION_ALLOW : OM_OPINION_DENY;
	if (req->op == OM_OP_NET_LISTEN)
		return listen_has(b, req) ? OM_OPINION_ALLOW : OM_OPINION_DENY;
	return OM_OPINION_NONE;
}

enum om_opinion om_sim_net(const struct om_bundle *b, const struct om_request *req)
{
	return om_net_sets(b, req);
}

enum om_opinion om_sim_nft(const struct om_bundle *b, const struct om_request *req)
{
	uint32_t n;
	const struct om_b_nft *t = om_bundle_section(b, OM_SEC_NFT, &n);
	bool v6 = !om_addr_is_v4(req->addr);

	if (req->op != OM_OP_NET_CONNECT)
		return OM_OPINION_NONE;
	for (uint32_t i = 0; i < n; i++)
		if (t[i].port == req->port && t[i].proto == req->proto && t[i].v6 == v6 &&
		    memcmp(t[i].lo, req->addr, 16) <= 0 && memcmp(req->addr, t[i].hi, 16) <= 0)
			return OM_OPINION_ALLOW;
	return OM_OPINION_DENY;
}
