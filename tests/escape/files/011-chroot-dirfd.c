/*
 * Row 11: a directory that was opened before the root changed still leads outside of the new one. What a
 * brane holds open must not lead outside of its view.
 */
#include <sys/mount.h>

#include "tests/escape/lib/files.h"

static int dirfd_then_chroot(void)
{
	int fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 || chroot(esc_arg("write")) < 0)
		return errno;
	return esc_open_read(fd, esc_secret() + 1, O_RDONLY);
}

/* Above the root of the view there is nothing, however often one asks. */
static int dots_from_root(void)
{
	char path[1024] = "";
	int fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return errno;
	for (int i = 0; i < 40; i++)
		strcat(path, "../");
	strcat(path, esc_secret() + 1);
	return esc_open_read(fd, path, O_RDONLY);
}

static int fchdir_then_relative(void)
{
	int fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 || fchdir(fd) < 0)
		return errno;
	return esc_open_read(AT_FDCWD, esc_secret() + 1, O_RDONLY);
}

static const struct esc_try tries[] = {
	{"dirfd-then-chroot", dirfd_then_chroot, "syscall|mount", 1, ESC_OUTSIDE, NULL},
	{"dots-from-root", dots_from_root, "file.absent|file.read", 1, ESC_INSIDE, NULL},
	{"fchdir", fchdir_then_relative, "file.absent|file.read", 1, ESC_INSIDE, NULL},
};

ESC_ROW(11, "a directory held open from outside a new root", "seccomp; the view", tries);
