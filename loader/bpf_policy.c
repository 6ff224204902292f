/*
 * One version of one brane's policy in the maps: number, fill, drop.
 *
 * Comes in: a bundle's network sections and the objects that loader/process/resolve.c found for its files. Goes
 * out: map entries under a number that no slot names yet. Called by: the transaction. Never does: touch
 * an entry of another policy; leave a policy half written without saying so (the caller then drops it).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/syscall.h>
#include <linux/membarrier.h>

#include <omega/abi/filter.h>
#include <loader/bpf_priv.h>

/* --- numbers --- */

static int next_number(struct om_bpf *b, bool brane, uint32_t *out, struct om_err *err)
{
	const uint32_t zero = 0;
	struct om_state state;
	uint32_t *next = brane ? &state.next_brane : &state.next_policy;
	int ret;

	/* Two openers must not hand out one number. */
	if (flock(b->lock, LOCK_EX))
		return om_err_sys(err, OM_ERR_BPF_PIN, -errno, "cannot lock the pins");
	ret = bpf_map_lookup_elem(b->maps[OM_MAP_STATE], &zero, &state);
	if (!ret) {
		*out = *next;
		if (++*next & OM_POLICY_EXACT)
			ret = -EOVERFLOW; /* a number used twice could give one brane another's rights */
	}
	if (!ret)
		ret = bpf_map_update_elem(b->maps[OM_MAP_STATE], &zero, &state, BPF_EXIST);
	(void)flock(b->lock, LOCK_UN);
	return ret ? om_map_error(err, OM_MAP_STATE, ret, "cannot take a number from") : 0;
}

bool om_policy_fits(uint32_t policy, const struct om_resolved *objs, uint32_t n)
{
	bool takes = false;

	for (uint32_t i = 0; i < n && !takes; i++)
		takes = (objs[i].val.self | objs[i].val.tree) & (OM_MAY_NEVER | OM_MAY_EXEC_BOUND);
	return takes == !!(policy & OM_POLICY_EXACT);
}

int om_bpf_policy_new(struct om_bpf *b, const struct om_resolved *objs, uint32_t n,
		      uint32_t *policy, struct om_err *err)
{
	int ret = next_number(b, false, policy, err);

	if (!ret && !om_policy_fits(*policy, objs, n))
		*policy |= OM_POLICY_EXACT;
	return ret;
}

int om_bpf_brane_new(struct om_bpf *b, uint32_t *brane, struct om_err *err)
{
	return next_number(b, true, brane, err);
}

/* --- entries --- */

static int order_resolved(const void *a, const void *b)
{
	const struct om_resolved *const *x = a, *const *y = b;

	return memcmp(&(*x)->key, &(*y)->key, sizeof((*x)->key));
}

static bool same_object(const struct om_object_key *a, const struct om_object_key *b)
{
	return a->dev == b->dev && a->ino == b->ino && a->gen == b->gen;
}

/*
 * Two paths to one object, one of them bound to contents: it stays bound. Its contents lie under one grant;
 * two lists for one object would have to be united, and the author meant one of them.
 */
int om_bpf_merge_bound(struct om_object_val *to, const struct om_object_val *from,
		       struct om_err *err)
{
	if (!(from->self & OM_MAY_EXEC_BOUND) || to->grant == from->grant)
		return 0;
	if (to->self & OM_MAY_EXEC_BOUND)
		return om_err_set(err, OM_ERR_CONTENT, -EINVAL,
				  "two exec entries with sha256 lead to one file");
	to->grant = from->grant;
	return 0;
}

static int merge_one(struct om_merged *m, const struct om_resolved *r, struct om_err *err)
{
	int ret = om_bpf_merge_bound(&m->val, &r->val, err);

	if (ret)
		return ret;
	m->val.self |= r->val.self;
	m->val.tree |= r->val.tree;
	for (uint32_t i = 0; i < r->val.patterns; i++) {
		uint32_t at = 0;

		while (at < m->val.patterns &&
		       memcmp(&m->patterns[at], &r->patterns[i], sizeof(r->patterns[i])) != 0)
			at++;
		if (at < m->val.patterns)
			continue;
		if (at == OM_PATTERNS_MAX)
			return om_err_set(err, OM_ERR_LIMIT, -E2BIG,
					  "more than %u create patterns lead to one directory",
					  OM_PATTERNS_MAX);
		m->patterns[at] = r->patterns[i];
		m->val.patterns++;
	}
	return 0;
}

