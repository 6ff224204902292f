/*
 * A TOML file: its statements in order, and how to go on behind an error.
 *
 * Comes in: bytes and limits. Goes out: the tree, or findings. Called by: the binder, the importers,
 * toml-decode. Never does: hand out a tree when there was a finding, however small.
 */
#include <errno.h>
#include <string.h>

#include <omega/limits.h>

#include "policies/manifest/toml_impl.h"

/*
 * Memory is in proportion to the input: the densest files are arrays of empty tables, one node and up
 * to four pointers for three bytes, and short keys, an entry, two branches and a node for four.
 */
#define ARENA_BASE     (64u * 1024u)
#define ARENA_PER_BYTE 128u

struct om_toml_limits om_toml_limits_manifest(void)
{
	return (struct om_toml_limits){
		.bytes = OM_MANIFEST_BYTES_MAX,
		.depth = OM_MANIFEST_DEPTH_MAX,
		.keys = OM_MANIFEST_KEYS_MAX,
	};
}

/* The key was read; p is at what stands in place of '='. */
static int no_equals(struct om_toml_parser *ps)
{
	char c = ps->p < ps->end ? *ps->p : '\n';

	if (c == ':')
		return om_toml_syntax(ps, om_toml_here(ps), "write key = value",
				      "expected '=' after the key, not ':'");
	if (c == '"' || c == '\'' || (unsigned char)c > ' ')
		return om_toml_syntax(
			ps, om_toml_here(ps),
			"write key = value; a key with other characters than A-Z a-z 0-9 _ - "
			"needs quotes",
			"expected '=' after the key");
	return om_toml_syntax(ps, om_toml_here(ps), "write key = value",
			      "'=' and a value are missing after the key");
}

int om_toml_pair(struct om_toml_parser *ps, struct om_toml_node *base)
{
	struct om_toml_part *key;
	struct om_toml_node *value;
	uint32_t depth = base->depth;
	int ret;

	ret = om_toml_key(ps, &key);
	if (ret < 0)
		return ret;
	if (ps->p >= ps->end || *ps->p != '=')
		return no_equals(ps);
	ps->p++;
	om_toml_skip_blank(ps);
	for (const struct om_toml_part *part = key; part->next; part = part->next)
		depth++;
	ret = om_toml_value(ps, depth, &value);
	if (ret < 0)
		return ret;
	return om_toml_define(ps, base, key, value);
}

/* [a.b] or [[a.b]] up to and with the closing brackets. */
static int header(struct om_toml_parser *ps)
{
	struct om_pos pos = om_toml_here(ps);
	bool is_array = om_toml_at(ps, "[[");
	const char *start = ps->p;
	struct om_toml_part *key;
	int ret;

	ps->p += is_array ? 2 : 1;
	om_toml_skip_blank(ps);
	if (om_toml_at(ps, "]"))
		return om_toml_syntax(ps, pos, "write [name]", "the name of the table is missing");
	ret = om_toml_key(ps, &key);
	if (ret < 0)
		return ret;
	if (!om_toml_at(ps, is_array ? "]]" : "]"))
		return om_toml_syntax(ps, om_toml_here(ps),
				      ps->p >= ps->end || strchr("\r\n]", *ps->p)
					      ? "[name] is a table, [[name]] one more of an array"
					      : "other characters than A-Z a-z 0-9 _ - need quotes",
				      is_array ? "expected ]] here" : "expected ] here");
	ps->p += is_array ? 2 : 1;
	return om_toml_open(ps, key, is_array, om_toml_span(ps, pos, start));
}

/*
 * The keys behind a broken header belong to nobody knows which table. They are still read, for their
 * own faults, but into a table of their own, so that one fault does not become many.
 */
static int scratch(struct om_toml_parser *ps)
{
	ps->section =
		om_toml_node(ps, OM_TOML_TABLE, OM_TOML_HEADER, 0, (struct om_pos){ps->line, 1, 0});
	return ps->section ? 0 : -ENOMEM;
}

/* One line of the file, or several if its value goes on: nothing, a comment, a key or a header. */
static int statement(struct om_toml_parser *ps)
{
	char shown[OM_TOML_SHOWN];
	int ret;

	om_toml_skip_blank(ps);
	if (ps->p < ps->end && !strchr("#\r\n", *ps->p)) {
		if (*ps->p == '[') {
			ret = header(ps);
			if (ret == -EINVAL && scratch(ps) < 0)
				return -ENOMEM;
		} else {
			ret = om_toml_pair(ps, ps->section);
		}
		if (ret < 0)
			return ret;
		om_toml_skip_blank(ps);
	}
	om_toml_skip_comment(ps);
	if (ps->p < ps->end && !om_toml_skip_newline(ps))
		return om_toml_syntax(
			ps, om_toml_here(ps), "start a new line for each key and each table",
			"expected the end of the line, not '%s'", om_toml_show_here(ps, shown));
	return 0;
}

/*
 * Whether the rest of the line, in form, is a header or starts with a key and '='. Elements of an
 * array that was left in its middle are not, so they are passed over.
 */
