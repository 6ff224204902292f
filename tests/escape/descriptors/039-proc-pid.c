/*
 * Row 39: another process as files: its memory, environment, maps, descriptors, root and current
 * directory. Newer kernels let CAP_PERFMON by although ptrace_access_check said no.
 */
#include "tests/escape/lib/escape.h"

static int of_victim(const char *name, int flags)
{
	char path[128];

	snprintf(path, sizeof(path), "/proc/%s/%s", esc_arg("victim"), name);
	return esc_open_read(AT_FDCWD, path, flags);
}

static int environ_(void)
{
	return of_victim("environ", O_RDONLY);
}

static int maps(void)
{
	return of_victim("maps", O_RDONLY);
}

/* Opened is reached: what stands at address 0 is not asked. */
static int mem(void)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "/proc/%s/mem", esc_arg("victim"));
	fd = open(path, O_RDWR | O_CLOEXEC);
	return fd < 0 ? errno : 0;
}

static int directory(const char *name)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "/proc/%s/%s", esc_arg("victim"), name);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? errno : 0;
}

static int fds(void)
{
	return directory("fd");
}

static int root(void)
{
	char path[128];

	/* Through the other's root: its mount namespace, whatever ours is. */
	snprintf(path, sizeof(path), "root%s/secret", esc_arg("dir"));
	return of_victim(path, O_RDONLY);
}

static int cwd(void)
{
	return directory("cwd");
}

static int auxv(void)
{
	return of_victim("auxv", O_RDONLY);
}

static int cmdline(void)
{
	return of_victim("cmdline", O_RDONLY);
}

static int proc_itself(void)
{
	int fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 ? errno : 0;
}

static const struct esc_try tries[] = {
	{"environ", environ_, "file.absent", 1, ESC_OUTSIDE, NULL},
	{"maps", maps, "file.absent", 1, ESC_OUTSIDE, NULL},
	{"mem", mem, "file.absent", 1, ESC_OUTSIDE, NULL},
	{"fd", fds, "file.absent", 1, ESC_OUTSIDE, NULL},
	{"root", root, "file.absent", 1, ESC_OUTSIDE, NULL},
	{"cwd", cwd, "file.absent", 1, ESC_OUTSIDE, NULL},
	{"auxv", auxv, "file.absent", 1, ESC_OUTSIDE, NULL},
	{"cmdline", cmdline, "file.absent", 1, ESC_OUTSIDE, NULL},
	{"proc", proc_itself, "file.absent", 1, ESC_OUTSIDE, NULL},
};

ESC_ROW(39, "/proc/PID of another process", "the view, ptrace_access_check, file_open", tries);
