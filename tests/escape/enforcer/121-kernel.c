/*
 * Row 121: an error in the kernel itself. Out of scope for every enforcer that lives in that kernel:
 * what helps is a small attack surface (rows 61 to 77) and the microVM layer, which is not built.
 */
#include "tests/escape/lib/escape.h"

/* Numbers that no kernel has: the surface ends where the table ends. */
static int beyond(void)
{
	long ret = syscall(5000);

	return ret < 0 ? errno : 0;
}

static const struct esc_try tries[] = {
	{"beyond-the-table", beyond, "syscall", 0, ESC_NEVER,
	 "a kernel's own error cannot be shown harmlessly; it needs the microVM layer, not built"},
};

ESC_ROW(121, "kernel exploit (out of scope without the microVM layer)", "microVM layer: not built",
	tries);
