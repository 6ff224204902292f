/*
 * Row 83: clone3 with CLONE_INTO_CGROUP: a child is born in another cgroup and was never seen to move. Its
 * flags lie in memory, so that no filter sees them.
 */
#include <linux/sched.h>
#include <signal.h>
#include <sys/wait.h>

#include "tests/escape/lib/give.h"

static int born(int dir)
{
	struct clone_args a = {.flags = CLONE_INTO_CGROUP, .exit_signal = SIGCHLD};
	int status = 0;
	long pid;

	if (dir < 0)
		return errno;
	a.cgroup = (uint64_t)dir;
	pid = syscall(SYS_clone3, &a, sizeof(a));
	if (pid == 0)
		_exit(esc_open_read(AT_FDCWD, esc_in("dir", "secret"), O_RDONLY));
	if (pid < 0 || waitpid((pid_t)pid, &status, 0) < 0)
		return errno;
	return WEXITSTATUS(status);
}

static int by_path(void)
{
	return born(open(esc_in("cgroup", "."), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
}

static int by_o_path(void)
{
	return born(open(esc_in("cgroup", "../cgroup"), O_PATH | O_DIRECTORY | O_CLOEXEC));
}

static int handed(void)
{
	return born(give_get(GIVE_CGROUP));
}

/* The call itself, with nothing in it that would be refused. */
static int plain(void)
{
	struct clone_args a = {.exit_signal = SIGCHLD};
	long pid = syscall(SYS_clone3, &a, sizeof(a));

	if (pid == 0)
		_exit(0);
	return pid < 0 ? errno : 0;
}

#define ABSENT_CALL "the filter answers ENOSYS, as for a kernel without clone3; not recorded"

static const struct esc_try tries[] = {
	{"path", by_path, "file.absent", 1, ESC_OUTSIDE, NULL},
	{"o-path", by_o_path, "file.absent", 1, ESC_OUTSIDE, NULL},
	{"handed-directory", handed, "file.read", 1, ESC_OUTSIDE, NULL},
	{"clone3", plain, "", 0, ESC_OUTSIDE, ABSENT_CALL},
};

ESC_ROW(83, "clone3(CLONE_INTO_CGROUP)", "the view, file_receive, filter, task_alloc", tries);
