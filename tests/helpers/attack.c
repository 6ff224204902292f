/*
 * Tries rows of the escape catalogue from inside a brane and says what each one reached.
 *
 * Comes in: where things are, as arguments of the form key=value. Goes out: one line for each row,
 * "NAME reached", "NAME ERRNO-NAME" or "NAME signal N". Before each row it connects to 127.0.0.1 at
 * port 20000 + the row's place: a denial that marks in the log where the row begins. Called by: tests/vm,
 * as a brane's command. Static: needs no file but itself. Never does: stop at a row that worked.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <mqueue.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

static char **args;

static const char *arg(const char *key)
{
	size_t n = strlen(key);

	for (char **a = args; *a; a++)
		if (!strncmp(*a, key, n) && (*a)[n] == '=')
			return *a + n + 1;
	return "";
}

static int num(const char *key)
{
	return atoi(arg(key));
}

/* "write" directory of the brane, or "dir", where nothing is granted but that and this program. */
static const char *in(const char *dir, const char *name)
{
	static char buf[4][512];
	static int turn;
	char *p = buf[turn++ & 3];

	snprintf(p, sizeof(buf[0]), "%s/%s", arg(dir), name);
	return p;
}

static int done(long ret)
{
	return ret < 0 ? errno : 0;
}

static int open_and_read(int at, const char *path, int flags)
{
	char c;
	int fd = openat(at, path, flags | O_CLOEXEC | O_NONBLOCK);

	return fd < 0 ? errno : done(flags & O_WRONLY ? 0 : read(fd, &c, 1));
}

/* --- files --- */

static int plain(void)
{
	return open_and_read(AT_FDCWD, in("dir", "secret"), O_RDONLY);
}

static int symlinked(void)
{
	if (symlink(in("dir", "secret"), in("write", "sym")) < 0 && errno != EEXIST)
		return errno;
	return open_and_read(AT_FDCWD, in("write", "sym"), O_RDONLY);
}

static int hard_linked(void)
{
	if (link(in("dir", "secret"), in("write", "hard")) < 0)
		return errno;
	return open_and_read(AT_FDCWD, in("write", "hard"), O_RDONLY);
}

static int proc_root(void)
{
	char path[512];

	snprintf(path, sizeof(path), "/proc/self/root%s", in("dir", "secret"));
	return open_and_read(AT_FDCWD, path, O_RDONLY);
}

static int through_o_path(void)
{
	int fd = open(arg("dir"), O_PATH | O_DIRECTORY);

	return fd < 0 ? errno : open_and_read(fd, "secret", O_RDONLY);
}

static int by_handle(void)
{
	struct {
		struct file_handle h;
		unsigned char data[128];
	} f = {.h.handle_bytes = 128};
	int id;

	if (name_to_handle_at(AT_FDCWD, in("dir", "secret"), &f.h, &id, 0) < 0)
		return errno;
	int at = open(arg("write"), O_RDONLY | O_DIRECTORY);
	int fd = open_by_handle_at(at, &f.h, O_RDONLY);
	return done(fd);
}

static int moved_in(void)
{
	if (rename(in("dir", "secret"), in("write", "moved")) < 0)
		return errno;
	return open_and_read(AT_FDCWD, in("write", "moved"), O_RDONLY);
}

static int exchanged(void)
{
	close(open(in("write", "x"), O_CREAT | O_WRONLY, 0600));
	return done(syscall(SYS_renameat2, AT_FDCWD, in("write", "x"), AT_FDCWD,
			    in("dir", "secret"), RENAME_EXCHANGE));
}

static int tree_cloned(void)
{
	int fd = (int)syscall(SYS_open_tree, AT_FDCWD, arg("dir"), 1 /* OPEN_TREE_CLONE */);

	return fd < 0 ? errno : open_and_read(fd, "secret", O_RDONLY);
}

static int chrooted(void)
{
	return chroot(arg("dir")) < 0 ? errno : open_and_read(AT_FDCWD, "/secret", O_RDONLY);
}

