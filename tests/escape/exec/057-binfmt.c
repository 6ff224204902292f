/*
 * Row 57: binfmt_misc makes the kernel run a program of the attacker's choice for a kind of file, also
 * with the rights of whoever runs such a file.
 */
#include <sys/mount.h>

#include "tests/escape/lib/files.h"

#define PLACE "/proc/sys/fs/binfmt_misc"

static int mounted(void)
{
	const char *path = esc_in("write", "057-binfmt");

	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return errno;
	if (!mount("binfmt_misc", path, "binfmt_misc", 0, NULL))
		return 0;
	return errno == ENODEV && esc_outside() ? esc_skip("no binfmt_misc in this kernel") : errno;
}

/* Opened for writing, which is all that a registration needs; nothing is written. */
static int own_mount(void)
{
	int ret = mounted();

	if (ret)
		return ret;
	return esc_errno(open(esc_in("write", "057-binfmt/register"), O_WRONLY | O_CLOEXEC));
}

/* The host's, by the name of the directory that every kernel has. */
static int hosts(void)
{
	int dir = open(PLACE, O_PATH | O_DIRECTORY | O_CLOEXEC), ret;

	if (dir < 0)
		return errno == ENOENT && esc_outside() ? esc_skip("no binfmt_misc in this kernel")
							: errno;
	if (esc_outside()) {
		ret = mounted();
		if (ret)
			return ret;
		dir = open(esc_in("write", "057-binfmt"), O_PATH | O_DIRECTORY | O_CLOEXEC);
	}
	return esc_errno(openat(dir, "register", O_WRONLY | O_CLOEXEC));
}

static const struct esc_try tries[] = {
	{"own-mount", own_mount, "syscall|mount", 1, ESC_OUTSIDE, NULL},
	{"hosts", hosts, "file.absent", 1, ESC_OUTSIDE, NULL},
};

ESC_ROW(57, "binfmt_misc register", "seccomp; the view", tries);
