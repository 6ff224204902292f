/*
 * Questions answered here: may this packet leave a brane's socket, or reach it?
 *
 * The input is the packet as the IP layer built it or took it apart (after reassembly), and the cgroup
 * of its socket, which is the one that the socket was made in. A packet whose protocol, extension
 * headers or ports cannot be read is denied. Loopback is no exception: 127.0.0.1 is an address like any
 * other. Egress denial alone would make connect() hang; cg_sock answers that first.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#define OM_NO_TASK 1
#include "bpf/lib/scope.bpf.h"
#include "bpf/lib/net.bpf.h"

char LICENSE[] SEC("license") = "GPL";

#define OM_SKB_DENY  0
#define OM_SKB_ALLOW 1
#define OM_AF_INET   2
#define OM_AF_INET6  10

struct om_flow {
	struct om_event_net src, dst;
};

/* Ports are the first four bytes of TCP and of UDP alike. 0: cannot be read. */
static __always_inline int om_ports(struct __sk_buff *skb, __u32 off, __u8 proto, struct om_flow *f)
{
	__u16 ports[2];

	f->src.proto = proto;
	f->dst.proto = proto;
	if (proto != OM_PROTO_TCP && proto != OM_PROTO_UDP)
		return 0;
	if (bpf_skb_load_bytes(skb, off, ports, sizeof(ports)))
		return 0;
	f->src.port = bpf_ntohs(ports[0]);
	f->dst.port = bpf_ntohs(ports[1]);
	return 1;
}

static __always_inline int om_parse4(struct __sk_buff *skb, struct om_flow *f)
{
	__u32 ip[5];
	__u32 words;

	if (bpf_skb_load_bytes(skb, 0, ip, sizeof(ip)))
		return 0;
	om_addr_v4(f->src.addr, ip[3]);
	om_addr_v4(f->dst.addr, ip[4]);
	f->src.family = OM_AF_INET;
	f->dst.family = OM_AF_INET;
	words = bpf_ntohl(ip[0]) >> 24 & 0xf;
	/*
	 * With options: a source route sends the packet to an address other than the one that connect
	 * or send was asked about. A later fragment has no ports; the stack calls this hook before it
	 * fragments.
	 */
	if (words != 5 || (bpf_ntohl(ip[1]) & 0x1fff))
		return 0;
	return om_ports(skb, words * 4, bpf_ntohl(ip[2]) >> 16 & 0xff, f);
}

static __always_inline int om_parse6(struct __sk_buff *skb, struct om_flow *f)
{
	__u32 ip[10], off = sizeof(ip);
	__u8 next;

	if (bpf_skb_load_bytes(skb, 0, ip, sizeof(ip)))
		return 0;
	om_addr_v6(f->src.addr, ip[2], ip[3], ip[4], ip[5]);
	om_addr_v6(f->dst.addr, ip[6], ip[7], ip[8], ip[9]);
	f->src.family = OM_AF_INET6;
	f->dst.family = OM_AF_INET6;
	next = bpf_ntohl(ip[1]) >> 8 & 0xff;
	for (int i = 0; i < 4; i++) {
		__u8 ext[2];

		/*
		 * Hop-by-hop and destination options only. A routing header sends the packet to an
		 * address other than the one that was checked; a fragment has no ports.
		 */
		if (next != 0 && next != 60)
			break;
		if (bpf_skb_load_bytes(skb, off, ext, sizeof(ext)))
			return 0;
		next = ext[0];
		off += ((__u32)ext[1] + 1) * 8;
	}
	return om_ports(skb, off, next, f);
}

/*
 * The peer and its port name a flow; the brane's own port does not: a retry is a repeat. 0: there is no key.
 * A global function: verified once, not for each way that leads here.
 */
__noinline __u64 om_flow_hash(struct om_event_net *n)
{
	const __u64 *w = (const __u64 *)n;
	struct om_sip s;

	if (!n || !om_hash_begin(&s))
		return 0;
	om_sip_word(&s, w[0]);
	om_sip_word(&s, w[1]);
	om_sip_word(&s, w[2]);
	return om_sip_end(&s, (__u64)sizeof(*n) << 56);
}

static __always_inline int om_skb_deny(struct om_ctx *c, __u16 op, const struct om_event_net *n)
{
	struct om_body b = {};
	__u64 hash;

	/* With BPF-LSM on, the send itself was recorded. */
	if (op == OM_OP_NET_CONNECT && (c->flags & OM_SLOT_KERNEL) && !om_verdict(c))
		return OM_SKB_ALLOW;
	c->op = op;
	b.net = *n;
	hash = om_flow_hash(&b.net);
	if (hash && om_fold_repeat(c, hash))
		return om_verdict(c) ? OM_SKB_DENY : OM_SKB_ALLOW;
	return om_emit(c, &b, OM_BODY_NET) ? OM_SKB_DENY : OM_SKB_ALLOW;
}

/* 1: the packet's socket is in a brane whose network these programs decide. */
static __always_inline int om_scope_skb(struct __sk_buff *skb, struct om_ctx *c)
{
	__u64 cgid = bpf_skb_ancestor_cgroup_id(skb, om_level());

	if (!cgid)
		return 0;
	__builtin_memset(c, 0, sizeof(*c));
	c->where = OM_WHERE_CGROUP_BPF;
	if (!om_scope_cgroup(cgid, c))
		return 0;
	return (c->flags & (OM_SLOT_NETWORK | OM_SLOT_DENY_ALL)) != 0;
}

static __always_inline int om_parse(struct __sk_buff *skb, struct om_flow *f)
{
	__u32 proto = skb->protocol;

	if (proto == bpf_htons(0x0800))
		return om_parse4(skb, f);
	if (proto == bpf_htons(0x86dd))
		return om_parse6(skb, f);
	return 0;
}

SEC("cgroup_skb/egress")
int om_egress_skb(struct __sk_buff *skb)
{
	struct om_flow f = {};
	struct om_ctx c;

	if (!om_scope_skb(skb, &c))
		return OM_SKB_ALLOW;
	if (om_parse(skb, &f)) {
		if (om_egress_granted(&c, &f.dst))
			return OM_SKB_ALLOW;
		/* A server's answer: from a port that it may serve. UDP's could be anybody's first word. */
		if (f.src.proto == OM_PROTO_TCP && om_listen_granted(&c, f.src.port, f.src.proto))
			return OM_SKB_ALLOW;
	}
	OM_HOOK(&c, "cgroup_skb/egress");
	return om_skb_deny(&c, OM_OP_NET_CONNECT, &f.dst);
}

SEC("cgroup_skb/ingress")
int om_ingress_skb(struct __sk_buff *skb)
{
	struct om_flow f = {};
	struct om_ctx c;

	if (!om_scope_skb(skb, &c))
		return OM_SKB_ALLOW;
	if (om_parse(skb, &f)) {
		if (om_listen_granted(&c, f.dst.port, f.dst.proto))
			return OM_SKB_ALLOW;
		if (om_egress_granted(&c, &f.src))
			return OM_SKB_ALLOW;
	}
	OM_HOOK(&c, "cgroup_skb/ingress");
	return om_skb_deny(&c, OM_OP_NET_RECV, &f.src);
}