int om_merge_objects(uint32_t policy, const struct om_resolved *objs, uint32_t n,
		     struct om_merged **out, uint32_t *count, struct om_err *err)
{
	struct om_merged *merged OM_CLEANUP(om_free_ptr) = calloc(n + 1u, sizeof(*merged));
	const struct om_resolved **sorted OM_CLEANUP(om_free_ptr) = calloc(n + 1u, sizeof(*sorted));
	uint32_t used = 0;

	if (!merged || !sorted)
		return om_err_set(err, OM_ERR_NOMEM, -ENOMEM, "%u objects", n);
	for (uint32_t i = 0; i < n; i++) {
		if (objs[i].val.patterns > OM_PATTERNS_MAX)
			return om_err_set(err, OM_ERR_INVALID, -EINVAL, "object %u has %u patterns",
					  i, objs[i].val.patterns);
		sorted[i] = &objs[i];
	}
	qsort(sorted, n, sizeof(*sorted), order_resolved);
	for (uint32_t i = 0; i < n; i++) {
		int ret;

		if (!used || !same_object(&merged[used - 1].key, &sorted[i]->key)) {
			merged[used].key = sorted[i]->key;
			merged[used].key.policy = policy;
			merged[used].key.pad = 0;
			merged[used].val.grant = sorted[i]->val.grant;
			used++;
		}
		ret = merge_one(&merged[used - 1], sorted[i], err);
		if (ret)
			return ret;
	}
	*out = OM_STEAL_PTR(merged);
	*count = used;
	return 0;
}

void om_pattern_key_of(const struct om_object_key *dir, uint32_t index, struct om_pattern_key *key)
{
	*key = (struct om_pattern_key){.policy = dir->policy,
				       .dev = dir->dev,
				       .ino = dir->ino,
				       .gen = dir->gen,
				       .index = index};
}

void om_egress_key_of(uint32_t policy, const struct om_b_egress *e, struct om_egress_key *key)
{
	memset(key, 0, sizeof(*key));
	key->prefixlen = 64u + e->bits;
	key->policy = policy;
	key->port = e->port;
	key->proto = e->proto;
	memcpy(key->addr, e->addr, sizeof(key->addr));
}

void om_listen_key_of(uint32_t policy, const struct om_b_listen *l, struct om_listen_key *key)
{
	memset(key, 0, sizeof(*key));
	key->policy = policy;
	key->port = l->port;
	key->proto = l->proto;
}

void om_content_key_of(uint32_t policy, const struct om_bundle *bundle, const struct om_b_digest *d,
		       struct om_content_key *key)
{
	uint32_t n;
	const struct om_b_file *f = om_bundle_section(bundle, OM_SEC_FILES, &n);

	key->policy = policy;
	key->grant = f[d->file].grant;
	memcpy(key->sha256, d->sha256, sizeof(key->sha256));
}

static int fill_contents(struct om_bpf *b, uint32_t policy, const struct om_bundle *bundle,
			 struct om_err *err)
{
	const uint32_t one = 1;
	struct om_content_key key;
	uint32_t n;
	const struct om_b_digest *d = om_bundle_section(bundle, OM_SEC_DIGESTS, &n);

	for (uint32_t i = 0; i < n; i++) {
		om_content_key_of(policy, bundle, &d[i], &key);
		int ret = bpf_map_update_elem(b->maps[OM_MAP_CONTENTS], &key, &one, BPF_NOEXIST);
		if (ret)
			return om_map_error(err, OM_MAP_CONTENTS, ret, "cannot write");
	}
	return 0;
}

/* --- the filter before om_objects --- */

static uint32_t filter_place(const struct om_object_key *key)
{
	return om_filter_place(om_filter_base(key->policy, key->dev), key->ino);
}

int om_filter_add(struct om_bpf *b, const struct om_object_key *key, int by, struct om_err *err)
{
	uint32_t place = filter_place(key), at = place >> 3;
	struct om_filter_word w;
	uint8_t *count = &w.count[place & 7];
	int ret = bpf_map_lookup_elem(b->maps[OM_MAP_FILTER], &at, &w);

	if (ret)
		return om_map_error(err, OM_MAP_FILTER, ret, "cannot read");
	/* Full: how many there were is forgotten, so the counter stays. Zero: never below. */
	if (*count == OM_FILTER_STUCK || (by < 0 && !*count))
		return 0;
	*count = (uint8_t)(*count + by);
	ret = bpf_map_update_elem(b->maps[OM_MAP_FILTER], &at, &w, BPF_EXIST);
	return ret ? om_map_error(err, OM_MAP_FILTER, ret, "cannot write") : 0;
}

