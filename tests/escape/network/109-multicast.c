/*
 * Row 109: everybody at once: multicast, broadcast, mDNS, a scan of the neighbours; and joining a
 * group, which makes the kernel itself send the group's address, 28 bits of one's choice, to the link.
 */
#include <netinet/in.h>
#include <net/route.h>

#include "tests/escape/lib/net.h"

/* Outside: a lo of its own that has a way for IPv6 groups as well. */
static int world(void)
{
	struct in6_rtmsg r = {
		.rtmsg_dst_len = 8, .rtmsg_metric = 1, .rtmsg_flags = RTF_UP, .rtmsg_ifindex = 1};
	int ret = esc_world("127.0.0.1", SOCK_DGRAM, esc_num("udp"));

	if (ret || !esc_is_outside())
		return ret;
	r.rtmsg_dst.s6_addr[0] = 0xff;
	return esc_errno(ioctl(esc_socket(AF_INET6, SOCK_DGRAM, 0), SIOCADDRT, &r));
}

static int sent(const char *text, int port, bool broadcast)
{
	struct in_addr lo = {htonl(INADDR_LOOPBACK)};
	int ret = world(), fd, one = 1, index = 1;

	if (ret)
		return ret;
	fd = esc_socket(strchr(text, ':') ? AF_INET6 : AF_INET, SOCK_DGRAM, 0);
	if (broadcast)
		setsockopt(fd, SOL_SOCKET, SO_BROADCAST, &one, sizeof(one));
	setsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &lo, sizeof(lo));
	setsockopt(fd, IPPROTO_IPV6, IPV6_MULTICAST_IF, &index, sizeof(index));
	return esc_sendto(fd, esc_addr(text, port), 0);
}

static int mdns(void)
{
	return sent("224.0.0.251", 5353, false);
}

static int mdns_v6(void)
{
	return sent("ff02::fb", 5353, false);
}

static int ssdp(void)
{
	return sent("239.255.255.250", 1900, false);
}

static int broadcast(void)
{
	/* The directed one of lo's own network: the limited one needs a route that a test lacks. */
	return sent("127.255.255.255", 67, true);
}

static int neighbour(void)
{
	int ret = esc_world("192.168.7.7", SOCK_STREAM, 22);

	return ret ? ret : esc_connect_to(esc_addr("192.168.7.7", 22), SOCK_STREAM, 0);
}

static int joined(int family, int level, int name, const void *value, socklen_t len)
{
	int ret = world();

	return ret ? ret
		   : esc_errno(setsockopt(esc_socket(family, SOCK_DGRAM, 0), level, name, value,
					  len));
}

static int group(void)
{
	struct ip_mreqn r = {.imr_ifindex = 1};

	r.imr_multiaddr.s_addr = htonl(0xefc0ffee);
	return joined(AF_INET, IPPROTO_IP, IP_ADD_MEMBERSHIP, &r, sizeof(r));
}

static int group_of_source(void)
{
	struct ip_mreq_source r = {0};

	r.imr_multiaddr.s_addr = htonl(0xefc0ffee);
	r.imr_interface.s_addr = htonl(INADDR_LOOPBACK);
	r.imr_sourceaddr.s_addr = htonl(0x0a0a0a0a);
	return joined(AF_INET, IPPROTO_IP, IP_ADD_SOURCE_MEMBERSHIP, &r, sizeof(r));
}

static int group_v6(void)
{
	struct ipv6_mreq r = {.ipv6mr_interface = 1};

	inet_pton(AF_INET6, "ff02::c0ff:ee", &r.ipv6mr_multiaddr);
	return joined(AF_INET6, IPPROTO_IPV6, IPV6_ADD_MEMBERSHIP, &r, sizeof(r));
}

static int group_request(void)
{
	struct group_req r = {.gr_interface = 1};
	struct esc_addr a = esc_addr("239.1.2.3", 0);

	memcpy(&r.gr_group, &a.v4, sizeof(a.v4));
	return joined(AF_INET, IPPROTO_IP, MCAST_JOIN_GROUP, &r, sizeof(r));
}

static int group_request_v6(void)
{
	struct group_req r = {.gr_interface = 1};
	struct esc_addr a = esc_addr("ff02::1:2:3", 0);

	memcpy(&r.gr_group, &a.v6, sizeof(a.v6));
	return joined(AF_INET6, IPPROTO_IPV6, MCAST_JOIN_GROUP, &r, sizeof(r));
}

static int group_source_request(void)
{
	struct group_source_req r = {.gsr_interface = 1};
	struct esc_addr a = esc_addr("239.1.2.3", 0), s = esc_addr("10.1.2.3", 0);

	memcpy(&r.gsr_group, &a.v4, sizeof(a.v4));
	memcpy(&r.gsr_source, &s.v4, sizeof(s.v4));
	return joined(AF_INET, IPPROTO_IP, MCAST_JOIN_SOURCE_GROUP, &r, sizeof(r));
}

static const struct esc_try tries[] = {
	{"mdns", mdns, "net.connect", 1, ESC_OUTSIDE, NULL},
	{"mdns-ipv6", mdns_v6, "net.connect", 1, ESC_OUTSIDE, NULL},
	{"ssdp", ssdp, "net.connect", 1, ESC_OUTSIDE, NULL},
	{"broadcast", broadcast, "net.connect", 1, ESC_OUTSIDE, NULL},
	{"neighbour", neighbour, "net.connect", 1, ESC_OUTSIDE, NULL},
	{"join", group, "net.socket", 1, ESC_OUTSIDE, NULL},
	{"join-source", group_of_source, "net.socket", 1, ESC_OUTSIDE, NULL},
	{"join-ipv6", group_v6, "net.socket", 1, ESC_OUTSIDE, NULL},
	{"join-request", group_request, "net.socket", 1, ESC_OUTSIDE, NULL},
	{"join-request-ipv6", group_request_v6, "net.socket", 1, ESC_OUTSIDE, NULL},
	{"join-source-request", group_source_request, "net.socket", 1, ESC_OUTSIDE, NULL},
};

ESC_ROW(109, "multicast, broadcast, joining groups, LAN scan",
	"socket_sendmsg, socket_setsockopt, cgroup/sendmsg4 and 6", tries);
