/*
 * The normal form of egress grants.
 *
 * Comes in: networks with port ranges, overlapping in any way. Goes out: the one description of the
 * same set of (address, port): the ports are cut where the set of addresses changes, and each piece
 * lists its addresses as the fewest networks. Called by: om_ir_normalise. Never does: widen the
 * set.
 *
 * The work is (pieces x grants), both bounded by OM_GRANTS_MAX and in practice by the manifest's
 * size.
 */
#include <errno.h>
#include <string.h>

#include <omega/addr.h>
#include <omega/limits.h>
#include <policies/ir/ir.h>

/* The networks of one piece of the port range, as they were last emitted. */
struct cover {
	struct om_grant *g;
	uint32_t count;
};

static int by_network(const void *pa, const void *pb)
{
	const struct om_grant *a = pa, *b = pb;
	int ret = memcmp(a->egress.addr, b->egress.addr, sizeof(a->egress.addr));

	if (!ret)
		ret = (int)a->egress.bits - (int)b->egress.bits;
	if (!ret)
		ret = a->pos.line < b->pos.line ? -1 : a->pos.line > b->pos.line;
	return ret;
}

static int by_number(const void *pa, const void *pb)
{
	uint32_t a = *(const uint32_t *)pa, b = *(const uint32_t *)pb;

	return a < b ? -1 : a > b;
}

static bool same_network(const struct om_grant_egress *a, const struct om_grant_egress *b)
{
	return a->bits == b->bits && memcmp(a->addr, b->addr, sizeof(a->addr)) == 0;
}

/* Adds the next network, in address order: covered ones vanish, two halves become the whole. */
static void cover_push(struct cover *c, const struct om_grant *g)
{
	struct om_grant *top = c->count ? &c->g[c->count - 1] : NULL;

	if (top && top->egress.bits <= g->egress.bits &&
	    om_addr_match(top->egress.addr, g->egress.addr, top->egress.bits))
		return;
	c->g[c->count++] = *g;
	while (c->count >= 2) {
		struct om_grant *a = &c->g[c->count - 2], *b = a + 1;
		unsigned int bits = a->egress.bits;

		/*
		 * Never across ::ffff:0:0/96: two halves of all IPv4 become 0.0.0.0/0 and stop
		 * there, so that no merge of IPv4 networks ever reads as an IPv6 one.
		 */
		if (bits != b->egress.bits || bits == 0 || bits == 96 ||
		    !om_addr_match(a->egress.addr, b->egress.addr, bits - 1))
			break;
		a->egress.bits = (uint8_t)(bits - 1);
		if (b->pos.line < a->pos.line)
			a->pos = b->pos;
		c->count--;
	}
}

static bool cover_equal(const struct cover *a, const struct cover *b)
{
	if (a->count != b->count)
		return false;
	for (uint32_t i = 0; i < a->count; i++)
		if (!same_network(&a->g[i].egress, &b->g[i].egress))
			return false;
	return true;
}

static int emit(struct om_ir *ir, const struct cover *c, uint32_t lo, uint32_t hi,
		struct om_err *err)
{
	for (uint32_t i = 0; i < c->count; i++) {
		struct om_grant g = c->g[i];
		int ret;

		g.egress.port_lo = (uint16_t)lo;
		g.egress.port_hi = (uint16_t)hi;
		ret = om_ir_add(ir, &g, err);
		if (ret < 0)
			return ret;
	}
	return 0;
}

/* The N grants at G have one protocol and are sorted by network; CUTS has room for 2N numbers. */
static int normal_proto(struct om_ir *ir, const struct om_grant *g, uint32_t n, uint32_t *cuts,
			struct cover *now, struct cover *last, struct om_err *err)
{
	uint32_t ncuts = 0, start = 0;
	int ret;

	for (uint32_t i = 0; i < n; i++) {
		cuts[ncuts++] = g[i].egress.port_lo;
		cuts[ncuts++] = g[i].egress.port_hi + 1u;
	}
	qsort(cuts, ncuts, sizeof(*cuts), by_number);
	last->count = 0;
	for (uint32_t k = 0; k + 1 < ncuts; k++) {
		uint32_t lo = cuts[k], hi = cuts[k + 1] - 1;

		if (cuts[k] == cuts[k + 1])
			continue;
		now->count = 0;
		for (uint32_t i = 0; i < n; i++)
			if (g[i].egress.port_lo <= lo && g[i].egress.port_hi >= hi)
				cover_push(now, &g[i]);
		if (cover_equal(now, last))
			continue;
		ret = emit(ir, last, start, lo - 1, err);
		if (ret < 0)
			return ret;
		start = lo;
		memcpy(last->g, now->g, now->count * sizeof(*now->g));
		last->count = now->count;
	}
	return emit(ir, last, start, cuts[ncuts - 1] - 1, err);
}

int om_ir_normal_egress(struct om_ir *ir, struct om_err *err)
{
	OM_CLEANUP(om_free_ptr) struct om_grant *work = NULL;
	OM_CLEANUP(om_free_ptr) uint32_t *cuts = NULL;
	static const uint8_t protos[] = {OM_PROTO_TCP, OM_PROTO_UDP};
	struct cover now = {0}, last = {0};
	uint32_t n = 0, kept = 0;
	int ret;

	for (uint32_t i = 0; i < ir->count; i++)
		n += ir->grants[i].kind == OM_GRANT_EGRESS;
	if (n == 0)
		return 0;
	work = calloc(n, 3 * sizeof(*work));
	cuts = calloc(n, 2 * sizeof(*cuts));
	if (!work || !cuts)
		return om_err_set(err, OM_ERR_NOMEM, -ENOMEM, "no memory to normalise");
	now.g = work + n;
	last.g = work + 2 * (size_t)n;

	n = 0;
	for (uint32_t i = 0; i < ir->count; i++) {
		if (ir->grants[i].kind == OM_GRANT_EGRESS)
			work[n++] = ir->grants[i];
		else
			ir->grants[kept++] = ir->grants[i];
	}
	ir->count = kept;
	for (size_t p = 0; p < OM_ARRAY_LEN(protos); p++) {
		uint32_t lo = 0, hi;

		/*
		 * The protocol's grants to the front, sorted; those of the other one stay behind.
		 */
		for (hi = 0; hi < n; hi++) {
			if (work[hi].egress.proto == protos[p]) {
				struct om_grant swap = work[lo];

				work[lo++] = work[hi];
				work[hi] = swap;
			}
		}
		if (lo == 0)
			continue;
		qsort(work, lo, sizeof(*work), by_network);
		ret = normal_proto(ir, work, lo, cuts, &now, &last, err);
		if (ret < 0)
			return ret;
	}
	return 0;
}
