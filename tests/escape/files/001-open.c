/* Row 1: every call that opens a file by its name. */
#include <linux/openat2.h>

#include "tests/escape/lib/escape.h"

static int by_open(void)
{
	return esc_read_fd((int)syscall(SYS_open, esc_in("dir", "secret"), O_RDONLY | O_CLOEXEC));
}

static int by_openat(void)
{
	return esc_open_read(AT_FDCWD, esc_in("dir", "secret"), O_RDONLY);
}

static int by_openat2(void)
{
	struct open_how how = {.flags = O_RDONLY | O_CLOEXEC};

	return esc_read_fd(
		(int)syscall(SYS_openat2, AT_FDCWD, esc_in("dir", "secret"), &how, sizeof(how)));
}

static int by_creat(void)
{
	int fd =
		creat(esc_in("dir", "secret"), 0600); /* lint: allow(cloexec) the call under test */

	if (fd >= 0)
		close(fd);
	return fd < 0 ? errno : 0;
}

/* A file that is not there yet: nothing to find, and yet an attempt. */
static int made(void)
{
	int fd = open(esc_in("dir", "sub/made"), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);

	if (fd >= 0)
		close(fd);
	return esc_errno(fd);
}

static const struct esc_try tries[] = {
	{"open", by_open, "file.absent|file.read", 1, ESC_INSIDE, NULL},
	{"openat", by_openat, "file.absent|file.read", 1, ESC_INSIDE, NULL},
	{"openat2", by_openat2, "file.absent|file.read", 1, ESC_INSIDE, NULL},
	{"o-creat", made, "file.absent|file.create", 1, ESC_INSIDE, NULL},
	{"creat", by_creat, "file.absent|file.create|file.write", 1, ESC_INSIDE, NULL},
};

ESC_ROW(1, "open, openat, openat2, creat", "file_open, path_mknod, the view", tries);
