/*
 * Row 74: becoming somebody: capabilities, user and group ids. A brane has no capability and no way to one,
 * so the kernel's own rules answer; what counts is that they do.
 */
#include <grp.h>
#include <linux/capability.h>
#include <sys/fsuid.h>

#include "tests/escape/lib/escape.h"

static int set_caps(uint32_t bits)
{
	struct __user_cap_header_struct h = {_LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct d[2] = {{bits, bits, 0}, {0, 0, 0}};

	return esc_errno(syscall(SYS_capset, &h, d));
}

static int all_caps(void)
{
	return set_caps(0xffffffff);
}

static int one_cap(void)
{
	return set_caps(1u << CAP_DAC_READ_SEARCH);
}

/* Raw calls: the library's would set every thread's. */
static int user(void)
{
	return esc_errno(syscall(SYS_setuid, 65533));
}

static int users(void)
{
	return esc_errno(syscall(SYS_setresuid, -1, 65533, -1));
}

static int group(void)
{
	return esc_errno(syscall(SYS_setgid, 65533));
}

static int groups(void)
{
	gid_t g = 0;

	return esc_errno(syscall(SYS_setgroups, 1, &g));
}

/* It returns the old id and no error: asked twice, it tells. */
static int fs_user(void)
{
	syscall(SYS_setfsuid, 65533);
	return syscall(SYS_setfsuid, 65533) == 65533 ? 0 : EPERM;
}

#define NO_CAP "the kernel's own rule: no capability to do it with"

static const struct esc_try tries[] = {
	{"capset-all", all_caps, "", 0, ESC_OUTSIDE, NO_CAP},
	{"capset-one", one_cap, "", 0, ESC_OUTSIDE, NO_CAP},
	{"setuid", user, "", 0, ESC_OUTSIDE, NO_CAP},
	{"setresuid", users, "", 0, ESC_OUTSIDE, NO_CAP},
	{"setgid", group, "", 0, ESC_OUTSIDE, NO_CAP},
	{"setgroups", groups, "", 0, ESC_OUTSIDE, NO_CAP},
	{"setfsuid", fs_user, "", 0, ESC_OUTSIDE, NO_CAP},
};

ESC_ROW(74, "capset, setuid, setgid", "no capability in any set, securebits", tries);
