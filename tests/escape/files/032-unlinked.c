/*
 * Row 32: files without a name: unlinked, O_TMPFILE. Their path ends in " (deleted)", which no rule on
 * names foresees.
 */
#include "tests/escape/lib/files.h"

/* A program without a name, opened for reading only: nobody holds it open for writing. */
static int nameless(void)
{
	const char *path = esc_own("032-program");
	int fd;

	if (esc_copy_to(path))
		return -1;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	unlink(path);
	return fd;
}

static int run_it(void)
{
	char *argv[] = {(char *)"x", (char *)"exit", NULL};
	int fd = nameless();

	if (fd < 0)
		return errno;
	syscall(SYS_execveat, fd, "", argv, NULL, AT_EMPTY_PATH);
	return errno;
}

static int run_unlinked(void)
{
	return esc_child(run_it);
}

/* In a directory that is not granted, without a name that anybody could see. */
static int hidden(void)
{
	int fd = open(esc_arg("dir"), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	return fd < 0 ? errno : esc_errno(write(fd, "x", 1));
}

/* What the brane made gets a second name at a place that is not granted. */
static int linked_in(void)
{
	const char *mine = esc_own("032-mine");
	int fd = esc_make(mine, 0600);

	if (fd < 0)
		return errno;
	close(fd);
	return esc_errno(link(mine, esc_in("dir", "sub/linked")));
}

static const struct esc_try tries[] = {
	{"run-unlinked", run_unlinked, "file.exec", 1, ESC_OUTSIDE, NULL},
	{"hidden", hidden, "file.absent|file.create", 1, ESC_INSIDE, NULL},
	{"linked-in", linked_in, "file.absent|file.create", 1, ESC_OUTSIDE, NULL},
};

ESC_ROW(32, "unlinked files, O_TMPFILE", "file_open, path_link; the view", tries);
