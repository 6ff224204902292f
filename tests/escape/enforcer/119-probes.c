/*
 * Row 119: hooks that only look, or that can be pulled: enforcement by kprobes and overridden returns
 * does not exist on kernels without error injection, and probes of one's own would see every secret.
 * Nothing here depends on them; a brane gets none.
 */
#include <linux/bpf.h>
#include <linux/perf_event.h>

#include "tests/escape/lib/escape.h"

static int probe(void)
{
	struct perf_event_attr a = {.type = PERF_TYPE_TRACEPOINT, .size = sizeof(a), .config = 1};
	int fd = (int)syscall(SYS_perf_event_open, &a, -1, 0, -1, 0);

	/* Outside: software events exist everywhere, tracepoint 1 need not. */
	if (fd < 0 && (errno == EINVAL || errno == ENOENT)) {
		a.type = PERF_TYPE_SOFTWARE;
		a.config = PERF_COUNT_SW_CPU_CLOCK;
		fd = (int)syscall(SYS_perf_event_open, &a, -1, 0, -1, 0);
	}
	return fd < 0 ? errno : 0;
}

static int program(void)
{
	struct bpf_insn exits[] = {
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .imm = 0},
		{.code = BPF_JMP | BPF_EXIT},
	};
	union bpf_attr attr = {.prog_type = BPF_PROG_TYPE_KPROBE,
			       .insn_cnt = 2,
			       .insns = (uintptr_t)exits,
			       .license = (uintptr_t) "GPL"};
	int fd = (int)syscall(SYS_bpf, BPF_PROG_LOAD, &attr, sizeof(attr));

	return fd < 0 ? errno : 0;
}

static int opened(const char *path)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0 && errno == ENOENT && !strcmp(esc_arg("mode"), "outside"))
		return esc_skip("this kernel lacks the file");
	if (fd < 0)
		return errno;
	close(fd);
	return 0;
}

static int kprobe_events(void)
{
	return opened("/sys/kernel/tracing/kprobe_events");
}

static int uprobe_events(void)
{
	return opened("/sys/kernel/tracing/uprobe_events");
}

/* ftrace off: probes that hang on it fall silent. */
static int ftrace_off(void)
{
	return opened("/proc/sys/kernel/ftrace_enabled");
}

static const struct esc_try tries[] = {
	{"perf", probe, "syscall", 1, ESC_OUTSIDE, NULL},
	{"program", program, "syscall", 1, ESC_OUTSIDE, NULL},
	{"kprobe-events", kprobe_events, "file.absent", 1, ESC_OUTSIDE, NULL},
	{"uprobe-events", uprobe_events, "file.absent", 1, ESC_OUTSIDE, NULL},
	{"ftrace-off", ftrace_off, "file.absent", 1, ESC_OUTSIDE, NULL},
};

ESC_ROW(119, "probes: own ones, or the enforcer's pulled away",
	"BPF-LSM alone decides; seccomp, the view", tries);
