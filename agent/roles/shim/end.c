/*
 * The end of a workload: what ended it, an empty cgroup, the exit file.
 *
 * Comes in: init's status pipe, memory.events, the marker that the operator asked for it. Goes out:
 * RUN_DIR/branes/NAME/exit. Called by: the supervisor's loop. Never does: report an end while a
 * process of the brane is alive.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "agent/roles/shim/shim.h"

static ssize_t read_cgroup(const char *file, char *buf, size_t size)
{
	OM_CLEANUP(om_close_fd) int fd = openat(OM_FD_CGROUP, file, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, buf, size - 1);
	buf[n > 0 ? n : 0] = '\0';
	return n;
}

void shim_cgroup_kill(void)
{
	OM_CLEANUP(om_close_fd) int fd = openat(OM_FD_CGROUP, "cgroup.kill", O_WRONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : write(fd, "1", 1);
	(void)n; /* gone already, or the loader finds it populated and does it again */
}

bool shim_cgroup_gone(void)
{
	char buf[256];
	return read_cgroup("cgroup.events", buf, sizeof(buf)) < 0;
}

static bool oom_killed(void)
{
	char buf[512];
	if (read_cgroup("memory.events", buf, sizeof(buf)) <= 0)
		return false;
	const char *p = strstr(buf, "oom_kill ");
	return p && strtoul(p + strlen("oom_kill "), NULL, 10) > 0;
}

static void wait_empty(void)
{
	char buf[256];
	const struct timespec ms = {.tv_nsec = 1000000};
	/* A killed task in an uninterruptible sleep can take its time; the loader waits again anyway. */
	for (int i = 0; i < 2000; i++) {
		if (read_cgroup("cgroup.events", buf, sizeof(buf)) <= 0 ||
		    strstr(buf, "populated 0"))
			return;
		nanosleep(&ms, NULL);
	}
}

static void write_exit(const struct om_exit_file *e)
{
	OM_CLEANUP(om_close_fd)
	int fd = openat(OM_FD_DIR, "exit.tmp",
			O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0 || write(fd, e, sizeof(*e)) != (ssize_t)sizeof(*e) || fsync(fd) < 0)
		return;
	if (renameat(OM_FD_DIR, "exit.tmp", OM_FD_DIR, "exit") < 0)
		return; /* the brane was deleted meanwhile */
}

void shim_end(struct shim *s)
{
	struct om_init_status st = {0};
	struct om_exit_file *e = &s->exit;
	siginfo_t si = {0};

	ssize_t n = read(s->status, &st, sizeof(st));
	while (waitid(P_PID, (id_t)s->init, &si, WEXITED) < 0 && errno == EINTR)
		;
	/* The kernel ends a pid namespace with its init; without one, that is ours to do. */
	if (!(s->birth.plan->layers & OM_LAYER_PROCESS) && om_cgroup_end(OM_FD_CGROUP) < 0)
		shim_cgroup_kill();
	wait_empty();

	memcpy(e->magic, OM_EXIT_MAGIC, sizeof(e->magic));
	memcpy(e->instance, s->birth.plan->instance, sizeof(e->instance));
	if (n == (ssize_t)sizeof(st) && WIFEXITED(st.status)) {
		e->cause = OM_EXIT_CODE;
		e->code = WEXITSTATUS(st.status);
	} else {
		/* Without a status init itself was killed: cgroup.kill or the OOM killer's group. */
		e->cause = OM_EXIT_SIGNAL;
		e->code = n == (ssize_t)sizeof(st) && WIFSIGNALED(st.status) ? WTERMSIG(st.status)
									     : SIGKILL;
		if (e->code == SIGKILL && oom_killed())
			e->cause = OM_EXIT_OOM;
		if (faccessat(OM_FD_DIR, "killed", F_OK, 0) == 0)
			e->cause = OM_EXIT_DELETED;
	}
	e->time_ns = shim_now(CLOCK_REALTIME);
	e->run_ns = shim_now(CLOCK_MONOTONIC) - s->started_mono;
	for (int i = 0; i < 2; i++)
		for (int k = 0; k < 64 && s->out[i].pipe >= 0; k++)
			shim_output_copy(&s->out[i]);
	write_exit(e);
	s->ended = true;
	s->linger_ms = shim_ms(shim_now(CLOCK_MONOTONIC)) + SHIM_LINGER_MS;
	if (s->listener >= 0)
		close(s->listener);
	s->listener = -1;
	/* Whoever waited for an answer is gone with the cgroup; what was not taken over is counted. */
	shim_notif_expire(s, UINT64_MAX);
	shim_send_exit(s);
}
