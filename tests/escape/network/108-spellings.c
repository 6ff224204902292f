/*
 * Row 108: one address in many forms: the cloud's metadata service by IPv4, mapped, translated; the
 * loopback as 0.0.0.0, ::, decimal and octal numbers. Filters of text or of one family miss some.
 */
#include "tests/escape/lib/net.h"

static int metadata(const char *text, int type)
{
	int ret = esc_world(text, type, 80);

	return ret ? ret : esc_connect_to(esc_addr(text, 80), type, 0);
}

static int plain(void)
{
	return metadata("169.254.169.254", SOCK_STREAM);
}

static int mapped(void)
{
	int ret = esc_world("169.254.169.254", SOCK_STREAM, 80);

	return ret ? ret : esc_connect_to(esc_addr("::ffff:169.254.169.254", 80), SOCK_STREAM, 0);
}

static int six(void)
{
	return metadata("fd00:ec2::254", SOCK_STREAM);
}

static int translated(void)
{
	return metadata("64:ff9b::169.254.169.254", SOCK_STREAM);
}

static int datagram(void)
{
	return metadata("169.254.169.254", SOCK_DGRAM);
}

static int local(const char *text)
{
	return esc_connect_to(esc_addr(text, esc_num("tcp")), SOCK_STREAM, 0);
}

static int any(void)
{
	return local("0.0.0.0");
}

static int any_v6(void)
{
	return local("::");
}

static int any_mapped(void)
{
	return local("::ffff:0.0.0.0");
}

static int any_datagram(void)
{
	return esc_sendto(esc_socket(AF_INET, SOCK_DGRAM, 0), esc_addr("0.0.0.0", esc_num("udp")),
			  0);
}

/* Text in forms that inet_aton takes and a pattern does not. */
static int number(const char *text)
{
	struct esc_addr a = esc_addr("127.0.0.1", esc_num("tcp"));

	if (!inet_aton(text, &a.v4.sin_addr))
		return EINVAL;
	return esc_connect_to(a, SOCK_STREAM, 0);
}

static int decimal(void)
{
	return number("2130706433");
}

static int octal(void)
{
	return number("017700000001");
}

static int brief(void)
{
	return number("0x7f.1");
}

/* The whole of 127.0.0.0/8 is this host. */
static int neighbour(void)
{
	int ret = esc_world("127.8.8.8", SOCK_STREAM, esc_num("tcp"));

	return ret ? ret : local("127.8.8.8");
}

static const struct esc_try tries[] = {
	{"metadata", plain, "net.connect", 1, ESC_OUTSIDE, NULL},
	{"metadata-mapped", mapped, "net.connect", 1, ESC_OUTSIDE, NULL},
	{"metadata-ipv6", six, "net.connect", 1, ESC_OUTSIDE, NULL},
	{"metadata-nat64", translated, "net.connect", 1, ESC_OUTSIDE, NULL},
	{"metadata-udp", datagram, "net.connect", 1, ESC_OUTSIDE, NULL},
	{"any", any, "net.connect", 1, ESC_INSIDE, NULL},
	{"any-ipv6", any_v6, "net.connect", 1, ESC_INSIDE, NULL},
	{"any-mapped", any_mapped, "net.connect", 1, ESC_INSIDE, NULL},
	{"any-udp", any_datagram, "net.connect", 1, ESC_INSIDE, NULL},
	{"decimal", decimal, "net.connect", 1, ESC_INSIDE, NULL},
	{"octal", octal, "net.connect", 1, ESC_INSIDE, NULL},
	{"brief", brief, "net.connect", 1, ESC_INSIDE, NULL},
	{"other-loopback", neighbour, "net.connect", 1, ESC_OUTSIDE, NULL},
};

ESC_ROW(108, "metadata address and loopback in other forms", "bytes compared after normalising",
	tries);
