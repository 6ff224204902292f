/* Row 69: the machine itself: input and output ports, physical memory, the kernel's memory as a file. */
#include <sys/io.h>

#include "tests/escape/lib/escape.h"

static int level(void)
{
	return esc_errno(syscall(SYS_iopl, 3));
}

static int port(void)
{
	return esc_errno(syscall(SYS_ioperm, 0x80, 1, 1));
}

static int file(const char *path)
{
	int ret = esc_open_read(AT_FDCWD, path, O_RDONLY);

	if (ret == ENOENT && !strcmp(esc_arg("mode"), "outside"))
		return esc_skip("this kernel has no such file");
	return ret == EFAULT || ret == EIO ? 0 : ret; /* opened; nothing stands at its beginning */
}

static int dev_mem(void)
{
	return file("/dev/mem");
}

static int kcore(void)
{
	return file("/proc/kcore");
}

static int kallsyms(void)
{
	return file("/proc/kallsyms");
}

static const struct esc_try tries[] = {
	{"iopl", level, "syscall", 1, ESC_OUTSIDE, NULL},
	{"ioperm", port, "syscall", 1, ESC_OUTSIDE, NULL},
	{"dev-mem", dev_mem, "file.absent", 1, ESC_OUTSIDE, NULL},
	{"kcore", kcore, "file.absent", 1, ESC_OUTSIDE, NULL},
	{"kallsyms", kallsyms, "file.absent", 1, ESC_OUTSIDE, NULL},
};

ESC_ROW(69, "ports, physical and kernel memory", "filter, the view, no capability", tries);
