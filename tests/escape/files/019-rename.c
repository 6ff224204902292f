/*
 * Row 19: the object, or the directory above it, is moved to where the manifest grants: rules on its old
 * path no longer name it.
 */
#include <linux/fs.h>

#include "tests/escape/lib/files.h"

/* Beside it and back: so that the next row finds it. */
static int moved(void)
{
	const char *to = esc_in("dir", "019-moved");
	int ret;

	if (rename(esc_secret(), to) < 0)
		return errno;
	ret = esc_open_read(AT_FDCWD, to, O_RDONLY);
	if (rename(to, esc_secret()) < 0)
		return errno;
	return ret;
}

static int moved_out(void)
{
	const char *to = esc_own("019-out");
	int ret;

	if (renameat(AT_FDCWD, esc_secret(), AT_FDCWD, to) < 0)
		return errno;
	ret = esc_open_read(AT_FDCWD, to, O_RDONLY);
	if (rename(to, esc_secret()) < 0)
		return errno;
	return ret;
}

static int directory_out(void)
{
	const char *sub = esc_in("dir", "sub"), *to = esc_in("write", "019-sub");
	char path[1024];
	int ret;

	if (rename(sub, to) < 0)
		return errno;
	snprintf(path, sizeof(path), "%s/secret", to);
	ret = esc_open_read(AT_FDCWD, path, O_RDONLY);
	if (rename(to, sub) < 0)
		return errno;
	return ret;
}

static int exchanged(void)
{
	const char *mine = esc_own("019-exchange");
	int fd = esc_make(mine, 0644), ret;

	if (fd < 0)
		return errno;
	close(fd);
	if (renameat2(AT_FDCWD, mine, AT_FDCWD, esc_secret(), RENAME_EXCHANGE) < 0)
		return errno;
	ret = esc_open_read(AT_FDCWD, mine, O_RDONLY);
	if (renameat2(AT_FDCWD, mine, AT_FDCWD, esc_secret(), RENAME_EXCHANGE) < 0)
		return errno;
	return ret;
}

/* The other way: something of the brane's own takes the place of the host's. */
static int replaced(void)
{
	const char *mine = esc_own("019-replace");
	int fd = esc_make(mine, 0644), ret;

	if (fd < 0)
		return errno;
	ret = write(fd, "secret\n", 7) == 7 ? 0 : errno;
	close(fd);
	if (ret)
		return ret;
	return esc_errno(rename(mine, esc_secret()));
}

#define NO_PARENT "the name is looked up through its parent, whose absence no hook reports"
static const struct esc_try tries[] = {
	{"moved", moved, "file.create|file.remove", 1, ESC_INSIDE, NULL},
	{"moved-out", moved_out, "file.create|file.remove", 1, ESC_OUTSIDE, NULL},
	{"directory-out", directory_out, "file.create|file.remove", 1, ESC_OUTSIDE, NULL},
	{"exchanged", exchanged, "file.create|file.remove", 1, ESC_OUTSIDE, NULL},
	{"replaced", replaced, "file.create", 1, ESC_OUTSIDE, NULL},
};

ESC_ROW(19, "rename out, rename over, exchange", "the view; path_rename", tries);
