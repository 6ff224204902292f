/*
 * The log's side of the signer's socket.
 *
 * Comes in: calls of struct om_signer_ops. Goes out: messages, and their answers as results. Called
 * by: the log. Never does: wait longer than OM_WIRE_TIMEOUT_S, go on after a protocol error.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "agent/chain/signer/wire.h"

struct remote {
	struct om_signer base;
	int sock;
	uint32_t serial;
	bool broken;
	uint8_t buf[OM_WIRE_MAX] __attribute__((aligned(16)));
	struct om_wire_leaf part[OM_WIRE_LEAVES];
};

static int lost(struct remote *r, int ret, struct om_err *err)
{
	r->broken = true;
	return om_err_sys(err, OM_ERR_LOG_SIGNER, ret, "the signer does not answer");
}

/* Receives one message of TYPE for the request at hand, of exactly LEN bytes. */
static int receive(struct remote *r, enum om_wire_type type, size_t len)
{
	struct om_wire_head h;
	int n = om_wire_recv(r->sock, &h, r->buf);

	if (n < 0)
		return n;
	return h.type == type && h.serial == r->serial && (size_t)n == len ? 0 : -EPROTO;
}

static int answer(struct remote *r, struct om_wire_answer *a, struct om_err *err)
{
	int ret = receive(r, OM_WIRE_ANSWER, sizeof(*a));

	if (ret < 0)
		return lost(r, ret, err);
	memcpy(a, r->buf + sizeof(struct om_wire_head), sizeof(*a));
	a->text[sizeof(a->text) - 1] = 0;
	if (a->ret < 0)
		return om_err_set(err, OM_ERR_LOG_SIGNER, a->ret, "%s", a->text);
	return 0;
}

static int ask(struct remote *r, enum om_wire_type type, const void *body, size_t len,
	       struct om_wire_answer *a, struct om_err *err)
{
	int ret = r->broken ? -EPIPE : om_wire_send(r->sock, type, ++r->serial, body, len);

	return ret < 0 ? lost(r, ret, err) : answer(r, a, err);
}

static int remote_hello(struct om_signer *base, const struct om_sign_hello *in,
			struct om_sign_welcome *out, struct om_err *err)
{
	struct remote *r = (struct remote *)base;
	struct om_wire_answer a;
	int ret = ask(r, OM_WIRE_HELLO, in, sizeof(*in), &a, err);

	if (ret < 0)
		return ret;
	*out = a.welcome;
	out->origin[OM_ORIGIN_MAX] = 0;
	return 0;
}

static int remote_brane_open(struct om_signer *base, const char *id, uint64_t size,
			     const uint8_t (*frontier)[32], uint32_t *tag, uint8_t pk[32],
			     struct om_err *err)
{
	struct remote *r = (struct remote *)base;
	struct om_wire_brane b = {.size = size};
	struct om_wire_answer a;
	int ret;

	memcpy(b.id, id, strnlen(id, OM_BRANE_ID_MAX));
	if (size)
		memcpy(b.frontier, frontier, (size_t)__builtin_popcountll(size) * 32);
	ret = ask(r, OM_WIRE_BRANE_OPEN, &b, sizeof(b), &a, err);
	if (ret < 0)
		return ret;
	*tag = a.brane.tag;
	memcpy(pk, a.brane.pk, 32);
	return 0;
}

static int remote_brane_close(struct om_signer *base, uint32_t tag, struct om_err *err)
{
	struct om_wire_answer a;

	return ask((struct remote *)base, OM_WIRE_BRANE_CLOSE, &tag, sizeof(tag), &a, err);
}

static int send_batch(struct remote *r, const struct om_sign_batch *b)
{
	struct om_wire_sign s = {b->size, b->n, b->commit_len, b->n_notes, 0};
	int ret = om_wire_send(r->sock, OM_WIRE_SIGN, ++r->serial, &s, sizeof(s));

	for (uint32_t at = 0; ret == 0 && at < b->n;) {
		uint32_t n = OM_MIN(b->n - at, OM_WIRE_LEAVES);

		for (uint32_t i = 0; i < n; i++) {
			r->part[i].brane = b->brane[at + i];
			memcpy(r->part[i].hash, b->leaf[at + i], 32);
		}
		ret = om_wire_send(r->sock, OM_WIRE_LEAVES_PART, r->serial, r->part,
				   n * sizeof(r->part[0]));
		at += n;
	}
	if (ret == 0)
		ret = om_wire_send(r->sock, OM_WIRE_COMMIT_PART, r->serial, b->commit,
				   b->commit_len);
	if (ret == 0 && b->n_notes)
		ret = om_wire_send(r->sock, OM_WIRE_TAGS_PART, r->serial, b->notes,
				   b->n_notes * sizeof(b->notes[0]));
	return ret;
}

static int remote_sign(struct om_signer *base, const struct om_sign_batch *b,
		       struct om_sign_note *note, struct om_sign_note *notes, uint8_t next_pk[32],
		       struct om_err *err)
{
	struct remote *r = (struct remote *)base;
	struct om_wire_answer a;
	int ret = r->broken ? -EPIPE : send_batch(r, b);

	if (ret < 0)
		return lost(r, ret, err);
	ret = answer(r, &a, err);
	if (ret < 0)
		return ret;
	*note = a.sign.note;
	memcpy(next_pk, a.sign.next_pk, 32);
	for (uint32_t at = 0; at < b->n_notes;) {
		uint32_t n = OM_MIN(b->n_notes - at, OM_WIRE_NOTES);

		ret = receive(r, OM_WIRE_NOTES_PART, n * sizeof(*notes));
		if (ret < 0)
			return lost(r, ret, err);
		memcpy(notes + at, r->buf + sizeof(struct om_wire_head), n * sizeof(*notes));
		at += n;
	}
	return 0;
}

static int remote_confirm(struct om_signer *base, uint64_t size, struct om_err *err)
{
	struct remote *r = (struct remote *)base;
	int ret = r->broken ? -EPIPE
			    : om_wire_send(r->sock, OM_WIRE_CONFIRM, ++r->serial, &size,
					   sizeof(size));

	return ret < 0 ? lost(r, ret, err) : 0;
}

static void remote_free(struct om_signer *base)
{
	struct remote *r = (struct remote *)base;

	om_close_fd(&r->sock);
	free(r);
}

static const struct om_signer_ops remote_ops = {
	.hello = remote_hello,
	.brane_open = remote_brane_open,
	.brane_close = remote_brane_close,
	.sign = remote_sign,
	.confirm = remote_confirm,
	.free = remote_free,
};

int om_signer_remote(int sock, struct om_signer **out, struct om_err *err)
{
	struct timeval limit = {.tv_sec = OM_WIRE_TIMEOUT_S};
	struct remote *r = calloc(1, sizeof(*r));

	if (!r) {
		om_close_fd(&sock);
		return om_err_set(err, OM_ERR_NOMEM, -ENOMEM, "no memory for the signer's socket");
	}
	r->base.ops = &remote_ops;
	r->sock = sock;
	if (setsockopt(sock, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) < 0 ||
	    setsockopt(sock, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) < 0) {
		int ret = -errno;

		remote_free(&r->base);
		return om_err_sys(err, OM_ERR_LOG_SIGNER, ret, "not a socket to the signer");
	}
	*out = &r->base;
	return 0;
}
