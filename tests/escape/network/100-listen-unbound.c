/*
 * Row 100: listen() without bind(): the kernel picks a port, and no bind hook ever runs. A filter of
 * ports to bind sees nothing.
 */
#include "tests/escape/lib/net.h"

static int served(int family)
{
	int fd = esc_socket(family, SOCK_STREAM, 0), ret;

	ret = esc_errno(listen(fd, 1));
	close(fd);
	return ret;
}

static int v4(void)
{
	return served(AF_INET);
}

static int v6(void)
{
	return served(AF_INET6);
}

/* Port 0 is a client's to bind; what becomes of it is asked when it listens. */
static int bound_to_zero(int family, const char *text)
{
	struct esc_addr a = esc_addr(text, 0);
	int fd = esc_socket(family, SOCK_STREAM, 0), ret;

	if (bind(fd, &a.sa, a.len) < 0)
		return errno;
	ret = esc_errno(listen(fd, 1));
	close(fd);
	return ret;
}

static int zero_v4(void)
{
	return bound_to_zero(AF_INET, "0.0.0.0");
}

static int zero_v6(void)
{
	return bound_to_zero(AF_INET6, "::");
}

/* A connection that failed left its port behind. */
static int after_connect(void)
{
	struct esc_addr own = esc_addr("127.0.0.1", esc_num("own")),
			none = {.len = sizeof(none.v4)};
	int fd = esc_socket(AF_INET, SOCK_STREAM, 0), ret;

	(void)connect(fd, &own.sa, own.len);
	(void)connect(fd, &none.sa, none.len);
	ret = esc_errno(listen(fd, 1));
	close(fd);
	return ret;
}

static const struct esc_try tries[] = {
	{"ipv4", v4, "net.listen", 1, ESC_OUTSIDE, NULL},
	{"ipv6", v6, "net.listen", 1, ESC_OUTSIDE, NULL},
	{"port-zero", zero_v4, "net.listen", 1, ESC_OUTSIDE, NULL},
	{"port-zero-ipv6", zero_v6, "net.listen", 1, ESC_OUTSIDE, NULL},
	{"after-connect", after_connect, "net.listen", 1, ESC_OUTSIDE, NULL},
};

ESC_ROW(100, "listen() without bind()", "socket_listen, cgroup_skb ingress", tries);
