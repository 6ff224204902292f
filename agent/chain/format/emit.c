/*
 * Writing canonical JSON, and the builder of a record's data.
 *
 * Comes in: typed fields. Goes out: RFC 8785 bytes. Called by: record.c, the log, the signer. Never
 * does: allocate, or drop a field silently (an error sticks in the builder).
 */
#include <errno.h>
#include <string.h>

#include "agent/chain/format/b64.h"
#include "agent/chain/format/data.h"
#include "agent/chain/format/json.h"

void om_out_init(struct om_out *o, char *buf, size_t cap)
{
	o->p = buf;
	o->end = buf + cap;
	o->over = false;
}

void om_out_raw(struct om_out *o, const void *p, size_t len)
{
	if (o->over || (size_t)(o->end - o->p) < len) {
		o->over = true;
		return;
	}
	memcpy(o->p, p, len);
	o->p += len;
}

void om_out_int(struct om_out *o, int64_t v)
{
	char buf[24], *end = buf + sizeof(buf), *p = end;
	uint64_t u = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;

	do {
		*--p = (char)('0' + u % 10);
		u /= 10;
	} while (u);
	if (v < 0)
		*--p = '-';
	om_out_raw(o, p, (size_t)(end - p));
}

/* Bytes that a character takes inside a string beyond its own. */
static unsigned int extra(unsigned char c)
{
	if (c == '"' || c == '\\')
		return 1;
	if (c >= 0x20)
		return 0;
	return c == '\b' || c == '\f' || c == '\n' || c == '\r' || c == '\t' ? 1 : 5;
}

static void put_escaped(struct om_out *o, unsigned char c)
{
	static const char hex[] = "0123456789abcdef";
	static const char from[] = "\b\f\n\r\t\"\\", to[] = "bfnrt\"\\";
	const char *hit = c ? strchr(from, c) : NULL;
	char u[6] = {'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]};

	if (hit) {
		u[1] = to[hit - from];
		om_out_raw(o, u, 2);
	} else {
		om_out_raw(o, u, 6);
	}
}

static void put_body(struct om_out *o, const char *text, size_t len)
{
	size_t from = 0;

	for (size_t i = 0; i < len; i++)
		if (extra((unsigned char)text[i])) {
			om_out_raw(o, text + from, i - from);
			put_escaped(o, (unsigned char)text[i]);
			from = i + 1;
		}
	om_out_raw(o, text + from, len - from);
}

void om_out_str(struct om_out *o, const char *text, size_t len)
{
	om_out_lit(o, "\"");
	put_body(o, text, len);
	om_out_lit(o, "\"");
}

void om_out_b64(struct om_out *o, const void *p, size_t len)
{
	if (o->over || (size_t)(o->end - o->p) < OM_B64_LEN(len) + 2) {
		o->over = true;
		return;
	}
	*o->p++ = '"';
	o->p += om_b64_encode(p, len, o->p);
	*o->p++ = '"';
}

void om_data_init(struct om_data *d)
{
	d->n = 0;
	d->used = 0;
	d->error = 0;
}

static int key_length(const char *key)
{
	int n = 0;

	for (; key[n]; n++) {
		char c = key[n];

		if (n == (int)OM_DATA_KEY_MAX)
			return -EINVAL;
		if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '$'))
			return -EINVAL;
	}
	return n ? n : -EINVAL;
}

static struct om_data_field *add(struct om_data *d, const char *key, enum om_data_type type)
{
	int klen = key_length(key);
	struct om_data_field *f;

	if (d->error)
		return NULL;
	if (klen < 0 || d->n == OM_DATA_FIELDS_MAX) {
		d->error = klen < 0 ? klen : -E2BIG;
		return NULL;
	}
	f = &d->f[d->n++];
	f->key = key;
	f->klen = (uint8_t)klen;
	f->type = (uint8_t)type;
	f->suffix = 0;
	return f;
}

void om_data_int(struct om_data *d, const char *key, int64_t v)
{
	struct om_data_field *f = add(d, key, OM_DATA_INT);

	if (!f)
		return;
	f->i = v;
	if (v > OM_INT_MAX || v < -OM_INT_MAX)
		d->error = -ERANGE;
}

void om_data_bool(struct om_data *d, const char *key, bool v)
{
	struct om_data_field *f = add(d, key, OM_DATA_BOOL);

	if (f)
		f->i = v;
}

void om_data_id(struct om_data *d, const char *key, uint64_t v)
{
	struct om_data_field *f = add(d, key, OM_DATA_ID);

	if (f)
		f->i = (int64_t)v;
}

static void add_span(struct om_data *d, const char *key, enum om_data_type type, const void *p,
		     size_t len)
{
	struct om_data_field *f = add(d, key, type);

	if (!f)
		return;
	f->p = p;
	f->len = len;
}

void om_data_b64(struct om_data *d, const char *key, const void *p, size_t len)
{
	if (len > OM_DATA_VALUE_MAX)
		d->error = -E2BIG;
	add_span(d, key, OM_DATA_B64, p, len);
}

void om_data_list(struct om_data *d, const char *key, const char *const *texts, size_t n)
{
	add_span(d, key, OM_DATA_LIST, texts, n);
}

void om_data_json(struct om_data *d, const char *key, const char *json, size_t len)
{
	add_span(d, key, OM_DATA_JSON, json, len);
}

