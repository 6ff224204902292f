/*
 * Row 110: open it while it is granted, use it when it is not any more. Who decides at connect, bind and open
 * has nothing to say about a flow that is established, a port that is served, a file that is open or mapped.
 * The policy of the brane is tightened between the first half of each try and the second, by an apply.
 */
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/wait.h>

#include "tests/escape/lib/net.h"

/* Goes on when the brane's policy is another. What the kernel sends by itself, late, is sent before. */
static void tighten(void)
{
	usleep(300000);
	esc_tightened();
}

/* An established connection on which one byte has gone to and fro; -1 and errno. */
static int flow(const char *host)
{
	struct linger at_once = {.l_onoff = 1};
	struct esc_addr a = esc_addr(host, esc_num("flow"));
	int fd = esc_socket(a.sa.sa_family, SOCK_STREAM, 0);
	char c = 'x';

	/* Ended by one packet, which nobody repeats, and which nftables stops without a record. */
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once)) < 0 ||
	    connect(fd, &a.sa, a.len) < 0 || write(fd, &c, 1) != 1 || read(fd, &c, 1) != 1)
		exit(253);
	return fd;
}

/* 0: a byte came back. Ends the connection. */
static int goes_on(int fd, long sent)
{
	int ret = esc_errno(sent);
	char c;

	if (!ret && read(fd, &c, 1) != 1)
		ret = ECONNRESET;
	close(fd);
	return ret;
}

static int tcp_on(const char *host)
{
	int fd = flow(host);

	tighten();
	return goes_on(fd, send(fd, "y", 1, MSG_NOSIGNAL));
}

static int tcp(void)
{
	return tcp_on("127.0.0.1");
}

static int tcp6(void)
{
	return tcp_on("::1");
}

static int tcp_writev(void)
{
	struct iovec iov = {"y", 1};
	int fd = flow("127.0.0.1");

	tighten();
	return goes_on(fd, writev(fd, &iov, 1));
}

static int tcp_sendfile(void)
{
	int file = open(esc_in("write", "out-of-row-110"), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	int fd = flow("127.0.0.1");

	if (file < 0 || pwrite(file, "y", 1, 0) != 1)
		return 253;
	tighten();
	return goes_on(fd, sendfile(fd, file, NULL, 1));
}

/* By a task that was born after the change. */
static int child_sends(void)
{
	int fd = flow("127.0.0.1"), status = 0;
	pid_t pid;

	tighten();
	pid = fork();
	if (!pid)
		_exit(esc_errno(send(fd, "y", 1, MSG_NOSIGNAL)));
	if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
		return 253;
	errno = WEXITSTATUS(status);
	return goes_on(fd, errno ? -1 : 1);
}

static int udp_on(const char *host)
{
	struct esc_addr a = esc_addr(host, esc_num("udp"));
	int fd = esc_socket(a.sa.sa_family, SOCK_DGRAM, 0);

	if (fd < 0 || connect(fd, &a.sa, a.len) < 0 || send(fd, "x", 1, 0) != 1)
		return 253;
	tighten();
	return esc_errno(send(fd, "y", 1, 0));
}

static int udp(void)
{
	return udp_on("127.0.0.1");
}

static int udp6(void)
{
	return udp_on("::1");
}

/* No connect was ever asked about. */
static int udp_sendto(void)
{
	struct esc_addr a = esc_addr("127.0.0.1", esc_num("udp"));
	int fd = esc_socket(AF_INET, SOCK_DGRAM, 0);

	if (fd < 0 || sendto(fd, "x", 1, 0, &a.sa, a.len) != 1)
		return 253;
	tighten();
	return esc_errno(sendto(fd, "y", 1, 0, &a.sa, a.len));
}

/* 0: the kernel would have handed out a connection, had there been one. */
static int serve_on(void)
{
	struct esc_addr a = esc_addr("127.0.0.1", esc_num("listen"));
	int fd = esc_socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), one = 1;

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0 ||
	    bind(fd, &a.sa, a.len) < 0 || listen(fd, 1) < 0)
		return 253;
	tighten();
	if (accept4(fd, NULL, NULL, SOCK_CLOEXEC) >= 0 || errno == EAGAIN)
		return 0;
	return errno;
}

static int reads_on(void)
{
	int fd = open(esc_in("dir", "secret"), O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return 253;
	tighten();
	return esc_read_fd(fd);
}

static int mapped_on(int prot, const char *name)
{
	int fd = open(esc_in("dir", name), O_RDONLY | O_CLOEXEC);
	volatile const char *p;

	if (fd < 0)
		return 253;
	p = mmap(NULL, 4096, prot, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		return 253;
	tighten();
	return *p ? 0 : EFAULT;
}

static int loads_on(void)
{
	return mapped_on(PROT_READ, "secret");
}

static int runs_on(void)
{
	return mapped_on(PROT_READ | PROT_EXEC, "prog");
}

/* A directory that was open: names in it, and files by it. */
static int lists_on(void)
{
	char buf[512];
	int fd = open(esc_arg("dir"), O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return 253;
	tighten();
	return esc_errno(syscall(SYS_getdents64, fd, buf, sizeof(buf)));
}

#define KILLED \
	"the workload is ended before the tighter policy is live: nothing is left that could try"

static const struct esc_try tries[] = {
	{"tcp", tcp, "net.connect", 1, ESC_INSIDE, NULL, ESC_SWAP_NET},
	{"tcp6", tcp6, "net.connect", 1, ESC_INSIDE, NULL, ESC_SWAP_NET},
	{"tcp-writev", tcp_writev, "net.connect", 1, ESC_INSIDE, NULL, ESC_SWAP_NET},
	{"tcp-sendfile", tcp_sendfile, "net.connect", 1, ESC_INSIDE, NULL, ESC_SWAP_NET},
	{"tcp-child", child_sends, "net.connect", 1, ESC_INSIDE, NULL, ESC_SWAP_NET},
	{"udp", udp, "net.connect", 1, ESC_INSIDE, NULL, ESC_SWAP_NET},
	{"udp6", udp6, "net.connect", 1, ESC_INSIDE, NULL, ESC_SWAP_NET},
	{"udp-sendto", udp_sendto, "net.connect", 1, ESC_INSIDE, NULL, ESC_SWAP_NET},
	{"accept", serve_on, "net.listen", 1, ESC_INSIDE, NULL, ESC_SWAP_NET},
	{"read", reads_on, "file.read", 0, ESC_INSIDE, KILLED, ESC_SWAP_FILE},
	{"mapped", loads_on, "file.read", 0, ESC_INSIDE, KILLED, ESC_SWAP_FILE},
	{"directory", lists_on, "file.read", 0, ESC_INSIDE, KILLED, ESC_SWAP_FILE},
	{"code", runs_on, "exec", 0, ESC_INSIDE, KILLED, ESC_SWAP_EXEC},
};

ESC_ROW(110, "go on with what was granted when it was opened",
	"each send and accept is judged by the policy in force; a workload that may hold a file "
	"that is taken away ends",
	tries);
