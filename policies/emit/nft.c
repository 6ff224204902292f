/*
 * The nftables layer: the brane's egress set as intervals that do not touch.
 *
 * Comes in: the egress grants of an IR. Goes out: OM_SEC_NFT. Called by: om_emit_bundle. Never does:
 * emit two intervals that overlap or touch for one protocol and port (the kernel refuses the whole
 * batch), or let an IPv6 interval stand for IPv4: packets of the two families meet different sets.
 */
#include <errno.h>
#include <string.h>

#include <omega/addr.h>
#include <policies/emit/emit.h>

static const uint8_t v4_lo[16] = {[10] = 0xff, [11] = 0xff};
static const uint8_t v4_hi[16] = {[10] = 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

/* proto, port, v6, lo: the order in which neighbours can be merged. */
static int by_start(const void *a, const void *b)
{
	const struct om_b_nft *x = a, *y = b;

	if (x->proto != y->proto)
		return x->proto < y->proto ? -1 : 1;
	if (x->port != y->port)
		return x->port < y->port ? -1 : 1;
	if (x->v6 != y->v6)
		return x->v6 < y->v6 ? -1 : 1;
	return memcmp(x->lo, y->lo, 16);
}

/* Addresses are big-endian numbers of 128 bits. False: it was the last one and is now ::. */
static bool increment(uint8_t a[16])
{
	for (int i = 15; i >= 0; i--)
		if (++a[i])
			return true;
	return false;
}

static void decrement(uint8_t a[16])
{
	for (int i = 15; i >= 0; i--)
		if (a[i]--)
			return;
}

/* One network as at most three intervals: IPv6 before, IPv4 inside and IPv6 behind ::ffff:0:0/96. */
static uint32_t split(const struct om_grant_egress *g, uint32_t grant, struct om_b_nft out[3])
{
	struct om_b_nft whole = {.proto = g->proto, .grant = grant, .v6 = 1};
	uint32_t n = 0;

	memcpy(whole.lo, g->addr, 16);
	memcpy(whole.hi, g->addr, 16);
	for (unsigned int i = g->bits; i < 128; i++)
		whole.hi[i / 8] |= (uint8_t)(0x80u >> (i % 8));
	if (memcmp(whole.hi, v4_lo, 16) < 0 || memcmp(whole.lo, v4_hi, 16) > 0) {
		out[n++] = whole;
		return n;
	}
	if (memcmp(whole.lo, v4_lo, 16) < 0) {
		out[n] = whole;
		memcpy(out[n].hi, v4_lo, 16);
		decrement(out[n++].hi);
	}
	out[n] = whole;
	out[n].v6 = 0;
	if (memcmp(whole.lo, v4_lo, 16) < 0)
		memcpy(out[n].lo, v4_lo, 16);
	if (memcmp(whole.hi, v4_hi, 16) > 0)
		memcpy(out[n].hi, v4_hi, 16);
	n++;
	if (memcmp(whole.hi, v4_hi, 16) > 0) {
		out[n] = whole;
		memcpy(out[n].lo, v4_hi, 16);
		(void)increment(out[n++].lo);
	}
	return n;
}

/* Whether B starts inside A or right behind it. */
static bool touches(const struct om_b_nft *a, const struct om_b_nft *b)
{
	uint8_t next[16];

	if (a->proto != b->proto || a->port != b->port || a->v6 != b->v6)
		return false;
	memcpy(next, a->hi, 16);
	return !increment(next) || memcmp(b->lo, next, 16) <= 0;
}

/*
 * Neighbours become one interval. Overlap is refused with the whole batch, and what the loader reads back
 * must be what it wrote, so nothing is left for the kernel to merge.
 */
static uint32_t merge(struct om_b_nft *rows, uint32_t n)
{
	uint32_t out = 0;

	for (uint32_t i = 0; i < n; i++) {
		if (!out || !touches(&rows[out - 1], &rows[i])) {
			rows[out++] = rows[i];
			continue;
		}
		if (memcmp(rows[i].hi, rows[out - 1].hi, 16) > 0)
			memcpy(rows[out - 1].hi, rows[i].hi, 16);
	}
	return out;
}

int om_emit_nft(const struct om_emit *e, struct om_err *err)
{
	OM_CLEANUP(om_free_ptr) struct om_b_nft *rows = NULL;
	uint64_t total = 0;
	uint32_t n = 0;

	for (uint32_t i = 0; i < e->ir->count; i++)
		if (e->ir->grants[i].kind == OM_GRANT_EGRESS)
			total += 3ull * ((uint64_t)e->ir->grants[i].egress.port_hi -
					 e->ir->grants[i].egress.port_lo + 1);
	if (total > 3ull * OM_EGRESS_MAX)
		return om_err_set(err, OM_ERR_IR_LIMIT, -E2BIG,
				  "network.egress is too large for nft");
	/* Three parts for each row at worst; the section's own bound is checked when it is written. */
	rows = calloc(total ? total : 1, sizeof(*rows));
	if (!rows)
		return om_err_set(err, OM_ERR_NOMEM, -ENOMEM, "nft intervals");
	for (uint32_t i = 0; i < e->ir->count; i++) {
		const struct om_grant_egress *g = &e->ir->grants[i].egress;
		struct om_b_nft part[3];
		uint32_t parts;

		if (e->ir->grants[i].kind != OM_GRANT_EGRESS)
			continue;
		parts = split(g, i, part);
		for (uint32_t port = g->port_lo; port <= g->port_hi; port++)
			for (uint32_t p = 0; p < parts; p++) {
				rows[n] = part[p];
				rows[n++].port = (uint16_t)port;
			}
	}
	qsort(rows, n, sizeof(*rows), by_start);
	return om_bundle_w_add(e->w, OM_SEC_NFT, rows, merge(rows, n), err);
}
