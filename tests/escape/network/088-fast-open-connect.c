/*
 * Row 88: TCP_FASTOPEN_CONNECT: connect() answers at once and the connection is made by the first
 * send, or by the last descriptor's use elsewhere. What was checked and what happens are two moments.
 */
#include <netinet/tcp.h>

#include "tests/escape/lib/net.h"

static int deferred(int family, const char *text)
{
	struct esc_addr a = esc_addr(text, esc_num("tcp"));
	int fd = esc_socket(family, SOCK_STREAM, 0), one = 1, ret;
	char c;

	if (setsockopt(fd, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, &one, sizeof(one)) < 0)
		return errno;
	ret = connect(fd, &a.sa, a.len);
	/* The listener closes: its end of file, or its reset, shows that the bytes came. */
	if (!ret)
		ret = send(fd, "x", 1, MSG_NOSIGNAL) == 1 ? 0 : -1;
	if (!ret)
		ret = recv(fd, &c, 1, 0) < 0 && errno != ECONNRESET ? -1 : 0;
	ret = esc_errno(ret);
	close(fd);
	return ret;
}

static int v4(void)
{
	return deferred(AF_INET, "127.0.0.1");
}

static int v6(void)
{
	return deferred(AF_INET6, "::1");
}

static int mapped(void)
{
	return deferred(AF_INET6, "::ffff:127.0.0.1");
}

/* Checked for one peer, then turned to another before the first send. */
static int turned(void)
{
	struct esc_addr own = esc_addr("127.0.0.1", esc_num("own")),
			none = {.len = sizeof(none.v4)}, to = esc_addr("127.0.0.1", esc_num("tcp"));
	int fd = esc_socket(AF_INET, SOCK_STREAM, 0), one = 1, ret;

	if (setsockopt(fd, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, &one, sizeof(one)) < 0)
		return errno;
	(void)connect(fd, &own.sa, own.len);
	(void)connect(fd, &none.sa, none.len);
	ret = esc_errno(connect(fd, &to.sa, to.len));
	if (!ret)
		ret = send(fd, "x", 1, MSG_NOSIGNAL) == 1 ? 0 : errno;
	close(fd);
	return ret;
}

static const struct esc_try tries[] = {
	{"ipv4", v4, "net.connect", 1, ESC_INSIDE, NULL},
	{"ipv6", v6, "net.connect", 1, ESC_INSIDE, NULL},
	{"mapped", mapped, "net.connect", 1, ESC_INSIDE, NULL},
	{"turned", turned, "net.connect", 1, ESC_INSIDE, NULL},
};

ESC_ROW(88, "TCP_FASTOPEN_CONNECT, then send", "socket_connect, socket_sendmsg", tries);
