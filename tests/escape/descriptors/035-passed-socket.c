/*
 * Row 35: a socket that somebody outside connected, sent through from inside. Its cgroup is its maker's,
 * so no cgroup program of the brane sees the packets, and no connect happens. What counts is who sends.
 */
#include <linux/aio_abi.h>
#include <sys/uio.h>

#include "tests/escape/lib/give.h"

static int with(enum give what, int (*use)(int fd))
{
	int fd = give_get(what);

	return fd < 0 ? errno : use(fd);
}

static int use_send(int fd)
{
	return esc_errno(send(fd, "x", 1, MSG_NOSIGNAL));
}

static int use_write(int fd)
{
	return esc_errno(write(fd, "x", 1));
}

static int use_writev(int fd)
{
	struct iovec v = {(void *)"x", 1};

	return esc_errno(writev(fd, &v, 1));
}

static int use_sendmmsg(int fd)
{
	struct iovec v = {(void *)"x", 1};
	struct mmsghdr m = {.msg_hdr = {.msg_iov = &v, .msg_iovlen = 1}};

	return esc_errno(sendmmsg(fd, &m, 1, MSG_NOSIGNAL));
}

static int use_oob(int fd)
{
	return esc_errno(send(fd, "x", 1, MSG_NOSIGNAL | MSG_OOB));
}

/* The older asynchronous interface, which no filter of the default profile stops. */
static int use_aio(int fd)
{
	struct iocb cb = {.aio_lio_opcode = IOCB_CMD_PWRITE,
			  .aio_fildes = (uint32_t)fd,
			  .aio_buf = (uint64_t)(uintptr_t) "x",
			  .aio_nbytes = 1};
	struct iocb *list[] = {&cb};
	struct io_event ev = {0};
	aio_context_t ctx = 0;

	if (syscall(SYS_io_setup, 1, &ctx) < 0 || syscall(SYS_io_submit, ctx, 1, list) != 1 ||
	    syscall(SYS_io_getevents, ctx, 1, 1, &ev, NULL) != 1)
		return errno;
	return ev.res < 0 ? (int)-ev.res : 0;
}

static int use_accept(int fd)
{
	return esc_errno(accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK));
}

static int tcp_send(void)
{
	return with(GIVE_TCP, use_send);
}

static int tcp6_send(void)
{
	return with(GIVE_TCP6, use_send);
}

static int udp_send(void)
{
	return with(GIVE_UDP, use_send);
}

static int tcp_write(void)
{
	return with(GIVE_TCP, use_write);
}

static int tcp_writev(void)
{
	return with(GIVE_TCP, use_writev);
}

static int tcp_sendmmsg(void)
{
	return with(GIVE_TCP, use_sendmmsg);
}

static int tcp_oob(void)
{
	return with(GIVE_TCP, use_oob);
}

static int tcp_aio(void)
{
	return with(GIVE_TCP, use_aio);
}

static int listener_accept(void)
{
	return with(GIVE_LISTENER, use_accept);
}

static const struct esc_try tries[] = {
	{"tcp-send", tcp_send, "net.connect", 1, ESC_INSIDE, NULL},
	{"tcp6-send", tcp6_send, "net.connect", 1, ESC_INSIDE, NULL},
	{"udp-send", udp_send, "net.connect", 1, ESC_INSIDE, NULL},
	{"tcp-write", tcp_write, "net.connect", 1, ESC_INSIDE, NULL},
	{"tcp-writev", tcp_writev, "net.connect", 1, ESC_INSIDE, NULL},
	{"tcp-sendmmsg", tcp_sendmmsg, "net.connect", 1, ESC_INSIDE, NULL},
	{"tcp-oob", tcp_oob, "net.connect", 1, ESC_INSIDE, NULL},
	{"tcp-aio", tcp_aio, "net.connect", 1, ESC_INSIDE, NULL},
	{"listener-accept", listener_accept, "net.listen", 1, ESC_OUTSIDE, NULL},
};

ESC_ROW(35, "send through a passed, connected socket", "socket_sendmsg, socket_accept", tries);
