/*
 * Tries requests from inside a brane: the third voice of the three-way agreement.
 *
 * Comes in: requests in the text form of include/omega/request.h, as arguments or one a line on stdin;
 * "syscall NUMBER [ARG...]" as well. Goes out: one line each, "allow" or "deny ERRNO-NAME", in order; "unknown"
 * for what it cannot try. After --step: no output; it stops itself (SIGSTOP) before the first and
 * after each request, under the name "sN=ERRNO", so that the caller can set the scene for each and
 * needs nothing that a manifest must grant. Called by: live tests, as a brane's command. Static: needs
 * no file but itself. Never does: more than one attempt a request; undo what it made.
 */
#include <arpa/inet.h>
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* How long a packet may stay unanswered before it counts as dropped. */
#define DROP_MS 500

static int file_read(const char *path)
{
	char c;
	int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return errno;
	DIR *d = fdopendir(fd);
	int e = 0;
	if (d) {
		errno = 0;
		e = readdir(d) || !errno ? 0 : errno;
		closedir(d);
		return e;
	}
	if (read(fd, &c, 1) < 0 && errno != EAGAIN)
		e = errno;
	close(fd);
	return e;
}

static int file_write(const char *path)
{
	int fd = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
	if (fd >= 0) {
		close(fd);
		return 0;
	}
	if (errno != EISDIR)
		return errno;
	/* A directory is never opened for writing; it is written by changing it. */
	return utimensat(AT_FDCWD, path, NULL, 0) < 0 ? errno : 0;
}

static int file_create(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0777);
	if (fd < 0)
		return errno;
	close(fd);
	return 0;
}

static int file_remove(const char *path)
{
	if (unlink(path) == 0)
		return 0;
	if (errno != EISDIR)
		return errno;
	return rmdir(path) < 0 && errno != ENOTEMPTY ? errno : 0;
}

/* Executed, and killed at once: the close of the pipe says that execve was committed. */
static int file_exec(const char *path)
{
	int p[2], e = 0;
	if (pipe2(p, O_CLOEXEC) < 0)
		return errno;
	pid_t pid = fork();
	if (pid == 0) {
		char *argv[] = {(char *)(size_t)path, NULL}, *envp[] = {NULL};
		for (int i = 0; i < 3; i++)
			close(i); /* it has nothing to say here */
		execve(path, argv, envp);
		e = errno;
		_exit(write(p[1], &e, sizeof(e)) == (ssize_t)sizeof(e) ? 127 : 126);
	}
	close(p[1]);
	if (pid < 0)
		e = errno;
	else if (read(p[0], &e, sizeof(e)) != (ssize_t)sizeof(e))
		e = 0;
	close(p[0]);
	if (pid > 0) {
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
	}
	return e;
}

/* "ADDR:PORT[/proto]", "[V6]:PORT[/proto]", "PORT[/proto]" */
static bool endpoint(const char *s, struct sockaddr_storage *ss, socklen_t *len, int *type)
{
	char host[64] = "0.0.0.0", buf[128];
	snprintf(buf, sizeof(buf), "%s", s);
	*type = SOCK_STREAM;
	char *slash = strchr(buf, '/');
	if (slash) {
		*slash = '\0';
		*type = strcmp(slash + 1, "udp") == 0 ? SOCK_DGRAM : SOCK_STREAM;
	}
	char *colon = strrchr(buf, ':');
	const char *port = colon ? colon + 1 : buf;
	if (colon) {
		*colon = '\0';
		size_t n = strlen(buf);
		if (buf[0] == '[' && buf[n - 1] == ']')
			snprintf(host, sizeof(host), "%.*s", (int)n - 2, buf + 1);
		else
			snprintf(host, sizeof(host), "%.60s", buf);
	}
	struct sockaddr_in *a4 = (void *)ss;
	struct sockaddr_in6 *a6 = (void *)ss;
	memset(ss, 0, sizeof(*ss));
	if (inet_pton(AF_INET, host, &a4->sin_addr) == 1) {
		a4->sin_family = AF_INET;
		a4->sin_port = htons((unsigned short)atoi(port));
		*len = sizeof(*a4);
		return true;
	}
	a6->sin6_family = AF_INET6;
	a6->sin6_port = htons((unsigned short)atoi(port));
	*len = sizeof(*a6);
	return inet_pton(AF_INET6, host, &a6->sin6_addr) == 1;
}

