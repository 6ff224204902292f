/*
 * omegad-shim: supervisor of one brane.
 *
 * Comes in: descriptors 3 and up from the load role (loader/process/process.h); no argument, no
 * environment. Goes out: a started workload, its events, output and exit. Called by: loader/process/spawn.c,
 * by execve. Never does: outlive its brane, or die with the agent that started it.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include "agent/roles/shim/shim.h"

uint64_t shim_now(int clock)
{
	struct timespec ts;
	clock_gettime(clock, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* Before the brane exists: nothing of it may be read out of the shim, or out of init, its copy. */
static void settle(void)
{
	struct sigaction ign = {.sa_handler = SIG_IGN}, dfl = {.sa_handler = SIG_DFL};
	struct rlimit none = {0, 0};
	sigset_t empty;

	sigemptyset(&empty);
	sigprocmask(SIG_SETMASK, &empty, NULL);
	sigaction(SIGPIPE, &ign, NULL);
	sigaction(SIGHUP, &ign, NULL);
	sigaction(SIGCHLD, &dfl, NULL);
	setrlimit(RLIMIT_CORE, &none);
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}

/* One byte: the brane is written down as running. End of file before it: the load role died. */
static void read_consent(struct shim *s)
{
	char c;
	ssize_t n = recv(OM_FD_CONTROL, &c, 1, MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	/* Nobody knows of this brane: it must not run on unrecorded. */
	if (n != 1)
		shim_cgroup_kill();
	s->consented = true;
	close(OM_FD_CONTROL);
}

static bool finished(const struct shim *s, uint64_t now_ms)
{
	if (!s->ended)
		return false;
	return (s->exit_acked && !s->counted.count) || now_ms >= s->linger_ms || shim_cgroup_gone();
}

static void turn(struct shim *s)
{
	enum { INIT, LISTENER, DRAIN, CONTROL, OUT, ERR, COUNT };
	uint64_t now = shim_ms(shim_now(CLOCK_MONOTONIC));
	struct pollfd p[COUNT] = {
		[INIT] = {s->ended ? -1 : s->init_pidfd, POLLIN, 0},
		[LISTENER] = {shim_has_room(s) ? s->listener : -1, POLLIN, 0},
		[DRAIN] = {s->drain, POLLIN, 0},
		[CONTROL] = {s->consented ? -1 : OM_FD_CONTROL, POLLIN, 0},
		[OUT] = {s->out[0].pipe, POLLIN, 0},
		[ERR] = {s->out[1].pipe, POLLIN, 0},
	};
	if (poll(p, COUNT, shim_timeout(s, now)) < 0)
		return;
	now = shim_ms(shim_now(CLOCK_MONOTONIC));
	if (p[CONTROL].revents)
		read_consent(s);
	if (p[DRAIN].revents)
		shim_drain_read(s);
	if (p[LISTENER].revents & POLLIN) {
		shim_notif_recv(s, now);
	} else if (p[LISTENER].revents) {
		close(s->listener); /* no task is left under the filter */
		s->listener = -1;
	}
	for (int i = 0; i < 2; i++)
		if (p[OUT + i].revents)
			shim_output_copy(&s->out[i]);
	shim_notif_expire(s, now);
	shim_drain_connect(s, now);
	if (p[INIT].revents)
		shim_end(s);
}

int main(void)
{
	static struct shim s = {
		.init_pidfd = -1,
		.listener = -1,
		.drain = -1,
		.next_id = 1,
		.out = {{.pipe = -1, .file = -1, .name = "stdout"},
			{.pipe = -1, .file = -1, .name = "stderr"}},
	};
	struct om_ready r = {.version = OM_SHIM_VERSION, .stage = OM_STAGE_PLAN};

	settle();
	s.gone_ms = shim_ms(shim_now(CLOCK_MONOTONIC));
	int ret = om_birth_open(&s.birth);
	if (ret < 0)
		r.err = -ret;
	else
		shim_start(&s, &r);
	/* From here on: its open files and sockets, and the right to end what it supervises. */
	if (r.stage == OM_STAGE_NONE && (om_caps_drop() < 0 || om_caps_keep_kill() < 0 ||
					 prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)) {
		r.stage = OM_STAGE_CAPS;
		r.err = errno;
		shim_cgroup_kill();
	}
	if (send(OM_FD_CONTROL, &r, sizeof(r), MSG_NOSIGNAL) != (ssize_t)sizeof(r))
		shim_cgroup_kill();
	if (r.stage != OM_STAGE_NONE)
		return 1;
	shim_drain_connect(&s, 0);
	while (!finished(&s, shim_ms(shim_now(CLOCK_MONOTONIC))))
		turn(&s);
	return 0;
}
