/*
 * C2SP signed notes.
 *
 * Comes in: parts to write, texts to read. Goes out: notes, verdicts. Called by: the log, the signer,
 * verify. Never does: allocate, hold private keys.
 */
#include <errno.h>
#include <string.h>
#include <sodium.h>

#include <omega/sha256.h>
#include "agent/chain/format/b64.h"
#include "agent/chain/format/json.h"
#include "agent/chain/format/note.h"

static const char dash[] = "\xE2\x80\x94 "; /* em dash, space */
#define DASH_LEN 4u

uint32_t om_key_id(const char *name, size_t len, uint8_t type, const uint8_t pk[32])
{
	uint8_t md[32], sep[2] = {'\n', type};
	struct om_sha256 c;

	om_sha256_init(&c);
	om_sha256_update(&c, name, len);
	om_sha256_update(&c, sep, 2);
	om_sha256_update(&c, pk, 32);
	om_sha256_final(&c, md);
	return (uint32_t)md[0] << 24 | (uint32_t)md[1] << 16 | (uint32_t)md[2] << 8 | md[3];
}

size_t om_vkey_format(const char *name, const uint8_t pk[32], char *buf)
{
	static const char hex[] = "0123456789abcdef";
	size_t len = strnlen(name, OM_KEY_NAME_MAX), at = len;
	uint32_t id = om_key_id(name, len, OM_SIG_ED25519, pk);
	uint8_t typed[33];

	memcpy(buf, name, len);
	buf[at++] = '+';
	for (int i = 28; i >= 0; i -= 4)
		buf[at++] = hex[(id >> i) & 15];
	buf[at++] = '+';
	typed[0] = OM_SIG_ED25519;
	memcpy(typed + 1, pk, 32);
	at += om_b64_encode(typed, sizeof(typed), buf + at);
	buf[at] = 0;
	return at;
}

/* A key name has no white space, no '+', and is UTF-8. */
static int name_ok(const char *p, size_t len)
{
	if (!len || len > OM_KEY_NAME_MAX || !om_utf8_valid(p, len))
		return 0;
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)p[i] <= 0x20 || p[i] == '+' || p[i] == 0x7f)
			return 0;
	return 1;
}

int om_vkey_parse(const char *text, size_t len, struct om_vkey *k)
{
	const char *a, *b;
	uint8_t typed[33];
	uint32_t id = 0;

	if (len && text[len - 1] == '\n')
		len--;
	a = memchr(text, '+', len);
	b = a ? memchr(a + 1, '+', len - (size_t)(a + 1 - text)) : NULL;
	if (!b || b - a != 9 || !name_ok(text, (size_t)(a - text)))
		return -EBADMSG;
	for (const char *p = a + 1; p < b; p++) {
		const char *hit = *p ? strchr("0123456789abcdef", *p) : NULL;

		if (!hit)
			return -EBADMSG;
		id = id << 4 | (uint32_t)(hit - strchr("0123456789abcdef", '0')) % 16;
	}
	if (om_b64_decode(b + 1, len - (size_t)(b + 1 - text), typed, sizeof(typed)) != 33 ||
	    typed[0] != OM_SIG_ED25519)
		return -EBADMSG;
	memcpy(k->name, text, (size_t)(a - text));
	k->name[a - text] = 0;
	memcpy(k->pk, typed + 1, 32);
	k->id = id;
	if (id != om_key_id(text, (size_t)(a - text), OM_SIG_ED25519, k->pk) ||
	    !crypto_core_ed25519_is_valid_point(k->pk))
		return -EBADMSG;
	return 0;
}

size_t om_checkpoint_body(const char *origin, uint64_t size, const uint8_t root[32], char *buf)
{
	struct om_out o;

	om_out_init(&o, buf, OM_NOTE_MAX);
	om_out_raw(&o, origin, strnlen(origin, OM_KEY_NAME_MAX));
	om_out_lit(&o, "\n");
	om_out_int(&o, (int64_t)size);
	om_out_lit(&o, "\n");
	o.p += om_b64_encode(root, 32, o.p);
	om_out_lit(&o, "\n");
	return (size_t)(o.p - buf);
}

int om_checkpoint_parse(const char *body, size_t len, struct om_checkpoint *c)
{
	const char *end = body + len, *a = memchr(body, '\n', len), *b;
	uint64_t v = 0;

	if (!a)
		return -EBADMSG;
	b = memchr(a + 1, '\n', (size_t)(end - a - 1));
	if (!b || b - a < 2 || b - a > 17 || end - b != (long)OM_B64_HASH + 2 || end[-1] != '\n')
		return -EBADMSG;
	for (const char *p = a + 1; p < b; p++) {
		if (*p < '0' || *p > '9')
			return -EBADMSG;
		v = v * 10 + (uint64_t)(*p - '0');
	}
	if ((a[1] == '0' && b - a > 2) || om_b64_decode(b + 1, OM_B64_HASH, c->root, 32) != 32)
		return -EBADMSG;
	c->origin = body;
	c->origin_len = (size_t)(a - body);
	c->size = v;
	return name_ok(c->origin, c->origin_len) ? 0 : -EBADMSG;
}

