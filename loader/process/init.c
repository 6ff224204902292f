/*
 * pid 1 of a brane: confines itself step by step, starts the workload, reaps, passes its status on.
 *
 * Comes in: a fresh clone of the builder, already in the cgroup and the new root. Goes out: the
 * workload's execve; its wait status on a pipe. Called by: loader/process/ns.c, in the child. Never
 * does: allocate, return, keep a descriptor, or do anything that policy denies to a member.
 *
 * The order matters and a test asserts it from inside: what needs privilege first, privilege next,
 * the filter last.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <loader/process/process.h>

static void fail(const struct om_birth *b, enum om_stage stage, int err,
		 uint32_t index) OM_NORETURN;
static void fail(const struct om_birth *b, enum om_stage stage, int err, uint32_t index)
{
	om_report_fail(b->report, stage, err, index);
	_exit(127);
}

/* Descriptors of init's own, and where it moves them on the way. */
#define INIT_FILES 128u

static void limits(const struct om_birth *b)
{
	uint32_t n = 0;
	const struct om_b_rlimit *r = om_bundle_section(&b->bundle, OM_SEC_RLIMIT, &n);
	for (uint32_t i = 0; i < n; i++) {
		struct rlimit want = {r[i].value, r[i].value}, have;
		__rlimit_resource_t res = (__rlimit_resource_t)r[i].resource;
		/* Init needs a few itself, listener included: the workload's own number comes last. */
		if (res == RLIMIT_NOFILE && want.rlim_max < INIT_FILES)
			want.rlim_cur = want.rlim_max = INIT_FILES;
		if (getrlimit(res, &have) < 0)
			fail(b, OM_STAGE_RLIMIT, errno, i);
		if (setrlimit(res, &want) == 0)
			continue;
		/* A raise that fails leaves the brane more confined than asked; a lowering, less. */
		if (want.rlim_max <= have.rlim_max)
			fail(b, OM_STAGE_RLIMIT, errno, i);
		want.rlim_cur = want.rlim_max = have.rlim_max;
		if (setrlimit(res, &want) < 0)
			fail(b, OM_STAGE_RLIMIT, errno, i);
	}
}

/* In the workload, right before its program: lowering needs no privilege. */
static void few_files(const struct om_birth *b)
{
	uint32_t n = 0;
	const struct om_b_rlimit *r = om_bundle_section(&b->bundle, OM_SEC_RLIMIT, &n);
	for (uint32_t i = 0; i < n; i++) {
		struct rlimit want = {r[i].value, r[i].value};
		if (r[i].resource == RLIMIT_NOFILE && r[i].value < INIT_FILES &&
		    setrlimit(RLIMIT_NOFILE, &want) < 0)
			fail(b, OM_STAGE_RLIMIT, errno, i);
	}
}

/* 0, 1, 2 and the three pipes stay; everything else the shim or the load role left open goes. */
static void descriptors(struct om_birth *b)
{
	int *keep[3] = {&b->report, &b->go, &b->status};

	/* Away from 0-5 first, so that no dup2 below lands on one that is still needed. */
	for (int i = 0; i < 3; i++) {
		int fd = fcntl(*keep[i], F_DUPFD_CLOEXEC, 64);
		if (fd < 0)
			fail(b, OM_STAGE_FDS, errno, 0);
		*keep[i] = fd;
	}
	for (int i = 0; i < 3; i++) {
		int fd = fcntl(b->stdio[i], F_DUPFD_CLOEXEC, 64);
		if (fd < 0)
			fail(b, OM_STAGE_STDIO, errno, (uint32_t)i);
		b->stdio[i] = fd;
	}
	for (int i = 0; i < 3; i++)
		if (dup2(b->stdio[i], i) < 0)
			fail(b, OM_STAGE_STDIO, errno, (uint32_t)i);
	for (int i = 0; i < 3; i++) {
		if (dup3(*keep[i], 3 + i, O_CLOEXEC) < 0)
			fail(b, OM_STAGE_FDS, errno, 0);
		*keep[i] = 3 + i;
	}
	if (close_range(6, ~0u, 0) < 0)
		fail(b, OM_STAGE_FDS, errno, 0);
}

/*
 * In the host's network namespace, abstract unix names lead to the host's daemons. Where BPF-LSM does
 * not decide, Landlock keeps the brane to its own (6.12 and later; nothing else can: the name lies in
 * memory). Not beside BPF-LSM: Landlock answers first, and leaves no record.
 */
