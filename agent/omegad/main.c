/*
 * omegad: the event loop of the parent.
 *
 * Comes in: signals, READY and STOP of the roles. Goes out: a running set, or none. Called by: the
 * operator. Never does: serve with half a set: when one role dies the others end too, and all are
 * started anew. Branes do not notice: what confines them lies in the kernel.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include "agent/omegad/omegad.h"
#include "agent/role/log.h"
#include "agent/role/wire.h"

#define STOP_SECONDS 10u
#define BACKOFF_MAX  32u /* seconds */
#define SETTLED	     60	 /* a set that lived so long starts again without delay */

enum outcome { GO_ON, STOP, FAILED };

/* Reads what the signals and the children say. */
static enum outcome on_signals(int sfd, struct omegad_set *s)
{
	enum outcome out = GO_ON;
	struct signalfd_siginfo si;
	int status;
	pid_t pid;

	while (read(sfd, &si, sizeof(si)) == (ssize_t)sizeof(si))
		if (si.ssi_signo == SIGTERM || si.ssi_signo == SIGINT)
			out = STOP;
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		enum omegad_role r = omegad_set_reaped(s, pid);

		if (r == ROLE_COUNT)
			continue;
		om_slog(OM_FAIL, "role_died", "role", omegad_role_name(r),
			WIFSIGNALED(status) ? "signal" : "code",
			om_slog_num(WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status)),
			NULL);
		if (out == GO_ON)
			out = FAILED;
	}
	return out;
}

static enum outcome on_role(struct omegad_set *s, enum omegad_role r)
{
	struct om_err err = {0};
	struct om_msg m;
	int ret = om_msg_recv(s->link[r], 0, &m, &err);

	if (!ret)
		return GO_ON;
	if (ret == -ECONNRESET) {
		/* The process itself is about to be reaped; its socket will not speak again. */
		om_close_fd(&s->link[r]);
		return GO_ON;
	}
	if (ret == 1) {
		om_msg_done(&m);
		if (om_msg_body(&m, OM_MSG_READY, 0, 0, 0)) {
			s->ready[r] = true;
			return GO_ON;
		}
		if (r == ROLE_LOAD && om_msg_body(&m, OM_MSG_STOP, 0, 0, 0))
			return STOP;
		om_err_set(&err, OM_ERR_ROLE_PROTOCOL, -EBADMSG, "unexpected message %u",
			   m.head.type);
	}
	om_slog_err(OM_FAIL, "role_protocol", omegad_role_name(r), &err);
	return FAILED;
}

static void announce(const struct omegad_opts *o)
{
	static bool told;

	om_slog(OM_INFO, "ready", "run_dir", o->run_dir, NULL);
	if (told || o->ready_fd < 0)
		return;
	told = true;
	if (write(o->ready_fd, "\n", 1) != 1)
		om_slog(OM_WARN, "ready_fd", "error", "cannot be written", NULL);
	close(o->ready_fd);
}

static bool all_ready(const struct omegad_set *s)
{
	for (int r = 0; r < ROLE_COUNT; r++)
		if (!s->ready[r])
			return false;
	return true;
}

/* Watches one set until it must end. */
static enum outcome watch(int sfd, struct omegad_set *s, const struct omegad_opts *o)
{
	bool announced = false;

	for (;;) {
		struct pollfd p[ROLE_COUNT + 1];
		enum outcome out = GO_ON;

		p[ROLE_COUNT] = (struct pollfd){.fd = sfd, .events = POLLIN};
		for (int r = 0; r < ROLE_COUNT; r++)
			p[r] = (struct pollfd){.fd = s->link[r], .events = POLLIN};
		if (poll(p, OM_ARRAY_LEN(p), -1) < 0 && errno != EINTR)
			return FAILED;
		for (int r = 0; r < ROLE_COUNT && out == GO_ON; r++)
			if (p[r].fd >= 0 && p[r].revents)
				out = on_role(s, (enum omegad_role)r);
		if (out == GO_ON && p[ROLE_COUNT].revents)
			out = on_signals(sfd, s);
		if (out != GO_ON)
			return out;
		if (!announced && all_ready(s)) {
			announced = true;
			announce(o);
		}
	}
}

