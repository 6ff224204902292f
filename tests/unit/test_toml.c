/* The TOML parser: positions, values, findings one by one and several at once, limits, linear work. */
#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include <omega/limits.h>

#include "policies/manifest/toml_impl.h"

/* Parses an exact-size copy and frees it before anyone looks at the tree: ASan sees what lingers. */
static int parse_n(const char *text, size_t len, const struct om_toml_limits *limits,
		   struct om_toml **doc, struct om_diags *diags)
{
	struct om_err err = {0};
	char *copy = malloc(len ? len : 1);
	int ret;

	assert_non_null(copy);
	memcpy(copy, text, len);
	om_diags_init(diags);
	ret = om_toml_parse_limited(copy, len, limits, doc, diags, &err);
	free(copy);
	assert_int_equal(ret < 0, *doc == NULL);
	assert_int_equal(ret<0, diags->errors> 0);
	assert_int_equal(ret < 0, err.id != OM_ERR_NONE);
	return ret;
}

static struct om_toml *good(const char *text)
{
	struct om_toml_limits limits = om_toml_limits_manifest();
	struct om_diags diags;
	struct om_toml *doc;

	if (parse_n(text, strlen(text), &limits, &doc, &diags) < 0)
		fail_msg("%u:%u: %s", diags.items[0].pos.line, diags.items[0].pos.col,
			 diags.items[0].message);
	om_diags_done(&diags);
	return doc;
}

/* The value at a path with dots between its parts. */
static const struct om_toml_node *at(const struct om_toml *doc, const char *path)
{
	const struct om_toml_node *n = om_toml_root(doc);
	char part[64];

	while (*path) {
		size_t len = strcspn(path, ".");

		memcpy(part, path, len);
		part[len] = '\0';
		n = om_toml_get(n, part);
		assert_non_null(n);
		path += len + (path[len] == '.');
	}
	return n;
}

static void is_at(struct om_pos pos, uint32_t line, uint32_t col, uint32_t len)
{
	assert_int_equal(pos.line, line);
	assert_int_equal(pos.col, col);
	assert_int_equal(pos.len, len);
}

static void keeps_positions(void **state)
{
	struct om_toml *doc = good("# comment\n"
				   "a = 12 # x\n"
				   "\t\"q k\" . b = \"\"\"one\n"
				   "two\"\"\"\n"
				   "c = [ 1,\r\n"
				   "  { d = true } ]\n"
				   "[t.u]\n"
				   "when = 1979-05-27 07:32:00Z\n"
				   "  [[ t.v ]]\n"
				   "x='\xc3\xa9'\n");
	const struct om_toml_entry *e = om_toml_root(doc)->table.first;

	is_at(e->key_pos, 2, 1, 1);
	is_at(e->value->pos, 2, 5, 2);
	e = e->next;
	is_at(e->key_pos, 3, 2, 5);
	is_at(e->value->table.first->key_pos, 3, 10, 1);
	is_at(e->value->table.first->value->pos, 3, 14, 6);
	is_at(at(doc, "c")->pos, 5, 5, 4);
	is_at(at(doc, "c")->array.items[0]->pos, 5, 7, 1);
	is_at(at(doc, "c")->array.items[1]->pos, 6, 3, 12);
	is_at(at(doc, "c")->array.items[1]->table.first->value->pos, 6, 9, 4);
	is_at(at(doc, "t")->pos, 7, 2, 1);
	is_at(at(doc, "t.u")->pos, 7, 1, 5);
	is_at(at(doc, "t.u.when")->pos, 8, 8, 20);
	is_at(at(doc, "t.v")->pos, 9, 3, 9);
	is_at(at(doc, "t.v")->array.items[0]->table.first->value->pos, 10, 3, 4);
	om_toml_free(doc);
	doc = good("\xef\xbb\xbf"
		   "a = 1");
	is_at(om_toml_root(doc)->table.first->key_pos, 1, 4, 1);
	om_toml_free(doc);
}

static void a_later_header_defines_the_table(void **state)
{
	struct om_toml *doc = good("[a.b]\n[a]\nx = 1\n");

	is_at(om_toml_root(doc)->table.first->key_pos, 2, 2, 1);
	is_at(at(doc, "a")->pos, 2, 1, 3);
	om_toml_free(doc);
}

