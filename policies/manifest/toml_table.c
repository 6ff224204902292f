/*
 * The rules for tables: what a header may open, what a dotted key may extend, what is a duplicate.
 *
 * Comes in: keys as lists of parts, with a value or from a header. Goes out: a changed tree, or a
 * finding at the second definition that names the line of the first. Called by: toml_parse.c, and
 * toml_value.c for inline tables. Never does: let two spellings of one key both count, because which
 * of two grants wins must not depend on the reader.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "policies/manifest/toml_impl.h"

int om_toml_depth_error(struct om_toml_parser *ps, struct om_pos pos)
{
	om_toml_error(ps, OM_ERR_TOML_DEPTH, pos, NULL,
		      "tables and arrays are nested more than %u deep", ps->limits.depth);
	return -EINVAL;
}

/* Whether one more table or array fits below PARENT. */
static bool is_too_deep(const struct om_toml_parser *ps, const struct om_toml_node *parent)
{
	return parent->depth >= ps->limits.depth;
}

/* "a table", but by how it was made, because that is why it is closed. */
static const char *made_as(const struct om_toml_node *n)
{
	if (n->type == OM_TOML_TABLE) {
		switch ((enum om_toml_origin)n->origin) {
		case OM_TOML_VALUE:
			return "an inline table";
		case OM_TOML_IMPLIED:
		case OM_TOML_HEADER:
			return "a table with a header";
		case OM_TOML_DOTTED:
			return "a table made by dotted keys";
		case OM_TOML_TABLES:
			break;
		}
	}
	if (n->type == OM_TOML_ARRAY && n->origin == OM_TOML_TABLES)
		return "an array of tables";
	return om_toml_type_name(n->type);
}

static void conflict(struct om_toml_parser *ps, enum om_err_id id, const struct om_toml_part *part,
		     const struct om_toml_entry *first, const char *before, const char *after)
{
	char shown[OM_TOML_SHOWN], hint[96];

	snprintf(hint, sizeof(hint), "it is %s, first defined on line %u", made_as(first->value),
		 first->key_pos.line);
	om_toml_error(ps, id, part->pos, hint, "%s'%s'%s", before,
		      om_toml_show(shown, part->key.ptr, part->key.len), after);
}

static struct om_toml_entry *find(struct om_toml_parser *ps, const struct om_toml_node *table,
				  const struct om_toml_part *part)
{
	ps->work++;
	return om_toml_lookup(table, part->key.ptr, part->key.len, &ps->work);
}

/* A new table named by PART below PARENT. */
static int add_table(struct om_toml_parser *ps, struct om_toml_node *parent,
		     const struct om_toml_part *part, enum om_toml_origin origin, struct om_pos pos,
		     struct om_toml_node **out)
{
	if (is_too_deep(ps, parent))
		return om_toml_depth_error(ps, part->pos);
	*out = om_toml_node(ps, OM_TOML_TABLE, origin, parent->depth + 1u, pos);
	if (!*out)
		return -ENOMEM;
	return om_toml_insert(ps, parent, part, *out);
}

/* One step of a dotted key before its last part. -EEXIST: refused, the finding is added. */
static int step_dotted(struct om_toml_parser *ps, struct om_toml_node **t,
		       const struct om_toml_part *part)
{
	struct om_toml_entry *e = find(ps, *t, part);
	struct om_toml_node *v;

	if (!e)
		return add_table(ps, *t, part, OM_TOML_DOTTED, part->pos, t);
	v = e->value;
	if (v->type != OM_TOML_TABLE) {
		conflict(ps, OM_ERR_TOML_REDEFINE, part, e, "", " is not a table");
		return -EEXIST;
	}
	if (v->origin == OM_TOML_HEADER || v->origin == OM_TOML_VALUE) {
		conflict(ps, OM_ERR_TOML_REDEFINE, part, e, "",
			 " cannot be extended by a dotted key");
		return -EEXIST;
	}
	/* From here on a header for it would be a second definition. */
	v->origin = OM_TOML_DOTTED;
	*t = v;
	return 0;
}

/*
 * The value was read before its key is looked up: its own faults are worth showing even where the key
 * is a duplicate.
 */
int om_toml_define(struct om_toml_parser *ps, struct om_toml_node *base,
		   const struct om_toml_part *key, struct om_toml_node *value)
{
	struct om_toml_node *t = base;
	struct om_toml_entry *e;
	int ret;

	for (; key->next; key = key->next) {
		ret = step_dotted(ps, &t, key);
		if (ret == -EEXIST)
			return 0;
		if (ret < 0)
			return ret;
	}
	e = find(ps, t, key);
	if (e) {
		conflict(ps, OM_ERR_TOML_DUPLICATE, key, e, "duplicate key ", "");
		return 0;
	}
	return om_toml_insert(ps, t, key, value);
}

