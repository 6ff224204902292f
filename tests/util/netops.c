/*
 * See netops.h. Comes in: addresses. Goes out: errno values. Used by tests only.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "netops.h"

struct addr {
	struct sockaddr_storage ss;
	socklen_t len;
};

static void addr_of(const struct netop *op, struct addr *a)
{
	struct sockaddr_in *in = (struct sockaddr_in *)&a->ss;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&a->ss;

	memset(a, 0, sizeof(*a));
	if (strchr(op->addr, ':')) {
		in6->sin6_family = AF_INET6;
		in6->sin6_port = htons(op->port);
		inet_pton(AF_INET6, op->addr, &in6->sin6_addr);
		a->len = sizeof(*in6);
	} else {
		in->sin_family = AF_INET;
		in->sin_port = htons(op->port);
		inet_pton(AF_INET, op->addr, &in->sin_addr);
		a->len = sizeof(*in);
	}
}

static int open_socket(const struct netop *op)
{
	return socket(op->family, op->type | SOCK_CLOEXEC, op->proto);
}

int net_socket(void *arg)
{
	return open_socket(arg) < 0 ? errno : 0;
}

int net_connect(void *arg)
{
	const struct netop *op = arg;
	int fd = open_socket(op);
	struct addr a;

	if (fd < 0)
		return 200;
	addr_of(op, &a);
	if (connect(fd, (struct sockaddr *)&a.ss, a.len))
		return errno;
	return send(fd, "x", 1, MSG_NOSIGNAL) == 1 ? 0 : errno;
}

int net_sendto(void *arg)
{
	const struct netop *op = arg;
	int fd = open_socket(op);
	struct addr a;

	if (fd < 0)
		return 200;
	addr_of(op, &a);
	return sendto(fd, "x", 1, 0, (struct sockaddr *)&a.ss, a.len) == 1 ? 0 : errno;
}

int net_unspec(void *arg)
{
	const struct netop *op = arg;
	int fd = open_socket(op);
	struct addr a;

	if (fd < 0)
		return 200;
	addr_of(op, &a);
	a.ss.ss_family = AF_UNSPEC;
	return sendto(fd, "x", 1, 0, (struct sockaddr *)&a.ss, a.len) == 1 ? 0 : errno;
}

int net_fastopen(void *arg)
{
	const struct netop *op = arg;
	int fd = open_socket(op);
	struct addr a;

	if (fd < 0)
		return 200;
	addr_of(op, &a);
	return sendto(fd, "x", 1, MSG_FASTOPEN | MSG_NOSIGNAL, (struct sockaddr *)&a.ss, a.len) == 1
		       ? 0
		       : errno;
}

int net_bind(void *arg)
{
	const struct netop *op = arg;
	int fd = open_socket(op);
	struct addr a;

	if (fd < 0)
		return 200;
	addr_of(op, &a);
	return bind(fd, (struct sockaddr *)&a.ss, a.len) ? errno : 0;
}

int net_listen(void *arg)
{
	const struct netop *op = arg;
	int fd = open_socket(op);
	struct addr a;

	if (fd < 0)
		return 200;
	if (op->addr) {
		addr_of(op, &a);
		if (bind(fd, (struct sockaddr *)&a.ss, a.len))
			return errno;
	}
	return listen(fd, 1) ? errno : 0;
}

int net_send(void *arg)
{
	const struct netop *op = arg;

	return send(op->fd, "x", 1, MSG_NOSIGNAL) == 1 ? 0 : errno;
}

int net_server(int family, int type, uint16_t *port)
{
	struct netop op = {.addr = family == AF_INET ? "127.0.0.1" : "::1"};
	int fd = socket(family, type | SOCK_CLOEXEC, 0);
	struct addr a;

	if (fd < 0)
		return -errno;
	addr_of(&op, &a);
	if (bind(fd, (struct sockaddr *)&a.ss, a.len) ||
	    getsockname(fd, (struct sockaddr *)&a.ss, &a.len) ||
	    (type == SOCK_STREAM && listen(fd, 64))) {
		close(fd);
		return -errno;
	}
	*port = ntohs(family == AF_INET ? ((struct sockaddr_in *)&a.ss)->sin_port
					: ((struct sockaddr_in6 *)&a.ss)->sin6_port);
	return fd;
}
