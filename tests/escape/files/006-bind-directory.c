/*
 * Row 6: a whole directory under a new prefix: every path below it changes, and rules on prefixes with
 * it.
 */
#include <sys/mount.h>

#include "tests/escape/lib/files.h"

static int below(const char *name, unsigned long flags)
{
	const char *path = esc_in("write", name);
	char secret[1024];

	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return errno;
	if (mount(esc_arg("dir"), path, NULL, flags, NULL) < 0)
		return errno;
	snprintf(secret, sizeof(secret), "%s/secret", path);
	return esc_open_read(AT_FDCWD, secret, O_RDONLY);
}

static int bind_directory(void)
{
	return below("006-bind", MS_BIND);
}

static int bind_recursive(void)
{
	return below("006-rbind", MS_BIND | MS_REC);
}

/* The whole tree, under a granted name. */
static int bind_root(void)
{
	const char *path = esc_in("write", "006-root");
	char secret[1024];

	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return errno;
	if (mount("/", path, NULL, MS_BIND | MS_REC, NULL) < 0)
		return errno;
	snprintf(secret, sizeof(secret), "%s%s", path, esc_secret());
	return esc_open_read(AT_FDCWD, secret, O_RDONLY);
}

static const struct esc_try tries[] = {
	{"bind", bind_directory, "syscall|mount", 1, ESC_OUTSIDE, NULL},
	{"rbind", bind_recursive, "syscall|mount", 1, ESC_OUTSIDE, NULL},
	{"bind-root", bind_root, "syscall|mount", 1, ESC_OUTSIDE, NULL},
};

ESC_ROW(6, "bind mount of a directory", "seccomp; sb_mount", tries);
