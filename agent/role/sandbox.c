/*
 * A role confines itself; the contract is in sandbox.h.
 *
 * Comes in: a descriptor. Goes out: the confined process. Called by: each role's main. Never does:
 * widen anything.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/landlock.h>
#include <seccomp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include "agent/role/sandbox.h"

/* What every event loop over inherited sockets needs. No path, no process, no new socket. */
static const int common[] = {
	SCMP_SYS(read),
	SCMP_SYS(write),
	SCMP_SYS(readv),
	SCMP_SYS(writev),
	SCMP_SYS(close),
	SCMP_SYS(recvmsg),
	SCMP_SYS(sendmsg),
	SCMP_SYS(recvfrom),
	SCMP_SYS(sendto),
	SCMP_SYS(poll),
	SCMP_SYS(ppoll),
	SCMP_SYS(epoll_wait),
	SCMP_SYS(epoll_pwait),
	SCMP_SYS(epoll_ctl),
	SCMP_SYS(epoll_create1),
	SCMP_SYS(munmap),
	SCMP_SYS(mremap),
	SCMP_SYS(madvise),
	SCMP_SYS(brk),
	SCMP_SYS(exit),
	SCMP_SYS(exit_group),
	SCMP_SYS(rt_sigreturn),
	SCMP_SYS(rt_sigprocmask),
	SCMP_SYS(rt_sigaction),
	SCMP_SYS(clock_gettime),
	SCMP_SYS(gettimeofday),
	SCMP_SYS(getpid),
	SCMP_SYS(gettid),
	SCMP_SYS(tgkill),
	SCMP_SYS(getrandom),
	SCMP_SYS(futex),
	SCMP_SYS(fstat),
	SCMP_SYS(lseek),
	SCMP_SYS(memfd_create),
	SCMP_SYS(ftruncate),
	SCMP_SYS(fcntl),
	SCMP_SYS(restart_syscall),
	SCMP_SYS(uname),
	SCMP_SYS(getuid),
	SCMP_SYS(sysinfo), /* qsort asks how much memory there is before it sorts a large array */
};

static int step(struct om_err *err, const char *what)
{
	return om_err_sys(err, OM_ERR_SANDBOX, errno ? -errno : -EPERM, "%s", what);
}

/*
 * The parent may have died before PDEATHSIG was set: then getppid() is no longer the process that
 * made the socket pair, which SO_PEERCRED remembers.
 */
static int die_with_parent(int sock, struct om_err *err)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);

	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0)
		return step(err, "PR_SET_PDEATHSIG");
	if (getsockopt(sock, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0)
		return step(err, "SO_PEERCRED");
	if (peer.pid != getppid()) {
		errno = ESRCH;
		return step(err, "the parent is gone");
	}
	return 0;
}

static int set_limit(int what, rlim_t value, struct om_err *err)
{
	struct rlimit now, want = {value, value};

	if (getrlimit((__rlimit_resource_t)what, &now) < 0)
		return step(err, "getrlimit");
	/* Only downwards: a host without CAP_SYS_RESOURCE cannot raise, and need not. */
	if (now.rlim_max != RLIM_INFINITY && now.rlim_max < value)
		want.rlim_cur = want.rlim_max = now.rlim_max;
	if (setrlimit((__rlimit_resource_t)what, &want) < 0)
		return step(err, "setrlimit");
	return 0;
}

static int limits(const struct om_role_desc *d, struct om_err *err)
{
	/* A core file of the load or drain role would hold other people's policies on disk. */
	int ret = d->syscalls ? set_limit(RLIMIT_CORE, 0, err) : 0;

	if (!ret && d->files_max)
		ret = set_limit(RLIMIT_NOFILE, d->files_max, err);
	if (!ret && d->no_processes)
		ret = set_limit(RLIMIT_NPROC, 0, err);
	return ret;
}

