/*
 * The sign role's loop: one peer, one request at a time.
 *
 * Comes in: messages. Goes out: answers. Called by: agent/roles/sign, tests that fork. Never does:
 * trust a length, answer a message out of turn (it ends: a peer that confuses the protocol may be
 * trying to), keep anything of a refused batch.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "agent/chain/signer/wire.h"

struct server {
	int sock;
	struct om_signer *s;
	uint8_t buf[OM_WIRE_MAX] __attribute__((aligned(16)));
	uint8_t leaf[OM_SIGN_LEAVES_MAX][32];
	uint32_t brane[OM_SIGN_LEAVES_MAX];
	char commit[OM_RECORD_MAX];
	uint32_t tags[OM_BRANES_MAX];
	struct om_sign_note notes[OM_BRANES_MAX];
	struct om_wire_answer answer;
};

#define BODY(v) ((v)->buf + sizeof(struct om_wire_head))

static int reply(struct server *v, uint32_t serial, int ret, const struct om_err *err)
{
	v->answer.ret = ret;
	if (ret < 0) {
		v->answer.err_id = (uint32_t)err->id;
		memcpy(v->answer.text, err->text, sizeof(v->answer.text) - 1);
	}
	return om_wire_send(v->sock, OM_WIRE_ANSWER, serial, &v->answer, sizeof(v->answer));
}

/* The next message must be TYPE, of this request, of exactly LEN bytes. */
static int part(struct server *v, enum om_wire_type type, uint32_t serial, size_t len)
{
	struct om_wire_head h;
	int n = om_wire_recv(v->sock, &h, v->buf);

	if (n < 0)
		return n;
	return h.type == type && h.serial == serial && (size_t)n == len ? 0 : -EPROTO;
}

static int read_batch(struct server *v, uint32_t serial, const struct om_wire_sign *s)
{
	int ret;

	if (!s->n || s->n > OM_SIGN_LEAVES_MAX || !s->commit_len || s->commit_len > OM_RECORD_MAX ||
	    s->n_notes > OM_BRANES_MAX)
		return -EPROTO;
	for (uint32_t at = 0; at < s->n;) {
		uint32_t n = OM_MIN(s->n - at, OM_WIRE_LEAVES);
		struct om_wire_leaf leaf;

		ret = part(v, OM_WIRE_LEAVES_PART, serial, n * sizeof(leaf));
		if (ret < 0)
			return ret;
		for (uint32_t i = 0; i < n; i++) {
			memcpy(&leaf, BODY(v) + i * sizeof(leaf), sizeof(leaf));
			v->brane[at + i] = leaf.brane;
			memcpy(v->leaf[at + i], leaf.hash, 32);
		}
		at += n;
	}
	ret = part(v, OM_WIRE_COMMIT_PART, serial, s->commit_len);
	if (ret < 0)
		return ret;
	memcpy(v->commit, BODY(v), s->commit_len);
	if (!s->n_notes)
		return 0;
	ret = part(v, OM_WIRE_TAGS_PART, serial, s->n_notes * sizeof(v->tags[0]));
	if (ret == 0)
		memcpy(v->tags, BODY(v), s->n_notes * sizeof(v->tags[0]));
	return ret;
}

static int do_sign(struct server *v, uint32_t serial, struct om_err *err)
{
	struct om_wire_sign s;
	struct om_sign_batch b;
	int ret, sent;

	memcpy(&s, BODY(v), sizeof(s));
	ret = read_batch(v, serial, &s);
	if (ret < 0)
		return ret;
	b = (struct om_sign_batch){
		.size = s.size,
		.n = s.n,
		.leaf = (const uint8_t(*)[32])v->leaf,
		.brane = v->brane,
		.commit = v->commit,
		.commit_len = s.commit_len,
		.notes = v->tags,
		.n_notes = s.n_notes,
	};
	ret = v->s->ops->sign(v->s, &b, &v->answer.sign.note, v->notes, v->answer.sign.next_pk,
			      err);
	sent = reply(v, serial, ret, err);
	for (uint32_t at = 0; ret == 0 && sent == 0 && at < s.n_notes;) {
		uint32_t n = OM_MIN(s.n_notes - at, OM_WIRE_NOTES);

		sent = om_wire_send(v->sock, OM_WIRE_NOTES_PART, serial, v->notes + at,
				    n * sizeof(v->notes[0]));
		at += n;
	}
	return sent;
}

static int do_hello(struct server *v, uint32_t serial, struct om_err *err)
{
	struct om_sign_hello h;

	memcpy(&h, BODY(v), sizeof(h));
	return reply(v, serial, v->s->ops->hello(v->s, &h, &v->answer.welcome, err), err);
}

static int do_brane_open(struct server *v, uint32_t serial, struct om_err *err)
{
	struct om_wire_brane b;

	memcpy(&b, BODY(v), sizeof(b));
	if (!memchr(b.id, 0, sizeof(b.id)))
		return -EPROTO;
	return reply(v, serial,
		     v->s->ops->brane_open(v->s, b.id, b.size, (const uint8_t(*)[32])b.frontier,
					   &v->answer.brane.tag, v->answer.brane.pk, err),
		     err);
}

static int dispatch(struct server *v, const struct om_wire_head *h, size_t len, struct om_err *err)
{
	uint64_t size;
	uint32_t tag;

	memset(&v->answer, 0, sizeof(v->answer));
	switch (h->type) {
	case OM_WIRE_HELLO:
		return len == sizeof(struct om_sign_hello) ? do_hello(v, h->serial, err) : -EPROTO;
	case OM_WIRE_BRANE_OPEN:
		return len == sizeof(struct om_wire_brane) ? do_brane_open(v, h->serial, err)
							   : -EPROTO;
	case OM_WIRE_BRANE_CLOSE:
		if (len != sizeof(tag))
			return -EPROTO;
		memcpy(&tag, BODY(v), sizeof(tag));
		return reply(v, h->serial, v->s->ops->brane_close(v->s, tag, err), err);
	case OM_WIRE_SIGN:
		return len == sizeof(struct om_wire_sign) ? do_sign(v, h->serial, err) : -EPROTO;
	case OM_WIRE_CONFIRM:
		if (len != sizeof(size))
			return -EPROTO;
		memcpy(&size, BODY(v), sizeof(size));
		/* No answer: a confirmation that is refused leaves the stricter state standing. */
		(void)!v->s->ops->confirm(v->s, size, err);
		return 0;
	default:
		return -EPROTO;
	}
}

int om_signer_serve(int sock, struct om_signer *s, struct om_err *err)
{
	OM_CLEANUP(om_free_ptr) struct server *v = calloc(1, sizeof(*v));
	struct om_wire_head h;
	int n;

	if (!v)
		return om_err_set(err, OM_ERR_NOMEM, -ENOMEM, "no memory to serve");
	v->sock = sock;
	v->s = s;
	while ((n = om_wire_recv(sock, &h, v->buf)) >= 0) {
		n = dispatch(v, &h, (size_t)n, err);
		if (n < 0)
			break;
	}
	if (n == -EPIPE || n == -ECONNRESET)
		return 0;
	return om_err_sys(err, OM_ERR_ROLE_PROTOCOL, n, "the log broke the signer's protocol");
}
