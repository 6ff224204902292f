/*
 * SHA-256: streaming, one shot, and the leaf and node forms of RFC 6962.
 *
 * Comes in: bytes. Goes out: digests. Called by: see include/omega/sha256.h. The block function is
 * picked once: processor extensions, else nettle. Never does: allocate, fail.
 */
#include <string.h>
#include <nettle/sha2.h>

#include <omega/compiler.h>
#include <omega/sha256.h>
#include "base/sha256_ni.h"

OM_STATIC_ASSERT(sizeof(struct sha256_ctx) <= sizeof(((struct om_sha256 *)0)->other));

static const uint32_t initial[8] = {
	0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
	0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
};

/* -1 not asked yet, 0 nettle, 1 processor. Racing first calls all store the same value. */
static int use_ni = -1;

static inline int ni(void)
{
	int v = __atomic_load_n(&use_ni, __ATOMIC_RELAXED);

	if (v < 0) {
		v = om_sha256_ni_usable();
		__atomic_store_n(&use_ni, v, __ATOMIC_RELAXED);
	}
	return v;
}

void om_sha256_force_fallback(int on)
{
	__atomic_store_n(&use_ni, on ? 0 : om_sha256_ni_usable(), __ATOMIC_RELAXED);
}

const char *om_sha256_backend(void)
{
	return ni() ? "sha-ni" : "nettle";
}

/* nettle's state lives in the opaque tail: copied in and out, so that alignment never matters. */
static void nettle_step(struct om_sha256 *c, const void *data, size_t len)
{
	struct sha256_ctx n;

	memcpy(&n, c->other, sizeof(n));
	sha256_update(&n, len, data);
	memcpy(c->other, &n, sizeof(n));
}

void om_sha256_init(struct om_sha256 *c)
{
	memcpy(c->h, initial, sizeof(initial));
	c->len = 0;
	if (!ni()) {
		struct sha256_ctx n;

		sha256_init(&n);
		memcpy(c->other, &n, sizeof(n));
	}
}

void om_sha256_update(struct om_sha256 *c, const void *data, size_t len)
{
	const uint8_t *p = data;
	size_t have = c->len & 63;

	if (!len)
		return;
	c->len += len;
	if (!ni()) {
		nettle_step(c, data, len);
		return;
	}
	if (have) {
		size_t take = OM_MIN(len, 64 - have);

		memcpy(c->buf + have, p, take);
		p += take;
		len -= take;
		if (have + take < 64)
			return;
		om_sha256_ni_blocks(c->h, c->buf, 1);
	}
	om_sha256_ni_blocks(c->h, p, len / 64);
	memcpy(c->buf, p + (len & ~(size_t)63), len & 63);
}

static inline void put_words(const uint32_t h[8], uint8_t *out)
{
	for (int i = 0; i < 8; i++) {
		uint32_t v = __builtin_bswap32(h[i]);

		memcpy(out + 4 * i, &v, 4);
	}
}

/* Pads the USED bytes in TAIL (room for two blocks unless USED < 56) for a message of TOTAL bytes; blocks made. */
static inline size_t pad(uint8_t *tail, size_t used, uint64_t total)
{
	size_t blocks = used < 56 ? 1 : 2;
	uint64_t bits = __builtin_bswap64(total * 8);

	tail[used] = 0x80;
	memset(tail + used + 1, 0, blocks * 64 - used - 9);
	memcpy(tail + blocks * 64 - 8, &bits, 8);
	return blocks;
}

void om_sha256_final(struct om_sha256 *c, uint8_t out[static OM_SHA256_LEN])
{
	uint8_t tail[128];
	size_t used = c->len & 63;

	if (!ni()) {
		struct sha256_ctx n;

		memcpy(&n, c->other, sizeof(n));
		sha256_digest(&n, OM_SHA256_LEN, out);
		return;
	}
	memcpy(tail, c->buf, used);
	om_sha256_ni_blocks(c->h, tail, pad(tail, used, c->len));
	put_words(c->h, out);
}

void om_sha256(const void *data, size_t len, uint8_t out[static OM_SHA256_LEN])
{
	struct om_sha256 c;

	om_sha256_init(&c);
	om_sha256_update(&c, data, len);
	om_sha256_final(&c, out);
}

/* A prefixed message cut into: one copied head block, whole blocks in place, a padded tail. */
struct cut {
	uint32_t h[8];
	uint8_t head[64];
	uint8_t tail[128];
	const uint8_t *mid;
	size_t mids;
	size_t tails;
	size_t heads;
};

