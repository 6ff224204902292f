/*
 * Row 85: numbers come round. Who keys on the 32-bit number of a namespace, or on a pid, meets a new
 * object with the old one's rights, or without any. A task's label is with the task, and a brane's cgroup
 * has 64 bits that are not used again.
 */
#include <sched.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include "tests/escape/lib/escape.h"

#define NAMESPACES 64
#define SECONDS	   6 /* three modes, and a slow machine needs longer in any case */

static ino_t number(const char *what)
{
	struct stat st;

	return stat(what, &st) < 0 ? 0 : st.st_ino;
}

/* A namespace, its end, another: until one has a number that was had before. */
static int namespaces(void)
{
	ino_t had[NAMESPACES];

	for (int i = 0; i < NAMESPACES; i++) {
		if (unshare(CLONE_NEWUTS) < 0)
			return errno;
		had[i] = number("/proc/self/ns/uts");
		for (int k = 0; k < i; k++)
			if (had[k] == had[i])
				return 0;
	}
	return EAGAIN;
}

static int look(void)
{
	return esc_open_read(AT_FDCWD, esc_in("dir", "sub/../secret"), O_RDONLY);
}

/* Processes come and go until one has the number of another: what was that one's is not this one's. */
static int pids(void)
{
	time_t end = time(NULL) + SECONDS;
	pid_t first = 0, pid = 0;
	int status = 0;
	bool round = false;

	for (;;) {
		pid = fork();
		if (!pid)
			_exit(round ? look() : 0);
		if (pid < 0 || waitpid(pid, &status, 0) != pid)
			return errno;
		if (round)
			return WEXITSTATUS(status);
		if (first && pid < first)
			round = true;
		first = pid;
		if (time(NULL) > end)
			return esc_skip("pids did not come round in time");
	}
}

static const struct esc_try tries[] = {
	{"namespace", namespaces, "syscall", 1, ESC_OUTSIDE, NULL},
	{"pid", pids, "file.absent", 1, ESC_INSIDE, NULL},
};

ESC_ROW(85, "number of a namespace, a process or a cgroup used again",
	"labels in task storage, 64-bit ids", tries);
