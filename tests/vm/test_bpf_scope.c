/*
 * Scope under BPF-LSM: a task cannot leave its brane; a brane cannot reach out of itself.
 *
 * The first half tries to shed the brane (fork, sub-cgroup, namespaces, moved by an outside root), the
 * second tries processes and kernel surfaces that no grant can name.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <linux/bpf.h>
#include <linux/perf_event.h>
#include <linux/sched.h>
#include <cmocka.h>

#include <tests/util/brane.h>

static struct tb tb;

static int try_secret(void)
{
	return open(tb.secret, O_RDONLY | O_CLOEXEC) < 0 ? errno : 0;
}

static int do_secret(void *arg)
{
	return try_secret();
}

static int do_fork(void *arg)
{
	pid_t pid = fork();
	int st;

	if (!pid) {
		pid = fork();
		if (!pid)
			_exit(try_secret());
		waitpid(pid, &st, 0);
		_exit(WEXITSTATUS(st));
	}
	waitpid(pid, &st, 0);
	return WEXITSTATUS(st);
}

static int do_unshare(void *arg)
{
	if (unshare(CLONE_NEWCGROUP | CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC))
		return 200;
	return try_secret();
}

/* Its parents are gone: somebody outside has taken it over. */
static int do_orphan(void *arg)
{
	unsigned char ret = 200;
	int p[2];

	if (pipe(p))
		return 201;
	if (!fork()) {
		pid_t parent = getpid();

		if (!fork()) {
			while (getppid() == parent)
				usleep(1000);
			ret = (unsigned char)try_secret();
			_exit(write(p[1], &ret, 1) != 1);
		}
		_exit(0);
	}
	close(p[1]);
	return read(p[0], &ret, 1) == 1 ? ret : 202;
}

static void *thread_tries(void *arg)
{
	return (void *)(intptr_t)try_secret();
}

static int do_thread(void *arg)
{
	void *ret = NULL;
	pthread_t t;

	if (pthread_create(&t, NULL, thread_tries, NULL) || pthread_join(t, &ret))
		return 200;
	return (int)(intptr_t)ret;
}

/* Into the host's namespaces, by descriptors that were open before: it could open none of them itself. */
#define NAMESPACES 5
static int do_setns(void *arg)
{
	const int *fds = arg;

	if (open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC) >= 0 || errno != EACCES ||
	    unshare(CLONE_NEWCGROUP | CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWNET))
		return 200;
	for (int i = 0; i < NAMESPACES; i++)
		if (setns(fds[i], 0))
			return 201;
	return try_secret();
}

/* Born into the cgroup of the descriptor ARG: the child's errno + 100, or that of the birth. */
static int do_clone_into(void *arg)
{
	struct clone_args a = {
		.flags = CLONE_INTO_CGROUP, .exit_signal = SIGCHLD, .cgroup = (__u64) * (int *)arg};
	pid_t pid = (pid_t)syscall(SYS_clone3, &a, sizeof(a));
	int st;

	if (pid < 0)
		return errno;
	if (!pid)
		_exit(100 + try_secret());
	return waitpid(pid, &st, 0) == pid && WIFEXITED(st) ? WEXITSTATUS(st) : 200;
}

static int do_traceme(void *arg)
{
	return ptrace(PTRACE_TRACEME, 0, NULL, NULL) ? errno : 0;
}

/* Passes a hook, which labels it; waits, so that the parent can move it; then tries. */
static int wait_and_try(void *arg)
{
	int *p = arg;
	char c = 0;

	if (open("/proc/self/stat", O_RDONLY | O_CLOEXEC) < 0)
		return 201;
	if (write(p[3], &c, 1) != 1 || read(p[0], &c, 1) != 1)
		return 200;
	return try_secret();
}

static void put_pid(const char *cgroup, pid_t pid)
{
	char path[256], text[16];
	int fd, n = snprintf(text, sizeof(text), "%d", pid);

	snprintf(path, sizeof(path), "%s/cgroup.procs", cgroup);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, (size_t)n), n);
	close(fd);
}

/* p[0], p[1]: go; p[2], p[3]: ready. */
static void pipes(int p[4])
{
	assert_int_equal(pipe(p), 0);
	assert_int_equal(pipe(p + 2), 0);
}

