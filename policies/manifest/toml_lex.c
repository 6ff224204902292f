/*
 * The text level of TOML: characters, positions, blanks, comments, line ends, keys; and findings.
 *
 * Comes in: bytes. Goes out: a cursor that always knows its line and column, and keys as lists of
 * parts. Called by: the other parts of the parser. Never does: look at what a key means.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "policies/manifest/toml_impl.h"

#define BAD_BYTES_MAX 16u /* findings about single bytes; a file with more is not text at all */

struct om_pos om_toml_here(const struct om_toml_parser *ps)
{
	return (struct om_pos){ps->line, (uint32_t)(ps->p - ps->line_start) + 1, 1};
}

struct om_pos om_toml_span(const struct om_toml_parser *ps, struct om_pos from, const char *start)
{
	const char *stop = ps->p;

	/* What goes on over several lines is underlined to the end of its first. */
	if (ps->line != from.line) {
		stop = memchr(start, '\n', ps->end - start);
		if (stop > start && stop[-1] == '\r')
			stop--;
	}
	from.len = (uint32_t)(stop - start);
	return from;
}

/* Bytes of the UTF-8 sequence at P, its code point in CP; 0 if it is malformed (RFC 3629). */
static unsigned utf8_sequence(const char *p, const char *end, uint32_t *cp)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	unsigned char c = (unsigned char)*p;
	unsigned n = c < 0x80 ? 1 : c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : 2;

	*cp = c;
	if (n == 1)
		return 1;
	if (c < 0xc2 || c > 0xf4 || (size_t)(end - p) < n)
		return 0;
	*cp = c & (0x7fu >> n);
	for (unsigned i = 1; i < n; i++) {
		if (((unsigned char)p[i] & 0xc0) != 0x80)
			return 0;
		*cp = *cp << 6 | ((unsigned char)p[i] & 0x3f);
	}
	if (*cp < least[n] || *cp > 0x10ffff || (*cp >= 0xd800 && *cp <= 0xdfff))
		return 0;
	return n;
}

/*
 * Text that would move the cursor, hide or reorder what a terminal shows is replaced: a manifest
 * comes from someone else, and its findings are read by an operator.
 */
static bool is_shown(uint32_t cp)
{
	return cp >= 0x20 && !(cp >= 0x7f && cp <= 0x9f) && !(cp >= 0x200b && cp <= 0x200f) &&
	       !(cp >= 0x2028 && cp <= 0x202e) && !(cp >= 0x2060 && cp <= 0x206f) && cp != 0xfeff;
}

const char *om_toml_show(char buf[static OM_TOML_SHOWN], const char *s, size_t len)
{
	const char *end = s + len;
	size_t at = 0;

	while (s < end) {
		uint32_t cp;
		unsigned n = utf8_sequence(s, end, &cp);

		if (at + OM_MAX(n, 1u) > OM_TOML_SHOWN - 4) {
			memcpy(buf + at, "...", 3);
			at += 3;
			break;
		}
		if (n && is_shown(cp)) {
			memcpy(buf + at, s, n);
			at += n;
		} else {
			buf[at++] = '?';
		}
		s += OM_MAX(n, 1u);
	}
	buf[at] = '\0';
	return buf;
}

const char *om_toml_show_here(const struct om_toml_parser *ps, char buf[static OM_TOML_SHOWN])
{
	uint32_t cp;

	return om_toml_show(buf, ps->p, OM_MAX(utf8_sequence(ps->p, ps->end, &cp), 1u));
}

static void add(struct om_toml_parser *ps, enum om_err_id id, struct om_pos pos, const char *hint,
		const char *fmt, va_list ap)
{
	char text[sizeof(((struct om_diag *)NULL)->message)];

	vsnprintf(text, sizeof(text), fmt, ap);
	om_diag_add(ps->diags, OM_SEV_ERROR, id, pos, hint, "%s", text);
	if (!ps->errors++) {
		ps->first_id = id;
		ps->first_pos = pos;
	}
	ps->error_line = OM_MAX(ps->error_line, pos.line);
}

