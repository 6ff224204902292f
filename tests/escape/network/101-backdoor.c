/*
 * Row 101: a door from outside: bind, listen and accept on a port that the manifest does not name.
 */
#include "tests/escape/lib/net.h"

static int bound(int family, const char *text, int type)
{
	struct esc_addr a = esc_addr(text, esc_num("listen"));
	int fd = esc_socket(family, type, 0), one = 1, ret;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	ret = esc_errno(bind(fd, &a.sa, a.len));
	if (!ret && type == SOCK_STREAM)
		ret = esc_errno(listen(fd, 1));
	close(fd);
	return ret;
}

static int tcp(void)
{
	return bound(AF_INET, "127.0.0.1", SOCK_STREAM);
}

static int tcp_any(void)
{
	return bound(AF_INET, "0.0.0.0", SOCK_STREAM);
}

static int tcp_v6(void)
{
	return bound(AF_INET6, "::", SOCK_STREAM);
}

static int tcp_mapped(void)
{
	return bound(AF_INET6, "::ffff:127.0.0.1", SOCK_STREAM);
}

static int udp(void)
{
	return bound(AF_INET, "127.0.0.1", SOCK_DGRAM);
}

static int udp_v6(void)
{
	return bound(AF_INET6, "::1", SOCK_DGRAM);
}

/* bind() takes family 0 for IPv4 where the address is any. */
static int family_zero(void)
{
	struct esc_addr a = esc_addr("0.0.0.0", esc_num("listen"));
	int fd = esc_socket(AF_INET, SOCK_DGRAM, 0), ret;

	a.sa.sa_family = AF_UNSPEC;
	ret = esc_errno(bind(fd, &a.sa, a.len));
	close(fd);
	return ret;
}

/* Beside another listener on its port: half of its connections would come here. */
static int port_shared(void)
{
	struct esc_addr a = esc_addr("0.0.0.0", esc_num("listen"));
	int fd = esc_socket(AF_INET, SOCK_STREAM, 0), one = 1, ret;

	setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one));
	ret = esc_errno(bind(fd, &a.sa, a.len));
	if (!ret)
		ret = esc_errno(listen(fd, 1));
	close(fd);
	return ret;
}

/* The whole of it: listen, be connected to, accept. */
static int accepted(void)
{
	struct esc_addr a = esc_addr("127.0.0.1", 0);
	int fd = esc_socket(AF_INET, SOCK_STREAM, 0), out;

	if (bind(fd, &a.sa, a.len) < 0 || listen(fd, 1) < 0 || getsockname(fd, &a.sa, &a.len) < 0)
		return errno;
	out = esc_socket(AF_INET, SOCK_STREAM, 0);
	if (connect(out, &a.sa, a.len) < 0)
		return errno;
	return accept4(fd, NULL, NULL, SOCK_CLOEXEC) < 0 ? errno : 0;
}

static const struct esc_try tries[] = {
	{"tcp", tcp, "net.listen", 1, ESC_INSIDE, NULL},
	{"tcp-any", tcp_any, "net.listen", 1, ESC_INSIDE, NULL},
	{"tcp-ipv6", tcp_v6, "net.listen", 1, ESC_INSIDE, NULL},
	{"tcp-mapped", tcp_mapped, "net.listen", 1, ESC_INSIDE, NULL},
	{"udp", udp, "net.listen", 1, ESC_INSIDE, NULL},
	{"udp-ipv6", udp_v6, "net.listen", 1, ESC_INSIDE, NULL},
	{"family-zero", family_zero, "net.listen", 1, ESC_INSIDE, NULL},
	{"reuseport", port_shared, "net.listen", 1, ESC_INSIDE, NULL},
	{"accept", accepted, "net.listen", 1, ESC_OUTSIDE, NULL},
};

ESC_ROW(101, "bind, listen, accept", "socket_bind, socket_listen, cgroup/bind4 and 6", tries);
