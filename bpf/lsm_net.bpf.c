/*
 * Questions answered here: may this brane make this socket, talk to this peer, serve on this port, take
 * this descriptor from another process?
 *
 * The inputs are the kernel's copy of the address, the socket's own fields, and the label that the
 * socket got when it was made (socket storage, cloned to the sockets that a listener accepts). Unlike
 * the cgroup programs this sees every family, Fast Open, unconnected UDP, and sockets that were made
 * outside and handed in: what counts is who sends, not who made the socket.
 */
#define OM_KERNEL_LAYER 1
#include "bpf/lib/core.bpf.h"
#include "bpf/lib/scope.bpf.h"
#include "bpf/lib/net.bpf.h"
#include "bpf/lib/walk.bpf.h"
#include "bpf/lib/path.bpf.h"

char LICENSE[] SEC("license") = "GPL";

#define OM_UNIX_PATH 2 /* offset of sun_path */
#define OM_ADDR_OK   0
#define OM_ADDR_NONE 1 /* nothing that leaves the socket: disconnect, unix */
#define OM_ADDR_BAD  2

static __always_inline int om_deny_net(struct om_ctx *c, __u16 op, const struct om_event_net *n)
{
	struct om_body body = {};

	body.net = *n;
	c->op = op;
	return om_emit(c, &body, OM_BODY_NET);
}

static __always_inline void om_net_of(struct om_event_net *n, struct sock *sk)
{
	__builtin_memset(n, 0, sizeof(*n));
	n->family = sk->__sk_common.skc_family;
	n->type = (__u8)sk->sk_type;
	/* 262 (MPTCP) must not become 6. */
	n->proto = sk->sk_protocol > 255 ? 255 : (__u8)sk->sk_protocol;
}

/*
 * Reads an address as the protocol will. SENDING: udp_sendmsg and Fast Open take family 0 for IPv4 on
 * an IPv4 socket, where connect takes it for "disconnect".
 */
static __always_inline int om_addr_read(struct om_event_net *n, const void *addr, int len,
					int sending)
{
	__u32 raw[7] = {}; /* sockaddr_in6: family and port, flowinfo, address, scope */
	__u16 family, sock_family = n->family;

	if (sock_family != OM_AF_INET && sock_family != OM_AF_INET6)
		return OM_ADDR_BAD;
	if (len < 2 || OM_FAIL(OM_FAULT_ADDR, -1, bpf_probe_read_kernel(raw, 8, addr)))
		return OM_ADDR_BAD;
	family = (__u16)raw[0];
	if (family == OM_AF_UNSPEC) {
		if (!sending)
			return OM_ADDR_NONE;
		if (sock_family == OM_AF_INET6)
			return OM_ADDR_NONE; /* udpv6_sendmsg: as if no address were given */
		family = OM_AF_INET;
	}
	n->family = family;
	n->port = bpf_ntohs((__u16)(raw[0] >> 16));
	if (family == OM_AF_INET) {
		if (len < 16)
			return OM_ADDR_BAD;
		om_addr_v4(n->addr, raw[1]);
		return OM_ADDR_OK;
	}
	if (family != OM_AF_INET6 || len < 24 || bpf_probe_read_kernel(raw, 24, addr))
		return OM_ADDR_BAD;
	om_addr_v6(n->addr, raw[2], raw[3], raw[4], raw[5]);
	return OM_ADDR_OK;
}

/* The peer of a connected socket. 0: it has none. */
static __always_inline int om_peer_of(struct om_event_net *n, struct sock *sk)
{
	n->port = bpf_ntohs(sk->__sk_common.skc_dport);
	if (n->family == OM_AF_INET) {
		om_addr_v4(n->addr, sk->__sk_common.skc_daddr);
	} else {
		__u32 w[4];

		BPF_CORE_READ_INTO(&w, sk, __sk_common.skc_v6_daddr);
		om_addr_v6(n->addr, w[0], w[1], w[2], w[3]);
	}
	return n->port != 0;
}

