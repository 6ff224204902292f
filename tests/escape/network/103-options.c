/*
 * Row 103: socket options that choose a mark, a device, a route or a foreign address, forge a
 * connection's state, or join a group; and the same by control messages on a send.
 */
#include <linux/filter.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#include "tests/escape/lib/net.h"

static int set(int family, int type, int level, int name, const void *value, socklen_t len)
{
	int fd = esc_socket(family, type, 0), ret;

	if (fd < 0)
		return errno;
	ret = esc_errno(setsockopt(fd, level, name, value, len));
	close(fd);
	return ret;
}

static const int one = 1;

static int mark(void)
{
	return set(AF_INET, SOCK_STREAM, SOL_SOCKET, SO_MARK, &one, sizeof(one));
}

static int device(void)
{
	return set(AF_INET, SOCK_DGRAM, SOL_SOCKET, SO_BINDTODEVICE, "lo", 3);
}

static int device_index(void)
{
	return set(AF_INET, SOCK_DGRAM, SOL_SOCKET, 62 /* SO_BINDTOIFINDEX */, &one, sizeof(one));
}

static int transparent(void)
{
	return set(AF_INET, SOCK_STREAM, IPPROTO_IP, IP_TRANSPARENT, &one, sizeof(one));
}

static int transparent_v6(void)
{
	return set(AF_INET6, SOCK_STREAM, IPPROTO_IPV6, IPV6_TRANSPARENT, &one, sizeof(one));
}

static int repair(void)
{
	return set(AF_INET, SOCK_STREAM, IPPROTO_TCP, TCP_REPAIR, &one, sizeof(one));
}

/* Loose source route: type, length, pointer, one hop. */
static const unsigned char route[] = {131, 7, 4, 127, 0, 0, 2, 0};

static int ip_options(void)
{
	return set(AF_INET, SOCK_DGRAM, IPPROTO_IP, IP_OPTIONS, route, sizeof(route));
}

/* A destination option is nothing; what matters is that a routing header cannot be set. */
static const unsigned char rthdr2[24] = {0, 2, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0,
					 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};

static int routing_header(void)
{
	int ret = set(AF_INET6, SOCK_DGRAM, IPPROTO_IPV6, IPV6_RTHDR, rthdr2, sizeof(rthdr2));

	return ret == EINVAL ? esc_skip("this kernel has no mobile IPv6") : ret;
}

static int unicast_interface(void)
{
	uint32_t index = htonl(1);

	return set(AF_INET, SOCK_DGRAM, IPPROTO_IP, IP_UNICAST_IF, &index, sizeof(index));
}

static int reuseport_program(void)
{
	struct sock_filter ret0 = {BPF_RET | BPF_K, 0, 0, 0};
	struct sock_fprog prog = {1, &ret0};
	int fd = esc_socket(AF_INET, SOCK_DGRAM, 0), ret;

	setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one));
	ret = esc_errno(setsockopt(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &prog, sizeof(prog)));
	close(fd);
	return ret;
}

/* A datagram to what is granted, with CMSG beside it. */
static int with_control(int level, int type, const void *data, size_t n)
{
	struct esc_addr a = esc_addr("127.0.0.1", esc_num("own"));
	char space[256] = "";
	struct iovec iov = {(void *)"x", 1};
	struct msghdr m = {.msg_name = &a.all,
			   .msg_namelen = a.len,
			   .msg_iov = &iov,
			   .msg_iovlen = 1,
			   .msg_control = space,
			   .msg_controllen = CMSG_SPACE(n)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);
	int fd = esc_socket(AF_INET, SOCK_DGRAM, 0), ret;

	c->cmsg_level = level;
	c->cmsg_type = type;
	c->cmsg_len = CMSG_LEN(n);
	memcpy(CMSG_DATA(c), data, n);
	ret = sendmsg(fd, &m, 0) == 1 ? 0 : errno;
	close(fd);
	return ret;
}

/* The packet goes to the hop, not to the address of the call. */
static int route_in_message(void)
{
	return with_control(IPPROTO_IP, IP_RETOPTS, route, sizeof(route));
}

static int mark_in_message(void)
{
	uint32_t value = 1;

	return with_control(SOL_SOCKET, SO_MARK, &value, sizeof(value));
}

static const struct esc_try tries[] = {
	{"mark", mark, "net.socket", 1, ESC_OUTSIDE, NULL},
	{"bindtodevice", device, "net.socket", 1, ESC_OUTSIDE, NULL},
	{"bindtoifindex", device_index, "net.socket", 1, ESC_OUTSIDE, NULL},
	{"transparent", transparent, "net.socket", 1, ESC_OUTSIDE, NULL},
	{"transparent-ipv6", transparent_v6, "net.socket", 1, ESC_OUTSIDE, NULL},
	{"repair", repair, "net.socket", 1, ESC_OUTSIDE, NULL},
	{"source-route", ip_options, "net.socket", 1, ESC_OUTSIDE, NULL},
	{"routing-header", routing_header, "net.socket", 1, ESC_OUTSIDE, NULL},
	{"unicast-if", unicast_interface, "net.socket", 1, ESC_OUTSIDE, NULL},
	{"reuseport-program", reuseport_program, "net.socket", 1, ESC_OUTSIDE, NULL},
	{"route-in-message", route_in_message, "net.connect", 0, ESC_OUTSIDE,
	 "nftables drops the packet before the cgroup program sees it, and counts it in its rule"},
	{"mark-in-message", mark_in_message, "net.socket", 0, ESC_OUTSIDE,
	 "the kernel asks for CAP_NET_ADMIN or CAP_NET_RAW, which no brane has"},
};

ESC_ROW(103, "SO_MARK, SO_BINDTODEVICE, IP_TRANSPARENT, TCP_REPAIR, IP options",
	"socket_setsockopt, nftables, cgroup_skb egress", tries);
