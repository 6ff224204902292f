/*
 * Row 95: raw and ping sockets: packets of one's own making, headers included, or data in an echo
 * request. No cgroup sendmsg program runs for them.
 */
#include <linux/icmp.h>
#include <linux/icmpv6.h>
#include <netinet/ip.h>

#include "tests/escape/lib/net.h"

/* A network namespace of its own, in which group 0 may make ping sockets; outside a brane only. */
static int world(void)
{
	int ret = esc_world("127.0.0.1", SOCK_DGRAM, esc_num("udp")), fd;

	if (ret || !esc_is_outside())
		return ret;
	fd = open("/proc/sys/net/ipv4/ping_group_range", O_WRONLY | O_CLOEXEC);
	ret = fd < 0 || write(fd, "0 0", 3) != 3 ? errno : 0;
	if (fd >= 0)
		close(fd);
	return ret;
}

static int sent(int fd, struct esc_addr to, const void *data, size_t n)
{
	if (fd < 0)
		return errno;
	return sendto(fd, data, n, 0, &to.sa, to.len) < 0 ? errno : 0;
}

static int ping(void)
{
	struct icmphdr echo = {.type = ICMP_ECHO};
	int ret = world();

	return ret ? ret
		   : sent(esc_socket(AF_INET, SOCK_DGRAM, IPPROTO_ICMP), esc_addr("127.0.0.1", 0),
			  &echo, sizeof(echo));
}

static int ping_v6(void)
{
	struct icmp6hdr echo = {.icmp6_type = ICMPV6_ECHO_REQUEST};
	int ret = world();

	return ret ? ret
		   : sent(esc_socket(AF_INET6, SOCK_DGRAM, IPPROTO_ICMPV6), esc_addr("::1", 0),
			  &echo, sizeof(echo));
}

static int icmp(void)
{
	struct icmphdr echo = {.type = ICMP_ECHO};
	int ret = world();

	return ret ? ret
		   : sent(esc_socket(AF_INET, SOCK_RAW, IPPROTO_ICMP), esc_addr("127.0.0.1", 0),
			  &echo, sizeof(echo));
}

static int icmp_v6(void)
{
	struct icmp6hdr echo = {.icmp6_type = ICMPV6_ECHO_REQUEST};
	int ret = world();

	return ret ? ret
		   : sent(esc_socket(AF_INET6, SOCK_RAW, IPPROTO_ICMPV6), esc_addr("::1", 0), &echo,
			  sizeof(echo));
}

/* A UDP datagram with its IP header, by hand: IPPROTO_RAW implies IP_HDRINCL. */
static int own_header(void)
{
	struct {
		struct iphdr ip;
		uint16_t from, to, len, check;
	} p = {.ip = {.version = 4, .ihl = 5, .ttl = 64, .protocol = IPPROTO_UDP}};
	int ret = world();

	p.ip.daddr = htonl(INADDR_LOOPBACK);
	p.to = htons((uint16_t)esc_num("udp"));
	p.len = htons(8);
	return ret ? ret
		   : sent(esc_socket(AF_INET, SOCK_RAW, IPPROTO_RAW), esc_addr("127.0.0.1", 0), &p,
			  sizeof(p));
}

/* The transport header alone: the kernel adds IP, and never asks whose port that is. */
static int own_tcp(void)
{
	char tcp[20] = {0, 1, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0x50, 2};
	int ret = world();

	return ret ? ret
		   : sent(esc_socket(AF_INET, SOCK_RAW, IPPROTO_TCP), esc_addr("127.0.0.1", 0), tcp,
			  sizeof(tcp));
}

static int raw_v6(void)
{
	uint16_t udp[4] = {0, htons((uint16_t)esc_num("udp")), htons(8), 0};
	int ret = world();

	return ret ? ret
		   : sent(esc_socket(AF_INET6, SOCK_RAW, IPPROTO_UDP), esc_addr("::1", 0), udp,
			  sizeof(udp));
}

/* Reading what others send and receive. */
static int sniffing(void)
{
	int fd = esc_socket(AF_INET, SOCK_RAW, IPPROTO_UDP);

	return fd < 0 ? errno : 0;
}

static int old_packet(void)
{
	int fd = esc_socket(AF_INET, SOCK_PACKET, htons(3));

	return fd < 0 ? errno : 0;
}

static const struct esc_try tries[] = {
	{"ping", ping, "syscall", 1, ESC_OUTSIDE, NULL},
	{"ping-ipv6", ping_v6, "syscall", 1, ESC_OUTSIDE, NULL},
	{"icmp", icmp, "syscall", 1, ESC_OUTSIDE, NULL},
	{"icmp-ipv6", icmp_v6, "syscall", 1, ESC_OUTSIDE, NULL},
	{"header", own_header, "syscall", 1, ESC_OUTSIDE, NULL},
	{"tcp", own_tcp, "syscall", 1, ESC_OUTSIDE, NULL},
	{"ipv6", raw_v6, "syscall", 1, ESC_OUTSIDE, NULL},
	{"sniff", sniffing, "syscall", 1, ESC_OUTSIDE, NULL},
	{"sock-packet", old_packet, "syscall", 1, ESC_OUTSIDE, NULL},
};

ESC_ROW(95, "ping sockets, SOCK_RAW, IP_HDRINCL",
	"seccomp on socket(), socket_create, no CAP_NET_RAW", tries);
