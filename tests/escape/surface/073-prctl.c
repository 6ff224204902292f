/*
 * Row 73: a process's settings about itself that outlive a check: its memory's layout, who may trace it,
 * its secure bits, and filters of its own, one of which could answer for the agent's.
 */
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>

#include "tests/escape/lib/escape.h"

static int memory_layout(void)
{
	unsigned long auxv[16] = {0};

	return esc_errno(prctl(PR_SET_MM, PR_SET_MM_AUXV, auxv, sizeof(auxv), 0));
}

static int secure_bits(void)
{
	return esc_errno(prctl(PR_SET_SECUREBITS, 0, 0, 0, 0));
}

static int tracer(void)
{
	int ret = esc_errno(prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0));

	return ret == EINVAL && !strcmp(esc_arg("mode"), "outside")
		       ? esc_skip("this kernel runs without Yama")
		       : ret;
}

static int ambient(void)
{
	return esc_errno(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0));
}

static int speculation(void)
{
	int ret = esc_errno(
		prctl(PR_SET_SPECULATION_CTRL, PR_SPEC_STORE_BYPASS, PR_SPEC_ENABLE, 0, 0));

	return ret == ENXIO || ret == ENODEV ? 0 : ret; /* nothing to set on this processor */
}

static struct sock_filter allow[] = {{BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW}};
static struct sock_fprog program = {1, allow};

static int filter_prctl(void)
{
	return esc_errno(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0));
}

static int filter_call(void)
{
	return esc_errno(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program));
}

/* The newest listener is asked first, and it may say: let it pass. */
static int listener(void)
{
	return esc_errno(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
				 SECCOMP_FILTER_FLAG_NEW_LISTENER, &program));
}

static int keep_caps(void)
{
	return esc_errno(prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0));
}

static const struct esc_try tries[] = {
	{"set-mm", memory_layout, "syscall", 1, ESC_OUTSIDE, NULL},
	{"securebits", secure_bits, "syscall", 1, ESC_OUTSIDE, NULL},
	{"ptracer", tracer, "syscall", 1, ESC_OUTSIDE, NULL},
	{"ambient", ambient, "syscall", 1, ESC_OUTSIDE, NULL},
	{"speculation", speculation, "syscall", 1, ESC_OUTSIDE, NULL},
	{"seccomp-prctl", filter_prctl, "syscall", 1, ESC_OUTSIDE, NULL},
	{"seccomp", filter_call, "syscall", 1, ESC_OUTSIDE, NULL},
	{"seccomp-listener", listener, "syscall", 1, ESC_OUTSIDE, NULL},
	{"keepcaps", keep_caps, "syscall", 1, ESC_OUTSIDE, NULL},
};

ESC_ROW(73, "prctl, seccomp", "filter", tries);
