/*
 * A directory's create patterns against the last component of a path: one star at the most.
 *
 * Comes in: the directory's key, how many patterns it has, the name. Goes out: the rights that those
 * which match give. Called by: om_missing. Never does: read another string than that one name.
 */
#ifndef OMEGA_BPF_PATTERN_H
#define OMEGA_BPF_PATTERN_H

#include "core.bpf.h"
#include "event.bpf.h"

/* Words of a pattern part; both sides are padded with zeroes. */
static __always_inline int om_part_equal(const __u64 *a, const __u8 *b)
{
	const __u64 *w = (const __u64 *)b;
	__u64 diff = 0;

	for (int i = 0; i < 8; i++)
		diff |= a[i] ^ w[i];
	return diff == 0;
}

/* Reads LEN (0-64) bytes at SRC, the rest zero. 0: it could not be read. */
static __always_inline int om_part_read(__u64 *buf, __u32 len, const unsigned char *src)
{
	for (int i = 0; i < 8; i++)
		buf[i] = 0;
	if (len > OM_PATTERN_PART_MAX)
		return 0;
	return !len || !bpf_probe_read_kernel(buf, len, src);
}

static __noinline int om_pattern_match(struct om_pattern *pat, const unsigned char *name, __u32 len)
{
	__u32 prefix = pat->prefix_len, suffix = pat->suffix_len;
	__u64 part[8];

	if (len < prefix + suffix || (pat->exact && len != prefix))
		return 0;
	if (!om_part_read(part, prefix, name) || !om_part_equal(part, pat->prefix))
		return 0;
	if (!om_part_read(part, suffix, name + (len - suffix)))
		return 0;
	return om_part_equal(part, pat->suffix);
}

struct om_names {
	struct om_pattern_key key;
	const unsigned char *name;
	__u32 len;
	__u32 may;
};

static long om_pattern_step(__u32 i, struct om_names *n)
{
	struct om_pattern *pat;

	n->key.index = i;
	pat = bpf_map_lookup_elem(&om_patterns, &n->key);
	if (pat && om_pattern_match(pat, n->name, n->len))
		n->may |= pat->mask;
	return 0;
}

/* What the patterns of the directory DIR give on the name of D. */
static __noinline __u32 om_pattern_rights(struct om_object_key *dir, __u32 count, struct dentry *d)
{
	struct om_names n = {
		.key = {.policy = dir->policy, .dev = dir->dev, .ino = dir->ino, .gen = dir->gen}};

	n.name = d->d_name.name;
	n.len = d->d_name.len;
	/* More than the loader ever writes: whoever wrote it is not the loader. */
	if (count > OM_PATTERNS_MAX)
		return 0;
	bpf_loop(count, om_pattern_step, &n, 0);
	return n.may;
}

#endif
