/*
 * Capabilities to zero, and the seccomp filter of the bundle.
 *
 * Comes in: instructions made by policies/emit. Goes out: a task without privilege; the listener.
 * Called by: loader/process/init.c in the brane's pid 1. Never does: generate or change a filter.
 */
#include <errno.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <linux/securebits.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <loader/process/process.h>

#ifndef SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
#define SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (1UL << 5) /* linux/seccomp.h of 5.19 */
#endif

OM_STATIC_ASSERT(sizeof(struct om_b_insn) == sizeof(struct sock_filter));

int om_seccomp_install(const struct om_b_insn *insns, uint32_t count)
{
	struct sock_fprog prog = {
		.len = (unsigned short)count,
		.filter = (struct sock_filter *)(uintptr_t)insns,
	};
	if (count == 0 || count > OM_SECCOMP_INSNS_MAX)
		return -EINVAL;
	/*
	 * Without WAIT_KILLABLE_RECV a signal restarts a call that was already recorded, and one attempt
	 * would be two records. Older kernels refuse the flag.
	 */
	long fd = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
			  SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV,
			  &prog);
	if (fd < 0 && errno == EINVAL)
		fd = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER,
			     &prog);
	return fd < 0 ? -errno : (int)fd;
}

int om_caps_drop(void)
{
	for (int cap = 0; cap < 64; cap++) {
		if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) == 0)
			continue;
		if (errno == EINVAL && cap > CAP_AUDIT_READ)
			break; /* past the last one this kernel knows */
		return -errno;
	}
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0)
		return -errno;
	/* uid 0, should the manifest ask for it, means nothing at execve, for good. */
	if (prctl(PR_SET_SECUREBITS,
		  SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_NO_SETUID_FIXUP |
			  SECBIT_NO_SETUID_FIXUP_LOCKED | SECBIT_KEEP_CAPS_LOCKED |
			  SECBIT_NO_CAP_AMBIENT_RAISE | SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED,
		  0, 0, 0) < 0)
		return -errno;
	return 0;
}

static int set_caps(uint32_t low)
{
	struct __user_cap_header_struct h = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct d[2];
	memset(d, 0, sizeof(d));
	d[0].effective = d[0].permitted = low;
	return syscall(SYS_capset, &h, d) < 0 ? -errno : 0;
}

int om_caps_clear(void)
{
	return set_caps(0);
}

int om_caps_keep_kill(void)
{
	return set_caps(1u << CAP_KILL);
}