static void keeps_order_and_finds_any_key(void **state)
{
	struct om_toml *doc = good("z = 1\n\"a\\u0000\" = 2\na = 3\n\"\" = 4\n\"a\\u0000b\" = 5\n"
				   "ab = 6\n");
	const struct om_toml_node *root = om_toml_root(doc);
	int64_t expected = 1;

	om_toml_for_each(e, root) assert_int_equal(e->value->integer, expected++);
	assert_int_equal(root->table.count, 6);
	assert_int_equal(om_toml_find(root, "a\0", 2)->value->integer, 2);
	assert_int_equal(om_toml_find(root, "a", 1)->value->integer, 3);
	assert_int_equal(om_toml_find(root, "", 0)->value->integer, 4);
	assert_int_equal(om_toml_find(root, "a\0b", 3)->value->integer, 5);
	assert_null(om_toml_find(root, "a\0c", 3));
	assert_null(om_toml_find(root, "zzzzzzz", 7));
	assert_null(om_toml_get(om_toml_get(root, "z"), "z"));
	assert_null(om_toml_get(NULL, "z"));
	assert_true(om_toml_str_has_nul(om_toml_find(root, "a\0", 2)->key));
	assert_true(om_toml_str_is(root->table.first->key, "z"));
	om_toml_free(doc);
	doc = good("");
	assert_int_equal(om_toml_root(doc)->table.count, 0);
	assert_null(om_toml_get(om_toml_root(doc), "a"));
	om_toml_free(doc);
}

static void reads_numbers(void **state)
{
	struct om_toml *doc = good("i = [-9223372036854775808, 9223372036854775807, 0xffFF_0000,"
				   " 0o17, 0b1_0, -0, +1_000, 0x7fffffffffffffff]\n"
				   "f = [1e3, -0.0, 6.02_2e+2_3, inf, -inf, nan, 5e-324, 1e-999,"
				   " 0.1]\n");
	static const int64_t ints[] = {INT64_MIN, INT64_MAX, 0xffff0000, 15, 2, 0, 1000, INT64_MAX};
	const struct om_toml_array *i = &at(doc, "i")->array, *f = &at(doc, "f")->array;

	assert_int_equal(i->count, OM_ARRAY_LEN(ints));
	for (uint32_t n = 0; n < i->count; n++) {
		assert_int_equal(i->items[n]->type, OM_TOML_INTEGER);
		assert_true(i->items[n]->integer == ints[n]);
	}
	for (uint32_t n = 0; n < f->count; n++)
		assert_int_equal(f->items[n]->type, OM_TOML_FLOAT);
	assert_true(f->items[0]->real == 1000.0);
	assert_true(signbit(f->items[1]->real));
	assert_true(f->items[2]->real == 6.022e23);
	assert_true(isinf(f->items[3]->real) && isinf(f->items[4]->real));
	assert_true(f->items[4]->real < 0 && isnan(f->items[5]->real));
	assert_true(f->items[6]->real > 0 && f->items[7]->real == 0);
	assert_true(f->items[8]->real == 0.1);
	om_toml_free(doc);
}

static void reads_dates_and_times(void **state)
{
	struct om_toml *doc = good("a = 2000-02-29t23:59:60.1234567899z\nb = 0000-01-01 00:00:00\n"
				   "c = 9999-12-31\nd = 12:34:56.5\n"
				   "e = 1979-05-27T00:32:00-07:30\nf = 2024-01-01 \n");
	const struct om_toml_node *n = at(doc, "a");

	assert_int_equal(n->type, OM_TOML_OFFSET_DATETIME);
	assert_int_equal(n->datetime.second, 60);
	assert_int_equal(n->datetime.nanosecond, 123456789);
	assert_int_equal(n->datetime.offset_minutes, 0);
	assert_int_equal(at(doc, "b")->type, OM_TOML_LOCAL_DATETIME);
	assert_int_equal(at(doc, "c")->type, OM_TOML_LOCAL_DATE);
	assert_int_equal(at(doc, "c")->datetime.year, 9999);
	assert_int_equal(at(doc, "d")->type, OM_TOML_LOCAL_TIME);
	assert_int_equal(at(doc, "d")->datetime.nanosecond, 500000000);
	assert_int_equal(at(doc, "e")->datetime.offset_minutes, -450);
	is_at(at(doc, "f")->pos, 6, 5, 10);
	om_toml_free(doc);
}

