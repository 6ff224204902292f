/*
 * Binding one value to one field.
 *
 * Comes in: a node of the TOML tree and the field it should be. Goes out: a value, or a finding
 * with what was found, what was expected and what to write. Called by: bind.c, and itself for what
 * is nested (no deeper than the field tables are, whatever the manifest does). Never does: convert
 * in silence.
 */
#include <stdio.h>
#include <string.h>

#include <policies/manifest/bind.h>
#include <policies/unit.h>

#define WORDS_MAX 64
/* Of a section's name in a finding: a longer one (free keys) is cut. */
#define SECTION_MAX 256

static const char *join(char buf[static SECTION_MAX], const char *section, const char *key)
{
	snprintf(buf, SECTION_MAX, "%.180s.%.60s", section, key);
	return buf;
}

static const char *key_of(const struct om_value *v, const struct om_field *f)
{
	return v->key ? v->key : f->key;
}

static void add(struct om_binder *b, enum om_err_id id, struct om_pos pos, const char *hint,
		const char *section, const char *key, const char *what)
{
	om_diag_add(b->diags, OM_SEV_ERROR, id, pos, hint, "'%.60s' in [%.90s] %s", key, section,
		    what);
}

static const char *example(const struct om_field *f, char *buf, size_t size)
{
	if (!f->example)
		return NULL;
	snprintf(buf, size, "write %s = %s", f->key, f->example);
	return buf;
}

/*
 * The field's own example is the remedy, so that what is printed always binds (a test proves it).
 */
static bool wrong_type(struct om_binder *b, const struct om_field *f, const char *section,
		       const struct om_toml_node *node, const struct om_value *out,
		       const char *want)
{
	char what[120], hint[200];

	snprintf(what, sizeof(what), "must be %s, found %s", want, om_toml_type_name(node->type));
	add(b, OM_ERR_BIND_TYPE, node->pos, example(f, hint, sizeof(hint)), section, key_of(out, f),
	    what);
	return false;
}

static bool bind_text(struct om_binder *b, const struct om_field *f, const char *section,
		      const struct om_toml_node *node, struct om_value *out, const char *want)
{
	if (node->type != OM_TOML_STRING)
		return wrong_type(b, f, section, node, out, want);
	/* The kernel would see the text cut at the NUL: another name than the one reviewed. */
	if (om_toml_str_has_nul(node->string)) {
		add(b, OM_ERR_BIND_VALUE, node->pos, "leave the \\u0000 out", section,
		    key_of(out, f), "has a NUL byte");
		return false;
	}
	out->text = node->string.ptr;
	return true;
}

static bool bind_word(struct om_binder *b, const struct om_field *f, const char *section,
		      const struct om_toml_node *node, struct om_value *out)
{
	char what[200], hint[100];
	const char *near;
	size_t n = 0, used;

	if (!bind_text(b, f, section, node, out, "a string"))
		return false;
	for (; f->words[n]; n++) {
		if (strcmp(out->text, f->words[n]) == 0) {
			out->num = n;
			return true;
		}
	}
	used = (size_t)snprintf(what, sizeof(what), "must be one of");
	for (size_t i = 0; i < n && used < sizeof(what); i++)
		used += (size_t)snprintf(what + used, sizeof(what) - used, "%s %s", i ? "," : "",
					 f->words[i]);
	if (used < sizeof(what))
		snprintf(what + used, sizeof(what) - used, "; found '%.40s'", out->text);
	/* The nearest word, or the first: an empty hint teaches nothing. */
	near = om_nearest(out->text, f->words, n);
	snprintf(hint, sizeof(hint), near ? "did you mean '%s'?" : "write %s = \"%s\"",
		 near ? near : f->key, f->words[0]);
	add(b, OM_ERR_BIND_VALUE, node->pos, hint, section, key_of(out, f), what);
	return false;
}

static bool in_range(struct om_binder *b, const struct om_field *f, const char *section,
		     const struct om_toml_node *node, const struct om_value *out)
{
	char what[120], hint[200];

	if ((f->min == 0 && f->max == 0) || (out->num >= f->min && out->num <= f->max))
		return true;
	snprintf(what, sizeof(what), "is %llu, must be from %llu to %llu%s",
		 (unsigned long long)out->num, (unsigned long long)f->min,
		 (unsigned long long)f->max,
		 f->type == OM_FIELD_SIZE   ? " bytes"
		 : f->type == OM_FIELD_RATE ? " bytes a second"
		 : f->type == OM_FIELD_CPU  ? " thousandths of a core"
					    : "");
	add(b, OM_ERR_BIND_RANGE, node->pos, example(f, hint, sizeof(hint)), section,
	    key_of(out, f), what);
	return false;
}

static bool bind_int(struct om_binder *b, const struct om_field *f, const char *section,
		     const struct om_toml_node *node, struct om_value *out)
{
	char hint[200];

	if (node->type != OM_TOML_INTEGER)
		return wrong_type(b, f, section, node, out, "an integer");
	if (node->integer < 0) {
		add(b, OM_ERR_BIND_RANGE, node->pos, example(f, hint, sizeof(hint)), section,
		    key_of(out, f), "is negative");
		return false;
	}
	out->num = (uint64_t)node->integer;
	return in_range(b, f, section, node, out);
}