static bool is_statement(struct om_toml_parser *ps, const char *s, const char *stop)
{
	bool is_header, is_named;
	char quote = 0;

	while (s < stop && (*s == ' ' || *s == '\t'))
		s++;
	is_header = s < stop && *s == '[';
	if (s >= stop || *s == '=')
		return false;
	s += is_header;
	if (is_header && s < stop && *s == '[')
		s++;
	is_named = s < stop && ((*s | 0x20) >= 'a' && (*s | 0x20) <= 'z');
	for (; s < stop; s++) {
		ps->work++;
		if (quote) {
			if (*s == '\\' && quote == '"')
				s++;
			else if (*s == quote)
				quote = 0;
		} else if (*s == '"' || *s == '\'') {
			quote = *s;
		} else if (is_header && *s == ']') {
			for (s++; s < stop && strchr("] \t\r", *s); s++)
				ps->work++;
			return s == stop || *s == '#';
		} else if (*s == '=') {
			return !is_header;
		} else if (*s == '#' || *s == ',' || *s == '{' || *s == '}' || *s == '(') {
			return false;
		}
	}
	/* A header that was not closed. Arrays in arrays rarely start with a letter. */
	return is_header && is_named;
}

/* Moves to the next line that looks like a statement; FROM is the line of the one that failed. */
static void resynchronise(struct om_toml_parser *ps, uint32_t from)
{
	/* The line of the error may be it: what was left open before swallowed its beginning. */
	bool is_new = ps->line > from;

	if (ps->p >= ps->end)
		return;
	if (is_new)
		ps->p = ps->line_start;
	for (;;) {
		const char *stop = memchr(ps->p, '\n', ps->end - ps->p);

		if (!stop)
			stop = ps->end;
		if (is_new && is_statement(ps, ps->p, stop))
			return;
		ps->work += (uint64_t)(stop - ps->p);
		ps->p = stop;
		if (!om_toml_skip_newline(ps))
			return;
		is_new = true;
	}
}

static int parse(struct om_toml_parser *ps)
{
	int ret = om_toml_check_text(ps);

	if (ret < 0)
		return ret;
	ps->p = ps->line_start = ps->data;
	ps->line = 1;
	if (om_toml_at(ps, "\xef\xbb\xbf"))
		ps->p += 3;
	while (ps->p < ps->end) {
		uint32_t from = ps->line;

		ret = statement(ps);
		if (ret == -ENOMEM || ret == -E2BIG)
			return ret;
		if (ret < 0)
			resynchronise(ps, from);
	}
	return ps->errors ? -EINVAL : 0;
}

/* Before any memory is taken: the limit is what bounds all that follows. */
static int check_size(struct om_toml_parser *ps, size_t len)
{
	if (len <= ps->limits.bytes)
		return 0;
	/* The position is that of the first byte too many. */
	for (; ps->p < ps->data + ps->limits.bytes; ps->p++)
		if (*ps->p == '\n') {
			ps->line++;
			ps->line_start = ps->p + 1;
		}
	om_toml_error(ps, OM_ERR_TOML_SIZE, om_toml_here(ps), "split the file",
		      "the file has %zu bytes; at most %zu are read", len, ps->limits.bytes);
	return -E2BIG;
}

/* The caller's om_err: enough for a log line; the findings have the rest. */
static int fail(const struct om_toml_parser *ps, int ret, struct om_err *err)
{
	if (ps->errors > 1)
		return om_err_set(err, ps->first_id, ret, "line %u: %s, and %u more errors",
				  ps->first_pos.line, om_err_text(ps->first_id), ps->errors - 1);
	return om_err_set(err, ps->first_id, ret, "line %u: %s", ps->first_pos.line,
			  om_err_text(ps->first_id));
}

int om_toml_parse_limited(const char *data, size_t len, const struct om_toml_limits *limits,
			  struct om_toml **out, struct om_diags *diags, struct om_err *err)
{
	OM_CLEANUP(om_toml_freep) struct om_toml *doc = calloc(1, sizeof(*doc));
	struct om_toml_parser ps = {.diags = diags, .doc = doc, .limits = *limits, .is_text = true};
	int ret;

	*out = NULL;
	if (!doc)
		return om_err_set(err, OM_ERR_NOMEM, -ENOMEM, "TOML tree");
	/* An empty input may come without an address. */
	ps.data = ps.p = ps.line_start = data ? data : "";
	ps.end = ps.data + (data ? len : 0);
	ps.line = 1;
	ps.limits.depth = OM_MIN(limits->depth, OM_TOML_DEPTH_CAP);
	ret = check_size(&ps, len);
	if (ret < 0)
		return fail(&ps, ret, err);
	om_arena_init(&doc->arena, ARENA_BASE + len * ARENA_PER_BYTE);
	ps.section = doc->root =
		om_toml_node(&ps, OM_TOML_TABLE, OM_TOML_HEADER, 0, (struct om_pos){1, 1, 0});
	ret = doc->root ? parse(&ps) : -ENOMEM;
	if (limits->work)
		*limits->work = ps.work;
	if (ret < 0)
		return fail(&ps, ret, err);
	*out = OM_STEAL_PTR(doc);
	return 0;
}

int om_toml_parse(const char *data, size_t len, struct om_toml **out, struct om_diags *diags,
		  struct om_err *err)
{
	struct om_toml_limits limits = om_toml_limits_manifest();

	return om_toml_parse_limited(data, len, &limits, out, diags, err);
}

void om_toml_free(struct om_toml *t)
{
	if (!t)
		return;
	om_arena_done(&t->arena);
	free(t);
}
