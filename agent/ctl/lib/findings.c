/*
 * Findings as text, with the source line and what to underline, and as JSON.
 *
 *     brane.toml:12:1: error[OM1203]: unknown key 'egres' in [brane.api.network]
 *        12 | egres = ["api.github.com:443"]
 *           | ^^^^^ did you mean 'egress'?
 *
 * Comes in: findings and the text they are about. Goes out: lines. Called by: lint, apply and whoever
 * else compiles. Never does: print the manifest's bytes raw.
 */
#include <errno.h>
#include <string.h>
#include "agent/ctl/lib/out.h"
#include "agent/ctl/lib/source.h"

#define SHOWN_MAX 160u /* bytes of a source line that are shown, around the finding */

static const char *const severities[] = {"error", "warning", "note"};

struct finding {
	const char *name;
	unsigned int severity; /* enum om_severity */
	const char *code;
	struct om_pos pos;
	const char *message, *hint;
};

static bool find_line(const char *data, size_t len, uint32_t line, const char **start, size_t *n)
{
	const char *p = data, *end = data + len, *nl;

	for (uint32_t i = 1; i < line; i++) {
		nl = memchr(p, '\n', (size_t)(end - p));
		if (!nl)
			return false;
		p = nl + 1;
	}
	nl = memchr(p, '\n', (size_t)(end - p));
	*start = p;
	*n = nl ? (size_t)(nl - p) : (size_t)(end - p);
	if (*n && p[*n - 1] == '\r')
		(*n)--;
	return true;
}

/* Blanks for tabs, so that what is underlined stands below what it is about. */
static size_t put_source(FILE *f, const char *p, size_t len)
{
	size_t columns = 0;

	while (len) {
		const char *tab = memchr(p, '\t', len);
		size_t n = tab ? (size_t)(tab - p) : len;

		columns += om_ctl_put(f, p, n);
		if (tab) {
			fputs("    ", f);
			columns += 4;
			n++;
		}
		p += n;
		len -= n;
	}
	return columns;
}

static void put_excerpt(FILE *f, const struct finding *d, const char *data, size_t len, bool color)
{
	const char *line;
	size_t n, from = 0, col, span, before, mark;

	if (!d->pos.line || !find_line(data, len, d->pos.line, &line, &n)) {
		if (d->hint[0])
			fprintf(f, "      = %s\n", d->hint);
		return;
	}
	col = OM_MIN(d->pos.col ? d->pos.col - 1 : 0, n);
	/* A very long line: only what is around the finding, from the start of a character. */
	if (n > SHOWN_MAX && col > SHOWN_MAX / 2) {
		from = col - SHOWN_MAX / 2;
		while (from < col && ((unsigned char)line[from] & 0xc0) == 0x80)
			from++;
	}
	span = OM_MIN(OM_MAX(d->pos.len, 1u), n > col ? n - col : 1);
	n = OM_MIN(n - from, SHOWN_MAX);
	span = col - from + span > n ? (n > col - from ? n - (col - from) : 1) : span;
	fprintf(f, "%5u | ", d->pos.line);
	before = put_source(f, line + from, col - from);
	mark = n > col - from ? put_source(f, line + col, span) : 1;
	if (n > col - from + span)
		put_source(f, line + col + span, n - (col - from) - span);
	fprintf(f, "\n      | %*s%s", (int)before, "", om_ctl_color(color, CTL_GREEN));
	for (size_t i = 0; i < OM_MAX(mark, 1u); i++)
		fputc('^', f);
	if (d->hint[0]) {
		fputc(' ', f);
		om_ctl_put(f, d->hint, strlen(d->hint));
	}
	fprintf(f, "%s\n", om_ctl_uncolor(color));
}

static void put_finding(FILE *f, const struct finding *d, const char *data, size_t len, bool color)
{
	unsigned int sev = OM_MIN(d->severity, OM_ARRAY_LEN(severities) - 1);

	om_ctl_put(f, d->name, strlen(d->name));
	if (d->pos.line)
		fprintf(f, ":%u:%u", d->pos.line, d->pos.col);
	fprintf(f, ": %s%s[%s]%s: ", om_ctl_color(color, sev ? CTL_YELLOW : CTL_RED),
		severities[sev], d->code, om_ctl_uncolor(color));
	om_ctl_put(f, d->message, strlen(d->message));
	fputc('\n', f);
	put_excerpt(f, d, data, len, color);
}

void om_source_print(const struct om_ctl *ctl, const struct om_source *s, FILE *f, bool color)
{
	for (uint32_t i = 0; i < s->diags.count; i++) {
		const struct om_diag *d = &s->diags.items[i];
		char code[8];
		struct finding one = {.name = s->name,
				      .severity = d->severity,
				      .code = om_err_code(d->id, code),
				      .pos = d->pos,
				      .message = d->message,
				      .hint = d->hint};

		put_finding(f, &one, s->data, s->len, color);
	}
	if (s->diags.dropped)
		fprintf(f, "%s: %u more findings are not shown\n", s->name, s->diags.dropped);
}

void om_findings_print(const json_t *findings, const char *name, const char *data, size_t len,
		       FILE *f, bool color)
{
	const json_t *one;
	size_t i;

	json_array_foreach (findings, i, one) {
		const char *sev = om_json_text(one, "severity", "error");
		struct finding d = {
			.name = name,
			.severity = OM_SEV_NOTE,
			.code = om_json_text(one, "id", "OM1000"),
			.pos = {(uint32_t)om_json_number(one, "line", 0),
				(uint32_t)om_json_number(one, "col", 0),
				(uint32_t)om_json_number(one, "len", 0)},
			.message = om_json_text(one, "message", ""),
			.hint = om_json_text(one, "hint", ""),
		};

		for (unsigned int k = 0; k < OM_ARRAY_LEN(severities); k++)
			if (strcmp(sev, severities[k]) == 0)
				d.severity = k;
		/* Warnings came from the same compiler here, and were printed already. */
		if (d.severity == OM_SEV_ERROR)
			put_finding(f, &d, data, len, color);
	}
}

int om_source_json(const struct om_source *s, json_t *list)
{
	for (uint32_t i = 0; i < s->diags.count; i++) {
		const struct om_diag *d = &s->diags.items[i];
		char code[8];
		json_t *one = json_pack(
			"{s:s,s:s,s:o,s:i,s:i,s:i,s:o,s:o}", "severity", severities[d->severity],
			"id", om_err_code(d->id, code), "file", om_ctl_json_text(s->name), "line",
			(int)d->pos.line, "col", (int)d->pos.col, "len", (int)d->pos.len, "message",
			om_ctl_json_text(d->message), "hint", om_ctl_json_text(d->hint));

		if (json_array_append_new(list, one) < 0)
			return -ENOMEM;
	}
	return 0;
}
