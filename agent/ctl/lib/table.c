/*
 * Tables, and the little that JSON output needs over jansson.
 *
 * Comes in: rows of texts; values. Goes out: aligned columns; JSON. Called by: the verbs. Never does:
 * cut a cell: what does not fit the terminal wraps, because half a path is another path.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include "agent/ctl/lib/out.h"

static void add(struct om_table *t, const char *text)
{
	if (t->count == t->cap) {
		uint32_t cap = t->cap ? t->cap * 2 : 64;
		char **grown = reallocarray(t->cells, cap, sizeof(*grown));

		if (!grown) {
			t->failed = true;
			return;
		}
		t->cells = grown;
		t->cap = cap;
	}
	t->cells[t->count] = om_ctl_clean(text && *text ? text : "-");
	if (!t->cells[t->count]) {
		t->failed = true;
		return;
	}
	t->count++;
}

void om_table_init(struct om_table *t, const char *const *heads, uint32_t columns)
{
	*t = (struct om_table){.columns = OM_MIN(columns, CTL_COLUMNS_MAX)};
	om_table_row(t, heads);
}

void om_table_done(struct om_table *t)
{
	for (uint32_t i = 0; i < t->count; i++)
		free(t->cells[i]);
	free(t->cells);
	*t = (struct om_table){0};
}

void om_table_row(struct om_table *t, const char *const *cells)
{
	for (uint32_t i = 0; i < t->columns && !t->failed; i++)
		add(t, cells[i]);
}

/* Characters, not bytes: continuation bytes take no column. */
static size_t width(const char *s)
{
	size_t n = 0;

	for (; *s; s++)
		n += ((unsigned char)*s & 0xc0) != 0x80;
	return n;
}

int om_table_print(const struct om_ctl *ctl, const struct om_table *t, struct om_err *err)
{
	size_t wide[CTL_COLUMNS_MAX] = {0};

	if (t->failed)
		return om_err_set(err, OM_ERR_NOMEM, -ENOMEM, "no memory for the table");
	for (uint32_t i = 0; i < t->count; i++)
		wide[i % t->columns] = OM_MAX(wide[i % t->columns], width(t->cells[i]));
	for (uint32_t i = 0; i < t->count; i++) {
		uint32_t col = i % t->columns;
		bool last = col + 1 == t->columns;
		size_t pad = wide[col] - width(t->cells[i]);

		if (i < t->columns)
			printf("%s%s%s", om_ctl_color(ctl->color_out, CTL_BOLD), t->cells[i],
			       om_ctl_uncolor(ctl->color_out));
		else
			fputs(t->cells[i], stdout);
		if (last)
			putchar('\n');
		else
			printf("%*s", (int)pad + 2, "");
	}
	return 0;
}

int om_ctl_json(json_t *v, bool line, struct om_err *err)
{
	int ret;

	if (!v)
		return om_err_set(err, OM_ERR_NOMEM, -ENOMEM, "no memory for the output");
	ret = json_dumpf(v, stdout, (line ? JSON_COMPACT : JSON_INDENT(2)) | JSON_ENSURE_ASCII);
	json_decref(v);
	putchar('\n');
	if (ret < 0)
		return om_err_set(err, OM_ERR_IO, -EIO, "cannot write the output");
	return 0;
}

json_t *om_ctl_json_new(void)
{
	return json_pack("{s:i}", "v", 1);
}

json_t *om_ctl_json_u64(uint64_t v)
{
	char buf[24];

	snprintf(buf, sizeof(buf), "%" PRIu64, v);
	return json_string(buf);
}

json_t *om_ctl_json_text(const char *text)
{
	OM_CLEANUP(om_free_ptr) char *clean = NULL;
	json_t *v;

	if (!text)
		return json_null();
	v = json_string(text);
	if (v)
		return v;
	clean = om_ctl_clean(text);
	return clean ? json_string(clean) : NULL;
}

const char *om_json_text(const json_t *o, const char *key, const char *dflt)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s ? s : dflt;
}

int64_t om_json_number(const json_t *o, const char *key, int64_t dflt)
{
	const json_t *v = json_object_get(o, key);
	const char *s = json_string_value(v);
	char *end;
	long long n;

	if (json_is_integer(v))
		return json_integer_value(v);
	if (!s || !*s)
		return dflt;
	errno = 0;
	n = strtoll(s, &end, 10);
	return *end || errno ? dflt : n;
}
