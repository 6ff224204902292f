/*
 * Row 36: as row 35, but the data goes by sendfile or splice. Before 6.5 those reach the socket through
 * sendpage and pass no socket hook, only file_permission.
 */
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include "tests/escape/lib/give.h"

static int own_file(const char *name)
{
	int fd = open(esc_in("write", name), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	if (fd >= 0 && (write(fd, "stolen\n", 7) != 7 || lseek(fd, 0, SEEK_SET) < 0))
		return -1;
	return fd;
}

static int by_sendfile(enum give what)
{
	int from = own_file("sendfile"), to = give_get(what);

	if (from < 0 || to < 0)
		return errno;
	return esc_errno(sendfile(to, from, NULL, 7));
}

static int tcp_sendfile(void)
{
	return by_sendfile(GIVE_TCP);
}

static int udp_sendfile(void)
{
	return by_sendfile(GIVE_UDP);
}

static int tcp_splice(void)
{
	int p[2], to = give_get(GIVE_TCP);

	if (to < 0 || pipe2(p, O_CLOEXEC) < 0 || write(p[1], "x", 1) != 1)
		return errno;
	return esc_errno(splice(p[0], NULL, to, NULL, 1, 0));
}

/* From a file through a pipe, with SPLICE_F_MORE: the path that corks. */
static int tcp_splice_file(void)
{
	int p[2], from = own_file("splice"), to = give_get(GIVE_TCP);

	if (from < 0 || to < 0 || pipe2(p, O_CLOEXEC) < 0 ||
	    splice(from, NULL, p[1], NULL, 7, 0) != 7)
		return errno;
	return esc_errno(splice(p[0], NULL, to, NULL, 7, SPLICE_F_MORE));
}

static int tcp_zerocopy(void)
{
	int one = 1, to = give_get(GIVE_TCP);

	if (to < 0)
		return errno;
	if (setsockopt(to, SOL_SOCKET, SO_ZEROCOPY, &one, sizeof(one)) < 0)
		return errno;
	return esc_errno(send(to, "x", 1, MSG_ZEROCOPY | MSG_NOSIGNAL));
}

static const struct esc_try tries[] = {
	{"tcp-sendfile", tcp_sendfile, "net.connect", 1, ESC_INSIDE, NULL},
	{"udp-sendfile", udp_sendfile, "net.connect", 1, ESC_INSIDE, NULL},
	{"tcp-splice", tcp_splice, "net.connect", 1, ESC_INSIDE, NULL},
	{"tcp-splice-file", tcp_splice_file, "net.connect", 1, ESC_INSIDE, NULL},
	{"tcp-zerocopy", tcp_zerocopy, "net.connect", 1, ESC_INSIDE, NULL},
};

ESC_ROW(36, "the same by sendfile and splice", "socket_sendmsg; before 6.5 file_permission", tries);
