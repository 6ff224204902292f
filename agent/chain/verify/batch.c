/*
 * The hot path: one batch of records against chain, order and trees.
 *
 * Comes in: the parsed lines of a batch. Goes out: a fault, or none and the grown trees. Called by:
 * segment.c. Never does: explain; the slow path (diagnose.c) names what is wrong.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <omega/sha256.h>
#include "agent/chain/verify/walk.h"

static uint32_t hash_id(const char *id, size_t len)
{
	uint32_t h = 2166136261u;

	for (size_t i = 0; i < len; i++)
		h = (h ^ (unsigned char)id[i]) * 16777619u;
	return h;
}

static bool same_id(const struct walk_brane *b, const char *id, size_t len)
{
	return b->id_len == len && !memcmp(b->id, id, len);
}

struct walk_brane *om_walk_brane(struct walk *w, const char *id, size_t len, uint32_t *index)
{
	uint32_t h, at;

	if (w->n_brane && same_id(w->brane[w->last], id, len)) {
		*index = w->last;
		return w->brane[w->last];
	}
	if (!w->table_size)
		return NULL;
	h = hash_id(id, len);
	for (at = h & (w->table_size - 1); w->table[at]; at = (at + 1) & (w->table_size - 1)) {
		uint32_t i = w->table[at] - 1;

		if (w->brane[i]->hash == h && same_id(w->brane[i], id, len)) {
			w->last = *index = i;
			return w->brane[i];
		}
	}
	return NULL;
}

static int grow_table(struct walk *w)
{
	uint32_t size = w->table_size ? w->table_size * 2 : 256;
	uint32_t *table = calloc(size, sizeof(*table));

	if (!table)
		return -ENOMEM;
	for (uint32_t i = 0; i < w->n_brane; i++) {
		uint32_t at = w->brane[i]->hash & (size - 1);

		while (table[at])
			at = (at + 1) & (size - 1);
		table[at] = i + 1;
	}
	free(w->table);
	w->table = table;
	w->table_size = size;
	return 0;
}

int om_walk_add_brane(struct walk *w, const char *id, size_t len, uint32_t *index)
{
	struct walk_brane *b = calloc(1, sizeof(*b));
	uint32_t at;

	if (w->n_brane == w->cap_brane) {
		uint32_t cap = w->cap_brane ? w->cap_brane * 2 : 64;
		struct walk_brane **grown = realloc(w->brane, cap * sizeof(*grown));

		if (grown) {
			w->brane = grown;
			w->cap_brane = cap;
		}
	}
	if (b) {
		b->id = strndup(id, len);
		b->tree = calloc(1, sizeof(*b->tree));
	}
	if (!b || !b->id || !b->tree || w->n_brane == w->cap_brane ||
	    (w->n_brane * 2 >= w->table_size && grow_table(w) < 0)) {
		if (b) {
			free(b->id);
			free(b->tree);
		}
		free(b);
		return -ENOMEM;
	}
	b->id_len = (uint32_t)len;
	b->hash = hash_id(id, len);
	at = b->hash & (w->table_size - 1);
	while (w->table[at])
		at = (at + 1) & (w->table_size - 1);
	w->table[at] = w->n_brane + 1;
	*index = w->n_brane;
	w->brane[w->n_brane++] = b;
	return 0;
}

/* The brane of record I; a log.open with seq 0 makes a new one. */
static struct walk_brane *owner_of(struct walk *w, uint32_t i)
{
	const struct om_record *r = &w->rec[i];
	uint32_t index;
	struct walk_brane *b = om_walk_brane(w, r->brane, r->brane_len, &index);

	if (!b) {
		if (r->seq || !om_record_is(r, "log.open") ||
		    om_walk_add_brane(w, r->brane, r->brane_len, &index) < 0)
			return NULL;
		b = w->brane[index];
	}
	w->owner[i] = index;
	return b->closed ? NULL : b;
}

