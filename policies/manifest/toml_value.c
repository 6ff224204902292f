/*
 * Values: which kind it is, and the two that hold others.
 *
 * Comes in: the cursor at the first byte of a value. Goes out: a node. Called by: toml_parse.c, and
 * itself once per level of nesting, which the depth limit bounds. Never does: allow line ends or a
 * trailing comma in an inline table (TOML 1.1).
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "policies/manifest/toml_impl.h"

/* Up to what ends any value that has no delimiters of its own. */
static size_t word_len(struct om_toml_parser *ps)
{
	const char *s = ps->p;

	while (s < ps->end && !(*s && strchr(" \t\r\n,]}#", *s)))
		s++;
	ps->work += (uint64_t)(s - ps->p);
	return (size_t)(s - ps->p);
}

static bool is_word(const char *s, size_t len, const char *word)
{
	return len == strlen(word) && !memcmp(s, word, len);
}

static bool is_word_nocase(const char *s, size_t len, const char *word)
{
	return len == strlen(word) && !strncasecmp(s, word, len);
}

/* Most often a string without quotes, or another language's word for a value. */
static int bad_word(struct om_toml_parser *ps, const char *s, size_t len, struct om_pos pos)
{
	char shown[OM_TOML_SHOWN], hint[OM_TOML_SHOWN + 64];

	om_toml_show(shown, s, len);
	if (is_word_nocase(s, len, "true") || is_word_nocase(s, len, "yes") ||
	    is_word_nocase(s, len, "on"))
		snprintf(hint, sizeof(hint), "a boolean is written true");
	else if (is_word_nocase(s, len, "false") || is_word_nocase(s, len, "no") ||
		 is_word_nocase(s, len, "off"))
		snprintf(hint, sizeof(hint), "a boolean is written false");
	else if (is_word_nocase(s, len, "inf") || is_word_nocase(s, len, "nan"))
		snprintf(hint, sizeof(hint), "inf and nan are lower case");
	else if (is_word_nocase(s, len, "null") || is_word_nocase(s, len, "nil"))
		snprintf(hint, sizeof(hint), "TOML has no null: leave the key out");
	else if (memchr(s, '"', len) || memchr(s, '\'', len))
		snprintf(hint, sizeof(hint), "strings need quotes on both sides");
	else
		snprintf(hint, sizeof(hint), "strings need quotes: write \"%s\"", shown);
	return om_toml_syntax(ps, pos, hint, "'%s' is not a value", shown);
}

/* Numbers, dates, booleans: everything without a delimiter. */
static int word(struct om_toml_parser *ps, struct om_pos pos, struct om_toml_node *n)
{
	const char *s = ps->p;
	size_t len = word_len(ps);
	bool is_true = is_word(s, len, "true");

	/* A date and a time may be parted by one space. */
	if (len == 10 && om_toml_is_datetime(s, len) && s[4] == '-' && ps->end - s > 11 &&
	    s[10] == ' ' && s[11] >= '0' && s[11] <= '9') {
		ps->p += 11;
		len = 11 + word_len(ps);
	}
	ps->p = s + len;
	pos.len = (uint32_t)len;
	n->pos = pos;
	if (is_true || is_word(s, len, "false")) {
		n->type = OM_TOML_BOOL;
		n->boolean = is_true;
		return 0;
	}
	if (om_toml_is_datetime(s, len)) {
		om_toml_datetime(ps, s, len, pos, n);
		return 0;
	}
	if (strchr("+-.0123456789", *s) || is_word(s, len, "inf") || is_word(s, len, "nan"))
		return om_toml_number(ps, s, len, pos, n);
	ps->p = s;
	return bad_word(ps, s, len, pos);
}

/* Elements of any types, over several lines, with a trailing comma if one likes. */
static int array(struct om_toml_parser *ps, struct om_toml_node *n)
{
	struct om_pos open = n->pos;
	char hint[80];

	n->type = OM_TOML_ARRAY;
	ps->p++;
	for (bool comma = true;; comma = false) {
		struct om_toml_node *item;
		int ret;

		om_toml_skip_lines(ps);
		if (om_toml_at(ps, ",") && !comma) {
			ps->p++;
			om_toml_skip_lines(ps);
			comma = true;
		}
		if (om_toml_at(ps, "]")) {
			ps->p++;
			return 0;
		}
		snprintf(hint, sizeof(hint), "the array starts on line %u", open.line);
		if (ps->p >= ps->end) {
			om_toml_syntax(ps, open, "close it with ]", "this array is not closed");
			return -EINVAL;
		}
		if (om_toml_at(ps, ","))
			return om_toml_syntax(ps, om_toml_here(ps), hint,
					      "a value is missing before this comma");
		if (!comma)
			return om_toml_syntax(ps, om_toml_here(ps), hint,
					      "expected a comma or ] here");
		ret = om_toml_value(ps, n->depth, &item);
		if (ret < 0)
			return ret;
		ret = om_toml_append(ps, n, item);
		if (ret < 0)
			return ret;
	}
}