/* One step of a header before its last part. -EEXIST: refused, the finding is added. */
static int step_header(struct om_toml_parser *ps, struct om_toml_node **t,
		       const struct om_toml_part *part)
{
	struct om_toml_entry *e = find(ps, *t, part);
	struct om_toml_node *v;

	if (!e)
		return add_table(ps, *t, part, OM_TOML_IMPLIED, part->pos, t);
	v = e->value;
	if (v->type == OM_TOML_ARRAY && v->origin == OM_TOML_TABLES) {
		*t = v->array.items[v->array.count - 1];
		return 0;
	}
	if (v->type != OM_TOML_TABLE || v->origin == OM_TOML_VALUE) {
		conflict(ps, OM_ERR_TOML_REDEFINE, part, e, "",
			 v->type == OM_TOML_TABLE ? " is complete: nothing can be added to it"
						  : " is not a table");
		return -EEXIST;
	}
	*t = v;
	return 0;
}

/*
 * [a.b]. Only a table that longer headers implied may be opened later, and only once; a table made by
 * dotted keys was defined by them, and its section is over.
 */
static int open_table(struct om_toml_parser *ps, struct om_toml_node *parent,
		      const struct om_toml_part *part, struct om_pos pos, struct om_toml_node **out)
{
	struct om_toml_entry *e = find(ps, parent, part);

	if (!e)
		return add_table(ps, parent, part, OM_TOML_HEADER, pos, out);
	if (e->value->type != OM_TOML_TABLE) {
		conflict(ps, OM_ERR_TOML_REDEFINE, part, e, "", " cannot be a table as well");
		return -EEXIST;
	}
	if (e->value->origin == OM_TOML_HEADER) {
		conflict(ps, OM_ERR_TOML_DUPLICATE, part, e, "table ", " is defined twice");
		return -EEXIST;
	}
	if (e->value->origin != OM_TOML_IMPLIED) {
		conflict(ps, OM_ERR_TOML_REDEFINE, part, e, "table ", " cannot be opened again");
		return -EEXIST;
	}
	e->value->origin = OM_TOML_HEADER;
	e->value->pos = pos;
	e->key_pos = part->pos;
	*out = e->value;
	return 0;
}

/*
 * [[a.b]]: a new element, and with the first one the array. A value that is an array, even of tables,
 * is closed: it was written down in full.
 */
static int open_element(struct om_toml_parser *ps, struct om_toml_node *parent,
			const struct om_toml_part *part, struct om_pos pos,
			struct om_toml_node **out)
{
	struct om_toml_entry *e = find(ps, parent, part);
	struct om_toml_node *array;
	int ret;

	if (e && (e->value->type != OM_TOML_ARRAY || e->value->origin != OM_TOML_TABLES)) {
		conflict(ps, OM_ERR_TOML_REDEFINE, part, e, "",
			 " cannot be an array of tables as well");
		return -EEXIST;
	}
	if (e) {
		array = e->value;
	} else {
		if (parent->depth + 1u >= ps->limits.depth)
			return om_toml_depth_error(ps, part->pos);
		array = om_toml_node(ps, OM_TOML_ARRAY, OM_TOML_TABLES, parent->depth + 1u, pos);
		if (!array)
			return -ENOMEM;
		ret = om_toml_insert(ps, parent, part, array);
		if (ret < 0)
			return ret;
	}
	*out = om_toml_node(ps, OM_TOML_TABLE, OM_TOML_HEADER, array->depth + 1u, pos);
	if (!*out)
		return -ENOMEM;
	return om_toml_append(ps, array, *out);
}

/* Headers always count from the root. */
int om_toml_open(struct om_toml_parser *ps, const struct om_toml_part *key, bool is_array,
		 struct om_pos pos)
{
	struct om_toml_node *t = ps->doc->root, *opened = NULL;
	int ret = 0;

	for (; key->next && ret == 0; key = key->next)
		ret = step_header(ps, &t, key);
	if (ret == 0)
		ret = is_array ? open_element(ps, t, key, pos, &opened)
			       : open_table(ps, t, key, pos, &opened);
	if (ret == 0)
		ps->section = opened;
	return ret == -EEXIST ? -EINVAL : ret;
}
