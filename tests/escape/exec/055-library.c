/*
 * Row 55: code that is loaded into a program that is granted: dlopen, LD_PRELOAD, LD_AUDIT. The program
 * that runs is the right one; what it maps is not.
 */
#include <sys/mman.h>

#include "tests/escape/lib/files.h"

/* A library as dlopen maps it: the whole of it for reading, then the text over it. */
static int as_dlopen(void)
{
	const char *path = esc_own("055-library");
	int ret = esc_copy_to(path), fd;
	char *p;

	if (ret)
		return ret;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	p = mmap(NULL, 16384, PROT_READ, MAP_PRIVATE | MAP_DENYWRITE, fd, 0);
	if (p == MAP_FAILED)
		return errno;
	p = mmap(p + 4096, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_FIXED | MAP_DENYWRITE, fd,
		 4096);
	return p == MAP_FAILED ? errno : 0;
}

/* Written through one mapping, executed through another. */
static int two_mappings(void)
{
	const char *path = esc_own("055-two");
	int fd = esc_make(path, 0755);
	char *w, *x;

	if (fd < 0 || ftruncate(fd, 4096) < 0)
		return errno;
	w = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (w == MAP_FAILED)
		return errno;
	w[0] = (char)0xc3;
	x = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0);
	if (x == MAP_FAILED)
		return errno;
	((void (*)(void))(uintptr_t)x)();
	return 0;
}

/* The granted program's own text, in private pages that were written to. */
static int patched_text(void)
{
	int fd = open(esc_arg("self"), O_RDONLY | O_CLOEXEC);
	char *p =
		fd < 0 ? MAP_FAILED : mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);

	if (p == MAP_FAILED)
		return errno;
	p[0] = (char)0xc3;
	if (mprotect(p, 4096, PROT_READ | PROT_EXEC) < 0)
		return errno;
	((void (*)(void))(uintptr_t)p)();
	return 0;
}

/* A dynamic program and what its environment names; in a brane the program is not granted either. */
static int by_environment(const char *key)
{
	char *argv[] = {(char *)"true", NULL};

	setenv(key, esc_own("055-preload"), 1);
	return esc_exec("/bin/true", argv);
}

static int by_preload(void)
{
	return by_environment("LD_PRELOAD");
}

static const struct esc_try tries[] = {
	{"dlopen", as_dlopen, "file.exec", 1, ESC_OUTSIDE, NULL},
	{"two-mappings", two_mappings, "file.exec", 1, ESC_OUTSIDE, NULL},
	{"patched-text", patched_text, "mem.exec|syscall", 1, ESC_INSIDE, NULL},
	{"preload", by_preload, "file.absent|file.exec", 1, ESC_OUTSIDE, NULL},
};

ESC_ROW(55, "dlopen, LD_PRELOAD, patched text", "mmap_file, file_mprotect; seccomp", tries);