static const char *unit_fault(enum om_unit_fault fault, enum om_field_type type)
{
	switch (fault) {
	case OM_UNIT_NO_NUMBER:
		return "does not begin with a number";
	case OM_UNIT_MISSING:
		return "has no unit";
	case OM_UNIT_UNKNOWN:
		return type == OM_FIELD_SIZE
			       ? "has an unknown unit; units are B kB MB GB KiB MiB GiB"
		       : type == OM_FIELD_RATE ? "has an unknown unit; units are KiB/s MiB/s kB/s "
						 "MB/s kbit/s Mbit/s Gbit/s"
					       : "must be cores (\"2\", \"1.5\") or thousandths "
						 "(\"500m\")";
	case OM_UNIT_RANGE:
	case OM_UNIT_OK:
		break;
	}
	return "is out of range";
}

static bool bind_unit(struct om_binder *b, const struct om_field *f, const char *section,
		      const struct om_toml_node *node, struct om_value *out)
{
	enum om_unit_fault fault;
	char hint[200];

	/* Whole cores are the one quantity that needs no unit. */
	if (node->type == OM_TOML_INTEGER && f->type == OM_FIELD_CPU && node->integer >= 0 &&
	    node->integer <= UINT32_MAX) {
		out->num = (uint64_t)node->integer * 1000;
		return in_range(b, f, section, node, out);
	}
	if (node->type == OM_TOML_INTEGER || node->type == OM_TOML_FLOAT) {
		add(b, OM_ERR_BIND_UNIT, node->pos, example(f, hint, sizeof(hint)), section,
		    key_of(out, f),
		    f->type == OM_FIELD_CPU ? "must be whole cores, or a string" : "has no unit");
		return false;
	}
	if (!bind_text(b, f, section, node, out, "a string with a unit"))
		return false;
	fault = f->type == OM_FIELD_SIZE   ? om_unit_size(out->text, &out->num)
		: f->type == OM_FIELD_RATE ? om_unit_rate(out->text, &out->num)
					   : om_unit_cpu(out->text, &out->num);
	if (fault == OM_UNIT_OK)
		return in_range(b, f, section, node, out);
	add(b, fault == OM_UNIT_RANGE ? OM_ERR_BIND_RANGE : OM_ERR_BIND_UNIT, node->pos,
	    example(f, hint, sizeof(hint)), section, key_of(out, f), unit_fault(fault, f->type));
	return false;
}

void om_bind_unknown(struct om_binder *b, const char *section, const struct om_toml_entry *e,
		     const char *const *words, size_t n)
{
	const char *near = om_nearest(e->key.ptr, words, n);
	char hint[256];
	size_t used;

	if (near) {
		snprintf(hint, sizeof(hint), "did you mean '%s'?", near);
	} else {
		used = (size_t)snprintf(hint, sizeof(hint),
					n ? "known here:" : "nothing is known here");
		for (size_t i = 0; i < n && used < sizeof(hint); i++)
			used += (size_t)snprintf(hint + used, sizeof(hint) - used, "%s %s",
						 i ? "," : "", words[i]);
	}
	om_diag_add(b->diags, OM_SEV_ERROR, OM_ERR_BIND_UNKNOWN_KEY, e->key_pos, hint,
		    "unknown key '%.60s' in [%.120s]", e->key.ptr, section);
}

static const struct om_field *field_of(const struct om_field *fields, struct om_toml_str key)
{
	for (const struct om_field *f = fields; f->key; f++)
		if (om_toml_str_is(key, f->key))
			return f;
	return NULL;
}

/* Each required field must be in NODE, whatever became of its value. */
static bool has_required(struct om_binder *b, const struct om_field *fields, const char *section,
			 const struct om_toml_node *node)
{
	bool all = true;
	char hint[200];

	for (const struct om_field *f = fields; f->key; f++) {
		if (!f->required || om_toml_get(node, f->key))
			continue;
		om_diag_add(b->diags, OM_SEV_ERROR, OM_ERR_BIND_MISSING, node->pos,
			    example(f, hint, sizeof(hint)), "'%s' is missing in [%.120s]", f->key,
			    section);
		all = false;
	}
	return all;
}

static bool bind_table(struct om_binder *b, const struct om_field *f, const char *section,
		       const struct om_toml_node *node, struct om_value *out)
{
	const char *words[WORDS_MAX];
	uint32_t errors = b->diags->errors;
	size_t n = 0;

	for (const struct om_field *i = f->fields; i->key && n < WORDS_MAX; i++)
		words[n++] = i->key;
	out->items = om_arena_array(b->arena, node->table.count, sizeof(*out->items));
	if (!out->items) {
		b->nomem = true;
		return false;
	}
	om_toml_for_each(e, node)
	{
		const struct om_field *sub = field_of(f->fields, e->key);
		struct om_value *v = &out->items[out->count];

		if (!sub) {
			om_bind_unknown(b, section, e, words, n);
			continue;
		}
		v->key = sub->key;
		v->key_pos = e->key_pos;
		if (om_bind_value(b, sub, section, e->value, v))
			out->count++;
	}
	/* Half a table would be checked as if it were the whole: leave it out. */
	return has_required(b, f->fields, section, node) && errors == b->diags->errors;
}

