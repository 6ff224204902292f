/*
 * Descriptors that the host hands to a row: what a helpful or a fooled process outside would pass.
 *
 * Comes in: a letter that says what is wanted, and `dir`. Goes out: a descriptor, received by
 * SCM_RIGHTS. Used by: rows that begin with a descriptor from outside, and lib/giver.c, the host. A row
 * inside a brane cannot reach a server of the host, so it serves itself: it listens on
 * `write`/give-PID, the giver connects there, reads the letter, answers with one message. Outside every
 * brane the row's own child is the giver. Never does: tell the giver how to fail; what it cannot make it
 * does not send.
 */
#ifndef OMEGA_TESTS_ESCAPE_GIVE_H
#define OMEGA_TESTS_ESCAPE_GIVE_H

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "tests/escape/lib/escape.h"
#include "tests/escape/lib/give_make.h"

#define GIVE_WAIT_MS 8000 /* for the giver to come; less than a try may last */

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
