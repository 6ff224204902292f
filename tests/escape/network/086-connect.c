/*
 * Row 86: a TCP connection to an address that no line of the manifest names. The plainest way out; the
 * variants differ in what a filter may key on: family, blocking, the socket's own address.
 */
#include "tests/escape/lib/net.h"

static int v4(void)
{
	return esc_connect_to(esc_addr("127.0.0.1", esc_num("tcp")), SOCK_STREAM, 0);
}

static int v6(void)
{
	return esc_connect_to(esc_addr("::1", esc_num("tcp")), SOCK_STREAM, 0);
}

static int with_protocol(void)
{
	return esc_connect_to(esc_addr("127.0.0.1", esc_num("tcp")), SOCK_STREAM, IPPROTO_TCP);
}

/* A filter that waits for the connection's end never sees one. */
static int nonblocking(void)
{
	struct esc_addr a = esc_addr("127.0.0.1", esc_num("tcp"));
	int fd = esc_socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), ret;
	char c;

	ret = connect(fd, &a.sa, a.len) < 0 && errno != EINPROGRESS ? errno : 0;
	for (int i = 0; !ret && i < 100; i++) {
		/* The listener closes at once: an end of file is its answer. */
		if (recv(fd, &c, 1, 0) == 0)
			return 0;
		if (errno != EAGAIN && errno != ENOTCONN)
			return errno;
		usleep(10000);
	}
	return ret ? ret : ETIMEDOUT;
}

/* From an address of the brane's choice. */
static int bound_first(void)
{
	struct esc_addr from = esc_addr("127.0.0.9", 0), to = esc_addr("127.0.0.1", esc_num("tcp"));
	int fd = esc_socket(AF_INET, SOCK_STREAM, 0), ret;

	ret = bind(fd, &from.sa, from.len);
	ret = ret ? errno : esc_errno(connect(fd, &to.sa, to.len));
	close(fd);
	return ret;
}

/* An address structure longer than the family's is read like a short one. */
static int long_address(void)
{
	struct esc_addr a = esc_addr("127.0.0.1", esc_num("tcp"));

	a.len = sizeof(a.all);
	return esc_connect_to(a, SOCK_STREAM, 0);
}

/* RFC 2133's sockaddr_in6 ends before the scope. */
static int short_v6(void)
{
	struct esc_addr a = esc_addr("::1", esc_num("tcp"));

	a.len = 24;
	return esc_connect_to(a, SOCK_STREAM, 0);
}

static const struct esc_try tries[] = {
	{"ipv4", v4, "net.connect", 1, ESC_INSIDE, NULL},
	{"ipv6", v6, "net.connect", 1, ESC_INSIDE, NULL},
	{"protocol", with_protocol, "net.connect", 1, ESC_INSIDE, NULL},
	{"nonblocking", nonblocking, "net.connect", 1, ESC_INSIDE, NULL},
	{"bound-first", bound_first, "net.connect", 1, ESC_INSIDE, NULL},
	{"long-address", long_address, "net.connect", 1, ESC_INSIDE, NULL},
	{"short-ipv6", short_v6, "net.connect", 1, ESC_INSIDE, NULL},
};

ESC_ROW(86, "TCP connect", "socket_connect, cgroup/connect4 and 6", tries);
