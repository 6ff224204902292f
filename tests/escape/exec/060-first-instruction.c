/*
 * Row 60: a process that acts before it is enrolled: between its fork, its exec and the moment in which
 * its policy is attached. Here the very first thing that a program does is the attack, in a constructor,
 * and in many processes that start at once by every way of starting one.
 */
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "tests/escape/lib/files.h"

#define STARTS 8

/* Before main(), by nothing but system calls. */
__attribute__((constructor)) static void at_once(int argc, char **argv)
{
	int fd;

	if (argc != 3 || strcmp(argv[1], "first"))
		return;
	fd = open(argv[2], O_RDONLY | O_CLOEXEC);
	_exit(fd < 0 ? errno : 0);
}

static int constructor(void)
{
	char *argv[] = {(char *)"again", (char *)"first", (char *)esc_secret(), NULL};

	return esc_exec(esc_arg("self"), argv);
}

static int attack(void)
{
	return esc_connect(AF_INET, SOCK_STREAM, 0, esc_num("tcp"));
}

/* The children's answers: 0 as soon as one of them reached it. */
static int gather(int n)
{
	int ret = -1, status;

	while (n-- > 0 && wait(&status) > 0) {
		int one = WIFEXITED(status) ? WEXITSTATUS(status) : 128;

		ret = !one || !ret ? 0 : one;
	}
	return ret < 0 ? ECHILD : ret;
}

static int many_forks(void)
{
	for (int i = 0; i < STARTS; i++)
		if (!fork())
			_exit(attack());
	return gather(STARTS);
}

/* Its parent is gone before it acts, and so is its session. */
static int orphan(void)
{
	int p[2], ret = ECHILD;

	if (pipe2(p, O_CLOEXEC) < 0)
		return errno;
	if (!fork()) {
		setsid();
		if (!fork()) {
			setsid();
			ret = attack();
			_exit(write(p[1], &ret, sizeof(ret)) != sizeof(ret));
		}
		_exit(0);
	}
	close(p[1]);
	while (wait(NULL) > 0)
		;
	return read(p[0], &ret, sizeof(ret)) == sizeof(ret) ? ret : errno;
}

static void *in_thread(void *result)
{
	*(int *)result = attack();
	return NULL;
}

static int thread(void)
{
	pthread_t t;
	int ret = ECHILD;

	if (pthread_create(&t, NULL, in_thread, &ret))
		return errno;
	pthread_join(t, NULL);
	return ret;
}

static int by_vfork(void)
{
	int status;
	pid_t pid = vfork();

	if (!pid)
		_exit(attack());
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return errno;
	return WEXITSTATUS(status);
}

static int executed(void)
{
	char dir[600], tcp[32];
	char *argv[] = {
		(char *)"again", (char *)"try=attack", dir, tcp, (char *)"mode=inside", NULL};

	snprintf(dir, sizeof(dir), "dir=%s", esc_arg("dir"));
	snprintf(tcp, sizeof(tcp), "tcp=%s", esc_arg("tcp"));
	execv(esc_arg("self"), argv);
	return errno;
}

static int many_execs(void)
{
	for (int i = 0; i < STARTS; i++)
		if (!fork())
			_exit(executed());
	return gather(STARTS);
}

/* Shares everything but its thread group. */
static int sharing(void *unused)
{
	return attack();
}

static int by_clone(void)
{
	static char stack[65536] __attribute__((aligned(16)));
	int status;
	pid_t pid = clone(sharing, stack + sizeof(stack),
			  CLONE_VM | CLONE_FS | CLONE_FILES | SIGCHLD, NULL);

	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return errno;
	return WEXITSTATUS(status);
}

static const struct esc_try tries[] = {
	{"constructor", constructor, "file.absent|file.read", 1, ESC_INSIDE, NULL},
	{"attack", attack, "net.connect", 1, ESC_INSIDE, NULL},
	{"many-forks", many_forks, "net.connect", STARTS, ESC_INSIDE, NULL},
	{"many-execs", many_execs, "net.connect", STARTS, ESC_INSIDE, NULL},
	{"orphan", orphan, "net.connect", 1, ESC_INSIDE, NULL},
	{"thread", thread, "net.connect", 1, ESC_INSIDE, NULL},
	{"vfork", by_vfork, "net.connect", 1, ESC_INSIDE, NULL},
	{"clone", by_clone, "net.connect", 1, ESC_INSIDE, NULL},
};

ESC_ROW(60, "acting before the policy is there", "task_alloc label; policy published first", tries);
