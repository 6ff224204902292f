/*
 * Row 8: a file system that is made and used without ever being mounted anywhere: its paths have no
 * prefix, and whoever watches mount(2) sees nothing.
 */
#include <sys/mount.h>

#include "tests/escape/lib/files.h"

#define NR_FSOPEN   430
#define NR_FSCONFIG 431
#define NR_FSMOUNT  432
#define NR_FSPICK   433
#define CMD_CREATE  6

static int made(const char *type)
{
	int fs = (int)syscall(NR_FSOPEN, type, 0);

	if (fs < 0)
		return -errno;
	if (syscall(NR_FSCONFIG, fs, CMD_CREATE, NULL, NULL, 0) < 0)
		return -errno;
	fs = (int)syscall(NR_FSMOUNT, fs, 0, 0);
	return fs < 0 ? -errno : fs;
}

static int proc(void)
{
	int fd = made("proc");

	return fd < 0 ? -fd : esc_open_read(fd, "sys/kernel/core_pattern", O_RDONLY);
}

static int sysfs(void)
{
	int fd = made("sysfs");

	return fd < 0 ? -fd : esc_open_read(fd, "kernel/profiling", O_RDONLY);
}

/* Its files belong to no granted object: a place to keep programs in. */
static int tmpfs(void)
{
	int fd = made("tmpfs");

	if (fd < 0)
		return -fd;
	fd = openat(fd, "x", O_CREAT | O_RDWR | O_CLOEXEC, 0700);
	return esc_errno(fd);
}

/* The old way to the same. */
static int mount_proc(void)
{
	const char *path = esc_in("write", "008-proc");
	char name[1024];

	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return errno;
	if (mount("proc", path, "proc", 0, NULL) < 0)
		return errno;
	snprintf(name, sizeof(name), "%s/sys/kernel/core_pattern", path);
	return esc_open_read(AT_FDCWD, name, O_RDONLY);
}

/* A file system that is mounted already, to be configured anew. */
static int picked(void)
{
	int fd = (int)syscall(NR_FSPICK, AT_FDCWD, "/", 0);

	if (fd >= 0)
		close(fd);
	return esc_errno(fd);
}

static const struct esc_try tries[] = {
	{"proc", proc, "syscall", 1, ESC_OUTSIDE, NULL},
	{"sysfs", sysfs, "syscall", 1, ESC_OUTSIDE, NULL},
	{"tmpfs", tmpfs, "syscall", 1, ESC_OUTSIDE, NULL},
	{"mount-proc", mount_proc, "syscall|mount", 1, ESC_OUTSIDE, NULL},
	{"fspick", picked, "syscall", 1, ESC_OUTSIDE, NULL},
};

ESC_ROW(8, "fsopen and fsmount, never attached", "seccomp", tries);