static int truncated(void)
{
	return done(truncate(in("dir", "secret"), 0));
}

static int o_trunc(void)
{
	return done(open(in("dir", "secret"), O_RDONLY | O_TRUNC));
}

static int mode_changed(void)
{
	return done(chmod(in("dir", "secret"), 0666));
}

static int attribute_set(void)
{
	return done(setxattr(in("dir", "secret"), "user.x", "y", 1, 0));
}

static int owner_changed(void)
{
	return done(chown(in("dir", "secret"), 1, 1));
}

static int times_changed(void)
{
	return done(utimensat(AT_FDCWD, in("dir", "secret"), NULL, 0));
}

static int program_written(void)
{
	return open_and_read(AT_FDCWD, args[0], O_WRONLY);
}

static int memory_file(void)
{
	return done(open("/proc/self/mem", O_RDWR));
}

static int core_pattern(void)
{
	return open_and_read(AT_FDCWD, "/proc/sys/kernel/core_pattern", O_WRONLY);
}

static int directory_listed(void)
{
	int fd = open(arg("dir"), O_RDONLY | O_DIRECTORY);
	char buf[512];

	return fd < 0 ? errno : done(syscall(SYS_getdents64, fd, buf, sizeof(buf)));
}

static int deep_path(void)
{
	char path[8192] = "";

	strcpy(path, arg("write"));
	for (int i = 0; i < 1200; i++)
		strcat(path, "/..");
	strcat(path, in("dir", "secret"));
	return open_and_read(AT_FDCWD, path, O_RDONLY);
}

/* Owned by root of the host, set-user-id: an unprivileged user of the host need only run it. */
static int suid_chmod(void)
{
	const char *p = in("write", "suid1");
	int fd = open(p, O_CREAT | O_WRONLY, 0700);

	return fd < 0 ? -1 : done(chmod(p, 04755));
}

static int suid_fchmod(void)
{
	int fd = open(in("write", "suid2"), O_CREAT | O_WRONLY, 0700);

	return fd < 0 ? -1 : done(fchmod(fd, 04755));
}

static int suid_create(void)
{
	return done(open(in("write", "suid3"), O_CREAT | O_WRONLY, 04755));
}

static int suid_openat(void)
{
	return done(openat(AT_FDCWD, in("write", "suid4"), O_CREAT | O_WRONLY, 02755));
}

static int suid_mknod(void)
{
	return done(mknod(in("write", "suid5"), S_IFREG | 04755, 0));
}

static int suid_tmpfile(void)
{
	return done(open(arg("write"), O_TMPFILE | O_WRONLY, 04755));
}

static int suid_openat2(void)
{
	uint64_t how[3] = {O_CREAT | O_WRONLY, 04755, 0};

	return done(syscall(SYS_openat2, AT_FDCWD, in("write", "suid7"), how, sizeof(how)));
}

static int suid_creat(void)
{
	return done(creat(in("write", "suid8"), 04755));
}

static int suid_fchmodat2(void)
{
	int fd = open(in("write", "suid9"), O_CREAT | O_WRONLY, 0700);

	return fd < 0 ? -1 : done(syscall(452, AT_FDCWD, in("write", "suid9"), 04755, 0));
}

static int suid_fchmodat(void)
{
	const char *p = in("write", "suid10");
	int fd = open(p, O_CREAT | O_WRONLY, 0700);

	return fd < 0 ? -1 : done(syscall(SYS_fchmodat, AT_FDCWD, p, 02755));
}

static int device_node(void)
{
	return done(mknod(in("write", "mem"), S_IFCHR | 0600, 0x101));
}

static int handle_of_cgroup(void)
{
	return open_and_read(AT_FDCWD, in("cgroup", "cgroup.procs"), O_WRONLY);
}

/* --- programs and memory --- */

