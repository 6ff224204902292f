/*
 * Row 61: io_uring_setup gives a queue into the kernel by which files are opened and sockets used without
 * a system call for each. Several agents that watch system calls saw nothing at all of it.
 */
#include "tests/escape/lib/uring.h"

static int made(unsigned int flags)
{
	struct uring r;

	return uring_setup(&r, flags);
}

static int plain(void)
{
	return made(0);
}

static int polled(void)
{
	return made(IORING_SETUP_SQPOLL);
}

static int disabled(void)
{
	return made(IORING_SETUP_R_DISABLED);
}

/* Without a ring: the two other calls are closed as well. */
static int enter(void)
{
	int ret = esc_errno(syscall(SYS_io_uring_enter, 1, 0, 0, 0, NULL, 0));

	return ret == EOPNOTSUPP || ret == EBADF ? 0 : ret; /* looked at: 1 is no ring */
}

static int registered(void)
{
	int ret =
		esc_errno(syscall(SYS_io_uring_register, 1, IORING_REGISTER_PERSONALITY, NULL, 0));

	return ret == EOPNOTSUPP || ret == EBADF ? 0 : ret;
}

static const struct esc_try tries[] = {
	{"plain", plain, "syscall", 1, ESC_OUTSIDE, NULL},
	{"sqpoll", polled, "syscall", 1, ESC_OUTSIDE, NULL},
	{"disabled", disabled, "syscall", 1, ESC_OUTSIDE, NULL},
	{"enter", enter, "syscall", 1, ESC_OUTSIDE, NULL},
	{"register", registered, "syscall", 1, ESC_OUTSIDE, NULL},
};

ESC_ROW(61, "io_uring_setup", "filter, anonymous inode, uring_allowed", tries);
