/*
 * Row 68: another kernel in place of this one, with no enforcement at all. The arguments are bad on
 * purpose: what the kernel says about them shows that it would have gone on.
 */
#include "tests/escape/lib/escape.h"

static int load(void)
{
	/* More segments than there may be: EINVAL, after the capability and the hooks. */
	int ret = esc_errno(syscall(SYS_kexec_load, 0, 1000, NULL, 0));

	return ret == EINVAL ? 0 : ret;
}

static int file_load(void)
{
	int ret =
		esc_errno(syscall(SYS_kexec_file_load, -1, -1, 0, NULL, 1ul << 2 /* no initrd */));

	return ret == EBADF || ret == EINVAL ? 0 : ret;
}

static int on_panic(void)
{
	int ret = esc_errno(syscall(SYS_kexec_load, 0, 1000, NULL, 1 /* KEXEC_ON_CRASH */));

	return ret == EINVAL ? 0 : ret;
}

static const struct esc_try tries[] = {
	{"kexec-load", load, "syscall", 1, ESC_OUTSIDE, NULL},
	{"kexec-file-load", file_load, "syscall", 1, ESC_OUTSIDE, NULL},
	{"on-crash", on_panic, "syscall", 1, ESC_OUTSIDE, NULL},
};

ESC_ROW(68, "kexec_load, kexec_file_load", "filter, no capability, kernel_load_data", tries);
