/*
 * Descriptors that the host hands to a row: what a helpful or a fooled process outside would pass.
 *
 * Comes in: a letter that says what is wanted, and `dir`. Goes out: a descriptor, received by SCM_RIGHTS. Used by:
 * rows whose technique begins with a descriptor from outside, and by lib/giver.c, the host's side. A row
 * inside a brane cannot reach a server of the host, so it serves itself: it listens on
 * `write`/give-PID, the giver connects there, reads the letter, answers with one message. Outside every
 * brane the row's own child is the giver. Never does: tell the giver how to fail; what it cannot make it
 * does not send.
 */
#ifndef OMEGA_TESTS_ESCAPE_GIVE_H
#define OMEGA_TESTS_ESCAPE_GIVE_H

#include <arpa/inet.h>
#include <dirent.h>
#include <linux/bpf.h>
#include <linux/io_uring.h>
#include <linux/perf_event.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "tests/escape/lib/escape.h"

#define GIVE_WAIT_MS 8000 /* for the giver to come; less than a try may last */

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
	case GIVE_RING:
	case GIVE_BPF_MAP:
	case GIVE_PERF:
		return give_kernel(what);
	}
	return -1;
}

/* Serves one connection: reads the letter and the directory, sends the descriptor. */
static inline void give_serve(int conn)
{
	char what = 0;
	ssize_t n;
	int fd;

	if (read(conn, &what, 1) != 1)
		return;
	n = read(conn, give_dir, sizeof(give_dir) - 1);
	if (n <= 0)
		return;
	give_dir[n] = 0;
	fd = give_make((enum give)what);
	if (fd < 0 || give_send(conn, fd) < 0)
		return; /* hangs up: ENOMSG for the row */
	/* The row hangs up when it is done: what it was given stays alive until then. */
	(void)!read(conn, &what, 1);
}

/* The row's side: a descriptor, or -1 and errno; EACCES when a message came without it, ENOMSG when none came. */
static inline int give_take(int conn)
{
	union {
		struct cmsghdr h;
		char room[CMSG_SPACE(sizeof(int))];
	} u;
	char c;
	struct iovec iov = {&c, 1};
	struct msghdr m = {.msg_iov = &iov,
			   .msg_iovlen = 1,
			   .msg_control = &u,
			   .msg_controllen = sizeof(u.room)};
	int fd;

	if (recvmsg(conn, &m, MSG_CMSG_CLOEXEC) != 1) {
		errno = ENOMSG;
		return -1;
	}
	if (!CMSG_FIRSTHDR(&m) || (m.msg_flags & MSG_CTRUNC)) {
		errno = EACCES;
		return -1;
	}
	memcpy(&fd, CMSG_DATA(&u.h), sizeof(fd));
	return fd;
}

/* A connection to a giver, or -1. */
static inline int give_meet(void)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int p[2], fd, conn;

	if (!strcmp(esc_arg("mode"), "outside")) {
		if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, p) < 0)
			return -1;
		if (!fork()) {
			close(p[0]);
			give_serve(p[1]);
			_exit(0);
		}
		close(p[1]);
		return p[0];
	}
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	snprintf(a.sun_path, sizeof(a.sun_path), "%s/give-%d", esc_arg("write"), (int)getpid());
	if (bind(fd, (void *)&a, sizeof(a)) < 0 || listen(fd, 1) < 0)
		return -1;
	struct pollfd w = {fd, POLLIN, 0};
	conn = poll(&w, 1, GIVE_WAIT_MS) == 1 ? accept4(fd, NULL, NULL, SOCK_CLOEXEC) : -1;
	unlink(a.sun_path);
	close(fd);
	if (conn < 0)
		errno = ETIMEDOUT; /* no giver was started: not a denial */
	return conn;
}

/* WHAT from the host; -1 and errno. The connection stays open until the program ends. */
static inline int give_get(enum give what)
{
	char letter = (char)what;
	int conn = give_meet();

	if (conn < 0)
		return -1;
	if (write(conn, &letter, 1) != 1 || write(conn, esc_arg("dir"), strlen(esc_arg("dir"))) < 0)
		return -1;
	return give_take(conn);
}

#endif
