/*
 * Row 15: an O_PATH open passes no file_open hook. The descriptor locates the object for later calls and
 * tells that it exists.
 */
#include "tests/escape/lib/files.h"

static int locate(void)
{
	struct stat st;
	int fd = open(esc_secret(), O_PATH | O_CLOEXEC);

	return fd < 0 ? errno : esc_errno(fstat(fd, &st));
}

static int through_directory(void)
{
	int fd = open(esc_arg("dir"), O_PATH | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 ? errno : esc_open_read(fd, "secret", O_RDONLY);
}

/* From a directory that every brane has. */
static int through_root(void)
{
	int fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 ? errno : esc_open_read(fd, esc_secret() + 1, O_RDONLY);
}

static int located_then_run(void)
{
	char *argv[] = {(char *)"prog", NULL};
	int fd = open(esc_in("dir", "prog"), O_PATH | O_CLOEXEC);

	if (fd < 0)
		return errno;
	syscall(SYS_execveat, fd, "", argv, NULL, AT_EMPTY_PATH);
	return errno;
}

static int run_by_descriptor(void)
{
	return esc_child(located_then_run);
}

static const struct esc_try tries[] = {
	{"locate", locate, "file.absent", 1, ESC_INSIDE, NULL},
	{"through-directory", through_directory, "file.absent|file.read", 1, ESC_INSIDE, NULL},
	{"through-root", through_root, "file.absent|file.read", 1, ESC_INSIDE, NULL},
	{"execveat", run_by_descriptor, "file.absent|file.exec", 1, ESC_INSIDE, NULL},
};

ESC_ROW(15, "O_PATH open, openat through it", "the view; file_open of the second open", tries);