bool om_filter_has(const struct om_bpf *b, const struct om_object_key *key)
{
	uint32_t place = filter_place(key), at = place >> 3;
	struct om_filter_word w;

	return !bpf_map_lookup_elem(b->maps[OM_MAP_FILTER], &at, &w) && w.count[place & 7];
}

/* --- filling --- */

static int fill_objects(struct om_bpf *b, const struct om_merged *m, uint32_t n, struct om_err *err)
{
	struct om_pattern_key key;
	int ret;

	for (uint32_t i = 0; i < n; i++) {
		/* Patterns first: an object that promises patterns has them. */
		for (uint32_t p = 0; p < m[i].val.patterns; p++) {
			om_pattern_key_of(&m[i].key, p, &key);
			ret = bpf_map_update_elem(b->maps[OM_MAP_PATTERNS], &key, &m[i].patterns[p],
						  BPF_NOEXIST);
			if (ret)
				return om_map_error(err, OM_MAP_PATTERNS, ret, "cannot write");
		}
		ret = om_filter_add(b, &m[i].key, 1, err);
		if (ret)
			return ret;
		ret = bpf_map_update_elem(b->maps[OM_MAP_OBJECTS], &m[i].key, &m[i].val,
					  BPF_NOEXIST);
		if (ret)
			return om_map_error(err, OM_MAP_OBJECTS, ret, "cannot write");
	}
	return 0;
}

/* Two openers must not lose each other's counts. */
static int fill_locked(struct om_bpf *b, const struct om_merged *m, uint32_t n, struct om_err *err)
{
	int ret;

	if (flock(b->lock, LOCK_EX))
		return om_err_sys(err, OM_ERR_BPF_PIN, -errno, "cannot lock the pins");
	ret = fill_objects(b, m, n, err);
	(void)flock(b->lock, LOCK_UN);
	return ret;
}

static int fill_network(struct om_bpf *b, uint32_t policy, const struct om_bundle *bundle,
			struct om_err *err)
{
	const struct om_b_egress *egress;
	const struct om_b_listen *listen;
	struct om_egress_key ekey;
	struct om_listen_key lkey;
	uint32_t n;
	int ret;

	egress = om_bundle_section(bundle, OM_SEC_EGRESS, &n);
	for (uint32_t i = 0; i < n; i++) {
		om_egress_key_of(policy, &egress[i], &ekey);
		ret = bpf_map_update_elem(b->maps[OM_MAP_EGRESS], &ekey, &egress[i].grant,
					  BPF_NOEXIST);
		if (ret)
			return om_map_error(err, OM_MAP_EGRESS, ret, "cannot write");
	}
	listen = om_bundle_section(bundle, OM_SEC_LISTEN, &n);
	for (uint32_t i = 0; i < n; i++) {
		om_listen_key_of(policy, &listen[i], &lkey);
		ret = bpf_map_update_elem(b->maps[OM_MAP_LISTEN], &lkey, &listen[i].grant,
					  BPF_NOEXIST);
		if (ret)
			return om_map_error(err, OM_MAP_LISTEN, ret, "cannot write");
	}
	return 0;
}

int om_bpf_policy_fill(struct om_bpf *b, uint32_t policy, const struct om_bundle *bundle,
		       const struct om_resolved *objs, uint32_t n, struct om_err *err)
{
	struct om_merged *merged OM_CLEANUP(om_free_ptr) = NULL;
	uint32_t count;
	int ret;

	if (!om_policy_fits(policy, objs, n))
		return om_err_set(err, OM_ERR_INTERNAL, -EINVAL,
				  "policy %x is not for these objects", policy);
	if (b->layers & OM_LAYER_KERNEL) {
		ret = om_merge_objects(policy, objs, n, &merged, &count, err);
		if (!ret)
			ret = fill_locked(b, merged, count, err);
		if (!ret && bundle)
			ret = fill_contents(b, policy, bundle, err);
		if (ret)
			return ret;
	}
	return bundle ? fill_network(b, policy, bundle, err) : 0;
}

/* --- dropping --- */

struct key_list {
	uint8_t *keys;
	size_t key_size, used, cap;
};

static void key_list_done(struct key_list *l)
{
	free(l->keys);
}

static int key_list_add(const void *key, void *ctx)
{
	struct key_list *l = ctx;

	if (l->used == l->cap) {
		size_t cap = l->cap ? l->cap * 2 : 256;
		uint8_t *keys = realloc(l->keys, cap * l->key_size);

		if (!keys)
			return -ENOMEM;
		l->keys = keys;
		l->cap = cap;
	}
	memcpy(l->keys + l->used++ * l->key_size, key, l->key_size);
	return 0;
}

