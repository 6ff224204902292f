/*
 * Row 53: `ld.so FILE` runs a file that is not executable: the kernel executes the dynamic linker, which
 * maps the file. Only the mapping tells.
 */
#include <sys/mman.h>

#include "tests/escape/lib/files.h"

#define LOADER "/lib64/ld-linux-x86-64.so.2"

/* What the linker does with a file, done by a program that is granted. */
static int map(const char *path, int prot, int flags)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	void *p;

	if (fd < 0)
		return errno;
	p = mmap(NULL, 4096, prot, flags, fd, 0);
	return p == MAP_FAILED ? errno : 0;
}

static int by_loader(void)
{
	const char *path = esc_in("dir", "prog");
	char *argv[] = {(char *)LOADER, (char *)path, NULL};

	/* Outside it runs what it can: a dynamic program. */
	if (esc_outside())
		argv[1] = (char *)"/bin/true";
	return esc_exec(LOADER, argv);
}

static int map_copy(int prot, int flags, const char *name)
{
	const char *path = esc_own(name);
	int fd = esc_make(path, 0644), ret;

	if (fd < 0)
		return errno;
	ret = esc_copy_self(fd);
	close(fd);
	return ret ? ret : map(path, prot, flags);
}

static int mapped(void)
{
	return map_copy(PROT_READ | PROT_EXEC, MAP_PRIVATE, "053-mapped");
}

static int mapped_shared(void)
{
	return map_copy(PROT_READ | PROT_EXEC, MAP_SHARED, "053-shared");
}

static int mapped_exec_only(void)
{
	return map_copy(PROT_EXEC, MAP_PRIVATE, "053-exec-only");
}

/* Mapped for reading, then made executable. */
static int protected_later(void)
{
	const char *path = esc_own("053-later");
	int ret = esc_copy_to(path), fd;
	void *p;

	if (ret)
		return ret;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	p = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 0);
	if (p == MAP_FAILED)
		return errno;
	return esc_errno(mprotect(p, 4096, PROT_READ | PROT_EXEC));
}

/* The bytes, read into memory: no file is behind them any more. */
static int read_into_memory(void)
{
	char *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int fd = open(esc_arg("self"), O_RDONLY | O_CLOEXEC);

	if (p == MAP_FAILED || read(fd, p, 4096) <= 0)
		return errno;
	return esc_errno(mprotect(p, 4096, PROT_READ | PROT_EXEC));
}

static int map_granted(void)
{
	return map(esc_in("dir", "prog"), PROT_READ | PROT_EXEC, MAP_PRIVATE);
}

static const struct esc_try tries[] = {
	{"ld.so", by_loader, "file.absent|file.exec", 1, ESC_OUTSIDE, NULL},
	{"mapped", mapped, "file.exec", 1, ESC_OUTSIDE, NULL},
	{"mapped-shared", mapped_shared, "file.exec", 1, ESC_OUTSIDE, NULL},
	{"mapped-exec-only", mapped_exec_only, "file.exec", 1, ESC_OUTSIDE, NULL},
	{"protected-later", protected_later, "file.exec|mem.exec|syscall", 1, ESC_OUTSIDE, NULL},
	{"read-into-memory", read_into_memory, "mem.exec|syscall", 1, ESC_INSIDE, NULL},
	{"map-program", map_granted, "file.absent|file.exec", 1, ESC_INSIDE, NULL},
};

ESC_ROW(53, "ld.so FILE: code by mapping", "mmap_file, file_mprotect; seccomp", tries);