/* Sleeps SECONDS, or less when told to stop. */
static enum outcome pause_for(int sfd, struct omegad_set *s, unsigned int seconds)
{
	struct pollfd p = {.fd = sfd, .events = POLLIN};
	struct timespec now, end;

	clock_gettime(CLOCK_MONOTONIC, &end);
	end.tv_sec += seconds;
	do {
		if (poll(&p, 1, 100) > 0 && on_signals(sfd, s) == STOP)
			return STOP;
		clock_gettime(CLOCK_MONOTONIC, &now);
	} while (now.tv_sec < end.tv_sec ||
		 (now.tv_sec == end.tv_sec && now.tv_nsec < end.tv_nsec));
	return GO_ON;
}

static int run(int sfd, const struct omegad_opts *o, const struct omegad_host *h)
{
	unsigned int backoff = 1;

	for (;;) {
		struct om_err err = {0};
		struct timespec begun, now;
		struct omegad_set set;
		enum outcome out = FAILED;

		clock_gettime(CLOCK_MONOTONIC, &begun);
		if (omegad_set_start(&set, o, h, &err) < 0)
			om_slog_err(OM_FAIL, "start_failed", NULL, &err);
		else
			out = watch(sfd, &set, o);
		if (out == STOP)
			return omegad_set_stop(&set, STOP_SECONDS) ? 1 : 0;
		omegad_set_kill(&set);
		clock_gettime(CLOCK_MONOTONIC, &now);
		if (now.tv_sec - begun.tv_sec >= SETTLED)
			backoff = 1;
		om_slog(OM_FAIL, "restart", "seconds", om_slog_num(backoff), NULL);
		if (pause_for(sfd, &set, backoff) == STOP)
			return 1;
		backoff = OM_MIN(backoff * 2, BACKOFF_MAX);
	}
}

/* The load role has the loader and the privilege: it answers in our place. */
static int probe(const struct omegad_opts *o)
{
	char path[sizeof(o->libexec) + 16];

	snprintf(path, sizeof(path), "%s/omegad-load", o->libexec);
	execl(path, path, "--probe", (char *)NULL);
	fprintf(stderr, "omegad: cannot run %s\n", path);
	return 1;
}

static void nothing(int sig)
{
}

/*
 * A terminal's signals come from the kernel, on behalf of whoever has the terminal: the strict self-guard could
 * not tell. A handler, because what is ignored would stay ignored in every workload.
 */
static void deaf_to_terminal(void)
{
	static const int all[] = {SIGHUP, SIGINT, SIGQUIT, SIGTSTP, SIGTTIN, SIGTTOU};
	struct sigaction sa = {.sa_handler = nothing, .sa_flags = SA_RESTART};

	for (size_t i = 0; i < OM_ARRAY_LEN(all); i++)
		sigaction(all[i], &sa, NULL);
}

int main(int argc, char **argv)
{
	struct om_err err = {0};
	struct omegad_opts o;
	struct omegad_host h;
	sigset_t set;
	int sfd, code;

	if (omegad_options(argc, argv, &o, &code))
		return code;
	if (o.probe)
		return probe(&o);
	if (geteuid() != 0) {
		fputs("omegad: must be started by root\n", stderr);
		return 5;
	}
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	if (!strcmp(o.guard, "strict"))
		deaf_to_terminal();
	else
		sigaddset(&set, SIGINT);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	sfd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (sfd < 0 || omegad_claim(&o, &err) < 0 || omegad_host_open(&o, &h, &err) < 0) {
		om_slog_err(OM_FAIL, "cannot_start", NULL, &err);
		return om_err_exit(err.id);
	}
	code = run(sfd, &o, &h);
	om_slog(OM_INFO, "stopped", "branes", "stay confined", NULL);
	omegad_host_done(&h);
	return code;
}