static void abstract_names(const struct om_birth *b)
{
	struct {
		uint64_t fs, net, scoped;
	} attr = {.scoped = 1 /* LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET */};

	if (b->bundle.meta->netns || b->plan->layers & OM_LAYER_KERNEL ||
	    !(b->plan->layers & OM_LAYER_PROCESS))
		return;
	int fd = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof(attr), 0);
	/* E2BIG, EINVAL: a kernel that does not know scopes. */
	if (fd < 0 && (errno == ENOSYS || errno == EOPNOTSUPP || errno == E2BIG || errno == EINVAL))
		return;
	if (fd < 0 || syscall(SYS_landlock_restrict_self, fd, 0) < 0)
		fail(b, OM_STAGE_CAPS, errno, 3);
	close(fd);
}

static void privileges(const struct om_birth *b)
{
	uint32_t user = b->bundle.meta->user;
	int ret = om_caps_drop();
	if (ret < 0)
		fail(b, OM_STAGE_CAPS, ret, 0);
	if (setgroups(0, NULL) < 0 || setresgid(user, user, user) < 0 ||
	    setresuid(user, user, user) < 0)
		fail(b, OM_STAGE_USER, errno, 0);
	ret = om_caps_clear();
	if (ret < 0)
		fail(b, OM_STAGE_CAPS, ret, 0);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		fail(b, OM_STAGE_CAPS, errno, 1);
	abstract_names(b);
	/* Nobody would answer for a brane whose supervisor is gone. Reset by setresuid, so set after. */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0)
		fail(b, OM_STAGE_CAPS, errno, 2);
}

static void signals(const struct om_birth *b)
{
	struct sigaction dfl = {.sa_handler = SIG_DFL};
	sigset_t none;

	/* Inherited dispositions are an input: with SIGCHLD ignored no status would ever be seen. */
	for (int sig = 1; sig <= SIGRTMAX; sig++)
		if (sigaction(sig, &dfl, NULL) < 0 && errno != EINVAL)
			fail(b, OM_STAGE_SIGNALS, errno, (uint32_t)sig);
	sigemptyset(&none);
	if (sigprocmask(SIG_SETMASK, &none, NULL) < 0)
		fail(b, OM_STAGE_SIGNALS, errno, 0);
	umask(022);
}

static void filter(const struct om_birth *b)
{
	uint32_t n = 0;
	const struct om_b_insn *insns = om_bundle_section(&b->bundle, OM_SEC_SECCOMP, &n);
	char go;

	if (n == 0)
		return;
	int fd = om_seccomp_install(insns, n);
	if (fd < 0)
		fail(b, OM_STAGE_SECCOMP, fd, 0);
	struct om_report r = {.kind = OM_REPORT_LISTENER, .value = fd};
	if (write(b->report, &r, sizeof(r)) != (ssize_t)sizeof(r) || read(b->go, &go, 1) != 1)
		_exit(127); /* no supervisor, no workload */
	close(fd);	    /* a member that holds it could answer for itself */
}

static void reap(const struct om_birth *b, pid_t main_pid) OM_NORETURN;
static void reap(const struct om_birth *b, pid_t main_pid)
{
	/* Holding these open would hide the end of the workload's output and of the start. */
	close(0);
	close(1);
	close(2);
	close(b->report);
	close(b->go);
	for (;;) {
		int status = 0;
		pid_t pid = (pid_t)syscall(SYS_wait4, -1, &status, __WALL, NULL);
		if (pid < 0 && errno == EINTR)
			continue;
		if (pid >= 0 && pid != main_pid)
			continue;
		struct om_init_status s = {.status = status};
		ssize_t n = pid < 0 ? 0 : write(b->status, &s, sizeof(s));
		/* With pid 1 the kernel ends whatever the workload left behind. */
		_exit(n == (ssize_t)sizeof(s) ? 0 : 1);
	}
}

void om_init_run(const struct om_birth *outer)
{
	struct om_birth b = *outer;
	bool process = b.plan->layers & OM_LAYER_PROCESS;

	if (process && unshare(CLONE_NEWCGROUP) < 0)
		fail(&b, OM_STAGE_CGROUP_NS, errno, 0);
	if (!process && prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0)
		fail(&b, OM_STAGE_BIRTH, errno, 0);
	/* A session of its own: no controlling terminal, so nothing to push input into (TIOCSTI). */
	setsid();
	limits(&b);
	descriptors(&b);
	privileges(&b);
	signals(&b);
	if (process)
		filter(&b);
	/* The raw call: clone3 is refused by filters, whose flags seccomp cannot see. */
	long pid = syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);
	if (pid < 0)
		fail(&b, OM_STAGE_EXEC, errno, 1);
	if (pid > 0)
		reap(&b, (pid_t)pid);
	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0)
		fail(&b, OM_STAGE_EXEC, errno, 2);
	few_files(&b);
	execve(b.argv[0], b.argv, b.envp);
	fail(&b, OM_STAGE_EXEC, errno, 0);
}
