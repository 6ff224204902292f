/*
 * Row 52: the program's bytes under another name or in another file. A rule on the path of an executable
 * is left behind by `cp`.
 */
#include <sys/sendfile.h>

#include "tests/escape/lib/files.h"

static int copied(void)
{
	const char *path = esc_own("052-copy");
	int ret = esc_copy_to(path);

	return ret ? ret : esc_run(path);
}

static int renamed(void)
{
	const char *path = esc_own("052-before"), *to = esc_own("052-renamed");
	int ret = esc_copy_to(path);

	if (ret)
		return ret;
	return rename(path, to) < 0 ? errno : esc_run(to);
}

static int linked(void)
{
	const char *path = esc_own("052-first"), *to = esc_own("052-linked");
	int ret = esc_copy_to(path);

	if (ret)
		return ret;
	return link(path, to) < 0 ? errno : esc_run(to);
}

/* Under the name of a program that is granted. */
static int same_name(void)
{
	const char *slash = strrchr(esc_arg("self"), '/');
	const char *path = esc_own(slash ? slash + 1 : "052-self");
	int ret = esc_copy_to(path);

	return ret ? ret : esc_run(path);
}

static int symlinked(void)
{
	const char *path = esc_own("052-target"), *to = esc_own("052-symlink");
	int ret = esc_copy_to(path);

	if (ret)
		return ret;
	return symlink(path, to) < 0 ? errno : esc_run(to);
}

/* A file that may be written becomes the program, in place. */
static int changed_in_place(void)
{
	const char *path = esc_own("052-in-place");
	int fd = esc_make(path, 0755), ret;

	if (fd < 0)
		return errno;
	dprintf(fd, "no program yet\n");
	close(fd);
	ret = esc_copy_to(path);
	return ret ? ret : esc_run(path);
}

/* Not executable by its mode, which the brane may change. */
static int mode_changed(void)
{
	const char *path = esc_own("052-mode");
	int ret = esc_copy_to(path);

	if (ret)
		return ret;
	return chmod(path, 0600) < 0 || chmod(path, 0711) < 0 ? errno : esc_run(path);
}

/* To where programs are granted, in the brane that is granted it. */
static int copied_to_granted(void)
{
	const char *path = esc_in("dir", "sub/secret");
	int from = open(esc_arg("self"), O_RDONLY | O_CLOEXEC);
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	close(from);
	return fd < 0 ? errno : 0;
}

#define COPY(name, fn)                                      \
	{                                                   \
		name, fn, "file.exec", 1, ESC_OUTSIDE, NULL \
	}
static const struct esc_try tries[] = {
	COPY("copied", copied),
	COPY("renamed", renamed),
	COPY("linked", linked),
	COPY("same-name", same_name),
	COPY("symlinked", symlinked),
	COPY("changed-in-place", changed_in_place),
	COPY("mode-changed", mode_changed),
	{"into-granted-tree", copied_to_granted, "file.absent|file.write", 1, ESC_INSIDE, NULL},
};

ESC_ROW(52, "copy, rename or change the program", "file_open and bprm_check_security by object",
	tries);
