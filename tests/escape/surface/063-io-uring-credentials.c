/*
 * Row 63: a thread of the kernel that polls the ring, credentials that are registered once and worn later,
 * commands to drivers. Each acts when the task that asked is somewhere else.
 */
#include "tests/escape/lib/uring.h"

#define OP_URING_CMD 46 /* 5.19 */

static int read_polled(void)
{
	static struct uring r;
	struct io_uring_sqe open_it = {.opcode = IORING_OP_OPENAT,
				       .fd = AT_FDCWD,
				       .addr = (uint64_t)(uintptr_t)esc_in("dir", "secret"),
				       .open_flags = O_RDONLY | O_CLOEXEC};
	int ret = uring_setup(&r, IORING_SETUP_SQPOLL);

	if (ret)
		return ret;
	ret = uring_do(&r, &open_it);
	return ret < 0 ? -ret : esc_read_fd(ret);
}

/* Registered with all capabilities, used after they are gone. */
static int personality_(void)
{
	struct io_uring_sqe open_it = {.opcode = IORING_OP_OPENAT,
				       .fd = AT_FDCWD,
				       .addr = (uint64_t)(uintptr_t)esc_in("dir", "root-only"),
				       .open_flags = O_RDONLY | O_CLOEXEC};
	struct uring r;
	int ret = uring_setup(&r, 0), id, fd;

	if (ret)
		return ret;
	fd = open(esc_in("dir", "root-only"), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0 || write(fd, "secret\n", 7) != 7)
		return errno;
	close(fd);
	id = (int)syscall(SYS_io_uring_register, r.fd, IORING_REGISTER_PERSONALITY, NULL, 0);
	if (id < 0 || setresuid(65534, 65534, 65534) < 0)
		return errno;
	open_it.personality = (uint16_t)id;
	ret = uring_do(&r, &open_it);
	return ret < 0 ? -ret : esc_read_fd(ret);
}

static int command(void)
{
	struct io_uring_sqe s = {.opcode = OP_URING_CMD, .fd = 0};
	int ret = uring_once(0, &s);

	/* That the file has no commands is the file's answer: the door was open. */
	return ret == EOPNOTSUPP ? 0 : ret;
}

static const struct esc_try tries[] = {
	{"sqpoll", read_polled, "syscall", 1, ESC_OUTSIDE, NULL},
	{"personality", personality_, "syscall", 1, ESC_OUTSIDE, NULL},
	{"uring-cmd", command, "syscall", 1, ESC_OUTSIDE, NULL},
};

ESC_ROW(63, "io_uring: polling thread, other credentials, commands", "no ring; uring hooks", tries);