SEC("lsm/socket_create")
int BPF_PROG(om_socket_create, int family, int type, int protocol, int kern)
{
	struct om_event_net n = {};
	struct om_ctx c;

	if (kern || !om_scope(&c))
		return 0;
	type &= 0xf; /* SOCK_CLOEXEC and SOCK_NONBLOCK are gone here; their absence is cheap to ensure */
	if (!(c.flags & OM_SLOT_DENY_ALL)) {
		if (family == OM_AF_UNIX &&
		    (type == OM_SOCK_STREAM || type == OM_SOCK_DGRAM || type == OM_SOCK_SEQPACKET))
			return 0;
		if (family == OM_AF_INET || family == OM_AF_INET6) {
			if (type == OM_SOCK_STREAM && (!protocol || protocol == OM_PROTO_TCP))
				return 0;
			if (type == OM_SOCK_DGRAM && (!protocol || protocol == OM_PROTO_UDP))
				return 0;
		}
	}
	n.family = (__u16)family;
	n.type = (__u8)type;
	n.proto = protocol < 0 || protocol > 255 ? 255 : (__u8)protocol;
	OM_HOOK(&c, "socket_create");
	OM_RETURN(om_deny_net(&c, OM_OP_NET_SOCKET, &n), OM_EPERM);
}

SEC("lsm/socket_post_create")
int BPF_PROG(om_socket_post_create, struct socket *sock, int family, int type, int protocol,
	     int kern)
{
	struct om_sock_label label = {};
	struct sock *sk = sock->sk;
	struct om_ctx c;

	if (kern || !sk || !om_scope(&c))
		return 0;
	label.brane = c.brane;
	/* Without a label the socket is a stranger to its own brane: less is allowed, never more. */
	(void)OM_FAIL(OM_FAULT_SOCK, 0,
		      bpf_sk_storage_get(&om_socks, sk, &label, BPF_SK_STORAGE_GET_F_CREATE));
	return 0;
}

/* Notes under which policy the socket's peer was checked. Only on a socket of C's brane. */
static __always_inline void om_sock_checked(const struct om_ctx *c, struct sock *sk)
{
	struct om_sock_label *label = bpf_sk_storage_get(&om_socks, sk, 0, 0);

	if (label && label->brane == c->brane)
		label->policy = c->policy;
}

SEC("lsm/socket_connect")
int BPF_PROG(om_socket_connect, struct socket *sock, struct sockaddr *addr, int len)
{
	struct sock *sk = sock->sk;
	struct om_event_net n;
	struct om_ctx c;
	int got;

	if (!om_scope(&c) || !sk)
		return 0;
	om_net_of(&n, sk);
	OM_HOOK(&c, "socket_connect");
	if (!(c.flags & OM_SLOT_DENY_ALL)) {
		if (n.family == OM_AF_UNIX)
			return 0; /* unix_stream_connect, unix_may_send know the peer */
		got = om_addr_read(&n, addr, len, 0);
		if (got == OM_ADDR_NONE)
			return 0;
		if (got == OM_ADDR_OK && om_egress_granted(&c, &n)) {
			om_sock_checked(&c, sk);
			return 0;
		}
	}
	OM_RETURN(om_deny_net(&c, OM_OP_NET_CONNECT, &n), OM_EPERM);
}

/*
 * 1: the socket's peer may be talked to. A socket that this brane made and that was checked under the
 * policy in force needs no further look-up; one that came from outside is checked at every send.
 */
static __always_inline int om_peer_granted(struct om_ctx *c, struct sock *sk,
					   struct om_event_net *n)
{
	struct om_sock_label *label = bpf_sk_storage_get(&om_socks, sk, 0, 0);

	if (c->flags & OM_SLOT_DENY_ALL)
		return 0;
	if (label && label->brane == c->brane && label->policy == c->policy)
		return 1;
	if (n->proto != OM_PROTO_TCP && n->proto != OM_PROTO_UDP)
		return 0; /* a raw socket from outside has a peer and no port */
	if (!om_peer_of(n, sk))
		return 1; /* not connected: there is nobody to send to, the kernel says so */
	/* A connection to a TCP port that is served. For UDP nobody here knows who spoke first. */
	if (om_egress_granted(c, n) ||
	    (n->proto == OM_PROTO_TCP && om_listen_granted(c, sk->__sk_common.skc_num, n->proto))) {
		if (label && label->brane == c->brane)
			label->policy = c->policy;
		return 1;
	}
	return 0;
}

SEC("lsm/socket_sendmsg")
int BPF_PROG(om_socket_sendmsg, struct socket *sock, struct msghdr *msg, int size)
{
	struct sock *sk = sock->sk;
	void *name = msg->msg_name;
	int len = msg->msg_namelen, got = OM_ADDR_NONE;
	struct om_event_net n;
	struct om_ctx c;

	if (!om_scope(&c) || !sk)
		return 0;
	om_net_of(&n, sk);
	OM_HOOK(&c, "socket_sendmsg");
	if (n.family == OM_AF_UNIX && !(c.flags & OM_SLOT_DENY_ALL))
		return 0;
	if (name && len > 0)
		got = om_addr_read(&n, name, len, 1);
	if (got == OM_ADDR_OK && om_egress_granted(&c, &n))
		return 0;
	if (got == OM_ADDR_NONE && om_peer_granted(&c, sk, &n))
		return 0;
	OM_RETURN(om_deny_net(&c, OM_OP_NET_CONNECT, &n), OM_EPERM);
}

