/*
 * Row 5: a bind mount puts the target over a name that is allowed. The path that the kernel reports is
 * then the allowed one.
 */
#include <sys/mount.h>

#include "tests/escape/lib/files.h"

static int over(const char *name, unsigned long flags)
{
	const char *path = esc_own(name);
	int fd = esc_make(path, 0600);

	if (fd < 0)
		return errno;
	close(fd);
	if (mount(esc_secret(), path, NULL, flags, NULL) < 0)
		return errno;
	return esc_open_read(AT_FDCWD, path, O_RDONLY);
}

static int bind_file(void)
{
	return over("005-bind", MS_BIND);
}

static int bind_recursive(void)
{
	return over("005-rbind", MS_BIND | MS_REC);
}

/* mount() still takes the old magic in the high half of its flags. */
static int bind_magic(void)
{
	return over("005-magic", MS_BIND | MS_MGC_VAL);
}

static const struct esc_try tries[] = {
	{"bind", bind_file, "syscall|mount", 1, ESC_OUTSIDE, NULL},
	{"rbind", bind_recursive, "syscall|mount", 1, ESC_OUTSIDE, NULL},
	{"magic", bind_magic, "syscall|mount", 1, ESC_OUTSIDE, NULL},
};

ESC_ROW(5, "bind mount of a file over an allowed name", "seccomp; sb_mount", tries);
