/*
 * The four kinds of TOML strings.
 *
 * Comes in: the cursor at an opening quote. Goes out: the content, escapes resolved, in the arena.
 * Called by: keys and values. Never does: accept \e or \xHH (TOML 1.1), produce invalid UTF-8, or stop
 * at a bad escape: a string whose end is known goes on, so that one run names all of its faults.
 */
#include <errno.h>
#include <string.h>

#include "policies/manifest/toml_impl.h"

/* How far the end of a string can be looked for: the result is never longer than its source. */
struct string {
	char quote;
	bool is_multi;
	struct om_pos open; /* of the opening quotes */
	char *out;
	size_t len;
};

/* Points at the opening quote: where the closing one is missing nobody can know. */
static int unclosed(struct om_toml_parser *ps, const struct string *s)
{
	struct om_pos pos = s->open;

	pos.len = s->is_multi ? 3 : 1;
	om_toml_error(ps, OM_ERR_TOML_STRING, pos,
		      s->is_multi ? "close it with the same three quotes"
		      : s->quote == '"'
			      ? "close it with \" on the same line; text over several lines "
				"stands between \"\"\" and \"\"\""
			      : "close it with ' on the same line; text over several lines "
				"stands between ''' and '''",
		      "this string is not closed");
	return -EINVAL;
}

/* TOML 1.1 features get their name, since a newer example is where they were copied from. */
static void bad_escape(struct om_toml_parser *ps, struct om_pos pos, const char *start)
{
	char shown[OM_TOML_SHOWN], c = start + 1 < ps->end ? start[1] : '\0';
	const char *hint =
		"known are \\b \\t \\n \\f \\r \\\" \\\\ \\uXXXX \\UXXXXXXXX; a backslash "
		"itself is \\\\, or use 'single quotes'";

	if (c == 'e')
		hint = "\\e is TOML 1.1; this is TOML 1.0: write \\u001b";
	else if (c == 'x')
		hint = "\\xHH is TOML 1.1; this is TOML 1.0: write \\u00HH";
	else if (c == 'u')
		hint = "\\u takes exactly 4 hexadecimal digits";
	else if (c == 'U')
		hint = "\\U takes exactly 8 hexadecimal digits";
	pos.len = (uint32_t)(ps->p - start);
	om_toml_error(ps, OM_ERR_TOML_STRING, pos, hint, "unknown or incomplete escape '%s'",
		      om_toml_show(shown, start, pos.len));
}

/* CP is a Unicode scalar value (RFC 3629); OUT has room for 4 bytes. */
static size_t utf8_put(char *out, uint32_t cp)
{
	if (cp < 0x80) {
		out[0] = (char)cp;
		return 1;
	}
	if (cp < 0x800) {
		out[0] = (char)(0xc0 | cp >> 6);
		out[1] = (char)(0x80 | (cp & 0x3f));
		return 2;
	}
	if (cp < 0x10000) {
		out[0] = (char)(0xe0 | cp >> 12);
		out[1] = (char)(0x80 | (cp >> 6 & 0x3f));
		out[2] = (char)(0x80 | (cp & 0x3f));
		return 3;
	}
	out[0] = (char)(0xf0 | cp >> 18);
	out[1] = (char)(0x80 | (cp >> 12 & 0x3f));
	out[2] = (char)(0x80 | (cp >> 6 & 0x3f));
	out[3] = (char)(0x80 | (cp & 0x3f));
	return 4;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
		return (c | 0x20) - 'a' + 10;
	return -1;
}

/* p is behind \u or \U. The shortest escape has 6 bytes and the longest UTF-8 sequence 4. */
static void unicode_escape(struct om_toml_parser *ps, struct string *s, struct om_pos pos,
			   unsigned digits)
{
	const char *start = ps->p - 2;
	uint32_t cp = 0;

	for (unsigned i = 0; i < digits; i++, ps->p++) {
		int d = ps->p < ps->end ? hex_digit(*ps->p) : -1;

		if (d < 0) {
			bad_escape(ps, pos, start);
			return;
		}
		cp = cp << 4 | (uint32_t)d;
	}
	if (cp > 0x10ffff || (cp >= 0xd800 && cp <= 0xdfff)) {
		pos.len = digits + 2;
		om_toml_error(ps, OM_ERR_TOML_STRING, pos,
			      "from \\u0000 to \\ud7ff and from \\ue000 to \\U0010ffff",
			      "U+%04X is not a Unicode scalar value", cp);
		return;
	}
	s->len += utf8_put(s->out + s->len, cp);
}

