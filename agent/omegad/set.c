/*
 * The set of roles: which there are, what each is given, how they begin and end together.
 *
 * Comes in: options and the host's descriptors. Goes out: processes. Called by: main. Never does: keep
 * a link between two roles open itself: when one end dies, the other must see it at once.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include "agent/omegad/omegad.h"
#include "agent/role/log.h"
#include "agent/role/spawn.h"
#include "agent/role/wire.h"

static const char *const names[ROLE_COUNT] = {"sign", "drain", "load", "compile", "api"};

const char *omegad_role_name(enum omegad_role r)
{
	return r < ROLE_COUNT ? names[r] : "?";
}

/* Links between roles; [0] goes to the first named, [1] to the second. */
enum { L_DRAIN_SIGN, L_LOAD_DRAIN, L_API_LOAD, L_API_COMPILE, L_PARENT, L_COUNT = L_PARENT + 5 };

struct links {
	int fd[L_COUNT][2];
};

static void links_done(struct links *l)
{
	for (int i = 0; i < L_COUNT; i++) {
		om_close_fd(&l->fd[i][0]);
		om_close_fd(&l->fd[i][1]);
	}
}

static int links_open(struct links *l, struct om_err *err)
{
	for (int i = 0; i < L_COUNT; i++)
		l->fd[i][0] = l->fd[i][1] = -1;
	for (int i = 0; i < L_COUNT; i++)
		if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, l->fd[i]) < 0)
			return om_err_sys(err, OM_ERR_IO, -errno, "socketpair");
	return 0;
}

/* The log's origin is this host's name at enrolment; a later change of the name does not change it. */
static const char *own_origin(char *buf, size_t size)
{
	struct utsname u;
	size_t n = 0;

	if (uname(&u) < 0)
		u.nodename[0] = 0;
	for (const char *p = u.nodename; *p && n + 7 < size; p++)
		if ((*p >= 'a' && *p <= 'z') || (*p >= '0' && *p <= '9') || *p == '.' || *p == '-')
			buf[n++] = *p;
		else if (*p >= 'A' && *p <= 'Z')
			buf[n++] = (char)(*p + 'a' - 'A');
	snprintf(buf + n, size - n, "%s/omega", n ? "" : "node");
	return buf;
}

static bool first_start(const struct omegad_opts *o)
{
	char key[4200];

	snprintf(key, sizeof(key), "%s/substrate.key", o->state_dir);
	return access(key, F_OK) < 0 && errno == ENOENT;
}

static int start_one(struct omegad_set *s, enum omegad_role r, const struct omegad_opts *o,
		     const int *fds, unsigned int nfds, struct om_err *err)
{
	char path[4200], signer[4200], origin[128];
	const char *argv[24];
	unsigned int n = 0;

	snprintf(path, sizeof(path), "%s/omegad-%s", o->libexec, names[r]);
	argv[n++] = path;
	if (r == ROLE_SIGN || r == ROLE_DRAIN || r == ROLE_LOAD) {
		snprintf(signer, sizeof(signer), "%s/signer", o->run_dir);
		argv[n++] = "--run-dir";
		argv[n++] = r == ROLE_SIGN ? signer : o->run_dir;
	}
	if (r == ROLE_SIGN || r == ROLE_DRAIN || r == ROLE_LOAD) {
		argv[n++] = "--state-dir";
		argv[n++] = o->state_dir;
	}
	if (r == ROLE_SIGN && first_start(o)) {
		argv[n++] = "--enroll";
		argv[n++] = own_origin(origin, sizeof(origin));
	}
	if (r == ROLE_LOAD) {
		argv[n++] = "--bpffs";
		argv[n++] = o->bpffs;
		argv[n++] = "--layers";
		argv[n++] = o->layers;
		argv[n++] = "--nft-table";
		argv[n++] = o->nft_table;
		argv[n++] = "--libexec";
		argv[n++] = o->libexec;
		argv[n++] = "--self-guard";
		argv[n++] = o->guard;
		if (o->cgroup) {
			argv[n++] = "--cgroup";
			argv[n++] = o->cgroup;
		}
	}
	argv[n] = NULL;
	return om_role_spawn(path, (char *const *)argv, fds, nfds, &s->pid[r], err);
}

int omegad_set_start(struct omegad_set *s, const struct omegad_opts *o, const struct omegad_host *h,
		     struct om_err *err)
{
	OM_CLEANUP(links_done) struct links l;
	int ret = links_open(&l, err);

