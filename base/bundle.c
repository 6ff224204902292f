/*
 * The bundle reader: a block of bytes from a less trusted process becomes sections that can be used.
 *
 * Comes in: bytes. Goes out: struct om_bundle, borrowed views into the same bytes. Called by: the
 * loader, adoption, the simulators. Never does: allocate, follow an unchecked offset, or repair: a
 * block that the writer could not have written byte for byte is refused.
 */
#include <errno.h>
#include <stddef.h>
#include <string.h>

#include <nettle/sha2.h>

#include <base/bundle_sec.h>

/*
 * Mounts: a grant makes at most one; the slack is for what emit adds. Files: one row a grant.
 * CGROUP and RLIMIT hold one row per file or resource that exists.
 */
static const struct om_bundle_sec sections[OM_SEC_COUNT] = {
	[OM_SEC_META] = {"meta", sizeof(struct om_b_meta), 1},
	[OM_SEC_STRINGS] = {"strings", 1, OM_BUNDLE_MAX},
	[OM_SEC_ARGV] = {"argv", sizeof(uint32_t), OM_ARGV_MAX},
	[OM_SEC_ENV] = {"env", sizeof(uint32_t), OM_ENV_MAX},
	[OM_SEC_FILES] = {"files", sizeof(struct om_b_file), OM_GRANTS_MAX},
	[OM_SEC_VIEW] = {"view", sizeof(struct om_b_mount), OM_GRANTS_MAX + 16},
	[OM_SEC_EGRESS] = {"egress", sizeof(struct om_b_egress), OM_EGRESS_MAX},
	[OM_SEC_LISTEN] = {"listen", sizeof(struct om_b_listen), OM_LISTEN_MAX},
	[OM_SEC_NFT] = {"nft", sizeof(struct om_b_nft), OM_EGRESS_MAX},
	[OM_SEC_SECCOMP] = {"seccomp", sizeof(struct om_b_insn), OM_SECCOMP_INSNS_MAX},
	[OM_SEC_CGROUP] = {"cgroup", sizeof(struct om_b_cgroup), 32},
	[OM_SEC_RLIMIT] = {"rlimit", sizeof(struct om_b_rlimit), 16},
	[OM_SEC_GRANTS] = {"grants", sizeof(struct om_b_grant), OM_GRANTS_MAX},
	[OM_SEC_DIGESTS] = {"digests", sizeof(struct om_b_digest), OM_DIGESTS_MAX},
};

/* Fixed width: the block is written by one program and read by another. */
_Static_assert(sizeof(struct om_b_head) == 8 + 8 + 32 + 8 * OM_SEC_COUNT + 32, "om_b_head");
_Static_assert(sizeof(struct om_b_head) % 8 == 0, "om_b_head alignment");
_Static_assert(sizeof(struct om_b_meta) == 56, "om_b_meta");
_Static_assert(sizeof(struct om_b_file) == 32, "om_b_file");
_Static_assert(sizeof(struct om_b_mount) == 24, "om_b_mount");
_Static_assert(sizeof(struct om_b_egress) == 24, "om_b_egress");
_Static_assert(sizeof(struct om_b_listen) == 8, "om_b_listen");
_Static_assert(sizeof(struct om_b_nft) == 40, "om_b_nft");
_Static_assert(sizeof(struct om_b_insn) == 8, "om_b_insn");
_Static_assert(sizeof(struct om_b_cgroup) == 16, "om_b_cgroup");
_Static_assert(sizeof(struct om_b_rlimit) == 16, "om_b_rlimit");
_Static_assert(sizeof(struct om_b_grant) == 8, "om_b_grant");
_Static_assert(sizeof(struct om_b_digest) == 36, "om_b_digest");

const struct om_bundle_sec *om_bundle_sec(enum om_section sec)
{
	return &sections[sec];
}

void om_bundle_digest(const uint8_t *data, size_t len, uint8_t out[static 32])
{
	static const uint8_t zero[32];
	const size_t at = offsetof(struct om_b_head, digest);
	struct sha256_ctx ctx;

	sha256_init(&ctx);
	sha256_update(&ctx, at, data);
	sha256_update(&ctx, sizeof(zero), zero);
	sha256_update(&ctx, len - at - sizeof(zero), data + at + sizeof(zero));
	sha256_digest(&ctx, 32, out);
}

/* The header alone, before anything that it says is believed. */
static int check_head(const struct om_b_head *h, size_t len, struct om_err *err)
{
	if (memcmp(h->magic, OM_BUNDLE_MAGIC, sizeof(h->magic)) != 0)
		return om_err_set(err, OM_ERR_BUNDLE_FORMAT, -EINVAL, "magic is not %s",
				  OM_BUNDLE_MAGIC);
	if (h->version != OM_BUNDLE_VERSION)
		return om_err_set(err, OM_ERR_BUNDLE_FORMAT, -EINVAL, "version %u, expected %u",
				  h->version, OM_BUNDLE_VERSION);
	if (h->total != len)
		return om_err_set(err, OM_ERR_BUNDLE_FORMAT, -EINVAL, "%zu bytes, header says %u",
				  len, h->total);
	return 0;
}

