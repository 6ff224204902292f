/*
 * What the rows about files and programs share.
 *
 * Comes in: the scene. Goes out: paths, copies, files of the row's own. Included by: tests/escape/files
 * and tests/escape/exec. Never does: open anything of the scene that is not granted; where a set-up step
 * would itself be denied, it is done outside every brane only (esc_outside), and the program says so.
 */
#ifndef OMEGA_TESTS_ESCAPE_FILES_H
#define OMEGA_TESTS_ESCAPE_FILES_H

#include <sys/stat.h>

#include "tests/escape/lib/escape.h"

static inline bool esc_outside(void)
{
	return !strcmp(esc_arg("mode"), "outside");
}

static inline const char *esc_secret(void)
{
	return esc_in("dir", "secret");
}

/* In the directory that every brane may write; what an earlier run left there is removed. */
static inline const char *esc_own(const char *name)
{
	const char *path = esc_in("write", name);

	unlink(path);
	return path;
}

/* A file of the row's own; a descriptor to it, open for reading and writing. */
static inline int esc_make(const char *path, unsigned int mode)
{
	return open(path, O_CREAT | O_TRUNC | O_RDWR | O_CLOEXEC, mode);
}

/* The row's program once more, as PATH, executable by mode. 0 or errno. */
static inline int esc_copy_self(int fd)
{
	static char buf[65536];
	int from = open(esc_arg("self"), O_RDONLY | O_CLOEXEC);
	ssize_t n = -1;

	if (from < 0)
		return errno;
	while ((n = read(from, buf, sizeof(buf))) > 0)
		if (write(fd, buf, (size_t)n) != n)
			break;
	close(from);
	return n ? EIO : 0;
}

static inline int esc_copy_to(const char *path)
{
	int fd = esc_make(path, 0755), ret;

	if (fd < 0)
		return errno;
	ret = esc_copy_self(fd);
	close(fd);
	return ret;
}

/* Runs PATH, a copy of this program. */
static inline int esc_run(const char *path)
{
	char *argv[] = {(char *)"copy", (char *)"exit", NULL};

	return esc_exec(path, argv);
}

/* Opens FD once more by the name that procfs has for it. */
static inline int esc_reopen(int fd, int flags)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return open(path, flags | O_CLOEXEC);
}

#endif