static int copy_self(const char *to)
{
	static char buf[65536];
	int from = open(args[0], O_RDONLY | O_CLOEXEC), fd;
	ssize_t n;

	if (from < 0)
		return -1;
	fd = open(to, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0755);
	while ((n = read(from, buf, sizeof(buf))) > 0)
		if (write(fd, buf, (size_t)n) != n)
			break;
	close(fd);
	close(from);
	return fd < 0 ? -1 : 0;
}

static int run_it(const char *path)
{
	char *argv[] = {(char *)path, (char *)"exit", NULL};

	execv(path, argv);
	return errno;
}

static int exec_copy(void)
{
	return copy_self(in("write", "copy")) ? -1 : run_it(in("write", "copy"));
}

static int exec_script(void)
{
	const char *p = in("write", "script");
	int fd = open(p, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0755);

	dprintf(fd, "#!%s exit\n", args[0]);
	close(fd);
	return run_it(p);
}

static int exec_memfd(void)
{
	static char buf[65536];
	int fd = (int)syscall(SYS_memfd_create, "x", MFD_CLOEXEC), from = open(args[0], O_RDONLY);
	char *argv[] = {(char *)"x", (char *)"exit", NULL};
	ssize_t n;

	if (fd < 0)
		return errno;
	while ((n = read(from, buf, sizeof(buf))) > 0)
		if (write(fd, buf, (size_t)n) != n)
			break;
	syscall(SYS_execveat, fd, "", argv, NULL, AT_EMPTY_PATH);
	return errno;
}

static int map_copy(void)
{
	int fd;

	if (copy_self(in("write", "lib")))
		return -1;
	fd = open(in("write", "lib"), O_RDONLY);
	return mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0) == MAP_FAILED ? errno
											 : 0;
}

static int map_rwx(void)
{
	void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS,
		       -1, 0);

	return p == MAP_FAILED ? errno : 0;
}

/* Harmless: that no file is behind it must not confuse anybody. */
static int map_shared(void)
{
	char *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		return errno;
	p[0] = 1;
	return 0;
}

static int protect_x(void)
{
	void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return done(mprotect(p, 4096, PROT_READ | PROT_EXEC));
}

static int read_implies_exec(void)
{
	if (personality(READ_IMPLIES_EXEC) < 0)
		return errno;
	void *p = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	return p == MAP_FAILED ? errno : 0;
}

/* --- other processes --- */

static int kill_other(void)
{
	return done(kill(num("victim"), SIGKILL));
}

static int pidfd_kill(void)
{
	int fd = (int)syscall(SYS_pidfd_open, num("victim"), 0);

	return fd < 0 ? errno : done(syscall(SYS_pidfd_send_signal, fd, SIGKILL, NULL, 0));
}

/* A descriptor whose readiness makes the kernel send SIGKILL to its "owner". */
static int own_signal(int how)
{
	int p[2], pid = num("victim"), ret;

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, p) < 0)
		return -1;
	struct f_owner_ex ex = {F_OWNER_PID, pid};
	ret = how == 0	 ? fcntl(p[0], F_SETOWN, pid)
	      : how == 1 ? fcntl(p[0], F_SETOWN_EX, &ex)
			 : (int)syscall(SYS_ioctl, p[0], 0x8901ul /* FIOSETOWN */, &pid);
	if (ret < 0)
		return errno;
	if (fcntl(p[0], F_SETSIG, SIGKILL) < 0 || fcntl(p[0], F_SETFL, O_ASYNC | O_NONBLOCK) < 0)
		return errno;
	if (write(p[1], "x", 1) != 1)
		return errno;
	usleep(20000);
	/* Reached: the victim is gone (a zombie of the test still exists, and is no group leader). */
	return 0;
}

static int setown(void)
{
	return own_signal(0);
}

static int setown_ex(void)
{
	return own_signal(1);
}

static int fiosetown(void)
{
	return own_signal(2);
}

static int traced(void)
{
	return done(ptrace(PTRACE_SEIZE, num("victim"), 0, 0));
}

