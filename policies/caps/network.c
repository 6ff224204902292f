/*
 * Network: egress by address, network, port and protocol; listen by port.
 *
 * Comes in: [brane.X.network]. Goes out: OM_GRANT_EGRESS, OM_GRANT_LISTEN. Called through the
 * registry. Never does: resolve a name, or let one spelling of an address mean more than another.
 */
#include <stdio.h>
#include <string.h>

#include <omega/addr.h>
#include <omega/limits.h>
#include <policies/ir/ir.h>
#include <policies/path.h>

static const struct om_field fields[] = {
	{.key = "egress",
	 .type = OM_FIELD_STRINGS,
	 .doc = "destinations: ADDRESS[/BITS]:PORT[-PORT][/tcp|/udp], IPv6 in brackets",
	 .example = "[\"10.2.0.0/16:5432/tcp\", \"[2001:db8::/32]:443\"]"},
	{.key = "listen",
	 .type = OM_FIELD_STRINGS,
	 .doc = "ports to accept on: PORT[/tcp|/udp]",
	 .example = "[\"8080/tcp\"]"},
	{0},
};

/* One entry, cut into its parts; pointers into the text. */
struct parts {
	const char *host, *port, *proto;
	size_t host_len, port_len, proto_len;
	bool bracket;
};

static bool bad(struct om_cap_ctx *ctx, const struct om_value *v, enum om_err_id id,
		const char *hint, const char *what)
{
	om_diag_add(ctx->diags, OM_SEV_ERROR, id, v->pos, hint, "'%.120s' %s", v->text, what);
	return false;
}

/* PORT[-PORT][/PROTO] at P. */
static void split_port(const char *p, struct parts *out)
{
	out->port = p;
	out->port_len = strcspn(p, "/");
	if (p[out->port_len] == '/') {
		out->proto = p + out->port_len + 1;
		out->proto_len = strlen(out->proto);
	}
}

static bool split(struct om_cap_ctx *ctx, const struct om_value *v, struct parts *out)
{
	const char *s = v->text, *colon;
	char hint[160];

	if (s[0] == '[') {
		const char *end = strchr(s, ']');

		out->bracket = true;
		if (!end)
			return bad(ctx, v, OM_ERR_CAP_ADDRESS, "write [2001:db8::/32]:443",
				   "has no closing bracket");
		out->host = s + 1;
		out->host_len = (size_t)(end - s - 1);
		if (end[1] == '/')
			return bad(ctx, v, OM_ERR_CAP_ADDRESS,
				   "the length belongs inside: [2001:db8::/32]:443",
				   "has its prefix length behind the bracket");
		if (end[1] != ':')
			return bad(ctx, v, OM_ERR_CAP_PORT, "name the port: [2001:db8::/32]:443",
				   "has no port");
		split_port(end + 2, out);
		return true;
	}
	colon = strchr(s, ':');
	if (colon && strchr(colon + 1, ':')) {
		return bad(ctx, v, OM_ERR_CAP_ADDRESS,
			   "write [ADDRESS]:PORT, as in [2001:db8::1]:443",
			   "is an IPv6 address without brackets");
	}
	if (!colon) {
		snprintf(hint, sizeof(hint), "name the port: \"%.100s:443\"", s);
		return bad(ctx, v, OM_ERR_CAP_PORT, hint, "has no port");
	}
	out->host = s;
	out->host_len = (size_t)(colon - s);
	split_port(colon + 1, out);
	return true;
}

static bool bind_proto(struct om_cap_ctx *ctx, const struct om_value *v, const struct parts *p,
		       uint8_t *proto)
{
	*proto = p->proto ? om_proto_parse(p->proto, p->proto_len) : OM_PROTO_TCP;
	return *proto || bad(ctx, v, OM_ERR_CAP_PROTOCOL, "write /tcp or /udp; without it, tcp",
			     "names an unknown protocol");
}

/* A leading zero or sign is refused: tools disagree about what such a number is. */
static bool bind_ports(struct om_cap_ctx *ctx, const struct om_value *v, const struct parts *p,
		       struct om_grant_egress *e)
{
	const char *dash = memchr(p->port, '-', p->port_len);
	size_t len = dash ? (size_t)(dash - p->port) : p->port_len;
	uint64_t lo, hi;

	if (!om_decimal_parse(p->port, len, 1, 65535, &lo))
		return bad(ctx, v, OM_ERR_CAP_PORT, "ports are 1 to 65535", "has an invalid port");
	hi = lo;
	if (dash && !om_decimal_parse(dash + 1, p->port_len - len - 1, 1, 65535, &hi))
		return bad(ctx, v, OM_ERR_CAP_PORT, "ports are 1 to 65535", "has an invalid port");
	if (hi < lo)
		return bad(ctx, v, OM_ERR_CAP_PORT, "the lower port comes first",
			   "has its port range upside down");
	e->port_lo = (uint16_t)lo;
	e->port_hi = (uint16_t)hi;
	return true;
}