/* A backslash at the end of a line swallows it and all blanks and line ends up to the next text. */
static bool line_escape(struct om_toml_parser *ps)
{
	const char *before = ps->p;

	om_toml_skip_blank(ps);
	if (!om_toml_skip_newline(ps)) {
		ps->p = before;
		return false;
	}
	do
		om_toml_skip_blank(ps);
	while (om_toml_skip_newline(ps));
	return true;
}

/* p is at the backslash. */
static void escape(struct om_toml_parser *ps, struct string *s)
{
	static const char names[] = "btnfr\"\\", values[] = "\b\t\n\f\r\"\\";
	struct om_pos pos = om_toml_here(ps);
	const char *start = ps->p++, *found;
	char c = ps->p < ps->end ? *ps->p : '\n';

	if (s->is_multi && (c == ' ' || c == '\t' || c == '\n' || c == '\r') && line_escape(ps))
		return;
	found = c ? strchr(names, c) : NULL;
	if (found) {
		ps->p++;
		s->out[s->len++] = values[found - names];
	} else if (c == 'u' || c == 'U') {
		ps->p++;
		unicode_escape(ps, s, pos, c == 'u' ? 4 : 8);
	} else {
		/* The rest of a multi-byte character is left to the caller, which copies bytes. */
		if (c > ' ' && c < 0x7f)
			ps->p++;
		bad_escape(ps, pos, start);
	}
}

/* Whether the closing quotes are here. Up to two quotes may stand before the three that close. */
static bool at_close(struct om_toml_parser *ps, struct string *s)
{
	size_t n = 0;

	if (!s->is_multi) {
		ps->p++;
		return true;
	}
	while (n < 5 && (size_t)(ps->end - ps->p) > n && ps->p[n] == s->quote)
		n++;
	for (size_t i = 0; i < (n >= 3 ? n - 3 : n); i++)
		s->out[s->len++] = s->quote;
	ps->p += n;
	return n >= 3;
}

/* Writes at most what room() counted. */
static int content(struct om_toml_parser *ps, struct string *s)
{
	for (;;) {
		char c;

		ps->work++;
		if (ps->p >= ps->end)
			return unclosed(ps, s);
		c = *ps->p;
		if (c == s->quote) {
			if (at_close(ps, s))
				return 0;
		} else if (c == '\\' && s->quote == '"') {
			escape(ps, s);
		} else if (c == '\n' || (c == '\r' && om_toml_at(ps, "\r\n"))) {
			if (!s->is_multi)
				return unclosed(ps, s);
			/* One spelling of a line end, so that a checkout's habits do not change a policy. */
			s->out[s->len++] = '\n';
			om_toml_skip_newline(ps);
		} else {
			s->out[s->len++] = c;
			ps->p++;
		}
	}
}

/*
 * Bytes up to the end of the string, or more: the content is never longer. A run that stops at the
 * first possible end keeps the sum over all strings linear, even for those that are never closed.
 */
static size_t room(const struct om_toml_parser *ps, const struct string *s)
{
	const char *q = ps->p;

	for (; q < ps->end; q++) {
		if (*q == '\\' && s->quote == '"') {
			if (ps->end - q > 1)
				q++;
		} else if (*q == s->quote) {
			if (!s->is_multi)
				break;
			if (ps->end - q > 2 && q[1] == s->quote && q[2] == s->quote) {
				q += 3;
				break;
			}
		} else if (*q == '\n' && !s->is_multi) {
			break;
		}
	}
	return (size_t)(q - ps->p);
}

int om_toml_string(struct om_toml_parser *ps, struct om_toml_str *out)
{
	struct string s = {.quote = *ps->p, .open = om_toml_here(ps)};
	size_t size;
	int ret;

	s.is_multi = om_toml_at(ps, s.quote == '"' ? "\"\"\"" : "'''");
	ps->p += s.is_multi ? 3 : 1;
	/* A line end right behind the opening quotes is not content. */
	if (s.is_multi)
		om_toml_skip_newline(ps);
	size = room(ps, &s) + 4;
	ps->work += size;
	s.out = om_arena_alloc(&ps->doc->arena, size);
	if (!s.out)
		return om_toml_nomem(ps);
	ret = content(ps, &s);
	if (ret < 0)
		return ret;
	out->ptr = s.out;
	out->len = s.len;
	return 0;
}