/*
 * An abstract name in the host's network namespace is the host's: who holds it first is taken for the
 * service that the host's programs look for there. Names that the kernel chooses, and paths
 * (path_mknod's), are free.
 */
static __always_inline int om_unix_name(struct om_ctx *c, struct om_event_net *n,
					const struct sockaddr *addr, int len)
{
	const char *path = (const char *)addr + OM_UNIX_PATH;
	__u32 rest = (__u32)len - OM_UNIX_PATH - 1;
	char first = 0;

	if (len <= OM_UNIX_PATH || (c->flags & OM_SLOT_OWN_NET))
		return 0;
	if (!bpf_probe_read_kernel(&first, sizeof(first), path) && first)
		return 0;
	if (rest > sizeof(n->addr))
		rest = sizeof(n->addr);
	bpf_probe_read_kernel(n->addr, rest, path + 1);
	return om_deny_net(c, OM_OP_NET_UNIX, n);
}

/* Port 0 is a client's. What the number becomes is asked at listen. */
SEC("lsm/socket_bind")
int BPF_PROG(om_socket_bind, struct socket *sock, struct sockaddr *addr, int len)
{
	struct sock *sk = sock->sk;
	struct om_event_net n;
	struct om_ctx c;
	int got;

	if (!om_scope(&c) || !sk)
		return 0;
	om_net_of(&n, sk);
	OM_HOOK(&c, "socket_bind");
	if (!(c.flags & OM_SLOT_DENY_ALL)) {
		if (n.family == OM_AF_UNIX) {
			OM_RETURN(om_unix_name(&c, &n, addr, len), OM_EPERM);
		}
		/* inet_bind takes family 0 for IPv4, hence "sending". */
		got = om_addr_read(&n, addr, len, 1);
		if (got == OM_ADDR_NONE || (got == OM_ADDR_OK && !n.port))
			return 0;
		if (got == OM_ADDR_OK && om_listen_granted(&c, n.port, n.proto))
			return 0;
	}
	OM_RETURN(om_deny_net(&c, OM_OP_NET_LISTEN, &n), OM_EPERM);
}

/* 1: a unix socket, or one whose port the policy grants serving on. Fills N. */
static __always_inline int om_may_serve(const struct om_ctx *c, struct sock *sk,
					struct om_event_net *n)
{
	om_net_of(n, sk);
	if (n->family == OM_AF_UNIX && !(c->flags & OM_SLOT_DENY_ALL))
		return 1;
	n->port = sk->__sk_common.skc_num;
	return n->port && om_listen_granted(c, n->port, n->proto);
}

/* listen() without bind() takes an ephemeral port: no bind hook sees it, only this one. */
SEC("lsm/socket_listen")
int BPF_PROG(om_socket_listen, struct socket *sock)
{
	struct sock *sk = sock->sk;
	struct om_event_net n;
	struct om_ctx c;

	if (!om_scope(&c) || !sk)
		return 0;
	OM_HOOK(&c, "socket_listen");
	if (om_may_serve(&c, sk, &n)) {
		om_sock_checked(&c, sk);
		return 0;
	}
	OM_RETURN(om_deny_net(&c, OM_OP_NET_LISTEN, &n), OM_EPERM);
}

/* A listener that came from outside serves a port that was granted to somebody else. */
SEC("lsm/socket_accept")
int BPF_PROG(om_socket_accept, struct socket *sock)
{
	struct sock *sk = sock->sk;
	struct om_event_net n;
	struct om_ctx c;

	if (!om_scope(&c) || !sk)
		return 0;
	OM_HOOK(&c, "socket_accept");
	if (om_may_serve(&c, sk, &n))
		return 0;
	OM_RETURN(om_deny_net(&c, OM_OP_NET_LISTEN, &n), OM_EPERM);
}

/*
 * MCAST_JOIN_GROUP, MCAST_JOIN_SOURCE_GROUP. To join a group the kernel itself sends the group's
 * address, bits of the caller's choice, to the link, by a socket that is in no brane.
 */
