/*
 * The record envelope and the commit record's data.
 *
 * Comes in: parts or lines. Goes out: lines or parts. Called by: the log, the signer, verify, the
 * reader. Never does: allocate. The envelope is matched byte by byte in its one canonical order, so
 * that only `data` needs the general checker.
 */
#include <errno.h>
#include <string.h>

#include "agent/chain/format/record.h"

static const int month_days[2][12] = {
	{0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334},
	{0, 31, 60, 91, 121, 152, 182, 213, 244, 274, 305, 335},
};

static int is_leap(int64_t y)
{
	return (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;
}

/* Days from 1970-01-01 to January 1st of year Y >= 1970. */
static int64_t year_days(int64_t y)
{
	y--;
	return y * 365 + y / 4 - y / 100 + y / 400 - 719162;
}

static void digits(char *out, uint32_t v, int n)
{
	while (n--) {
		out[n] = (char)('0' + v % 10);
		v /= 10;
	}
}

static void format_day(int64_t day, char out[11])
{
	int64_t y = 1970 + day * 400 / 146097;
	int m = 11, leap;

	while (year_days(y) > day)
		y--;
	while (year_days(y + 1) <= day)
		y++;
	leap = is_leap(y);
	day -= year_days(y);
	while (month_days[leap][m] > day)
		m--;
	digits(out, (uint32_t)y, 4);
	out[4] = '-';
	digits(out + 5, (uint32_t)m + 1, 2);
	out[7] = '-';
	digits(out + 8, (uint32_t)(day - month_days[leap][m]) + 1, 2);
	out[10] = 'T';
}

void om_time_format(int64_t us, char out[OM_TIME_LEN])
{
	int64_t sec = us / 1000000;
	uint32_t left = (uint32_t)(sec % 86400);

	format_day(sec / 86400, out);
	digits(out + 11, left / 3600, 2);
	out[13] = ':';
	digits(out + 14, left / 60 % 60, 2);
	out[16] = ':';
	digits(out + 17, left % 60, 2);
	out[19] = '.';
	digits(out + 20, (uint32_t)(us % 1000000), 6);
	out[26] = 'Z';
}

static int number(const char *p, int n)
{
	int v = 0;

	for (int i = 0; i < n; i++) {
		if (p[i] < '0' || p[i] > '9')
			return -1;
		v = v * 10 + (p[i] - '0');
	}
	return v;
}

int om_time_parse(const char *p, size_t len, int64_t *us)
{
	int y, mo, d, h, mi, s, f, leap, last;

	if (len != OM_TIME_LEN || p[4] != '-' || p[7] != '-' || p[10] != 'T' || p[13] != ':' ||
	    p[16] != ':' || p[19] != '.' || p[26] != 'Z')
		return -EBADMSG;
	y = number(p, 4);
	mo = number(p + 5, 2);
	d = number(p + 8, 2);
	h = number(p + 11, 2);
	mi = number(p + 14, 2);
	s = number(p + 17, 2);
	f = number(p + 20, 6);
	if (y < 1970 || mo < 1 || mo > 12 || d < 1 || h < 0 || h > 23 || mi < 0 || mi > 59 ||
	    s < 0 || s > 59 || f < 0)
		return -EBADMSG;
	leap = is_leap(y);
	last = mo == 12 ? 31 : month_days[leap][mo] - month_days[leap][mo - 1];
	if (d > last)
		return -EBADMSG;
	*us = ((year_days(y) + month_days[leap][mo - 1] + d - 1) * 86400 + h * 3600 + mi * 60 + s) *
		      1000000 +
	      f;
	return 0;
}

static bool word_valid(const char *p, size_t len, bool dash)
{
	if (!len)
		return false;
	for (size_t i = 0; i < len; i++) {
		char c = p[i];

		if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '_' ||
		      (dash && c == '-')))
			return false;
	}
	return true;
}

