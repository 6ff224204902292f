/*
 * Questions answered here: may this brane make this inet socket, connect or send to this address, bind
 * this port, use this device?
 *
 * The inputs are the kernel's copies of the socket address, taken after the last point at which the
 * task can change it, and the task's ancestor cgroup. Attached once, at the parent of all branes;
 * works where BPF-LSM does not load. When both layers are on, BPF-LSM has answered before, so that a
 * denial is recorded once; in audit mode these programs stay silent for the same reason.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "bpf/lib/scope.bpf.h"
#include "bpf/lib/net.bpf.h"

char LICENSE[] SEC("license") = "GPL";

#define OM_AF_INET     2
#define OM_AF_INET6    10
#define OM_SOCK_STREAM 1
#define OM_SOCK_DGRAM  2
#define OM_CG_DENY     0
#define OM_CG_ALLOW    1

/* 1: inside a brane whose network these programs decide. */
static __always_inline int om_scope_net(struct om_ctx *c)
{
	__u64 cgid = bpf_get_current_ancestor_cgroup_id(om_level());

	if (!cgid)
		return 0;
	__builtin_memset(c, 0, sizeof(*c));
	c->where = OM_WHERE_CGROUP_BPF;
	if (!om_scope_cgroup(cgid, c))
		return 0;
	return (c->flags & (OM_SLOT_NETWORK | OM_SLOT_DENY_ALL)) != 0;
}

static __always_inline int om_cg_deny(struct om_ctx *c, __u16 op, struct om_body *body)
{
	if ((c->flags & OM_SLOT_KERNEL) && !om_verdict(c))
		return OM_CG_ALLOW;
	c->op = op;
	return om_emit(c, body, OM_BODY_NET) ? OM_CG_DENY : OM_CG_ALLOW;
}

static __always_inline void om_body_of(struct om_body *b, struct bpf_sock_addr *ctx)
{
	__builtin_memset(b, 0, sizeof(*b));
	b->net.family = (__u16)ctx->family;
	b->net.proto = (__u8)ctx->protocol;
	b->net.type = (__u8)ctx->type;
	b->net.port = bpf_ntohs((__u16)ctx->user_port);
}

static __always_inline void om_body_v4(struct om_body *b, struct bpf_sock_addr *ctx)
{
	om_body_of(b, ctx);
	om_addr_v4(b->net.addr, ctx->user_ip4);
}

static __always_inline void om_body_v6(struct om_body *b, struct bpf_sock_addr *ctx)
{
	om_body_of(b, ctx);
	om_addr_v6(b->net.addr, ctx->user_ip6[0], ctx->user_ip6[1], ctx->user_ip6[2],
		   ctx->user_ip6[3]);
}

static __always_inline int om_cg_peer(struct om_ctx *c, struct om_body *b, __u32 protocol)
{
	if (protocol <= 255 && om_egress_granted(c, &b->net))
		return OM_CG_ALLOW;
	return om_cg_deny(c, OM_OP_NET_CONNECT, b);
}

/* Port 0 is a client's: it may be served on only if its number, once known, is granted (listen, skb). */
static __always_inline int om_cg_bind(struct om_ctx *c, struct om_body *b, __u32 protocol)
{
	if (!b->net.port && !(c->flags & OM_SLOT_DENY_ALL))
		return OM_CG_ALLOW;
	if (protocol <= 255 && om_listen_granted(c, b->net.port, b->net.proto))
		return OM_CG_ALLOW;
	return om_cg_deny(c, OM_OP_NET_LISTEN, b);
}

/*
 * One program for each call and family: the kernel lets a program read only the address of the family
 * that it is attached for.
 */
#define OM_CG_PROG(name, hook, body, judge)          \
	SEC(hook)                                    \
	int name(struct bpf_sock_addr *ctx)          \
	{                                            \
		struct om_body b;                    \
		struct om_ctx c;                     \
                                                     \
		if (!om_scope_net(&c))               \
			return OM_CG_ALLOW;          \
		body(&b, ctx);                       \
		OM_HOOK(&c, hook);                   \
		return judge(&c, &b, ctx->protocol); \
	}

OM_CG_PROG(om_connect4, "cgroup/connect4", om_body_v4, om_cg_peer)
OM_CG_PROG(om_connect6, "cgroup/connect6", om_body_v6, om_cg_peer)
OM_CG_PROG(om_sendmsg4, "cgroup/sendmsg4", om_body_v4, om_cg_peer)
OM_CG_PROG(om_sendmsg6, "cgroup/sendmsg6", om_body_v6, om_cg_peer)
OM_CG_PROG(om_bind4, "cgroup/bind4", om_body_v4, om_cg_bind)
OM_CG_PROG(om_bind6, "cgroup/bind6", om_body_v6, om_cg_bind)

/* Raw, ping, SCTP, UDP-Lite and MPTCP sockets pass connect4 and sendmsg4 unseen: none is made. */
SEC("cgroup/sock_create")
int om_sock_create(struct bpf_sock *ctx)
{
	struct om_body b = {};
	struct om_ctx c;
	__u32 type = ctx->type, proto = ctx->protocol;

	if (!om_scope_net(&c))
		return OM_CG_ALLOW;
	if (!(c.flags & OM_SLOT_DENY_ALL)) {
		if (type == OM_SOCK_STREAM && proto == OM_PROTO_TCP)
			return OM_CG_ALLOW;
		if (type == OM_SOCK_DGRAM && proto == OM_PROTO_UDP)
			return OM_CG_ALLOW;
	}
	b.net.family = (__u16)ctx->family;
	b.net.type = (__u8)type;
	b.net.proto = proto <= 255 ? (__u8)proto : 0;
	OM_HOOK(&c, "cgroup/sock_create");
	return om_cg_deny(&c, OM_OP_NET_SOCKET, &b);
}

/* null, zero, full, random, urandom: what a program may expect, and nothing that reaches hardware. */
static __always_inline int om_harmless(__u32 major, __u32 minor)
{
	return major == 1 && (minor == 3 || minor == 5 || minor == 7 || minor == 8 || minor == 9);
}

SEC("cgroup/dev")
int om_device(struct bpf_cgroup_dev_ctx *ctx)
{
	__u32 type = ctx->access_type & 0xffff, access = ctx->access_type >> 16;
	__u32 major = ctx->major, minor = ctx->minor;
	struct om_body b = {};
	struct om_ctx c;

	if (!om_scope_net(&c))
		return OM_CG_ALLOW;
	if (type == BPF_DEVCG_DEV_CHAR && !(access & BPF_DEVCG_ACC_MKNOD) &&
	    om_harmless(major, minor) && !(c.flags & OM_SLOT_DENY_ALL))
		return OM_CG_ALLOW;
	b.sys.args[0] = access << 16 | type;
	b.sys.args[1] = major;
	b.sys.args[2] = minor;
	OM_HOOK(&c, "cgroup/dev");
	c.op = OM_OP_DEVICE;
	return om_emit(&c, &b, OM_BODY_SYS) ? OM_CG_DENY : OM_CG_ALLOW;
}