static int run_moved(const char *cgroup, int (*fn)(void *), int p[4])
{
	pid_t pid;
	char c;

	(void)tb_events(&tb);
	pid = tb_spawn(&tb, fn, p);
	assert_int_equal(read(p[2], &c, 1), 1);
	put_pid(cgroup, pid);
	assert_int_equal(write(p[1], "x", 1), 1);
	return tb_wait(pid);
}

static void test_inherit(void **state)
{
	assert_true(
		tb_expect(&tb, "plain", do_secret, NULL, EACCES, 1, OM_OP_FILE_READ, "file_open"));
	assert_true(tb_expect(&tb, "grandchild", do_fork, NULL, EACCES, 1, OM_OP_FILE_READ,
			      "file_open"));
	assert_true(tb_expect(&tb, "namespaces", do_unshare, NULL, EACCES, 1, OM_OP_FILE_READ,
			      "file_open"));
}

static void test_births(void **state)
{
	int root = open("/sys/fs/cgroup", O_PATH | O_DIRECTORY | O_CLOEXEC);
	int own = open(tb.cgroup, O_PATH | O_DIRECTORY | O_CLOEXEC);
	static const char *const names[NAMESPACES] = {"/proc/1/ns/mnt", "/proc/1/ns/uts",
						      "/proc/1/ns/ipc", "/proc/1/ns/cgroup",
						      "/proc/1/ns/net"};
	int ns[NAMESPACES];

	assert_true(root >= 0 && own >= 0);
	assert_true(
		tb_expect(&tb, "orphan", do_orphan, NULL, EACCES, 1, OM_OP_FILE_READ, "file_open"));
	assert_true(
		tb_expect(&tb, "thread", do_thread, NULL, EACCES, 1, OM_OP_FILE_READ, "file_open"));
	for (int i = 0; i < NAMESPACES; i++)
		ns[i] = open(names[i], O_RDONLY | O_CLOEXEC);
	assert_true(tb_expect(&tb, "setns", do_setns, ns, EACCES, 2, OM_OP_FILE_READ, "file_open"));
	for (int i = 0; i < NAMESPACES; i++)
		close(ns[i]);
	assert_true(tb_expect(&tb, "born into the root", do_clone_into, &root, EPERM, 1,
			      OM_OP_SCOPE, "task_alloc"));
	assert_true(tb_expect(&tb, "born into its own", do_clone_into, &own, EPERM, 1, OM_OP_SCOPE,
			      "task_alloc"));
	/* By somebody outside, who is outside still; so are those whom he has elsewhere. */
	(void)tb_events(&tb);
	assert_int_equal(do_clone_into(&own), 100 + EACCES);
	assert_int_equal(tb_events(&tb), 1);
	assert_int_equal(do_clone_into(&root), 100);
	assert_int_equal(try_secret(), 0);
	close(root);
	close(own);
}

/* A child that was born before its parent was enrolled stays where it is; one born after is inside. */
static void test_late(void **state)
{
	int go[2], first[2];
	unsigned char ret = 255;
	pid_t pid;

	assert_int_equal(pipe(go), 0);
	assert_int_equal(pipe(first), 0);
	(void)tb_events(&tb);
	pid = fork();
	if (!pid) {
		char c;
		int st;

		if (!fork()) {
			ret = read(go[0], &c, 1) == 1 ? (unsigned char)try_secret() : 255;
			_exit(write(first[1], &ret, 1) != 1);
		}
		tb_enter(tb.cgroup);
		if (write(go[1], "x", 1) != 1 || try_secret() != EACCES)
			_exit(200);
		if (!fork())
			_exit(try_secret());
		for (int i = 0; i < 2; i++)
			if (wait(&st) > 0 && WIFEXITED(st) && WEXITSTATUS(st) == EACCES)
				_exit(0);
		_exit(201);
	}
	assert_int_equal(tb_wait(pid), 0);
	assert_int_equal(read(first[0], &ret, 1), 1);
	assert_int_equal(ret, 0);
	assert_int_equal(tb_events(&tb), 2);
	for (int i = 0; i < 2; i++) {
		close(go[i]);
		close(first[i]);
	}
}

static int wait_and_fork(void *arg)
{
	int *p = arg;
	char c = 0;

	if (open("/proc/self/stat", O_RDONLY | O_CLOEXEC) < 0)
		return 201;
	if (write(p[3], &c, 1) != 1 || read(p[0], &c, 1) != 1)
		return 200;
	return do_fork(NULL);
}