/* The longest prefix of LEN bytes or fewer that does not split a character of valid UTF-8. */
static size_t boundary(const unsigned char *p, size_t len, size_t total)
{
	if (len >= total)
		return total;
	for (size_t back = 0; back < 4 && back < len; back++)
		if ((p[len - back] & 0xC0) != 0x80)
			return len - back;
	return len;
}

void om_data_bytes(struct om_data *d, const char *key, const void *p, size_t len)
{
	const unsigned char *u = p;
	size_t room = d->used < OM_DATA_ROOM ? OM_DATA_ROOM - d->used : 0;
	size_t keep = OM_MIN(len, OM_MIN((size_t)OM_DATA_VALUE_MAX, room)), more = 0;
	struct om_data_field *f;

	if (keep < len) {
		f = add(d, key, OM_DATA_INT);
		if (!f)
			return;
		f->suffix = 'c';
		f->i = (int64_t)len;
		keep = boundary(u, keep, len);
	}
	f = add(d, key, OM_DATA_BYTES);
	if (!f)
		return;
	f->p = p;
	f->len = keep;
	d->used += (uint32_t)keep;
	for (size_t i = 0; i < keep; i++)
		more += extra(u[i]);
	f->i = (int64_t)more;
	/* Text of nothing but control characters would grow sixfold and push the record over its
	 * limit: an event must not be unrecordable because of the name it carries. */
	if (!om_utf8_valid(p, keep) || more > keep / 3 + 4)
		f->suffix = 'b';
}

void om_data_word(struct om_data *d, const char *key, const char *text)
{
	if (text)
		om_data_bytes(d, key, text, strlen(text));
}

static void emit_id(struct om_out *o, uint64_t v)
{
	char buf[24], *end = buf + sizeof(buf), *p = end;

	*--p = '"';
	do {
		*--p = (char)('0' + v % 10);
		v /= 10;
	} while (v);
	*--p = '"';
	om_out_raw(o, p, (size_t)(end - p));
}

static int emit_list(const struct om_data_field *f, struct om_out *o)
{
	const char *const *texts = f->p;

	om_out_lit(o, "[");
	for (size_t i = 0; i < f->len; i++) {
		size_t len = strlen(texts[i]);

		if (!om_utf8_valid(texts[i], len))
			return -EINVAL;
		if (i)
			om_out_lit(o, ",");
		om_out_str(o, texts[i], len);
	}
	om_out_lit(o, "]");
	return 0;
}

static int emit_value(const struct om_data_field *f, struct om_out *o)
{
	switch ((enum om_data_type)f->type) {
	case OM_DATA_BYTES:
		if (f->suffix == 'b') {
			om_out_b64(o, f->p, f->len);
			return 0;
		}
		om_out_lit(o, "\"");
		if (f->i)
			put_body(o, f->p, f->len);
		else
			om_out_raw(o, f->p, f->len);
		om_out_lit(o, "\"");
		return 0;
	case OM_DATA_INT:
		om_out_int(o, f->i);
		return 0;
	case OM_DATA_BOOL:
		if (f->i)
			om_out_lit(o, "true");
		else
			om_out_lit(o, "false");
		return 0;
	case OM_DATA_ID:
		emit_id(o, (uint64_t)f->i);
		return 0;
	case OM_DATA_B64:
		om_out_b64(o, f->p, f->len);
		return 0;
	case OM_DATA_JSON:
		/* One level is taken by the record, one by `data`. */
		if (om_json_scan(f->p, f->len, OM_JSON_DEPTH_MAX - 2) != (long)f->len)
			return -EINVAL;
		om_out_raw(o, f->p, f->len);
		return 0;
	case OM_DATA_LIST:
		return emit_list(f, o);
	}
	return -EINVAL;
}

struct name {
	char s[OM_DATA_KEY_MAX + 5];
	uint8_t len;
};

static void full_name(const struct om_data_field *f, struct name *n)
{
	memcpy(n->s, f->key, f->klen);
	n->len = f->klen;
	if (f->suffix) {
		memcpy(n->s + n->len, f->suffix == 'b' ? "_b64" : "_cut", 4);
		n->len = (uint8_t)(n->len + 4);
	}
}

static int name_cmp(const struct name *a, const struct name *b)
{
	int c = memcmp(a->s, b->s, OM_MIN(a->len, b->len));

	return c ? c : (int)a->len - (int)b->len;
}

int om_data_emit(struct om_data *d, struct om_out *o)
{
	struct name names[OM_DATA_FIELDS_MAX];
	uint8_t order[OM_DATA_FIELDS_MAX];
	int ret;

	if (d->error)
		return d->error;
	for (uint32_t i = 0; i < d->n; i++) {
		uint32_t k = i;

		full_name(&d->f[i], &names[i]);
		for (; k > 0 && name_cmp(&names[order[k - 1]], &names[i]) >= 0; k--) {
			if (name_cmp(&names[order[k - 1]], &names[i]) == 0)
				return -EEXIST;
			order[k] = order[k - 1];
		}
		order[k] = (uint8_t)i;
	}
	om_out_lit(o, "{");
	for (uint32_t i = 0; i < d->n; i++) {
		const struct name *n = &names[order[i]];

		if (i)
			om_out_lit(o, ",");
		om_out_lit(o, "\"");
		om_out_raw(o, n->s, n->len);
		om_out_lit(o, "\":");
		ret = emit_value(&d->f[order[i]], o);
		if (ret < 0)
			return ret;
	}
	om_out_lit(o, "}");
	return o->over ? -E2BIG : 0;
}