static int vm_read(void)
{
	char c;
	struct iovec here = {&c, 1}, there = {(void *)&args, 1};

	return done(process_vm_readv(num("victim"), &here, 1, &there, 1, 0));
}

static int fd_stolen(void)
{
	int fd = (int)syscall(SYS_pidfd_open, num("victim"), 0);

	return fd < 0 ? errno : done(syscall(SYS_pidfd_getfd, fd, 0, 0));
}

static int niced(void)
{
	return done(setpriority(PRIO_PROCESS, (id_t)num("victim"), 5));
}

static int limited(void)
{
	struct rlimit r = {0, 0};

	return done(prlimit(num("victim"), RLIMIT_CORE, &r, NULL));
}

static int limits_read(void)
{
	struct rlimit r;

	return done(prlimit(num("victim"), RLIMIT_NOFILE, NULL, &r));
}

static int pinned(void)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(0, &set);
	return done(sched_setaffinity(num("victim"), sizeof(set), &set));
}

/* --- kernel surface --- */

static int raw(long nr, long a, long b, long c)
{
	return done(syscall(nr, a, b, c, 0, 0, 0));
}

static int do_bpf(void)
{
	char attr[128] = {2, 0, 0, 0, 4, 0, 0, 0, 4, 0, 0, 0, 1};

	return raw(SYS_bpf, 0, (long)attr, sizeof(attr));
}

static int do_perf(void)
{
	char attr[128] = {1, 0, 0, 0, 120};

	return raw(SYS_perf_event_open, (long)attr, 0, -1);
}

static int do_uring(void)
{
	char p[256] = {0};

	return raw(425, 4, (long)p, 0);
}

static int do_uffd(void)
{
	return raw(SYS_userfaultfd, 1, 0, 0);
}

static int do_keyring(void)
{
	return done(syscall(SYS_add_key, "user", "om", "x", 1, -2 /* the process's */));
}

static int do_userns(void)
{
	return done(unshare(CLONE_NEWUSER));
}

static int do_mountns(void)
{
	return done(unshare(CLONE_NEWNS));
}

static int do_fsopen(void)
{
	return raw(430, (long)"proc", 0, 0);
}

static int do_module(void)
{
	return raw(SYS_init_module, (long)"x", 1, (long)"");
}

static int do_setns(void)
{
	int fd = (int)syscall(SYS_pidfd_open, num("victim"), 0);

	return fd < 0 ? errno : done(setns(fd, CLONE_NEWNS));
}

static int ia32(void)
{
	long ret;
	/* open(2) of 32 bits has number 5; here it is fstat. An unmapped path: EFAULT if let through. */
	__asm__ volatile("int $0x80" : "=a"(ret) : "a"(5), "b"(0), "c"(0), "d"(0) : "memory");
	return ret == -14 ? 0 : (int)-ret;
}

static int x32(void)
{
	return raw(SYS_getpid | 0x40000000, 0, 0, 0);
}

static int listener(void)
{
	struct {
		uint16_t code;
		uint8_t jt, jf;
		uint32_t k;
	} ret = {6, 0, 0, 0x7fff0000};
	struct {
		uint16_t n;
		void *p;
	} prog = {1, &ret};

	return raw(SYS_seccomp, 1, 8 /* NEW_LISTENER */, (long)&prog);
}

/* --- cgroups --- */

static int clone_into(void)
{
	struct clone_args ca = {.flags = CLONE_INTO_CGROUP, .exit_signal = SIGCHLD};
	int fd = open(arg("cgroup"), O_PATH | O_DIRECTORY);
	long pid;

	if (fd < 0)
		return errno;
	ca.cgroup = (uint64_t)fd;
	pid = syscall(SYS_clone3, &ca, sizeof(ca));
	if (pid == 0) {
		sleep(2);
		_exit(0);
	}
	return done(pid);
}

static int sub_cgroup(void)
{
	return done(mkdir(in("own", "sub"), 0755));
}

