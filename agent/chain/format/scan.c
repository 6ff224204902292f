/*
 * Checking and reading canonical JSON.
 *
 * Comes in: (pointer, length) from a log that may be forged. Goes out: a length or -EBADMSG; single
 * values. Called by: record.c, note.c, verify, readers. Never does: allocate, read past LEN, recurse
 * past its depth argument. A second spelling of one fact would be a second leaf, so that there is
 * exactly one accepted spelling.
 */
#include <errno.h>
#include <string.h>
#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include "agent/chain/format/b64.h"
#include "agent/chain/format/data.h"
#include "agent/chain/format/json.h"

/* Bytes of the UTF-8 character at P, 0 when it is malformed. */
static size_t utf8_char(const unsigned char *p, size_t len)
{
	if (p[0] < 0x80)
		return 1;
	if (p[0] < 0xC2 || p[0] > 0xF4)
		return 0;
	if (p[0] < 0xE0)
		return len >= 2 && (p[1] & 0xC0) == 0x80 ? 2 : 0;
	if (len < 3 || (p[1] & 0xC0) != 0x80 || (p[2] & 0xC0) != 0x80)
		return 0;
	if (p[0] < 0xF0) {
		if ((p[0] == 0xE0 && p[1] < 0xA0) || (p[0] == 0xED && p[1] > 0x9F))
			return 0;
		return 3;
	}
	if (len < 4 || (p[3] & 0xC0) != 0x80)
		return 0;
	if ((p[0] == 0xF0 && p[1] < 0x90) || (p[0] == 0xF4 && p[1] > 0x8F))
		return 0;
	return 4;
}

/* How many bytes from P on are plain: ASCII from 0x20, neither '"' nor '\\'. */
static inline size_t plain_run(const unsigned char *p, size_t len)
{
	size_t i = 0;

#if defined(__SSE2__)
	const __m128i quote = _mm_set1_epi8('"'), slash = _mm_set1_epi8('\\'),
		      space = _mm_set1_epi8(0x20);

	for (; i + 16 <= len; i += 16) {
		__m128i v = _mm_loadu_si128((const __m128i *)(const void *)(p + i));
		/* Signed compare: 0x80.. are negative, so they count as below the space too. */
		__m128i bad = _mm_or_si128(
			_mm_cmplt_epi8(v, space),
			_mm_or_si128(_mm_cmpeq_epi8(v, quote), _mm_cmpeq_epi8(v, slash)));
		int mask = _mm_movemask_epi8(bad);

		if (mask)
			return i + (size_t)__builtin_ctz((unsigned int)mask);
	}
#endif
	for (; i < len; i++)
		if (p[i] < 0x20 || p[i] >= 0x80 || p[i] == '"' || p[i] == '\\')
			break;
	return i;
}

bool om_utf8_valid(const void *data, size_t len)
{
	const unsigned char *p = data;
	size_t i = 0;

	while (i < len) {
		size_t n;

		/* Eight ASCII bytes at a time. */
		while (len - i >= 8) {
			uint64_t v;

			memcpy(&v, p + i, 8);
			if (v & 0x8080808080808080ULL)
				break;
			i += 8;
		}
		if (i == len)
			break;
		n = utf8_char(p + i, len - i);
		if (!n)
			return false;
		i += n;
	}
	return true;
}

/* Bytes of the escape at P ("\" first); 0 unless it is the one spelling RFC 8785 allows. */
static size_t escape(const unsigned char *p, size_t len)
{
	if (len < 2)
		return 0;
	if (p[1] && strchr("\"\\bfnrt", p[1]))
		return 2;
	if (len < 6 || p[1] != 'u' || p[2] != '0' || p[3] != '0' || (p[4] != '0' && p[4] != '1'))
		return 0;
	if (!((p[5] >= '0' && p[5] <= '9') || (p[5] >= 'a' && p[5] <= 'f')))
		return 0;
	/* \b \t \n \f \r have the short form only. */
	if (p[4] == '0' && strchr("89acd", p[5]))
		return 0;
	return 6;
}

long om_json_scan_str(const char *text, size_t len)
{
	const unsigned char *p = (const unsigned char *)text;
	size_t i = 1;

	if (!len || p[0] != '"')
		return -EBADMSG;
	for (;;) {
		size_t n;

		i += plain_run(p + i, len - i);
		if (i >= len || p[i] < 0x20)
			return -EBADMSG;
		if (p[i] == '"')
			return (long)i + 1;
		n = p[i] == '\\' ? escape(p + i, len - i) : utf8_char(p + i, len - i);
		if (!n)
			return -EBADMSG;
		i += n;
	}
}

