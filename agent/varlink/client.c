/*
 * The client half of the control protocol; the contract is in client.h.
 *
 * Comes in: calls. Goes out: bytes on the daemon's socket, replies. Called by: omegactl, tests. Never
 * does: pass on its own standard descriptors unless they are given as FDS.
 */
#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include "agent/varlink/client.h"

int om_vl_client_open(struct om_vl_client *c, const char *path, struct om_err *err)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	OM_CLEANUP(om_close_fd) int fd = -1;

	memset(c, 0, sizeof(*c));
	c->fd = -1;
	if (strlen(path) >= sizeof(sa.sun_path))
		return om_err_set(err, OM_ERR_CTL_UNREACHABLE, -ENAMETOOLONG, "%s: name too long",
				  path);
	memcpy(sa.sun_path, path, strlen(path) + 1);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return om_err_sys(err, OM_ERR_CTL_UNREACHABLE, -errno, "socket");
	if (connect(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0) {
		int ret = -errno;

		return om_err_sys(err,
				  ret == -EACCES || ret == -EPERM ? OM_ERR_CTL_PERMISSION
								  : OM_ERR_CTL_UNREACHABLE,
				  ret, "%s", path);
	}
	om_frames_init(&c->in, 0);
	c->fd = OM_STEAL_FD(fd);
	return 0;
}

void om_vl_client_done(struct om_vl_client *c)
{
	om_close_fd(&c->fd);
	om_frames_done(&c->in);
}

/* The first byte carries the descriptors; the rest follows as plain bytes. */
static int send_all(int sock, const char *buf, size_t len, const int *fds, unsigned int nfds,
		    struct om_err *err)
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(sizeof(int) * OM_VL_FDS_MAX)];
	} ctl = {0};

	while (len) {
		struct iovec iov = {(void *)(uintptr_t)buf, len};
		struct msghdr mh = {.msg_iov = &iov, .msg_iovlen = 1};
		ssize_t n;

		if (nfds) {
			struct cmsghdr *c = &ctl.align;

			mh.msg_control = ctl.space;
			mh.msg_controllen = CMSG_SPACE(sizeof(int) * nfds);
			c->cmsg_level = SOL_SOCKET;
			c->cmsg_type = SCM_RIGHTS;
			c->cmsg_len = CMSG_LEN(sizeof(int) * nfds);
			memcpy(CMSG_DATA(c), fds, sizeof(int) * nfds);
		}
		n = sendmsg(sock, &mh, MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return om_err_sys(err, OM_ERR_CTL_UNREACHABLE, -errno, "cannot send");
		nfds = 0;
		buf += n;
		len -= (size_t)n;
	}
	return 0;
}

int om_vl_client_send(struct om_vl_client *c, const char *method, json_t *params, const int *fds,
		      unsigned int nfds, struct om_err *err)
{
	json_t *msg = om_vl_call_new(method, params);
	OM_CLEANUP(om_free_ptr) char *text = NULL;
	size_t len;
	int ret;

	if (nfds > OM_VL_FDS_MAX) {
		json_decref(msg);
		return om_err_set(err, OM_ERR_INVALID, -EINVAL, "%u descriptors with one call",
				  nfds);
	}
	ret = om_vl_encode(msg, &text, &len, err);
	json_decref(msg);
	return ret < 0 ? ret : send_all(c->fd, text, len, fds, nfds, err);
}

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Reads what is there, once; waits for it until END (negative: for ever). */
static int fill(struct om_vl_client *c, int64_t end, struct om_err *err)
{
	struct pollfd p = {.fd = c->fd, .events = POLLIN};
	size_t room;
	char *buf;
	ssize_t n;
	int wait = -1, got;

	if (end >= 0) {
		int64_t left = end - now_ms();

		wait = left < 0 ? 0 : (int)OM_MIN(left, 1000000);
	}
	got = poll(&p, 1, wait);
	if (got < 0 && errno == EINTR)
		return 0;
	if (got < 0)
		return om_err_sys(err, OM_ERR_CTL_UNREACHABLE, -errno, "poll");
	if (!got)
		return om_err_set(err, OM_ERR_CTL_TIMEOUT, -ETIMEDOUT, "no answer from omegad");
	buf = om_frames_room(&c->in, 65536, &room);
	if (!buf)
		return om_err_set(err, OM_ERR_NOMEM, -ENOMEM, "control message");
	n = recv(c->fd, buf, room, MSG_CMSG_CLOEXEC);
	if (n < 0 && errno == EINTR)
		return 0;
	if (n < 0)
		return om_err_sys(err, OM_ERR_CTL_UNREACHABLE, -errno, "cannot receive");
	if (!n)
		return om_err_set(err, OM_ERR_CTL_UNREACHABLE, -ECONNRESET,
				  "omegad ended the connection");
	om_frames_added(&c->in, (size_t)n);
	return 0;
}

int om_vl_client_recv(struct om_vl_client *c, int timeout_ms, json_t **reply, struct om_err *err)
{
	int64_t end = timeout_ms < 0 ? -1 : now_ms() + timeout_ms;
	char *msg;
	size_t len;
	int ret;

	*reply = NULL;
	for (;;) {
		ret = om_frames_next(&c->in, &msg, &len);
		if (ret < 0)
			return om_err_set(err, OM_ERR_CTL_FRAME, ret, "the reply is too long");
		if (ret)
			return om_vl_reply_parse(msg, len, reply, NULL, err);
		ret = fill(c, end, err);
		if (ret < 0)
			return ret;
	}
}

int om_vl_client_call(struct om_vl_client *c, const char *method, json_t *params, const int *fds,
		      unsigned int nfds, int timeout_ms, json_t **reply, struct om_err *err)
{
	int ret = om_vl_client_send(c, method, params, fds, nfds, err);

	*reply = NULL;
	return ret < 0 ? ret : om_vl_client_recv(c, timeout_ms, reply, err);
}
