/*
 * Run inside a brane by the live tests: says what it sees, or does one thing.
 *
 * Comes in: argv. Goes out: "KEY VALUE" lines on stdout. Called by: tests/live. Static: needs no file
 * but itself. Never does: decide whether what it sees is right.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/keyctl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static void fds(void)
{
	printf("fds");
	for (int fd = 0; fd < 1024; fd++)
		if (fcntl(fd, F_GETFD) >= 0)
			printf(" %d", fd);
	printf("\n");
}

static void caps(void)
{
	struct __user_cap_header_struct h = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct d[2];
	memset(d, 0xff, sizeof(d));
	syscall(SYS_capget, &h, d);
	printf("caps %x %x %x %x %x %x\n", d[0].effective, d[1].effective, d[0].permitted,
	       d[1].permitted, d[0].inheritable, d[1].inheritable);
	int bounding = 0, ambient = 0;
	for (int i = 0; i < 64; i++) {
		bounding += prctl(PR_CAPBSET_READ, i, 0, 0, 0) == 1;
		ambient += prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, i, 0, 0) == 1;
	}
	printf("bounding %d\nambient %d\n", bounding, ambient);
}

static void list(const char *key, const char *path)
{
	DIR *d = opendir(path);
	struct dirent *e;
	char names[64][256];
	int n = 0;
	printf("%s", key);
	if (!d)
		printf(" errno=%d", errno);
	while (d && (e = readdir(d)) && n < 64)
		if (e->d_name[0] != '.')
			snprintf(names[n++], 256, "%.255s", e->d_name);
	qsort(names, (size_t)n, 256, (int (*)(const void *, const void *))strcmp);
	for (int i = 0; i < n; i++)
		printf(" %s", names[i]);
	printf("\n");
	if (d)
		closedir(d);
}

static void facts(void)
{
	struct utsname u;
	char cwd[4096];
	sigset_t mask;
	struct sigaction sa;
	int ignored = 0, blocked = 0;

	uname(&u);
	printf("pid %d\nppid %d\nsid %d\nuid %d\ngid %d\n", getpid(), getppid(), getsid(0),
	       getuid(), getgid());
	printf("groups %d\nhost %s\n", getgroups(0, NULL), u.nodename);
	printf("cwd %s\n", getcwd(cwd, sizeof(cwd)) ? cwd : "?");
	fds();
	caps();
	printf("nnp %d\ndumpable %d\nsecurebits %d\nseccomp %d\n",
	       prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), prctl(PR_GET_DUMPABLE, 0, 0, 0, 0),
	       prctl(PR_GET_SECUREBITS, 0, 0, 0, 0), prctl(PR_GET_SECCOMP, 0, 0, 0, 0));
	sigprocmask(SIG_SETMASK, NULL, &mask);
	for (int i = 1; i < 65; i++) {
		blocked += sigismember(&mask, i) == 1;
		if (sigaction(i, NULL, &sa) == 0)
			ignored += sa.sa_handler == SIG_IGN;
	}
	printf("blocked %d\nignored %d\n", blocked, ignored);
	printf("keyring %ld\n",
	       syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_SESSION_KEYRING, 0));
	printf("session-user %ld\n", syscall(SYS_keyctl, KEYCTL_SEARCH, KEY_SPEC_SESSION_KEYRING,
					     "user", "omega-test", 0));
	char ch = 'x';
	printf("tiocsti %d\n", ioctl(0, TIOCSTI, &ch) < 0 ? errno : 0);
	printf("tty %d\n", open("/dev/tty", O_RDWR) < 0 ? errno : 0);
	int n = 0;
	for (char **e = environ; *e; e++)
		printf("env%d %s\n", n++, *e);
	printf("env %d\n", n);
	list("root", "/");
	list("proc", "/proc");
	list("sys", "/sys");
	struct rlimit r;
	getrlimit(RLIMIT_NOFILE, &r);
	printf("nofile %llu\n", (unsigned long long)r.rlim_cur);
	getrlimit(RLIMIT_CORE, &r);
	printf("core %llu\n", (unsigned long long)r.rlim_max);
	mode_t m = umask(0);
	printf("umask %o\n", m);
}

/* One call by number with arguments that do no harm: prints 0 or the errno. */
static void call(const char *nr)
{
	long ret = syscall(atol(nr), -1L, 0L, 0L, 0L, 0L);
	printf("call %d\n", ret < 0 ? errno : 0);
}

static void try_open(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	printf("read %d\n", fd < 0 ? errno : 0);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	printf("write %d\n", fd < 0 ? errno : 0);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	printf("create %d\n", fd < 0 ? errno : 0);
	list("list", path);
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "facts";
	const char *arg = argc > 2 ? argv[2] : "";

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (strcmp(what, "facts") == 0) {
		facts();
	} else if (strcmp(what, "exit") == 0) {
		return atoi(arg);
	} else if (strcmp(what, "signal") == 0) {
		raise(atoi(arg));
	} else if (strcmp(what, "sleep") == 0) {
		printf("started 1\n");
		for (;;)
			pause();
	} else if (strcmp(what, "orphan") == 0) {
		/* Children that outlive the workload: gone with pid 1. */
		for (int i = 0; i < 5; i++)
			if (fork() == 0) {
				setsid();
				for (;;)
					pause();
			}
	} else if (strcmp(what, "open") == 0) {
		try_open(arg);
	} else if (strcmp(what, "late") == 0) {
		/* Waits for the host to have done something. */
		while (access("/data/go", F_OK) < 0)
			usleep(2000);
		try_open(arg);
	} else if (strcmp(what, "call") == 0) {
		call(arg);
	} else if (strcmp(what, "calls") == 0) {
		for (int i = 0; i < 100; i++)
			syscall(atol(arg), -1L, 0L, 0L, 0L, 0L);
		printf("done 1\n");
	} else if (strcmp(what, "eat") == 0) {
		for (;;) {
			char *p = malloc(1 << 20);
			if (p)
				memset(p, 1, 1 << 20);
		}
	} else if (strcmp(what, "flood") == 0) {
		for (int i = 0; i < 300000; i++)
			printf("%019d\n", i);
	} else if (strcmp(what, "root") == 0) {
		kill(1, SIGKILL);
		kill(1, SIGTERM);
		printf("alive 1\n");
	} else {
		return 99;
	}
	return 0;
}
