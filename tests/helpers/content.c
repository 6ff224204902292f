/*
 * Runs files in every way that there is, when the test outside says so.
 *
 * In:  argv[1], a file whose first line is "NUMBER VERB [PATH]"; a new number is a new order. Out: lines
 *      "NUMBER RESULT": 0, an errno, or "status N" of a program that ran. What the program says comes before.
 *      Called prog*, it is such a program: it says "ran" and ends. Called by: tests/vm/test_bpf_hash.py.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define LDSO "/usr/lib64/ld-linux-x86-64.so.2"

static int kept = -1;

/* Runs it; the pipe is closed by an execve that is committed. */
static int run(int fd, const char *path, char *const argv[], char *const envp[])
{
	int p[2], err = 0, st;

	if (pipe2(p, O_CLOEXEC))
		return errno;
	pid_t pid = fork();
	if (pid == 0) {
		dup2(1, 2);
		if (fd >= 0)
			syscall(SYS_execveat, fd, "", argv, envp, AT_EMPTY_PATH);
		else
			execve(path, argv, envp);
		err = errno;
		(void)!write(p[1], &err, sizeof(err));
		_exit(1);
	}
	close(p[1]);
	if (read(p[0], &err, sizeof(err)) != sizeof(err))
		err = 0;
	close(p[0]);
	if (waitpid(pid, &st, 0) == pid && !err)
		printf("status %d\n", WIFEXITED(st) ? WEXITSTATUS(st) : 128 + WTERMSIG(st));
	return err;
}

static int run_path(const char *path, const char *preload)
{
	char *argv[] = {(char *)path, NULL}, env[600], *envp[] = {NULL, NULL};
	char *cat[] = {"/usr/bin/cat", "/dev/null", NULL};

	if (!preload)
		return run(-1, path, argv, envp);
	snprintf(env, sizeof(env), "LD_PRELOAD=%s", preload);
	envp[0] = env;
	return run(-1, cat[0], cat, envp);
}

static int run_through(const char *program, const char *a, const char *b, const char *c)
{
	char *argv[] = {(char *)program, (char *)a, (char *)b, (char *)c, NULL}, *envp[] = {NULL};

	return run(-1, program, argv, envp);
}

static int map(const char *path, int prot, int flags)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), err = 0;
	void *p;

	if (fd < 0)
		return errno;
	p = mmap(NULL, 4096, prot, flags, fd, 0);
	if (p == MAP_FAILED)
		err = errno;
	else
		munmap(p, 4096);
	close(fd);
	return err;
}

/* A copy without a name. */
static int run_memfd(const char *path)
{
	int in = open(path, O_RDONLY | O_CLOEXEC), out = memfd_create("prog", MFD_CLOEXEC);
	char buf[65536], *argv[] = {"prog", NULL}, *envp[] = {NULL};
	ssize_t n;
	int ret;

	if (in < 0 || out < 0)
		return errno;
	while ((n = read(in, buf, sizeof(buf))) > 0)
		if (write(out, buf, (size_t)n) != n)
			return EIO;
	ret = run(out, NULL, argv, envp);
	close(in);
	close(out);
	return ret;
}

static int order(const char *verb, char *path)
{
	char *argv[] = {"prog", NULL}, *envp[] = {NULL}, script[600];

	if (!strcmp(verb, "exec"))
		return run_path(path, NULL);
	if (!strcmp(verb, "preload"))
		return run_path(NULL, path);
	if (!strcmp(verb, "ldso"))
		return run_through(LDSO, path, NULL, NULL);
	if (!strcmp(verb, "dlopen")) {
		snprintf(script, sizeof(script), "enable -f %s nothing", path);
		return run_through("/usr/bin/bash", "-c", script, NULL);
	}
	if (!strcmp(verb, "map"))
		return map(path, PROT_READ | PROT_EXEC, MAP_PRIVATE);
	if (!strcmp(verb, "share"))
		return map(path, PROT_READ | PROT_EXEC, MAP_SHARED);
	if (!strcmp(verb, "memfd"))
		return run_memfd(path);
	if (!strcmp(verb, "keep")) {
		kept = open(path, O_PATH | O_CLOEXEC);
		return kept < 0 ? errno : 0;
	}
	if (!strcmp(verb, "fexec"))
		return run(kept, NULL, argv, envp);
	return EINVAL;
}

int main(int argc, char **argv)
{
	const char *name = strrchr(argv[0], '/') ? strrchr(argv[0], '/') + 1 : argv[0];
	long last = 0;

	setvbuf(stdout, NULL, _IONBF, 0);
	if (!strncmp(name, "prog", 4)) {
		printf("ran\n");
		return 0;
	}
	for (;;) {
		struct timespec nap = {.tv_nsec = 20000000};
		char line[1024], verb[32], path[512] = "";
		long n = 0;
		FILE *f = argc > 1 ? fopen(argv[1], "re") : NULL;

		if (f && fgets(line, sizeof(line), f) && strchr(line, '\n') &&
		    sscanf(line, "%ld %31s %511s", &n, verb, path) >= 2 && n != last) {
			last = n;
			int ret = order(verb, path);
			printf("%ld %d\n", n, ret);
		}
		if (f)
			fclose(f);
		nanosleep(&nap, NULL);
	}
}
