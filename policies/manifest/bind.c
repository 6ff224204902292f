/*
 * From the TOML tree to branes with bound values.
 *
 * Comes in: the tree. Goes out: one bound brane for each [brane.NAME]. Called by:
 * policies/compile.c. Never does: decide what a key means; it only finds the descriptor that does.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <omega/limits.h>
#include <policies/manifest/bind.h>

#define WORDS_MAX 128

/* The field KEY of [brane.X.TABLE], and the capability that it belongs to. */
static const struct om_field *find_field(const char *table, struct om_toml_str key,
					 const struct om_cap **cap)
{
	for (uint32_t i = 0; (*cap = om_registry_at(i)); i++) {
		if (strcmp((*cap)->table, table) != 0)
			continue;
		for (const struct om_field *f = (*cap)->fields; f->key; f++)
			if (om_toml_str_is(key, f->key))
				return f;
	}
	return NULL;
}

static bool is_table(struct om_toml_str key)
{
	const struct om_cap *cap;

	for (uint32_t i = 0; (cap = om_registry_at(i)); i++)
		if (cap->table[0] && om_toml_str_is(key, cap->table))
			return true;
	return false;
}

static size_t push_word(const char **words, size_t n, const char *word)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(words[i], word) == 0)
			return n;
	if (n < WORDS_MAX)
		words[n++] = word;
	return n;
}

/* What may stand in [brane.X.TABLE]; in [brane.X] itself also the names of the tables. */
static size_t known_words(const char *table, const char **words)
{
	const struct om_cap *cap;
	size_t n = 0;

	for (uint32_t i = 0; (cap = om_registry_at(i)); i++) {
		if (strcmp(cap->table, table) == 0)
			for (const struct om_field *f = cap->fields; f->key; f++)
				n = push_word(words, n, f->key);
		else if (!table[0])
			n = push_word(words, n, cap->table);
	}
	return n;
}

/* The value is still bound and checked after this: one run shows all that is wrong with it. */
static void refuse_missing(struct om_binder *b, const struct om_cap *cap, const struct om_field *f,
			   const char *section, struct om_pos pos)
{
	const char *missing = f->missing ? f->missing : cap->missing;

	if (missing)
		om_diag_add(b->diags, OM_SEV_ERROR, OM_ERR_CAP_NOT_ENFORCEABLE, pos,
			    "leave it out: what no layer enforces is never accepted",
			    "'%s' in [%.90s] needs %s, which is not built", f->key, section,
			    missing);
}

/* The keys of [brane.X.TABLE] or of [brane.X]; for the latter, tables are items of their own. */
static void bind_section(struct om_binder *b, const char *table, const char *section,
			 const struct om_toml_node *node, struct om_value *out)
{
	const char *words[WORDS_MAX];

	out->pos = node->pos;
	out->items = om_arena_array(b->arena, node->table.count, sizeof(*out->items));
	if (!out->items) {
		b->nomem = true;
		return;
	}
	om_toml_for_each(e, node)
	{
		struct om_value *v = &out->items[out->count];
		const struct om_cap *cap;
		const struct om_field *f = find_field(table, e->key, &cap);

		v->key = e->key.ptr;
		v->key_pos = e->key_pos;
		if (f) {
			refuse_missing(b, cap, f, section, e->key_pos);
			if (om_bind_value(b, f, section, e->value, v))
				out->count++;
			else
				memset(v, 0, sizeof(*v));
		} else if (table[0] || !is_table(e->key)) {
			om_bind_unknown(b, section, e, words, known_words(table, words));
		} else if (e->value->type != OM_TOML_TABLE) {
			om_diag_add(b->diags, OM_SEV_ERROR, OM_ERR_BIND_TYPE, e->value->pos, NULL,
				    "'%s' in [%.120s] must be a table, found %s", e->key.ptr,
				    section, om_toml_type_name(e->value->type));
		} else {
			char path[128];

			snprintf(path, sizeof(path), "%s.%s", section, e->key.ptr);
			bind_section(b, e->key.ptr, path, e->value, v);
			out->count++;
		}
	}
}

/* By presence, not by value: a key with a wrong value has its finding already. */
static void require(struct om_binder *b, const char *section, const struct om_toml_node *node)
{
	const struct om_cap *cap;

	for (uint32_t i = 0; (cap = om_registry_at(i)); i++) {
		for (const struct om_field *f = cap->fields; f->key; f++)
			if (!cap->table[0] && f->required && !om_toml_get(node, f->key))
				om_diag_add(b->diags, OM_SEV_ERROR, OM_ERR_BIND_MISSING, node->pos,
					    f->doc, "'%s' is missing in [%.120s]; write %s = %s",
					    f->key, section, f->key, f->example);
	}
}