void om_toml_error(struct om_toml_parser *ps, enum om_err_id id, struct om_pos pos,
		   const char *hint, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	add(ps, id, pos, hint, fmt, ap);
	va_end(ap);
}

/* Two syntax errors on one line are nearly always one mistake. */
int om_toml_syntax(struct om_toml_parser *ps, struct om_pos pos, const char *hint, const char *fmt,
		   ...)
{
	unsigned char c = ps->p < ps->end ? (unsigned char)*ps->p : ' ';
	va_list ap;

	/* Already reported by om_toml_check_text, which knows better what it is. */
	if (!ps->is_text && (c >= 0x7f || (c < 0x20 && c != '\t' && c != '\n')))
		return -EINVAL;
	if (ps->error_line == pos.line)
		return -EINVAL;
	va_start(ap, fmt);
	add(ps, OM_ERR_TOML_SYNTAX, pos, hint, fmt, ap);
	va_end(ap);
	return -EINVAL;
}

int om_toml_nomem(struct om_toml_parser *ps)
{
	if (ps->first_id != OM_ERR_NOMEM)
		om_toml_error(ps, OM_ERR_NOMEM, om_toml_here(ps), NULL,
			      "out of memory while reading the manifest");
	return -ENOMEM;
}

/* The column is that of the byte, so that an editor can be told to go there. */
static void bad_byte(struct om_toml_parser *ps, bool is_utf8)
{
	unsigned char c = (unsigned char)*ps->p;
	const char *hint = NULL;

	if (is_utf8) {
		if (ps->p == ps->data && (c == 0xff || c == 0xfe))
			hint = "the file looks like UTF-16; save it as UTF-8";
		om_toml_error(ps, OM_ERR_TOML_UTF8, om_toml_here(ps), hint,
			      "invalid UTF-8: byte 0x%02x", c);
		return;
	}
	if (c == '\r')
		hint = "end lines with a line feed, or with a carriage return and a line feed";
	else if (c == 0)
		hint = "a NUL in a string is written \\u0000";
	else
		hint = "in a string in double quotes write it as \\uXXXX";
	om_toml_error(ps, OM_ERR_TOML_CONTROL, om_toml_here(ps), hint,
		      c == '\r' ? "carriage return that no line feed follows"
				: "control character 0x%02x is not allowed",
		      c);
}

/*
 * Before anything else, so that no later stage has to wonder: every byte belongs to valid UTF-8, and
 * control characters other than tab and line ends appear nowhere, not even in comments.
 */
int om_toml_check_text(struct om_toml_parser *ps)
{
	while (ps->p < ps->end) {
		unsigned char c = (unsigned char)*ps->p;
		unsigned n = 1;
		uint32_t cp;

		ps->work++;
		if (c >= 0x80)
			n = utf8_sequence(ps->p, ps->end, &cp);
		if (!n || c == 0x7f ||
		    (c < 0x20 && c != '\t' && c != '\n' &&
		     !(c == '\r' && ps->end - ps->p > 1 && ps->p[1] == '\n'))) {
			ps->is_text = false;
			if (ps->errors >= BAD_BYTES_MAX) {
				om_toml_error(ps, OM_ERR_TOML_CONTROL, om_toml_here(ps), NULL,
					      "more such bytes: this is not a text file");
				return -EINVAL;
			}
			bad_byte(ps, !n);
			n = 1;
		}
		ps->p += n;
		if (c == '\n') {
			ps->line++;
			ps->line_start = ps->p;
		}
	}
	ps->error_line = 0;
	return 0;
}

bool om_toml_at(const struct om_toml_parser *ps, const char *text)
{
	size_t n = strlen(text);

	return (size_t)(ps->end - ps->p) >= n && !memcmp(ps->p, text, n);
}