static int drop(const struct om_role_desc *d, struct om_err *err)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2] = {{0}};

	for (int cap = 0; cap <= 63; cap++) {
		if (d->caps & (1ull << cap))
			continue;
		if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0 && errno != EINVAL)
			return step(err, "capability bounding set");
	}
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0)
		return step(err, "ambient capabilities");
	if (d->uid) {
		if (setgroups(0, NULL) < 0 || setresgid(d->uid, d->uid, d->uid) < 0 ||
		    setresuid(d->uid, d->uid, d->uid) < 0)
			return step(err, "uid");
	}
	if (syscall(SYS_capget, &head, data) < 0)
		return step(err, "capget");
	for (unsigned int i = 0; i < 2; i++) {
		uint32_t keep = (uint32_t)(d->caps >> (32 * i));

		/* Never more than there is: a container may hold less than we list. */
		data[i].permitted &= keep;
		data[i].effective = data[i].permitted;
		data[i].inheritable = 0;
	}
	if (syscall(SYS_capset, &head, data) < 0)
		return step(err, "capset");
	return 0;
}

/*
 * A ruleset that handles every access and grants none. A kernel without Landlock leaves it to seccomp,
 * whose filter has no call that opens a path either: this is the second wall, not the first.
 */
static int close_paths(struct om_err *err)
{
	struct landlock_ruleset_attr attr = {.handled_access_fs = (1ull << 13) - 1};
	OM_CLEANUP(om_close_fd) int fd = -1;

	fd = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof(attr.handled_access_fs), 0);
	if (fd < 0)
		return errno == ENOSYS || errno == EOPNOTSUPP ? 0 : step(err, "Landlock");
	if (syscall(SYS_landlock_restrict_self, fd, 0) < 0)
		return step(err, "Landlock");
	return 0;
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_UNDEFINED__)
/* Sanitizers map, read /proc and symbolise at will: their builds run without the filter, and say so. */
static int filter(const struct om_role_desc *d, struct om_err *err)
{
	return 0;
}
#else
static int allow(scmp_filter_ctx ctx, const int *list, size_t n)
{
	int ret = 0;

	for (size_t i = 0; i < n && !ret; i++)
		ret = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, list[i], 0);
	return ret;
}

static int filter(const struct om_role_desc *d, struct om_err *err)
{
	/* Anything else kills: a role that calls it is no longer running our code. */
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_KILL_PROCESS);
	size_t n = 0;
	int ret = ctx ? 0 : -ENOMEM;

	while (d->syscalls[n] != -1)
		n++;
	if (!ret)
		ret = allow(ctx, common, OM_ARRAY_LEN(common));
	if (!ret)
		ret = allow(ctx, d->syscalls, n);
	/* Memory that is or becomes executable would be a place for someone else's code. */
	if (!ret)
		ret = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1,
				       SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	if (!ret)
		ret = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1,
				       SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	/* fstat(2) as the C library makes it; the flag keeps it from being a look at a path. */
	if (!ret)
		ret = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(newfstatat), 1,
				       SCMP_A3(SCMP_CMP_MASKED_EQ, AT_EMPTY_PATH, AT_EMPTY_PATH));
	if (!ret)
		ret = seccomp_load(ctx);
	seccomp_release(ctx);
	return ret ? om_err_sys(err, OM_ERR_SANDBOX, ret, "seccomp") : 0;
}
#endif

#ifdef __SANITIZE_ADDRESS__
/*
 * The leak check at exit traces its own process from a new thread: a confined role can do neither, and
 * would end as failed. The tests of the libraries look for leaks in the same code.
 */
static int cannot_be_traced;
int __lsan_is_turned_off(void);
int __lsan_is_turned_off(void)
{
	return cannot_be_traced;
}
#endif

int om_role_enter(const struct om_role_desc *d, int parent_sock, struct om_err *err)
{
#ifdef __SANITIZE_ADDRESS__
	cannot_be_traced = d->uid != 0 || d->no_processes;
#endif
	int ret = limits(d, err);

	if (!ret)
		ret = drop(d, err);
	/* After the uid change, which clears it. */
	if (!ret)
		ret = die_with_parent(parent_sock, err);
	if (!ret && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		ret = step(err, "no_new_privs");
	/* Keeps other processes of the same uid (nobody!) out of this one's memory and descriptors. */
	if (!ret && prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		ret = step(err, "dumpable");
	if (!ret && d->no_files)
		ret = close_paths(err);
	if (!ret && d->syscalls)
		ret = filter(d, err);
	return ret;
}
