/*
 * Row 40: into another process by system calls: ptrace, reading and writing its memory, comparing what it
 * holds, moving its pages. Traced, a process outside would do our work.
 */
#include <linux/mman.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/uio.h>

#include "tests/escape/lib/escape.h"

static int attach(void)
{
	int ret = esc_errno(ptrace(PTRACE_SEIZE, esc_num("victim"), 0, 0));

	if (!ret)
		ptrace(PTRACE_DETACH, esc_num("victim"), 0, 0);
	return ret;
}

static int traceme_(void)
{
	return esc_errno(ptrace(PTRACE_TRACEME, 0, 0, 0));
}

static int traceme(void)
{
	return esc_child(traceme_);
}

/* An address that every static program of this suite has mapped, and the host's shell may not: EFAULT. */
static char probe[8] = "probe";

static int vm_read(void)
{
	char c;
	struct iovec here = {&c, 1}, there = {probe, 1};
	int ret =
		esc_errno(syscall(SYS_process_vm_readv, esc_num("victim"), &here, 1, &there, 1, 0));

	return ret == EFAULT ? 0 : ret; /* asked about an address: the process was open to us */
}

static int vm_write(void)
{
	struct iovec here = {probe, 1}, there = {NULL, 1};
	int ret = esc_errno(
		syscall(SYS_process_vm_writev, esc_num("victim"), &here, 1, &there, 1, 0));

	return ret == EFAULT ? 0 : ret;
}

static int compare(void)
{
	long ret = syscall(SYS_kcmp, getpid(), esc_num("victim"), 1 /* KCMP_VM */, 0, 0);

	return ret < 0 ? errno : 0;
}

static int migrate(void)
{
	unsigned long node = 1;

	return esc_errno(syscall(SYS_migrate_pages, esc_num("victim"), 8, &node, &node));
}

static int move(void)
{
	void *page = probe;
	int status;

	return esc_errno(syscall(SYS_move_pages, esc_num("victim"), 1, &page, NULL, &status, 0));
}

static int advise(void)
{
	struct iovec v = {NULL, 0};
	int fd = 0;

	if (!strcmp(esc_arg("mode"), "outside"))
		fd = (int)syscall(SYS_pidfd_open, esc_num("victim"), 0);
	return fd < 0 ? errno : esc_errno(syscall(SYS_process_madvise, fd, &v, 1, MADV_COLD, 0));
}

/* The brane's own init is no part of the workload: it speaks for it to the agent. */
static int attach_init(void)
{
	int who = strcmp(esc_arg("mode"), "outside") ? 1 : esc_num("victim");
	int ret = esc_errno(ptrace(PTRACE_SEIZE, who, 0, 0));

	if (!ret)
		ptrace(PTRACE_DETACH, who, 0, 0);
	return ret;
}

static const struct esc_try tries[] = {
	{"attach", attach, "syscall", 1, ESC_OUTSIDE, NULL},
	{"attach-init", attach_init, "syscall", 1, ESC_OUTSIDE, NULL},
	{"traceme", traceme, "syscall", 1, ESC_OUTSIDE, NULL},
	{"vm-read", vm_read, "syscall", 1, ESC_OUTSIDE, NULL},
	{"vm-write", vm_write, "syscall", 1, ESC_OUTSIDE, NULL},
	{"kcmp", compare, "syscall", 1, ESC_OUTSIDE, NULL},
	{"migrate-pages", migrate, "syscall", 1, ESC_OUTSIDE, NULL},
	{"move-pages", move, "syscall", 1, ESC_OUTSIDE, NULL},
	{"process-madvise", advise, "syscall", 1, ESC_OUTSIDE, NULL},
};

ESC_ROW(40, "ptrace, process_vm_readv and their kin", "filter, ptrace hooks, pid namespace", tries);
