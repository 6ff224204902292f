/*
 * Row 78: in a user namespace of its own a process has every capability: mounts, packet filters, raw
 * sockets of a network namespace. Most kernel exploits of the last ten years begin here.
 */
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <sys/wait.h>

#include "tests/escape/lib/escape.h"

static int by_unshare(void)
{
	return esc_errno(unshare(CLONE_NEWUSER));
}

static int with_mounts(void)
{
	return esc_errno(unshare(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWPID));
}

static int by_clone(void)
{
	long pid = syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0);

	if (pid == 0)
		_exit(0);
	return pid < 0 ? errno : 0;
}

/* The flags lie in memory, where no filter looks: the whole call is missing. */
static int by_clone3(void)
{
	struct clone_args a = {.flags = CLONE_NEWUSER, .exit_signal = SIGCHLD};
	long pid = syscall(SYS_clone3, &a, sizeof(a));

	if (pid == 0)
		_exit(0);
	return pid < 0 ? errno : 0;
}

/* The init of the brane is root of nothing more, but outside, a host's process is. */
static int by_setns(void)
{
	bool outside = !strcmp(esc_arg("mode"), "outside");
	int fd = (int)syscall(SYS_pidfd_open, outside ? esc_num("victim") : 1, 0);
	int ret = fd < 0 ? errno : esc_errno(setns(fd, CLONE_NEWUSER));

	/* One's own is refused with EINVAL: the namespace was found and looked at. */
	return ret == EINVAL && outside ? 0 : ret;
}

#define ABSENT_CALL "the filter answers ENOSYS, as for a kernel without clone3; not recorded"

static const struct esc_try tries[] = {
	{"unshare", by_unshare, "syscall|namespace", 1, ESC_OUTSIDE, NULL},
	{"unshare-all", with_mounts, "syscall|namespace", 1, ESC_OUTSIDE, NULL},
	{"clone", by_clone, "syscall|namespace", 1, ESC_OUTSIDE, NULL},
	{"clone3", by_clone3, "", 0, ESC_OUTSIDE, ABSENT_CALL},
	{"setns", by_setns, "syscall|namespace", 1, ESC_OUTSIDE, NULL},
};

ESC_ROW(78, "user namespaces", "filter, userns_create", tries);