/* What is born to a task that root moved out is in the brane too. */
static void test_moved_parent(void **state)
{
	int p[4];

	pipes(p);
	assert_int_equal(run_moved("/sys/fs/cgroup", wait_and_fork, p), EACCES);
	assert_int_equal(tb_events(&tb), 1);
}

static void test_moved_out(void **state)
{
	int p[4];

	pipes(p);
	assert_int_equal(run_moved("/sys/fs/cgroup", wait_and_try, p), EACCES);
	assert_int_equal(tb_events(&tb), 1);
	assert_int_equal(tb.events[0].head.op, OM_OP_FILE_READ);
	assert_int_equal(try_secret(), 0);
}

static void test_sub_cgroup(void **state)
{
	char sub[256];
	int p[4];

	pipes(p);
	snprintf(sub, sizeof(sub), "%s/sub", tb.cgroup);
	assert_int_equal(mkdir(sub, 0755), 0);
	assert_int_equal(run_moved(sub, wait_and_try, p), EACCES);
	assert_int_equal(tb_events(&tb), 1);
	assert_int_equal(rmdir(sub), 0);
}

static void test_other_brane(void **state)
{
	struct om_slot other = {.flags = OM_SLOT_KERNEL};
	char cgroup[256];
	struct om_err err;
	struct stat st;
	int p[4];

	pipes(p);
	snprintf(cgroup, sizeof(cgroup), "%s/other", tb.parent);
	assert_int_equal(mkdir(cgroup, 0755), 0);
	assert_int_equal(stat(cgroup, &st), 0);
	other.cgid = st.st_ino;
	assert_int_equal(om_bpf_brane_new(tb.bpf, &other.brane, &err), 0);
	other.policy = tb.slot.policy;
	assert_int_equal(om_bpf_brane_publish(tb.bpf, &other, &err), 0);
	assert_int_equal(run_moved(cgroup, wait_and_try, p), EACCES);
	assert_int_equal(tb_events(&tb), 1);
	assert_int_equal(tb.events[0].head.op, OM_OP_SCOPE);
	assert_int_equal(om_bpf_brane_withdraw(tb.bpf, other.brane, &err), 0);
	assert_int_equal(om_bpf_brane_forget(tb.bpf, other.brane, &err), 0);
	for (int i = 0; i < 100 && rmdir(cgroup); i++)
		usleep(10000);
}

static int wait_and_read_granted(void *arg)
{
	int *p = arg;
	char c = 0;

	if (open("/proc/self/stat", O_RDONLY | O_CLOEXEC) < 0)
		return 201;
	if (write(p[3], &c, 1) != 1 || read(p[0], &c, 1) != 1)
		return 200;
	return open("/proc/self/stat", O_RDONLY | O_CLOEXEC) < 0 ? errno : 0;
}

static void test_withdrawn(void **state)
{
	struct om_err err;
	struct om_slot slot;
	int p[4];
	pid_t pid;
	char c;

	pipes(p);
	pid = tb_spawn(&tb, wait_and_read_granted, p);
	assert_int_equal(read(p[2], &c, 1), 1);
	assert_int_equal(om_bpf_brane_withdraw(tb.bpf, tb.slot.brane, &err), 0);
	assert_int_equal(om_bpf_brane_get(tb.bpf, tb.slot.brane, &slot, &err), -ENOENT);
	assert_int_equal(write(p[1], "x", 1), 1);
	assert_int_equal(tb_wait(pid), EACCES);
	assert_int_equal(om_bpf_brane_publish(tb.bpf, &tb.slot, &err), 0);
}

static void test_flags(void **state)
{
	tb_publish(&tb, OM_SLOT_KERNEL | OM_SLOT_AUDIT);
	assert_true(tb_expect(&tb, "audit", do_secret, NULL, 0, 1, OM_OP_FILE_READ, "file_open"));
	assert_true(tb.events[0].head.flags & OM_EVENT_ALLOWED);
	tb_publish(&tb, OM_SLOT_KERNEL | OM_SLOT_AUDIT | OM_SLOT_DENY_ALL);
	assert_true(tb_expect(&tb, "deny all", do_secret, NULL, EACCES, 1, OM_OP_FILE_READ,
			      "file_open"));
	assert_false(tb.events[0].head.flags & OM_EVENT_ALLOWED);
	tb_publish(&tb, OM_SLOT_NETWORK);
	assert_true(tb_expect(&tb, "not this layer's", do_secret, NULL, 0, 0, 0, NULL));
	tb_publish(&tb, OM_SLOT_KERNEL);
}

