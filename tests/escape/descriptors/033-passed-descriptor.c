/*
 * Row 33: a process outside opens the file and sends the descriptor (SCM_RIGHTS). Nothing is opened
 * inside, so who checks at open sees nothing. Rights to files, to directories as places to start from, to
 * processes, rings, maps and namespaces all travel that way.
 */
#include <sched.h>
#include <signal.h>
#include <sys/stat.h>

#include "tests/escape/lib/give.h"

static int file_read(void)
{
	return esc_read_fd(give_get(GIVE_READ));
}

static int file_write(void)
{
	int fd = give_get(GIVE_WRITE);

	return fd < 0 ? errno : esc_errno(write(fd, "secret\n", 7));
}

static int o_path(void)
{
	char link[64];
	int fd = give_get(GIVE_PATH);

	if (fd < 0)
		return errno;
	/* What an O_PATH descriptor alone gives: the file's metadata, by a way with no look-up. */
	struct stat st;
	if (fstat(fd, &st) < 0)
		return errno;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	return !strcmp(esc_arg("mode"), "outside") ? esc_open_read(AT_FDCWD, link, O_RDONLY) : 0;
}

static int directory(void)
{
	int fd = give_get(GIVE_DIR);

	return fd < 0 ? errno : esc_open_read(fd, "secret", O_RDONLY);
}

static int directory_path(void)
{
	int fd = give_get(GIVE_DIR_PATH);

	return fd < 0 ? errno : esc_open_read(fd, "secret", O_RDONLY);
}

/* The socket is harmless, what waits in its queue is not. */
static int nested(void)
{
	int fd = give_get(GIVE_NESTED);

	return fd < 0 ? errno : esc_read_fd(give_take(fd));
}

static int host_unix(void)
{
	int fd = give_get(GIVE_UNIX);

	return fd < 0 ? errno : esc_errno(send(fd, "x", 1, MSG_NOSIGNAL));
}

static int taken(enum give what)
{
	int fd = give_get(what);

	if (fd < 0)
		return errno;
	close(fd);
	return 0;
}

static int raw_socket(void)
{
	return taken(GIVE_RAW);
}

static int netlink_socket(void)
{
	return taken(GIVE_NETLINK);
}

static int packet_socket(void)
{
	return taken(GIVE_PACKET);
}

static int memfd_program(void)
{
	char *argv[] = {(char *)"prog", (char *)"exit", NULL};
	int fd = give_get(GIVE_PROGRAM);

	if (fd < 0)
		return errno;
	syscall(SYS_execveat, fd, "", argv, NULL, AT_EMPTY_PATH);
	return errno;
}

/* A descriptor of a process that the brane's pid namespace has no number for. */
static int pidfd(void)
{
	int fd = give_get(GIVE_PIDFD);

	return fd < 0 ? errno : esc_errno(syscall(SYS_pidfd_send_signal, fd, SIGCONT, NULL, 0));
}

static int bpf_map(void)
{
	return taken(GIVE_BPF_MAP);
}

static int perf_event(void)
{
	return taken(GIVE_PERF);
}

static const struct esc_try tries[] = {
	{"file-read", file_read, "file.read", 1, ESC_INSIDE, NULL},
	{"file-write", file_write, "file.write", 1, ESC_INSIDE, NULL},
	{"o-path", o_path, "file.read", 1, ESC_INSIDE, NULL},
	{"directory", directory, "file.read", 1, ESC_INSIDE, NULL},
	{"directory-path", directory_path, "file.read", 1, ESC_INSIDE, NULL},
	{"nested", nested, "file.read|net.unix", 1, ESC_OUTSIDE, NULL},
	{"host-unix", host_unix, "net.unix", 1, ESC_OUTSIDE, NULL},
	{"raw-socket", raw_socket, "net.socket", 1, ESC_OUTSIDE, NULL},
	{"netlink-socket", netlink_socket, "net.socket", 1, ESC_OUTSIDE, NULL},
	{"packet-socket", packet_socket, "net.socket", 1, ESC_OUTSIDE, NULL},
	{"memfd-program", memfd_program, "file.read|file.write", 1, ESC_OUTSIDE, NULL},
	{"pidfd", pidfd, "file.read|file.write", 1, ESC_OUTSIDE, NULL},
	{"bpf-map", bpf_map, "file.read|file.write|bpf", 1, ESC_OUTSIDE, NULL},
	{"perf-event", perf_event, "file.read|file.write", 1, ESC_OUTSIDE, NULL},
};

ESC_ROW(33, "descriptor received by SCM_RIGHTS", "file_receive", tries);
