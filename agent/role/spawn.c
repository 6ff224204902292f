/*
 * Starting a role; the contract is in spawn.h.
 *
 * Comes in: what to run with which descriptors. Goes out: the process. Called by: omegad. Never does:
 * more than dup, close and exec in the child.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include "agent/role/spawn.h"

static OM_NORETURN void child(const char *path, char *const *argv, int *fds, unsigned int nfds)
{
	static char *const no_env[] = {NULL};
	/* Above every target number, so that no dup2 overwrites a source that is still needed. */
	int floor = OM_ROLE_FD + (int)nfds, null;
	sigset_t none;

	/* Again in the role itself, after its uid changed; here for the time until then. */
	prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	setsid();
	signal(SIGPIPE, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null < 0 || dup2(null, STDIN_FILENO) < 0)
		_exit(126);
	for (unsigned int i = 0; i < nfds; i++) {
		fds[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, floor);
		if (fds[i] < 0)
			_exit(126);
	}
	for (unsigned int i = 0; i < nfds; i++)
		if (dup2(fds[i], OM_ROLE_FD + (int)i) < 0)
			_exit(126);
	if (syscall(SYS_close_range, floor, ~0u, 0) < 0)
		_exit(126);
	execve(path, argv, no_env);
	_exit(126);
}

int om_role_spawn(const char *path, char *const *argv, const int *fds, unsigned int nfds,
		  pid_t *pid, struct om_err *err)
{
	int own[OM_SPAWN_FDS_MAX];
	pid_t p;

	if (nfds > OM_SPAWN_FDS_MAX)
		return om_err_set(err, OM_ERR_INTERNAL, -E2BIG, "too many descriptors");
	for (unsigned int i = 0; i < nfds; i++)
		own[i] = fds[i];
	p = fork();
	if (p < 0)
		return om_err_sys(err, OM_ERR_ROLE_DIED, -errno, "cannot start %s", path);
	if (!p)
		child(path, argv, own, nfds);
	*pid = p;
	return 0;
}
