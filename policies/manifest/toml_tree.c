/*
 * The tree: nodes, arrays that grow, and the index of a table's keys.
 *
 * Comes in: keys and nodes. Goes out: entries in the order of the file, and look-up. Called by: the
 * parser while it builds, everyone afterwards. Never does: decide whether a key may be there.
 *
 * The index is a crit-bit tree and not a hash table: a manifest may come from an enemy, policies/ has
 * no source of randomness for a hash seed, and here no choice of keys makes a look-up cost more than
 * nine steps for each byte of the key.
 */
#include <errno.h>
#include <string.h>

#include "policies/manifest/toml_impl.h"

struct om_toml_node *om_toml_node(struct om_toml_parser *ps, enum om_toml_type type,
				  enum om_toml_origin origin, uint32_t depth, struct om_pos pos)
{
	struct om_toml_node *n = om_arena_alloc(&ps->doc->arena, sizeof(*n));

	if (!n) {
		om_toml_nomem(ps);
		return NULL;
	}
	n->type = type;
	n->origin = (uint8_t)origin;
	n->depth = (uint16_t)depth;
	n->pos = pos;
	return n;
}

int om_toml_append(struct om_toml_parser *ps, struct om_toml_node *array, struct om_toml_node *item)
{
	struct om_toml_array *a = &array->array;

	ps->work++;
	if (a->count == a->cap) {
		uint32_t cap = a->cap ? a->cap * 2 : 4;
		struct om_toml_node **items = om_arena_grow(&ps->doc->arena, a->items, a->count,
							    cap, sizeof(struct om_toml_node *));

		if (!items)
			return om_toml_nomem(ps);
		ps->work += a->count;
		a->items = items;
		a->cap = cap;
	}
	a->items[a->count++] = item;
	return 0;
}

/* A key as symbols: each byte with a ninth bit, then 0. So no key is the beginning of another. */
static unsigned symbol(const char *key, size_t len, size_t at)
{
	return at < len ? 0x100u | (unsigned char)key[at] : 0;
}

/* The leaf that KEY equals if it equals any. */
static struct om_toml_entry *nearest(const struct om_toml_branch *b, const char *key, size_t len,
				     uint64_t *work)
{
	while (b->mask) {
		++*work;
		/* All keys below are longer and agree in the symbol where this one ends. */
		if (b->at > len)
			break;
		b = b->child[(symbol(key, len, b->at) & b->mask) != 0];
	}
	return b->leaf;
}

struct om_toml_entry *om_toml_lookup(const struct om_toml_node *table, const char *key, size_t len,
				     uint64_t *work)
{
	struct om_toml_entry *e;

	if (!table->table.index)
		return NULL;
	e = nearest(table->table.index, key, len, work);
	*work += len;
	if (e->key.len != len || (len && memcmp(e->key.ptr, key, len) != 0))
		return NULL;
	return e;
}

/* Puts the leaf of a key that is not there yet into the index. */
static int index_add(struct om_toml_parser *ps, struct om_toml_table *t, struct om_toml_entry *e)
{
	struct om_arena *arena = &ps->doc->arena;
	struct om_toml_branch *leaf = om_arena_alloc(arena, sizeof(*leaf)), *branch, **link;
	const struct om_toml_entry *near;
	const char *key = e->key.ptr;
	size_t len = e->key.len, at = 0;
	unsigned differs, mask = 0x100;

	if (!leaf)
		return om_toml_nomem(ps);
	leaf->leaf = e;
	if (!t->index) {
		t->index = leaf;
		return 0;
	}
	near = nearest(t->index, key, len, &ps->work);
	while (symbol(key, len, at) == symbol(near->key.ptr, near->key.len, at))
		at++;
	ps->work += at;
	differs = symbol(key, len, at) ^ symbol(near->key.ptr, near->key.len, at);
	while (!(differs & mask))
		mask >>= 1;
	/* The path is ordered by position and then by bit: the place is before the first larger one. */
	for (link = &t->index; (*link)->mask; ps->work++) {
		const struct om_toml_branch *b = *link;

		if (b->at > at || (b->at == at && b->mask < mask))
			break;
		link = &(*link)->child[(symbol(key, len, b->at) & b->mask) != 0];
	}
	branch = om_arena_alloc(arena, sizeof(*branch));
	if (!branch)
		return om_toml_nomem(ps);
	branch->at = (uint32_t)at;
	branch->mask = (uint16_t)mask;
	branch->leaf = e;
	branch->child[(symbol(key, len, at) & mask) != 0] = leaf;
	branch->child[(symbol(key, len, at) & mask) == 0] = *link;
	*link = branch;
	return 0;
}

int om_toml_insert(struct om_toml_parser *ps, struct om_toml_node *table,
		   const struct om_toml_part *part, struct om_toml_node *value)
{
	struct om_toml_table *t = &table->table;
	struct om_toml_entry *e;

	if (ps->keys++ >= ps->limits.keys) {
		om_toml_error(ps, OM_ERR_TOML_KEYS, part->pos, "split the file",
			      "more than %u keys", ps->limits.keys);
		return -E2BIG;
	}
	e = om_arena_alloc(&ps->doc->arena, sizeof(*e));
	if (!e)
		return om_toml_nomem(ps);
	e->key = part->key;
	e->key_pos = part->pos;
	e->value = value;
	if (t->last)
		t->last->next = e;
	else
		t->first = e;
	t->last = e;
	t->count++;
	return index_add(ps, t, e);
}

const struct om_toml_node *om_toml_root(const struct om_toml *t)
{
	return t->root;
}

const struct om_toml_entry *om_toml_find(const struct om_toml_node *table, const char *key,
					 size_t len)
{
	uint64_t work = 0;

	if (!table || table->type != OM_TOML_TABLE)
		return NULL;
	return om_toml_lookup(table, key, len, &work);
}

const struct om_toml_node *om_toml_get(const struct om_toml_node *table, const char *key)
{
	const struct om_toml_entry *e = om_toml_find(table, key, strlen(key));

	return e ? e->value : NULL;
}

bool om_toml_str_is(struct om_toml_str s, const char *text)
{
	return s.len == strlen(text) && !memcmp(s.ptr, text, s.len);
}

bool om_toml_str_has_nul(struct om_toml_str s)
{
	return memchr(s.ptr, '\0', s.len) != NULL;
}

const char *om_toml_type_name(enum om_toml_type type)
{
	switch (type) {
	case OM_TOML_STRING:
		return "a string";
	case OM_TOML_INTEGER:
		return "an integer";
	case OM_TOML_FLOAT:
		return "a float";
	case OM_TOML_BOOL:
		return "a boolean";
	case OM_TOML_OFFSET_DATETIME:
	case OM_TOML_LOCAL_DATETIME:
		return "a date with a time";
	case OM_TOML_LOCAL_DATE:
		return "a date";
	case OM_TOML_LOCAL_TIME:
		return "a time";
	case OM_TOML_ARRAY:
		return "an array";
	case OM_TOML_TABLE:
		return "a table";
	}
	return "a value";
}