static __always_inline int om_option_joins(int name)
{
	return name == 42 || name == 46;
}

/* Options that choose a route, a device or a foreign address, join a group, or forge a connection's state. */
static __always_inline int om_option_denied(int level, int name)
{
	switch (level) {
	case 1: /* SOL_SOCKET: BINDTODEVICE, MARK, BINDTOIFINDEX, ATTACH_REUSEPORT_*, RESERVE_MEM.. */
		return name == 25 || name == 36 || name == 62 || name == 51 || name == 52;
	case 0: /* SOL_IP: OPTIONS, HDRINCL, TRANSPARENT, UNICAST_IF, IPSEC/XFRM policy; joining */
		return name == 4 || name == 3 || name == 19 || name == 50 || name == 16 ||
		       name == 17 || name == 35 || name == 39 || om_option_joins(name);
	case 41: /* SOL_IPV6: RTHDR, HDRINCL, TRANSPARENT, UNICAST_IF, IPSEC/XFRM policy; joining */
		return name == 57 || name == 36 || name == 75 || name == 76 || name == 34 ||
		       name == 35 || name == 6 /* 2292PKTOPTIONS may carry RTHDR */ || name == 20 ||
		       name == 27 || om_option_joins(name);
	case 6: /* SOL_TCP: REPAIR, REPAIR_QUEUE, REPAIR_OPTIONS, ULP */
		return name == 19 || name == 20 || name == 22 || name == 31;
	}
	return 0;
}

SEC("lsm/socket_setsockopt")
int BPF_PROG(om_socket_setsockopt, struct socket *sock, int level, int name)
{
	struct sock *sk = sock->sk;
	struct om_event_net n;
	struct om_ctx c;

	if (!om_option_denied(level, name) || !sk || !om_scope(&c))
		return 0;
	om_net_of(&n, sk);
	/* IP's numbers mean other things to other families. */
	if (n.family == OM_AF_UNIX && level != 1)
		return 0;
	OM_HOOK(&c, "socket_setsockopt");
	OM_RETURN(om_deny_net(&c, OM_OP_NET_SOCKET, &n), OM_EPERM);
}

/*
 * --- unix sockets: the peer is of this brane, or stands at a path that the brane may write ---
 */

static __always_inline int om_check_unix(struct om_ctx *c, struct sock *other)
{
	struct om_sock_label *label = bpf_sk_storage_get(&om_socks, other, 0, 0);
	struct om_event_net n = {.family = OM_AF_UNIX};
	struct unix_sock *u;
	struct dentry *d;

	if (label && label->brane == c->brane && !(c->flags & OM_SLOT_DENY_ALL))
		return 0;
	c->op = OM_OP_NET_UNIX;
	u = bpf_skc_to_unix_sock(other);
	d = u ? u->path.dentry : 0;
	if (!d)
		return om_deny_net(c, OM_OP_NET_UNIX, &n);
	c->need = om_file_missing(c, d, OM_MAY_WRITE);
	if (!c->need)
		return 0;
	return om_deny_path(c, d, u->path.mnt);
}

SEC("lsm/unix_stream_connect")
int BPF_PROG(om_unix_stream_connect, struct sock *sk, struct sock *other)
{
	struct om_ctx c;

	if (!om_scope(&c))
		return 0;
	OM_HOOK(&c, "unix_stream_connect");
	OM_RETURN(om_check_unix(&c, other), OM_EPERM);
}

SEC("lsm/unix_may_send")
int BPF_PROG(om_unix_may_send, struct socket *sock, struct socket *other)
{
	struct sock *sk = other->sk;
	struct om_ctx c;

	if (!om_scope(&c) || !sk)
		return 0;
	OM_HOOK(&c, "unix_may_send");
	OM_RETURN(om_check_unix(&c, sk), OM_EPERM);
}

/*
 * --- descriptors from another process: SCM_RIGHTS, pidfd_getfd ---
 */

/* Counters and timers carry no rights of their own. Everything else without a type is refused. */
static __always_inline int om_anon_harmless(struct dentry *d)
{
	const unsigned char *name = d->d_name.name;
	__u64 word = 0;

	bpf_probe_read_kernel_str(&word, sizeof(word), name);
	return word == OM_WORD("[eventf") || word == OM_WORD("[eventp") ||
	       word == OM_WORD("[timerf") || word == OM_WORD("[signal");
}

/*
 * A unix socket that somebody else connected is that connection: no send by it names a peer again. It is
 * taken if this brane made it, or if what is at its other end stands at a path that the brane may write.
 * The peer's label is not asked: it may be gone by now, its memory may not be written to.
 */
