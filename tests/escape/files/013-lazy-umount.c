/*
 * Row 13: a mount is taken away lazily while a descriptor into it stays: the object's path then begins
 * nowhere. In a brane, taking a mount of the view away shows what lies below it.
 */
#include <sys/mount.h>

#include "tests/escape/lib/files.h"

static int reopen_detached(void)
{
	const char *path = esc_in("write", "013-mount");
	int dir = -1, fd;

	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return errno;
	if (esc_outside()) {
		if (mount(esc_arg("dir"), path, NULL, MS_BIND, NULL) < 0)
			return errno;
		dir = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	}
	if (umount2(path, MNT_DETACH) < 0)
		return errno;
	fd = openat(dir, "secret", O_PATH | O_CLOEXEC);
	return fd < 0 ? errno : esc_read_fd(esc_reopen(fd, O_RDONLY));
}

static int from_view(void)
{
	if (esc_outside() && mount(esc_arg("write"), esc_arg("write"), NULL, MS_BIND, NULL) < 0)
		return errno;
	return esc_errno(umount2(esc_arg("write"), MNT_DETACH));
}

static int root(void)
{
	return esc_errno(umount2("/", MNT_DETACH));
}

static const struct esc_try tries[] = {
	{"reopen", reopen_detached, "syscall|mount", 1, ESC_OUTSIDE, NULL},
	{"from-view", from_view, "syscall|mount", 1, ESC_OUTSIDE, NULL},
	{"root", root, "syscall|mount", 1, ESC_OUTSIDE, NULL},
};

ESC_ROW(13, "lazy umount, then a held descriptor", "seccomp; sb_umount", tries);
