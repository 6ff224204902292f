/*
 * Row 16: what was opened with little is opened again with more, through its number in procfs: by then
 * no name is looked up that a rule could match.
 */
#include "tests/escape/lib/files.h"

static int o_path_to_read(void)
{
	int fd = open(esc_secret(), O_PATH | O_CLOEXEC);

	return fd < 0 ? errno : esc_read_fd(esc_reopen(fd, O_RDONLY));
}

static int read_to_write(void)
{
	int fd = open(esc_secret(), O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return errno;
	fd = esc_reopen(fd, O_WRONLY);
	return esc_errno(fd);
}

/* Of what every brane has and may not list. */
static int root_to_list(void)
{
	char buf[512];
	int fd = open("/", O_PATH | O_CLOEXEC);

	fd = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? errno : esc_errno(syscall(SYS_getdents64, fd, buf, sizeof(buf)));
}

static const struct esc_try tries[] = {
	{"o-path-to-read", o_path_to_read, "file.absent|file.read", 1, ESC_OUTSIDE, NULL},
	{"read-to-write", read_to_write, "file.absent|file.write", 1, ESC_OUTSIDE, NULL},
	{"root-to-list", root_to_list, "file.read", 1, ESC_OUTSIDE, NULL},
};

ESC_ROW(16, "reopen through /proc/self/fd", "the view; file_open", tries);
