/*
 * Row 4: other spellings of the same path, by the links that procfs and /dev have. Lists of forbidden
 * strings do not hold these.
 */
#include "tests/escape/lib/files.h"

static int below(const char *prefix)
{
	char path[1024];

	snprintf(path, sizeof(path), "%s%s", prefix, esc_secret());
	return esc_open_read(AT_FDCWD, path, O_RDONLY);
}

static int self_root(void)
{
	return below("/proc/self/root");
}

static int thread_root(void)
{
	return below("/proc/thread-self/root");
}

static int init_root(void)
{
	return below("/proc/1/root");
}

static int self_cwd(void)
{
	char path[1024];

	if (chdir("/") < 0)
		return errno;
	snprintf(path, sizeof(path), "/proc/self/cwd%s", esc_secret());
	return esc_open_read(AT_FDCWD, path, O_RDONLY);
}

/* A directory that every brane has, held open, named through its number. */
static int through_fd(const char *format)
{
	char path[1024];
	int fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return errno;
	snprintf(path, sizeof(path), format, fd, esc_secret());
	return esc_open_read(AT_FDCWD, path, O_RDONLY);
}

static int proc_fd(void)
{
	return through_fd("/proc/self/fd/%d%s");
}

static int dev_fd(void)
{
	return through_fd("/dev/fd/%d%s");
}

static int dots(void)
{
	char path[1024];

	snprintf(path, sizeof(path), "%s/./../..//../../../../../../../..%s//sub/.././secret",
		 esc_arg("write"), esc_arg("dir"));
	return esc_open_read(AT_FDCWD, path, O_RDONLY);
}

static int victims_root(void)
{
	char prefix[64];

	snprintf(prefix, sizeof(prefix), "/proc/%d/root", esc_num("victim"));
	return below(prefix);
}

static const struct esc_try tries[] = {
	{"self-root", self_root, "file.absent|file.read", 1, ESC_OUTSIDE, NULL},
	{"thread-root", thread_root, "file.absent|file.read", 1, ESC_OUTSIDE, NULL},
	{"init-root", init_root, "file.absent|file.read", 1, ESC_OUTSIDE, NULL},
	{"victims-root", victims_root, "file.absent|file.read", 1, ESC_OUTSIDE, NULL},
	{"self-cwd", self_cwd, "file.absent|file.read", 1, ESC_OUTSIDE, NULL},
	{"proc-fd", proc_fd, "file.absent|file.read", 1, ESC_OUTSIDE, NULL},
	{"dev-fd", dev_fd, "file.absent|file.read", 1, ESC_OUTSIDE, NULL},
	{"dots", dots, "file.absent|file.read", 1, ESC_INSIDE, NULL},
};

ESC_ROW(4, "/proc/self/root, /proc/self/fd/N, /dev/fd/N, dots", "the view; file_open", tries);
