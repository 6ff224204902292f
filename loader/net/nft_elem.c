/*
 * Set elements: from the bundle, to the kernel, and back for comparison.
 *
 * Comes in: OM_SEC_NFT, OM_SEC_LISTEN. Goes out: sorted, disjoint intervals in the sets' byte layout.
 * Called by: nft.c. Never does: widen an interval: what is united overlaps or touches already.
 *
 * Layout of a concatenation: every field padded to 4 bytes, in network order, as the kernel's registers
 * hold it. v4: address 4, protocol 1+3, port 2+2. v6: address 16, then the same. listen: protocol 1+3,
 * port 2+2.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <stdlib.h>
#include <string.h>
#include <libnftnl/set.h>
#include <loader/net/nft_impl.h>

static void put_tail(uint8_t *at, uint8_t proto, uint16_t port)
{
	uint16_t be = htons(port);
	at[0] = proto;
	memcpy(at + 4, &be, sizeof(be));
}

static int by_service(const void *a, const void *b)
{
	const struct om_nft_elem *x = a, *y = b;
	size_t addr = x->len - 8u;
	int c = memcmp(x->key + addr, y->key + addr, 8);
	return c ? c : memcmp(x->key, y->key, addr);
}

static int by_bytes(const void *a, const void *b)
{
	const struct om_nft_elem *x = a, *y = b;
	int c = memcmp(x->key, y->key, sizeof(x->key));
	return c ? c : memcmp(x->end, y->end, sizeof(x->end));
}

/* The kernel refuses a set with overlapping intervals, and with it the whole batch. */
static void unite(struct om_nft_elems *e)
{
	uint32_t w = 0;
	if (e->count == 0)
		return;
	qsort(e->v, e->count, sizeof(*e->v), by_service);
	for (uint32_t i = 1; i < e->count; i++) {
		struct om_nft_elem *a = &e->v[w], *b = &e->v[i];
		size_t addr = a->len - 8u;
		bool same = memcmp(a->key + addr, b->key + addr, 8) == 0;
		if (!same || memcmp(b->key, a->end, addr) > 0) {
			e->v[++w] = *b;
			continue;
		}
		if (memcmp(b->end, a->end, addr) > 0)
			memcpy(a->end, b->end, addr);
	}
	e->count = w + 1;
	qsort(e->v, e->count, sizeof(*e->v), by_bytes);
}

static void from_nft(const struct om_b_nft *f, struct om_nft_elem *e)
{
	size_t addr = f->v6 ? 16 : 4, skip = 16 - addr;
	e->len = (uint8_t)(addr + 8);
	memcpy(e->key, f->lo + skip, addr);
	memcpy(e->end, f->hi + skip, addr);
	put_tail(e->key + addr, f->proto, f->port);
	put_tail(e->end + addr, f->proto, f->port);
}

int om_nft_elems(const struct om_bundle *b, enum om_nft_set kind, struct om_nft_elems *out,
		 struct om_err *err)
{
	uint32_t nn = 0, nl = 0;
	const struct om_b_nft *f = om_bundle_section(b, OM_SEC_NFT, &nn);
	const struct om_b_listen *l = om_bundle_section(b, OM_SEC_LISTEN, &nl);

	*out = (struct om_nft_elems){0};
	out->v = calloc((size_t)OM_MAX(nn, nl) + 1, sizeof(*out->v));
	if (!out->v)
		return om_err_set(err, OM_ERR_NOMEM, -ENOMEM, "nftables elements");
	for (uint32_t i = 0; i < nn && kind != NFT_SET_LISTEN; i++)
		if ((f[i].v6 != 0) == (kind == NFT_SET_V6))
			from_nft(&f[i], &out->v[out->count++]);
	for (uint32_t i = 0; i < nl && kind == NFT_SET_LISTEN; i++) {
		struct om_nft_elem *e = &out->v[out->count++];
		e->len = 8;
		put_tail(e->key, l[i].proto, l[i].port);
		put_tail(e->end, l[i].proto, l[i].port);
	}
	unite(out);
	return 0;
}

void om_nft_elems_done(struct om_nft_elems *e)
{
	free(e->v);
	*e = (struct om_nft_elems){0};
}