static __always_inline int om_receive_unix(struct om_ctx *c, struct sock *sk)
{
	struct om_sock_label *label = bpf_sk_storage_get(&om_socks, sk, 0, 0);
	struct om_event_net n = {.family = OM_AF_UNIX};
	struct unix_sock *u, *peer = 0;
	struct dentry *d;

	if (label && label->brane == c->brane)
		return 0;
	u = bpf_skc_to_unix_sock(sk);
	if (u && u->peer)
		peer = bpf_skc_to_unix_sock(u->peer);
	d = peer ? peer->path.dentry : 0;
	c->op = OM_OP_NET_UNIX;
	if (!d)
		return om_deny_net(c, OM_OP_NET_UNIX, &n);
	c->need = om_file_missing(c, d, OM_MAY_WRITE);
	if (!c->need)
		return 0;
	return om_deny_path(c, d, peer->path.mnt);
}

/*
 * A TCP or UDP socket's peer is judged at every send, by socket_sendmsg. What cannot be made here is not
 * taken either: a raw socket reads other programs' packets, and a connected one sends without a port.
 */
static __always_inline int om_receive_socket(struct om_ctx *c, struct file *file)
{
	struct socket *sock = bpf_sock_from_file(file);
	struct sock *sk = sock ? sock->sk : 0;
	struct om_event_net n = {};

	if (sk)
		om_net_of(&n, sk);
	if (sk && !(c->flags & OM_SLOT_DENY_ALL)) {
		if (n.family == OM_AF_UNIX)
			return om_receive_unix(c, sk);
		if ((n.family == OM_AF_INET || n.family == OM_AF_INET6) &&
		    ((n.type == OM_SOCK_STREAM && n.proto == OM_PROTO_TCP) ||
		     (n.type == OM_SOCK_DGRAM && n.proto == OM_PROTO_UDP)))
			return 0;
	}
	return om_deny_net(c, OM_OP_NET_SOCKET, &n);
}

SEC("lsm/file_receive")
int BPF_PROG(om_file_receive, struct file *file)
{
	struct dentry *d = file->f_path.dentry;
	struct inode *inode = d->d_inode;
	__u32 type, need = 0;
	struct om_ctx c;

	if (!om_scope(&c))
		return 0;
	OM_HOOK(&c, "file_receive");
	type = inode->i_mode & OM_S_IFMT;
	if (type == OM_S_IFSOCK)
		OM_RETURN(om_receive_socket(&c, file), OM_EPERM);
	if (!(c.flags & OM_SLOT_DENY_ALL)) {
		if (d->d_sb->s_magic == OM_PIPEFS_MAGIC)
			return 0;
		if (!type && om_anon_harmless(d))
			return 0;
	}
	if (file->f_mode & OM_FMODE_READ)
		need |= OM_MAY_READ;
	if (file->f_mode & OM_FMODE_WRITE)
		need |= OM_MAY_WRITE;
	/* O_PATH, and what has no type: to hold it one must be able to read it. */
	if (!need || !type)
		need |= OM_MAY_READ;
	c.need = om_file_missing(&c, d, need);
	if (!c.need)
		return 0;
	OM_RETURN(om_deny_path(&c, d, file->f_path.mnt), OM_EACCES);
}

/*
 * Before 6.5, splice and sendfile reach a socket through sendpage, which passes no socket hook. The
 * loader attaches this only where sendpage exists; there, write(2) passes here first as well.
 */
SEC("lsm/file_permission")
int BPF_PROG(om_file_permission, struct file *file, int mask)
{
	struct inode *inode = file->f_path.dentry->d_inode;
	struct om_event_net n;
	struct socket *sock;
	struct om_ctx c;
	struct sock *sk;

	if ((inode->i_mode & OM_S_IFMT) != OM_S_IFSOCK || !(mask & 2 /* MAY_WRITE */))
		return 0;
	if (!om_scope(&c))
		return 0;
	sock = bpf_sock_from_file(file);
	sk = sock ? sock->sk : 0;
	if (!sk)
		return 0;
	om_net_of(&n, sk);
	if (n.family == OM_AF_UNIX && !(c.flags & OM_SLOT_DENY_ALL))
		return 0;
	OM_HOOK(&c, "file_permission");
	if (om_peer_granted(&c, sk, &n))
		return 0;
	OM_RETURN(om_deny_net(&c, OM_OP_NET_CONNECT, &n), OM_EPERM);
}
