/*
 * Row 99: abstract unix sockets: no file, so no path rule; with a granted address the brane is in the
 * host's network namespace, where these names live. And the other way about: a name that is taken first
 * is taken for the service that the host's programs look for there.
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

static int squat(int type, const char *name)
{
	struct esc_addr a = esc_abstract(name);

	return esc_errno(bind(esc_socket(AF_UNIX, type, 0), &a.sa, a.len));
}

static int squat_stream(void)
{
	return squat(SOCK_STREAM, "/tmp/.X11-unix/X77");
}

static int squat_datagram(void)
{
	return squat(SOCK_DGRAM, "om-squat-d");
}

/* Of no length, and one byte long: still not the kernel's choice. */
static int squat_nameless(void)
{
	struct esc_addr a = esc_abstract("");

	return esc_errno(bind(esc_socket(AF_UNIX, SOCK_SEQPACKET, 0), &a.sa, a.len));
}

static const struct esc_try tries[] = {
	{"stream", stream, "net.unix", 1, ESC_OUTSIDE, NULL},
	{"datagram", datagram, "net.unix", 1, ESC_OUTSIDE, NULL},
	{"datagram-connect", datagram_connected, "net.unix", 1, ESC_OUTSIDE, NULL},
	{"sendmsg", by_sendmsg, "net.unix", 1, ESC_OUTSIDE, NULL},
	{"squat-stream", squat_stream, "net.unix", 1, ESC_OUTSIDE, NULL},
	{"squat-datagram", squat_datagram, "net.unix", 1, ESC_OUTSIDE, NULL},
	{"squat-nameless", squat_nameless, "net.unix", 1, ESC_OUTSIDE, NULL},
	{"descriptor", with_descriptor, "net.unix", 1, ESC_OUTSIDE, NULL},
};

ESC_ROW(99, "abstract unix sockets", "unix_stream_connect, unix_may_send, socket_bind", tries);