size_t om_note_sign_line(char *buf, size_t len, int first, const char *name, uint32_t id,
			 const uint8_t sig[64])
{
	uint8_t raw[68] = {(uint8_t)(id >> 24), (uint8_t)(id >> 16), (uint8_t)(id >> 8),
			   (uint8_t)id};
	size_t name_len = strnlen(name, OM_KEY_NAME_MAX);

	memcpy(raw + 4, sig, 64);
	if (first)
		buf[len++] = '\n';
	memcpy(buf + len, dash, DASH_LEN);
	len += DASH_LEN;
	memcpy(buf + len, name, name_len);
	len += name_len;
	buf[len++] = ' ';
	len += om_b64_encode(raw, sizeof(raw), buf + len);
	buf[len++] = '\n';
	return len;
}

static int sig_parse(const char *p, size_t len, struct om_note_sig *s)
{
	uint8_t raw[4 + sizeof(s->sig)];
	const char *space;
	int n;

	if (len < DASH_LEN || memcmp(p, dash, DASH_LEN))
		return -EBADMSG;
	p += DASH_LEN;
	len -= DASH_LEN;
	space = memchr(p, ' ', len);
	if (!space || !name_ok(p, (size_t)(space - p)))
		return -EBADMSG;
	s->name = p;
	s->name_len = (size_t)(space - p);
	n = om_b64_decode(space + 1, len - s->name_len - 1, raw, sizeof(raw));
	if (n < 5)
		return -EBADMSG;
	s->id = (uint32_t)raw[0] << 24 | (uint32_t)raw[1] << 16 | (uint32_t)raw[2] << 8 | raw[3];
	s->sig_len = (size_t)n - 4;
	memcpy(s->sig, raw + 4, s->sig_len);
	return 0;
}

int om_note_parse(const char *text, size_t len, struct om_note *n)
{
	size_t at = 0;

	n->n = 0;
	if (len > OM_NOTE_MAX || !len || text[len - 1] != '\n' || !om_utf8_valid(text, len))
		return -EBADMSG;
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)text[i] < 0x20 && text[i] != '\n')
			return -EBADMSG;
	/* The last empty line splits the text from the signatures. */
	for (size_t i = 0; i + 1 < len; i++)
		if (text[i] == '\n' && text[i + 1] == '\n')
			at = i + 2;
	if (at < 2 || at == len)
		return -EBADMSG;
	n->body = text;
	n->body_len = at - 1;
	while (at < len) {
		const char *end = memchr(text + at, '\n', len - at);

		if (n->n == OM_NOTE_SIGS_MAX ||
		    sig_parse(text + at, (size_t)(end - text) - at, &n->sig[n->n]) < 0)
			return -EBADMSG;
		n->n++;
		at = (size_t)(end - text) + 1;
	}
	return 0;
}

int om_note_verify(const struct om_note *n, const char *name, size_t name_len, const uint8_t pk[32])
{
	uint32_t id = om_key_id(name, name_len, OM_SIG_ED25519, pk);
	int found = 0;

	for (uint32_t i = 0; i < n->n; i++) {
		const struct om_note_sig *s = &n->sig[i];

		if (s->id != id || s->name_len != name_len || memcmp(s->name, name, name_len))
			continue;
		if (found || s->sig_len != 64 ||
		    crypto_sign_verify_detached(s->sig, (const unsigned char *)n->body, n->body_len,
						pk) != 0)
			return -EBADMSG;
		found = 1;
	}
	return found;
}

size_t om_note_line(const char *note, size_t len, char *out)
{
	struct om_out o;

	om_out_init(&o, out, 2 * len + 16);
	om_out_lit(&o, "{\"note\":");
	om_out_str(&o, note, len);
	om_out_lit(&o, "}\n");
	return (size_t)(o.p - out);
}

int om_note_from_line(const char *line, size_t len, char *buf)
{
	int n;

	if (len < 11 || memcmp(line, "{\"note\":", 8) || line[len - 1] != '}')
		return -EBADMSG;
	n = om_json_str((struct om_json_val){line + 8, len - 9}, buf, OM_NOTE_MAX);
	return n < 0 ? -EBADMSG : n;
}
