/*
 * Row 81: writing one's number to another cgroup's cgroup.procs: who decides by the cgroup alone loses the
 * task. There is no hook for cgroups; the files must not be there.
 */
#include "tests/escape/lib/give.h"

/* 0 means oneself. */
static int join(int fd)
{
	int ret = fd < 0 ? errno : esc_errno(write(fd, "0", 1));

	return ret ? ret : esc_open_read(AT_FDCWD, esc_in("dir", "secret"), O_RDONLY);
}

static int top(void)
{
	return join(open(esc_in("cgroup", "cgroup.procs"), O_WRONLY | O_CLOEXEC));
}

static int parent(void)
{
	return join(open(esc_in("branes", "../cgroup.procs"), O_WRONLY | O_CLOEXEC));
}

static int all_branes(void)
{
	int fd = open(esc_arg("branes"), O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 ? errno : 0;
}

static int handed(void)
{
	int fd = give_get(GIVE_CGROUP);

	return fd < 0 ? errno : join(openat(fd, "cgroup.procs", O_WRONLY | O_CLOEXEC));
}

static const struct esc_try tries[] = {
	{"top", top, "file.absent", 1, ESC_OUTSIDE, NULL},
	{"parent", parent, "file.absent", 1, ESC_OUTSIDE, NULL},
	{"branes", all_branes, "file.absent", 1, ESC_OUTSIDE, NULL},
	{"handed-directory", handed, "file.read", 1, ESC_OUTSIDE, NULL},
};

ESC_ROW(81, "own pid into another cgroup.procs", "the view, file_receive; the label stays", tries);
