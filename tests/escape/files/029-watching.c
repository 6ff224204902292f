/*
 * Row 29: who is told of every access to a file knows when and how it is used, without ever opening it.
 */
#include <sys/fanotify.h>
#include <sys/inotify.h>

#include "tests/escape/lib/files.h"

static int watch(const char *path, uint32_t what)
{
	int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);

	return fd < 0 ? errno : esc_errno(inotify_add_watch(fd, path, what));
}

static int file(void)
{
	return watch(esc_secret(), IN_ALL_EVENTS);
}

static int directory(void)
{
	return watch(esc_arg("dir"), IN_ALL_EVENTS | IN_ONLYDIR);
}

/* What every brane has, and whose names it may not list. */
static int root(void)
{
	return watch("/", IN_ALL_EVENTS);
}

static int by_dnotify(void)
{
	int fd = open(esc_arg("dir"), O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 ? errno : esc_errno(fcntl(fd, F_NOTIFY, DN_ACCESS));
}

static int by_fanotify(void)
{
	int fd = (int)syscall(SYS_fanotify_init, FAN_CLASS_NOTIF | FAN_CLOEXEC, O_RDONLY);

	if (fd < 0)
		return errno;
	return esc_errno(syscall(SYS_fanotify_mark, fd, FAN_MARK_ADD, (uint64_t)FAN_OPEN, AT_FDCWD,
				 esc_secret()));
}

/* What an unprivileged user may have of it. */
static int by_fanotify_fid(void)
{
	int fd = (int)syscall(SYS_fanotify_init, FAN_CLASS_NOTIF | FAN_REPORT_FID | FAN_CLOEXEC,
			      O_RDONLY);

	if (fd >= 0)
		close(fd);
	return esc_errno(fd);
}

static const struct esc_try tries[] = {
	{"inotify-file", file, "file.absent|file.read", 1, ESC_INSIDE, NULL},
	{"inotify-directory", directory, "file.absent|file.read", 1, ESC_INSIDE, NULL},
	{"inotify-root", root, "file.read", 1, ESC_OUTSIDE, NULL},
	{"dnotify", by_dnotify, "file.absent|file.read", 1, ESC_INSIDE, NULL},
	{"fanotify", by_fanotify, "syscall", 1, ESC_OUTSIDE, NULL},
	{"fanotify-fid", by_fanotify_fid, "syscall", 1, ESC_OUTSIDE, NULL},
};

ESC_ROW(29, "inotify, dnotify, fanotify", "the view; path_notify; seccomp", tries);
