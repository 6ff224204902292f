/*
 * Row 84: programs that the kernel starts by itself, as root of the host and outside every cgroup: when a
 * cgroup (version 1) empties, when a module is wanted, when a process crashes, when the power goes. Their names are in files.
 */
#include <linux/mount.h>
#include <sys/mount.h>

#include "tests/escape/lib/escape.h"

static bool outside(void)
{
	return !strcmp(esc_arg("mode"), "outside");
}

/* A hierarchy with no controller and a name of its own has a release_agent like all. */
static int version_1(void)
{
	int ret =
		esc_errno(mount("none", esc_arg("write"), "cgroup", 0, "none,name=omega-test-esc"));
	int fd;

	if (ret == ENODEV || (ret == EINVAL && outside()))
		return esc_skip("this kernel has no cgroups of version 1");
	if (ret)
		return ret;
	fd = open(esc_in("write", "release_agent"), O_WRONLY | O_CLOEXEC);
	ret = fd < 0 ? errno : esc_errno(write(fd, "/bin/true", 9));
	if (fd >= 0)
		close(fd);
	umount2(esc_arg("write"), MNT_DETACH);
	return ret;
}

static int version_1_detached(void)
{
	int fs = (int)syscall(SYS_fsopen, "cgroup", FSOPEN_CLOEXEC);

	if (fs < 0 && errno == ENODEV)
		return esc_skip("this kernel has no cgroups of version 1");
	if (fs < 0)
		return errno;
	close(fs);
	return 0;
}

static int rewritten(const char *path)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);
	char buf[256];
	ssize_t n;

	if (fd < 0 && errno == ENOENT && outside())
		return esc_skip("this kernel has no such file");
	if (fd < 0)
		return errno;
	n = pread(fd, buf, sizeof(buf), 0);
	return n < 0 ? errno : esc_errno(pwrite(fd, buf, (size_t)n, 0));
}

static int poweroff(void)
{
	return rewritten("/proc/./sys/kernel/poweroff_cmd");
}

static int modprobe(void)
{
	return rewritten("/proc/./sys/kernel/modprobe");
}

static int core_pattern(void)
{
	return rewritten("/proc/./sys/kernel/core_pattern");
}

static int capabilities(void)
{
	return rewritten("/proc/./sys/kernel/usermodehelper/bset");
}

static const struct esc_try tries[] = {
	{"cgroup-v1", version_1, "syscall", 1, ESC_OUTSIDE, NULL},
	{"cgroup-v1-fsopen", version_1_detached, "syscall", 1, ESC_OUTSIDE, NULL},
	{"poweroff-cmd", poweroff, "file.absent", 1, ESC_OUTSIDE, NULL},
	{"modprobe", modprobe, "file.absent", 1, ESC_OUTSIDE, NULL},
	{"core-pattern", core_pattern, "file.absent", 1, ESC_OUTSIDE, NULL},
	{"usermodehelper", capabilities, "file.absent", 1, ESC_OUTSIDE, NULL},
};

ESC_ROW(84, "release_agent and the kernel's other helpers", "filter, the view, mount hooks", tries);
