/*
 * Row 49: an argument in memory is changed by another process between the check and the use. Who reads it
 * himself, at the entry of the call, judges another value than the kernel uses. Ours judge the kernel's
 * own copy.
 *
 * The other value stands there for an instant only, so that it is seen after thousands of rounds and by
 * one of the two readers, if there are two. The first answer that is neither of the harmless ones ends the
 * row: one denial.
 */
#include <arpa/inet.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "tests/escape/lib/escape.h"

#define ROUNDS 5000000

static union shared {
	char path[512];
	struct sockaddr_in addr;
} * mem;

static int memory(void)
{
	mem = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	return mem == MAP_FAILED ? errno : 0;
}

/* A child that writes TWO over ONE, at AT, for an instant, again and again. N: 1 or 2 bytes. */
static pid_t changer(void *at, uint16_t one, uint16_t two, int n)
{
	pid_t pid = fork();

	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;) {
		for (volatile int i = 0; i < 2000; i++)
			;
		if (n == 1)
			*(volatile uint8_t *)at = (uint8_t)two;
		else
			*(volatile uint16_t *)at = two;
		for (volatile int i = 0; i < 20; i++)
			;
		/* On one processor the instant must sometimes last until the other has run. */
		static unsigned int turn;
		if (++turn % 64 == 0)
			sched_yield();
		if (n == 1)
			*(volatile uint8_t *)at = (uint8_t)one;
		else
			*(volatile uint16_t *)at = one;
		if (turn % 64 == 32)
			sched_yield();
	}
}

static void end(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

/* `write`/toctou-a is a file of ours, toctou-b a link to the secret: one byte apart. */
static int opened_path(void)
{
	const char *a = esc_in("write", "toctou-a"), *b = esc_in("write", "toctou-b");
	int ret = memory(), fd;
	pid_t pid;

	if (ret)
		return ret;
	fd = open(a, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0 || write(fd, "A", 1) != 1)
		return errno;
	close(fd);
	if (symlink(esc_in("dir", "secret"), b) < 0 && errno != EEXIST)
		return errno;
	strcpy(mem->path, a);
	pid = changer(&mem->path[strlen(a) - 1], 'a', 'b', 1);
	ret = EAGAIN;
	for (int i = 0; i < ROUNDS && ret == EAGAIN; i++) {
		char c = 0;

		fd = open(mem->path, O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			ret = errno;
		else if (read(fd, &c, 1) == 1 && c != 'A')
			ret = 0;
		if (fd >= 0)
			close(fd);
	}
	end(pid);
	return ret;
}

/* Nobody listens on `own`: refused is the harmless answer. */
static int connected_port(void)
{
	int ret = memory(), fd;
	pid_t pid;

	if (ret)
		return ret;
	mem->addr = (struct sockaddr_in){.sin_family = AF_INET,
					 .sin_port = htons((uint16_t)esc_num("own")),
					 .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	pid = changer(&mem->addr.sin_port, htons((uint16_t)esc_num("own")),
		      htons((uint16_t)esc_num("tcp")), 2);
	ret = EAGAIN;
	for (int i = 0; i < ROUNDS && ret == EAGAIN; i++) {
		fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (connect(fd, (void *)&mem->addr, sizeof(mem->addr)) == 0)
			ret = 0;
		else if (errno != ECONNREFUSED)
			ret = errno;
		close(fd);
	}
	end(pid);
	return ret;
}

/* The same for a datagram: its address stands in a message header, one more pointer away. */
static int sent_port(void)
{
	struct iovec v = {(void *)"x", 1};
	struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};
	int ret = memory(), fd;
	pid_t pid;

	if (ret)
		return ret;
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	mem->addr = (struct sockaddr_in){.sin_family = AF_INET,
					 .sin_port = htons((uint16_t)esc_num("own")),
					 .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	m.msg_name = &mem->addr;
	m.msg_namelen = sizeof(mem->addr);
	pid = changer(&mem->addr.sin_port, htons((uint16_t)esc_num("own")),
		      htons((uint16_t)esc_num("tcp")), 2);
	ret = EAGAIN;
	for (int i = 0; i < ROUNDS && ret == EAGAIN; i++) {
		close(fd);
		fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		/* Fast Open: the address is an argument of the send. */
		if (sendmsg(fd, &m, MSG_FASTOPEN | MSG_NOSIGNAL) == 1)
			ret = 0;
		else if (errno != ECONNREFUSED)
			ret = errno;
	}
	end(pid);
	return ret;
}

static const struct esc_try tries[] = {
	{"open-path", opened_path, "file.absent|file.read", 1, ESC_INSIDE, NULL},
	{"connect-port", connected_port, "net.connect", 1, ESC_INSIDE, NULL},
	{"sendmsg-port", sent_port, "net.connect", 1, ESC_INSIDE, NULL},
};

ESC_ROW(49, "argument changed between check and use", "hooks see the kernel's own copy", tries);
