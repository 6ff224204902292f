/*
 * Row 111: end, stop or take over the agent: by its pid, by descriptors and memory, by starving it.
 * Where enforcement ends with the process that loaded it, this is the whole attack. Outside every
 * brane signal 0 stands for the deadly one: that it is allowed is what has to be shown.
 */
#include <sched.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include "tests/escape/lib/net.h"

static pid_t agent(void)
{
	return esc_num("agent");
}

static int killed(void)
{
	return esc_errno(kill(agent(), esc_is_outside() ? 0 : SIGKILL));
}

static int by_thread(void)
{
	return esc_errno(syscall(SYS_tgkill, agent(), agent(), esc_is_outside() ? 0 : SIGKILL));
}

static int queued(void)
{
	siginfo_t info = {.si_code = SI_QUEUE};

	return esc_errno(
		syscall(SYS_rt_sigqueueinfo, agent(), esc_is_outside() ? 0 : SIGKILL, &info));
}

static int by_descriptor(void)
{
	int fd;

	fd = (int)syscall(SYS_pidfd_open, agent(), 0);
	return fd < 0 ? errno
		      : esc_errno(syscall(SYS_pidfd_send_signal, fd, esc_is_outside() ? 0 : SIGKILL,
					  NULL, 0));
}

static int limited(void)
{
	struct rlimit r;

	return esc_errno(prlimit(agent(), RLIMIT_NOFILE, NULL, &r));
}

static int starved(void)
{
	cpu_set_t set;

	if (sched_getaffinity(agent(), sizeof(set), &set) < 0)
		return errno;
	return esc_errno(sched_setaffinity(agent(), sizeof(set), &set));
}

static int niced(void)
{
	return esc_errno(
		setpriority(PRIO_PROCESS, (id_t)agent(), getpriority(PRIO_PROCESS, (id_t)agent())));
}

static int traced(void)
{
	if (ptrace(PTRACE_SEIZE, agent(), 0, 0) < 0)
		return errno;
	return 0;
}

static int memory_read(void)
{
	char c;
	struct iovec here = {&c, 1}, there = {(void *)0x1000, 1};
	long n = process_vm_readv(agent(), &here, 1, &there, 1, 0);

	/* An address that is not mapped: the right to look was given. */
	return n < 0 && errno != EFAULT ? errno : 0;
}

static int by_proc(const char *name, int flags)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/%s", agent(), name);
	fd = open(path, flags | O_CLOEXEC);
	if (fd < 0)
		return errno;
	close(fd);
	return 0;
}

static int memory_file(void)
{
	return by_proc("mem", O_RDWR);
}

/* The first choice of the machine when memory ends. */
static int oom_score(void)
{
	return by_proc("oom_score_adj", O_WRONLY);
}

/* What it holds open: maps, links, keys. */
static int descriptors(void)
{
	return by_proc("fd", O_RDONLY | O_DIRECTORY);
}

static int frozen(void)
{
	char path[256];
	int fd;

	/* The branes' own: that it can be written is to thaw, move or kill any of them. */
	snprintf(path, sizeof(path), "%s/cgroup.freeze", esc_arg("branes"));
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return errno;
	close(fd);
	return 0;
}

static int reaped(void)
{
	int fd = (int)syscall(SYS_pidfd_open, getpid(), 0);

	/* process_mrelease: takes a dying process's memory; EINVAL: this one is not dying. */
	if (fd < 0)
		return errno;
	return syscall(448, fd, 0) < 0 && errno != EINVAL ? errno : 0;
}

static int rebooted(void)
{
	/* Wrong magic numbers: EINVAL says that the right to ask was given. */
	return syscall(SYS_reboot, 0, 0, 0, 0) < 0 && errno != EINVAL ? errno : 0;
}

#define PIDS "the pid namespace has no such number, so nothing is looked up"
static const struct esc_try tries[] = {
	{"kill", killed, "signal", 0, ESC_OUTSIDE, PIDS},
	{"tgkill", by_thread, "signal", 0, ESC_OUTSIDE, PIDS},
	{"sigqueue", queued, "signal", 0, ESC_OUTSIDE, PIDS},
	{"pidfd", by_descriptor, "signal", 0, ESC_OUTSIDE, PIDS},
	{"prlimit", limited, "signal", 0, ESC_OUTSIDE, PIDS},
	{"affinity", starved, "signal", 0, ESC_OUTSIDE, PIDS},
	{"nice", niced, "signal", 0, ESC_OUTSIDE, PIDS},
	{"ptrace", traced, "syscall", 1, ESC_OUTSIDE, NULL},
	{"vm-read", memory_read, "syscall", 1, ESC_OUTSIDE, NULL},
	{"proc-mem", memory_file, "file.absent", 1, ESC_OUTSIDE, NULL},
	{"oom-score", oom_score, "file.absent", 1, ESC_OUTSIDE, NULL},
	{"proc-fd", descriptors, "file.absent", 1, ESC_OUTSIDE, NULL},
	{"freeze", frozen, "file.absent", 1, ESC_OUTSIDE, NULL},
	{"mrelease", reaped, "syscall", 1, ESC_OUTSIDE, NULL},
	{"reboot", rebooted, "syscall", 1, ESC_OUTSIDE, NULL},
};

ESC_ROW(111, "kill, stop, starve or take over the agent",
	"pid namespace, seccomp, the view; pinned links outlive the agent", tries);