/* What stands where an inline table should go on; names the features of TOML 1.1. */
static int inline_error(struct om_toml_parser *ps, bool after_comma, struct om_pos comma)
{
	if (ps->p >= ps->end)
		return om_toml_syntax(ps, om_toml_here(ps), "close it with }",
				      "this inline table is not closed");
	if (om_toml_at(ps, "\n") || om_toml_at(ps, "\r\n") || om_toml_at(ps, "#"))
		return om_toml_syntax(ps, om_toml_here(ps),
				      "line ends in inline tables are TOML 1.1; this is TOML 1.0: "
				      "keep it on one line or use a [table]",
				      "an inline table ends on the line it starts on");
	if (after_comma && om_toml_at(ps, "}"))
		return om_toml_syntax(ps, comma,
				      "a trailing comma is TOML 1.1; this is TOML 1.0: remove it",
				      "no comma before the end of an inline table");
	return om_toml_syntax(ps, om_toml_here(ps), NULL, "expected a comma or } here");
}

/*
 * The table is reached through its key only after it is complete, so nothing outside can extend it
 * while it is read; its origin closes it afterwards.
 */
static int inline_table(struct om_toml_parser *ps, struct om_toml_node *n)
{
	struct om_pos comma = n->pos;
	bool after_comma = false;

	n->type = OM_TOML_TABLE;
	ps->p++;
	om_toml_skip_blank(ps);
	if (om_toml_at(ps, "}")) {
		ps->p++;
		return 0;
	}
	for (;;) {
		int ret;

		om_toml_skip_blank(ps);
		if (ps->p >= ps->end || strchr("\r\n#}", *ps->p))
			return inline_error(ps, after_comma, comma);
		ret = om_toml_pair(ps, n);
		if (ret < 0)
			return ret;
		om_toml_skip_blank(ps);
		if (om_toml_at(ps, "}")) {
			ps->p++;
			return 0;
		}
		if (!om_toml_at(ps, ","))
			return inline_error(ps, false, comma);
		comma = om_toml_here(ps);
		after_comma = true;
		ps->p++;
	}
}

/* POS is where the value should start. */
static int missing_value(struct om_toml_parser *ps, struct om_pos pos)
{
	char c = ps->p < ps->end ? *ps->p : '\n';

	if (c == '\n' || c == '\r' || c == '#')
		return om_toml_syntax(ps, pos, "a value starts on the line of its key",
				      "a value is missing here");
	if (c == '=')
		return om_toml_syntax(ps, pos, "one = is enough", "a value cannot start with '='");
	return om_toml_syntax(ps, pos, NULL, "a value is missing before '%c'", c);
}

int om_toml_value(struct om_toml_parser *ps, uint32_t depth, struct om_toml_node **out)
{
	struct om_pos pos = om_toml_here(ps);
	const char *start = ps->p;
	char c = ps->p < ps->end ? *ps->p : '\n';
	struct om_toml_node *n;
	int ret;

	if (c && strchr("\r\n#=,]}", c))
		return missing_value(ps, pos);
	if ((c == '[' || c == '{') && depth >= ps->limits.depth)
		return om_toml_depth_error(ps, pos);
	n = om_toml_node(ps, OM_TOML_STRING, OM_TOML_VALUE, depth + 1, pos);
	if (!n)
		return -ENOMEM;
	*out = n;
	switch (c) {
	case '"':
	case '\'':
		ret = om_toml_string(ps, &n->string);
		break;
	case '[':
		ret = array(ps, n);
		break;
	case '{':
		ret = inline_table(ps, n);
		break;
	default:
		return word(ps, pos, n);
	}
	if (ret == 0)
		n->pos = om_toml_span(ps, pos, start);
	return ret;
}
