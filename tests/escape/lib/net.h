/*
 * What the rows about sockets share: addresses, and a world of its own for tries outside every brane.
 *
 * Comes in: the scene (escape.h). Goes out: sockets, or errno. Called by: tests/escape/network,
 * tests/escape/enforcer. Header only, so that the row's program stays one file. Never does: change the
 * host's network: what a try needs listening at a foreign address stands in a network namespace that
 * dies with the try.
 */
#ifndef OMEGA_TESTS_ESCAPE_NET_H
#define OMEGA_TESTS_ESCAPE_NET_H

#include <arpa/inet.h>
#include <linux/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>

#include "tests/escape/lib/escape.h"

struct esc_addr {
	union {
		struct sockaddr sa;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
		struct sockaddr_un un;
		struct sockaddr_storage all;
	};
	socklen_t len;
};

/* TEXT in the notation of either family. */
static inline struct esc_addr esc_addr(const char *text, int port)
{
	struct esc_addr a = {.len = sizeof(a.v4)};

	a.v4.sin_family = AF_INET;
	a.v4.sin_port = htons((uint16_t)port);
	if (inet_pton(AF_INET, text, &a.v4.sin_addr) == 1)
		return a;
	a = (struct esc_addr){.len = sizeof(a.v6)};
	a.v6.sin6_family = AF_INET6;
	a.v6.sin6_port = htons((uint16_t)port);
	inet_pton(AF_INET6, text, &a.v6.sin6_addr);
	return a;
}

static inline struct esc_addr esc_abstract(const char *name)
{
	struct esc_addr a = {.un.sun_family = AF_UNIX};
	size_t n = strlen(name);

	memcpy(a.un.sun_path + 1, name, n);
	a.len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + n);
	return a;
}

static inline struct esc_addr esc_unix(const char *path)
{
	struct esc_addr a = {.un.sun_family = AF_UNIX, .len = sizeof(a.un)};

	snprintf(a.un.sun_path, sizeof(a.un.sun_path), "%s", path);
	return a;
}

static inline int esc_socket(int family, int type, int proto)
{
	return socket(family, type | SOCK_CLOEXEC, proto);
}

/* A new socket is connected to A, and a byte is sent where the type needs one to reach anybody. */
static inline int esc_connect_to(struct esc_addr a, int type, int proto)
{
	int fd = esc_socket(a.sa.sa_family, type, proto), ret;

	if (fd < 0)
		return errno;
	ret = connect(fd, &a.sa, a.len);
	if (!ret && type == SOCK_DGRAM)
		ret = send(fd, "x", 1, MSG_NOSIGNAL) == 1 ? 0 : -1;
	ret = esc_errno(ret);
	close(fd);
	return ret;
}

/* One datagram (or Fast Open's first byte) to A, through FD, which is closed. */
static inline int esc_sendto(int fd, struct esc_addr a, int flags)
{
	int ret;

	if (fd < 0)
		return errno;
	ret = sendto(fd, "x", 1, flags | MSG_NOSIGNAL, &a.sa, a.len) == 1 ? 0 : errno;
	close(fd);
	return ret;
}

static inline int esc_sendmsg(int fd, struct esc_addr a, int flags)
{
	struct iovec iov = {(void *)"x", 1};
	struct msghdr m = {
		.msg_name = &a.all, .msg_namelen = a.len, .msg_iov = &iov, .msg_iovlen = 1};
	int ret;

	if (fd < 0)
		return errno;
	ret = sendmsg(fd, &m, flags | MSG_NOSIGNAL) == 1 ? 0 : errno;
	close(fd);
	return ret;
}

static inline bool esc_is_outside(void)
{
	return !strcmp(esc_arg("mode"), "outside");
}

static inline int esc_lo_up(void)
{
	struct ifreq r = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
	int fd = esc_socket(AF_INET, SOCK_DGRAM, 0);
	int ret = fd < 0 ? -1 : ioctl(fd, SIOCSIFFLAGS, &r);

	if (fd >= 0)
		close(fd);
	return ret;
}

/*
 * Outside a brane: from now on this try lives in a network namespace where TEXT is an address of lo
 * and PORT is listened on there. Inside: nothing. 0, or errno of what could not be set up.
 */
static inline int esc_world(const char *text, int type, int port)
{
	struct esc_addr a = esc_addr(text, port);
	struct ifreq r = {.ifr_name = "lo:1"};
	struct {
		struct in6_addr addr;
		uint32_t prefix;
		int index;
	} six = {.prefix = 128, .index = 1};
	int fd, ret = 0;

	if (!esc_is_outside())
		return 0;
	if (unshare(CLONE_NEWNET) < 0 || esc_lo_up() < 0)
		return errno;
	fd = esc_socket(a.sa.sa_family, SOCK_DGRAM, 0);
	if (a.sa.sa_family == AF_INET) {
		memcpy(&r.ifr_addr, &a.v4, sizeof(a.v4));
		if ((ntohl(a.v4.sin_addr.s_addr) >> 24) != 127)
			ret = ioctl(fd, SIOCSIFADDR, &r);
	} else {
		six.addr = a.v6.sin6_addr;
		ret = ioctl(fd, SIOCSIFADDR, &six);
		ret = ret < 0 && errno == EEXIST ? 0 : ret; /* ::1 */
	}
	close(fd);
	if (ret < 0)
		return errno;
	/* Kept open: it ends with the try. An address without duplicate detection may be a moment away. */
	fd = esc_socket(a.sa.sa_family, type, 0);
	for (int i = 0; bind(fd, &a.sa, a.len) < 0; i++) {
		if (errno != EADDRNOTAVAIL || i == 100)
			return errno;
		usleep(20000);
	}
	return type == SOCK_STREAM ? esc_errno(listen(fd, 8)) : 0;
}

#endif