/* --- System V, message queues, keys: with outsiders --- */

static int shm_read(void)
{
	int id = shmget(num("shm"), 0, 0);
	char *p = id < 0 ? (char *)-1 : shmat(id, NULL, SHM_RDONLY);

	return p == (char *)-1 ? errno : 0;
}

static int shm_removed(void)
{
	int id = shmget(num("shm"), 0, 0);

	return id < 0 ? errno : done(shmctl(id, IPC_RMID, NULL));
}

static int mq_opened(void)
{
	return done(mq_open("/om-attack", O_RDWR));
}

static int mq_removed(void)
{
	return done(mq_unlink("/om-attack"));
}

#include "attack_net.h"

/* --- what was left open --- */

static int descriptors(void)
{
	for (int fd = 3; fd < 4096; fd++)
		if (fcntl(fd, F_GETFD) >= 0)
			return 0;
	return EBADF;
}

static int tty_input(void)
{
	char c = 'x';

	return done(ioctl(0, 0x5412 /* TIOCSTI */, &c));
}

#define ROW(name, fn)    \
	{                \
		name, fn \
	}
static const struct {
	const char *name;
	int (*fn)(void);
} rows[] = {
	ROW("001-open", plain),
	ROW("002-symlink", symlinked),
	ROW("003-hard-link", hard_linked),
	ROW("004-proc-root", proc_root),
	ROW("007-open-tree", tree_cloned),
	ROW("008-fsopen", do_fsopen),
	ROW("010-chroot", chrooted),
	ROW("014-handle", by_handle),
	ROW("015-o-path", through_o_path),
	ROW("017-deep", deep_path),
	ROW("019-rename", moved_in),
	ROW("019-exchange", exchanged),
	ROW("022-truncate", truncated),
	ROW("022-o-trunc", o_trunc),
	ROW("026-chmod", mode_changed),
	ROW("026-xattr", attribute_set),
	ROW("023-program", program_written),
	ROW("026-chown", owner_changed),
	ROW("026-utimes", times_changed),
	ROW("041-proc-mem", memory_file),
	ROW("058-core-pattern", core_pattern),
	ROW("026-suid-chmod", suid_chmod),
	ROW("026-suid-fchmod", suid_fchmod),
	ROW("026-suid-open", suid_create),
	ROW("026-sgid-openat", suid_openat),
	ROW("026-suid-mknod", suid_mknod),
	ROW("026-suid-tmpfile", suid_tmpfile),
	ROW("026-suid-openat2", suid_openat2),
	ROW("026-suid-creat", suid_creat),
	ROW("026-suid-fchmodat2", suid_fchmodat2),
	ROW("026-sgid-fchmodat", suid_fchmodat),
	ROW("028-mknod", device_node),
	ROW("030-list", directory_listed),
	ROW("034-descriptors", descriptors),
	ROW("038-pidfd-getfd", fd_stolen),
	ROW("040-ptrace", traced),
	ROW("040-vm-read", vm_read),
	ROW("042-kill", kill_other),
	ROW("042-pidfd-kill", pidfd_kill),
	ROW("042-setown", setown),
	ROW("042-setown-ex", setown_ex),
	ROW("042-fiosetown", fiosetown),
	ROW("042-nice", niced),
	ROW("042-prlimit", limited),
	ROW("042-prlimit-read", limits_read),
	ROW("042-affinity", pinned),
	ROW("043-rwx", map_rwx),
	ROW("043-shared", map_shared),
	ROW("043-mprotect", protect_x),
	ROW("044-personality", read_implies_exec),
	ROW("045-userfaultfd", do_uffd),
	ROW("047-shm-read", shm_read),
	ROW("047-shm-remove", shm_removed),
	ROW("047-mq-open", mq_opened),
	ROW("047-mq-unlink", mq_removed),
	ROW("048-add-key", do_keyring),
	ROW("050-ia32", ia32),
	ROW("050-x32", x32),
	ROW("051-script", exec_script),
	ROW("052-copy", exec_copy),
	ROW("053-map-copy", map_copy),
	ROW("054-memfd", exec_memfd),
	ROW("061-io-uring", do_uring),
	ROW("064-bpf", do_bpf),
	ROW("066-perf", do_perf),
	ROW("067-module", do_module),
	ROW("073-listener", listener),
	ROW("075-tiocsti", tty_input),
	ROW("078-userns", do_userns),
	ROW("079-mountns", do_mountns),
	ROW("080-setns", do_setns),
	ROW("081-procs", handle_of_cgroup),
	ROW("082-sub-cgroup", sub_cgroup),
	ROW("083-clone-into", clone_into),
	ROW("086-tcp", tcp),
	ROW("087-fastopen", fastopen),
	ROW("089-udp", udp),
	ROW("089-udp-unspec", unspec_udp),
	ROW("091-mapped-udp", mapped_udp),
	ROW("091-mapped-tcp", mapped_tcp),
	ROW("092-mptcp", mptcp),
	ROW("093-sctp", sctp),
	ROW("094-udplite", udplite),
	ROW("095-ping", ping),
	ROW("095-raw", raw_ip),
	ROW("096-packet", packet),
	ROW("097-netlink", netlink),
	ROW("097-vsock", vsock),
	ROW("097-alg", alg),
	ROW("098-unix", unix_path),
	ROW("098-control", control),
	ROW("098-shim", shim_socket),
	ROW("099-abstract", abstract_stream),
	ROW("099-abstract-dgram", abstract_dgram),
	ROW("104-listen", listen_plain),
	ROW("104-listen-unbound", listen_unbound),
};

