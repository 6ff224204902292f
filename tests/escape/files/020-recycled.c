/*
 * Row 20: an object that was allowed is removed and another one comes to its number or its name. An
 * entry that outlives its object grants what it was never about.
 */
#include "tests/escape/lib/files.h"

#define ROUNDS 64

/* The program that is granted by name, replaced by another one. */
static int replaced_program(void)
{
	const char *path = esc_in("dir", "prog");
	char *argv[] = {(char *)"prog", (char *)"exit", NULL};
	const char *keep = esc_in("dir", "020-kept");
	int ret;

	if (rename(path, keep) < 0)
		return errno;
	ret = esc_copy_to(path);
	if (!ret)
		ret = esc_exec(path, argv);
	if (rename(keep, path) < 0)
		return errno;
	return ret;
}

/* Many numbers come and go; the last file is a program. */
static int numbers(void)
{
	const char *path = esc_own("020-numbers");
	int ret;

	for (int i = 0; i < ROUNDS; i++) {
		int fd = esc_make(path, 0700);

		if (fd < 0)
			return errno;
		close(fd);
		unlink(path);
	}
	ret = esc_copy_to(path);
	return ret ? ret : esc_run(path);
}

static const struct esc_try tries[] = {
	{"replaced-program", replaced_program, "file.create|file.remove", 1, ESC_INSIDE, NULL},
	{"numbers", numbers, "file.exec", 1, ESC_OUTSIDE, NULL},
};

ESC_ROW(20, "unlink and recreate: a stale entry", "device, inode and generation; path_unlink",
	tries);
