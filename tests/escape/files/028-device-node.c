/*
 * Row 28: a device node at a place that the brane may write opens the host's hardware by a name that no
 * rule knows.
 */
#include <sys/sysmacros.h>

#include "tests/escape/lib/files.h"

#define MEMORY makedev(1, 1)

static int node(const char *name, mode_t type, dev_t dev)
{
	const char *path = esc_own(name);
	int ret = mknod(path, type | 0600, dev) < 0 ? errno : 0;

	unlink(path);
	return ret;
}

static int memory(void)
{
	return node("028-mem", S_IFCHR, MEMORY);
}

static int disk(void)
{
	return node("028-disk", S_IFBLK, makedev(8, 0));
}

static int by_mknodat(void)
{
	const char *path = esc_own("028-at");
	int fd = open(esc_arg("write"), O_PATH | O_DIRECTORY | O_CLOEXEC);
	int ret = syscall(SYS_mknodat, fd, "028-at", S_IFCHR | 0600, MEMORY) < 0 ? errno : 0;

	unlink(path);
	return ret;
}

/* What needs no capability: the node of device 0:0 that overlayfs takes for "removed". */
static int whiteout(void)
{
	return node("028-whiteout", S_IFCHR, 0);
}

static int made_and_opened(void)
{
	const char *path = esc_own("028-kmsg");
	int ret;

	if (mknod(path, S_IFCHR | 0600, makedev(1, 11)) < 0)
		return errno;
	ret = esc_errno(open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC));
	unlink(path);
	return ret;
}

/* Those that the host has. */
static int hosts_node(void)
{
	return esc_errno(open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC));
}

static const struct esc_try tries[] = {
	{"memory", memory, "device", 1, ESC_OUTSIDE, NULL},
	{"disk", disk, "device", 1, ESC_OUTSIDE, NULL},
	{"mknodat", by_mknodat, "device", 1, ESC_OUTSIDE, NULL},
	{"whiteout", whiteout, "device", 1, ESC_OUTSIDE, NULL},
	{"opened", made_and_opened, "device", 1, ESC_OUTSIDE, NULL},
	{"hosts-node", hosts_node, "file.absent|device|file.read", 1, ESC_OUTSIDE, NULL},
};

ESC_ROW(28, "mknod of a device, and its open", "path_mknod; cgroup device program", tries);
