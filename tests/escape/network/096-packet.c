/*
 * Row 96: AF_PACKET and AF_XDP: frames past every cgroup program and past the host's own firewall.
 */
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/if_xdp.h>
#include <sys/mman.h>

#include "tests/escape/lib/net.h"

static int sent(int type)
{
	struct sockaddr_ll to = {.sll_family = AF_PACKET,
				 .sll_protocol = htons(ETH_P_IP),
				 .sll_ifindex = 1,
				 .sll_halen = 6};
	char frame[64] = {0};
	int ret = esc_world("127.0.0.1", SOCK_DGRAM, esc_num("udp")), fd;

	if (ret)
		return ret;
	fd = esc_socket(AF_PACKET, type, htons(ETH_P_IP));
	if (fd < 0)
		return errno;
	return sendto(fd, frame, sizeof(frame), 0, (void *)&to, sizeof(to)) < 0 ? errno : 0;
}

static int raw(void)
{
	return sent(SOCK_RAW);
}

static int cooked(void)
{
	return sent(SOCK_DGRAM);
}

/* Everybody's packets, read without a call for each. */
static int ring(void)
{
	struct tpacket_req r = {
		.tp_block_size = 4096, .tp_block_nr = 1, .tp_frame_size = 2048, .tp_frame_nr = 2};
	int fd = esc_socket(AF_PACKET, SOCK_RAW, htons(ETH_P_ALL));

	if (fd < 0)
		return errno;
	return esc_errno(setsockopt(fd, SOL_PACKET, PACKET_RX_RING, &r, sizeof(r)));
}

static int xdp(void)
{
	static char area[4096] __attribute__((aligned(4096)));
	struct xdp_umem_reg u = {.addr = (uintptr_t)area, .len = sizeof(area), .chunk_size = 4096};
	int fd = esc_socket(AF_XDP, SOCK_RAW, 0);

	if (fd < 0)
		return errno == EAFNOSUPPORT ? esc_skip("this kernel has no AF_XDP") : errno;
	return esc_errno(setsockopt(fd, SOL_XDP, XDP_UMEM_REG, &u, sizeof(u)));
}

static const struct esc_try tries[] = {
	{"raw", raw, "syscall", 1, ESC_OUTSIDE, NULL},
	{"cooked", cooked, "syscall", 1, ESC_OUTSIDE, NULL},
	{"ring", ring, "syscall", 1, ESC_OUTSIDE, NULL},
	{"xdp", xdp, "syscall", 1, ESC_OUTSIDE, NULL},
};

ESC_ROW(96, "AF_PACKET, AF_XDP", "seccomp on socket(), socket_create, no CAP_NET_RAW", tries);
