/*
 * The cgroup BPF layer: the addresses that may be reached and the ports that may be listened on.
 *
 * Comes in: the network grants of an IR. Goes out: OM_SEC_EGRESS (one longest-prefix entry per
 * network, protocol and port) and OM_SEC_LISTEN, sorted, without duplicates. Called by:
 * om_emit_bundle. Never does: keep a range of ports as a range; the kernel looks up one key.
 */
#include <errno.h>
#include <string.h>

#include <policies/emit/emit.h>

/*
 * The order that the reader demands: the bytes of the row up to the grant. One order makes duplicates
 * neighbours and the same policy the same bytes.
 */
static int by_key(const void *a, const void *b)
{
	return memcmp(a, b, offsetof(struct om_b_egress, grant));
}

/* Protocol before port, so that a listing reads like the manifest. */
static int by_port(const void *a, const void *b)
{
	const struct om_b_listen *x = a, *y = b;

	if (x->proto != y->proto)
		return x->proto < y->proto ? -1 : 1;
	return (x->port > y->port) - (x->port < y->port);
}

/*
 * Ports 1-65535 on one network are 65,535 keys: counted before memory is taken, because three such
 * lines fit into any manifest. The kernel matches one exact port per key; ranges are ours alone.
 */
static int count_egress(const struct om_ir *ir, uint32_t *count, struct om_err *err)
{
	uint64_t n = 0;

	for (uint32_t i = 0; i < ir->count; i++)
		if (ir->grants[i].kind == OM_GRANT_EGRESS)
			n += (uint64_t)ir->grants[i].egress.port_hi - ir->grants[i].egress.port_lo +
			     1;
	if (n > OM_EGRESS_MAX)
		return om_err_set(err, OM_ERR_IR_LIMIT, -E2BIG,
				  "network.egress names %llu addresses and ports, at most %u: "
				  "narrow the port ranges",
				  (unsigned long long)n, OM_EGRESS_MAX);
	*count = (uint32_t)n;
	return 0;
}

static int emit_egress(const struct om_emit *e, struct om_err *err)
{
	OM_CLEANUP(om_free_ptr) struct om_b_egress *rows = NULL;
	uint32_t total = 0, n = 0, out = 0;
	int ret = count_egress(e->ir, &total, err);

	if (ret)
		return ret;
	rows = calloc(total ? total : 1, sizeof(*rows));
	if (!rows)
		return om_err_set(err, OM_ERR_NOMEM, -ENOMEM, "egress entries");
	for (uint32_t i = 0; i < e->ir->count; i++) {
		const struct om_grant_egress *g = &e->ir->grants[i].egress;

		if (e->ir->grants[i].kind != OM_GRANT_EGRESS)
			continue;
		for (uint32_t port = g->port_lo; port <= g->port_hi && n < total; port++, n++) {
			memcpy(rows[n].addr, g->addr, sizeof(rows[n].addr));
			rows[n].bits = g->bits;
			rows[n].proto = g->proto;
			rows[n].port = (uint16_t)port;
			rows[n].grant = i;
		}
	}
	/* Overlapping ranges on one network give the same key twice; the first grant is the one reported. */
	qsort(rows, n, sizeof(*rows), by_key);
	for (uint32_t i = 0; i < n; i++)
		if (!out || by_key(&rows[out - 1], &rows[i]) != 0)
			rows[out++] = rows[i];
	return om_bundle_w_add(e->w, OM_SEC_EGRESS, rows, out, err);
}

/* Listening has no address: a brane owns a port or it does not. */
static int emit_listen(const struct om_emit *e, struct om_err *err)
{
	OM_CLEANUP(om_free_ptr) struct om_b_listen *rows = NULL;
	uint32_t n = 0, out = 0;

	rows = calloc(e->ir->count ? e->ir->count : 1, sizeof(*rows));
	if (!rows)
		return om_err_set(err, OM_ERR_NOMEM, -ENOMEM, "listen entries");
	for (uint32_t i = 0; i < e->ir->count; i++) {
		const struct om_grant *g = &e->ir->grants[i];

		if (g->kind == OM_GRANT_LISTEN)
			rows[n++] = (struct om_b_listen){g->listen.port, g->listen.proto, 0, i};
	}
	qsort(rows, n, sizeof(*rows), by_port);
	for (uint32_t i = 0; i < n; i++)
		if (!out || by_port(&rows[out - 1], &rows[i]) != 0)
			rows[out++] = rows[i];
	return om_bundle_w_add(e->w, OM_SEC_LISTEN, rows, out, err);
}

int om_emit_net(const struct om_emit *e, struct om_err *err)
{
	int ret = emit_egress(e, err);

	return ret ? ret : emit_listen(e, err);
}
