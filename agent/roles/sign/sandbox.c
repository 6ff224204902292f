/*
 * Sandbox of the sign role: numbered steps, each of which must succeed.
 *
 * Comes in: a fresh process. Goes out: a confined one. Called by: main.c. Never does: skip a step
 * with a warning; this process holds the keys that make the log worth reading.
 */
#include <errno.h>
#include <linux/capability.h>
#include <seccomp.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "agent/roles/sign/sandbox.h"

static int fail(struct om_err *err, const char *step)
{
	return om_err_sys(err, OM_ERR_SANDBOX, errno ? -errno : -EPERM, "sign role: %s", step);
}

int om_sign_harden(struct om_err *err)
{
	const struct rlimit none = {0, 0};
	struct rlimit lock = {RLIM_INFINITY, RLIM_INFINITY};

	/* 1. A core file or a debugger would hold the keys. */
	if (setrlimit(RLIMIT_CORE, &none) < 0)
		return fail(err, "no core files");
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		return fail(err, "not dumpable");
	/* 2. Locked key memory for every brane; without the privilege the old limit must do. */
	if (setrlimit(RLIMIT_MEMLOCK, &lock) < 0 && errno != EPERM)
		return fail(err, "memory lock limit");
	/* 3. Nothing that is executed later could gain a privilege. */
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return fail(err, "no new privileges");
	return 0;
}

static int drop_capabilities(struct om_err *err)
{
	struct __user_cap_header_struct h = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct none[2] = {{0}};

	for (int cap = 0; cap < 64; cap++)
		if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0 && errno != EINVAL && errno != EPERM)
			return fail(err, "bounding set");
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0)
		return fail(err, "ambient capabilities");
	if (syscall(SYS_capset, &h, none) < 0)
		return fail(err, "capabilities");
	return 0;
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_UNDEFINED__)
/* Sanitizers map, read /proc and stop threads at will: their builds run without the filter. */
static int filter(struct om_err *err)
{
	return 0;
}
#else
static void free_filter(scmp_filter_ctx *ctx)
{
	if (*ctx)
		seccomp_release(*ctx);
}

/*
 * What the loop needs: its socket, overwriting next.key in place, memory for branes, randomness for
 * keys, exit. No open, no socket, no exec, no clone: taken over, it can only sign or die.
 */
static int filter(struct om_err *err)
{
	static const int allowed[] = {
		SCMP_SYS(recvfrom),
		SCMP_SYS(recvmsg),
		SCMP_SYS(sendmsg),
		SCMP_SYS(sendto),
		SCMP_SYS(pwrite64),
		SCMP_SYS(write),
		SCMP_SYS(close),
		SCMP_SYS(brk),
		SCMP_SYS(mmap),
		SCMP_SYS(munmap),
		SCMP_SYS(mremap),
		SCMP_SYS(mprotect),
		SCMP_SYS(madvise),
		SCMP_SYS(mlock),
		SCMP_SYS(munlock),
		SCMP_SYS(getrandom),
		SCMP_SYS(futex),
		SCMP_SYS(clock_gettime),
		SCMP_SYS(rt_sigreturn),
		SCMP_SYS(rt_sigprocmask),
		SCMP_SYS(restart_syscall),
		SCMP_SYS(sysinfo), /* qsort asks for it when many branes are in one batch */
		SCMP_SYS(getpid),
		SCMP_SYS(gettid),
		SCMP_SYS(exit),
		SCMP_SYS(exit_group),
		SCMP_SYS(read),
	};
	OM_CLEANUP(free_filter) scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_KILL_PROCESS);
	int ret = ctx ? 0 : -ENOMEM;

	for (size_t i = 0; ret == 0 && i < OM_ARRAY_LEN(allowed); i++)
		ret = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, allowed[i], 0);
	if (ret == 0)
		ret = seccomp_load(ctx);
	if (ret < 0)
		return om_err_sys(err, OM_ERR_SANDBOX, ret, "sign role: seccomp");
	return 0;
}
#endif

int om_sign_confine(struct om_err *err)
{
	int ret = drop_capabilities(err);

	return ret < 0 ? ret : filter(err);
}