	memset(s, 0, sizeof(*s));
	for (int r = 0; r < ROLE_COUNT; r++)
		s->link[r] = -1;
	if (!ret)
		ret = start_one(s, ROLE_SIGN, o, (int[]){l.fd[L_DRAIN_SIGN][1]}, 1, err);
	if (!ret)
		ret = start_one(s, ROLE_DRAIN, o,
				(int[]){l.fd[L_PARENT + ROLE_DRAIN][1], l.fd[L_DRAIN_SIGN][0],
					l.fd[L_LOAD_DRAIN][1], h->shim},
				4, err);
	if (!ret)
		ret = start_one(s, ROLE_LOAD, o,
				(int[]){l.fd[L_PARENT + ROLE_LOAD][1], l.fd[L_API_LOAD][1],
					l.fd[L_LOAD_DRAIN][0]},
				3, err);
	if (!ret)
		ret = start_one(s, ROLE_COMPILE, o,
				(int[]){l.fd[L_PARENT + ROLE_COMPILE][1], l.fd[L_API_COMPILE][1]},
				2, err);
	if (!ret)
		ret = start_one(s, ROLE_API, o,
				(int[]){l.fd[L_PARENT + ROLE_API][1], l.fd[L_API_COMPILE][0],
					l.fd[L_API_LOAD][0], h->observe, h->control, h->admin},
				6, err);
	if (ret < 0) {
		omegad_set_kill(s);
		return ret;
	}
	for (int r = 0; r < ROLE_COUNT; r++)
		if (r != ROLE_SIGN)
			s->link[r] = OM_STEAL_FD(l.fd[L_PARENT + r][0]);
	s->ready[ROLE_SIGN] = true; /* the drain role is ready only once sign has answered it */
	return 0;
}

enum omegad_role omegad_set_reaped(struct omegad_set *s, pid_t pid)
{
	for (int r = 0; r < ROLE_COUNT; r++) {
		if (s->pid[r] == pid && pid) {
			s->pid[r] = 0;
			om_close_fd(&s->link[r]);
			return (enum omegad_role)r;
		}
	}
	return ROLE_COUNT;
}

static bool report(enum omegad_role r, int status)
{
	bool clean = WIFEXITED(status) && !WEXITSTATUS(status);

	om_slog(clean ? OM_INFO : OM_WARN, "role_ended", "role", names[r],
		WIFSIGNALED(status) ? "signal" : "code",
		om_slog_num(WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status)), NULL);
	return clean;
}

/* Waits up to SECONDS for ROLE; true when it ended. *CLEAN: with code 0. */
static bool await(struct omegad_set *s, enum omegad_role r, unsigned int seconds, bool *clean)
{
	struct timespec nap = {0, 5000000};
	int status;

	for (unsigned int i = 0; i < seconds * 200; i++) {
		if (waitpid(s->pid[r], &status, WNOHANG) == s->pid[r]) {
			*clean = report(r, status);
			omegad_set_reaped(s, s->pid[r]);
			return true;
		}
		nanosleep(&nap, NULL);
	}
	return false;
}

static bool stop_one(struct omegad_set *s, enum omegad_role r, unsigned int seconds)
{
	struct om_err err;
	int status, ret = 0;
	bool clean = false;

	if (!s->pid[r])
		return true;
	/* sign has no link: it ends when the drain role closes its end. */
	if (s->link[r] >= 0)
		ret = om_msg_send(s->link[r], OM_MSG_STOP, 0, NULL, 0, NULL, 0, &err);
	/* Gone already: it ended when the role before it closed their link. */
	if (ret < 0 && ret != -ECONNRESET)
		om_slog_err(OM_WARN, "stop_unheard", names[r], &err);
	if (await(s, r, seconds, &clean))
		return clean;
	om_slog(OM_FAIL, "role_killed", "role", names[r], "reason", "did not end in time", NULL);
	kill(s->pid[r], SIGKILL);
	waitpid(s->pid[r], &status, 0);
	omegad_set_reaped(s, s->pid[r]);
	return false;
}

int omegad_set_stop(struct omegad_set *s, unsigned int seconds)
{
	static const enum omegad_role order[] = {ROLE_API, ROLE_LOAD, ROLE_DRAIN, ROLE_SIGN,
						 ROLE_COMPILE};
	int unclean = 0;

	for (size_t i = 0; i < OM_ARRAY_LEN(order); i++)
		unclean += !stop_one(s, order[i], seconds);
	return unclean;
}

void omegad_set_kill(struct omegad_set *s)
{
	int status;

	for (int r = 0; r < ROLE_COUNT; r++)
		if (s->pid[r])
			kill(s->pid[r], SIGKILL);
	for (int r = 0; r < ROLE_COUNT; r++) {
		if (!s->pid[r])
			continue;
		waitpid(s->pid[r], &status, 0);
		omegad_set_reaped(s, s->pid[r]);
	}
}
