/*
 * Row 45: userfaultfd holds a thread of the kernel in the middle of a copy for as long as one likes: every
 * race becomes easy. It has a system call, a device, and a form for everybody (user mode only).
 */
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>

#include "tests/escape/lib/escape.h"

#define USER_MODE_ONLY 1
#define DEVICE_NEW     0xaa00 /* USERFAULTFD_IOC_NEW */

static int opened(long fd)
{
	struct uffdio_api api = {.api = UFFD_API};

	return fd < 0 ? errno : esc_errno(ioctl((int)fd, UFFDIO_API, &api));
}

static int full(void)
{
	return opened(syscall(SYS_userfaultfd, O_CLOEXEC));
}

static int user_mode(void)
{
	return opened(syscall(SYS_userfaultfd, O_CLOEXEC | USER_MODE_ONLY));
}

static int device(void)
{
	int fd = open("/dev/userfaultfd", O_RDWR | O_CLOEXEC);

	if (fd < 0 && errno == ENOENT && !strcmp(esc_arg("mode"), "outside"))
		return esc_skip("no /dev/userfaultfd here");
	return fd < 0 ? errno : opened(ioctl(fd, DEVICE_NEW, O_CLOEXEC));
}

static const struct esc_try tries[] = {
	{"full", full, "syscall", 1, ESC_OUTSIDE, NULL},
	{"user-mode", user_mode, "syscall", 1, ESC_OUTSIDE, NULL},
	{"device", device, "file.absent|device", 1, ESC_OUTSIDE, NULL},
};

ESC_ROW(45, "userfaultfd", "filter, the view, anonymous inode", tries);
