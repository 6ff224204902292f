/*
 * Row 97: every other family. The cgroup's sock_create program sees inet sockets alone; netlink steers
 * the network, AF_ALG and the rest are large, rarely tried code, vsock leads out of a machine.
 */
#include <linux/if_alg.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/vm_sockets.h>

#include "tests/escape/lib/net.h"

static int absent(int err)
{
	return err == EAFNOSUPPORT || err == EPROTONOSUPPORT || err == ESOCKTNOSUPPORT ||
	       err == ENOPROTOOPT;
}

static int made(int family, int type, int proto)
{
	int fd = esc_socket(family, type, proto);

	if (fd < 0)
		return absent(errno) ? esc_skip("this kernel lacks the family") : errno;
	close(fd);
	return 0;
}

/* The host's devices and addresses. */
static int netlink(void)
{
	struct {
		struct nlmsghdr h;
		struct rtgenmsg g;
	} q = {.h = {.nlmsg_len = sizeof(q),
		     .nlmsg_type = RTM_GETLINK,
		     .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP}};
	int fd = esc_socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
	char buf[8192];

	if (fd < 0)
		return errno;
	if (send(fd, &q, sizeof(q), 0) < 0 || recv(fd, buf, sizeof(buf), 0) <= 0)
		return errno;
	return 0;
}

static int netlink_audit(void)
{
	return made(AF_NETLINK, SOCK_RAW, NETLINK_AUDIT);
}

static int netlink_uevent(void)
{
	return made(AF_NETLINK, SOCK_DGRAM, NETLINK_KOBJECT_UEVENT);
}

static int netlink_netfilter(void)
{
	return made(AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER);
}

static int alg(void)
{
	struct sockaddr_alg a = {.salg_family = AF_ALG, .salg_type = "hash", .salg_name = "sha256"};
	int fd = esc_socket(AF_ALG, SOCK_SEQPACKET, 0);

	if (fd < 0)
		return absent(errno) ? esc_skip("this kernel has no AF_ALG") : errno;
	if (bind(fd, (void *)&a, sizeof(a)) < 0)
		return errno;
	return accept4(fd, NULL, NULL, SOCK_CLOEXEC) < 0 ? errno : 0;
}

static int vsock_stream(void)
{
	return made(AF_VSOCK, SOCK_STREAM, 0);
}

static int vsock_datagram(void)
{
	return made(AF_VSOCK, SOCK_SEQPACKET, 0);
}

static int key(void)
{
	return made(AF_KEY, SOCK_RAW, 2 /* PF_KEY_V2 */);
}

static int tipc(void)
{
	return made(AF_TIPC, SOCK_RDM, 0);
}

static int rds(void)
{
	return made(AF_RDS, SOCK_SEQPACKET, 0);
}

static int smc(void)
{
	return made(AF_SMC, SOCK_STREAM, 0);
}

/* SMC again, by the inet family: since 6.11. */
static int smc_inet(void)
{
	return made(AF_INET, SOCK_STREAM, 256);
}

static int can(void)
{
	return made(AF_CAN, SOCK_RAW, 1);
}

static int bluetooth(void)
{
	return made(AF_BLUETOOTH, SOCK_SEQPACKET, 0);
}

static int pppox(void)
{
	return made(AF_PPPOX, SOCK_DGRAM, 0);
}

static int kcm(void)
{
	return made(AF_KCM, SOCK_DGRAM, 0);
}

static int qrtr(void)
{
	return made(AF_QIPCRTR, SOCK_DGRAM, 0);
}

static int rxrpc(void)
{
	return made(AF_RXRPC, SOCK_DGRAM, AF_INET);
}

static int mctp(void)
{
	return made(AF_MCTP, SOCK_DGRAM, 0);
}

static int ax25(void)
{
	return made(AF_AX25, SOCK_DGRAM, 0);
}

/* A unix socket of a type that is none: the kernel takes it for a datagram one. */
static int unix_raw(void)
{
	return made(AF_UNIX, SOCK_RAW, 0);
}

static int pair(void)
{
	int p[2];

	if (socketpair(AF_TIPC, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, p) < 0)
		return absent(errno) ? esc_skip("this kernel lacks the family") : errno;
	return 0;
}

#define TRY(name_, fn_)                                     \
	{                                                   \
		name_, fn_, "syscall", 1, ESC_OUTSIDE, NULL \
	}
static const struct esc_try tries[] = {
	TRY("netlink", netlink),
	TRY("netlink-audit", netlink_audit),
	TRY("netlink-uevent", netlink_uevent),
	TRY("netlink-netfilter", netlink_netfilter),
	TRY("alg", alg),
	TRY("vsock", vsock_stream),
	TRY("vsock-seqpacket", vsock_datagram),
	TRY("key", key),
	TRY("tipc", tipc),
	TRY("rds", rds),
	TRY("smc", smc),
	TRY("smc-inet", smc_inet),
	TRY("can", can),
	TRY("bluetooth", bluetooth),
	TRY("pppox", pppox),
	TRY("kcm", kcm),
	TRY("qrtr", qrtr),
	TRY("rxrpc", rxrpc),
	TRY("mctp", mctp),
	TRY("ax25", ax25),
	TRY("unix-raw", unix_raw),
	TRY("socketpair", pair),
};

ESC_ROW(97, "netlink, AF_ALG, vsock and every other family", "seccomp on socket(), socket_create",
	tries);