static inline void cut_leaf(struct cut *c, const uint8_t *p, size_t len)
{
	memcpy(c->h, initial, sizeof(initial));
	c->mids = 0;
	c->mid = p;
	if (len < 63) {
		c->heads = 0;
		c->tail[0] = 0;
		memcpy(c->tail + 1, p, len);
		c->tails = pad(c->tail, len + 1, len + 1);
		return;
	}
	c->heads = 1;
	c->head[0] = 0;
	memcpy(c->head + 1, p, 63);
	c->mid = p + 63;
	c->mids = (len - 63) / 64;
	memcpy(c->tail, c->mid + c->mids * 64, (len - 63) & 63);
	c->tails = pad(c->tail, (len - 63) & 63, len + 1);
}

static void two(struct cut *a, const uint8_t *pa, size_t na, struct cut *b, const uint8_t *pb,
		size_t nb)
{
	size_t both = OM_MIN(na, nb);

	om_sha256_ni_blocks2(a->h, pa, b->h, pb, both);
	if (na > both)
		om_sha256_ni_blocks(a->h, pa + both * 64, na - both);
	if (nb > both)
		om_sha256_ni_blocks(b->h, pb + both * 64, nb - both);
}

static void leaf_slow(const void *data, size_t len, uint8_t *out)
{
	static const uint8_t zero = 0;
	struct om_sha256 c;

	om_sha256_init(&c);
	om_sha256_update(&c, &zero, 1);
	om_sha256_update(&c, data, len);
	om_sha256_final(&c, out);
}

void om_sha256_leaf(const void *data, size_t len, uint8_t out[static OM_SHA256_LEN])
{
	leaf_slow(data, len, out);
}

void om_sha256_leaves(const void *const data[], const size_t len[], size_t n,
		      uint8_t out[][OM_SHA256_LEN])
{
	struct cut a, b;
	size_t i = 0;

	if (ni())
		for (; i + 1 < n; i += 2) {
			cut_leaf(&a, data[i], len[i]);
			cut_leaf(&b, data[i + 1], len[i + 1]);
			two(&a, a.head, a.heads, &b, b.head, b.heads);
			two(&a, a.mid, a.mids, &b, b.mid, b.mids);
			two(&a, a.tail, a.tails, &b, b.tail, b.tails);
			put_words(a.h, out[i]);
			put_words(b.h, out[i + 1]);
		}
	for (; i < n; i++)
		leaf_slow(data[i], len[i], out[i]);
}

/* 0x01 || 64 bytes: always two blocks, the second of one byte and fixed padding. */
static inline void node_block(uint8_t buf[static 128], const uint8_t *pair)
{
	buf[0] = 1;
	memcpy(buf + 1, pair, 64);
	pad(buf + 64, 1, 65);
}

void om_sha256_nodes(const uint8_t pairs[][OM_SHA256_LEN], size_t n, uint8_t out[][OM_SHA256_LEN])
{
	uint8_t a[192], b[192];
	uint32_t ha[8], hb[8];
	size_t i = 0;

	if (!ni()) {
		for (; i < n; i++) {
			node_block(a, pairs[2 * i]);
			om_sha256(a, 65, out[i]);
		}
		return;
	}
	for (; i + 1 < n; i += 2) {
		node_block(a, pairs[2 * i]);
		node_block(b, pairs[2 * i + 2]);
		memcpy(ha, initial, sizeof(ha));
		memcpy(hb, initial, sizeof(hb));
		om_sha256_ni_blocks2(ha, a, hb, b, 2);
		put_words(ha, out[i]);
		put_words(hb, out[i + 1]);
	}
	if (i < n) {
		node_block(a, pairs[2 * i]);
		memcpy(ha, initial, sizeof(ha));
		om_sha256_ni_blocks(ha, a, 2);
		put_words(ha, out[i]);
	}
}

void om_sha256_format(const uint8_t digest[static OM_SHA256_LEN], char out[static 65])
{
	static const char hex[] = "0123456789abcdef";

	for (size_t i = 0; i < OM_SHA256_LEN; i++) {
		out[2 * i] = hex[digest[i] >> 4];
		out[2 * i + 1] = hex[digest[i] & 15];
	}
	out[64] = '\0';
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool om_sha256_parse(const char *text, uint8_t out[static OM_SHA256_LEN])
{
	for (size_t i = 0; i < OM_SHA256_LEN; i++) {
		int hi = hex_digit(text[2 * i]);
		int lo = hi < 0 ? -1 : hex_digit(text[2 * i + 1]);

		if (lo < 0)
			return false;
		out[i] = (uint8_t)(hi << 4 | lo);
	}
	return true;
}
