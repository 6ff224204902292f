/*
 * Framing of the signer's messages.
 *
 * Comes in: structs, a socket. Goes out: whole messages. Called by: remote.c, serve.c. Never does:
 * interpret a body.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "agent/chain/signer/wire.h"

int om_wire_send(int sock, enum om_wire_type type, uint32_t serial, const void *body, size_t len)
{
	struct om_wire_head h = {
		.magic = OM_WIRE_MAGIC,
		.version = OM_WIRE_VERSION,
		.type = (uint16_t)type,
		.len = (uint32_t)(sizeof(h) + len),
		.serial = serial,
	};
	struct iovec iov[2] = {{&h, sizeof(h)}, {(void *)(uintptr_t)body, len}};
	struct msghdr m = {.msg_iov = iov, .msg_iovlen = len ? 2 : 1};
	ssize_t n;

	do
		n = sendmsg(sock, &m, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	return (size_t)n == sizeof(h) + len ? 0 : -EIO;
}

int om_wire_recv(int sock, struct om_wire_head *h, uint8_t *buf)
{
	ssize_t n;

	do
		n = recv(sock, buf, OM_WIRE_MAX, MSG_TRUNC);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	if (!n)
		return -EPIPE;
	if ((size_t)n < sizeof(*h) || n > (ssize_t)OM_WIRE_MAX)
		return -EPROTO;
	memcpy(h, buf, sizeof(*h));
	if (h->magic != OM_WIRE_MAGIC || h->version != OM_WIRE_VERSION || h->len != (uint32_t)n)
		return -EPROTO;
	return (int)(n - (ssize_t)sizeof(*h));
}
