/*
 * Row 37: as row 35, but an io_uring sends: no system call of the network is made, so tracepoints and
 * filters see nothing. A ring made outside may be handed in as well.
 */
#include "tests/escape/lib/give.h"
#include "tests/escape/lib/uring.h"

static int by_ring(uint8_t op)
{
	struct iovec v = {(void *)"x", 1};
	struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};
	struct io_uring_sqe sqe = {.opcode = op, .len = 1};
	int fd = give_get(GIVE_TCP);

	if (fd < 0)
		return errno;
	sqe.fd = fd;
	sqe.addr = (uint64_t)(uintptr_t)(op == IORING_OP_SENDMSG ? (void *)&m : (void *)"x");
	return uring_once(0, &sqe);
}

static int ring_send(void)
{
	return by_ring(IORING_OP_SEND);
}

static int ring_sendmsg(void)
{
	return by_ring(IORING_OP_SENDMSG);
}

static int ring_write(void)
{
	return by_ring(IORING_OP_WRITE);
}

static int passed_ring(void)
{
	int fd = give_get(GIVE_RING);

	/* Kernels since 6.7, and patched older ones, refuse to send one. */
	if (fd < 0 && errno == ENOMSG)
		return esc_skip("this kernel lets no ring be passed");
	return fd < 0 ? errno : esc_errno(syscall(SYS_io_uring_enter, fd, 0, 0, 0, NULL, 0));
}

static const struct esc_try tries[] = {
	{"send", ring_send, "syscall", 1, ESC_OUTSIDE, NULL},
	{"sendmsg", ring_sendmsg, "syscall", 1, ESC_OUTSIDE, NULL},
	{"write", ring_write, "syscall", 1, ESC_OUTSIDE, NULL},
	{"passed-ring", passed_ring, "file.read|file.write", 1, ESC_OUTSIDE, NULL},
};

ESC_ROW(37, "the same by io_uring", "filter, anonymous inode, socket_sendmsg, file_receive", tries);
