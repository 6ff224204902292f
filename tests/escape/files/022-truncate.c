/*
 * Row 22: emptying a file is not writing to it. Which hook sees it depends on the call and on the
 * kernel: truncate by name, O_TRUNC, by descriptor.
 */
#include "tests/escape/lib/files.h"

#define LENGTH 7 /* of "secret\n": what is reached leaves the scene as it was */

static int by_name(void)
{
	return esc_errno(truncate(esc_secret(), LENGTH));
}

static int restored(int fd)
{
	if (fd < 0)
		return errno;
	close(fd);
	fd = open(esc_secret(), O_WRONLY | O_CLOEXEC);
	int ret = write(fd, "secret\n", LENGTH) == LENGTH ? 0 : errno;
	close(fd);
	return ret;
}

static int by_open(void)
{
	return restored(open(esc_secret(), O_WRONLY | O_TRUNC | O_CLOEXEC));
}

/* Opened for reading only, and empty all the same. */
static int by_reading_open(void)
{
	return restored(open(esc_secret(), O_RDONLY | O_TRUNC | O_CLOEXEC));
}

static int by_creat(void)
{
	return restored(creat(esc_secret(), 0644));
}

static int by_descriptor(void)
{
	int fd = open(esc_secret(), O_WRONLY | O_CLOEXEC);

	return fd < 0 ? errno : esc_errno(ftruncate(fd, LENGTH));
}

static const struct esc_try tries[] = {
	{"truncate", by_name, "file.absent|file.write", 1, ESC_INSIDE, NULL},
	{"o-trunc", by_open, "file.absent|file.write", 1, ESC_INSIDE, NULL},
	{"o-rdonly-trunc", by_reading_open, "file.absent|file.write", 1, ESC_INSIDE, NULL},
	{"creat", by_creat, "file.create|file.write", 1, ESC_INSIDE, NULL},
	{"ftruncate", by_descriptor, "file.absent|file.write", 1, ESC_INSIDE, NULL},
};

ESC_ROW(22, "truncate, O_TRUNC, ftruncate", "the view; file_open, path_truncate, file_truncate",
	tries);
