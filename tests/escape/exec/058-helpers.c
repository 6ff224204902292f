/*
 * Row 58: files in which the kernel is told what to run: such a helper is started by the kernel, as
 * root, outside of every cgroup and namespace. And such a helper made to run without touching any file: a
 * crash pipes the task's memory into the host's core handler, whatever RLIMIT_CORE says but 1.
 */
#include <signal.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "tests/escape/lib/files.h"

/* For writing, which is all it needs; nothing is written. */
static int opened(const char *path)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC), ret = esc_errno(fd);

	if (fd >= 0)
		close(fd);
	if (ret == ENOENT && esc_outside())
		return esc_skip("this kernel has no such file");
	return ret;
}

static int core_pattern(void)
{
	return opened("/proc/sys/kernel/core_pattern");
}

static int modprobe(void)
{
	return opened("/proc/sys/kernel/modprobe");
}

static int poweroff(void)
{
	return opened("/proc/sys/kernel/poweroff_cmd");
}

static int address_layout(void)
{
	return opened("/proc/sys/kernel/randomize_va_space");
}

static int sysrq(void)
{
	return opened("/proc/sysrq-trigger");
}

static int own_proc(void)
{
	const char *path = esc_in("write", "058-proc");

	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return errno;
	if (mount("proc", path, "proc", 0, NULL) < 0)
		return errno;
	return opened(esc_in("write", "058-proc/sys/kernel/core_pattern"));
}

/* The scene's core_pattern is a pipe: the kernel says in the wait status whether its helper took the core. */
static int crash(void (*prepare)(void))
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		prepare();
		signal(SIGSEGV, SIG_DFL);
		raise(SIGSEGV);
		_exit(0);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return errno;
	if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGSEGV)
		return EINVAL;
	return WCOREDUMP(status) ? 0 : EPERM;
}

static void as_it_is(void)
{
}

static void lower(void)
{
	const struct rlimit none = {0, 0};

	syscall(SYS_setrlimit, RLIMIT_CORE, &none);
}

/* At an address whose low half is zero: a filter that compares 32 bits takes it for NULL. */
static void lower_from_afar(void)
{
	struct rlimit *none = mmap((void *)(1ul << 32), 4096, PROT_READ | PROT_WRITE,
				   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

	if (none != MAP_FAILED)
		syscall(SYS_prlimit64, 0, RLIMIT_CORE, none, NULL);
}

static int crash_plain(void)
{
	return crash(as_it_is);
}

static int crash_lowered(void)
{
	return crash(lower);
}

static int crash_from_afar(void)
{
	return crash(lower_from_afar);
}

/* A core_pattern of "@/path": the crashing task itself connects there, whatever its limit. 6.16 and later. */
static int crash_socket(void)
{
	if (!esc_num("coresock"))
		return esc_skip("this kernel sends no core to a socket");
	return crash(as_it_is);
}

#define NO_CORE "the kernel makes no core of a task whose limit is 1, and asks nobody"

static const struct esc_try tries[] = {
	{"core_pattern", core_pattern, "file.absent|file.write", 1, ESC_OUTSIDE, NULL},
	{"modprobe", modprobe, "file.absent|file.write", 1, ESC_OUTSIDE, NULL},
	{"poweroff_cmd", poweroff, "file.absent|file.write", 1, ESC_OUTSIDE, NULL},
	{"randomize", address_layout, "file.absent|file.write", 1, ESC_OUTSIDE, NULL},
	{"sysrq", sysrq, "file.absent|file.write", 1, ESC_OUTSIDE, NULL},
	{"crash", crash_plain, "syscall", 0, ESC_OUTSIDE, NO_CORE},
	{"crash-setrlimit", crash_lowered, "syscall", 0, ESC_OUTSIDE, NO_CORE},
	{"crash-prlimit", crash_from_afar, "syscall", 0, ESC_OUTSIDE, NO_CORE},
	{"crash-socket", crash_socket, "net.unix", 1, ESC_OUTSIDE, NULL},
	{"own-proc", own_proc, "syscall|mount", 1, ESC_OUTSIDE, NULL},
};

ESC_ROW(58, "core_pattern, modprobe and other helpers of the kernel", "the view; seccomp", tries);
