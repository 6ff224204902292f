/*
 * Ending every process of a cgroup that is to be used again.
 *
 * Comes in: a cgroup directory. Goes out: an empty, thawed cgroup. Called by: the transaction (a restart,
 * an operator's kill), the shim. Never does: write cgroup.kill, except when nothing else empties the
 * cgroup: from kernel 6.14 on a process that is cloned into a cgroup which was ever killed so is
 * itself killed at birth (kill_seq is compared with that of its parent's cgroup), and the brane
 * could never be started again.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <loader/process/process.h>

#define FREEZE_WAIT_MS 1000
#define EMPTY_WAIT_MS  2000

static bool has_event(int cg, const char *line)
{
	char buf[256];
	OM_CLEANUP(om_close_fd) int fd = openat(cg, "cgroup.events", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, buf, sizeof(buf) - 1);
	if (n <= 0)
		return true; /* it is gone: nothing is left to wait for */
	buf[n] = '\0';
	return strstr(buf, line) != NULL;
}

static bool wait_event(int cg, const char *line, int ms)
{
	const struct timespec t = {.tv_nsec = 500000};
	for (int i = 0; i < ms * 2; i++) {
		if (has_event(cg, line))
			return true;
		nanosleep(&t, NULL);
	}
	return has_event(cg, line);
}

static int put(int cg, const char *file, const char *value)
{
	OM_CLEANUP(om_close_fd) int fd = openat(cg, file, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, value, strlen(value)) < 0)
		return -errno;
	return 0;
}

/* Frozen tasks neither fork nor exit by themselves, so a pid read here is the task it names. */
static void kill_listed(int cg)
{
	int fd = openat(cg, "cgroup.procs", O_RDONLY | O_CLOEXEC);
	FILE *f = fd < 0 ? NULL : fdopen(fd, "re");
	int pid;
	while (f && fscanf(f, "%d", &pid) == 1)
		if (pid > 1)
			(void)kill(pid, SIGKILL);
	if (f)
		(void)fclose(f);
	else
		om_close_fd(&fd);
}

int om_cgroup_end(int cg)
{
	if (has_event(cg, "populated 0"))
		return put(cg, "cgroup.freeze", "0");
	int ret = put(cg, "cgroup.freeze", "1");
	if (ret < 0)
		return ret;
	(void)wait_event(cg, "frozen 1", FREEZE_WAIT_MS);
	kill_listed(cg);
	/* Something in a deeper cgroup, or that would not freeze: better unusable than alive. */
	if (!wait_event(cg, "populated 0", EMPTY_WAIT_MS))
		ret = put(cg, "cgroup.kill", "1");
	int thaw = put(cg, "cgroup.freeze", "0");
	return ret < 0 ? ret : thaw;
}