static void reads_strings(void **state)
{
	struct om_toml *doc =
		good("a = \"\\u0000\\U0010FFFF\\t\\\"\"\nb = \"\"\"\r\nx\r\ny\\\r\n \r\n z\"\"\"\n"
		     "c = \"\"\"\"\"two\"\"\"\"\"\nd = '''\n''q\\'''''\ne = ''\n");

	assert_int_equal(at(doc, "a")->string.len, 7);
	assert_memory_equal(at(doc, "a")->string.ptr, "\0\xf4\x8f\xbf\xbf\t\"", 8);
	assert_true(om_toml_str_is(at(doc, "b")->string, "x\nyz"));
	assert_true(om_toml_str_is(at(doc, "c")->string, "\"\"two\"\""));
	assert_true(om_toml_str_is(at(doc, "d")->string, "''q\\''"));
	assert_true(om_toml_str_is(at(doc, "e")->string, ""));
	om_toml_free(doc);
}

struct bad {
	const char *text;
	size_t len; /* 0: strlen */
	enum om_err_id id;
	uint32_t line, col;
	bool has_hint;
};

static const struct bad bads[] = {
	{"a = 1\nb 2\n", 0, OM_ERR_TOML_SYNTAX, 2, 3, true},
	{"a: 1\n", 0, OM_ERR_TOML_SYNTAX, 1, 2, true},
	{"a = api\n", 0, OM_ERR_TOML_SYNTAX, 1, 5, true},
	{"a = True\n", 0, OM_ERR_TOML_SYNTAX, 1, 5, true},
	{"a = \n", 0, OM_ERR_TOML_SYNTAX, 1, 5, true},
	{"a = +", 0, OM_ERR_TOML_NUMBER, 1, 5, true},
	{"a = 1 b = 2\n", 0, OM_ERR_TOML_SYNTAX, 1, 7, true},
	{"a = \"x\n", 0, OM_ERR_TOML_STRING, 1, 5, true},
	{"a = 'x\ny'\n", 0, OM_ERR_TOML_STRING, 1, 5, true},
	{"b = 1\na = \"\"\"x\ny = 1\n", 0, OM_ERR_TOML_STRING, 2, 5, true},
	{"a = \"\"\"\n\n  \\q\"\"\"\n", 0, OM_ERR_TOML_STRING, 3, 3, true},
	{"a = \"\\e\"\n", 0, OM_ERR_TOML_STRING, 1, 6, true},
	{"a = \"\\x41\"\n", 0, OM_ERR_TOML_STRING, 1, 6, true},
	{"a = \"\\uD800\"\n", 0, OM_ERR_TOML_STRING, 1, 6, true},
	{"a = \"\\U00110000\"\n", 0, OM_ERR_TOML_STRING, 1, 6, true},
	{"a = 10.0.0.1\n", 0, OM_ERR_TOML_NUMBER, 1, 5, true},
	{"a = 2001:db8::1\n", 0, OM_ERR_TOML_NUMBER, 1, 5, true},
	{"a = 0777\n", 0, OM_ERR_TOML_NUMBER, 1, 5, true},
	{"a = 1__0\n", 0, OM_ERR_TOML_NUMBER, 1, 5, true},
	{"a = 9223372036854775808\n", 0, OM_ERR_TOML_RANGE, 1, 5, true},
	{"a = -9223372036854775809\n", 0, OM_ERR_TOML_RANGE, 1, 5, true},
	{"a = 0x8000000000000000\n", 0, OM_ERR_TOML_RANGE, 1, 5, true},
	{"a = 1e400\n", 0, OM_ERR_TOML_RANGE, 1, 5, true},
	{"a = 2023-02-29\n", 0, OM_ERR_TOML_DATETIME, 1, 5, true},
	{"a = 1900-02-29\n", 0, OM_ERR_TOML_DATETIME, 1, 5, true},
	{"a = 12:30\n", 0, OM_ERR_TOML_DATETIME, 1, 5, true},
	{"a = 24:00:00\n", 0, OM_ERR_TOML_DATETIME, 1, 5, true},
	{"a = 12:00:00Z\n", 0, OM_ERR_TOML_DATETIME, 1, 5, true},
	{"a = 1\nb = 2\na = 3\n", 0, OM_ERR_TOML_DUPLICATE, 3, 1, true},
	{"[a]\n[b]\n [a]\n", 0, OM_ERR_TOML_DUPLICATE, 3, 3, true},
	{"a = { b = 1, 'b' = 2 }\n", 0, OM_ERR_TOML_DUPLICATE, 1, 14, true},
	{"[a]\nb = true\n[a.b]\n", 0, OM_ERR_TOML_REDEFINE, 3, 4, true},
	{"[a.b]\n[a]\nb.c = 1\n", 0, OM_ERR_TOML_REDEFINE, 3, 1, true},
	{"a = { b.c = 1 }\na.b.d = 1\n", 0, OM_ERR_TOML_REDEFINE, 2, 1, true},
	{"a = []\n[[a]]\n", 0, OM_ERR_TOML_REDEFINE, 2, 3, true},
	{"[[a.b]]\n[[a]]\n", 0, OM_ERR_TOML_REDEFINE, 2, 3, true},
	{"a.b = 1\n[a]\n", 0, OM_ERR_TOML_REDEFINE, 2, 2, true},
	{"[a.b.c]\n[a]\nb.d = 1\n[a.b]\n", 0, OM_ERR_TOML_REDEFINE, 4, 4, true},
	{"a = { b = 1,\n c = 2 }\n", 0, OM_ERR_TOML_SYNTAX, 1, 13, true},
	{"a = { b = 1, }\n", 0, OM_ERR_TOML_SYNTAX, 1, 12, true},
	{"a = [ 1, 2\n", 0, OM_ERR_TOML_SYNTAX, 1, 5, true},
	{"a = [ 1, 2\nb = 3\n", 0, OM_ERR_TOML_SYNTAX, 2, 1, true},
	{"a = [,1]\n", 0, OM_ERR_TOML_SYNTAX, 1, 6, true},
	{"a = [1,,]\n", 0, OM_ERR_TOML_SYNTAX, 1, 8, true},
	{"[a.b.c.d.e.f.g.h.i]\na.b.c.d.e.f.g.h.i = 1\n", 0, OM_ERR_TOML_DEPTH, 2, 15, false},
	{"[a\nb = 1\n", 0, OM_ERR_TOML_SYNTAX, 1, 3, true},
	{"[a]]\n", 0, OM_ERR_TOML_SYNTAX, 1, 4, true},
	{"\"\"\"a\"\"\" = 1\n", 0, OM_ERR_TOML_SYNTAX, 1, 1, true},
	{"a = \"\0\"\n", 8, OM_ERR_TOML_CONTROL, 1, 6, true},
	{"a = 1\n# \x7f\n", 0, OM_ERR_TOML_CONTROL, 2, 3, true},
	{"a = 1\rb = 2\n", 0, OM_ERR_TOML_CONTROL, 1, 6, true},
	{"a = '\xc0\x80'", 0, OM_ERR_TOML_UTF8, 1, 6, false},
	{"a = '\xed\xa0\x80'", 0, OM_ERR_TOML_UTF8, 1, 6, false},
	{"a = '\xf4\x90\x80\x80'", 0, OM_ERR_TOML_UTF8, 1, 6, false},
	{"a = 1 # \xe2\x82", 0, OM_ERR_TOML_UTF8, 1, 9, false},
	{"\xff\xfe\x61", 0, OM_ERR_TOML_UTF8, 1, 1, true},
	{"a = 1\n\xef\xbb\xbf"
	 "b = 1\n",
	 0, OM_ERR_TOML_SYNTAX, 2, 1, true},
};

