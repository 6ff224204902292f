/*
 * Row 23: a store into a shared mapping changes the file and passes no hook at all: what decides in
 * file_permission never hears of it.
 */
#include <sys/mman.h>

#include "tests/escape/lib/files.h"

static int store(int flags, int prot)
{
	int fd = open(esc_secret(), O_RDWR | O_CLOEXEC);
	char *p;

	if (fd < 0)
		return errno;
	p = mmap(NULL, 4096, prot, flags, fd, 0);
	if (p == MAP_FAILED)
		return errno;
	p[0] = 's'; /* what stands there anyway */
	return esc_errno(msync(p, 4096, MS_SYNC));
}

static int shared(void)
{
	return store(MAP_SHARED, PROT_READ | PROT_WRITE);
}

static int validated(void)
{
	return store(MAP_SHARED_VALIDATE, PROT_READ | PROT_WRITE);
}

static int write_only(void)
{
	return store(MAP_SHARED, PROT_WRITE);
}

/* The brane's own program, which it may read: the code of all who run it. */
static int own_program(void)
{
	const char *path = esc_arg("self");
	void *p;
	int fd;

	/* Outside it is a copy: a running program is busy. */
	if (esc_outside()) {
		path = esc_own("023-program");
		int ret = esc_copy_to(path);
		if (ret)
			return ret;
	}
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return errno;
	p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	return p == MAP_FAILED ? errno : 0;
}

static const struct esc_try tries[] = {
	{"shared", shared, "file.absent|file.write", 1, ESC_INSIDE, NULL},
	{"shared-validate", validated, "file.absent|file.write", 1, ESC_INSIDE, NULL},
	{"write-only", write_only, "file.absent|file.write", 1, ESC_INSIDE, NULL},
	{"own-program", own_program, "file.write", 0, ESC_OUTSIDE,
	 "it runs: the kernel answers ETXTBSY before it asks anybody"},
};

ESC_ROW(23, "store into a shared mapping", "the view; file_open, mmap_file", tries);