static long scan_int(const char *p, size_t len)
{
	size_t i = p[0] == '-', start = i;
	uint64_t v = 0;

	for (; i < len && p[i] >= '0' && p[i] <= '9'; i++) {
		if (i - start >= 16)
			return -EBADMSG;
		v = v * 10 + (uint64_t)(p[i] - '0');
	}
	if (i == start || (p[start] == '0' && (i - start > 1 || start)) || v > OM_INT_MAX)
		return -EBADMSG;
	return (long)i;
}

/* One unescaped character of a string body as UTF-16 units would sort: see key_less. */
static uint32_t next_char(const unsigned char **p)
{
	const unsigned char *s = *p;
	uint32_t c = s[0];

	if (c == '\\') {
		static const char from[] = "bfnrt\"\\", to[] = "\b\f\n\r\t\"\\";

		if (s[1] == 'u') {
			*p += 6;
			return (uint32_t)((s[4] - '0') * 16 +
					  (s[5] <= '9' ? s[5] - '0' : s[5] - 'a' + 10));
		}
		*p += 2;
		return (unsigned char)to[strchr(from, s[1]) - from];
	}
	if (c < 0x80) {
		*p += 1;
		return c;
	}
	if (c < 0xE0) {
		*p += 2;
		return (c & 0x1F) << 6 | (s[1] & 0x3F);
	}
	if (c < 0xF0) {
		*p += 3;
		c = (c & 0x0F) << 12 | (uint32_t)(s[1] & 0x3F) << 6 | (s[2] & 0x3F);
		/* RFC 8785 sorts UTF-16 units: U+E000..FFFF come after all surrogates. */
		return c >= 0xE000 ? c + 0x200000 : c;
	}
	*p += 4;
	return (c & 7) << 18 | (uint32_t)(s[1] & 0x3F) << 12 | (uint32_t)(s[2] & 0x3F) << 6 |
	       (s[3] & 0x3F);
}

/* Whether key A sorts strictly before key B; both quoted and already scanned. */
static bool key_less(const char *a, size_t alen, const char *b, size_t blen)
{
	const unsigned char *p = (const unsigned char *)a + 1, *pe = p + alen - 2;
	const unsigned char *q = (const unsigned char *)b + 1, *qe = q + blen - 2;

	while (p < pe && q < qe) {
		uint32_t c = next_char(&p), d = next_char(&q);

		if (c != d)
			return c < d;
	}
	return p == pe && q < qe;
}

static long scan_object(const char *p, size_t len, unsigned int depth)
{
	const char *prev = NULL;
	size_t i = 1, prev_len = 0;

	if (len >= 2 && p[1] == '}')
		return 2;
	for (;;) {
		long n = i < len ? om_json_scan_str(p + i, len - i) : -EBADMSG;

		if (n < 0 || (prev && !key_less(prev, prev_len, p + i, (size_t)n)))
			return -EBADMSG;
		prev = p + i;
		prev_len = (size_t)n;
		i += (size_t)n;
		if (i >= len || p[i++] != ':')
			return -EBADMSG;
		n = om_json_scan(p + i, len - i, depth);
		if (n < 0)
			return n;
		i += (size_t)n;
		if (i >= len || (p[i] != ',' && p[i] != '}'))
			return -EBADMSG;
		if (p[i++] == '}')
			return (long)i;
	}
}

static long scan_array(const char *p, size_t len, unsigned int depth)
{
	size_t i = 1;

	if (len >= 2 && p[1] == ']')
		return 2;
	for (;;) {
		long n = om_json_scan(p + i, len - i, depth);

		if (n < 0)
			return n;
		i += (size_t)n;
		if (i >= len || (p[i] != ',' && p[i] != ']'))
			return -EBADMSG;
		if (p[i++] == ']')
			return (long)i;
	}
}

long om_json_scan(const char *p, size_t len, unsigned int depth)
{
	if (!len)
		return -EBADMSG;
	switch (p[0]) {
	case '"':
		return om_json_scan_str(p, len);
	case '{':
		return depth ? scan_object(p, len, depth - 1) : -EBADMSG;
	case '[':
		return depth ? scan_array(p, len, depth - 1) : -EBADMSG;
	case 't':
		return len >= 4 && !memcmp(p, "true", 4) ? 4 : -EBADMSG;
	case 'f':
		return len >= 5 && !memcmp(p, "false", 5) ? 5 : -EBADMSG;
	default:
		return scan_int(p, len);
	}
}

