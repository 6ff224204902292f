/*
 * Row 99: abstract unix sockets: no file, so no path rule; with a granted address the brane is in the
 * host's network namespace, where these names live.
 */
#include "tests/escape/lib/net.h"

static int stream(void)
{
	struct esc_addr a = esc_abstract(esc_arg("abstract"));
	int fd = esc_socket(AF_UNIX, SOCK_STREAM, 0);

	return esc_errno(connect(fd, &a.sa, a.len));
}

static int datagram(void)
{
	return esc_sendto(esc_socket(AF_UNIX, SOCK_DGRAM, 0), esc_abstract(esc_arg("abstract_d")),
			  0);
}

static int datagram_connected(void)
{
	struct esc_addr a = esc_abstract(esc_arg("abstract_d"));
	int fd = esc_socket(AF_UNIX, SOCK_DGRAM, 0);

	if (connect(fd, &a.sa, a.len) < 0)
		return errno;
	return send(fd, "x", 1, MSG_DONTWAIT) == 1 ? 0 : errno;
}

static int by_sendmsg(void)
{
	return esc_sendmsg(esc_socket(AF_UNIX, SOCK_DGRAM, 0), esc_abstract(esc_arg("abstract_d")),
			   MSG_DONTWAIT);
}

/* A descriptor handed to the host's process would be the way to give things away. */
static int with_descriptor(void)
{
	struct esc_addr a = esc_abstract(esc_arg("abstract_d"));
	char space[CMSG_SPACE(sizeof(int))] = "";
	struct iovec iov = {(void *)"x", 1};
	struct msghdr m = {.msg_name = &a.all,
			   .msg_namelen = a.len,
			   .msg_iov = &iov,
			   .msg_iovlen = 1,
			   .msg_control = space,
			   .msg_controllen = sizeof(space)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);
	int fd = esc_socket(AF_UNIX, SOCK_DGRAM, 0);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	return sendmsg(fd, &m, MSG_DONTWAIT) == 1 ? 0 : errno;
}

static const struct esc_try tries[] = {
	{"stream", stream, "net.unix", 1, ESC_OUTSIDE, NULL},
	{"datagram", datagram, "net.unix", 1, ESC_OUTSIDE, NULL},
	{"datagram-connect", datagram_connected, "net.unix", 1, ESC_OUTSIDE, NULL},
	{"sendmsg", by_sendmsg, "net.unix", 1, ESC_OUTSIDE, NULL},
	{"descriptor", with_descriptor, "net.unix", 1, ESC_OUTSIDE, NULL},
};

ESC_ROW(99, "abstract unix sockets", "unix_stream_connect, unix_may_send", tries);
