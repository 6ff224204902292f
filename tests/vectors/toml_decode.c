/*
 * toml-decode: the decoder that toml-test runs.
 *
 * Comes in: TOML on standard input. Goes out: tagged JSON on standard output and exit 0, or the findings
 * on standard error and exit 1. Called by: tests, and toml-test itself. Never does: apply a manifest's
 * limits where plain TOML has none, except to bound memory and stack.
 */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "policies/manifest/toml.h"

#define INPUT_MAX (16u * 1024u * 1024u)

static void put_string(struct om_toml_str s)
{
	putchar('"');
	for (size_t i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.ptr[i];

		if (c == '"' || c == '\\')
			printf("\\%c", c);
		else if (c < 0x20 || c == 0x7f)
			printf("\\u%04x", c);
		else
			putchar(c);
	}
	putchar('"');
}

/* The shortest of the forms that read back as the same value. */
static void put_float(double v)
{
	char text[40];

	if (isnan(v) || isinf(v)) {
		printf("%s", isnan(v) ? "nan" : v < 0 ? "-inf" : "inf");
		return;
	}
	for (int digits = 15; digits <= 17; digits++) {
		snprintf(text, sizeof(text), "%.*g", digits, v);
		if (strtod(text, NULL) == v)
			break;
	}
	printf("%s", text);
}

static void put_fraction(uint32_t ns)
{
	if (ns == 0)
		return;
	if (ns % 1000000 == 0)
		printf(".%03" PRIu32, ns / 1000000);
	else if (ns % 1000 == 0)
		printf(".%06" PRIu32, ns / 1000);
	else
		printf(".%09" PRIu32, ns);
}

static void put_datetime(const struct om_toml_node *n)
{
	const struct om_toml_datetime *t = &n->datetime;
	int offset = t->offset_minutes;

	if (n->type != OM_TOML_LOCAL_TIME)
		printf("%04u-%02u-%02u", t->year, t->month, t->day);
	if (n->type == OM_TOML_LOCAL_DATE)
		return;
	if (n->type != OM_TOML_LOCAL_TIME)
		putchar('T');
	printf("%02u:%02u:%02u", t->hour, t->minute, t->second);
	put_fraction(t->nanosecond);
	if (n->type != OM_TOML_OFFSET_DATETIME)
		return;
	if (offset == 0)
		putchar('Z');
	else
		printf("%c%02d:%02d", offset < 0 ? '-' : '+', abs(offset) / 60, abs(offset) % 60);
}

static void put_value(const struct om_toml_node *n);

static void put_scalar(const struct om_toml_node *n)
{
	static const char *const tags[] = {
		[OM_TOML_STRING] = "string",
		[OM_TOML_INTEGER] = "integer",
		[OM_TOML_FLOAT] = "float",
		[OM_TOML_BOOL] = "bool",
		[OM_TOML_OFFSET_DATETIME] = "datetime",
		[OM_TOML_LOCAL_DATETIME] = "datetime-local",
		[OM_TOML_LOCAL_DATE] = "date-local",
		[OM_TOML_LOCAL_TIME] = "time-local",
	};

	printf("{\"type\": \"%s\", \"value\": ", tags[n->type]);
	if (n->type == OM_TOML_STRING) {
		put_string(n->string);
	} else {
		putchar('"');
		if (n->type == OM_TOML_INTEGER)
			printf("%" PRId64, n->integer);
		else if (n->type == OM_TOML_FLOAT)
			put_float(n->real);
		else if (n->type == OM_TOML_BOOL)
			printf("%s", n->boolean ? "true" : "false");
		else
			put_datetime(n);
		putchar('"');
	}
	putchar('}');
}

static void put_value(const struct om_toml_node *n)
{
	const char *separator = "";

	if (n->type == OM_TOML_ARRAY) {
		putchar('[');
		for (uint32_t i = 0; i < n->array.count; i++) {
			printf("%s", separator);
			put_value(n->array.items[i]);
			separator = ", ";
		}
		putchar(']');
	} else if (n->type == OM_TOML_TABLE) {
		putchar('{');
		om_toml_for_each(e, n)
		{
			printf("%s", separator);
			put_string(e->key);
			printf(": ");
			put_value(e->value);
			separator = ", ";
		}
		putchar('}');
	} else {
		put_scalar(n);
	}
}

static char *read_all(size_t *len)
{
	char *data = malloc(INPUT_MAX + 1);

	if (!data)
		return NULL;
	*len = fread(data, 1, INPUT_MAX + 1, stdin);
	if (ferror(stdin)) {
		free(data);
		return NULL;
	}
	return data;
}

int main(void)
{
	struct om_toml_limits limits = {INPUT_MAX, OM_TOML_DEPTH_CAP, UINT32_MAX, NULL};
	OM_CLEANUP(om_toml_freep) struct om_toml *doc = NULL;
	OM_CLEANUP(om_diags_done) struct om_diags diags;
	OM_CLEANUP(om_free_ptr) char *data = NULL;
	struct om_err err;
	char code[8];
	size_t len = 0;

	om_diags_init(&diags);
	data = read_all(&len);
	if (!data) {
		perror("toml-decode: standard input");
		return 2;
	}
	if (om_toml_parse_limited(data, len, &limits, &doc, &diags, &err) < 0) {
		om_diags_sort(&diags);
		for (uint32_t i = 0; i < diags.count; i++) {
			const struct om_diag *d = &diags.items[i];

			fprintf(stderr, "%u:%u: error[%s]: %s%s%s\n", d->pos.line, d->pos.col,
				om_err_code(d->id, code), d->message, *d->hint ? "; " : "",
				d->hint);
		}
		if (!diags.count)
			fprintf(stderr, "toml-decode: %s\n", err.text);
		return 1;
	}
	put_value(om_toml_root(doc));
	putchar('\n');
	return fflush(stdout) == 0 && !ferror(stdout) ? 0 : 2;
}
