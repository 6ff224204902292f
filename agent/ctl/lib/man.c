/*
 * Man pages as troff.
 *
 * Comes in: tables. Goes out: troff, byte for byte the same for the same tables. Called by: `omegactl
 * help man PAGE`, which the build uses. Never does: carry a date, which would change with every build.
 */
#include <string.h>
#include <omega/cap.h>
#include <omega/version.h>
#include "agent/ctl/lib/man.h"

static void put(FILE *f, const char *text)
{
	bool start = true;

	for (const char *p = text; *p; p++) {
		/* A dot or quote at the start of a line would be a request. */
		if (start && (*p == '.' || *p == '\''))
			fputs("\\&", f);
		if (*p == '\\')
			fputs("\\e", f);
		else if (*p == '-')
			fputs("\\-", f);
		else
			fputc(*p, f);
		start = *p == '\n';
	}
}

void om_man_head(FILE *f, const char *title, int section, const char *name, const char *summary)
{
	fprintf(f, ".TH %s %d \"\" \"Omega %s\"\n.SH NAME\n", title, section, OM_VERSION);
	put(f, name);
	fprintf(f, " \\- ");
	put(f, summary);
	fprintf(f, "\n");
}

void om_man_section(FILE *f, const char *title)
{
	fprintf(f, ".SH \"%s\"\n", title);
}

void om_man_text(FILE *f, const char *text)
{
	fprintf(f, ".PP\n");
	put(f, text);
	fprintf(f, "\n");
}

void om_man_pair(FILE *f, const char *term, const char *text)
{
	fprintf(f, ".TP\n\\fB");
	put(f, term);
	fprintf(f, "\\fR\n");
	put(f, text);
	fprintf(f, "\n");
}

void om_man_more(FILE *f, const char *text)
{
	fprintf(f, ".IP\n");
	put(f, text);
	fprintf(f, "\n");
}

void om_man_options(FILE *f, const struct om_opt *opts)
{
	if (!opts)
		return;
	fprintf(f, ".RS\n");
	for (; opts->name; opts++) {
		char term[64];

		snprintf(term, sizeof(term), "%c%c%s--%s%s%s", opts->letter ? '-' : ' ',
			 opts->letter ? opts->letter : ' ', opts->letter ? ", " : "", opts->name,
			 opts->meta ? " " : "", opts->meta ? opts->meta : "");
		om_man_pair(f, term + (opts->letter ? 0 : 2), opts->doc);
	}
	fprintf(f, ".RE\n");
}

static void put_field(FILE *f, const struct om_field *field)
{
	char term[128];

	snprintf(term, sizeof(term), "%s  (%s%s)", field->key, om_field_type_name(field->type),
		 field->required ? ", required" : "");
	om_man_pair(f, term, field->doc);
	if (field->words) {
		fprintf(f, ".br\nOne of:");
		for (const char *const *w = field->words; *w; w++) {
			fputc(' ', f);
			put(f, *w);
		}
		fprintf(f, "\n");
	}
	fprintf(f, ".br\nDefault: ");
	put(f, field->dflt ? field->dflt : "nothing is granted");
	fprintf(f, "\n");
	if (field->example) {
		fprintf(f, ".br\nExample: ");
		put(f, field->key);
		put(f, " = ");
		put(f, field->example);
		fprintf(f, "\n");
	}
	if (field->missing) {
		fprintf(f, ".br\nNot built: needs ");
		put(f, field->missing);
		fprintf(f, "\n");
	}
	if (!field->fields)
		return;
	fprintf(f, ".RS\n");
	for (const struct om_field *sub = field->fields; sub->key; sub++)
		put_field(f, sub);
	fprintf(f, ".RE\n");
}

void om_man_manifest(FILE *f)
{
	const struct om_cap *cap;

	om_man_head(f, "BRANE.TOML", 5, "brane.toml", "what a workload is and what it is granted");
	om_man_section(f, "DESCRIPTION");
	om_man_text(f,
		    "TOML 1.0, read strictly: an unknown or duplicate key is an error. Grants only "
		    "ever add; what is not named is denied. One file may hold several branes, each "
		    "in a table [brane.NAME].");
	for (uint32_t i = 0; (cap = om_registry_at(i)); i++) {
		char title[128];

		snprintf(title, sizeof(title), "%s: [brane.NAME%s%s]", cap->name,
			 cap->table[0] ? "." : "", cap->table);
		om_man_section(f, title);
		om_man_text(f, cap->summary);
		if (cap->explain)
			om_man_text(f, cap->explain);
		if (cap->missing) {
			om_man_text(f, "Not built; every use is refused. It needs:");
			om_man_text(f, cap->missing);
		}
		for (const struct om_field *field = cap->fields; field->key; field++)
			put_field(f, field);
	}
	om_man_section(f, "SEE ALSO");
	om_man_text(f, "omegactl(1), omegad(8); omegactl explain CAPABILITY");
}