static bool chains(const struct om_record *r, const struct walk_brane *b)
{
	char prev[OM_B64_HASH];

	if (r->seq != b->seq)
		return false;
	om_b64_encode(b->prev, 32, prev);
	return !memcmp(prev, r->prev, OM_B64_HASH);
}

/* The boot clock never runs back but at a boot; both clocks part only where a record says so. */
static bool clock_ok(struct walk *w, const struct om_record *r, bool node)
{
	int64_t offset = r->time - r->mono;
	bool boot = node && om_record_is(r, "boot");
	bool set = w->rebase;

	w->rebase = false;
	if (node && (boot || om_record_is(r, "recover") || om_record_is(r, "clock.step") ||
		     om_record_is(r, "log.open"))) {
		set = true;
		/* recover bears the clamped clock of the boot before: what follows sets anew. */
		w->rebase = om_record_is(r, "recover");
	}
	if (r->mono < w->mono && !boot)
		return false;
	if (!set && (offset - w->offset > WALK_STEP || w->offset - offset > WALK_STEP))
		return false;
	w->mono = r->mono;
	w->offset = offset;
	return true;
}

static bool get_key(const struct om_record *r, uint8_t key[32])
{
	struct om_json_val v;

	return om_json_get(r->data, "key", &v) == 0 && om_json_b64(v, key, 32) == 0;
}

static uint64_t get_count(const struct om_record *r, const char *key)
{
	struct om_json_val v;
	int64_t n;

	return om_json_get(r->data, key, &v) == 0 && om_json_int(v, &n) == 0 && n > 0 ? (uint64_t)n
										      : 0;
}

static bool node_kind(struct walk *w, const struct om_record *r)
{
	struct om_json_val v;
	uint8_t key[32];

	if (om_record_is(r, "commit"))
		return true;
	w->last_close = om_record_is(r, "log.close");
	if (om_record_is(r, "clock.step"))
		w->res->clock_steps++;
	if (om_record_is(r, "recover")) {
		w->recovered = true;
		w->res->unclean++;
		w->res->torn += get_count(r, "torn");
		w->res->kept_unsigned += get_count(r, "unsigned");
	}
	if (!om_record_is(r, "log.open") && !om_record_is(r, "boot"))
		return true;
	if (om_json_get(r->data, "boot_id", &v) < 0 ||
	    om_json_str(v, w->boot, sizeof(w->boot)) < 0 || !get_key(r, key))
		return false;
	if (!w->have_key || om_record_is(r, "boot")) {
		if (w->have_key && memcmp(key, w->expect, 32))
			w->res->key_breaks++;
		memcpy(w->expect, key, 32);
		w->have_key = true;
		return true;
	}
	return !memcmp(key, w->expect, 32);
}

static bool brane_kind(struct walk *w, struct walk_brane *b, const struct om_record *r)
{
	if (om_record_is(r, "log.open") || om_record_is(r, "key.brane")) {
		/* log.open is a brane's first record and nothing else is. */
		if (om_record_is(r, "log.open") != (r->seq == 0))
			return false;
		b->keyed = true;
		return get_key(r, b->key);
	}
	if (om_record_is(r, "log.close")) {
		b->closed = b->wants_final = true;
		w->finals++;
	}
	return r->seq != 0;
}

static enum walk_fault check_chain(struct walk *w)
{
	for (uint32_t i = 0; i < w->n; i++) {
		const struct om_record *r = &w->rec[i];
		struct walk_brane *b = owner_of(w, i);

		if (b && !b->used) {
			b->used = true;
			b->count = 0;
			b->seq0 = b->seq;
			b->closed0 = b->closed;
			memcpy(b->prev0, b->prev, 32);
			w->touched[w->n_touched++] = w->owner[i];
		}
		if (!b || !chains(r, b))
			return FAULT_CHAIN;
		if (!clock_ok(w, r, b == w->brane[0]))
			return FAULT_CLOCK;
		if (!(b == w->brane[0] ? node_kind(w, r) : brane_kind(w, b, r)))
			return FAULT_KIND;
		if (!b->events++)
			b->first_time = r->time;
		b->last_time = r->time;
		b->count++;
		b->seq++;
		memcpy(b->prev, w->leaf[i], 32);
	}
	return FAULT_NONE;
}

