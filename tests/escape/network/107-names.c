/*
 * Row 107: an allowed name and a foreign address: rebinding, a shared front end, a false Host line or
 * SNI. Grants by name are not built (lint refuses them): the address alone decides, so a name inside
 * the stream changes nothing, in either direction.
 */
#include "tests/escape/lib/net.h"

static int said(const char *text, size_t n)
{
	struct esc_addr a = esc_addr("127.0.0.1", esc_num("tcp"));
	int fd = esc_socket(AF_INET, SOCK_STREAM, 0), ret;

	if (connect(fd, &a.sa, a.len) < 0)
		return errno;
	ret = send(fd, text, n, MSG_NOSIGNAL) == (ssize_t)n ? 0 : errno;
	close(fd);
	return ret;
}

static int host_line(void)
{
	static const char text[] = "GET / HTTP/1.1\r\nHost: granted.example\r\n\r\n";

	return said(text, sizeof(text) - 1);
}

/* A tunnel asked of a front end. */
static int connect_line(void)
{
	static const char text[] = "CONNECT granted.example:443 HTTP/1.1\r\n\r\n";

	return said(text, sizeof(text) - 1);
}

/* A ClientHello's beginning with a server name. */
static int server_name(void)
{
	static const char text[] = "\x16\x03\x01\0\x3f\x01\0\0\x3b\x03\x03"
				   "................................"
				   "\0\0\2\x13\x01\1\0\0\x10\0\0\0\x0c\0\x0a\0\0\7granted";

	return said(text, sizeof(text) - 1);
}

/* The name that was granted answers with another address at the second look. */
static int rebound(void)
{
	int ret = esc_world("10.0.0.1", SOCK_STREAM, 80);

	(void)esc_connect_to(esc_addr("127.0.0.1", esc_num("own")), SOCK_STREAM, 0);
	return ret ? ret : esc_connect_to(esc_addr("10.0.0.1", 80), SOCK_STREAM, 0);
}

static const struct esc_try tries[] = {
	{"host-line", host_line, "net.connect", 1, ESC_INSIDE, NULL},
	{"connect-line", connect_line, "net.connect", 1, ESC_INSIDE, NULL},
	{"server-name", server_name, "net.connect", 1, ESC_INSIDE, NULL},
	{"rebinding", rebound, "net.connect", 1, ESC_OUTSIDE, NULL},
};

ESC_ROW(107, "allowed name, foreign address: rebinding, Host, SNI",
	"addresses are granted, not names", tries);
