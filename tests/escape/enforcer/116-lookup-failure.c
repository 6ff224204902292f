/*
 * Row 116: make the enforcer's own look-up fail: deeper than it walks, longer than it reads, a family,
 * a protocol or an address length that it does not know. "Not found" must be no.
 */
#include <sys/stat.h>
#include <sys/wait.h>

#include "tests/escape/enforcer/flood.h"

#define DEPTH 300 /* the walk ends after 256 parents */

/*
 * Outside: 300 directories of the brane's own, and a file at the end. Inside the walk ends before the
 * granted root is met, and a directory that it granted, too, is refused from there on.
 */
static int deep(void)
{
	char name[16];

	snprintf(name, sizeof(name), "d%d", getpid());
	if (chdir(esc_arg("write")) < 0)
		return errno;
	for (int i = 0; i < DEPTH; i++)
		if (mkdir(name, 0700) < 0 || chdir(name) < 0)
			return errno;
	int fd = open("file", O_CREAT | O_RDWR | O_CLOEXEC, 0600);
	return fd < 0 ? errno : 0;
}

/* Longer than a record's path and than any buffer: by way of a directory and back, again and again. */
static int long_path(void)
{
	static char path[4096];
	size_t n = 0;

	while (n < 3800)
		n += (size_t)snprintf(path + n, sizeof(path) - n, "/run/..");
	snprintf(path + n, sizeof(path) - n, "%s", esc_in("dir", "secret"));
	return esc_open_read(AT_FDCWD, path, O_RDONLY);
}

/* In pieces, each of which is short. */
static int by_pieces(void)
{
	char path[256], *p, *next;
	int at = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC), fd;

	snprintf(path, sizeof(path), "%s", esc_in("dir", "secret"));
	for (p = path + 1; (next = strchr(p, '/')); p = next + 1) {
		*next = 0;
		fd = openat(at, p, O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (fd < 0)
			return errno;
		at = fd;
	}
	return esc_open_read(at, p, O_RDONLY);
}

static int odd_family(void)
{
	int fd = esc_socket(AF_IEEE802154, SOCK_DGRAM, 0);

	if (fd < 0)
		return errno == EAFNOSUPPORT ? esc_skip("this kernel lacks the family") : errno;
	return 0;
}

/* The address says one family, the socket is of another. */
static int wrong_family(void)
{
	struct esc_addr a = esc_addr("127.0.0.1", esc_num("udp"));

	return esc_sendto(esc_socket(AF_INET6, SOCK_DGRAM, 0), a, 0);
}

static int unaligned(void)
{
	struct esc_addr a = esc_addr("127.0.0.1", esc_num("tcp"));
	char odd[sizeof(a.v4) + 1];
	int fd = esc_socket(AF_INET, SOCK_STREAM, 0);

	memcpy(odd + 1, &a.v4, sizeof(a.v4));
	return esc_errno(connect(fd, (void *)(odd + 1), sizeof(a.v4)));
}

/* One task after the other, each new to the enforcer, each at once. */
static int many_tasks(void)
{
	int bad = 0;

	if (esc_is_outside())
		return esc_connect_to(esc_addr("127.0.0.1", esc_num("tcp")), SOCK_STREAM, 0);
	for (int i = 0; i < 64; i++) {
		pid_t pid = fork();

		if (!pid)
			_exit(esc_connect_to(esc_addr("127.0.0.1", esc_num("tcp")), SOCK_STREAM,
					     0));
		if (pid < 0)
			return errno;
	}
	for (int i = 0, status = 0; i < 64; i++) {
		if (wait(&status) < 0 || !WIFEXITED(status) || WEXITSTATUS(status) != EPERM)
			bad++;
	}
	return bad ? 0 : EPERM;
}

static const struct esc_try tries[] = {
	{"deep", deep, "file.create", 1, ESC_OUTSIDE, NULL},
	{"long-path", long_path, "file.absent", 1, ESC_INSIDE, NULL},
	{"by-pieces", by_pieces, "file.absent", 1, ESC_INSIDE, NULL},
	{"odd-family", odd_family, "syscall", 1, ESC_OUTSIDE, NULL},
	{"wrong-family", wrong_family, "net.connect", 1, ESC_INSIDE, NULL},
	{"unaligned", unaligned, "net.connect", 1, ESC_INSIDE, NULL},
	{"many-tasks", many_tasks, "net.connect", 64, ESC_OUTSIDE, NULL},
};

ESC_ROW(116, "make a look-up fail", "not found, too deep, unknown: denied and recorded", tries);