/* Every touched brane's tree, then the node's into `grown`; the heads lie ready to be hashed. */
void om_walk_grow(struct walk *w)
{
	uint32_t at = 0;

	for (uint32_t i = 0; i < w->n_touched; i++) {
		struct walk_brane *b = w->brane[w->touched[i]];

		b->from = at;
		at += b->count;
		b->count = 0;
	}
	if (w->n_touched > 1)
		for (uint32_t i = 0; i < w->n; i++) {
			struct walk_brane *b = w->brane[w->owner[i]];

			memcpy(w->work[b->from + b->count++], w->leaf[i], 32);
		}
	else
		memcpy(w->work, w->leaf, (size_t)w->n * 32);
	for (uint32_t i = 0; i < w->n_touched; i++) {
		struct walk_brane *b = w->brane[w->touched[i]];

		om_tree_append(b->tree, w->work + b->from, w->n_touched > 1 ? b->count : w->n);
		b->used = false;
	}
	memcpy(w->work, w->leaf, (size_t)w->n * 32);
	w->grown = w->tree;
	om_tree_append(&w->grown, w->work, w->n);
	om_tree_root(&w->grown, w->root);
}

bool om_walk_heads_ok(struct walk *w)
{
	uint8_t root[32];
	uint32_t n = 0;

	for (uint32_t i = 0; i < w->n_touched; i++) {
		const struct walk_brane *b = w->brane[w->touched[i]];
		struct om_head *h = &w->heads[n];

		if (!w->touched[i])
			continue;
		h->id = b->id;
		h->id_len = b->id_len;
		h->size = b->tree->size;
		om_tree_root(b->tree, h->root);
		n++;
	}
	om_heads_root(w->origin, w->heads, n, root);
	return n == w->commit.nheads && !memcmp(root, w->commit.heads, 32);
}

/* A batch ends with its commit record, has no other, and is what that record says. */
static bool shape_ok(struct walk *w)
{
	const struct om_record *last = &w->rec[w->n - 1];

	for (uint32_t i = 0; i + 1 < w->n; i++)
		if (!w->owner[i] && om_record_is(&w->rec[i], "commit"))
			return false;
	return !w->owner[w->n - 1] && om_record_is(last, "commit") &&
	       om_commit_parse(last->data, &w->commit) == 0;
}

static bool commit_ok(struct walk *w)
{
	for (int k = 0; k < 3; k++)
		if (w->commit.drop[k] < w->drop[k])
			return false;
	return w->commit.n == w->n - 1 && om_walk_heads_ok(w);
}

static enum walk_fault begin(struct walk *w)
{
	w->n_touched = 0;
	w->recovered = false;
	w->mono0 = w->mono;
	w->offset0 = w->offset;
	if (w->bad >= 0)
		return FAULT_PARSE;
	om_sha256_leaves(w->line, w->line_len, w->n, w->leaf);
	return FAULT_NONE;
}

enum walk_fault om_walk_tail(struct walk *w)
{
	enum walk_fault fault = begin(w);

	return fault ? fault : check_chain(w);
}

enum walk_fault om_walk_batch(struct walk *w)
{
	uint32_t due = w->finals;
	enum walk_fault fault = begin(w);

	if (!fault)
		fault = check_chain(w);
	if (fault)
		return fault;
	/* A closed brane's last note is its receipt; only a crash excuses its absence. */
	if (due && !w->recovered)
		return FAULT_FINAL;
	w->finals = w->recovered ? 0 : w->finals - due;
	if (w->note_bad)
		return FAULT_NOTE;
	if (!shape_ok(w))
		return FAULT_SHAPE;
	om_walk_grow(w);
	if (w->point.size != w->grown.size || memcmp(w->point.root, w->root, 32))
		return FAULT_ROOT;
	return commit_ok(w) ? FAULT_NONE : FAULT_SHAPE;
}
