/*
 * Row 66: performance counters read other processes' registers, stacks and addresses, and attach programs
 * to the kernel's own functions.
 */
#include <linux/hw_breakpoint.h>
#include <linux/perf_event.h>

#include "tests/escape/lib/escape.h"

static int opened(struct perf_event_attr *a, int pid, int cpu)
{
	a->size = sizeof(*a);
	return esc_errno(syscall(SYS_perf_event_open, a, pid, cpu, -1, PERF_FLAG_FD_CLOEXEC));
}

static int clock_(void)
{
	struct perf_event_attr a = {.type = PERF_TYPE_SOFTWARE, .config = PERF_COUNT_SW_CPU_CLOCK};

	return opened(&a, 0, -1);
}

/* Addresses and stacks of another process. */
static int victim(void)
{
	struct perf_event_attr a = {.type = PERF_TYPE_SOFTWARE,
				    .config = PERF_COUNT_SW_CPU_CLOCK,
				    .sample_period = 1000000,
				    .sample_type = PERF_SAMPLE_IP | PERF_SAMPLE_CALLCHAIN};

	return opened(&a, esc_num("victim"), -1);
}

static int whole_cpu(void)
{
	struct perf_event_attr a = {.type = PERF_TYPE_SOFTWARE,
				    .config = PERF_COUNT_SW_CONTEXT_SWITCHES};

	return opened(&a, -1, 0);
}

static int breakpoint(void)
{
	struct perf_event_attr a = {.type = PERF_TYPE_BREAKPOINT,
				    .bp_type = HW_BREAKPOINT_W,
				    .bp_addr = 0x401000,
				    .bp_len = HW_BREAKPOINT_LEN_4,
				    .exclude_kernel = 1};

	return opened(&a, 0, -1);
}

/* Needs no privilege on an ordinary host: only itself, only user mode. */
static int own_user(void)
{
	struct perf_event_attr a = {.type = PERF_TYPE_SOFTWARE,
				    .config = PERF_COUNT_SW_PAGE_FAULTS,
				    .exclude_kernel = 1,
				    .exclude_hv = 1};

	return opened(&a, 0, -1);
}

static const struct esc_try tries[] = {
	{"clock", clock_, "syscall", 1, ESC_OUTSIDE, NULL},
	{"victim", victim, "syscall", 1, ESC_OUTSIDE, NULL},
	{"cpu", whole_cpu, "syscall", 1, ESC_OUTSIDE, NULL},
	{"breakpoint", breakpoint, "syscall", 1, ESC_OUTSIDE, NULL},
	{"own-user-mode", own_user, "syscall", 1, ESC_OUTSIDE, NULL},
};

ESC_ROW(66, "perf_event_open", "filter, perf_event_open", tries);
