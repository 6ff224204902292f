/*
 * Addresses and ports against a policy: one form for both families, one lookup.
 *
 * Comes in: an address as the kernel will use it. Goes out: granted or not. Called by: lsm_net, cg_sock,
 * cg_skb. IPv4 is ::ffff:a.b.c.d throughout, so that a mapped address and a plain one are one key; the
 * unspecified address is loopback, because that is where a connection to it goes. Never does: let a
 * family, a protocol or a fragment that it does not know pass as granted.
 */
#ifndef OMEGA_BPF_NET_H
#define OMEGA_BPF_NET_H

#include <bpf/bpf_endian.h>

#include "event.bpf.h"

#define OM_MAPPED_PREFIX bpf_htonl(0x0000ffffu)
#define OM_LOOPBACK4	 bpf_htonl(0x7f000001u)
#define OM_LOOPBACK6_W3	 bpf_htonl(1u)

/* 16 bytes as four words in network order. */
static __always_inline void om_addr_v4(__u8 *addr, __u32 ip)
{
	__u32 *w = (__u32 *)addr;

	w[0] = 0;
	w[1] = 0;
	w[2] = OM_MAPPED_PREFIX;
	w[3] = ip ? ip : OM_LOOPBACK4;
}

static __always_inline void om_addr_v6(__u8 *addr, __u32 w0, __u32 w1, __u32 w2, __u32 w3)
{
	__u32 *w = (__u32 *)addr;

	if (!w0 && !w1 && !w3) {
		if (!w2)
			w3 = OM_LOOPBACK6_W3;
		else if (w2 == OM_MAPPED_PREFIX)
			w3 = OM_LOOPBACK4;
	}
	w[0] = w0;
	w[1] = w1;
	w[2] = w2;
	w[3] = w3;
}

/* 1: the policy grants talking to n->addr, n->port by n->proto. */
static __always_inline int om_egress_granted(const struct om_ctx *c, const struct om_event_net *n)
{
	struct om_egress_key key = {};

	if (c->flags & OM_SLOT_DENY_ALL)
		return 0;
	if (n->proto != OM_PROTO_TCP && n->proto != OM_PROTO_UDP)
		return 0;
	key.prefixlen = 64 + 128;
	key.policy = c->policy;
	key.port = n->port;
	key.proto = n->proto;
	__builtin_memcpy(key.addr, n->addr, sizeof(key.addr));
	return bpf_map_lookup_elem(&om_egress, &key) != 0;
}

/* 1: the policy grants serving on PORT. */
static __always_inline int om_listen_granted(const struct om_ctx *c, __u16 port, __u8 proto)
{
	struct om_listen_key key = {};

	if (c->flags & OM_SLOT_DENY_ALL)
		return 0;
	key.policy = c->policy;
	key.port = port;
	key.proto = proto;
	return bpf_map_lookup_elem(&om_listen, &key) != 0;
}

#endif
