/*
 * PID 1 of the test VM (tests/vm/run).
 *
 * In:   the host's root directory as the virtiofs tag "root"; the kernel parameters omega.run=DIR (a
 *       directory of the host: `binds` lists directories to show, `job` is the script to run),
 *       omega.kernel=DIR (modules and busybox) and omega.root=virtiofs|overlay.
 * Out:  the job's stdout and stderr on the virtio ports org.omega.out and org.omega.err, and last of
 *       all its exit status, in decimal, on org.omega.status.
 * It runs from a small initramfs, builds a root in which nothing but the listed directories is
 * writable on the host, and ends with power off. Any failure here is a kernel panic by exiting, so
 * that it can never look like a job that succeeded.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define KERNEL_DIR "/run/vm/kernel"
#define JOB_DIR	   "/run/vm/job"

static char g_run[PATH_MAX], g_kernel[PATH_MAX], g_root[16];

static void die(const char *what, const char *arg)
{
	fprintf(stderr, "vm init: %s %s: %s\n", what, arg, strerror(errno));
	exit(1);
}

static void make_dirs(const char *path)
{
	char buf[PATH_MAX];

	snprintf(buf, sizeof(buf), "%s", path);
	for (char *p = buf + 1;; p++) {
		char c = *p;

		if (c && c != '/')
			continue;
		*p = '\0';
		/* On a read-only root only what exists already can be a mount point. */
		if (mkdir(buf, 0755) && errno != EEXIST && errno != EROFS)
			die("mkdir", buf);
		if (!c)
			return;
		*p = c;
	}
}

static void put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		die("write", path);
	close(fd);
}

static void mnt(const char *src, const char *dst, const char *type, unsigned long flags,
		const char *opt)
{
	make_dirs(dst);
	if (mount(src, dst, type, flags, opt))
		die("mount", dst);
}

static void mnt_try(const char *src, const char *dst, const char *type)
{
	struct stat st;

	if (!stat(dst, &st) && mount(src, dst, type, 0, NULL) && errno != EBUSY)
		fprintf(stderr, "vm init: no %s: %s\n", dst, strerror(errno));
}

/* Later parameters win; unknown ones are the kernel's. */
static void read_parameters(void)
{
	static char line[8192];
	int fd = open("/proc/cmdline", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, line, sizeof(line) - 1);

	if (n < 0)
		die("read", "/proc/cmdline");
	close(fd);
	line[n] = '\0';
	for (char *tok = strtok(line, " \n"); tok; tok = strtok(NULL, " \n")) {
		if (!strncmp(tok, "omega.run=", 10))
			snprintf(g_run, sizeof(g_run), "%s", tok + 10);
		else if (!strncmp(tok, "omega.kernel=", 13))
			snprintf(g_kernel, sizeof(g_kernel), "%s", tok + 13);
		else if (!strncmp(tok, "omega.root=", 11))
			snprintf(g_root, sizeof(g_root), "%s", tok + 11);
	}
	if (!g_run[0] || !g_kernel[0] || !g_root[0])
		die("parameters", "are missing");
}

/* The initramfs holds the modules as numbers in load order: /mod/00.ko, /mod/01.ko ... */
static void load_modules(void)
{
	char path[32];

	for (int i = 0; i < 100; i++) {
		int fd;

		snprintf(path, sizeof(path), "/mod/%02d.ko", i);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			return;
		if (syscall(SYS_finit_module, fd, "", 0) && errno != EEXIST)
			die("module", path);
		close(fd);
	}
}

static void bind_dir(const char *from, const char *to, unsigned long flags)
{
	mnt(from, to, NULL, MS_BIND | MS_REC, NULL);
	if (flags && mount(NULL, to, NULL, MS_BIND | MS_REMOUNT | flags, NULL))
		die("remount", to);
}

/* An overlay whose writes live in the guest's memory. NAME is a word for its scratch directory. */
static void overlay(const char *lower, const char *dst, const char *name)
{
	char up[64], work[64], opt[PATH_MAX + 256];

	snprintf(up, sizeof(up), "/scratch/%s/up", name);
	snprintf(work, sizeof(work), "/scratch/%s/work", name);
	make_dirs(up);
	make_dirs(work);
	snprintf(opt, sizeof(opt), "lowerdir=%s,upperdir=%s,workdir=%s", lower, up, work);
	mnt("overlay", dst, "overlay", 0, opt);
}