int om_nft_add_elems(struct om_nft_batch *b, const char *set, const struct om_nft_elems *e)
{
	for (uint32_t at = 0; at < e->count; at += NFT_ELEMS_PER_MSG) {
		uint32_t n = OM_MIN(e->count - at, NFT_ELEMS_PER_MSG);
		struct nftnl_set *s = nftnl_set_alloc();
		struct nlmsghdr *h = om_nft_msg(b, NFT_MSG_NEWSETELEM, NLM_F_CREATE);
		bool ok = s && h;
		if (ok) {
			nftnl_set_set_str(s, NFTNL_SET_TABLE, b->n->table);
			nftnl_set_set_str(s, NFTNL_SET_NAME, set);
		}
		for (uint32_t i = at; ok && i < at + n; i++) {
			struct nftnl_set_elem *x = nftnl_set_elem_alloc();
			ok = x && nftnl_set_elem_set(x, NFTNL_SET_ELEM_KEY, e->v[i].key,
						     e->v[i].len) == 0;
			/* Only the interval sets take an end. */
			if (ok && e->v[i].len > 8)
				ok = nftnl_set_elem_set(x, NFTNL_SET_ELEM_KEY_END, e->v[i].end,
							e->v[i].len) == 0;
			if (ok)
				nftnl_set_elem_add(s, x);
			else if (x)
				nftnl_set_elem_free(x);
		}
		if (ok)
			nftnl_set_elems_nlmsg_build_payload(h, s);
		if (s)
			nftnl_set_free(s);
		if (!ok)
			return -ENOMEM;
	}
	return 0;
}

struct reading {
	struct om_nft_elems *out;
	uint32_t cap;
	bool failed;
};

static int take(struct nftnl_set_elem *x, void *ctx)
{
	struct reading *r = ctx;
	struct om_nft_elems *o = r->out;
	uint32_t klen = 0, elen = 0;
	const void *key = nftnl_set_elem_get(x, NFTNL_SET_ELEM_KEY, &klen);
	const void *end = nftnl_set_elem_get(x, NFTNL_SET_ELEM_KEY_END, &elen);

	if (o->count == r->cap) {
		uint32_t cap = r->cap ? r->cap * 2 : 64;
		void *p = reallocarray(o->v, cap, sizeof(*o->v));
		if (!p) {
			r->failed = true;
			return -1;
		}
		o->v = p;
		r->cap = cap;
	}
	struct om_nft_elem *e = &o->v[o->count];
	memset(e, 0, sizeof(*e));
	if (!key || klen > sizeof(e->key) || (end && elen != klen)) {
		r->failed = true;
		return -1;
	}
	e->len = (uint8_t)klen;
	memcpy(e->key, key, klen);
	memcpy(e->end, end ? end : key, klen);
	o->count++;
	return 0;
}

static int take_msg(const struct nlmsghdr *h, void *ctx)
{
	struct reading *r = ctx;
	struct nftnl_set *s = nftnl_set_alloc();
	if (!s || nftnl_set_elems_nlmsg_parse(h, s) < 0 || nftnl_set_elem_foreach(s, take, r) < 0)
		r->failed = true;
	if (s)
		nftnl_set_free(s);
	return MNL_CB_OK;
}

static int read_once(struct om_nft *n, const char *set, struct om_nft_elems *out)
{
	char buf[1024];
	struct reading r = {.out = out};
	struct nftnl_set *s = nftnl_set_alloc();
	*out = (struct om_nft_elems){0};
	if (!s)
		return -ENOMEM;
	struct nlmsghdr *h =
		nftnl_nlmsg_build_hdr(buf, NFT_MSG_GETSETELEM, NFPROTO_INET, NLM_F_DUMP, n->seq++);
	nftnl_set_set_str(s, NFTNL_SET_TABLE, n->table);
	nftnl_set_set_str(s, NFTNL_SET_NAME, set);
	nftnl_set_nlmsg_build_payload(h, s);
	nftnl_set_free(s);
	int ret = om_nft_dump(n, h, take_msg, &r);
	if (ret < 0 || r.failed)
		return ret < 0 ? ret : -EBADMSG;
	if (out->count)
		qsort(out->v, out->count, sizeof(*out->v), by_bytes);
	return 0;
}

int om_nft_read_elems(struct om_nft *n, const char *set, struct om_nft_elems *out)
{
	int ret = read_once(n, set, out);
	for (int i = 1; i < NFT_DUMP_TRIES && ret == -EINTR; i++) {
		om_nft_elems_done(out);
		ret = read_once(n, set, out);
	}
	return ret;
}