bool om_kind_valid(const char *kind, size_t len)
{
	return len <= OM_KIND_MAX && word_valid(kind, len, false);
}

bool om_brane_id_valid(const char *id, size_t len)
{
	const char *hash = memchr(id, '#', len);
	const char *slash = memchr(id, '/', len);

	if (len == sizeof(OM_NODE_NAME) - 1 && !memcmp(id, OM_NODE_NAME, len))
		return true;
	if (!hash || len > OM_BRANE_ID_MAX)
		return false;
	if (slash) {
		if (slash > hash || !word_valid(id, (size_t)(slash - id), true))
			return false;
		len -= (size_t)(slash + 1 - id);
		id = slash + 1;
	}
	return word_valid(id, (size_t)(hash - id), true) &&
	       word_valid(hash + 1, len - (size_t)(hash + 1 - id), true);
}

int om_record_emit(const struct om_record_parts *p, struct om_out *o)
{
	char *start = o->p, stamp[OM_TIME_LEN];
	int ret;

	if (p->mono < 0 || p->mono > OM_INT_MAX || p->seq > OM_INT_MAX || p->time < 0)
		return -EINVAL;
	om_out_lit(o, "{\"brane\":\"");
	om_out_raw(o, p->brane, p->brane_len);
	om_out_lit(o, "\",\"data\":");
	if (p->data) {
		ret = om_data_emit(p->data, o);
		if (ret < 0)
			return ret;
	} else {
		om_out_lit(o, "{}");
	}
	om_out_lit(o, ",\"kind\":\"");
	om_out_raw(o, p->kind, p->kind_len);
	om_out_lit(o, "\",\"mono\":");
	om_out_int(o, p->mono);
	om_out_lit(o, ",\"prev\":");
	om_out_b64(o, p->prev, 32);
	om_out_lit(o, ",\"seq\":");
	om_out_int(o, (int64_t)p->seq);
	om_out_lit(o, ",\"time\":\"");
	om_time_format(p->time, stamp);
	om_out_raw(o, stamp, sizeof(stamp));
	om_out_lit(o, "\",\"v\":1}");
	return o->over || o->p - start > (long)OM_RECORD_MAX ? -E2BIG : 0;
}

/* A cursor over the line: each step fails by moving past END. */
struct cursor {
	const char *p;
	const char *end;
};

#define EXPECT(c, s) expect((c), "" s, sizeof(s) - 1)

static inline bool expect(struct cursor *c, const char *s, size_t len)
{
	if ((size_t)(c->end - c->p) < len || memcmp(c->p, s, len))
		return false;
	c->p += len;
	return true;
}

/* A name up to the closing quote, at most MAX bytes, no escapes. */
static inline bool take_name(struct cursor *c, size_t max, const char **p, uint32_t *len)
{
	const char *q = memchr(c->p, '"', OM_MIN((size_t)(c->end - c->p), max + 1));

	if (!q)
		return false;
	*p = c->p;
	*len = (uint32_t)(q - c->p);
	c->p = q;
	return true;
}

static inline bool take_uint(struct cursor *c, uint64_t *out)
{
	const char *start = c->p;
	uint64_t v = 0;

	for (; c->p < c->end && *c->p >= '0' && *c->p <= '9'; c->p++) {
		if (c->p - start >= 16)
			return false;
		v = v * 10 + (uint64_t)(*c->p - '0');
	}
	*out = v;
	return c->p != start && (*start != '0' || c->p - start == 1) && v <= OM_INT_MAX;
}