static void mark(int i)
{
	struct sockaddr_in a = to(20000 + i);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	(void)connect(fd, (void *)&a, sizeof(a));
	close(fd);
}

/*
 * More denials than the ring holds, and more absent paths than there are counters, each one twice;
 * then one more look at the secret.
 */
static int flood(int n)
{
	char path[512];

	for (int i = 0; i < n; i++) {
		snprintf(path, sizeof(path), "%s/absent-%d", arg("dir"), i);
		for (int k = 0; k < 2; k++)
			if (open(path, O_RDONLY | O_CLOEXEC) >= 0)
				return 0;
		mark(i % 40000);
		if (mkdir(in("dir", "made"), 0755) == 0)
			return 0;
	}
	return plain();
}

int main(int argc, char **argv)
{
	const char *only = NULL;

	/* Run by a row: that worked. */
	if (argc > 1 && !strcmp(argv[1], "exit"))
		return 0;
	args = argv;
	/* Standard output is a layer's, too. */
	if (!freopen(in("write", "result"), "we", stdout))
		return 1;
	setvbuf(stdout, NULL, _IONBF, 0);
	if (*arg("only"))
		only = arg("only");
	if (num("flood")) {
		int ret = flood(num("flood"));

		printf("flood %s\nend\n", ret ? strerrorname_np(ret) : "reached");
		return 0;
	}
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		int status = 0;

		if (only && !strstr(rows[i].name, only))
			continue;
		if (*arg("mark"))
			mark((int)i);
		pid_t pid = fork();
		if (!pid) {
			alarm(10);
			int ret = rows[i].fn();
			_exit(ret < 0 ? 200 : ret);
		}
		if (pid < 0 || waitpid(pid, &status, 0) != pid)
			printf("%s error\n", rows[i].name);
		else if (WIFSIGNALED(status))
			printf("%s signal %d\n", rows[i].name, WTERMSIG(status));
		else if (WEXITSTATUS(status) == 200)
			printf("%s unable\n", rows[i].name);
		else
			printf("%s %s\n", rows[i].name,
			       WEXITSTATUS(status) ? strerrorname_np(WEXITSTATUS(status))
						   : "reached");
	}
	printf("end\n");
	return 0;
}