bool om_json_canonical(const char *p, size_t len)
{
	return om_json_scan(p, len, OM_JSON_DEPTH_MAX) == (long)len;
}

int om_json_iter_init(struct om_json_iter *it, struct om_json_val v)
{
	if (v.len < 2 || (v.p[0] != '{' && v.p[0] != '['))
		return -EBADMSG;
	it->kind = v.p[0];
	it->p = v.p;
	it->end = v.p + v.len - 1;
	return 0;
}

int om_json_iter_next(struct om_json_iter *it, struct om_json_val *key, struct om_json_val *v)
{
	struct om_json_val k = {NULL, 0};
	long n;

	/* P is on the opening bracket, on a comma, or on the closing bracket. */
	if (it->p >= it->end || it->p + 1 == it->end)
		return 0;
	it->p++;
	if (it->kind == '{') {
		n = om_json_scan_str(it->p, (size_t)(it->end - it->p));
		if (n < 0 || it->p + n >= it->end || it->p[n] != ':')
			return -EBADMSG;
		k = (struct om_json_val){it->p, (size_t)n};
		it->p += n + 1;
	}
	n = om_json_scan(it->p, (size_t)(it->end - it->p), OM_JSON_DEPTH_MAX);
	if (n < 0)
		return -EBADMSG;
	*v = (struct om_json_val){it->p, (size_t)n};
	if (key)
		*key = k;
	it->p += n;
	return 1;
}

int om_json_get(struct om_json_val o, const char *name, struct om_json_val *v)
{
	size_t want = strlen(name);
	struct om_json_iter it;
	struct om_json_val key;
	int ret = om_json_iter_init(&it, o);

	if (ret < 0 || it.kind != '{')
		return -EBADMSG;
	while ((ret = om_json_iter_next(&it, &key, v)) > 0)
		if (key.len == want + 2 && !memcmp(key.p + 1, name, want))
			return 0;
	return ret < 0 ? ret : -ENOENT;
}

int om_json_count(struct om_json_val a)
{
	struct om_json_iter it;
	struct om_json_val v;
	int n = 0, ret = om_json_iter_init(&it, a);

	if (ret < 0)
		return ret;
	while ((ret = om_json_iter_next(&it, NULL, &v)) > 0)
		n++;
	return ret < 0 ? ret : n;
}

int om_json_int(struct om_json_val v, int64_t *out)
{
	uint64_t u = 0;
	size_t i = v.len && v.p[0] == '-';

	if (!v.len || scan_int(v.p, v.len) != (long)v.len)
		return -EINVAL;
	for (; i < v.len; i++)
		u = u * 10 + (uint64_t)(v.p[i] - '0');
	*out = v.p[0] == '-' ? -(int64_t)u : (int64_t)u;
	return 0;
}

static unsigned char short_escape(unsigned char c)
{
	switch (c) {
	case 'b':
		return '\b';
	case 'f':
		return '\f';
	case 'n':
		return '\n';
	case 'r':
		return '\r';
	case 't':
		return '\t';
	default:
		return c;
	}
}

int om_json_str(struct om_json_val v, char *buf, size_t cap)
{
	size_t at = 0;

	if (om_json_scan_str(v.p, v.len) != (long)v.len || !cap)
		return -EINVAL;
	for (size_t i = 1; i + 1 < v.len;) {
		unsigned char c = (unsigned char)v.p[i];

		if (at + 1 >= cap)
			return -E2BIG;
		if (c == '\\' && v.p[i + 1] == 'u') {
			const unsigned char *p = (const unsigned char *)v.p + i;

			c = (unsigned char)next_char(&p);
			i += 6;
		} else if (c == '\\') {
			c = short_escape((unsigned char)v.p[i + 1]);
			i += 2;
		} else {
			i++;
		}
		buf[at++] = (char)c;
	}
	buf[at] = 0;
	return (int)at;
}

int om_json_b64(struct om_json_val v, uint8_t *out, size_t len)
{
	if (v.len != OM_B64_LEN(len) + 2 || v.p[0] != '"' || v.p[v.len - 1] != '"')
		return -EINVAL;
	return om_b64_decode(v.p + 1, v.len - 2, out, len) == (int)len ? 0 : -EINVAL;
}
