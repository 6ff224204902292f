/*
 * Row 75: the terminal of whoever started the brane: characters typed into it are his commands. The number
 * of the request has high bits that a filter may compare and the kernel drops (CVE-2019-10063).
 */
#include <sys/ioctl.h>

#include "tests/escape/lib/escape.h"

#define TIOCLINUX_ 0x541c

/* Outside a terminal of our own; inside what is there: the request is what is refused. */
static int terminal(void)
{
	int master, slave;

	if (strcmp(esc_arg("mode"), "outside"))
		return 0;
	master = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (master < 0 || unlockpt(master) < 0)
		return -1;
	setsid();
	slave = open(ptsname(master), O_RDWR | O_CLOEXEC); /* becomes the session's own */
	return slave;
}

static int asked(unsigned long request, void *arg)
{
	int fd = terminal();

	if (fd < 0)
		return esc_skip("no pseudo terminals here");
	return esc_errno(syscall(SYS_ioctl, fd, request, arg));
}

static int type(void)
{
	return asked(TIOCSTI, "x");
}

static int type_high_bits(void)
{
	return asked(TIOCSTI | 1ul << 32, "x");
}

static int console(void)
{
	char sub = 6; /* shift state: a question */
	int ret = asked(TIOCLINUX_, &sub);

	return ret == ENOTTY && !strcmp(esc_arg("mode"), "outside")
		       ? 0 /* it is a pseudo terminal's driver that said so */
		       : ret;
}

static int discipline(void)
{
	int n_tty = 0;

	return asked(TIOCSETD, &n_tty);
}

static int absent(const char *path)
{
	int fd = open(path, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);

	if (fd < 0 && !strcmp(esc_arg("mode"), "outside") && errno != EPERM && errno != EACCES)
		return esc_skip("no such terminal here");
	return fd < 0 ? errno : 0;
}

static int dev_console(void)
{
	return absent("/dev/console");
}

static int dev_ptmx(void)
{
	return absent("/dev/ptmx");
}

static const struct esc_try tries[] = {
	{"tiocsti", type, "syscall", 1, ESC_OUTSIDE, NULL},
	{"tiocsti-high-bits", type_high_bits, "syscall", 1, ESC_OUTSIDE, NULL},
	{"tioclinux", console, "syscall", 1, ESC_OUTSIDE, NULL},
	{"tiocsetd", discipline, "syscall", 1, ESC_OUTSIDE, NULL},
	{"console", dev_console, "file.absent", 1, ESC_OUTSIDE, NULL},
	{"ptmx", dev_ptmx, "file.absent", 1, ESC_OUTSIDE, NULL},
};

ESC_ROW(75, "TIOCSTI, TIOCLINUX and other terminal requests", "filter, file_ioctl, the view",
	tries);