/*
 * One layout only: sections in order of their number, each at the next multiple of 8, gaps zero,
 * nothing after the last. Overlap, aliasing and hidden bytes are thereby impossible, not merely
 * looked for.
 */
static int check_layout(const uint8_t *data, const struct om_b_head *h, struct om_err *err)
{
	size_t at = sizeof(*h);

	if (h->sec[0].off || h->sec[0].count)
		return om_err_set(err, OM_ERR_BUNDLE_FORMAT, -EINVAL, "section 0 is in use");
	for (unsigned int s = 1; s < OM_SEC_COUNT; s++) {
		const struct om_bundle_sec *row = &sections[s];
		size_t bytes = (size_t)h->sec[s].count * row->size, end;

		if (h->sec[s].count > row->max)
			return om_err_set(err, OM_ERR_BUNDLE_FORMAT, -E2BIG,
					  "section %s has %u elements, at most %u", row->name,
					  h->sec[s].count, row->max);
		if (h->sec[s].off != (h->sec[s].count ? at : 0))
			return om_err_set(err, OM_ERR_BUNDLE_FORMAT, -EINVAL,
					  "section %s lies at %u", row->name, h->sec[s].off);
		end = OM_BUNDLE_ALIGN(at + bytes);
		if (end > h->total)
			return om_err_set(err, OM_ERR_BUNDLE_FORMAT, -EINVAL,
					  "section %s passes the end", row->name);
		for (size_t i = at + bytes; i < end; i++)
			if (data[i])
				return om_err_set(err, OM_ERR_BUNDLE_FORMAT, -EINVAL,
						  "bytes between sections after %s", row->name);
		at = end;
	}
	if (at != h->total)
		return om_err_set(err, OM_ERR_BUNDLE_FORMAT, -EINVAL,
				  "bytes after the last section");
	if (h->sec[OM_SEC_META].count != 1)
		return om_err_set(err, OM_ERR_BUNDLE_FORMAT, -EINVAL, "section meta is missing");
	return 0;
}

/* With the first and the last byte zero, every offset inside the section names a whole string. */
static int check_strings(const uint8_t *data, const struct om_b_head *h, struct om_err *err)
{
	uint32_t n = h->sec[OM_SEC_STRINGS].count;
	const uint8_t *s = data + h->sec[OM_SEC_STRINGS].off;

	if (!n || s[0] || s[n - 1])
		return om_err_set(err, OM_ERR_BUNDLE_FORMAT, -EINVAL,
				  "strings do not begin and end with NUL");
	return 0;
}

int om_bundle_open(const void *data, size_t len, struct om_bundle *out, struct om_err *err)
{
	struct om_bundle b = {.data = data, .len = len, .head = data};
	uint8_t digest[32];
	int ret;

	*out = (struct om_bundle){0};
	if (!data || (uintptr_t)data % 8)
		return om_err_set(err, OM_ERR_BUNDLE_FORMAT, -EINVAL, "not 8-aligned");
	if (len < sizeof(struct om_b_head) || len > OM_BUNDLE_MAX)
		return om_err_set(err, OM_ERR_BUNDLE_FORMAT, -EINVAL,
				  "%zu bytes, expected %zu to %u", len, sizeof(struct om_b_head),
				  OM_BUNDLE_MAX);
	ret = check_head(b.head, len, err);
	if (ret)
		return ret;
	om_bundle_digest(data, len, digest);
	if (memcmp(digest, b.head->digest, sizeof(digest)) != 0)
		return om_err_set(err, OM_ERR_BUNDLE_DIGEST, -EBADMSG, "digest differs");
	/* The digest only finds accidents: who writes the block also writes the digest. */
	ret = check_layout(b.data, b.head, err);
	if (ret)
		return ret;
	ret = check_strings(b.data, b.head, err);
	if (ret)
		return ret;
	b.meta = (const void *)(b.data + b.head->sec[OM_SEC_META].off);
	ret = om_bundle_check(&b, err);
	if (ret)
		return ret;
	*out = b;
	return 0;
}

/* Safe on a struct that open refused: it has no head, and so no sections. */
const void *om_bundle_section(const struct om_bundle *b, enum om_section sec, uint32_t *count)
{
	if (sec <= 0 || sec >= OM_SEC_COUNT || !b->head || !b->head->sec[sec].count) {
		*count = 0;
		return NULL;
	}
	*count = b->head->sec[sec].count;
	return b->data + b->head->sec[sec].off;
}

const char *om_bundle_str(const struct om_bundle *b, uint32_t off)
{
	uint32_t n;
	const char *s = om_bundle_section(b, OM_SEC_STRINGS, &n);

	/* Offsets in elements were checked by open; a caller's own arithmetic was not. */
	return off < n ? s + off : "";
}
