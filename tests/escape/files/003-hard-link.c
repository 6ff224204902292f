/*
 * Row 3: a second name for the object, at a place that is granted. From then on the path that the kernel
 * reports is the new one, and a rule on paths is satisfied.
 */
#include "tests/escape/lib/files.h"

static int read_as(int ret, const char *path)
{
	return ret < 0 ? errno : esc_open_read(AT_FDCWD, path, O_RDONLY);
}

static const char *beside(const char *name)
{
	const char *path = esc_in("dir", name);

	/* Left by an earlier run; in a brane that may not see it this is no attempt at anything. */
	if (esc_outside())
		unlink(path);
	return path;
}

static int by_link(void)
{
	const char *path = esc_own("003-link");

	return read_as(link(esc_secret(), path), path);
}

static int by_linkat(void)
{
	const char *path = esc_own("003-linkat");

	return read_as(linkat(AT_FDCWD, esc_secret(), AT_FDCWD, path, AT_SYMLINK_FOLLOW), path);
}

static int of_symlink(void)
{
	const char *sym = esc_own("003-symlink"), *path = esc_own("003-of-symlink");

	if (symlink(esc_secret(), sym) < 0)
		return errno;
	return read_as(linkat(AT_FDCWD, sym, AT_FDCWD, path, AT_SYMLINK_FOLLOW), path);
}

/* From a descriptor that only locates: needs a capability, or procfs. */
static int of_descriptor(void)
{
	const char *path = esc_own("003-descriptor");
	int fd = open(esc_secret(), O_PATH | O_CLOEXEC);

	return fd < 0 ? errno : read_as(linkat(fd, "", AT_FDCWD, path, AT_EMPTY_PATH), path);
}

static int in_place(void)
{
	const char *path = beside("003-in-place");
	int ret = link(esc_secret(), path);

	if (ret < 0 && errno == EEXIST)
		ret = 0;
	return read_as(ret, path);
}

static const struct esc_try tries[] = {
	{"link", by_link, "file.absent|file.read", 1, ESC_OUTSIDE, NULL},
	{"linkat", by_linkat, "file.absent|file.read", 1, ESC_OUTSIDE, NULL},
	{"of-symlink", of_symlink, "file.absent|file.read", 1, ESC_OUTSIDE, NULL},
	{"of-descriptor", of_descriptor, "file.absent|file.read", 1, ESC_OUTSIDE, NULL},
	{"in-place", in_place, "file.absent|file.read", 1, ESC_INSIDE, NULL},
};

ESC_ROW(3, "hard link, then open by the new name", "the view; path_link", tries);
