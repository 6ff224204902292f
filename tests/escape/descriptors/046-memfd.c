/*
 * Row 46: files that exist in memory only. memfd_create passes no hook, so what counts is that nothing of
 * it runs; memfd_secret hides pages from the host's own kernel.
 */
#include <linux/memfd.h>
#include <sys/mman.h>

#include "tests/escape/lib/escape.h"

#define MFD_EXEC_ 0x10 /* 6.3 */

static int filled(unsigned int flags)
{
	static char buf[65536];
	int from = open(esc_arg("self"), O_RDONLY | O_CLOEXEC);
	int fd = (int)syscall(SYS_memfd_create, "prog", flags);
	ssize_t n;

	if (from < 0 || fd < 0)
		return -1;
	while ((n = read(from, buf, sizeof(buf))) > 0)
		if (write(fd, buf, (size_t)n) != n)
			return -1;
	close(from);
	return fd;
}

static int run(int fd)
{
	char *argv[] = {(char *)"prog", (char *)"exit", NULL};

	if (fd < 0)
		return errno;
	syscall(SYS_execveat, fd, "", argv, environ, AT_EMPTY_PATH);
	return errno;
}

static int executed(void)
{
	return run(filled(MFD_CLOEXEC));
}

static int executed_marked(void)
{
	int fd = filled(MFD_CLOEXEC | MFD_EXEC_);

	if (fd < 0 && errno == EINVAL)
		return esc_skip("MFD_EXEC is of 6.3 and later");
	return run(fd);
}

/* Sealed against writing: as good as a file of the image, some say. */
static int executed_sealed(void)
{
	int fd = filled(MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd >= 0 && fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK) < 0)
		return errno;
	return run(fd);
}

static int executed_by_name(void)
{
	char path[64], *argv[] = {(char *)"prog", (char *)"exit", NULL};
	int fd = filled(0); /* lint: allow(cloexec) a name below /proc is wanted */

	if (fd < 0)
		return errno;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	execv(path, argv);
	return errno;
}

static int secret(void)
{
	int fd = (int)syscall(SYS_memfd_secret, O_CLOEXEC);
	char *p;

	if (fd < 0 && errno == ENOSYS)
		return esc_skip("secretmem.enable is off");
	if (fd < 0 || ftruncate(fd, 4096) < 0)
		return errno;
	p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		return errno;
	p[0] = 1;
	return 0;
}

static const struct esc_try tries[] = {
	{"execveat", executed, "file.exec", 1, ESC_OUTSIDE, NULL},
	{"execveat-marked", executed_marked, "file.exec", 1, ESC_OUTSIDE, NULL},
	{"execveat-sealed", executed_sealed, "file.exec", 1, ESC_OUTSIDE, NULL},
	{"by-name", executed_by_name, "file.absent", 1, ESC_OUTSIDE, NULL},
	{"memfd-secret", secret, "syscall", 1, ESC_OUTSIDE, NULL},
};

ESC_ROW(46, "memfd_create, memfd_secret", "file_open (exec), filter, anonymous inode", tries);
