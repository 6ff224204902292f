/*
 * Row 77: the kernel's settings are files. Each try writes back what it reads; the last goes by a mount of
 * procfs of one's own.
 */
#include <sys/mount.h>

#include "tests/escape/lib/escape.h"

static int rewritten(const char *path)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);
	char buf[256];
	ssize_t n;

	if (fd < 0)
		return errno;
	n = pread(fd, buf, sizeof(buf), 0);
	return n < 0 ? errno : esc_errno(pwrite(fd, buf, (size_t)n, 0));
}

static int host_name(void)
{
	return rewritten("/proc/sys/kernel/hostname");
}

static int forwarding(void)
{
	return rewritten("/proc/sys/net/ipv4/conf/lo/forwarding");
}

static int port_range(void)
{
	return rewritten("/proc/sys/net/ipv4/ip_local_port_range");
}

static int overcommit(void)
{
	return rewritten("/proc/sys/vm/overcommit_memory");
}

static int by_self(void)
{
	return rewritten("/proc/self/../sys/kernel/panic");
}

static int sysrq(void)
{
	int fd = open("/proc/./sysrq-trigger", O_WRONLY | O_CLOEXEC);

	if (fd < 0 && errno == ENOENT && !strcmp(esc_arg("mode"), "outside"))
		return esc_skip("no sysrq in this kernel");
	return fd < 0 ? errno : 0; /* opened; nothing is written */
}

static int own_proc(void)
{
	int ret = esc_errno(mount("proc", esc_arg("write"), "proc", 0, NULL));

	if (ret)
		return ret;
	ret = rewritten(esc_in("write", "sys/kernel/panic"));
	umount2(esc_arg("write"), MNT_DETACH);
	return ret;
}

static const struct esc_try tries[] = {
	{"hostname", host_name, "file.absent", 1, ESC_OUTSIDE, NULL},
	{"forwarding", forwarding, "file.absent", 1, ESC_OUTSIDE, NULL},
	{"port-range", port_range, "file.absent", 1, ESC_OUTSIDE, NULL},
	{"overcommit", overcommit, "file.absent", 1, ESC_OUTSIDE, NULL},
	{"by-self", by_self, "file.absent", 1, ESC_OUTSIDE, NULL},
	{"sysrq-trigger", sysrq, "file.absent", 1, ESC_OUTSIDE, NULL},
	{"own-proc", own_proc, "syscall", 1, ESC_OUTSIDE, NULL},
};

ESC_ROW(77, "sysctl writes", "the view, filter, mount hooks", tries);
