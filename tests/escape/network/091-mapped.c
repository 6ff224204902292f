/*
 * Row 91: IPv4 by way of an IPv6 socket: ::ffff:a.b.c.d goes to connect6 and then to sendmsg4, and an
 * IPv6 datagram socket even takes a plain IPv4 address. Filters that keep the families apart miss one.
 */
#include "tests/escape/lib/net.h"

static struct esc_addr mapped(const char *key)
{
	return esc_addr("::ffff:127.0.0.1", esc_num(key));
}

static int tcp(void)
{
	return esc_connect_to(mapped("tcp"), SOCK_STREAM, 0);
}

static int udp_connected(void)
{
	return esc_connect_to(mapped("udp"), SOCK_DGRAM, 0);
}

static int udp_sent(void)
{
	return esc_sendto(esc_socket(AF_INET6, SOCK_DGRAM, 0), mapped("udp"), 0);
}

static int udp_message(void)
{
	return esc_sendmsg(esc_socket(AF_INET6, SOCK_DGRAM, 0), mapped("udp"), 0);
}

static int plain_address_sent(void)
{
	return esc_sendto(esc_socket(AF_INET6, SOCK_DGRAM, 0),
			  esc_addr("127.0.0.1", esc_num("udp")), 0);
}

static int plain_address_connected(void)
{
	struct esc_addr a = esc_addr("127.0.0.1", esc_num("udp"));
	int fd = esc_socket(AF_INET6, SOCK_DGRAM, 0);

	if (connect(fd, &a.sa, a.len) < 0)
		return errno;
	return send(fd, "x", 1, 0) == 1 ? 0 : errno;
}

/* Once it speaks IPv4 an IPv6 socket can be made one for good, and its options change meaning. */
static int turned_to_v4(void)
{
	struct esc_addr own = mapped("own"), a = esc_addr("127.0.0.1", esc_num("udp"));
	int fd = esc_socket(AF_INET6, SOCK_DGRAM, 0), family = AF_INET;

	if (connect(fd, &own.sa, own.len) < 0)
		return errno;
	if (setsockopt(fd, IPPROTO_IPV6, 1 /* IPV6_ADDRFORM */, &family, sizeof(family)) < 0)
		return errno;
	return esc_sendto(fd, a, 0);
}

/* The same 32 bits without the prefix are another address, which leads to the same host on old stacks. */
static int compatible(void)
{
	int ret = esc_world("::127.0.0.1", SOCK_DGRAM, esc_num("udp"));

	return ret ? ret
		   : esc_sendto(esc_socket(AF_INET6, SOCK_DGRAM, 0),
				esc_addr("::127.0.0.1", esc_num("udp")), 0);
}

static const struct esc_try tries[] = {
	{"tcp", tcp, "net.connect", 1, ESC_INSIDE, NULL},
	{"udp-connect", udp_connected, "net.connect", 1, ESC_INSIDE, NULL},
	{"udp-sendto", udp_sent, "net.connect", 1, ESC_INSIDE, NULL},
	{"udp-sendmsg", udp_message, "net.connect", 1, ESC_INSIDE, NULL},
	{"plain-sendto", plain_address_sent, "net.connect", 1, ESC_INSIDE, NULL},
	{"plain-connect", plain_address_connected, "net.connect", 1, ESC_INSIDE, NULL},
	{"turned", turned_to_v4, "net.connect", 1, ESC_INSIDE, NULL},
	{"compatible", compatible, "net.connect", 1, ESC_OUTSIDE, NULL},
};

ESC_ROW(91, "IPv4 by IPv6 sockets, mapped addresses", "one form of address for both families",
	tries);
