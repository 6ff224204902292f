/*
 * Row 9: taking read-only, nosuid or noexec off a mount, or moving it. mount_setattr passes no hook but
 * a capability check.
 */
#include <sys/mount.h>

#include "tests/escape/lib/files.h"

#define NR_MOVE_MOUNT	 429
#define NR_MOUNT_SETATTR 442
#define ATTR_RDONLY	 1
#define ATTR_NOSUID	 2
#define ATTR_NOEXEC	 8

static int clear(const char *path, uint64_t what)
{
	uint64_t attr[4] = {0, what, 0, 0};

	return esc_errno(syscall(NR_MOUNT_SETATTR, AT_FDCWD, path, 0, attr, sizeof(attr)));
}

/* A mount of the row's own where it may make one; in a brane the writable grant is a mount already. */
static const char *place(void)
{
	const char *path = esc_arg("write");

	if (esc_outside() && mount(path, path, NULL, MS_BIND, NULL) < 0)
		return NULL;
	return path;
}

static int clear_noexec(void)
{
	const char *path = place();

	return path ? clear(path, ATTR_NOEXEC) : errno;
}

static int clear_readonly(void)
{
	return clear("/", ATTR_RDONLY | ATTR_NOSUID);
}

static int remount(void)
{
	const char *path = place();

	if (!path)
		return errno;
	return esc_errno(mount(NULL, path, NULL, MS_REMOUNT | MS_BIND, NULL));
}

static int propagate(void)
{
	return esc_errno(mount(NULL, "/", NULL, MS_SHARED | MS_REC, NULL));
}

static int moved(void)
{
	const char *from = place(), *to = esc_in("write", "../009-moved");

	if (!from)
		return errno;
	if (esc_outside() && mkdir(to, 0700) < 0 && errno != EEXIST)
		return errno;
	return esc_errno(syscall(NR_MOVE_MOUNT, AT_FDCWD, from, AT_FDCWD, to, 0));
}

static int moved_old(void)
{
	const char *from = place(), *to = esc_in("write", "../009-moved");

	if (!from)
		return errno;
	if (esc_outside() && mkdir(to, 0700) < 0 && errno != EEXIST)
		return errno;
	return esc_errno(mount(from, to, NULL, MS_MOVE, NULL));
}

static const struct esc_try tries[] = {
	{"clear-noexec", clear_noexec, "syscall", 1, ESC_OUTSIDE, NULL},
	{"clear-readonly", clear_readonly, "syscall", 1, ESC_OUTSIDE, NULL},
	{"remount", remount, "syscall|mount", 1, ESC_OUTSIDE, NULL},
	{"propagate", propagate, "syscall|mount", 1, ESC_OUTSIDE, NULL},
	{"move-mount", moved, "syscall|mount", 1, ESC_OUTSIDE, NULL},
	{"ms-move", moved_old, "syscall|mount", 1, ESC_OUTSIDE, NULL},
};

ESC_ROW(9, "mount_setattr, remount, move_mount", "seccomp; move_mount, sb_remount", tries);
