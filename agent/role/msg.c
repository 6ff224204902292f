/*
 * Messages between the roles; the contract is in msg.h.
 *
 * Comes in: structs and descriptors. Goes out: packets. Called by: omegad and its roles. Never does:
 * receive a descriptor without O_CLOEXEC, or leak one that came with a bad message.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include "agent/role/msg.h"

#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

union control {
	struct cmsghdr align;
	char space[CMSG_SPACE(sizeof(int) * OM_MSG_FDS_MAX)];
};

int om_msg_send(int sock, uint16_t type, uint64_t id, const void *body, size_t len, const int *fds,
		unsigned int nfds, struct om_err *err)
{
	struct om_msg_head head = {
		.version = OM_MSG_VERSION, .type = type, .len = (uint32_t)len, .id = id};
	struct iovec iov[2] = {{&head, sizeof(head)}, {(void *)(uintptr_t)body, len}};
	struct msghdr mh = {.msg_iov = iov, .msg_iovlen = len ? 2 : 1};
	union control ctl = {0};
	ssize_t n;

	if (len > OM_MSG_BODY_MAX || nfds > OM_MSG_FDS_MAX)
		return om_err_set(err, OM_ERR_INTERNAL, -EMSGSIZE, "message %u is too large", type);
	if (nfds) {
		struct cmsghdr *c = &ctl.align;

		mh.msg_control = ctl.space;
		mh.msg_controllen = CMSG_SPACE(sizeof(int) * nfds);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int) * nfds);
		memcpy(CMSG_DATA(c), fds, sizeof(int) * nfds);
	}
	do
		n = sendmsg(sock, &mh, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return om_err_sys(err, OM_ERR_ROLE_DIED,
				  errno == EPIPE || errno == ECONNRESET ? -ECONNRESET : -errno,
				  "cannot send message %u", type);
	return 0;
}

static void take_fds(struct msghdr *mh, struct om_msg *m, bool *too_many)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(mh); c; c = CMSG_NXTHDR(mh, c)) {
		size_t n;

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < n; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(fd));
			if (m->nfds < OM_MSG_FDS_MAX) {
				m->fds[m->nfds++] = fd;
			} else {
				close(fd);
				*too_many = true;
			}
		}
	}
	if (mh->msg_flags & MSG_CTRUNC)
		*too_many = true;
}

int om_msg_recv(int sock, int timeout_ms, struct om_msg *m, struct om_err *err)
{
	struct iovec iov[2] = {{&m->head, sizeof(m->head)}, {&m->body, sizeof(m->body)}};
	union control ctl = {0};
	struct msghdr mh = {.msg_iov = iov,
			    .msg_iovlen = 2,
			    .msg_control = ctl.space,
			    .msg_controllen = sizeof(ctl.space)};
	struct pollfd p = {.fd = sock, .events = POLLIN};
	bool bad = false;
	ssize_t n;
	int got;

	m->nfds = 0;
	got = poll(&p, 1, timeout_ms);
	if (got < 0 && errno != EINTR)
		return om_err_sys(err, OM_ERR_IO, -errno, "poll");
	if (got <= 0)
		return 0;
	n = recvmsg(sock, &mh, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n < 0)
		return om_err_sys(err, OM_ERR_ROLE_DIED, -errno, "cannot receive");
	if (!n)
		return om_err_set(err, OM_ERR_ROLE_DIED, -ECONNRESET, "the other role is gone");
	take_fds(&mh, m, &bad);
	if (bad || (mh.msg_flags & MSG_TRUNC) || (size_t)n < sizeof(m->head) ||
	    m->head.version != OM_MSG_VERSION || m->head.len != (size_t)n - sizeof(m->head)) {
		om_msg_done(m);
		return om_err_set(err, OM_ERR_ROLE_PROTOCOL, -EBADMSG, "malformed message");
	}
	return 1;
}

void om_msg_done(struct om_msg *m)
{
	for (unsigned int i = 0; i < m->nfds; i++)
		om_close_fd(&m->fds[i]);
	m->nfds = 0;
}

const void *om_msg_body(const struct om_msg *m, uint16_t type, size_t len, unsigned int nfds_lo,
			unsigned int nfds_hi)
{
	if (m->head.type != type || m->head.len != len || m->nfds < nfds_lo || m->nfds > nfds_hi)
		return NULL;
	return m->body.bytes;
}

bool om_msg_str_ok(const char *s, size_t n)
{
	return memchr(s, 0, n) != NULL;
}

static int write_all(int fd, const char *p, size_t len)
{
	while (len) {
		ssize_t n = write(fd, p, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

int om_memfd_new(const char *name, const void *data, size_t len, int *out, struct om_err *err)
{
	OM_CLEANUP(om_close_fd) int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	int ret;

	if (fd < 0)
		return om_err_sys(err, OM_ERR_IO, -errno, "memfd");
	ret = write_all(fd, data, len);
	if (ret < 0)
		return om_err_sys(err, OM_ERR_IO, ret, "memfd of %zu bytes", len);
	if (fcntl(fd, F_ADD_SEALS, SEALS | F_SEAL_SEAL) < 0)
		return om_err_sys(err, OM_ERR_IO, -errno, "memfd seals");
	*out = OM_STEAL_FD(fd);
	return 0;
}

int om_memfd_map(int fd, size_t max, struct om_map *out, struct om_err *err)
{
	int seals = fcntl(fd, F_GET_SEALS);
	struct stat st;

	memset(out, 0, sizeof(*out));
	if (seals < 0 || (seals & SEALS) != SEALS)
		return om_err_set(err, OM_ERR_ROLE_PROTOCOL, -EBADMSG, "memory is not sealed");
	if (fstat(fd, &st) < 0)
		return om_err_sys(err, OM_ERR_IO, -errno, "fstat");
	if (st.st_size < 0 || (uint64_t)st.st_size > max)
		return om_err_set(err, OM_ERR_ROLE_PROTOCOL, -E2BIG, "memory is too large");
	if (!st.st_size)
		return 0;
	out->data = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (out->data == MAP_FAILED) {
		out->data = NULL;
		return om_err_sys(err, OM_ERR_IO, -errno, "mmap");
	}
	out->len = (size_t)st.st_size;
	return 0;
}

void om_map_done(struct om_map *m)
{
	if (m->data)
		munmap(m->data, m->len);
	m->data = NULL;
	m->len = 0;
}
