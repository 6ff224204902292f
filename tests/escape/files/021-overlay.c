/*
 * Row 21: over an overlay of the brane's own making a file has another identity, and a write copies it
 * to where the brane may write.
 */
#include <sys/mount.h>

#include "tests/escape/lib/files.h"

static int make(const char *name)
{
	return mkdir(esc_in("write", name), 0700) < 0 && errno != EEXIST ? -1 : 0;
}

static int mounted(void)
{
	char options[2048];

	if (make("021") < 0)
		return errno;
	/* Upper and work directories must be of a file system that takes them. */
	if (esc_outside() && mount("tmpfs", esc_in("write", "021"), "tmpfs", 0, NULL) < 0)
		return errno;
	if (make("021/upper") < 0 || make("021/work") < 0 || make("021/merged") < 0)
		return errno;
	snprintf(options, sizeof(options), "lowerdir=%s,upperdir=%s,workdir=%s", esc_arg("dir"),
		 esc_in("write", "021/upper"), esc_in("write", "021/work"));
	if (!mount("overlay", esc_in("write", "021/merged"), "overlay", 0, options))
		return 0;
	return errno == ENODEV && esc_outside() ? esc_skip("no overlayfs in this kernel") : errno;
}

static int read_merged(void)
{
	int ret = mounted();

	return ret ? ret : esc_open_read(AT_FDCWD, esc_in("write", "021/merged/secret"), O_RDONLY);
}

static int copied_up(void)
{
	int ret = mounted();

	if (ret)
		return ret;
	int fd = open(esc_in("write", "021/merged/secret"), O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return errno;
	close(fd);
	return esc_open_read(AT_FDCWD, esc_in("write", "021/upper/secret"), O_RDONLY);
}

static const struct esc_try tries[] = {
	{"read", read_merged, "syscall|mount", 1, ESC_OUTSIDE, NULL},
	{"copy-up", copied_up, "syscall|mount", 1, ESC_OUTSIDE, NULL},
};

ESC_ROW(21, "overlayfs: copy-up changes identity", "seccomp; sb_mount", tries);
