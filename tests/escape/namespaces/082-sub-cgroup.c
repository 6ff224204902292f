/*
 * Row 82: a cgroup below the own one has another id: who knows the leaf's only does not know it. Here the
 * brane is an ancestor, and the tree is not in the view.
 */
#include <linux/mount.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "tests/escape/lib/escape.h"

static bool outside(void)
{
	return !strcmp(esc_arg("mode"), "outside");
}

static const char *sub(const char *name)
{
	static char path[512];

	if (outside())
		snprintf(path, sizeof(path), "%s/omega-test-esc-%s", esc_arg("cgroup"), name);
	else
		snprintf(path, sizeof(path), "%s/%s/%s", esc_arg("branes"), esc_arg("brane"), name);
	return path;
}

static int made(void)
{
	int ret = esc_errno(mkdir(sub("made"), 0755));

	if (!ret)
		rmdir(sub("made"));
	return ret;
}

static int opened(void)
{
	char path[512];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", esc_arg("branes"), esc_arg("brane"));
	fd = open(outside() ? esc_arg("cgroup") : path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? errno : 0;
}

/* A mount of one's own shows the tree from one's cgroup namespace down: enough for a sub-cgroup. */
static int mounted(void)
{
	int ret = esc_errno(mount("none", esc_arg("write"), "cgroup2", 0, NULL));

	if (ret)
		return ret;
	ret = esc_errno(mkdir(esc_in("write", "omega-test-esc-mounted"), 0755));
	rmdir(esc_in("write", "omega-test-esc-mounted"));
	umount2(esc_arg("write"), MNT_DETACH);
	return ret;
}

static int detached(void)
{
	int fs = (int)syscall(SYS_fsopen, "cgroup2", FSOPEN_CLOEXEC), fd;

	if (fs < 0 || syscall(SYS_fsconfig, fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return errno;
	fd = (int)syscall(SYS_fsmount, fs, FSMOUNT_CLOEXEC, 0);
	if (fd < 0 || mkdirat(fd, "omega-test-esc-detached", 0755) < 0)
		return errno;
	return esc_errno(unlinkat(fd, "omega-test-esc-detached", AT_REMOVEDIR));
}

static const struct esc_try tries[] = {
	{"mkdir", made, "file.create", 1, ESC_OUTSIDE, NULL},
	{"open", opened, "file.absent", 1, ESC_OUTSIDE, NULL},
	{"mount", mounted, "syscall", 1, ESC_OUTSIDE, NULL},
	{"fsmount", detached, "syscall", 1, ESC_OUTSIDE, NULL},
};

ESC_ROW(82, "sub-cgroup", "the view, filter; the brane is found as an ancestor", tries);