/* Lines of `binds`: "rw DIR" or "ro DIR", DIR absolute, on the host and in the guest alike. */
static void bind_listed(void)
{
	char path[PATH_MAX + 64], from[PATH_MAX + 64], to[PATH_MAX + 64], line[PATH_MAX];
	FILE *f;

	snprintf(path, sizeof(path), "/host%s/binds", g_run);
	f = fopen(path, "re");
	if (!f)
		die("open", path);
	while (fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\n")] = '\0';
		snprintf(from, sizeof(from), "/host%s", line + 3);
		snprintf(to, sizeof(to), "/r%s", line + 3);
		bind_dir(from, to, strncmp(line, "rw ", 3) ? MS_RDONLY : 0);
	}
	fclose(f);
}

static void build_root(void)
{
	static const char *const memory[] = {"/r/tmp", "/r/run", "/r/dev/shm", NULL};
	char path[PATH_MAX + 64];

	mnt("scratch", "/scratch", "tmpfs", 0, "mode=0755");
	mnt("root", "/host", "virtiofs", 0, NULL);
	if (!strcmp(g_root, "overlay")) {
		overlay("/host", "/r", "root");
	} else {
		bind_dir("/host", "/r", MS_RDONLY);
		/* Daemons keep state below /var; nobody grants objects there in a test. */
		overlay("/host/var", "/r/var", "var");
	}
	mnt("proc", "/r/proc", "proc", 0, NULL);
	mnt("sys", "/r/sys", "sysfs", 0, NULL);
	mnt("dev", "/r/dev", "devtmpfs", 0, NULL);
	mnt("devpts", "/r/dev/pts", "devpts", 0, "mode=620,ptmxmode=666");
	for (int i = 0; memory[i]; i++)
		mnt("tmpfs", memory[i], "tmpfs", 0, i == 1 ? "mode=0755" : "mode=1777");
	(void)symlink("/proc/self/fd", "/r/dev/fd");
	(void)symlink("/proc/self/fd/0", "/r/dev/stdin");
	(void)symlink("/proc/self/fd/1", "/r/dev/stdout");
	(void)symlink("/proc/self/fd/2", "/r/dev/stderr");
	mnt_try("securityfs", "/r/sys/kernel/security", "securityfs");
	mnt_try("tracefs", "/r/sys/kernel/tracing", "tracefs");
	mnt_try("debugfs", "/r/sys/kernel/debug", "debugfs");
	mnt("cgroup", "/r/sys/fs/cgroup", "cgroup2", 0, NULL);
	mnt("bpf", "/r/sys/fs/bpf", "bpf", 0, "mode=0700");

	snprintf(path, sizeof(path), "/host%s", g_kernel);
	bind_dir(path, "/r" KERNEL_DIR, MS_RDONLY);
	mnt("proc", "/r" KERNEL_DIR "/proc", "proc", 0, NULL);
	snprintf(path, sizeof(path), "/host%s", g_run);
	bind_dir(path, "/r" JOB_DIR, MS_RDONLY);
	if (!access("/r/usr/lib/modules", F_OK))
		bind_dir("/r" KERNEL_DIR "/lib/modules", "/r/usr/lib/modules", MS_RDONLY);
	bind_listed();
	umount2("/host", MNT_DETACH);
}

/* A real mount as the root, so that the jobs' pivot_root works; the initramfs root would refuse it. */
static void enter_root(void)
{
	if (chdir("/r") || mount(".", "/", NULL, MS_MOVE, NULL) || chroot(".") || chdir("/"))
		die("enter", "/r");
}

static void enable_controllers(void)
{
	char names[512], one[80];
	int fd = open("/sys/fs/cgroup/cgroup.controllers", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, names, sizeof(names) - 1);

	if (n < 0)
		die("read", "cgroup.controllers");
	close(fd);
	names[n] = '\0';
	for (char *tok = strtok(names, " \n"); tok; tok = strtok(NULL, " \n")) {
		snprintf(one, sizeof(one), "+%s", tok);
		put("/sys/fs/cgroup/cgroup.subtree_control", one);
	}
}

static void loopback_up(void)
{
	struct ifreq ifr = {.ifr_name = "lo"};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || ioctl(fd, SIOCGIFFLAGS, &ifr))
		die("loopback", "flags");
	ifr.ifr_flags |= IFF_UP;
	if (ioctl(fd, SIOCSIFFLAGS, &ifr))
		die("loopback", "up");
	close(fd);
}

