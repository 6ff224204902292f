/*
 * Netlink transport: one transaction is one sendmsg between NFNL_MSG_BATCH_BEGIN and _END.
 *
 * Comes in: messages built in place. Goes out: all of them applied, or none, and the kernel's errno.
 * Called by: nft.c. Never does: split a change in two batches.
 */
#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <libnftnl/common.h>
#include <loader/net/nft_impl.h>

static int reserve(struct om_nft_batch *b)
{
	if (b->cap - b->used >= NFT_MSG_ROOM)
		return 0;
	size_t cap = b->cap ? b->cap * 2 : 2 * NFT_MSG_ROOM;
	/* Zeroed: padding between attributes goes to the kernel. */
	char *p = calloc(1, cap);
	if (!p)
		return -ENOMEM;
	if (b->buf)
		memcpy(p, b->buf, b->used);
	free(b->buf);
	b->buf = p;
	b->cap = cap;
	return 0;
}

static void close_msg(struct om_nft_batch *b)
{
	if (b->last)
		b->used += MNL_ALIGN(b->last->nlmsg_len);
	b->last = NULL;
}

int om_nft_begin(struct om_nft *n, struct om_nft_batch *b, struct om_err *err)
{
	*b = (struct om_nft_batch){.n = n};
	if (reserve(b) < 0)
		return om_err_set(err, OM_ERR_NOMEM, -ENOMEM, "nftables batch");
	b->last = nftnl_batch_begin(b->buf, n->seq++);
	return 0;
}

struct nlmsghdr *om_nft_msg(struct om_nft_batch *b, uint16_t type, uint16_t flags)
{
	close_msg(b);
	if (reserve(b) < 0)
		return NULL;
	b->last = nftnl_nlmsg_build_hdr(b->buf + b->used, type, NFPROTO_INET, flags, b->n->seq++);
	return b->last;
}

/* The kernel reports every message it refused, then the one that asked for an acknowledgement. */
static int answers(struct om_nft *n, uint32_t last)
{
	char buf[16384];
	int ret = 0;
	for (;;) {
		struct pollfd p = {mnl_socket_get_fd(n->sock), POLLIN, 0};
		int k = poll(&p, 1, ret < 0 ? 50 : NFT_WAIT_MS);
		if (k < 0 && errno == EINTR)
			continue;
		if (k <= 0)
			return ret < 0 ? ret : -ETIMEDOUT;
		ssize_t len = recv(p.fd, buf, sizeof(buf), 0);
		if (len < 0)
			return -errno;
		int left = (int)len;
		for (struct nlmsghdr *h = (void *)buf; mnl_nlmsg_ok(h, left);
		     h = mnl_nlmsg_next(h, &left)) {
			if (h->nlmsg_type != NLMSG_ERROR)
				continue;
			const struct nlmsgerr *e = mnl_nlmsg_get_payload(h);
			if (e->error && ret == 0)
				ret = e->error;
			if (h->nlmsg_seq == last)
				return ret;
		}
	}
}

int om_nft_commit(struct om_nft_batch *b)
{
	struct om_nft *n = b->n;
	int fd = mnl_socket_get_fd(n->sock);

	if (!b->last)
		return -ENOMEM;
	b->last->nlmsg_flags |= NLM_F_ACK;
	uint32_t last = b->last->nlmsg_seq;
	close_msg(b);
	if (reserve(b) < 0)
		return -ENOMEM;
	struct nlmsghdr *end = nftnl_batch_end(b->buf + b->used, n->seq++);
	b->used += MNL_ALIGN(end->nlmsg_len);
	/* A datagram that does not fit the buffer is refused whole, so make room first. */
	int room = (int)OM_MAX(b->used * 2, (size_t)262144);
	if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof(room)) < 0)
		return -errno;
	if (mnl_socket_sendto(n->sock, b->buf, b->used) < 0)
		return -errno;
	return answers(n, last);
}

void om_nft_batch_done(struct om_nft_batch *b)
{
	free(b->buf);
	*b = (struct om_nft_batch){0};
}

static bool ends_dump(const char *buf, size_t len)
{
	int left = (int)len;
	for (const struct nlmsghdr *h = (const void *)buf; mnl_nlmsg_ok(h, left);
	     h = mnl_nlmsg_next(h, &left))
		if (h->nlmsg_type == NLMSG_DONE || h->nlmsg_type == NLMSG_ERROR)
			return true;
	return false;
}

int om_nft_dump(struct om_nft *n, struct nlmsghdr *nlh, mnl_cb_t cb, void *ctx)
{
	char buf[32768];
	uint32_t seq = nlh->nlmsg_seq;
	bool torn = false;

	if (mnl_socket_sendto(n->sock, nlh, nlh->nlmsg_len) < 0)
		return -errno;
	for (;;) {
		struct pollfd p = {mnl_socket_get_fd(n->sock), POLLIN, 0};
		int k = poll(&p, 1, NFT_WAIT_MS);
		if (k < 0 && errno == EINTR)
			continue;
		if (k <= 0)
			return -ETIMEDOUT;
		ssize_t len = recv(p.fd, buf, sizeof(buf), 0);
		if (len < 0)
			return -errno;
		k = torn ? 0 : mnl_cb_run(buf, (size_t)len, seq, n->portid, cb, ctx);
		/* Someone changed a table of theirs meanwhile: the rest is read, so that none of it is left. */
		torn |= k < 0 && errno == EINTR;
		if (torn && ends_dump(buf, (size_t)len))
			return -EINTR;
		if (k < 0 && !torn)
			return -errno;
		if (torn)
			continue;
		if (k == MNL_CB_STOP)
			return 0;
	}
}
