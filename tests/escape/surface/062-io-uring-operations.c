/*
 * Row 62: what one does with a ring: open the secret, read it, connect, send, make a socket, rename, each
 * by an entry in shared memory that the kernel's own threads may execute.
 */
#include <arpa/inet.h>
#include <linux/openat2.h>
#include <sys/socket.h>

#include "tests/escape/lib/uring.h"

#define OP_SOCKET 45 /* 5.19 */

static uint64_t at(const void *p)
{
	return (uint64_t)(uintptr_t)p;
}

/* Opens by the ring and reads by the ring. */
static int opened(struct io_uring_sqe open_it)
{
	struct io_uring_sqe read_it = {.opcode = IORING_OP_READ, .len = 1};
	static char c;
	struct uring r;
	int ret = uring_setup(&r, 0);

	if (ret)
		return ret;
	ret = uring_do(&r, &open_it);
	if (ret < 0)
		return -ret;
	read_it.fd = ret;
	read_it.addr = at(&c);
	ret = uring_do(&r, &read_it);
	return ret == 1 ? 0 : EIO;
}

static int open_file(void)
{
	struct io_uring_sqe s = {.opcode = IORING_OP_OPENAT,
				 .fd = AT_FDCWD,
				 .addr = at(esc_in("dir", "secret")),
				 .open_flags = O_RDONLY | O_CLOEXEC};

	return opened(s);
}

static int open_file2(void)
{
	struct open_how how = {.flags = O_RDONLY | O_CLOEXEC};
	struct io_uring_sqe s = {.opcode = IORING_OP_OPENAT2,
				 .fd = AT_FDCWD,
				 .addr = at(esc_in("dir", "secret")),
				 .len = sizeof(how),
				 .off = at(&how)};

	return opened(s);
}

/* IOSQE_ASYNC: by a thread of the kernel, not by ours. */
static int open_by_worker(void)
{
	struct io_uring_sqe s = {.opcode = IORING_OP_OPENAT,
				 .flags = IOSQE_ASYNC,
				 .fd = AT_FDCWD,
				 .addr = at(esc_in("dir", "secret")),
				 .open_flags = O_RDONLY | O_CLOEXEC};

	return opened(s);
}

static struct sockaddr_in tcp(void)
{
	return (struct sockaddr_in){.sin_family = AF_INET,
				    .sin_port = htons((uint16_t)esc_num("tcp")),
				    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static int connected(void)
{
	struct sockaddr_in a = tcp();
	struct io_uring_sqe s = {.opcode = IORING_OP_CONNECT, .addr = at(&a), .off = sizeof(a)};

	s.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	return uring_once(0, &s);
}

static int datagram(void)
{
	struct sockaddr_in a = tcp();
	struct iovec v = {(void *)"x", 1};
	struct msghdr m = {
		.msg_name = &a, .msg_namelen = sizeof(a), .msg_iov = &v, .msg_iovlen = 1};
	struct io_uring_sqe s = {.opcode = IORING_OP_SENDMSG, .addr = at(&m), .len = 1};

	a.sin_port = htons((uint16_t)esc_num("udp"));
	s.fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	return uring_once(0, &s);
}

static int raw_socket(void)
{
	struct io_uring_sqe s = {
		.opcode = OP_SOCKET, .fd = AF_INET, .off = SOCK_RAW | SOCK_CLOEXEC, .len = 255};

	return uring_once(0, &s);
}

static int renamed(void)
{
	const char *to = esc_in("write", "uring-renamed");
	struct io_uring_sqe s = {.opcode = IORING_OP_RENAMEAT,
				 .fd = AT_FDCWD,
				 .addr = at(esc_in("dir", "secret")),
				 .len = (uint32_t)AT_FDCWD,
				 .off = at(to)};
	int ret = uring_once(0, &s);

	if (!ret && rename(to, esc_in("dir", "secret")) < 0)
		return EIO;
	return ret;
}

static const struct esc_try tries[] = {
	{"openat", open_file, "syscall", 1, ESC_OUTSIDE, NULL},
	{"openat2", open_file2, "syscall", 1, ESC_OUTSIDE, NULL},
	{"openat-worker", open_by_worker, "syscall", 1, ESC_OUTSIDE, NULL},
	{"connect", connected, "syscall", 1, ESC_OUTSIDE, NULL},
	{"sendmsg", datagram, "syscall", 1, ESC_OUTSIDE, NULL},
	{"socket", raw_socket, "syscall", 1, ESC_OUTSIDE, NULL},
	{"rename", renamed, "syscall", 1, ESC_OUTSIDE, NULL},
};

ESC_ROW(62, "io_uring: open, read, connect, send, socket, rename",
	"no ring; the hooks of the calls", tries);
