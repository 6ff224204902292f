/*
 * Row 54: a program that is in no directory: in a memfd, unlinked, or known by a descriptor only.
 * Engines that key on paths see "/memfd:x (deleted)", or a file system that they do not mediate.
 */
#include <sys/mman.h>

#include "tests/escape/lib/files.h"

#define EXEC 0x10u /* MFD_EXEC, 6.3 */

static int made;

static int run_descriptor(void)
{
	char *argv[] = {(char *)"x", (char *)"exit", NULL};

	syscall(SYS_execveat, made, "", argv, NULL, AT_EMPTY_PATH);
	return errno;
}

static int run_memfd(unsigned int flags)
{
	int ret;

	made = memfd_create("x", MFD_CLOEXEC | flags);
	if (made < 0)
		return errno == EINVAL ? esc_skip("no such memfd flag in this kernel") : errno;
	ret = esc_copy_self(made);
	return ret ? ret : esc_child(run_descriptor);
}

static int memfd(void)
{
	return run_memfd(0);
}

static int memfd_exec(void)
{
	return run_memfd(EXEC);
}

/* Sealed, so that it is as good as a file on a read-only disk. */
static int memfd_sealed(void)
{
	int ret;

	made = memfd_create("x", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (made < 0)
		return errno;
	ret = esc_copy_self(made);
	if (ret || fcntl(made, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW) < 0)
		return ret ? ret : errno;
	return esc_child(run_descriptor);
}

static int memfd_mapped(void)
{
	void *p;
	int ret;

	made = memfd_create("x", MFD_CLOEXEC);
	if (made < 0)
		return errno;
	ret = esc_copy_self(made);
	if (ret)
		return ret;
	p = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, made, 0);
	return p == MAP_FAILED ? errno : 0;
}

static int o_path(void)
{
	const char *path = esc_own("054-o-path");
	int ret = esc_copy_to(path);

	if (ret)
		return ret;
	made = open(path, O_PATH | O_CLOEXEC);
	return made < 0 ? errno : esc_child(run_descriptor);
}

static int deleted(void)
{
	const char *path = esc_own("054-deleted");
	int ret = esc_copy_to(path);

	if (ret)
		return ret;
	made = open(path, O_RDONLY | O_CLOEXEC);
	unlink(path);
	return made < 0 ? errno : esc_child(run_descriptor);
}

static int through_proc(void)
{
	const char *path = esc_own("054-proc");
	char name[64];
	int ret = esc_copy_to(path);

	if (ret)
		return ret;
	made = open(path, O_RDONLY);
	snprintf(name, sizeof(name), "/proc/self/fd/%d", made);
	return esc_run(name);
}

static const struct esc_try tries[] = {
	{"memfd", memfd, "file.exec", 1, ESC_OUTSIDE, NULL},
	{"memfd-exec", memfd_exec, "file.exec", 1, ESC_OUTSIDE, NULL},
	{"memfd-sealed", memfd_sealed, "file.exec", 1, ESC_OUTSIDE, NULL},
	{"memfd-mapped", memfd_mapped, "file.exec", 1, ESC_OUTSIDE, NULL},
	{"o-path", o_path, "file.exec", 1, ESC_OUTSIDE, NULL},
	{"deleted", deleted, "file.exec", 1, ESC_OUTSIDE, NULL},
	{"proc-fd", through_proc, "file.absent|file.exec", 1, ESC_OUTSIDE, NULL},
};

ESC_ROW(54, "memfd, fexecve, execveat on a descriptor", "file_open, mmap_file by object", tries);
