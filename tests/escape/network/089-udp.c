/*
 * Row 89: datagrams from a socket that is never connected: no connect hook ever runs, each send names
 * its own peer, and family 0 means IPv4.
 */
#include "tests/escape/lib/net.h"

static struct esc_addr to(void)
{
	return esc_addr("127.0.0.1", esc_num("udp"));
}

static int udp(int family)
{
	return esc_socket(family, SOCK_DGRAM, 0);
}

static int sent_to(void)
{
	return esc_sendto(udp(AF_INET), to(), 0);
}

static int sent_to_v6(void)
{
	return esc_sendto(udp(AF_INET6), esc_addr("::1", esc_num("udp")), 0);
}

static int by_sendmsg(void)
{
	return esc_sendmsg(udp(AF_INET), to(), 0);
}

/* The first message goes where it may, the second does not. */
static int by_sendmmsg(void)
{
	struct esc_addr a[2] = {esc_addr("127.0.0.1", esc_num("own")), to()};
	struct iovec iov = {(void *)"x", 1};
	struct mmsghdr m[2] = {0};
	int n;

	for (int i = 0; i < 2; i++)
		m[i].msg_hdr = (struct msghdr){.msg_name = &a[i].all,
					       .msg_namelen = a[i].len,
					       .msg_iov = &iov,
					       .msg_iovlen = 1};
	n = sendmmsg(udp(AF_INET), m, 2, 0);
	/* The call that sent one says so, and does not say what became of the other. */
	return n == 2 ? 0 : n == 1 ? EPERM : errno;
}

static int family_zero(void)
{
	struct esc_addr a = to();

	a.sa.sa_family = AF_UNSPEC;
	return esc_sendto(udp(AF_INET), a, 0);
}

/* Corked: the first piece starts the packet, the last one lets it go. */
static int in_pieces(void)
{
	struct esc_addr a = to();
	int fd = udp(AF_INET), ret = 0;

	if (sendto(fd, "x", 1, MSG_MORE, &a.sa, a.len) < 0)
		ret = errno;
	if (!ret && send(fd, "y", 1, 0) < 0)
		ret = errno;
	close(fd);
	return ret;
}

/* The kernel cuts it into many packets. */
static int large(void)
{
	static char big[60000];
	struct esc_addr a = to();

	return sendto(udp(AF_INET), big, sizeof(big), 0, &a.sa, a.len) < 0 ? errno : 0;
}

static int empty(void)
{
	struct esc_addr a = to();

	return sendto(udp(AF_INET), "", 0, 0, &a.sa, a.len) < 0 ? errno : 0;
}

static const struct esc_try tries[] = {
	{"sendto", sent_to, "net.connect", 1, ESC_INSIDE, NULL},
	{"sendto-ipv6", sent_to_v6, "net.connect", 1, ESC_INSIDE, NULL},
	{"sendmsg", by_sendmsg, "net.connect", 1, ESC_INSIDE, NULL},
	{"sendmmsg-second", by_sendmmsg, "net.connect", 1, ESC_INSIDE, NULL},
	{"family-zero", family_zero, "net.connect", 1, ESC_INSIDE, NULL},
	{"in-pieces", in_pieces, "net.connect", 1, ESC_INSIDE, NULL},
	{"fragmented", large, "net.connect", 1, ESC_INSIDE, NULL},
	{"empty", empty, "net.connect", 1, ESC_INSIDE, NULL},
};

ESC_ROW(89, "UDP sendto, sendmsg, sendmmsg, unconnected", "socket_sendmsg, cgroup/sendmsg4 and 6",
	tries);