/*
 * Names are for the resolver and the gateway; until they exist, the best that can be done is to say
 * so.
 */
static bool refuse_name(struct om_cap_ctx *ctx, const struct om_value *v, const struct parts *p)
{
	static const char alphabet[] = "abcdefghijklmnopqrstuvwxyz0123456789-_.";
	size_t skip = 0;

	if (p->host_len == 1 && p->host[0] == '*')
		return bad(ctx, v, OM_ERR_CAP_TOO_WIDE, "name the hosts or networks it needs",
			   "grants every host");
	if (p->host_len > 2 && p->host[0] == '*' && p->host[1] == '.')
		skip = 2;
	if (skip && !memchr(p->host + skip, '.', p->host_len - skip))
		return bad(ctx, v, OM_ERR_CAP_TOO_WIDE, "name the domain: *.example.org",
			   "grants a whole top-level domain");
	for (size_t i = skip; i < p->host_len; i++)
		if (!strchr(alphabet, p->host[i]))
			return bad(
				ctx, v, OM_ERR_CAP_ADDRESS,
				"lower-case letters, digits, '-', '_' and '.'; one '*.' in front",
				"is neither an address nor a host name");
	/* "10.1", "1.2.3.4.5", "300.1.1.1": a typing mistake in an address, never a name. */
	if (p->host_len == 0 || p->host[p->host_len - 1] <= '9')
		return bad(ctx, v, OM_ERR_CAP_ADDRESS, "write 192.0.2.1:443 or 192.0.2.0/24:443",
			   "has an invalid address");
	return bad(
		ctx, v, OM_ERR_CAP_NOT_ENFORCEABLE, "name its address or network instead",
		"is a host name, which needs the resolver and gateway layer, which is not built");
}

/* An IPv6 network that has ::ffff:0:0/96 inside would grant all of IPv4 with it. */
static bool is_too_wide(const struct om_grant_egress *e)
{
	static const uint8_t v4[16] = {[10] = 0xff, [11] = 0xff};

	return e->bits <= 96 && om_addr_match(e->addr, v4, e->bits);
}

static bool bind_host(struct om_cap_ctx *ctx, const struct om_value *v, const struct parts *p,
		      struct om_grant_egress *e)
{
	const char *slash = memchr(p->host, '/', p->host_len);
	size_t len = slash ? (size_t)(slash - p->host) : p->host_len;
	char net[OM_ADDR_TEXT_MAX], hint[160];
	uint64_t bits;
	bool dotted;

	if (!om_addr_parse(p->host, len, e->addr))
		return slash || p->bracket ? bad(ctx, v, OM_ERR_CAP_ADDRESS,
						 "write 192.0.2.0/24:443 or [2001:db8::/32]:443",
						 "has an invalid address")
					   : refuse_name(ctx, v, p);
	/* "::ffff:10.0.0.0/104" counts its bits from the IPv6 side. */
	dotted = !memchr(p->host, ':', len);
	/* The text decides, not the address: both spellings of IPv4 end up as the same bytes. */
	bits = dotted ? 32 : 128;
	if (dotted && p->bracket)
		return bad(ctx, v, OM_ERR_CAP_ADDRESS, "IPv4 is written without brackets",
			   "has an IPv4 address in brackets");
	if (slash && !om_decimal_parse(slash + 1, p->host_len - len - 1, 0, bits, &bits))
		return bad(ctx, v, OM_ERR_CAP_ADDRESS,
			   dotted ? "0 to 32 bits for IPv4" : "0 to 128 bits for IPv6",
			   "has an invalid prefix length");
	e->bits = (uint8_t)(dotted ? bits + 96 : bits);
	if (om_addr_mask(e->addr, e->bits)) {
		om_addr_format(e->addr, e->bits, net);
		snprintf(hint, sizeof(hint), "did you mean '%s:%.40s'?", net, p->port);
		return bad(ctx, v, OM_ERR_CAP_HOST_BITS, hint,
			   "has bits set behind its prefix length");
	}
	if (is_too_wide(e))
		return bad(ctx, v, OM_ERR_CAP_TOO_WIDE, "name the networks it needs",
			   "grants every IPv4 address");
	if (e->bits == 0)
		return bad(ctx, v, OM_ERR_CAP_TOO_WIDE, "name the networks it needs",
			   "grants every address");
	/* Linux connects 0.0.0.0 and :: to loopback; a grant must say what it reaches. */
	if (e->bits == 128 && !memcmp(e->addr + 12, "\0\0\0", 4) &&
	    (om_addr_is_v4(e->addr) || !memcmp(e->addr, "\0\0\0\0\0\0\0\0\0\0\0", 12)))
		return bad(ctx, v, OM_ERR_CAP_ADDRESS, "name 127.0.0.1 or [::1] if that is meant",
			   "is the unspecified address, which connects to this host itself");
	return true;
}

