/*
 * Row 76: more of the machine than one's share: real-time scheduling, better priorities, memory that cannot
 * be paged out.
 */
#include <sched.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "tests/escape/lib/escape.h"

#define LOCKED	  (64ul << 20)
#define IOPRIO_RT (1 << 13)

static int fifo(void)
{
	struct sched_param p = {.sched_priority = 1};

	return esc_errno(syscall(SYS_sched_setscheduler, 0, SCHED_FIFO, &p));
}

static int deadline(void)
{
	struct sched_attr {
		uint32_t size, policy;
		uint64_t flags;
		int32_t nice;
		uint32_t priority;
		uint64_t runtime, deadline, period;
	} a = {sizeof(a), 6 /* SCHED_DEADLINE */, 0, 0, 0, 1000000, 100000000, 100000000};

	return esc_errno(syscall(SYS_sched_setattr, 0, &a, 0));
}

static int io_priority(void)
{
	return esc_errno(syscall(SYS_ioprio_set, 1, 0, IOPRIO_RT));
}

static int better_nice(void)
{
	return esc_errno(setpriority(PRIO_PROCESS, 0, -5));
}

static int raised_limit(void)
{
	struct rlimit r = {RLIM_INFINITY, RLIM_INFINITY};

	return esc_errno(prlimit(0, RLIMIT_MEMLOCK, &r, NULL));
}

static int locked(void)
{
	char *p = mmap(NULL, LOCKED, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return p == MAP_FAILED ? errno : esc_errno(mlock(p, LOCKED));
}

/* All of it, later mappings included: the mapping is what fails then. */
static int locked_all(void)
{
	char *p;

	if (mlockall(MCL_FUTURE) < 0)
		return errno;
	p = mmap(NULL, LOCKED, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	return p == MAP_FAILED ? errno : 0;
}

static int locked_on_fault(void)
{
	char *p = mmap(NULL, LOCKED, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return p == MAP_FAILED ? errno : esc_errno(syscall(SYS_mlock2, p, LOCKED, 1));
}

#define RLIMIT "the kernel's own limit, without a capability to pass it; no hook"

static const struct esc_try tries[] = {
	{"fifo", fifo, "syscall", 1, ESC_OUTSIDE, NULL},
	{"deadline", deadline, "syscall", 1, ESC_OUTSIDE, NULL},
	{"ioprio-rt", io_priority, "syscall", 1, ESC_OUTSIDE, NULL},
	{"nice", better_nice, "", 0, ESC_OUTSIDE, RLIMIT},
	{"raise-limit", raised_limit, "", 0, ESC_OUTSIDE, RLIMIT},
	{"mlock", locked, "", 0, ESC_OUTSIDE, RLIMIT},
	{"mlockall", locked_all, "", 0, ESC_OUTSIDE, RLIMIT},
	{"mlock2", locked_on_fault, "syscall", 1, ESC_OUTSIDE, NULL},
};

ESC_ROW(76, "real-time scheduling, locked memory", "filter, rlimits, no capability", tries);
