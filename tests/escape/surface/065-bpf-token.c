/*
 * Row 65: since 6.9 a bpffs mount may delegate bpf() to who holds a token of it, without capabilities.
 * Whoever may mount a file system of his own, or finds such a mount, needs no privilege after that.
 */
#include <linux/bpf.h>
#include <linux/mount.h>
#include <sys/mount.h>

#include "tests/escape/lib/escape.h"

#define BPF_TOKEN_CREATE_ 36

static bool outside(void)
{
	return !strcmp(esc_arg("mode"), "outside");
}

/* A mount that delegates everything. */
static int delegating(void)
{
	int fs = (int)syscall(SYS_fsopen, "bpf", FSOPEN_CLOEXEC);

	if (fs < 0)
		return errno;
	if (syscall(SYS_fsconfig, fs, FSCONFIG_SET_STRING, "delegate_cmds", "any", 0) < 0)
		return errno == EINVAL ? esc_skip("bpffs delegates since 6.9") : errno;
	if (syscall(SYS_fsconfig, fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return errno;
	return esc_errno(syscall(SYS_fsmount, fs, FSMOUNT_CLOEXEC, 0));
}

static int by_mount(void)
{
	int ret = esc_errno(
		mount("bpf", esc_arg("write"), "bpf", 0, outside() ? "delegate_cmds=any" : ""));

	/* An option that the kernel does not know is passed over by bpffs. */
	if (outside())
		umount2(esc_arg("write"), MNT_DETACH);
	return ret;
}

static int token(void)
{
	union bpf_attr a = {0};
	int fd = 0, ret;

	if (outside())
		fd = open(esc_arg("bpffs"), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	memcpy(&a, (uint32_t[2]){0, (uint32_t)fd}, 8);
	ret = esc_errno(syscall(SYS_bpf, BPF_TOKEN_CREATE_, &a, sizeof(a)));
	/* This mount delegates nothing, or the caller needs no token: the kernel was asked. */
	if (outside() && (ret == ENOENT || ret == EOPNOTSUPP || ret == EPERM))
		return 0;
	return outside() && ret == EINVAL ? esc_skip("no tokens before 6.9") : ret;
}

static const struct esc_try tries[] = {
	{"delegating-mount", delegating, "syscall", 1, ESC_OUTSIDE, NULL},
	{"mount", by_mount, "syscall", 1, ESC_OUTSIDE, NULL},
	{"token-create", token, "syscall", 1, ESC_OUTSIDE, NULL},
};

ESC_ROW(65, "BPF token of a delegating bpffs", "filter, mount hooks", tries);