/* The maps whose keys begin with, or hold, a policy number. */
static const struct {
	enum om_map map;
	size_t key_size, off;
} policy_maps[] = {
	{OM_MAP_OBJECTS, sizeof(struct om_object_key), offsetof(struct om_object_key, policy)},
	{OM_MAP_PATTERNS, sizeof(struct om_pattern_key), offsetof(struct om_pattern_key, policy)},
	{OM_MAP_CONTENTS, sizeof(struct om_content_key), offsetof(struct om_content_key, policy)},
	{OM_MAP_EGRESS, sizeof(struct om_egress_key), offsetof(struct om_egress_key, policy)},
	{OM_MAP_LISTEN, sizeof(struct om_listen_key), offsetof(struct om_listen_key, policy)},
};

static int delete_keys(struct om_bpf *b, enum om_map map, const struct key_list *list,
		       struct om_err *err)
{
	int ret = 0;

	if (flock(b->lock, LOCK_EX))
		return om_err_sys(err, OM_ERR_BPF_PIN, -errno, "cannot lock the pins");
	for (size_t i = 0; i < list->used && !ret; i++) {
		const void *key = list->keys + i * list->key_size;

		ret = bpf_map_delete_elem(b->maps[map], key);
		if (ret == -ENOENT) {
			/* Somebody else removed it, and its count: twice would hide another's grant. */
			ret = 0;
			continue;
		}
		if (ret)
			ret = om_map_error(err, map, ret, "cannot remove entries from");
		else if (map == OM_MAP_OBJECTS)
			ret = om_filter_add(b, key, -1, err);
	}
	(void)flock(b->lock, LOCK_UN);
	return ret;
}

int om_bpf_policy_drop(struct om_bpf *b, uint32_t policy, struct om_err *err)
{
	int ret = 0;

	/*
	 * A program that read the old slot may still look up its entries: denials that nobody asked for.
	 * Programs run under RCU; this waits until all that run now are done.
	 */
	if (syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0))
		return om_err_sys(err, OM_ERR_BPF_MAP, -errno, "membarrier");
	for (size_t i = 0; i < OM_ARRAY_LEN(policy_maps) && !ret; i++) {
		struct key_list list OM_CLEANUP(key_list_done) = {.key_size =
									  policy_maps[i].key_size};
		enum om_map map = policy_maps[i].map;

		if (b->maps[map] < 0)
			continue;
		ret = om_policy_keys(b->maps[map], list.key_size, policy_maps[i].off, policy,
				     key_list_add, &list);
		ret = ret ? om_map_error(err, map, ret, "cannot list")
			  : delete_keys(b, map, &list, err);
	}
	return ret;
}

struct dead_keys {
	struct key_list list;
	size_t off;
	uint32_t live[OM_BRANES_MAX];
	uint32_t n;
};

static void dead_keys_free(struct dead_keys **d)
{
	if (*d)
		free((*d)->list.keys);
	free(*d);
}

static int add_live(const struct om_slot *slot, void *ctx)
{
	struct dead_keys *d = ctx;

	if (d->n == OM_ARRAY_LEN(d->live))
		return -E2BIG;
	d->live[d->n++] = slot->policy;
	return 0;
}

static int add_dead(const void *key, void *ctx)
{
	struct dead_keys *d = ctx;
	uint32_t policy;

	memcpy(&policy, (const uint8_t *)key + d->off, sizeof(policy));
	for (uint32_t i = 0; i < d->n; i++)
		if (d->live[i] == policy)
			return 0;
	return key_list_add(key, &d->list);
}

int om_bpf_policy_sweep(struct om_bpf *b, struct om_err *err)
{
	struct dead_keys *d OM_CLEANUP(dead_keys_free) = calloc(1, sizeof(*d));
	int ret;

	if (!d)
		return om_err_set(err, OM_ERR_NOMEM, -ENOMEM, "policy sweep");
	ret = om_bpf_brane_each(b, add_live, d, err);
	/* More slots than there can be: leave all entries, they deny or grant nothing by themselves. */
	if (ret)
		return ret;
	for (size_t i = 0; i < OM_ARRAY_LEN(policy_maps) && !ret; i++) {
		enum om_map map = policy_maps[i].map;

		if (b->maps[map] < 0)
			continue;
		d->off = policy_maps[i].off;
		d->list.key_size = policy_maps[i].key_size;
		d->list.used = d->list.cap = 0;
		free(d->list.keys);
		d->list.keys = NULL;
		ret = om_policy_keys(b->maps[map], d->list.key_size, d->off, 0, add_dead, d);
		ret = ret ? om_map_error(err, map, ret, "cannot list")
			  : delete_keys(b, map, &d->list, err);
	}
	return ret;
}
