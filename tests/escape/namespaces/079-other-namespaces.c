/*
 * Row 79: who recognises a container by its mount or pid namespace loses it when it takes a new one: the
 * look-up finds nothing and everything is allowed. Each kind of namespace, by unshare and by clone.
 */
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <sys/wait.h>

#include "tests/escape/lib/escape.h"

/* Reached: the namespace is there and the secret can still be read in it. */
static int looked(void)
{
	return esc_open_read(AT_FDCWD, esc_in("dir", "secret"), O_RDONLY);
}

static int in_new(int flags)
{
	int ret = esc_errno(unshare(flags));

	return ret ? ret : looked();
}

static int mounts(void)
{
	return in_new(CLONE_NEWNS);
}

static int pids_(void)
{
	/* The child is the first of the new one. */
	if (unshare(CLONE_NEWPID) < 0)
		return errno;
	return esc_child(looked);
}

static int cgroups(void)
{
	return in_new(CLONE_NEWCGROUP);
}

static int names(void)
{
	return in_new(CLONE_NEWUTS);
}

static int ipc(void)
{
	return in_new(CLONE_NEWIPC);
}

static int network(void)
{
	return in_new(CLONE_NEWNET);
}

static int clocks(void)
{
	return in_new(CLONE_NEWTIME);
}

static int cloned(int flags)
{
	int status = 0;
	long pid = syscall(SYS_clone, flags | SIGCHLD, 0, 0, 0, 0);

	if (pid == 0)
		_exit(looked());
	if (pid < 0 || waitpid((pid_t)pid, &status, 0) < 0)
		return errno;
	return WEXITSTATUS(status);
}

static int clone_mounts(void)
{
	return cloned(CLONE_NEWNS);
}

static int clone_pids(void)
{
	return cloned(CLONE_NEWPID);
}

/* clone drops the high half of its flags, a filter must not be misled by it. */
static int clone_high_bits(void)
{
	int status = 0;
	long pid = syscall(SYS_clone, (1ul << 40) | CLONE_NEWNS | SIGCHLD, 0, 0, 0, 0);

	if (pid == 0)
		_exit(looked());
	if (pid < 0 || waitpid((pid_t)pid, &status, 0) < 0)
		return errno;
	return WEXITSTATUS(status);
}

static int by_clone3(void)
{
	struct clone_args a = {.flags = CLONE_NEWNS | CLONE_NEWPID, .exit_signal = SIGCHLD};
	int status = 0;
	long pid = syscall(SYS_clone3, &a, sizeof(a));

	if (pid == 0)
		_exit(looked());
	if (pid < 0 || waitpid((pid_t)pid, &status, 0) < 0)
		return errno;
	return WEXITSTATUS(status);
}

#define ABSENT_CALL "the filter answers ENOSYS, as for a kernel without clone3; not recorded"

static const struct esc_try tries[] = {
	{"mount", mounts, "syscall", 1, ESC_OUTSIDE, NULL},
	{"pid", pids_, "syscall", 1, ESC_OUTSIDE, NULL},
	{"cgroup", cgroups, "syscall", 1, ESC_OUTSIDE, NULL},
	{"uts", names, "syscall", 1, ESC_OUTSIDE, NULL},
	{"ipc", ipc, "syscall", 1, ESC_OUTSIDE, NULL},
	{"net", network, "syscall", 1, ESC_OUTSIDE, NULL},
	{"time", clocks, "syscall", 1, ESC_OUTSIDE, NULL},
	{"clone-mount", clone_mounts, "syscall", 1, ESC_OUTSIDE, NULL},
	{"clone-pid", clone_pids, "syscall", 1, ESC_OUTSIDE, NULL},
	{"clone-high-bits", clone_high_bits, "syscall", 1, ESC_OUTSIDE, NULL},
	{"clone3", by_clone3, "", 0, ESC_OUTSIDE, ABSENT_CALL},
};

ESC_ROW(79, "a new namespace changes the scope's key", "filter; label and cgroup are the key",
	tries);