static int net_connect(const char *s)
{
	struct sockaddr_storage ss;
	socklen_t len;
	int type, e = 0;
	if (!endpoint(s, &ss, &len, &type))
		return EINVAL;
	int fd = socket(ss.ss_family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return errno;
	if (connect(fd, (struct sockaddr *)&ss, len) < 0 && errno != EINPROGRESS)
		e = errno;
	if (e == 0 && type == SOCK_DGRAM) {
		if (send(fd, "x", 1, MSG_NOSIGNAL) < 0)
			e = errno;
	} else if (e == 0) {
		struct pollfd p = {fd, POLLOUT, 0};
		socklen_t n = sizeof(e);
		if (poll(&p, 1, DROP_MS) <= 0)
			e = ETIMEDOUT;
		else
			getsockopt(fd, SOL_SOCKET, SO_ERROR, &e, &n);
	}
	close(fd);
	/* Somebody answered, and be it with a refusal: the policy let the packet out. */
	return e == ECONNREFUSED || e == ECONNRESET ? 0 : e;
}

static int net_listen(const char *s)
{
	struct sockaddr_storage ss;
	socklen_t len;
	int type, e = 0, on = 1;
	if (!endpoint(s, &ss, &len, &type))
		return EINVAL;
	int fd = socket(ss.ss_family, type | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return errno;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(fd, (struct sockaddr *)&ss, len) < 0 || (type == SOCK_STREAM && listen(fd, 1) < 0))
		e = errno;
	close(fd);
	return e == EADDRINUSE ? 0 : e;
}

/* Whatever number: in a child, whose end says enough if the call does not return. */
static int call_apart(const char *text)
{
	long a[7] = {0, -1, -1, -1, -1, -1, -1};
	int p[2], e = 0;
	for (int i = 0; i < 7 && *text; i++)
		a[i] = (long)strtoul(text, (char **)&text, 10);
	if (pipe2(p, O_CLOEXEC) < 0)
		return errno;
	pid_t pid = fork();
	if (pid == 0) {
		long ret = syscall(a[0], a[1], a[2], a[3], a[4], a[5], a[6]);
		e = ret < 0 && (errno == EPERM || errno == ENOSYS) ? errno : 0;
		_exit(write(p[1], &e, sizeof(e)) == (ssize_t)sizeof(e) ? 0 : 126);
	}
	close(p[1]);
	if (pid < 0)
		e = errno;
	else if (read(p[0], &e, sizeof(e)) != (ssize_t)sizeof(e))
		e = EOWNERDEAD;
	close(p[0]);
	if (pid > 0)
		waitpid(pid, NULL, 0);
	return e;
}

/* Arguments that fail inside the call, so that only a refusal before it gives EPERM or ENOSYS. */
static int call(const char *name, bool *known)
{
	static const struct {
		const char *name;
		long nr;
		int allowed; /* the errno of the call itself, when it is let through */
	} calls[] = {
		{"mount", SYS_mount, EFAULT},
		{"umount2", SYS_umount2, EFAULT},
		{"ptrace", SYS_ptrace, EIO},
		{"bpf", SYS_bpf, EINVAL},
		{"perf_event_open", SYS_perf_event_open, EFAULT},
		{"keyctl", SYS_keyctl, EOPNOTSUPP},
		{"add_key", SYS_add_key, EFAULT},
		{"userfaultfd", SYS_userfaultfd, EINVAL},
		{"io_uring_setup", SYS_io_uring_setup, EFAULT},
		{"init_module", SYS_init_module, EFAULT},
		{"unshare", SYS_unshare, EINVAL},
		{"setns", SYS_setns, EBADF},
		{"personality", SYS_personality, 0},
		{"getpid", SYS_getpid, 0},
		{"chroot", SYS_chroot, EFAULT},
		{"reboot", SYS_reboot, EINVAL},
		{"swapon", SYS_swapon, EFAULT},
		{"process_vm_readv", SYS_process_vm_readv, EINVAL},
		{"memfd_create", SYS_memfd_create, EFAULT},
		{"quotactl", SYS_quotactl, EINVAL},
	};
	*known = true;
	if (isdigit((unsigned char)*name))
		return call_apart(name);
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		if (strcmp(calls[i].name, name) != 0)
			continue;
		long ret = syscall(calls[i].nr, -1L, -1L, -1L, -1L, -1L, -1L);
		return ret >= 0 || errno == calls[i].allowed ? 0 : errno;
	}
	*known = false;
	return 0;
}

