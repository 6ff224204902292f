/*
 * Reading a policy back: what the kernel holds is what was meant, no more and no less.
 *
 * Comes in: the same bundle and objects as om_bpf_policy_fill took. Goes out: agreement, or the first
 * difference. Called by: the transaction before it publishes, adoption before it trusts. Never does:
 * repair anything.
 *
 * What was meant is looked up entry by entry. That nothing else is there takes a walk over a whole map,
 * milliseconds when its limit is a million, so it is for adoption and for om_loader_verify.
 */
#include <errno.h>
#include <string.h>

#include <loader/bpf_priv.h>

#define OM_KEYS_BATCH 1024u

/* Kernels keep a batch cursor of their own; for a hash it is four bytes, for a trie a whole key. */
static int keys_batched(int map, size_t key_size, size_t value_size, size_t off, uint32_t policy,
			int (*fn)(const void *key, void *ctx), void *ctx)
{
	uint8_t *keys OM_CLEANUP(om_free_ptr) = calloc(OM_KEYS_BATCH, key_size);
	uint8_t *values OM_CLEANUP(om_free_ptr) = calloc(OM_KEYS_BATCH, value_size);
	uint32_t cursor = 0, n;
	bool first = true;
	int ret = 0;

	if (!keys || !values)
		return -ENOMEM;
	while (!ret) {
		n = OM_KEYS_BATCH;
		ret = bpf_map_lookup_batch(map, first ? NULL : &cursor, &cursor, keys, values, &n,
					   NULL);
		if (ret && ret != -ENOENT)
			return ret;
		first = false;
		for (uint32_t i = 0; i < n; i++) {
			uint32_t have;
			int stop;

			memcpy(&have, keys + i * key_size + off, sizeof(have));
			if (policy && have != policy)
				continue;
			stop = fn(keys + i * key_size, ctx);
			if (stop)
				return stop;
		}
	}
	return 0;
}

static int keys_one_by_one(int map, size_t off, uint32_t policy,
			   int (*fn)(const void *key, void *ctx), void *ctx)
{
	uint8_t key[64], next[64];
	void *prev = NULL;
	int ret;

	while (!(ret = bpf_map_get_next_key(map, prev, next))) {
		uint32_t have;

		memcpy(&have, next + off, sizeof(have));
		if (!policy || have == policy) {
			ret = fn(next, ctx);
			if (ret)
				return ret;
		}
		memcpy(key, next, sizeof(key));
		prev = key;
	}
	return ret == -ENOENT ? 0 : ret;
}

int om_policy_keys(int map, size_t key_size, size_t off, uint32_t policy,
		   int (*fn)(const void *key, void *ctx), void *ctx)
{
	struct bpf_map_info info = {0};
	uint32_t len = sizeof(info);
	int ret = bpf_obj_get_info_by_fd(map, &info, &len);

	if (ret)
		return ret;
	if (info.key_size != key_size || key_size > 64)
		return -EINVAL;
	if (info.type == BPF_MAP_TYPE_HASH)
		return keys_batched(map, key_size, info.value_size, off, policy, fn, ctx);
	return keys_one_by_one(map, off, policy, fn, ctx);
}

static int differs(struct om_err *err, enum om_map map, uint32_t policy, const char *what)
{
	return om_err_set(err, OM_ERR_BPF_VERIFY, -EUCLEAN, "%s, policy %u: %s", om_map_names[map],
			  policy, what);
}

static int count_key(const void *key, void *ctx)
{
	++*(uint32_t *)ctx;
	return 0;
}

/* The other way round: with every expected entry found, an equal count leaves no room for another. */
static int verify_count(struct om_bpf *b, enum om_map map, size_t key_size, size_t off,
			uint32_t policy, uint32_t want, struct om_err *err)
{
	uint32_t have = 0;
	int ret;

	if (b->maps[map] < 0)
		return 0;
	ret = om_policy_keys(b->maps[map], key_size, off, policy, count_key, &have);
	if (ret)
		return om_map_error(err, map, ret, "cannot list");
	if (have != want)
		return differs(err, map, policy,
			       have > want ? "an entry nobody granted" : "an entry is missing");
	return 0;
}

