/*
 * Row 87: TCP Fast Open: a send that connects. socket_connect never fires for it, so an enforcer that
 * watches connects alone sees nothing.
 */
#include "tests/escape/lib/net.h"

static int sent_to(void)
{
	return esc_sendto(esc_socket(AF_INET, SOCK_STREAM, 0),
			  esc_addr("127.0.0.1", esc_num("tcp")), MSG_FASTOPEN);
}

static int sent_to_v6(void)
{
	return esc_sendto(esc_socket(AF_INET6, SOCK_STREAM, 0), esc_addr("::1", esc_num("tcp")),
			  MSG_FASTOPEN);
}

static int by_sendmsg(void)
{
	return esc_sendmsg(esc_socket(AF_INET, SOCK_STREAM, 0),
			   esc_addr("127.0.0.1", esc_num("tcp")), MSG_FASTOPEN);
}

static int by_sendmmsg(void)
{
	struct esc_addr a = esc_addr("127.0.0.1", esc_num("tcp"));
	struct iovec iov = {(void *)"x", 1};
	struct mmsghdr m = {.msg_hdr = {.msg_name = &a.all,
					.msg_namelen = a.len,
					.msg_iov = &iov,
					.msg_iovlen = 1}};

	return sendmmsg(esc_socket(AF_INET, SOCK_STREAM, 0), &m, 1, MSG_FASTOPEN | MSG_NOSIGNAL) ==
			       1
		       ? 0
		       : errno;
}

/* Family 0 is IPv4 here, while connect() takes it for "disconnect". */
static int family_zero(void)
{
	struct esc_addr a = esc_addr("127.0.0.1", esc_num("tcp"));

	a.sa.sa_family = AF_UNSPEC;
	return esc_sendto(esc_socket(AF_INET, SOCK_STREAM, 0), a, MSG_FASTOPEN);
}

static int mapped(void)
{
	return esc_sendto(esc_socket(AF_INET6, SOCK_STREAM, 0),
			  esc_addr("::ffff:127.0.0.1", esc_num("tcp")), MSG_FASTOPEN);
}

static const struct esc_try tries[] = {
	{"sendto", sent_to, "net.connect", 1, ESC_INSIDE, NULL},
	{"sendto-ipv6", sent_to_v6, "net.connect", 1, ESC_INSIDE, NULL},
	{"sendmsg", by_sendmsg, "net.connect", 1, ESC_INSIDE, NULL},
	{"sendmmsg", by_sendmmsg, "net.connect", 1, ESC_INSIDE, NULL},
	{"family-zero", family_zero, "net.connect", 1, ESC_NEVER,
	 "kernels differ in whether Fast Open takes family 0 at all; none may connect"},
	{"mapped", mapped, "net.connect", 1, ESC_INSIDE, NULL},
};

ESC_ROW(87, "TCP Fast Open by sendto", "socket_sendmsg, cgroup/connect4 and 6", tries);