static void lower_egress(struct om_cap_ctx *ctx, const struct om_value *v)
{
	struct om_grant g = {.kind = OM_GRANT_EGRESS, .pos = v->pos};
	struct parts p = {0};
	bool ok;

	if (!split(ctx, v, &p))
		return;
	/* All three are asked, so that one entry shows all its findings. */
	ok = bind_host(ctx, v, &p, &g.egress);
	ok = bind_ports(ctx, v, &p, &g.egress) && ok;
	ok = bind_proto(ctx, v, &p, &g.egress.proto) && ok;
	if (ok)
		om_cap_grant(ctx, &g);
}

static void lower_listen(struct om_cap_ctx *ctx, const struct om_value *v)
{
	struct om_grant g = {.kind = OM_GRANT_LISTEN, .pos = v->pos};
	struct parts p = {0};
	uint64_t port;

	split_port(v->text, &p);
	if (!om_decimal_parse(p.port, p.port_len, 1, 65535, &port)) {
		bad(ctx, v, OM_ERR_CAP_PORT, "write one port from 1 to 65535, as in \"8080/tcp\"",
		    "has an invalid port");
		return;
	}
	if (!bind_proto(ctx, v, &p, &g.listen.proto))
		return;
	g.listen.port = (uint16_t)port;
	om_cap_grant(ctx, &g);
}

static void lower(struct om_cap_ctx *ctx, const struct om_value *table)
{
	om_value_for_each(v, om_value_get(table, "egress")) lower_egress(ctx, v);
	om_value_for_each(w, om_value_get(table, "listen")) lower_listen(ctx, w);
}

static void review(struct om_cap_ctx *ctx, const struct om_value *table)
{
	static const uint8_t metadata[16] = {[10] = 0xff, [11] = 0xff, 169, 254, 169, 254};
	const struct om_value *egress = om_value_get(table, "egress");
	char text[OM_ADDR_TEXT_MAX];
	uint64_t pairs = 0;

	for (uint32_t i = 0; i < ctx->ir->count; i++) {
		const struct om_grant *g = &ctx->ir->grants[i];

		if (g->kind != OM_GRANT_EGRESS)
			continue;
		pairs += g->egress.port_hi - g->egress.port_lo + 1u;
		om_addr_format(g->egress.addr, g->egress.bits, text);
		/*
		 * Shorter than /8, or /16 of IPv6: allowed, for proxies and crawlers, but said
		 * aloud.
		 */
		if (g->egress.bits < (om_addr_is_v4(g->egress.addr) ? 104 : 16))
			om_diag_add(ctx->diags, OM_SEV_WARNING, OM_ERR_CAP_RISK, g->pos,
				    "name the networks it needs",
				    "%s is a large part of the Internet", text);
		else if (om_addr_match(g->egress.addr, metadata, g->egress.bits))
			om_diag_add(
				ctx->diags, OM_SEV_WARNING, OM_ERR_CAP_RISK, g->pos,
				"leave it out unless the program needs the machine's credentials",
				"%s reaches the cloud's metadata service", text);
	}
	/* Each network with each port becomes an entry of a kernel map. */
	if (egress && pairs > OM_EGRESS_MAX)
		om_diag_add(ctx->diags, OM_SEV_ERROR, OM_ERR_IR_LIMIT, egress->key_pos,
			    "narrow the port ranges",
			    "'egress' names %llu pairs of network and port, at most %u",
			    (unsigned long long)pairs, OM_EGRESS_MAX);
}

static bool suggest(const char *brane, const struct om_request *req, struct om_verdict *out)
{
	char host[OM_ADDR_TEXT_MAX], text[OM_ADDR_TEXT_MAX + 16];

	if (req->op == OM_OP_NET_LISTEN) {
		snprintf(text, sizeof(text), "%u/%s", req->port, om_proto_name(req->proto));
		om_suggest_list(out, brane, "network", "listen", text);
		return true;
	}
	if (req->op != OM_OP_NET_CONNECT)
		return false;
	om_addr_format(req->addr, 128, host);
	snprintf(text, sizeof(text), "%s:%u/%s", host, req->port, om_proto_name(req->proto));
	om_suggest_list(out, brane, "network", "egress", text);
	return true;
}

const struct om_cap om_cap_network = {
	.name = "network",
	.table = "network",
	.summary = "destinations to connect to, and ports to accept on",
	.explain = "A destination is an address or a network with its port: \"192.0.2.7:443\", "
		   "\"10.2.0.0/16:5432/tcp\", \"10.9.9.9:1000-1010/udp\", \"[2001:db8::/32]:443\". "
		   "Without a protocol, tcp. "
		   "::ffff:192.0.2.7 is the same destination as 192.0.2.7.",
	.layers = OM_LAYER_NETWORK,
	.fields = fields,
	.lower = lower,
	.review = review,
	.suggest = suggest,
};