/* [a-z0-9]([a-z0-9-]{0,61}[a-z0-9])? : it becomes a host name and a cgroup directory. */
static bool name_is_valid(struct om_toml_str s)
{
	if (s.len == 0 || s.len > OM_NAME_MAX || s.ptr[0] == '-' || s.ptr[s.len - 1] == '-')
		return false;
	for (size_t i = 0; i < s.len; i++)
		if (!(s.ptr[i] >= 'a' && s.ptr[i] <= 'z') &&
		    !(s.ptr[i] >= '0' && s.ptr[i] <= '9') && s.ptr[i] != '-')
			return false;
	return true;
}

/* The nearest valid name, for the finding. */
static void valid_name(const char *s, char buf[static OM_NAME_MAX + 1])
{
	size_t n = 0;

	for (; *s && n < OM_NAME_MAX; s++) {
		char c = *s >= 'A' && *s <= 'Z' ? (char)(*s - 'A' + 'a') : *s;

		if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'))
			buf[n++] = c;
		else if (n > 0 && buf[n - 1] != '-')
			buf[n++] = '-';
	}
	while (n > 0 && buf[n - 1] == '-')
		n--;
	buf[n] = 0;
}

static void bind_brane(struct om_binder *b, const struct om_toml_entry *e, struct om_binding *out)
{
	struct om_bound_brane *brane = &out->branes[out->count];
	char section[OM_NAME_MAX + 8], name[OM_NAME_MAX + 1], hint[256];

	if (!name_is_valid(e->key)) {
		valid_name(e->key.ptr, name);
		snprintf(hint, sizeof(hint),
			 "lower-case letters, digits and inner '-', at most 63%s%s%s",
			 name[0] ? ": '" : "", name, name[0] ? "'" : "");
		om_diag_add(b->diags, OM_SEV_ERROR, OM_ERR_BIND_NAME, e->key_pos, hint,
			    "'%.80s' is not a valid name for a brane", e->key.ptr);
		return;
	}
	if (e->value->type != OM_TOML_TABLE) {
		om_diag_add(b->diags, OM_SEV_ERROR, OM_ERR_BIND_TYPE, e->value->pos,
			    "write [brane.NAME] with its keys below",
			    "'%s' must be a table, found %s", e->key.ptr,
			    om_toml_type_name(e->value->type));
		return;
	}
	if (out->count >= OM_MANIFEST_BRANES_MAX) {
		om_diag_add(b->diags, OM_SEV_ERROR, OM_ERR_BIND_RANGE, e->key_pos,
			    "split the manifest", "more than %u branes", OM_MANIFEST_BRANES_MAX);
		return;
	}
	snprintf(section, sizeof(section), "brane.%s", e->key.ptr);
	brane->name = e->key.ptr;
	brane->pos = e->value->pos;
	bind_section(b, "", section, e->value, &brane->root);
	require(b, section, e->value);
	out->count++;
}

static void bind_root(struct om_binder *b, const struct om_toml_node *root, struct om_binding *out)
{
	static const char *const words[] = {"brane"};
	const struct om_toml_node *branes = om_toml_get(root, "brane");

	om_toml_for_each(e, root)
	{
		if (!om_toml_str_is(e->key, "brane"))
			om_bind_unknown(b, "the manifest", e, words, 1);
	}
	if (branes && branes->type != OM_TOML_TABLE) {
		om_diag_add(b->diags, OM_SEV_ERROR, OM_ERR_BIND_TYPE, branes->pos,
			    "write [brane.NAME] with its keys below",
			    "'brane' must be a table, found %s", om_toml_type_name(branes->type));
		return;
	}
	if (!branes || !branes->table.count) {
		om_diag_add(b->diags, OM_SEV_ERROR, OM_ERR_BIND_NO_BRANE,
			    branes ? branes->pos : (struct om_pos){1, 1, 1},
			    "begin with [brane.NAME] and image = \"host:\"",
			    "the manifest defines no brane");
		return;
	}
	out->branes = om_arena_array(b->arena, branes->table.count, sizeof(*out->branes));
	if (!out->branes) {
		b->nomem = true;
		return;
	}
	om_toml_for_each(e, branes)
	{
		bind_brane(b, e, out);
	}
}

int om_bind(struct om_toml *toml, struct om_binding *out, struct om_diags *diags,
	    struct om_err *err)
{
	struct om_binder b = {.diags = diags};

	memset(out, 0, sizeof(*out));
	out->toml = toml;
	om_arena_init(&out->arena, OM_IR_BYTES_MAX);
	b.arena = &out->arena;
	bind_root(&b, om_toml_root(toml), out);
	if (b.nomem) {
		om_binding_done(out);
		return om_err_set(err, OM_ERR_NOMEM, -ENOMEM, "no memory to bind the manifest");
	}
	return 0;
}

void om_binding_done(struct om_binding *b)
{
	om_arena_done(&b->arena);
	om_toml_free(b->toml);
	memset(b, 0, sizeof(*b));
}

const struct om_value *om_bound_table(const struct om_bound_brane *brane, const struct om_cap *cap)
{
	return cap->table[0] ? om_value_get(&brane->root, cap->table) : &brane->root;
}
