/*
 * Row 80: into the host's namespaces by a descriptor: of a process, of /proc/PID/ns, or one that somebody
 * handed over.
 */
#include <sched.h>

#include "tests/escape/lib/give.h"

static int enter(int fd, int flags)
{
	int ret = fd < 0 ? errno : esc_errno(setns(fd, flags));

	return ret ? ret : esc_open_read(AT_FDCWD, esc_in("dir", "secret"), O_RDONLY);
}

static int victim(void)
{
	return enter((int)syscall(SYS_pidfd_open, esc_num("victim"), 0), CLONE_NEWNS);
}

/* The first process of the brane lives in the same view; a filter cannot know that. */
static int init_(void)
{
	return enter((int)syscall(SYS_pidfd_open, 1, 0), CLONE_NEWNS | CLONE_NEWUTS);
}

static int by_proc(void)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%s/ns/mnt", esc_arg("victim"));
	return enter(open(path, O_RDONLY | O_CLOEXEC), CLONE_NEWNS);
}

static int handed(void)
{
	return enter(give_get(GIVE_MNT_NS), CLONE_NEWNS);
}

static int handed_pidfd(void)
{
	return enter(give_get(GIVE_PIDFD), CLONE_NEWNS);
}

static const struct esc_try tries[] = {
	{"pidfd", victim, "", 0, ESC_OUTSIDE, "pid namespace: no such process, ESRCH"},
	{"pidfd-init", init_, "syscall", 1, ESC_OUTSIDE, NULL},
	{"proc", by_proc, "file.absent", 1, ESC_OUTSIDE, NULL},
	{"handed-ns", handed, "file.read", 1, ESC_OUTSIDE, NULL},
	{"handed-pidfd", handed_pidfd, "file.read|file.write", 1, ESC_OUTSIDE, NULL},
};

ESC_ROW(80, "setns into another namespace", "pid namespace, filter, file_receive, the view", tries);
