/*
 * The catalogue's rows about sockets; part of attack.c, which see.
 *
 * Comes in: arg(), in(), num(), done() of attack.c. Goes out: 0, or the errno that stopped the row.
 * Never does: grow past what attack.c includes it for.
 */
#ifndef OMEGA_TESTS_ATTACK_NET_H
#define OMEGA_TESTS_ATTACK_NET_H

#include <arpa/inet.h>
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static struct sockaddr_in to(int port)
{
	return (struct sockaddr_in){.sin_family = AF_INET,
				    .sin_port = htons((uint16_t)port),
				    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static int tcp(void)
{
	struct sockaddr_in a = to(num("tcp"));

	return done(connect(socket(AF_INET, SOCK_STREAM, 0), (void *)&a, sizeof(a)));
}

static int fastopen(void)
{
	struct sockaddr_in a = to(num("tcp"));

	return done(sendto(socket(AF_INET, SOCK_STREAM, 0), "x", 1, MSG_FASTOPEN, (void *)&a,
			   sizeof(a)));
}

static int udp(void)
{
	struct sockaddr_in a = to(num("udp"));

	return done(sendto(socket(AF_INET, SOCK_DGRAM, 0), "x", 1, 0, (void *)&a, sizeof(a)));
}

static int mapped(int type)
{
	struct sockaddr_in6 a = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)num("udp"))};
	int fd = socket(AF_INET6, type, 0);

	a.sin6_addr.s6_addr[10] = a.sin6_addr.s6_addr[11] = 0xff;
	a.sin6_addr.s6_addr[12] = 127;
	a.sin6_addr.s6_addr[15] = 1;
	if (fd < 0)
		return errno;
	return done(type == SOCK_DGRAM ? sendto(fd, "x", 1, 0, (void *)&a, sizeof(a))
				       : connect(fd, (void *)&a, sizeof(a)));
}

static int mapped_udp(void)
{
	return mapped(SOCK_DGRAM);
}

static int mapped_tcp(void)
{
	return mapped(SOCK_STREAM);
}

static int unspec_udp(void)
{
	struct sockaddr_in a = to(num("udp"));

	a.sin_family = AF_UNSPEC;
	return done(sendto(socket(AF_INET, SOCK_DGRAM, 0), "x", 1, 0, (void *)&a, sizeof(a)));
}

static int made(int family, int type, int proto)
{
	return done(socket(family, type, proto));
}

static int mptcp(void)
{
	return made(AF_INET, SOCK_STREAM, 262);
}

static int sctp(void)
{
	return made(AF_INET, SOCK_STREAM, 132);
}

static int udplite(void)
{
	return made(AF_INET, SOCK_DGRAM, 136);
}

static int ping(void)
{
	return made(AF_INET, SOCK_DGRAM, 1);
}

static int raw_ip(void)
{
	return made(AF_INET, SOCK_RAW, 255);
}

static int packet(void)
{
	return made(AF_PACKET, SOCK_RAW, 0);
}

static int netlink(void)
{
	return made(AF_NETLINK, SOCK_RAW, 0);
}

static int vsock(void)
{
	return made(AF_VSOCK, SOCK_STREAM, 0);
}

static int alg(void)
{
	return made(AF_ALG, SOCK_SEQPACKET, 0);
}

static int abstract(int type, const char *name)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	size_t n = strlen(name);
	int fd = socket(AF_UNIX, type, 0);

	memcpy(a.sun_path + 1, name, n);
	socklen_t len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + n);
	return done(type == SOCK_DGRAM ? sendto(fd, "x", 1, 0, (void *)&a, len)
				       : connect(fd, (void *)&a, len));
}

static int abstract_stream(void)
{
	return abstract(SOCK_STREAM, arg("abstract"));
}

static int abstract_dgram(void)
{
	char name[64];

	snprintf(name, sizeof(name), "%s-d", arg("abstract"));
	return abstract(SOCK_DGRAM, name);
}

static int unix_path(void)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};

	snprintf(a.sun_path, sizeof(a.sun_path), "%s", in("dir", "sock"));
	return done(connect(socket(AF_UNIX, SOCK_STREAM, 0), (void *)&a, sizeof(a)));
}

static int control(void)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};

	snprintf(a.sun_path, sizeof(a.sun_path), "%s", in("run", "control.sock"));
	return done(connect(socket(AF_UNIX, SOCK_STREAM, 0), (void *)&a, sizeof(a)));
}

static int shim_socket(void)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};

	snprintf(a.sun_path, sizeof(a.sun_path), "%s", in("run", "shim.sock"));
	return done(connect(socket(AF_UNIX, SOCK_SEQPACKET, 0), (void *)&a, sizeof(a)));
}

static int listen_plain(void)
{
	struct sockaddr_in a = to(7777);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	if (bind(fd, (void *)&a, sizeof(a)) < 0)
		return errno;
	return done(listen(fd, 1));
}

static int listen_unbound(void)
{
	return done(listen(socket(AF_INET, SOCK_STREAM, 0), 1));
}

#endif