static void names_each_fault(void **state)
{
	struct om_toml_limits limits = om_toml_limits_manifest();

	for (size_t i = 0; i < OM_ARRAY_LEN(bads); i++) {
		const struct bad *b = &bads[i];
		struct om_diags diags;
		struct om_toml *doc;
		const struct om_diag *d;

		parse_n(b->text, b->len ? b->len : strlen(b->text), &limits, &doc, &diags);
		if (!diags.count)
			fail_msg("case %zu is accepted: %s", i, b->text);
		d = diags.items;
		if (d->id != b->id || d->pos.line != b->line || d->pos.col != b->col ||
		    (d->hint[0] != '\0') != b->has_hint)
			fail_msg("case %zu: OM%d at %u:%u, hint '%s': %s", i, (int)d->id,
				 d->pos.line, d->pos.col, d->hint, b->text);
		om_diags_done(&diags);
	}
}

static void shows_several_faults_without_a_cascade(void **state)
{
	static const char text[] = "[a]\n"
				   "x = api\n"
				   "y = [ 1 2,\n"
				   "  \"k = v\",\n"
				   "  3,\n"
				   "]\n"
				   "[broken\n"
				   "x = 1\n"
				   "z = \"\\q \\w\"\n"
				   "[b]\n"
				   "x = 99999999999999999999\n"
				   "x = 2\n"
				   "w = [ 1,\n"
				   "[c]\n"
				   "ok = 1\n"
				   "[a]\n";
	static const uint32_t expected[][3] = {
		{OM_ERR_TOML_SYNTAX, 2, 5},	{OM_ERR_TOML_SYNTAX, 3, 9},
		{OM_ERR_TOML_SYNTAX, 7, 8},	{OM_ERR_TOML_STRING, 9, 6},
		{OM_ERR_TOML_STRING, 9, 9},	{OM_ERR_TOML_RANGE, 11, 5},
		{OM_ERR_TOML_DUPLICATE, 12, 1}, {OM_ERR_TOML_SYNTAX, 14, 2},
		{OM_ERR_TOML_DUPLICATE, 16, 2},
	};
	struct om_toml_limits limits = om_toml_limits_manifest();
	struct om_diags diags;
	struct om_toml *doc;

	parse_n(text, sizeof(text) - 1, &limits, &doc, &diags);
	om_diags_sort(&diags);
	for (uint32_t i = 0; i < diags.count; i++)
		print_message("# %u:%u %s\n", diags.items[i].pos.line, diags.items[i].pos.col,
			      diags.items[i].message);
	assert_int_equal(diags.count, OM_ARRAY_LEN(expected));
	for (uint32_t i = 0; i < diags.count; i++) {
		assert_int_equal(diags.items[i].id, expected[i][0]);
		assert_int_equal(diags.items[i].pos.line, expected[i][1]);
		assert_int_equal(diags.items[i].pos.col, expected[i][2]);
	}
	om_diags_done(&diags);
}

