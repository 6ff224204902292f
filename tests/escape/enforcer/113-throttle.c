/*
 * Row 113: make so many equal denials that alerts are throttled, then do the one that matters among
 * them. Every one of these must be there afterwards, and the last by its own name.
 */
#include "tests/escape/enforcer/flood.h"

#define SAME 300
/* Each waits two seconds for an agent that is gone, and a try has twenty. */
#define SAME_CALLS 7

static int equal(const char *key)
{
	for (int i = 0; !esc_is_outside() && i < SAME; i++)
		if (!esc_connect_to(esc_addr("127.0.0.1", esc_num(key)), SOCK_STREAM, 0))
			return 0;
	return 1;
}

static int then_another_port(void)
{
	if (!equal("tcp2"))
		return 0;
	return esc_connect_to(esc_addr("127.0.0.1", esc_num("tcp")), SOCK_STREAM, 0);
}

static int then_another_family(void)
{
	if (!equal("tcp"))
		return 0;
	return esc_connect_to(esc_addr("::1", esc_num("tcp")), SOCK_STREAM, 0);
}

static int then_a_file(void)
{
	if (!equal("tcp2"))
		return 0;
	return esc_open_read(AT_FDCWD, esc_in("dir", "sub/secret"), O_RDONLY);
}

static int equal_calls(void)
{
	for (int i = 0; !esc_is_outside() && i < SAME_CALLS; i++)
		if (esc_socket(AF_NETLINK, SOCK_RAW, 0) >= 0)
			return 0;
	return esc_socket(AF_PACKET, SOCK_RAW, 0) < 0 ? errno : 0;
}

static const struct esc_try tries[] = {
	{"port", then_another_port, "net.connect", SAME + 1, ESC_OUTSIDE, NULL},
	{"family", then_another_family, "net.connect", SAME + 1, ESC_OUTSIDE, NULL},
	{"file", then_a_file, "net.connect|file.absent", SAME + 1, ESC_OUTSIDE, NULL},
	{"calls", equal_calls, "syscall", SAME_CALLS + 1, ESC_OUTSIDE, NULL},
};

ESC_ROW(113, "flood until alerts are throttled, then act", "no throttle: every denial has a number",
	tries);