static int verify_objects(struct om_bpf *b, uint32_t policy, const struct om_resolved *objs,
			  uint32_t n, bool both, struct om_err *err)
{
	struct om_merged *m OM_CLEANUP(om_free_ptr) = NULL;
	uint32_t count, patterns = 0;
	int ret = om_merge_objects(policy, objs, n, &m, &count, err);

	if (ret)
		return ret;
	/* The filter would be believed where it hides what takes rights away. */
	if (!om_policy_fits(policy, objs, n))
		return differs(err, OM_MAP_OBJECTS, policy, "the number is not for these objects");
	for (uint32_t i = 0; i < count; i++) {
		struct om_object_val val;

		if (bpf_map_lookup_elem(b->maps[OM_MAP_OBJECTS], &m[i].key, &val))
			return differs(err, OM_MAP_OBJECTS, policy, "an entry is missing");
		if (memcmp(&val, &m[i].val, sizeof(val)) != 0)
			return differs(err, OM_MAP_OBJECTS, policy, "an entry has other rights");
		/* Hidden, it would deny what it grants. */
		if (!om_filter_has(b, &m[i].key))
			return differs(err, OM_MAP_FILTER, policy, "an entry is not counted");
		for (uint32_t p = 0; p < m[i].val.patterns; p++, patterns++) {
			struct om_pattern_key key;
			struct om_pattern pat;

			om_pattern_key_of(&m[i].key, p, &key);
			if (bpf_map_lookup_elem(b->maps[OM_MAP_PATTERNS], &key, &pat))
				return differs(err, OM_MAP_PATTERNS, policy, "an entry is missing");
			if (memcmp(&pat, &m[i].patterns[p], sizeof(pat)) != 0)
				return differs(err, OM_MAP_PATTERNS, policy, "a pattern differs");
		}
	}
	if (!both)
		return 0;
	ret = verify_count(b, OM_MAP_OBJECTS, sizeof(struct om_object_key),
			   offsetof(struct om_object_key, policy), policy, count, err);
	if (ret)
		return ret;
	return verify_count(b, OM_MAP_PATTERNS, sizeof(struct om_pattern_key),
			    offsetof(struct om_pattern_key, policy), policy, patterns, err);
}

static int verify_contents(struct om_bpf *b, uint32_t policy, const struct om_bundle *bundle,
			   bool both, struct om_err *err)
{
	uint32_t n = 0, one;
	const struct om_b_digest *d = bundle ? om_bundle_section(bundle, OM_SEC_DIGESTS, &n) : NULL;

	for (uint32_t i = 0; i < n; i++) {
		struct om_content_key key;

		om_content_key_of(policy, bundle, &d[i], &key);
		if (bpf_map_lookup_elem(b->maps[OM_MAP_CONTENTS], &key, &one))
			return differs(err, OM_MAP_CONTENTS, policy, "an entry is missing");
	}
	return !both ? 0
		     : verify_count(b, OM_MAP_CONTENTS, sizeof(struct om_content_key),
				    offsetof(struct om_content_key, policy), policy, n, err);
}

static int verify_egress(struct om_bpf *b, uint32_t policy, const struct om_bundle *bundle,
			 bool both, struct om_err *err)
{
	uint32_t n = 0, grant;
	const struct om_b_egress *e = bundle ? om_bundle_section(bundle, OM_SEC_EGRESS, &n) : NULL;

	for (uint32_t i = 0; i < n; i++) {
		struct om_egress_key key;

		om_egress_key_of(policy, &e[i], &key);
		/* Syscall look-ups in a trie are longest-prefix too: the count below settles the rest. */
		if (bpf_map_lookup_elem(b->maps[OM_MAP_EGRESS], &key, &grant))
			return differs(err, OM_MAP_EGRESS, policy, "an entry is missing");
		if (grant != e[i].grant)
			return differs(err, OM_MAP_EGRESS, policy, "an entry names another grant");
	}
	return !both ? 0
		     : verify_count(b, OM_MAP_EGRESS, sizeof(struct om_egress_key),
				    offsetof(struct om_egress_key, policy), policy, n, err);
}

static int verify_listen(struct om_bpf *b, uint32_t policy, const struct om_bundle *bundle,
			 bool both, struct om_err *err)
{
	uint32_t n = 0, grant;
	const struct om_b_listen *l = bundle ? om_bundle_section(bundle, OM_SEC_LISTEN, &n) : NULL;

	for (uint32_t i = 0; i < n; i++) {
		struct om_listen_key key;

		om_listen_key_of(policy, &l[i], &key);
		if (bpf_map_lookup_elem(b->maps[OM_MAP_LISTEN], &key, &grant))
			return differs(err, OM_MAP_LISTEN, policy, "an entry is missing");
		if (grant != l[i].grant)
			return differs(err, OM_MAP_LISTEN, policy, "an entry names another grant");
	}
	return !both ? 0
		     : verify_count(b, OM_MAP_LISTEN, sizeof(struct om_listen_key),
				    offsetof(struct om_listen_key, policy), policy, n, err);
}

static int verify(struct om_bpf *b, uint32_t policy, const struct om_bundle *bundle,
		  const struct om_resolved *objs, uint32_t n, bool both, struct om_err *err)
{
	int ret = 0;

	if (b->layers & OM_LAYER_KERNEL)
		ret = verify_objects(b, policy, objs, n, both, err);
	if (!ret && b->layers & OM_LAYER_KERNEL)
		ret = verify_contents(b, policy, bundle, both, err);
	if (!ret)
		ret = verify_egress(b, policy, bundle, both, err);
	if (!ret)
		ret = verify_listen(b, policy, bundle, both, err);
	return ret;
}

int om_bpf_policy_verify(struct om_bpf *b, uint32_t policy, const struct om_bundle *bundle,
			 const struct om_resolved *objs, uint32_t n, struct om_err *err)
{
	return verify(b, policy, bundle, objs, n, true, err);
}

int om_bpf_policy_written(struct om_bpf *b, uint32_t policy, const struct om_bundle *bundle,
			  const struct om_resolved *objs, uint32_t n, struct om_err *err)
{
	return verify(b, policy, bundle, objs, n, false, err);
}
