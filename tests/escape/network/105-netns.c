/*
 * Row 105: another network namespace: a new one, in which one is root of the network, or somebody
 * else's; and steering the host's own from inside.
 */
#include <linux/rtnetlink.h>
#include <linux/route.h>
#include <linux/sched.h>
#include <signal.h>
#include <sys/wait.h>

#include "tests/escape/lib/net.h"

static int unshared(void)
{
	return esc_errno(unshare(CLONE_NEWNET));
}

static int with_userns(void)
{
	return esc_errno(unshare(CLONE_NEWUSER | CLONE_NEWNET));
}

static int cloned(void)
{
	long pid = syscall(SYS_clone, CLONE_NEWNET | SIGCHLD, 0, 0, 0, 0);

	if (!pid)
		_exit(0);
	return esc_errno(pid);
}

/* Its flags lie in memory, where no filter sees them. */
static int cloned_by_clone3(void)
{
	struct clone_args a = {.flags = CLONE_NEWNET, .exit_signal = SIGCHLD};
	long pid = syscall(SYS_clone3, &a, sizeof(a));

	if (!pid)
		_exit(0);
	return esc_errno(pid);
}

static int joined(void)
{
	int fd = (int)syscall(SYS_pidfd_open, getpid(), 0);

	return fd < 0 ? errno : esc_errno(setns(fd, CLONE_NEWNET));
}

/* The host's init's network, by name. */
static int joined_by_name(void)
{
	int fd = open("/proc/1/ns/net", O_RDONLY | O_CLOEXEC);

	return fd < 0 ? errno : esc_errno(setns(fd, CLONE_NEWNET));
}

/* A device by netlink: a pair, of which one end would be moved to a neighbour. */
static int veth(void)
{
	struct {
		struct nlmsghdr h;
		struct ifinfomsg i;
	} q = {.h = {.nlmsg_len = sizeof(q),
		     .nlmsg_type = RTM_NEWLINK,
		     .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK},
	       .i = {.ifi_index = 1}};
	struct {
		struct nlmsghdr h;
		struct nlmsgerr e;
	} answer = {0};
	int fd = esc_socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);

	if (fd < 0)
		return errno;
	/* Changes nothing of lo: that it is let through is the point. */
	if (send(fd, &q, sizeof(q), 0) < 0 || recv(fd, &answer, sizeof(answer), 0) < 0)
		return errno;
	return -answer.e.error;
}

static int address_set(void)
{
	struct ifreq r = {.ifr_name = "lo:7"};
	struct esc_addr a = esc_addr("127.0.0.77", 0);
	int fd = esc_socket(AF_INET, SOCK_DGRAM, 0);

	if (esc_is_outside() && (unshare(CLONE_NEWNET) < 0 || esc_lo_up() < 0))
		return errno;
	memcpy(&r.ifr_addr, &a.v4, sizeof(a.v4));
	if (esc_is_outside())
		fd = esc_socket(AF_INET, SOCK_DGRAM, 0);
	return esc_errno(ioctl(fd, SIOCSIFADDR, &r));
}

static int route_added(void)
{
	struct esc_addr to = esc_addr("127.9.9.9", 0);
	struct rtentry r = {.rt_flags = RTF_UP | RTF_HOST, .rt_dev = (char *)"lo"};
	int fd;

	if (esc_is_outside() && (unshare(CLONE_NEWNET) < 0 || esc_lo_up() < 0))
		return errno;
	fd = esc_socket(AF_INET, SOCK_DGRAM, 0);
	memcpy(&r.rt_dst, &to.v4, sizeof(to.v4));
	((struct sockaddr_in *)&r.rt_genmask)->sin_family = AF_INET;
	((struct sockaddr_in *)&r.rt_genmask)->sin_addr.s_addr = 0xffffffff;
	return esc_errno(ioctl(fd, SIOCADDRT, &r));
}

#define CAP_FIRST "the kernel asks for CAP_NET_ADMIN, which no brane has"
static const struct esc_try tries[] = {
	{"unshare", unshared, "syscall", 1, ESC_OUTSIDE, NULL},
	{"unshare-user", with_userns, "syscall", 1, ESC_OUTSIDE, NULL},
	{"clone", cloned, "syscall", 1, ESC_OUTSIDE, NULL},
	{"clone3", cloned_by_clone3, "syscall", 0, ESC_OUTSIDE,
	 "clone3 answers ENOSYS, as docs/events.md lists"},
	{"setns-pidfd", joined, "syscall", 1, ESC_OUTSIDE, NULL},
	{"setns-name", joined_by_name, "file.absent", 1, ESC_OUTSIDE, NULL},
	{"netlink", veth, "syscall", 1, ESC_OUTSIDE, NULL},
	{"address", address_set, "net.socket", 0, ESC_OUTSIDE, CAP_FIRST},
	{"route", route_added, "net.socket", 0, ESC_OUTSIDE, CAP_FIRST},
};

ESC_ROW(105, "new network namespace, setns, interfaces and routes", "seccomp, no CAP_NET_ADMIN",
	tries);
