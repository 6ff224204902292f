/*
 * Row 93: SCTP: the cgroup's connect and sendmsg programs never run for it, in no style.
 */
#include "tests/escape/lib/net.h"

#define SCTP 132

/* In this process's own world when outside: a listener of the same protocol to talk to. */
static int made(int family, int type, struct esc_addr *at)
{
	int fd;

	fd = esc_socket(family, type, SCTP);
	if (fd < 0 && (errno == EPROTONOSUPPORT || errno == ESOCKTNOSUPPORT))
		return -2;
	if (fd >= 0) {
		*at = esc_addr(family == AF_INET ? "127.0.0.1" : "::1", 0);
		if (bind(fd, &at->sa, at->len) < 0 || listen(fd, 1) < 0 ||
		    getsockname(fd, &at->sa, &at->len) < 0)
			return -1;
	}
	return fd;
}

static int reached(int family, int type)
{
	struct esc_addr at = {0};
	int fd = made(family, type, &at);

	if (fd == -2)
		return esc_skip("this kernel has no SCTP");
	if (fd < 0)
		return errno;
	if (type == SOCK_STREAM)
		return esc_connect_to(at, type, SCTP);
	return esc_sendto(esc_socket(family, type, SCTP), at, 0);
}

static int stream(void)
{
	return reached(AF_INET, SOCK_STREAM);
}

static int stream_v6(void)
{
	return reached(AF_INET6, SOCK_STREAM);
}

static int one_to_many(void)
{
	return reached(AF_INET, SOCK_SEQPACKET);
}

static int one_to_many_v6(void)
{
	return reached(AF_INET6, SOCK_SEQPACKET);
}

static const struct esc_try tries[] = {
	{"stream", stream, "syscall", 1, ESC_OUTSIDE, NULL},
	{"stream-ipv6", stream_v6, "syscall", 1, ESC_OUTSIDE, NULL},
	{"seqpacket", one_to_many, "syscall", 1, ESC_OUTSIDE, NULL},
	{"seqpacket-ipv6", one_to_many_v6, "syscall", 1, ESC_OUTSIDE, NULL},
};

ESC_ROW(93, "SCTP", "seccomp on socket(), socket_create, cgroup/sock_create", tries);