void om_toml_skip_blank(struct om_toml_parser *ps)
{
	while (ps->p < ps->end && (*ps->p == ' ' || *ps->p == '\t')) {
		ps->p++;
		ps->work++;
	}
}

/* Up to the line end, which stays: a statement needs to see it. */
void om_toml_skip_comment(struct om_toml_parser *ps)
{
	if (ps->p >= ps->end || *ps->p != '#')
		return;
	for (; ps->p < ps->end && *ps->p != '\n'; ps->p++) {
		ps->work++;
		if (*ps->p == '\r' && om_toml_at(ps, "\r\n"))
			return;
	}
}

/* LF or CRLF; a lone CR is no line end (and was refused by om_toml_check_text). */
bool om_toml_skip_newline(struct om_toml_parser *ps)
{
	if (om_toml_at(ps, "\r\n"))
		ps->p++;
	if (ps->p >= ps->end || *ps->p != '\n')
		return false;
	ps->p++;
	ps->work++;
	ps->line++;
	ps->line_start = ps->p;
	return true;
}

/* All blanks, comments and line ends: what may stand between the elements of an array. */
void om_toml_skip_lines(struct om_toml_parser *ps)
{
	do {
		om_toml_skip_blank(ps);
		om_toml_skip_comment(ps);
	} while (om_toml_skip_newline(ps));
}

/* ASCII only: letters of other scripts in bare keys never made it into TOML. */
static bool is_bare(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '_' || c == '-';
}

/* One part of a key. Quoted parts may be empty and contain dots; bare ones neither. */
static int key_part(struct om_toml_parser *ps, struct om_toml_part *part)
{
	struct om_pos pos = om_toml_here(ps);
	const char *start = ps->p;
	char shown[OM_TOML_SHOWN];
	int ret;

	if (om_toml_at(ps, "\"\"\"") || om_toml_at(ps, "'''"))
		return om_toml_syntax(ps, pos, "use one quote on each side",
				      "a key cannot be a multi-line string");
	if (ps->p < ps->end && (*ps->p == '"' || *ps->p == '\'')) {
		ret = om_toml_string(ps, &part->key);
		if (ret < 0)
			return ret;
		part->pos = om_toml_span(ps, pos, start);
		return 0;
	}
	while (ps->p < ps->end && is_bare(*ps->p))
		ps->p++;
	ps->work += (uint64_t)(ps->p - start);
	if (ps->p == start) {
		if (ps->p == ps->end || *ps->p == '\n' || *ps->p == '\r')
			return om_toml_syntax(ps, pos, NULL, "a key is missing here");
		return om_toml_syntax(
			ps, pos, "a bare key has only A-Z a-z 0-9 _ and -; put others in quotes",
			"a key cannot start with '%s'", om_toml_show_here(ps, shown));
	}
	part->key.len = (size_t)(ps->p - start);
	part->key.ptr = om_arena_strndup(&ps->doc->arena, start, part->key.len);
	if (!part->key.ptr)
		return om_toml_nomem(ps);
	part->pos = om_toml_span(ps, pos, start);
	return 0;
}

int om_toml_key(struct om_toml_parser *ps, struct om_toml_part **out)
{
	struct om_toml_part **link = out;
	uint32_t parts = 0;
	int ret;

	*out = NULL;
	for (;;) {
		struct om_toml_part *part;

		/* Every part but the last makes a table: what cannot fit is refused before it costs. */
		if (parts++ > ps->limits.depth)
			return om_toml_depth_error(ps, om_toml_here(ps));
		part = om_arena_alloc(&ps->doc->arena, sizeof(*part));
		if (!part)
			return om_toml_nomem(ps);
		ret = key_part(ps, part);
		if (ret < 0)
			return ret;
		*link = part;
		link = &part->next;
		om_toml_skip_blank(ps);
		if (ps->p >= ps->end || *ps->p != '.')
			return 0;
		ps->p++;
		om_toml_skip_blank(ps);
	}
}
