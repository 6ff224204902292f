/*
 * main() of every row's program, and what rows share.
 *
 * Comes in: --describe, or try=NAME and the scene. Goes out: a table that describes the program, or the
 * exit status of one try. Called by: tests/escape/matrix.py through the driver, or by hand. Never does:
 * run more than one try in a process.
 */
#include <arpa/inet.h>
#include <linux/in6.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "tests/escape/lib/escape.h"

#define TRY_SECONDS 20 /* a try that hangs is ended, which the matrix reports */

static char **args;

/*
 * The start-up code of a static program asks for /proc/self/exe, for $ORIGIN. In a brane that is a
 * denial: programs that run themselves again would make more of them than they declare.
 */
const char *_dl_get_origin(void);
const char *_dl_get_origin(void)
{
	return (const char *)-1;
}

const char *esc_arg(const char *key)
{
	size_t n = strlen(key);

	for (char **a = args; *a; a++)
		if (!strncmp(*a, key, n) && (*a)[n] == '=')
			return *a + n + 1;
	return "";
}

int esc_num(const char *key)
{
	return (int)strtol(esc_arg(key), NULL, 10);
}

const char *esc_in(const char *key, const char *name)
{
	static char buf[8][512];
	static unsigned int turn;
	char *p = buf[turn++ % 8];

	snprintf(p, sizeof(buf[0]), "%s/%s", esc_arg(key), name);
	return p;
}

int esc_errno(long ret)
{
	return ret < 0 ? errno : 0;
}

int esc_read_fd(int fd)
{
	char c;
	int ret = fd < 0 ? errno : esc_errno(read(fd, &c, 1));

	if (fd >= 0)
		close(fd);
	return ret;
}

int esc_open_read(int at, const char *path, int flags)
{
	return esc_read_fd(openat(at, path, flags | O_CLOEXEC | O_NONBLOCK));
}

void esc_tightened(void)
{
	/* Stopped for as long as an apply takes, which is not the try's own time. */
	alarm(0);
	if (*esc_arg("stop"))
		raise(SIGSTOP);
	alarm(TRY_SECONDS);
}

int esc_skip(const char *why)
{
	printf("%s\n", why);
	return ESC_SKIP;
}

int esc_child(int (*fn)(void))
{
	int status = 0;
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (!pid)
		_exit(fn());
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return errno;
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

int esc_exec(const char *program, char *const argv[])
{
	int status = 0;
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (!pid) {
		execv(program, argv);
		_exit(errno > 0 && errno < 126 ? errno : 126);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return errno;
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

int esc_connect(int family, int type, int proto, int port)
{
	struct sockaddr_in a4 = {.sin_family = AF_INET,
				 .sin_port = htons((uint16_t)port),
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct sockaddr_in6 a6 = {.sin6_family = AF_INET6,
				  .sin6_port = htons((uint16_t)port),
				  .sin6_addr = IN6ADDR_LOOPBACK_INIT};
	int fd = socket(family, type | SOCK_CLOEXEC, proto), ret;

	if (fd < 0)
		return errno;
	ret = family == AF_INET6 ? connect(fd, (void *)&a6, sizeof(a6))
				 : connect(fd, (void *)&a4, sizeof(a4));
	if (!ret && type == SOCK_DGRAM)
		ret = send(fd, "x", 1, MSG_NOSIGNAL) == 1 ? 0 : -1;
	ret = esc_errno(ret);
	close(fd);
	return ret;
}

/* Lines of fields separated by tabs: row NUMBER TITLE STOP, then try NAME KIND DENIALS WHERE WHY SWAP. */
static int describe(void)
{
	static const char *const where[] = {"outside", "inside", "never"};
	static const char *const swap[] = {"", "net", "file", "exec"};

	printf("row\t%d\t%s\t%s\n", esc_row.number, esc_row.title, esc_row.stop);
	for (size_t i = 0; i < esc_row.count; i++) {
		const struct esc_try *t = &esc_row.tries[i];

		printf("try\t%s\t%s\t%u\t%s\t%s\t%s\n", t->name, t->kind ? t->kind : "", t->denials,
		       where[t->granted], t->why ? t->why : "", swap[t->swap]);
	}
	return 0;
}

/* A row may mount and unmount: outside every brane that stays with it. */
static int apart(void)
{
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return -1;
	return 0;
}

static int run(size_t i)
{
	char comm[16];
	int ret;

	/* Records carry it: the matrix tells tries apart by it. */
	snprintf(comm, sizeof(comm), "esc%03u.%u", (unsigned int)esc_row.number % 1000,
		 (unsigned int)i % 1000);
	prctl(PR_SET_NAME, comm);
	/* What starting a program asks for is not the try: the matrix takes its count here. */
	if (*esc_arg("stop") && !esc_row.tries[i].swap)
		raise(SIGSTOP);
	alarm(TRY_SECONDS);
	if (!strcmp(esc_arg("mode"), "outside") && apart() < 0) {
		perror("mount namespace");
		return 253;
	}
	ret = esc_row.tries[i].fn();
	fflush(NULL);
	return ret < 0 || ret > 255 ? 253 : ret;
}

int main(int argc, char **argv)
{
	args = argv;
	if (argc == 2 && !strcmp(argv[1], "--describe"))
		return describe();
	/* Run by a row as somebody else's program: that worked. */
	if (argc > 1 && !strcmp(argv[1], "exit"))
		return 0;
	for (size_t i = 0; i < esc_row.count; i++)
		if (!strcmp(esc_row.tries[i].name, esc_arg("try")))
			return run(i);
	fprintf(stderr, "usage: %s --describe | try=NAME KEY=VALUE...\n", argv[0]);
	return 253;
}
