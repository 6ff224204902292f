/*
 * Row 42: ending, slowing or limiting processes outside: every call that takes a pid, and the descriptors
 * whose "owner" the kernel signals in our name, which pass no hook for signals.
 */
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "tests/escape/lib/escape.h"

#define IOPRIO_WHO_PROCESS 1
#define IOPRIO_BE_7	   ((2 << 13) | 7)

/* SIGCONT changes nothing in a process that runs: the scene is needed by the next row. */
static int by_kill(void)
{
	return esc_errno(kill(esc_num("victim"), SIGCONT));
}

static int by_tkill(void)
{
	return esc_errno(syscall(SYS_tkill, esc_num("victim"), SIGCONT));
}

static int by_tgkill(void)
{
	return esc_errno(syscall(SYS_tgkill, esc_num("victim"), esc_num("victim"), SIGCONT));
}

static int by_sigqueue(void)
{
	siginfo_t info = {.si_code = SI_QUEUE, .si_signo = SIGCONT};

	return esc_errno(syscall(SYS_rt_sigqueueinfo, esc_num("victim"), SIGCONT, &info));
}

static int by_tgsigqueue(void)
{
	siginfo_t info = {.si_code = SI_QUEUE, .si_signo = SIGCONT};
	int pid = esc_num("victim");

	return esc_errno(syscall(SYS_rt_tgsigqueueinfo, pid, pid, SIGCONT, &info));
}

static int by_pidfd(void)
{
	int fd = (int)syscall(SYS_pidfd_open, esc_num("victim"), 0);

	return fd < 0 ? errno : esc_errno(syscall(SYS_pidfd_send_signal, fd, SIGCONT, NULL, 0));
}

/* 0: the descriptor's owner was set; its readiness then signals, with any number we like. */
static int own(int how)
{
	int p[2], pid = esc_num("victim"), ret;
	struct f_owner_ex ex = {F_OWNER_PID, pid};

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, p) < 0)
		return errno;
	ret = how == 0	 ? fcntl(p[0], F_SETOWN, pid)
	      : how == 1 ? fcntl(p[0], F_SETOWN_EX, &ex)
			 : ioctl(p[0], how == 2 ? 0x8901 /* FIOSETOWN */ : 0x8902, &pid);
	if (ret < 0)
		return errno;
	if (fcntl(p[0], F_SETSIG, SIGCONT) < 0 || fcntl(p[0], F_SETFL, O_ASYNC | O_NONBLOCK) < 0 ||
	    write(p[1], "x", 1) != 1)
		return errno;
	return fcntl(p[0], F_GETOWN) == pid ? 0 : ESRCH;
}

static int setown(void)
{
	return own(0);
}

static int setown_ex(void)
{
	return own(1);
}

static int fiosetown(void)
{
	return own(2);
}

static int siocspgrp(void)
{
	return own(3);
}

static int limit_set(void)
{
	struct rlimit r = {0, RLIM_INFINITY};

	return esc_errno(prlimit(esc_num("victim"), RLIMIT_CORE, &r, NULL));
}

static int limit_read(void)
{
	struct rlimit r;

	return esc_errno(prlimit(esc_num("victim"), RLIMIT_NOFILE, NULL, &r));
}

static int nice_(void)
{
	return esc_errno(setpriority(PRIO_PROCESS, (id_t)esc_num("victim"), 1));
}

static int affinity(void)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(0, &set);
	return esc_errno(sched_setaffinity(esc_num("victim"), sizeof(set), &set));
}

static int scheduler(void)
{
	struct sched_param p = {0};

	return esc_errno(syscall(SYS_sched_setscheduler, esc_num("victim"), SCHED_OTHER, &p));
}

static int parameters(void)
{
	struct sched_param p = {0};

	return esc_errno(syscall(SYS_sched_setparam, esc_num("victim"), &p));
}

static int io_priority(void)
{
	return esc_errno(
		syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, esc_num("victim"), IOPRIO_BE_7));
}

#define ELSEWHERE "pid namespace: no such process, ESRCH"

static const struct esc_try tries[] = {
	{"kill", by_kill, "", 0, ESC_OUTSIDE, ELSEWHERE},
	{"tkill", by_tkill, "", 0, ESC_OUTSIDE, ELSEWHERE},
	{"tgkill", by_tgkill, "", 0, ESC_OUTSIDE, ELSEWHERE},
	{"sigqueue", by_sigqueue, "", 0, ESC_OUTSIDE, ELSEWHERE},
	{"tgsigqueue", by_tgsigqueue, "", 0, ESC_OUTSIDE, ELSEWHERE},
	{"pidfd", by_pidfd, "", 0, ESC_OUTSIDE, ELSEWHERE},
	{"setown", setown, "", 0, ESC_OUTSIDE, ELSEWHERE},
	{"setown-ex", setown_ex, "", 0, ESC_OUTSIDE, ELSEWHERE},
	{"fiosetown", fiosetown, "", 0, ESC_OUTSIDE, ELSEWHERE},
	{"siocspgrp", siocspgrp, "", 0, ESC_OUTSIDE, ELSEWHERE},
	{"prlimit", limit_set, "syscall", 1, ESC_OUTSIDE, NULL},
	{"prlimit-read", limit_read, "", 0, ESC_OUTSIDE, ELSEWHERE},
	{"setpriority", nice_, "", 0, ESC_OUTSIDE, ELSEWHERE},
	{"affinity", affinity, "", 0, ESC_OUTSIDE, ELSEWHERE},
	{"setscheduler", scheduler, "syscall", 1, ESC_OUTSIDE, NULL},
	{"setparam", parameters, "syscall", 1, ESC_OUTSIDE, NULL},
	{"ioprio", io_priority, "syscall", 1, ESC_OUTSIDE, NULL},
};

ESC_ROW(42, "signals, priorities and limits of others", "pid namespace, filter, task hooks", tries);