static int mem_exec(void)
{
	void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED)
		return errno;
	int e = mprotect(p, 4096, PROT_READ | PROT_EXEC) < 0 ? errno : 0;
	munmap(p, 4096);
	return e;
}

static int stdio_is(const char *which)
{
	struct stat st, null = {.st_rdev = 0x103}; /* 1:3 */
	int fd = strcmp(which, "in") == 0 ? 0 : strcmp(which, "out") == 0 ? 1 : 2;
	if (fstat(fd, &st) < 0)
		return errno;
	return S_ISCHR(st.st_mode) && st.st_rdev == null.st_rdev ? ENODEV : 0;
}

static int try(const char *op, const char *arg, bool *known)
{
	*known = true;
	if (strcmp(op, "file.read") == 0)
		return file_read(arg);
	if (strcmp(op, "file.write") == 0)
		return file_write(arg);
	if (strcmp(op, "file.create") == 0)
		return file_create(arg);
	if (strcmp(op, "file.remove") == 0)
		return file_remove(arg);
	if (strcmp(op, "file.exec") == 0)
		return file_exec(arg);
	if (strcmp(op, "net.connect") == 0)
		return net_connect(arg);
	if (strcmp(op, "net.listen") == 0)
		return net_listen(arg);
	if (strcmp(op, "syscall") == 0)
		return call(arg, known);
	if (strcmp(op, "env") == 0)
		return getenv(arg) ? 0 : ENOENT;
	if (strcmp(op, "stdio") == 0)
		return stdio_is(arg);
	if (strcmp(op, "mem.exec") == 0)
		return mem_exec();
	*known = false;
	return 0;
}

static int split_and_try(const char *request, bool *known)
{
	char op[32] = "", arg[4096] = "";
	sscanf(request, "%31s %4095[^\n]", op, arg);
	return try(op, arg, known);
}

/* "sN=ERRNO", then stopped: /proc shows both to the caller. */
static void stop_as(int n, int e)
{
	char name[16];
	snprintf(name, sizeof(name), "s%d=%d", n, e);
	prctl(PR_SET_NAME, name, 0, 0, 0);
	raise(SIGSTOP);
}

static int step(char **requests)
{
	bool known;
	stop_as(0, 0);
	for (int i = 0; requests[i]; i++) {
		int e = split_and_try(requests[i], &known);
		stop_as(i + 1, known ? e : -1);
	}
	return 0;
}

static void answer(FILE *out, const char *request)
{
	bool known;
	int e = split_and_try(request, &known);
	const char *name = e ? strerrorname_np(e) : "";
	if (!known)
		fprintf(out, "unknown\n");
	else if (e)
		fprintf(out, "deny %s\n", name ? name : "?");
	else
		fprintf(out, "allow\n");
	fflush(out);
}

int main(int argc, char **argv)
{
	char line[4200];
	if (argc > 1 && strcmp(argv[1], "--step") == 0)
		return step(argv + 2);
	if (argc > 1) {
		for (int i = 1; i < argc; i++)
			answer(stdout, argv[i]);
		return 0;
	}
	while (fgets(line, sizeof(line), stdin))
		answer(stdout, line);
	return 0;
}
