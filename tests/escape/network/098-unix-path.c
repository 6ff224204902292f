/*
 * Row 98: a socket file of one of the host's daemons. Who may talk to docker.sock is root; no packet
 * filter sees it, and its name is easily another.
 */
#include <sys/stat.h>

#include "tests/escape/lib/net.h"

static int talked(const char *path, int type)
{
	struct esc_addr a = esc_unix(path);
	int fd = esc_socket(AF_UNIX, type, 0), ret;

	if (fd < 0)
		return errno;
	ret = esc_errno(connect(fd, &a.sa, a.len));
	close(fd);
	return ret;
}

static int stream(void)
{
	return talked(esc_in("dir", "sock"), SOCK_STREAM);
}

static int by_symlink(void)
{
	const char *link = esc_in("write", "s");

	unlink(link);
	return symlink(esc_in("dir", "sock"), link) < 0 ? errno : talked(link, SOCK_STREAM);
}

/* Never more than a name: a link or a rename must not bring a socket into the brane's directory. */
static int by_link(void)
{
	const char *link = esc_in("write", "l");

	unlink(link);
	if (linkat(AT_FDCWD, esc_in("dir", "sock"), AT_FDCWD, link, 0) < 0)
		return errno;
	return talked(link, SOCK_STREAM);
}

static int by_descriptor(void)
{
	char path[64];
	int fd = open(esc_in("dir", "sock"), O_PATH | O_CLOEXEC);

	if (fd < 0)
		return errno;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return talked(path, SOCK_STREAM);
}

static int from_directory(void)
{
	return chdir(esc_arg("dir")) < 0 ? errno : talked("sock", SOCK_STREAM);
}

static const struct esc_try tries[] = {
	{"connect", stream, "file.absent|net.unix", 1, ESC_INSIDE, NULL},
	{"symlink", by_symlink, "file.absent|net.unix", 1, ESC_INSIDE, NULL},
	{"link", by_link, "file.absent|net.unix", 1, ESC_OUTSIDE, NULL},
	{"descriptor", by_descriptor, "file.absent|net.unix", 1, ESC_OUTSIDE, NULL},
	{"relative", from_directory, "file.absent|net.unix", 1, ESC_INSIDE, NULL},
};

ESC_ROW(98, "unix socket of a host daemon", "the view, unix_stream_connect", tries);
