/*
 * Row 51: execve of a program, and of a script, whose interpreter alone is what the kernel runs in the
 * end. Rules on "the binary" see the interpreter, which may be granted.
 */
#include "tests/escape/lib/files.h"

static int script(const char *path, unsigned int mode)
{
	int fd = esc_make(path, mode);

	if (fd < 0)
		return errno;
	dprintf(fd, "#!%s exit\n", esc_arg("self"));
	close(fd);
	return 0;
}

static int program(void)
{
	return esc_run(esc_in("dir", "prog"));
}

static int program_at(void)
{
	char *argv[] = {(char *)"prog", NULL};
	int dir = open(esc_arg("dir"), O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (dir < 0)
		return errno;
	syscall(SYS_execveat, dir, "prog", argv, NULL, 0);
	return errno;
}

static int by_execveat(void)
{
	return esc_child(program_at);
}

/* The interpreter is granted, the script is not. */
static int own_script(void)
{
	const char *path = esc_own("051-script");
	int ret = script(path, 0755);

	return ret ? ret : esc_run(path);
}

static int linked_script(void)
{
	const char *path = esc_own("051-linked"), *link = esc_own("051-link");
	int ret = script(path, 0755);

	if (ret)
		return ret;
	return symlink(path, link) < 0 ? errno : esc_run(link);
}

/* A script whose interpreter is a script, whose interpreter is granted. */
static int nested_script(void)
{
	const char *inner = esc_own("051-inner"), *outer = esc_own("051-outer");
	int ret = script(inner, 0755), fd;

	if (ret)
		return ret;
	fd = esc_make(outer, 0755);
	dprintf(fd, "#!%s\n", inner);
	close(fd);
	return esc_run(outer);
}

static const struct esc_try tries[] = {
	{"program", program, "file.absent|file.exec", 1, ESC_INSIDE, NULL},
	{"execveat", by_execveat, "file.absent|file.exec", 1, ESC_INSIDE, NULL},
	{"script", own_script, "file.exec", 1, ESC_OUTSIDE, NULL},
	{"linked-script", linked_script, "file.exec", 1, ESC_OUTSIDE, NULL},
	{"nested-script", nested_script, "file.exec", 1, ESC_OUTSIDE, NULL},
};

ESC_ROW(51, "execve of a program or a script", "the view; file_open and bprm_check_security",
	tries);
