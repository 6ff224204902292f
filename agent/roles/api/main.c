/*
 * omegad-api: start, event loop, end.
 *
 * Comes in: five sockets of omegad, clients. Goes out: exit code. Called by: omegad. Never does: anything
 * as root.
 */
#include <errno.h>
#include <poll.h>
#include <seccomp.h>
#include <signal.h>
#include "agent/role/log.h"
#include "agent/role/sandbox.h"
#include "agent/roles/api/api.h"

#define SLOW_MS 30000u /* a client that does not read its reply is let go */
#define IDLE_MS 60000u /* and one that says nothing, when all places are taken */

static const int more[] = {SCMP_SYS(accept4), SCMP_SYS(getsockopt), SCMP_SYS(pread64), -1};
static const struct om_role_desc desc = {
	.name = "api",
	.uid = OM_UID_NOBODY,
	.syscalls = more,
	.files_max = 1024,
	.no_files = true,
	.no_processes = true,
};

static struct api api;

/* One message of the compile or load role. 1: that role is gone. */
static int from_role(struct api *a, int fd, struct om_err *err)
{
	struct om_msg m;
	int ret = om_msg_recv(fd, 0, &m, err);

	if (ret <= 0)
		return ret;
	ret = 0;
	if (m.head.id >= a->next_id) {
		ret = om_err_set(err, OM_ERR_ROLE_PROTOCOL, -EBADMSG, "answer to no question");
	} else if (!m.head.id) {
		ret = api_unasked(a, &m, err);
	} else {
		/* No match: the client hung up meanwhile. */
		for (unsigned int i = 0; i < OM_CLIENTS_MAX; i++) {
			struct conn *c = &a->conns[i];

			if (c->fd >= 0 && c->busy && c->wait_id == m.head.id) {
				ret = c->step(a, c, &m, err);
				break;
			}
		}
	}
	om_msg_done(&m);
	return ret;
}

static bool full(const struct api *a)
{
	for (unsigned int i = 0; i < OM_CLIENTS_MAX; i++)
		if (a->conns[i].fd < 0)
			return false;
	return true;
}

static void tidy(struct api *a)
{
	uint64_t now = api_now_ms();
	bool crowded = full(a);

	for (unsigned int i = 0; i < OM_CLIENTS_MAX; i++) {
		struct conn *c = &a->conns[i];

		if (c->fd < 0)
			continue;
		if ((c->bad && !c->out) || (c->out && now - c->last_ms > SLOW_MS) ||
		    (crowded && !c->busy && !c->out && now - c->last_ms > IDLE_MS))
			api_close(c);
		else
			api_pump(a, c); /* what came together with a call that is answered now */
	}
}

enum { P_PARENT, P_COMPILE, P_LOAD, P_LISTEN, P_CONN = P_LISTEN + 3 };

static void prepare(const struct api *a, struct pollfd *p)
{
	bool room = !full(a);

	p[P_PARENT] = (struct pollfd){.fd = FD_PARENT, .events = POLLIN};
	p[P_COMPILE] = (struct pollfd){.fd = FD_COMPILE, .events = POLLIN};
	p[P_LOAD] = (struct pollfd){.fd = FD_LOAD, .events = POLLIN};
	for (int i = 0; i < 3; i++)
		p[P_LISTEN + i] =
			(struct pollfd){.fd = room ? FD_OBSERVE + i : -1, .events = POLLIN};
	for (unsigned int i = 0; i < OM_CLIENTS_MAX; i++) {
		const struct conn *c = &a->conns[i];

		/* While a call is under way only its hanging up is of interest (POLLRDHUP). */
		p[P_CONN + i] = (struct pollfd){
			.fd = c->fd,
			.events = (short)((c->out ? POLLOUT : 0) |
					  (!c->busy && !c->out ? POLLIN : 0) | POLLRDHUP),
		};
	}
}

static void serve_clients(struct api *a, const struct pollfd *p)
{
	for (unsigned int i = 0; i < OM_CLIENTS_MAX; i++) {
		struct conn *c = &a->conns[i];
		short got = p[P_CONN + i].revents;

		if (c->fd < 0 || c->fd != p[P_CONN + i].fd || !got)
			continue;
		if (got & POLLOUT)
			api_write(c);
		if (got & (POLLERR | POLLHUP) || (got & POLLRDHUP && (c->busy || !(got & POLLIN))))
			api_close(c);
		else if (got & POLLIN)
			api_read(a, c);
	}
	for (int i = 0; i < 3; i++)
		if (p[P_LISTEN + i].revents & POLLIN)
			api_accept(a, FD_OBSERVE + i, (enum om_priv)(OM_PRIV_OBSERVE + i));
}

static int serve(struct api *a, struct om_err *err)
{
	int ret = om_msg_send(FD_PARENT, OM_MSG_READY, 0, NULL, 0, NULL, 0, err);

	while (!ret) {
		struct pollfd p[P_CONN + OM_CLIENTS_MAX];

		prepare(a, p);
		if (poll(p, OM_ARRAY_LEN(p), 5000) < 0 && errno != EINTR)
			return om_err_sys(err, OM_ERR_IO, -errno, "poll");
		if (p[P_COMPILE].revents)
			ret = from_role(a, FD_COMPILE, err);
		if (!ret && p[P_LOAD].revents)
			ret = from_role(a, FD_LOAD, err);
		if (!ret)
			serve_clients(a, p);
		tidy(a);
		/* Last: the answer to Stop itself is on its way by now. */
		if (p[P_PARENT].revents)
			return ret;
	}
	return ret;
}

int main(void)
{
	struct om_err err = {0};
	int ret;

	signal(SIGPIPE, SIG_IGN);
	om_slog_role(desc.name);
	api.next_id = 1;
	for (unsigned int i = 0; i < OM_CLIENTS_MAX; i++)
		api.conns[i].fd = -1;
	/* Before any hash table exists: its seed must not be guessable from outside. */
	json_object_seed(0);
	ret = om_role_enter(&desc, FD_PARENT, &err);
	if (!ret)
		ret = serve(&api, &err);
	if (ret < 0)
		om_slog_err(OM_FAIL, "role_failed", NULL, &err);
	return ret < 0 ? 1 : 0;
}
