/*
 * Row 112: fill the place where events go, then act. Enforcers whose program returns "allowed" when
 * it cannot reserve a record are open from then on. In the blind mode the ring is full before the first
 * of these and nobody empties it.
 */
#include "tests/escape/enforcer/flood.h"

#define FLOOD 300

static int then_connect(void)
{
	if (!esc_flood(FLOOD))
		return 0;
	return esc_connect_to(esc_addr("127.0.0.1", esc_num("tcp")), SOCK_STREAM, 0);
}

static int then_send(void)
{
	if (!esc_flood(FLOOD))
		return 0;
	return esc_sendto(esc_socket(AF_INET, SOCK_DGRAM, 0), esc_addr("127.0.0.1", esc_num("udp")),
			  0);
}

static int then_open(void)
{
	if (!esc_flood(FLOOD))
		return 0;
	return esc_open_read(AT_FDCWD, esc_in("dir", "secret"), O_RDONLY);
}

static int then_exec(void)
{
	char *argv[] = {(char *)"prog", NULL};

	if (!esc_flood(FLOOD))
		return 0;
	return esc_exec(esc_in("dir", "prog"), argv);
}

static int then_listen(void)
{
	int fd = esc_socket(AF_INET, SOCK_STREAM, 0);

	if (!esc_flood(FLOOD))
		return 0;
	return esc_errno(listen(fd, 1));
}

static const struct esc_try tries[] = {
	{"connect", then_connect, "net.connect", FLOOD + 1, ESC_OUTSIDE, NULL},
	{"send", then_send, "net.connect", FLOOD + 1, ESC_OUTSIDE, NULL},
	{"open", then_open, "net.connect|file.absent", FLOOD + 1, ESC_OUTSIDE, NULL},
	{"exec", then_exec, "net.connect|file.absent", FLOOD + 1, ESC_OUTSIDE, NULL},
	{"listen", then_listen, "net.connect|net.listen", FLOOD + 1, ESC_OUTSIDE, NULL},
};

ESC_ROW(112, "fill the ring buffer, then act", "the verdict comes before the record", tries);
