/*
 * Row 24: the mapping is made for reading and becomes writable afterwards, which passes another hook
 * than making it.
 */
#include <sys/mman.h>

#include "tests/escape/lib/files.h"

static int later(size_t length, size_t step)
{
	int fd = open(esc_secret(), O_RDWR | O_CLOEXEC);
	char *p;

	if (fd < 0)
		return errno;
	p = mmap(NULL, length, PROT_READ, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		return errno;
	for (size_t at = 0; at < length; at += step)
		if (mprotect(p + at, step, PROT_READ | PROT_WRITE) < 0)
			return errno;
	p[0] = 's';
	return esc_errno(msync(p, length, MS_SYNC));
}

static int at_once(void)
{
	return later(4096, 4096);
}

static int page_by_page(void)
{
	return later(16384, 4096);
}

static const struct esc_try tries[] = {
	{"mprotect", at_once, "file.absent|file.write", 1, ESC_INSIDE, NULL},
	{"page-by-page", page_by_page, "file.absent|file.write", 1, ESC_INSIDE, NULL},
};

ESC_ROW(24, "mmap for reading, then mprotect for writing", "the view; file_open, file_mprotect",
	tries);
