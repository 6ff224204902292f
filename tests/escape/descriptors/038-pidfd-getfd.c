/*
 * Row 38: pidfd_getfd copies a descriptor out of another process. Nothing is opened, nothing is sent.
 * The host's process is one target, the brane's own init, which holds a pipe to the agent, the other.
 */
#include "tests/escape/lib/give.h"

static int steal(int pidfd, int last)
{
	int ret = EBADF;

	if (pidfd < 0)
		return errno;
	for (int fd = 0; fd <= last && ret; fd++)
		ret = esc_errno(syscall(SYS_pidfd_getfd, pidfd, fd, 0));
	return ret;
}

static int of_victim(void)
{
	return steal((int)syscall(SYS_pidfd_open, esc_num("victim"), 0), 2);
}

static int of_init(void)
{
	bool outside = !strcmp(esc_arg("mode"), "outside");

	/* Inside it is one attempt: the number does not matter to a filter. */
	return steal((int)syscall(SYS_pidfd_open, 1, 0), outside ? 16 : 0);
}

static int by_passed_pidfd(void)
{
	return steal(give_get(GIVE_PIDFD), 2);
}

static const struct esc_try tries[] = {
	{"victim", of_victim, "", 0, ESC_OUTSIDE, "pid namespace: no such process, ESRCH"},
	{"init", of_init, "syscall", 1, ESC_OUTSIDE, NULL},
	{"passed-pidfd", by_passed_pidfd, "file.read|file.write", 1, ESC_OUTSIDE, NULL},
};

ESC_ROW(38, "pidfd_getfd", "pid namespace, filter, ptrace_access_check, file_receive", tries);
