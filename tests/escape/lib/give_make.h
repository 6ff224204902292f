/*
 * What a giver can make: the letters of lib/give.h and the descriptor behind each.
 *
 * Comes in: a letter, and in give_dir the row's `dir`. Goes out: a descriptor of the host, or -1. Used
 * by: lib/give.h. Never does: care who asks.
 */
#ifndef OMEGA_TESTS_ESCAPE_GIVE_MAKE_H
#define OMEGA_TESTS_ESCAPE_GIVE_MAKE_H

#include <arpa/inet.h>
#include <linux/bpf.h>
#include <linux/io_uring.h>
#include <linux/perf_event.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "tests/escape/lib/escape.h"

enum give {
	GIVE_READ = 'f',     /* `dir`/secret, open for reading */
	GIVE_WRITE = 'w',    /* the same for writing */
	GIVE_PATH = 'p',     /* the same, O_PATH */
	GIVE_DIR = 'd',	     /* `dir` */
	GIVE_DIR_PATH = 'D', /* `dir`, O_PATH */
	GIVE_NESTED = 'x',   /* a unix socket in whose queue `dir`/secret waits */
	GIVE_UNIX = 'X',     /* a unix socket connected to `dir`/sock */
	GIVE_TCP = 't',	     /* connected to `tcp` */
	GIVE_TCP6 = 'T',     /* the same by ::1 */
	GIVE_UDP = 'u',	     /* connected to `udp` */
	GIVE_LISTENER = 'l', /* a TCP listener with a connection waiting */
	GIVE_RAW = 'R',	     /* a raw socket */
	GIVE_NETLINK = 'N',  /* a route netlink socket */
	GIVE_PACKET = 'A',   /* a packet socket */
	GIVE_PROGRAM = 'm',  /* a memfd that holds the giver's own program */
	GIVE_PIDFD = 'k',    /* of `victim` */
	GIVE_MNT_NS = 'n',   /* the host's mount namespace */
	GIVE_CGROUP = 'c',   /* the host's `cgroup`, a directory */
	GIVE_RING = 'r',     /* an io_uring */
	GIVE_BPF_MAP = 'b',  /* an array map */
	GIVE_PERF = 'e',     /* a perf event */
};

/* The directory that the row named: each try of the matrix has one of its own. */
static char give_dir[256];

static inline const char *give_in(const char *name)
{
	static char path[512];

	snprintf(path, sizeof(path), "%s/%s", give_dir, name);
	return path;
}

static inline int give_inet(int family, int type, const char *port)
{
	struct sockaddr_in a4 = {.sin_family = AF_INET,
				 .sin_port = htons((uint16_t)esc_num(port)),
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct sockaddr_in6 a6 = {.sin6_family = AF_INET6,
				  .sin6_port = htons((uint16_t)esc_num(port)),
				  .sin6_addr = IN6ADDR_LOOPBACK_INIT};
	int fd = socket(family, type | SOCK_CLOEXEC, 0);

	if ((family == AF_INET6 ? connect(fd, (void *)&a6, sizeof(a6))
				: connect(fd, (void *)&a4, sizeof(a4))) < 0)
		return -1;
	return fd;
}

static inline int give_unix(const char *path)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	strncpy(a.sun_path, path, sizeof(a.sun_path) - 1);
	if (connect(fd, (void *)&a, sizeof(a)) < 0) {
		close(fd);
		return -1;
	}
	return fd;
}

static inline int give_listener(void)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (bind(fd, (void *)&a, sizeof(a)) < 0 || listen(fd, 1) < 0 ||
	    getsockname(fd, (void *)&a, &len) < 0)
		return -1;
	/* Left open: the connection must still be there when the listener has been handed over. */
	if (connect(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), (void *)&a, sizeof(a)) < 0)
		return -1;
	return fd;
}

static inline int give_program(void)
{
	static char buf[65536];
	int from = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	int fd = memfd_create("prog", MFD_CLOEXEC);
	ssize_t n;

	while ((n = read(from, buf, sizeof(buf))) > 0)
		if (write(fd, buf, (size_t)n) != n)
			return -1;
	close(from);
	return fd;
}

static inline int give_kernel(enum give what)
{
	struct perf_event_attr pe = {
		.type = PERF_TYPE_SOFTWARE, .size = sizeof(pe), .config = PERF_COUNT_SW_CPU_CLOCK};
	union bpf_attr map = {.map_type = BPF_MAP_TYPE_ARRAY};
	struct io_uring_params p = {0};

	if (what == GIVE_RING)
		return (int)syscall(SYS_io_uring_setup, 4, &p);
	if (what == GIVE_PERF)
		return (int)syscall(SYS_perf_event_open, &pe, 0, -1, -1, PERF_FLAG_FD_CLOEXEC);
	map.key_size = map.value_size = 4;
	map.max_entries = 1;
	return (int)syscall(SYS_bpf, BPF_MAP_CREATE, &map, sizeof(map));
}

static inline int give_send(int to, int fd)
{
	union {
		struct cmsghdr h;
		char room[CMSG_SPACE(sizeof(int))];
	} u = {.h = {CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS}};
	struct iovec iov = {(void *)"x", 1};
	struct msghdr m = {.msg_iov = &iov,
			   .msg_iovlen = 1,
			   .msg_control = &u,
			   .msg_controllen = sizeof(u.room)};

	memcpy(CMSG_DATA(&u.h), &fd, sizeof(fd));
	return sendmsg(to, &m, MSG_NOSIGNAL) == 1 ? 0 : -1;
}

static inline int give_nested(void)
{
	int p[2], fd = open(give_in("secret"), O_RDONLY | O_CLOEXEC);

	if (fd < 0 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, p) < 0 ||
	    give_send(p[1], fd) < 0)
		return -1;
	return p[0];
}

/* The host's side: makes what was asked for. */
static inline int give_make(enum give what)
{
	switch (what) {
	case GIVE_READ:
		return open(give_in("secret"), O_RDONLY | O_CLOEXEC);
	case GIVE_WRITE:
		return open(give_in("secret"), O_WRONLY | O_CLOEXEC);
	case GIVE_PATH:
		return open(give_in("secret"), O_PATH | O_CLOEXEC);
	case GIVE_DIR:
		return open(give_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	case GIVE_DIR_PATH:
		return open(give_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	case GIVE_NESTED:
		return give_nested();
	case GIVE_UNIX:
		return give_unix(give_in("sock"));
	case GIVE_TCP:
		return give_inet(AF_INET, SOCK_STREAM, "tcp");
	case GIVE_TCP6:
		return give_inet(AF_INET6, SOCK_STREAM, "tcp");
	case GIVE_UDP:
		return give_inet(AF_INET, SOCK_DGRAM, "udp");
	case GIVE_LISTENER:
		return give_listener();
	case GIVE_RAW:
		return socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, 255);
	case GIVE_NETLINK:
		return socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, 0);
	case GIVE_PACKET:
		return socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	case GIVE_PROGRAM:
		return give_program();
	case GIVE_PIDFD:
		return (int)syscall(SYS_pidfd_open, esc_num("victim"), 0);
	case GIVE_MNT_NS:
		return open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
	case GIVE_CGROUP:
		return open(esc_arg("cgroup"), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	default:
		return give_kernel(what);
	}
}

#endif