static void keys_behind_a_broken_header_belong_to_no_table(void **state)
{
	static const char text[] = "[a]\nx = 1\n[broken\nx = 1\n[b]\n[[a]\nx = 2\n";
	struct om_toml_limits limits = om_toml_limits_manifest();
	struct om_diags diags;
	struct om_toml *doc;

	parse_n(text, sizeof(text) - 1, &limits, &doc, &diags);
	assert_int_equal(diags.count, 2);
	om_diags_done(&diags);
}

/* Text is PREFIX, N times MIDDLE (its %zu, if any, is a running number), SUFFIX. */
static char *repeat(const char *prefix, const char *middle, const char *suffix, size_t n,
		    size_t *len)
{
	size_t each = strlen(middle) + 20;
	char *text = malloc(strlen(prefix) + n * each + strlen(suffix) + 1), *p = text;
	const char *hole = strchr(middle, '%');

	assert_non_null(text);
	p = stpcpy(p, prefix);
	for (size_t i = 0; i < n; i++) {
		p = mempcpy(p, middle, hole ? (size_t)(hole - middle) : strlen(middle));
		if (hole) {
			p += sprintf(p, "%zu", i);
			p = stpcpy(p, hole + 1);
		}
	}
	p = stpcpy(p, suffix);
	*len = (size_t)(p - text);
	return text;
}

