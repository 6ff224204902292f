/*
 * Row 10: with another root the same object has another path, and `..` above a root that the working
 * directory is not below leads out of it.
 */
#include "tests/escape/lib/files.h"

static int into(void)
{
	return chroot(esc_arg("dir")) < 0 ? errno : esc_open_read(AT_FDCWD, "/secret", O_RDONLY);
}

/* The classic way out: a root below the working directory. */
static int out(void)
{
	const char *jail = esc_in("write", "010-jail");
	char path[2048] = "";

	if (mkdir(jail, 0700) < 0 && errno != EEXIST)
		return errno;
	if (chdir(esc_arg("write")) < 0 || chroot(jail) < 0)
		return errno;
	for (int i = 0; i < 64; i++)
		strcat(path, "../");
	strcat(path, esc_secret() + 1);
	return esc_open_read(AT_FDCWD, path, O_RDONLY);
}

static const struct esc_try tries[] = {
	{"into", into, "syscall|mount", 1, ESC_OUTSIDE, NULL},
	{"out", out, "syscall|mount", 1, ESC_OUTSIDE, NULL},
};

ESC_ROW(10, "chroot, then open", "seccomp; path_chroot", tries);