/* --- reaching out --- */

static int do_ptrace(void *pid)
{
	return ptrace(PTRACE_SEIZE, *(pid_t *)pid, NULL, NULL) ? errno : 0;
}

static int do_kill(void *pid)
{
	return kill(*(pid_t *)pid, SIGUSR1) ? errno : 0;
}

static int do_kill_own(void *arg)
{
	pid_t pid = fork();
	int st;

	if (!pid) {
		pause();
		_exit(0);
	}
	if (kill(pid, SIGKILL))
		return errno;
	waitpid(pid, &st, 0);
	return WIFSIGNALED(st) ? 0 : 200;
}

static int do_trace_own(void *arg)
{
	pid_t pid = fork();
	int st, ret;

	if (!pid) {
		pause();
		_exit(0);
	}
	ret = ptrace(PTRACE_SEIZE, pid, NULL, NULL) ? errno : 0;
	kill(pid, SIGKILL);
	waitpid(pid, &st, 0);
	return ret;
}

static int do_nice(void *pid)
{
	return setpriority(PRIO_PROCESS, (id_t) * (pid_t *)pid, 5) ? errno : 0;
}

static int do_prlimit(void *pid)
{
	struct rlimit r = {1000, 1000};

	return prlimit(*(pid_t *)pid, RLIMIT_NOFILE, &r, NULL) ? errno : 0;
}

static int do_pidfd_getfd(void *pid)
{
	long fd = syscall(SYS_pidfd_open, *(pid_t *)pid, 0);

	if (fd < 0)
		return 200;
	return syscall(SYS_pidfd_getfd, fd, 0, 0) < 0 ? errno : 0;
}

static int do_bpf(void *arg)
{
	union bpf_attr attr = {
		.map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 4, .max_entries = 1};

	return syscall(SYS_bpf, BPF_MAP_CREATE, &attr, sizeof(attr)) < 0 ? errno : 0;
}

static int do_perf(void *arg)
{
	struct perf_event_attr attr = {.type = PERF_TYPE_SOFTWARE, .size = sizeof(attr)};

	return syscall(SYS_perf_event_open, &attr, 0, -1, -1, 0) < 0 ? errno : 0;
}

static int do_userns(void *arg)
{
	return unshare(CLONE_NEWUSER) ? errno : 0;
}

static int do_key(void *arg)
{
	return syscall(SYS_add_key, "user", "omt", "x", 1, -2) < 0 ? errno : 0;
}

static int do_syslog(void *arg)
{
	char buf[64];

	return syscall(SYS_syslog, 3, buf, sizeof(buf)) < 0 ? errno : 0;
}

static int do_uring(void *arg)
{
	char params[120] = {0};

	return syscall(SYS_io_uring_setup, 4, params) < 0 ? errno : 0;
}

static int do_userfault(void *arg)
{
	return syscall(SYS_userfaultfd, 0) < 0 ? errno : 0;
}

static int do_settime(void *arg)
{
	struct timespec ts = {1, 0};

	return clock_settime(CLOCK_REALTIME, &ts) ? errno : 0;
}

static void test_processes(void **state)
{
	pid_t out = fork();

	if (!out) {
		signal(SIGUSR1, SIG_IGN);
		pause();
		_exit(0);
	}
	assert_true(tb_expect(&tb, "ptrace", do_ptrace, &out, EPERM, 1, OM_OP_PTRACE,
			      "ptrace_access_check"));
	/* Its parent, who would trace it, is outside. */
	assert_true(tb_expect(&tb, "traceme", do_traceme, NULL, EPERM, 1, OM_OP_PTRACE,
			      "ptrace_traceme"));
	assert_true(tb_expect(&tb, "kill", do_kill, &out, EPERM, 1, OM_OP_SIGNAL, "task_kill"));
	assert_int_equal(((struct om_event *)&tb.events[0])->u.task.pid, out);
	assert_int_equal(((struct om_event *)&tb.events[0])->u.task.arg, SIGUSR1);
	assert_true(tb_expect(&tb, "setpriority", do_nice, &out, EPERM, 1, OM_OP_PTRACE,
			      "task_setnice"));
	assert_true(tb_expect(&tb, "prlimit", do_prlimit, &out, EPERM, 1, OM_OP_PTRACE,
			      "task_setrlimit"));
	assert_true(tb_expect(&tb, "pidfd_getfd", do_pidfd_getfd, &out, EPERM, 1, OM_OP_PTRACE,
			      "ptrace_access_check"));
	assert_true(tb_expect(&tb, "kill own child", do_kill_own, NULL, 0, 0, 0, NULL));
	assert_true(tb_expect(&tb, "trace own child", do_trace_own, NULL, 0, 0, 0, NULL));
	kill(out, SIGKILL);
	waitpid(out, NULL, 0);
}

