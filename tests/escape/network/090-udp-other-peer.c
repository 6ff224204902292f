/*
 * Row 90: a datagram socket connected to a peer that is granted, then used for another one: by an
 * address on the send, by connecting again, by dissolving first. Verdicts kept per socket fall for it.
 */
#include "tests/escape/lib/net.h"

/* Connected to what every brane may reach, and used once, so that any verdict is cached. */
static int connected(int family)
{
	struct esc_addr a =
		esc_addr(family == AF_INET ? "127.0.0.1" : "::ffff:127.0.0.1", esc_num("own"));
	int fd = esc_socket(family, SOCK_DGRAM, 0), error;
	socklen_t len = sizeof(error);

	if (fd < 0 || connect(fd, &a.sa, a.len) < 0 || send(fd, "x", 1, 0) < 0)
		return -1;
	/* Nobody listens there: that answer is not the next send's. */
	for (int i = 0; i < 100; i++) {
		getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len);
		if (error)
			break;
		usleep(1000);
	}
	return fd;
}

static int sent_elsewhere(void)
{
	return esc_sendto(connected(AF_INET), esc_addr("127.0.0.1", esc_num("udp")), 0);
}

static int sent_elsewhere_v6(void)
{
	return esc_sendto(connected(AF_INET6), esc_addr("::ffff:127.0.0.1", esc_num("udp")), 0);
}

static int message_elsewhere(void)
{
	return esc_sendmsg(connected(AF_INET), esc_addr("127.0.0.1", esc_num("udp")), 0);
}

static int connected_again(void)
{
	struct esc_addr a = esc_addr("127.0.0.1", esc_num("udp"));
	int fd = connected(AF_INET);

	if (fd < 0 || connect(fd, &a.sa, a.len) < 0)
		return errno;
	return send(fd, "x", 1, 0) == 1 ? 0 : errno;
}

static int by_family_zero(void)
{
	struct esc_addr a = esc_addr("127.0.0.1", esc_num("udp"));

	a.sa.sa_family = AF_UNSPEC;
	return esc_sendto(connected(AF_INET), a, 0);
}

/* A brane's own port is no reason to reach somebody else's. */
static int other_port(void)
{
	return esc_sendto(connected(AF_INET), esc_addr("127.0.0.1", esc_num("udp2")), 0);
}

static const struct esc_try tries[] = {
	{"sendto", sent_elsewhere, "net.connect", 1, ESC_INSIDE, NULL},
	{"sendto-ipv6", sent_elsewhere_v6, "net.connect", 1, ESC_INSIDE, NULL},
	{"sendmsg", message_elsewhere, "net.connect", 1, ESC_INSIDE, NULL},
	{"connect-again", connected_again, "net.connect", 1, ESC_INSIDE, NULL},
	{"family-zero", by_family_zero, "net.connect", 1, ESC_INSIDE, NULL},
	{"other-port", other_port, "net.connect", 1, ESC_OUTSIDE, NULL},
};

ESC_ROW(90, "connected UDP, then another peer", "socket_sendmsg, cgroup/sendmsg4 and 6", tries);
