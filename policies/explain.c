/*
 * The text of `omegactl explain`: made from the descriptors, so it cannot lag behind them.
 *
 * Comes in: a topic. Goes out: text. Called by: omegactl, tests. Never does: print.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <omega/cap.h>

#define WORDS_MAX 256

const char *om_field_type_name(enum om_field_type type)
{
	switch (type) {
	case OM_FIELD_STRING:
		return "string";
	case OM_FIELD_WORD:
		return "word";
	case OM_FIELD_BOOL:
		return "true or false";
	case OM_FIELD_INT:
		return "integer";
	case OM_FIELD_SIZE:
		return "size with unit";
	case OM_FIELD_RATE:
		return "rate with unit";
	case OM_FIELD_CPU:
		return "cores";
	case OM_FIELD_STRINGS:
		return "array of strings";
	case OM_FIELD_WORDS:
		return "array of words";
	case OM_FIELD_INTS:
		return "array of integers";
	case OM_FIELD_MIXED:
		return "array of strings or tables";
	case OM_FIELD_TABLES:
		return "array of tables";
	case OM_FIELD_TABLE:
		return "table";
	case OM_FIELD_MAP:
		return "table of strings";
	case OM_FIELD_NAMED:
		return "tables by name";
	}
	return "value";
}

static void put_layers(FILE *f, const struct om_cap *cap)
{
	static const char *const names[] = {"process", "kernel", "network"};

	if (cap->missing)
		fprintf(f, "  not built: it needs %s\n", cap->missing);
	if (!cap->layers)
		return;
	fprintf(f, "  enforced by:");
	for (size_t i = 0; i < OM_ARRAY_LEN(names); i++)
		if (cap->layers & (1u << i))
			fprintf(f, " %s", names[i]);
	fprintf(f, "\n");
}

static void put_field(FILE *f, const struct om_field *field, int indent)
{
	fprintf(f, "%*s%s  <%s>%s\n", indent, "", field->key, om_field_type_name(field->type),
		field->required ? "  required" : "");
	fprintf(f, "%*s%s\n", indent + 4, "", field->doc);
	if (field->words) {
		fprintf(f, "%*sone of:", indent + 4, "");
		for (const char *const *w = field->words; *w; w++)
			fprintf(f, " %s", *w);
		fprintf(f, "\n");
	}
	if (field->max && (field->type == OM_FIELD_INT || field->type == OM_FIELD_INTS))
		fprintf(f, "%*sfrom %llu to %llu\n", indent + 4, "", (unsigned long long)field->min,
			(unsigned long long)field->max);
	fprintf(f, "%*sdefault: %s\n", indent + 4, "", field->dflt ? field->dflt : "nothing");
	if (field->example)
		fprintf(f, "%*sexample: %s = %s\n", indent + 4, "", field->key, field->example);
	if (field->missing)
		fprintf(f, "%*snot built: it needs %s\n", indent + 4, "", field->missing);
	for (const struct om_field *sub = field->fields; sub && sub->key; sub++)
		put_field(f, sub, indent + 4);
}

static void put_cap(FILE *f, const struct om_cap *cap)
{
	fprintf(f, "%s - %s\n", cap->name, cap->summary);
	fprintf(f, "  table: [brane.NAME%s%s]\n", cap->table[0] ? "." : "", cap->table);
	put_layers(f, cap);
	if (cap->explain)
		fprintf(f, "\n%s\n", cap->explain);
	fprintf(f, "\n");
	for (const struct om_field *field = cap->fields; field->key; field++)
		put_field(f, field, 2);
}

/* A capability, a table or a field; false if TOPIC is none of them. */
static bool put_topic(FILE *f, const char *topic)
{
	const struct om_cap *cap = om_registry_find(topic);
	const struct om_field *field;
	bool found = false;

	if (!topic[0]) {
		for (uint32_t i = 0; (cap = om_registry_at(i)); i++)
			fprintf(f, "%-12s %s%s\n", cap->name, cap->summary,
				cap->missing ? " (not built)" : "");
		return true;
	}
	/* A table may be shared: show every capability that stands in it. */
	for (uint32_t i = 0; i < om_registry_count(); i++) {
		const struct om_cap *other = om_registry_at(i);

		if (other != cap && strcmp(other->table, topic) != 0)
			continue;
		if (found)
			fprintf(f, "\n");
		put_cap(f, other);
		found = true;
	}
	field = found ? NULL : om_registry_field(topic, &cap);
	if (!field)
		return found;
	fprintf(f, "[brane.NAME%s%s]\n", cap->table[0] ? "." : "", cap->table);
	put_field(f, field, 2);
	put_layers(f, cap);
	return true;
}

static int unknown(const char *topic, struct om_err *err)
{
	const char *words[WORDS_MAX], *near;
	const char *dot = strrchr(topic, '.');
	const struct om_cap *cap;
	size_t n = 0;

	for (uint32_t i = 0; (cap = om_registry_at(i)); i++) {
		if (n < WORDS_MAX)
			words[n++] = cap->name;
		for (const struct om_field *f = cap->fields; f->key && n < WORDS_MAX; f++)
			words[n++] = f->key;
	}
	near = om_nearest(dot ? dot + 1 : topic, words, n);
	return om_err_set(err, OM_ERR_USAGE, -ENOENT, "no capability or field '%s'%s%s%s", topic,
			  near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
}

int om_cap_explain(const char *topic, char **text, struct om_err *err)
{
	OM_CLEANUP(om_free_ptr) char *buf = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&buf, &len);
	bool found;
	int bad;

	*text = NULL;
	if (!f)
		return om_err_set(err, OM_ERR_NOMEM, -ENOMEM, "no memory to explain");
	found = put_topic(f, topic);
	bad = ferror(f);
	if (fclose(f) != 0 || bad)
		return om_err_set(err, OM_ERR_NOMEM, -ENOMEM, "no memory to explain");
	if (!found)
		return unknown(topic, err);
	*text = OM_STEAL_PTR(buf);
	return 0;
}