int om_record_parse(const char *line, size_t len, struct om_record *r)
{
	struct cursor c = {line, line + len};
	uint64_t mono;
	long n;

	if (len > OM_RECORD_MAX || !EXPECT(&c, "{\"brane\":\"") ||
	    !take_name(&c, OM_BRANE_ID_MAX, &r->brane, &r->brane_len) ||
	    !EXPECT(&c, "\",\"data\":") || c.p == c.end || *c.p != '{')
		return -EBADMSG;
	n = om_json_scan(c.p, (size_t)(c.end - c.p), OM_JSON_DEPTH_MAX - 1);
	if (n < 0)
		return -EBADMSG;
	r->data = (struct om_json_val){c.p, (size_t)n};
	c.p += n;
	if (!EXPECT(&c, ",\"kind\":\"") || !take_name(&c, OM_KIND_MAX, &r->kind, &r->kind_len) ||
	    !EXPECT(&c, "\",\"mono\":") || !take_uint(&c, &mono) || !EXPECT(&c, ",\"prev\":\""))
		return -EBADMSG;
	r->mono = (int64_t)mono;
	r->prev = c.p;
	/* A string of the right length here; its value is compared by whoever walks the chain. */
	if (om_json_scan_str(c.p - 1, (size_t)(c.end - c.p) + 1) != (long)OM_B64_HASH + 2)
		return -EBADMSG;
	c.p += OM_B64_HASH;
	if (!EXPECT(&c, "\",\"seq\":") || !take_uint(&c, &r->seq) || !EXPECT(&c, ",\"time\":\"") ||
	    (size_t)(c.end - c.p) < OM_TIME_LEN || om_time_parse(c.p, OM_TIME_LEN, &r->time) < 0)
		return -EBADMSG;
	c.p += OM_TIME_LEN;
	if (!EXPECT(&c, "\",\"v\":1}") || c.p != c.end)
		return -EBADMSG;
	return om_kind_valid(r->kind, r->kind_len) && om_brane_id_valid(r->brane, r->brane_len)
		       ? 0
		       : -EBADMSG;
}

int om_commit_parse(struct om_json_val data, struct om_commit *c)
{
	static const char *const classes[3] = {"full", "rate", "ringbuf"};
	struct om_json_val drop, v;
	int64_t i;

	if (om_json_get(data, "drop", &drop) < 0 || om_json_count(data) != 5 ||
	    om_json_count(drop) != 3)
		return -EBADMSG;
	for (int k = 0; k < 3; k++) {
		if (om_json_get(drop, classes[k], &v) < 0 || om_json_int(v, &i) < 0 || i < 0)
			return -EBADMSG;
		c->drop[k] = (uint64_t)i;
	}
	if (om_json_get(data, "heads", &v) < 0 || om_json_b64(v, c->heads, 32) < 0 ||
	    om_json_get(data, "next", &v) < 0 || om_json_b64(v, c->next, 32) < 0)
		return -EBADMSG;
	if (om_json_get(data, "n", &v) < 0 || om_json_int(v, &i) < 0 || i < 0)
		return -EBADMSG;
	c->n = (uint64_t)i;
	if (om_json_get(data, "nheads", &v) < 0 || om_json_int(v, &i) < 0 || i < 0)
		return -EBADMSG;
	c->nheads = (uint64_t)i;
	return 0;
}

void om_commit_fields(struct om_data *d, const struct om_commit *c,
		      char dropbuf[OM_COMMIT_DROP_MAX])
{
	struct om_out o;

	om_out_init(&o, dropbuf, OM_COMMIT_DROP_MAX);
	om_out_lit(&o, "{\"full\":");
	om_out_int(&o, (int64_t)c->drop[0]);
	om_out_lit(&o, ",\"rate\":");
	om_out_int(&o, (int64_t)c->drop[1]);
	om_out_lit(&o, ",\"ringbuf\":");
	om_out_int(&o, (int64_t)c->drop[2]);
	om_out_lit(&o, "}");
	om_data_json(d, "drop", dropbuf, (size_t)(o.p - dropbuf));
	om_data_b64(d, "heads", c->heads, 32);
	om_data_int(d, "n", (int64_t)c->n);
	om_data_b64(d, "next", c->next, 32);
	om_data_int(d, "nheads", (int64_t)c->nheads);
}
