/*
 * Row 58: files in which the kernel is told what to run: such a helper is started by the kernel, as
 * root, outside of every cgroup and namespace.
 */
#include <sys/mount.h>

#include "tests/escape/lib/files.h"

/* For writing, which is all it needs; nothing is written. */
static int opened(const char *path)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC), ret = esc_errno(fd);

	if (fd >= 0)
		close(fd);
	if (ret == ENOENT && esc_outside())
		return esc_skip("this kernel has no such file");
	return ret;
}

static int core_pattern(void)
{
	return opened("/proc/sys/kernel/core_pattern");
}

static int modprobe(void)
{
	return opened("/proc/sys/kernel/modprobe");
}

static int poweroff(void)
{
	return opened("/proc/sys/kernel/poweroff_cmd");
}

static int address_layout(void)
{
	return opened("/proc/sys/kernel/randomize_va_space");
}

static int sysrq(void)
{
	return opened("/proc/sysrq-trigger");
}

static int own_proc(void)
{
	const char *path = esc_in("write", "058-proc");

	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return errno;
	if (mount("proc", path, "proc", 0, NULL) < 0)
		return errno;
	return opened(esc_in("write", "058-proc/sys/kernel/core_pattern"));
}

static const struct esc_try tries[] = {
	{"core_pattern", core_pattern, "file.absent|file.write", 1, ESC_OUTSIDE, NULL},
	{"modprobe", modprobe, "file.absent|file.write", 1, ESC_OUTSIDE, NULL},
	{"poweroff_cmd", poweroff, "file.absent|file.write", 1, ESC_OUTSIDE, NULL},
	{"randomize", address_layout, "file.absent|file.write", 1, ESC_OUTSIDE, NULL},
	{"sysrq", sysrq, "file.absent|file.write", 1, ESC_OUTSIDE, NULL},
	{"own-proc", own_proc, "syscall|mount", 1, ESC_OUTSIDE, NULL},
};

ESC_ROW(58, "core_pattern, modprobe and other helpers of the kernel", "the view; seccomp", tries);
