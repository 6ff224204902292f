/*
 * Control connections: bytes in, one call at a time, one reply out.
 *
 * Comes in: accepted sockets. Goes out: calls to methods.c, replies to clients. Called by: the event
 * loop. Never does: block, read a second call before the first is answered, or keep more than one frame
 * and one reply in memory for a client.
 */
#include <errno.h>
#include <sys/socket.h>
#include <time.h>
#include "agent/role/log.h"
#include "agent/roles/api/api.h"

/* Places that observers cannot take: an operator must get through to a busy daemon. */
#define RESERVED 16u

uint64_t api_now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

void api_accept(struct api *a, int listener, enum om_priv priv)
{
	OM_CLEANUP(om_close_fd)
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	unsigned int most = priv == OM_PRIV_OBSERVE ? OM_CLIENTS_MAX - RESERVED : OM_CLIENTS_MAX;
	struct ucred peer;
	socklen_t len = sizeof(peer);

	/* Who it is comes from the kernel, never from what is said. */
	if (fd < 0 || getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0)
		return;
	if (priv != OM_PRIV_OBSERVE && peer.uid != 0)
		return; /* the socket's mode says so already; this is the second wall */
	for (unsigned int i = 0; i < most; i++) {
		struct conn *c = &a->conns[i];

		if (c->fd >= 0)
			continue;
		memset(c, 0, sizeof(*c));
		c->priv = priv;
		c->peer = (struct om_wire_peer){.uid = peer.uid, .pid = (uint32_t)peer.pid};
		c->last_ms = api_now_ms();
		om_frames_init(&c->in, 0);
		c->fd = OM_STEAL_FD(fd);
		return;
	}
	om_slog(OM_WARN, "client_refused", "reason", "too many clients", "uid",
		om_slog_num(peer.uid), NULL);
}

static void drop_fds(struct conn *c)
{
	for (unsigned int i = 0; i < c->nfds; i++)
		om_close_fd(&c->fds[i]);
	c->nfds = 0;
}

/* Forgets the call, not the connection. */
static void end_call(struct conn *c)
{
	drop_fds(c);
	json_decref(c->acc);
	c->acc = NULL;
	api_apply_done(c->apply);
	c->apply = NULL;
	c->busy = c->oneway = c->waiting = false;
	c->wait_id = 0;
	c->step = NULL;
	c->name[0] = 0;
}

void api_close(struct conn *c)
{
	end_call(c);
	om_frames_done(&c->in);
	free(c->out);
	c->out = NULL;
	c->out_len = c->out_off = 0;
	om_close_fd(&c->fd);
}

static void answer(struct conn *c, json_t *msg)
{
	bool silent = c->oneway;
	struct om_err err = {0};
	int ret;

	end_call(c);
	if (silent) {
		json_decref(msg);
		return;
	}
	ret = om_vl_encode(msg, &c->out, &c->out_len, &err);
	json_decref(msg);
	c->out_off = 0;
	if (ret < 0) {
		om_slog_err(OM_WARN, "reply_lost", NULL, &err);
		c->bad = true;
		return;
	}
	api_write(c);
}

void api_reply(struct conn *c, json_t *params)
{
	answer(c, params ? om_vl_reply_new(params) : NULL);
}

void api_error_with(struct conn *c, const struct om_err *err, json_t *findings, json_t *results)
{
	json_t *msg = om_vl_error_new(err, findings);

	if (results && json_object_set(json_object_get(msg, "parameters"), "results", results) < 0)
		om_slog(OM_WARN, "reply_cut", NULL);
	json_decref(results);
	answer(c, msg);
}

void api_error(struct conn *c, const struct om_err *err, json_t *findings)
{
	api_error_with(c, err, findings, NULL);
}

void api_write(struct conn *c)
{
	while (c->fd >= 0 && c->out_off < c->out_len) {
		ssize_t n = send(c->fd, c->out + c->out_off, c->out_len - c->out_off, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return;
		if (n < 0) {
			c->bad = true;
			break;
		}
		c->last_ms = api_now_ms();
		c->out_off += (size_t)n;
	}
	free(c->out);
	c->out = NULL;
	c->out_len = c->out_off = 0;
}

static bool take_fds(struct conn *c, struct msghdr *mh)
{
	bool ok = !(mh->msg_flags & MSG_CTRUNC);

	for (struct cmsghdr *h = CMSG_FIRSTHDR(mh); h; h = CMSG_NXTHDR(mh, h)) {
		size_t n = (h->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		if (h->cmsg_level != SOL_SOCKET || h->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t i = 0; i < n; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(h) + i * sizeof(int), sizeof(fd));
			if (c->nfds < API_FDS) {
				c->fds[c->nfds++] = fd;
			} else {
				close(fd);
				ok = false;
			}
		}
	}
	return ok;
}

/* 1: bytes came; 0: none now; -1: the connection is over. */
static int receive(struct conn *c)
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(sizeof(int) * API_FDS)];
	} ctl;
	struct msghdr mh = {
		.msg_iovlen = 1, .msg_control = ctl.space, .msg_controllen = sizeof(ctl.space)};
	struct iovec iov;
	ssize_t n;

	mh.msg_iov = &iov;
	iov.iov_base = om_frames_room(&c->in, 65536, &iov.iov_len);
	if (!iov.iov_base)
		return -1;
	n = recvmsg(c->fd, &mh, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -1;
	if (!take_fds(c, &mh) || !n)
		return -1;
	om_frames_added(&c->in, (size_t)n);
	c->last_ms = api_now_ms();
	return 1;
}

/* Starts the next call if one is complete. False: the connection must end. */
static bool start(struct api *a, struct conn *c)
{
	struct om_err err = {0};
	struct om_vl_call call;
	char *msg;
	size_t len;
	int ret = om_frames_next(&c->in, &msg, &len);

	if (!ret)
		return true;
	if (ret < 0)
		om_err_set(&err, OM_ERR_CTL_FRAME, ret, "message of more than %u bytes",
			   OM_FRAME_MAX);
	else
		ret = om_vl_call_parse(msg, len, &call, &err);
	if (ret < 0) {
		/* Says why, then hangs up: after a broken frame the stream means nothing. */
		om_slog_err(OM_WARN, "bad_frame", NULL, &err);
		api_error(c, &err, NULL);
		c->bad = true;
		return c->out != NULL;
	}
	c->busy = true;
	c->oneway = call.oneway;
	api_dispatch(a, c, &call);
	om_vl_call_done(&call);
	return true;
}

void api_pump(struct api *a, struct conn *c)
{
	while (c->fd >= 0 && !c->busy && !c->out && !c->bad) {
		size_t before = c->in.start;

		if (!start(a, c)) {
			api_close(c);
			return;
		}
		if (c->in.start == before && !c->busy)
			return;
	}
}

void api_read(struct api *a, struct conn *c)
{
	if (receive(c) < 0)
		api_close(c);
	else
		api_pump(a, c);
}
