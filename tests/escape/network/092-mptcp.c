/*
 * Row 92: Multipath TCP: protocol 262, which becomes 6 where somebody keeps it in a byte; later
 * subflows go to addresses that no connect() named.
 */
#include "tests/escape/lib/net.h"

#define MPTCP 262

static int connected(const char *text)
{
	int ret = esc_connect_to(esc_addr(text, esc_num("tcp")), SOCK_STREAM, MPTCP);

	if (ret == EPROTONOSUPPORT || ret == ENOPROTOOPT)
		return esc_skip("this kernel has no MPTCP");
	return ret;
}

static int v4(void)
{
	return connected("127.0.0.1");
}

static int v6(void)
{
	return connected("::1");
}

static int mapped(void)
{
	return connected("::ffff:127.0.0.1");
}

static int served(void)
{
	int fd = esc_socket(AF_INET, SOCK_STREAM, MPTCP), ret;

	if (fd < 0)
		return errno == EPROTONOSUPPORT ? esc_skip("this kernel has no MPTCP") : errno;
	ret = esc_errno(listen(fd, 1));
	close(fd);
	return ret;
}

static const struct esc_try tries[] = {
	{"ipv4", v4, "syscall", 1, ESC_OUTSIDE, NULL},
	{"ipv6", v6, "syscall", 1, ESC_OUTSIDE, NULL},
	{"mapped", mapped, "syscall", 1, ESC_OUTSIDE, NULL},
	{"listen", served, "syscall", 1, ESC_OUTSIDE, NULL},
};

ESC_ROW(92, "MPTCP", "seccomp on socket(), socket_create, cgroup/sock_create", tries);