/* Without udev a port is known by its number only; sysfs has its name. */
static int open_port(const char *name)
{
	static const char dir[] = "/sys/class/virtio-ports";
	char path[512], got[64];
	struct dirent *de;
	DIR *d = opendir(dir);

	while (d && (de = readdir(d))) {
		ssize_t n;
		int fd;

		snprintf(path, sizeof(path), "%s/%s/name", dir, de->d_name);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			continue;
		n = read(fd, got, sizeof(got) - 1);
		close(fd);
		got[n > 0 ? n : 0] = '\0';
		got[strcspn(got, "\n")] = '\0';
		if (strcmp(got, name))
			continue;
		snprintf(path, sizeof(path), "/dev/%s", de->d_name);
		closedir(d);
		fd = open(path, O_WRONLY | O_CLOEXEC);
		if (fd < 0)
			die("open", path);
		return fd;
	}
	die("no port", name);
	return -1;
}

static void write_all(int fd, const char *buf, size_t len)
{
	while (len) {
		ssize_t n = write(fd, buf, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			die("write to", "port");
		buf += n;
		len -= (size_t)n;
	}
}

static pid_t start_job(const int out[2], const int err[2])
{
	pid_t pid = fork();

	if (pid < 0)
		die("fork", "");
	if (pid > 0)
		return pid;
	setsid();
	int null = open("/dev/null", O_RDONLY);

	dup2(null, 0);
	dup2(out[1], 1);
	dup2(err[1], 2);
	execl("/bin/bash", "bash", JOB_DIR "/job", NULL);
	_exit(127);
}

/*
 * With all processors emulated in one thread, the guest's memory barriers are none of the host's. Once in
 * millions of requests the guest or virtiofsd misses what the other has just put into their ring, and both
 * wait. The next request wakes them: so there always is a next one. Two of them, since the request that
 * is missed may be one of these.
 */
static void keep_awake(void)
{
	for (int i = 0; i < 2; i++) {
		struct statfs s;
		int dir;

		if (fork())
			continue;
		dir = open(JOB_DIR, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		while (fstatfs(dir, &s) == 0)
			usleep(400000 + 70000 * (unsigned int)i);
		_exit(1);
	}
}

/*
 * Copy both pipes to their ports until the job has ended and the pipes are empty. What the job left
 * running is killed then: it could hold the pipes open for ever.
 */
static int relay(pid_t job, int out, int err)
{
	struct pollfd p[2] = {{.fd = out, .events = POLLIN}, {.fd = err, .events = POLLIN}};
	const int port[2] = {open_port("org.omega.out"), open_port("org.omega.err")};
	static char buf[65536];
	int status = -1, st;

	while (p[0].fd >= 0 || p[1].fd >= 0) {
		pid_t pid;

		if (poll(p, 2, 20) < 0 && errno != EINTR)
			die("poll", "");
		for (int i = 0; i < 2; i++) {
			ssize_t n;

			if (p[i].fd < 0 || !p[i].revents)
				continue;
			n = read(p[i].fd, buf, sizeof(buf));
			if (n > 0)
				write_all(port[i], buf, (size_t)n);
			else
				p[i].fd = -1;
		}
		while ((pid = waitpid(-1, &st, WNOHANG)) > 0) {
			if (pid != job)
				continue;
			status = WIFSIGNALED(st) ? 128 + WTERMSIG(st) : WEXITSTATUS(st);
			kill(-1, SIGKILL);
		}
	}
	while (status < 0) {
		if (waitpid(job, &st, 0) != job && errno != EINTR)
			die("wait", "job");
		status = WIFSIGNALED(st) ? 128 + WTERMSIG(st) : WEXITSTATUS(st);
	}
	return status;
}

int main(void)
{
	int out[2], err[2], port, status;
	char text[16];

	mnt("dev", "/dev", "devtmpfs", 0, NULL);
	mnt("proc", "/proc", "proc", 0, NULL);
	read_parameters();
	load_modules();
	build_root();
	enter_root();
	enable_controllers();
	loopback_up();
	(void)sethostname("omega-vm", 8);
	put("/proc/sys/kernel/modprobe", KERNEL_DIR "/modprobe");
	if (pipe2(out, O_CLOEXEC) || pipe2(err, O_CLOEXEC))
		die("pipe", "");
	keep_awake();
	pid_t job = start_job(out, err);

	close(out[1]);
	close(err[1]);
	status = relay(job, out[0], err[0]);
	sync();
	port = open_port("org.omega.status");
	snprintf(text, sizeof(text), "%d\n", status);
	write_all(port, text, strlen(text));
	reboot(RB_POWER_OFF);
	return 1;
}
