/*
 * Row 94: UDP-Lite, DCCP, L2TP over IP: datagram protocols that take an inet socket and are neither
 * TCP nor UDP to a filter that knows two.
 */
#include "tests/escape/lib/net.h"

static int sent(int family, const char *text, int type, int proto)
{
	struct esc_addr at = esc_addr(text, 0);
	int to = esc_socket(family, type, proto);

	if (to < 0 && (errno == EPROTONOSUPPORT || errno == ESOCKTNOSUPPORT))
		return esc_skip("this kernel lacks the protocol");
	if (to < 0)
		return errno;
	if (bind(to, &at.sa, at.len) < 0 || getsockname(to, &at.sa, &at.len) < 0)
		return errno;
	return esc_sendto(esc_socket(family, type, proto), at, 0);
}

static int lite(void)
{
	return sent(AF_INET, "127.0.0.1", SOCK_DGRAM, 136);
}

static int lite_v6(void)
{
	return sent(AF_INET6, "::1", SOCK_DGRAM, 136);
}

static int dccp(void)
{
	int fd = esc_socket(AF_INET, 6 /* SOCK_DCCP */, 33);

	if (fd < 0 && (errno == EPROTONOSUPPORT || errno == ESOCKTNOSUPPORT))
		return esc_skip("this kernel has no DCCP");
	return fd < 0 ? errno : 0;
}

static int l2tp(void)
{
	int fd = esc_socket(AF_INET, SOCK_DGRAM, 115);

	if (fd < 0 && (errno == EPROTONOSUPPORT || errno == ESOCKTNOSUPPORT))
		return esc_skip("this kernel has no L2TP over IP");
	return fd < 0 ? errno : 0;
}

static const struct esc_try tries[] = {
	{"udplite", lite, "syscall", 1, ESC_OUTSIDE, NULL},
	{"udplite-ipv6", lite_v6, "syscall", 1, ESC_OUTSIDE, NULL},
	{"dccp", dccp, "syscall", 1, ESC_OUTSIDE, NULL},
	{"l2tp", l2tp, "syscall", 1, ESC_OUTSIDE, NULL},
};

ESC_ROW(94, "UDP-Lite, DCCP, L2TP", "seccomp on socket(), socket_create, cgroup/sock_create",
	tries);
