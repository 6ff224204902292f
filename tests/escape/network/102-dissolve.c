/*
 * Row 102: connect(AF_UNSPEC) takes a socket's peer away, and the socket is used for another one. What
 * was allowed once must not be the socket's for good.
 */
#include "tests/escape/lib/net.h"

static int dissolved(int family, int type)
{
	const char *text = family == AF_INET ? "127.0.0.1" : "::ffff:127.0.0.1";
	struct esc_addr own = esc_addr(text, esc_num("own")), none = {.len = sizeof(none.all)},
			to = esc_addr(text, esc_num(type == SOCK_STREAM ? "tcp" : "udp"));
	int fd = esc_socket(family, type, 0), ret;

	(void)connect(fd, &own.sa, own.len); /* TCP: refused, nobody listens */
	if (connect(fd, &none.sa, none.len) < 0)
		return errno;
	ret = esc_errno(connect(fd, &to.sa, to.len));
	if (!ret)
		ret = send(fd, "x", 1, MSG_NOSIGNAL) == 1 ? 0 : errno;
	close(fd);
	return ret;
}

static int tcp(void)
{
	return dissolved(AF_INET, SOCK_STREAM);
}

static int tcp_v6(void)
{
	return dissolved(AF_INET6, SOCK_STREAM);
}

static int udp(void)
{
	return dissolved(AF_INET, SOCK_DGRAM);
}

static int udp_v6(void)
{
	return dissolved(AF_INET6, SOCK_DGRAM);
}

/* By an address on the send instead of a second connect. */
static int udp_sent(void)
{
	struct esc_addr own = esc_addr("127.0.0.1", esc_num("own")),
			none = {.len = sizeof(none.all)};
	int fd = esc_socket(AF_INET, SOCK_DGRAM, 0);

	if (connect(fd, &own.sa, own.len) < 0 || connect(fd, &none.sa, none.len) < 0)
		return errno;
	return esc_sendto(fd, esc_addr("127.0.0.1", esc_num("udp")), 0);
}

static const struct esc_try tries[] = {
	{"tcp", tcp, "net.connect", 1, ESC_INSIDE, NULL},
	{"tcp-ipv6", tcp_v6, "net.connect", 1, ESC_INSIDE, NULL},
	{"udp", udp, "net.connect", 1, ESC_INSIDE, NULL},
	{"udp-ipv6", udp_v6, "net.connect", 1, ESC_INSIDE, NULL},
	{"udp-sendto", udp_sent, "net.connect", 1, ESC_INSIDE, NULL},
};

ESC_ROW(102, "connect(AF_UNSPEC), then another peer", "socket_connect, socket_sendmsg", tries);
