/*
 * Row 120: where the answer is a signal, the call may be done before it comes. Here the answer is an
 * error and the caller lives: each try looks afterwards whether the thing was done all the same.
 */
#include <dirent.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "tests/escape/lib/net.h"

/* Looks at what a try can see without asking for anything that is denied. */
static int mode_of(const char *path)
{
	struct stat st;

	return stat(path, &st) < 0 ? -1 : (int)(st.st_mode & 07777);
}

/* Whether `write` holds NAME: listed, because looking for what is not there is an event of its own. */
static bool listed(const char *name)
{
	DIR *d = opendir(esc_arg("write"));
	struct dirent *e;
	bool found = false;

	while (d && (e = readdir(d)))
		found |= !strcmp(e->d_name, name);
	if (d)
		closedir(d);
	return found;
}

/* Reached (0) when the error lied. */
static int judged(int ret, bool done)
{
	if (done)
		return 0;
	return ret ? ret : EINVAL;
}

static int mode_changed(void)
{
	const char *path = esc_in("write", "m120");
	int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600), ret;

	if (fd < 0)
		return errno;
	close(fd);
	ret = esc_errno(chmod(path, 04755));
	return judged(ret, mode_of(path) & 04000);
}

/* A copy of a program that may run, in a directory from which nothing may. */
static int copied(const char *to)
{
	static char buf[65536];
	int in = open(esc_arg("mode")[0] == 'o' ? "/proc/self/exe" : esc_arg("self"),
		      O_RDONLY | O_CLOEXEC),
	    out;
	ssize_t n;

	if (in < 0)
		return errno;
	out = open(to, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0755);
	if (out < 0)
		return errno;
	while ((n = read(in, buf, sizeof(buf))) > 0)
		if (write(out, buf, (size_t)n) != n)
			break;
	close(in);
	close(out);
	return 0;
}

static int executed(void)
{
	const char *to = esc_in("write", "p120");
	char *argv[] = {(char *)to, (char *)"exit", NULL};
	int ret = copied(to);

	/* Two lives: the child says what became of its exec; killed is not an answer either. */
	return ret ? ret : esc_exec(to, argv);
}

static int made(void)
{
	const char *path = esc_in("write", "n120");
	int ret = esc_errno(mknod(path, S_IFREG | 04755, 0));

	return judged(ret, listed("n120"));
}

/* A connection that was refused is none: no peer, nothing to send to. */
static int connected(void)
{
	struct esc_addr a = esc_addr("127.0.0.1", esc_num("tcp")), peer = {.len = sizeof(peer.all)};
	int fd = esc_socket(AF_INET, SOCK_STREAM, 0), ret;

	ret = esc_errno(connect(fd, &a.sa, a.len));
	return judged(ret, getpeername(fd, &peer.sa, &peer.len) == 0);
}

/* A datagram that was refused left nothing in the socket's queue. */
static int sent(void)
{
	struct esc_addr a = esc_addr("127.0.0.1", esc_num("udp"));
	int fd = esc_socket(AF_INET, SOCK_DGRAM, 0), ret, left = 0;

	ret = sendto(fd, "x", 1, 0, &a.sa, a.len) == 1 ? 0 : errno;
	if (ret && ioctl(fd, 0x5411 /* TIOCOUTQ */, &left) == 0 && left)
		return 0;
	return ret;
}

static int bound(void)
{
	struct esc_addr a = esc_addr("127.0.0.1", esc_num("listen")),
			now = {.len = sizeof(now.all)};
	int fd = esc_socket(AF_INET, SOCK_DGRAM, 0), ret;

	ret = esc_errno(bind(fd, &a.sa, a.len));
	return judged(ret, getsockname(fd, &now.sa, &now.len) == 0 && now.v4.sin_port);
}

static const struct esc_try tries[] = {
	{"chmod", mode_changed, "file.write", 1, ESC_OUTSIDE, NULL},
	{"exec", executed, "file.exec", 1, ESC_OUTSIDE, NULL},
	{"mknod", made, "file.create|file.write", 1, ESC_OUTSIDE, NULL},
	{"connect", connected, "net.connect", 1, ESC_INSIDE, NULL},
	{"send", sent, "net.connect", 1, ESC_INSIDE, NULL},
	{"bind", bound, "net.listen", 1, ESC_INSIDE, NULL},
};

ESC_ROW(120, "the operation completes before the answer", "an error from the hook, never a signal",
	tries);