/* Free keys: to text (MAP) or to tables (NAMED). */
static bool bind_free(struct om_binder *b, const struct om_field *f, const char *section,
		      const struct om_toml_node *node, struct om_value *out)
{
	char path[SECTION_MAX];

	out->items = om_arena_array(b->arena, node->table.count, sizeof(*out->items));
	if (!out->items) {
		b->nomem = true;
		return false;
	}
	om_toml_for_each(e, node)
	{
		struct om_value *v = &out->items[out->count];
		bool ok;

		v->field = f;
		v->key = e->key.ptr;
		v->key_pos = e->key_pos;
		v->pos = e->value->pos;
		if (om_toml_str_has_nul(e->key)) {
			om_diag_add(b->diags, OM_SEV_ERROR, OM_ERR_BIND_NAME, e->key_pos,
				    "leave the \\u0000 out", "a name in [%.120s] has a NUL byte",
				    section);
			continue;
		}
		if (f->type == OM_FIELD_MAP) {
			ok = bind_text(b, f, section, e->value, v, "a string");
		} else if (e->value->type != OM_TOML_TABLE) {
			ok = wrong_type(b, f, section, e->value, v, "a table");
		} else {
			join(path, section, v->key);
			ok = bind_table(b, f, path, e->value, v);
		}
		if (ok)
			out->count++;
		else
			memset(v, 0, sizeof(*v));
	}
	return true;
}

static bool bind_item(struct om_binder *b, const struct om_field *f, const char *section,
		      const struct om_toml_node *node, struct om_value *v)
{
	char path[SECTION_MAX];

	if (f->type == OM_FIELD_WORDS)
		return bind_word(b, f, section, node, v);
	if (f->type == OM_FIELD_INTS)
		return bind_int(b, f, section, node, v);
	if (f->type == OM_FIELD_STRINGS ||
	    (f->type == OM_FIELD_MIXED && node->type != OM_TOML_TABLE))
		return bind_text(b, f, section, node, v,
				 f->type == OM_FIELD_MIXED ? "an array of strings or tables"
							   : "an array of strings");
	if (node->type != OM_TOML_TABLE)
		return wrong_type(b, f, section, node, v, "an array of tables");
	join(path, section, f->key);
	return bind_table(b, f, path, node, v);
}

/* A bad item is left out and the others are bound: each item has its own finding. */
static bool bind_list(struct om_binder *b, const struct om_field *f, const char *section,
		      const struct om_toml_node *node, struct om_value *out)
{
	char want[64];

	if (node->type != OM_TOML_ARRAY) {
		snprintf(want, sizeof(want), "an %s", om_field_type_name(f->type));
		return wrong_type(b, f, section, node, out, want);
	}
	out->items = om_arena_array(b->arena, node->array.count, sizeof(*out->items));
	if (!out->items) {
		b->nomem = true;
		return false;
	}
	for (uint32_t i = 0; i < node->array.count; i++) {
		const struct om_toml_node *item = node->array.items[i];
		struct om_value *v = &out->items[out->count];

		v->field = f;
		v->pos = v->key_pos = item->pos;
		if (bind_item(b, f, section, item, v))
			out->count++;
		else
			memset(v, 0, sizeof(*v));
	}
	return true;
}

bool om_bind_value(struct om_binder *b, const struct om_field *f, const char *section,
		   const struct om_toml_node *node, struct om_value *out)
{
	char path[SECTION_MAX];

	out->field = f;
	out->pos = node->pos;
	switch (f->type) {
	case OM_FIELD_STRING:
		return bind_text(b, f, section, node, out, "a string");
	case OM_FIELD_WORD:
		return bind_word(b, f, section, node, out);
	case OM_FIELD_BOOL:
		if (node->type != OM_TOML_BOOL)
			return wrong_type(b, f, section, node, out, "true or false");
		out->num = node->boolean;
		return true;
	case OM_FIELD_INT:
		return bind_int(b, f, section, node, out);
	case OM_FIELD_SIZE:
	case OM_FIELD_RATE:
	case OM_FIELD_CPU:
		return bind_unit(b, f, section, node, out);
	case OM_FIELD_STRINGS:
	case OM_FIELD_WORDS:
	case OM_FIELD_INTS:
	case OM_FIELD_MIXED:
	case OM_FIELD_TABLES:
		return bind_list(b, f, section, node, out);
	case OM_FIELD_TABLE:
	case OM_FIELD_MAP:
	case OM_FIELD_NAMED:
		if (node->type != OM_TOML_TABLE)
			return wrong_type(b, f, section, node, out, "a table");
		join(path, section, f->key);
		return f->type == OM_FIELD_TABLE ? bind_table(b, f, path, node, out)
						 : bind_free(b, f, path, node, out);
	}
	return false;
}
