/* Row 72: swap, process accounting, quotas, the kernel's log: root's housekeeping, each with another check. */
#include <sys/quota.h>
#include <sys/swap.h>

#include "tests/escape/lib/escape.h"

static int swap_on(void)
{
	int ret = esc_errno(swapon(esc_in("write", "no-such-swap"), 0));

	return ret == ENOENT ? 0 : ret; /* it looked for it */
}

static int swap_off(void)
{
	int ret = esc_errno(swapoff(esc_in("write", "no-such-swap")));

	return ret == ENOENT || ret == EINVAL ? 0 : ret;
}

static int accounting(void)
{
	return esc_errno(acct(NULL)); /* off, which it is */
}

static int quota(void)
{
	char info[256];
	int ret = esc_errno(syscall(SYS_quotactl, QCMD(Q_GETINFO, USRQUOTA), "/dev/null", 0, info));

	return ret == ENOTBLK || ret == ENODEV || ret == ESRCH || ret == ENOSYS ? 0 : ret;
}

static int quota_fd(void)
{
	char info[256];
	int fd = open(esc_arg("write"), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int ret = esc_errno(syscall(SYS_quotactl_fd, fd, QCMD(Q_GETINFO, USRQUOTA), 0, info));

	return ret == ENODEV || ret == ESRCH || ret == ENOSYS || ret == ENOTBLK ? 0 : ret;
}

static int log_read(void)
{
	char buf[256];

	return esc_errno(syscall(SYS_syslog, 3 /* all there is */, buf, sizeof(buf)));
}

static int log_level(void)
{
	return esc_errno(syscall(SYS_syslog, 10 /* the buffer's size */, NULL, 0));
}

static int kmsg(void)
{
	int fd = open("/dev/./kmsg", O_WRONLY | O_CLOEXEC);

	return fd < 0 ? errno : 0;
}

static int proc_kmsg(void)
{
	int fd = open("/proc/kmsg", O_RDONLY | O_CLOEXEC);

	return fd < 0 ? errno : 0;
}

static const struct esc_try tries[] = {
	{"swapon", swap_on, "syscall", 1, ESC_OUTSIDE, NULL},
	{"swapoff", swap_off, "syscall", 1, ESC_OUTSIDE, NULL},
	{"acct", accounting, "syscall", 1, ESC_OUTSIDE, NULL},
	{"quotactl", quota, "syscall", 1, ESC_OUTSIDE, NULL},
	{"quotactl-fd", quota_fd, "syscall", 1, ESC_OUTSIDE, NULL},
	{"syslog-read", log_read, "syscall", 1, ESC_OUTSIDE, NULL},
	{"syslog-size", log_level, "syscall", 1, ESC_OUTSIDE, NULL},
	{"dev-kmsg", kmsg, "file.absent", 1, ESC_OUTSIDE, NULL},
	{"proc-kmsg", proc_kmsg, "file.absent", 1, ESC_OUTSIDE, NULL},
};

ESC_ROW(72, "swapon, acct, quotactl, syslog", "filter, the view, quotactl, syslog", tries);