static void test_kernel(void **state)
{
	assert_true(tb_expect(&tb, "bpf", do_bpf, NULL, EPERM, 1, OM_OP_BPF, "bpf"));
	assert_true(tb_expect(&tb, "perf", do_perf, NULL, EPERM, 1, OM_OP_PERF, "perf_event_open"));
	assert_true(tb_expect(&tb, "userns", do_userns, NULL, EPERM, 1, OM_OP_NAMESPACE,
			      "userns_create"));
	assert_true(tb_expect(&tb, "key", do_key, NULL, EPERM, 1, OM_OP_KEY, "key_alloc"));
	assert_true(tb_expect(&tb, "syslog", do_syslog, NULL, EPERM, 1, OM_OP_SYSTEM, "syslog"));
	/* By anon_inode, or by uring_allowed where the kernel has that. */
	assert_true(tb_expect(&tb, "io_uring", do_uring, NULL, EPERM, 1, OM_OP_SYSTEM, NULL));
	assert_true(tb_expect(&tb, "userfaultfd", do_userfault, NULL, EPERM, 1, OM_OP_SYSTEM,
			      "anon_inode"));
	assert_true(tb_expect(&tb, "settime", do_settime, NULL, EPERM, 1, OM_OP_SYSTEM, "settime"));
}

static int setup(void **state)
{
	struct om_err err = {0};
	int ret = tb_open(&tb, OM_LAYER_KERNEL, &err);

	if (ret) {
		print_message("# skip: no BPF-LSM here: %s\n", err.text);
		return ret;
	}
	tb_grant(&tb, "/proc", OM_MAY_READ, OM_MAY_READ);
	tb_publish(&tb, OM_SLOT_KERNEL);
	return 0;
}

static int teardown(void **state)
{
	tb_close(&tb);
	return 0;
}

/*
 * A task without a label, born outside: only its cgroup tells. At every depth below the brane's own
 * cgroup, where the ids are read by loads and further down where the helper is asked; and beside it.
 */
static void test_depths(void **state)
{
	char cgroup[10][400];
	pid_t pid;

	snprintf(cgroup[0], sizeof(cgroup[0]), "%s", tb.cgroup);
	for (int i = 1; i < 7; i++) {
		memcpy(cgroup[i], cgroup[i - 1], sizeof(cgroup[0]));
		strncat(cgroup[i], "/d", sizeof(cgroup[0]) - strlen(cgroup[i]) - 1);
	}
	/* The parent itself, a stranger as deep as a brane, one deeper: outside, all of them. */
	snprintf(cgroup[7], sizeof(cgroup[0]), "%s", tb.parent);
	snprintf(cgroup[8], sizeof(cgroup[0]), "%s-x", tb.parent);
	snprintf(cgroup[9], sizeof(cgroup[0]), "%s-x/y", tb.parent);
	for (int i = 0; i < 10; i++) {
		(void)mkdir(cgroup[i], 0755);
		pid = fork();
		if (!pid) {
			tb_enter(cgroup[i]);
			_exit(try_secret());
		}
		assert_int_equal(tb_wait(pid), i < 7 ? EACCES : 0);
	}
	(void)tb_events(&tb);
	for (int i = 9; i > 0; i--)
		if (i != 7)
			for (int k = 0; k < 100 && rmdir(cgroup[i]); k++)
				usleep(5000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_inherit),	    cmocka_unit_test(test_births),
		cmocka_unit_test(test_late),	    cmocka_unit_test(test_moved_parent),
		cmocka_unit_test(test_moved_out),   cmocka_unit_test(test_sub_cgroup),
		cmocka_unit_test(test_other_brane), cmocka_unit_test(test_withdrawn),
		cmocka_unit_test(test_flags),	    cmocka_unit_test(test_processes),
		cmocka_unit_test(test_kernel),	    cmocka_unit_test(test_depths),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