static enum om_err_id first_id(const char *prefix, const char *middle, const char *suffix, size_t n,
			       uint32_t *col)
{
	struct om_toml_limits limits = om_toml_limits_manifest();
	enum om_err_id id = OM_ERR_NONE;
	struct om_diags diags;
	struct om_toml *doc;
	size_t len;
	char *text = repeat(prefix, middle, suffix, n, &len);

	if (parse_n(text, len, &limits, &doc, &diags) < 0) {
		id = diags.items[0].id;
		*col = diags.items[0].pos.col;
		assert_int_equal(diags.count, 1);
	}
	om_toml_free(doc);
	om_diags_done(&diags);
	free(text);
	return id;
}

static void holds_its_limits(void **state)
{
	uint32_t col = 0;

	assert_int_equal(first_id("a = ", "[", "", OM_MANIFEST_DEPTH_MAX + 1, &col),
			 OM_ERR_TOML_DEPTH);
	assert_int_equal(col, 5 + OM_MANIFEST_DEPTH_MAX);
	assert_int_equal(first_id("a = ", "{a=", "1", 100, &col), OM_ERR_TOML_DEPTH);
	assert_int_equal(first_id("a = ", "[", "", 200000, &col), OM_ERR_TOML_DEPTH);
	assert_int_equal(first_id("", "a.", "a = 1", OM_MANIFEST_DEPTH_MAX, &col), OM_ERR_NONE);
	assert_int_equal(first_id("", "a.", "a = 1", OM_MANIFEST_DEPTH_MAX + 1, &col),
			 OM_ERR_TOML_DEPTH);
	assert_int_equal(first_id("[", "a.", "a]", OM_MANIFEST_DEPTH_MAX - 1, &col), OM_ERR_NONE);
	assert_int_equal(first_id("[", "a.", "a]", 20, &col), OM_ERR_TOML_DEPTH);
	assert_int_equal(first_id("", "k% = 1\n", "", OM_MANIFEST_KEYS_MAX, &col), OM_ERR_NONE);
	assert_int_equal(first_id("", "k% = 1\n", "", OM_MANIFEST_KEYS_MAX + 1, &col),
			 OM_ERR_TOML_KEYS);
	assert_int_equal(first_id("#", "x", "\n", OM_MANIFEST_BYTES_MAX - 2, &col), OM_ERR_NONE);
	assert_int_equal(first_id("#\n", "x", "\n", OM_MANIFEST_BYTES_MAX + 1024, &col),
			 OM_ERR_TOML_SIZE);
	assert_int_equal(col, OM_MANIFEST_BYTES_MAX - 1);
}

static void bounds_findings(void **state)
{
	struct om_toml_limits limits = om_toml_limits_manifest();
	struct om_diags diags;
	struct om_toml *doc;
	size_t len;
	char *text = repeat("", "a = ?\n", "", 20000, &len);

	parse_n(text, len, &limits, &doc, &diags);
	assert_int_equal(diags.errors, 20000);
	assert_true(diags.count <= OM_DIAG_MAX);
	assert_int_equal(diags.count + diags.dropped, 20000);
	om_diags_done(&diags);
	free(text);
}

static uint64_t work_of(const char *prefix, const char *middle, const char *suffix, size_t n,
			size_t *len)
{
	uint64_t work = 0;
	struct om_toml_limits limits = {1u << 24, 512, UINT32_MAX, &work};
	struct om_diags diags;
	struct om_toml *doc;
	char *text = repeat(prefix, middle, suffix, n, len);

	parse_n(text, *len, &limits, &doc, &diags);
	om_toml_free(doc);
	om_diags_done(&diags);
	free(text);
	return work;
}

