/*
 * Row 70: calls that no hook but the one for capabilities sees: the machine's end, its name, watching all
 * of its files, other namespaces.
 */
#include <linux/reboot.h>
#include <sched.h>
#include <sys/fanotify.h>
#include <sys/utsname.h>

#include "tests/escape/lib/escape.h"

static bool outside(void)
{
	return !strcmp(esc_arg("mode"), "outside");
}

/* A magic number that is wrong: EINVAL comes after the capability. */
static int reboot_(void)
{
	int ret = esc_errno(
		syscall(SYS_reboot, LINUX_REBOOT_MAGIC1, 1, LINUX_REBOOT_CMD_RESTART, NULL));

	return ret == EINVAL ? 0 : ret;
}

static int host_name(void)
{
	struct utsname u;

	uname(&u);
	return esc_errno(sethostname(u.nodename, strlen(u.nodename)));
}

static int domain_name(void)
{
	struct utsname u;

	uname(&u);
	return esc_errno(setdomainname(u.domainname, strlen(u.domainname)));
}

static int fanotify(void)
{
	return esc_errno(fanotify_init(FAN_CLASS_CONTENT | FAN_CLOEXEC, O_RDONLY | O_CLOEXEC));
}

/* The form for everybody, since 5.13. */
static int fanotify_user(void)
{
	return esc_errno(fanotify_init(FAN_CLASS_NOTIF | FAN_REPORT_FID | FAN_CLOEXEC, O_RDONLY));
}

static int mark(void)
{
	int fd = outside() ? fanotify_init(FAN_CLASS_NOTIF | FAN_CLOEXEC, O_RDONLY | O_CLOEXEC) : 1;

	return esc_errno(fanotify_mark(fd, FAN_MARK_ADD | FAN_MARK_MOUNT, FAN_OPEN, AT_FDCWD,
				       esc_arg("write")));
}

static int mount_namespace(void)
{
	return esc_errno(unshare(CLONE_NEWNS));
}

static int own_namespace(void)
{
	int fd = (int)syscall(SYS_pidfd_open, getpid(), 0);

	return fd < 0 ? errno : esc_errno(setns(fd, CLONE_NEWUTS));
}

static int hang_up(void)
{
	return esc_errno(vhangup());
}

static const struct esc_try tries[] = {
	{"reboot", reboot_, "syscall", 1, ESC_OUTSIDE, NULL},
	{"sethostname", host_name, "syscall", 1, ESC_OUTSIDE, NULL},
	{"setdomainname", domain_name, "syscall", 1, ESC_OUTSIDE, NULL},
	{"fanotify-init", fanotify, "syscall", 1, ESC_OUTSIDE, NULL},
	{"fanotify-init-user", fanotify_user, "syscall", 1, ESC_OUTSIDE, NULL},
	{"fanotify-mark", mark, "syscall", 1, ESC_OUTSIDE, NULL},
	{"unshare", mount_namespace, "syscall", 1, ESC_OUTSIDE, NULL},
	{"setns", own_namespace, "syscall", 1, ESC_OUTSIDE, NULL},
	{"vhangup", hang_up, "syscall", 1, ESC_OUTSIDE, NULL},
};

ESC_ROW(70, "reboot, sethostname, fanotify_init, setns", "filter, no capability", tries);