static const char *const shapes[][3] = {
	{"a = [", "1,", "]"},
	{"a = [", "{},", "]"},
	{"a = [\n", "[],\n", "]"},
	{"", "k% = 1\n", ""},
	{"", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa% = 1\n", ""},
	{"a = {", "k% = 1, ", "z=1}"},
	{"", "a.k%.b.c = 1\n", ""},
	{"", "a.a.a.a = 1\n", ""},
	{"", "[[a]]\n", ""},
	{"", "[[a]]\n[a.b]\n", ""},
	{"", "[a.b.c.k%]\n", ""},
	{"", "[a]\n", ""},
	{"", "[a\n", ""},
	{"", "a = [\n", ""},
	{"a = [\n", "1,\n", "b = 1\n"},
	{"a = [\n", "1,\n", ""},
	{"", "a = [[[[[[[[\n", ""},
	{"", "a = \"x\\\n", ""},
	{"", "a = \"\"\"x\n", ""},
	{"a = \"\"\"", "\"\" ", ""},
	{"a = \"\"\"", "\\\n", ""},
	{"a = \"\"\"", "\\ ", "x\"\"\""},
	{"a = \"", "\\u00e9", "\""},
	{"a = '''", "''x\n", "'''"},
	{"", "#\n", ""},
	{"a = ", "1", ""},
	{"a = 0.", "1", "e-5"},
	{"a = 1_", "1_", "1"},
	{"", "a = 1979-05-27 \n", ""},
	{"x x\n", "\"a = \n", ""},
	{"x x\n", "[\"a = ]\n", ""},
	{"", "a", " = 1"},
	{"", " ", ""},
	{"", "\x01", ""},
};

/*
 * Steps, not time: twice the input takes at most a little more than twice the steps (arrays copy when
 * they grow, so a doubling may fall on either side), and no shape takes more than 16 steps a byte.
 */
static void work_is_linear(void **state)
{
	for (size_t i = 0; i < OM_ARRAY_LEN(shapes); i++) {
		const char *const *s = shapes[i];
		size_t len1, len2, n = 128 * 1024 / (strlen(s[1]) + 3);
		uint64_t one = work_of(s[0], s[1], s[2], n, &len1);
		uint64_t two = work_of(s[0], s[1], s[2], 2 * n, &len2);

		if (two > 2 * one + one / 2 + 1000 || two > 16 * len2)
			fail_msg("shape %zu '%s': %zu bytes take %lu steps, %zu take %lu", i, s[1],
				 len1, (unsigned long)one, len2, (unsigned long)two);
	}
}

/*
 * The worst keys for a crit-bit tree: each differs from all longer ones in its last byte only, so that
 * the path to the longest has a branch for each. A short key must not be led down all of it.
 */
static void keys_made_to_collide_stay_linear(void **state)
{
	uint64_t work = 0;
	struct om_toml_limits limits = {1u << 24, 16, UINT32_MAX, &work};
	enum { CHAIN = 500, PROBES = 40000 };
	char *text = malloc(CHAIN * (CHAIN + 8) + PROBES * 16), *p = text;
	struct om_diags diags;
	struct om_toml *doc;

	assert_non_null(text);
	for (size_t i = 1; i <= CHAIN; i++) {
		memset(p, 'a', i);
		p = stpcpy(p + i, "b=1\n");
	}
	for (size_t i = 0; i < PROBES; i++)
		p += sprintf(p, "b%zu=1\n", i);
	assert_int_equal(parse_n(text, (size_t)(p - text), &limits, &doc, &diags), 0);
	assert_true(work <= 16 * (uint64_t)(p - text));
	assert_int_equal(om_toml_root(doc)->table.count, CHAIN + PROBES);
	work = 0;
	assert_null(om_toml_lookup(om_toml_root(doc), "aa", 2, &work));
	assert_true(work <= 9 * 3);
	om_toml_free(doc);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keeps_positions),
		cmocka_unit_test(a_later_header_defines_the_table),
		cmocka_unit_test(keeps_order_and_finds_any_key),
		cmocka_unit_test(reads_numbers),
		cmocka_unit_test(reads_dates_and_times),
		cmocka_unit_test(reads_strings),
		cmocka_unit_test(names_each_fault),
		cmocka_unit_test(shows_several_faults_without_a_cascade),
		cmocka_unit_test(keys_behind_a_broken_header_belong_to_no_table),
		cmocka_unit_test(holds_its_limits),
		cmocka_unit_test(bounds_findings),
		cmocka_unit_test(work_is_linear),
		cmocka_unit_test(keys_made_to_collide_stay_linear),
	};

	return cmocka_run_group_tests_name("toml", tests, NULL, NULL);
}
