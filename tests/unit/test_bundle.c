/* The bundle: what was written is read back, and what the writer could not have made is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include <base/bundle_sec.h>
#include <linux/filter.h>
#include <omega/abi/policy.h>
#include <omega/ir.h>

static const uint8_t policy_id[32] = {1, 2, 3};

struct block {
	uint8_t *data;
	size_t len;
};

static uint32_t str(struct om_bundle_w *w, const char *s)
{
	uint32_t off = 0;

	assert_int_equal(om_bundle_w_str(w, s, &off, NULL), 0);
	return off;
}

#define ADD(w, sec, ...) assert_int_equal(om_bundle_w_add(w, sec, &(__VA_ARGS__), 1, NULL), 0)

/* One element in every section. */
static struct block make(void)
{
	struct om_bundle_w *w;
	struct block b;
	struct om_b_insn insns[] = {
		{BPF_LD | BPF_W | BPF_ABS, 0, 0, 4},
		{BPF_JMP | BPF_JEQ | BPF_K, 1, 0, 7},
		{BPF_RET | BPF_K, 0, 0, 1},
		{BPF_RET | BPF_K, 0, 0, 2},
	};

	assert_int_equal(om_bundle_w_new(&w, NULL), 0);
	ADD(w, OM_SEC_META,
	    (struct om_b_meta){.name = str(w, "api"),
			       .workdir = str(w, "/"),
			       .user = 1000,
			       .layers = OM_LAYER_ALL,
			       .slot_flags = OM_SLOT_KERNEL});
	ADD(w, OM_SEC_ARGV, (uint32_t){str(w, "/bin/true")});
	ADD(w, OM_SEC_ENV, (uint32_t){str(w, "A=b")});
	ADD(w, OM_SEC_GRANTS, (struct om_b_grant){str(w, "filesystem.read \"/etc/\""), 3});
	ADD(w, OM_SEC_FILES,
	    (struct om_b_file){.path = str(w, "/etc"), .self = OM_MAY_READ, .tree = OM_MAY_READ});
	ADD(w, OM_SEC_FILES,
	    (struct om_b_file){.path = str(w, "/x"), .self = OM_MAY_READ | OM_MAY_EXEC_BOUND});
	ADD(w, OM_SEC_DIGESTS, (struct om_b_digest){.file = 1, .sha256 = {1}});
	ADD(w, OM_SEC_DIGESTS, (struct om_b_digest){.file = 1, .sha256 = {2}});
	ADD(w, OM_SEC_VIEW,
	    (struct om_b_mount){str(w, "/etc"), str(w, "/etc"), OM_MNT_RO | OM_MNT_TREE, 0, 0});
	ADD(w, OM_SEC_EGRESS, (struct om_b_egress){{[0] = 0x20}, 8, OM_PROTO_TCP, 443, 0});
	ADD(w, OM_SEC_EGRESS, (struct om_b_egress){{[0] = 0x30}, 8, OM_PROTO_TCP, 443, 0});
	ADD(w, OM_SEC_LISTEN, (struct om_b_listen){80, OM_PROTO_TCP, 0, 0});
	ADD(w, OM_SEC_NFT, (struct om_b_nft){{1}, {2}, 443, OM_PROTO_TCP, 1, 0});
	assert_int_equal(om_bundle_w_add(w, OM_SEC_SECCOMP, insns, 4, NULL), 0);
	ADD(w, OM_SEC_CGROUP,
	    (struct om_b_cgroup){str(w, "memory.max"), str(w, "1"), str(w, "memory"), 0});
	ADD(w, OM_SEC_RLIMIT, (struct om_b_rlimit){7, 0, 1024});
	assert_int_equal(om_bundle_w_finish(w, policy_id, &b.data, &b.len, NULL), 0);
	om_bundle_w_free(w);
	return b;
}

static void *section(struct block b, enum om_section sec)
{
	const struct om_b_head *h = (const void *)b.data;

	assert_true(h->sec[sec].count > 0);
	return b.data + h->sec[sec].off;
}

/* The attacker of this parser can always make the digest right. */
static void seal(struct block b)
{
	struct om_b_head *h = (void *)b.data;

	om_bundle_digest(b.data, b.len, h->digest);
}

static void refuse(struct block b, enum om_err_id id)
{
	struct om_bundle out;
	struct om_err err = {0};

	assert_true(om_bundle_open(b.data, b.len, &out, &err) < 0);
	assert_int_equal(err.id, id);
	assert_null(out.head);
	free(b.data);
}

static void reads_back_what_was_written(void **state)
{
	struct block b = make();
	struct om_bundle out;
	const struct om_b_mount *m;
	const uint32_t *w;
	uint32_t n;

	assert_int_equal(om_bundle_open(b.data, b.len, &out, NULL), 0);
	assert_memory_equal(out.head->policy_id, policy_id, 32);
	assert_string_equal(om_bundle_str(&out, out.meta->name), "api");
	assert_string_equal(om_bundle_str(&out, out.meta->substrate), "");
	w = om_bundle_section(&out, OM_SEC_ENV, &n);
	assert_int_equal(n, 1);
	assert_string_equal(om_bundle_str(&out, w[0]), "A=b");
	m = om_bundle_section(&out, OM_SEC_VIEW, &n);
	assert_string_equal(om_bundle_str(&out, m->to), "/etc");
	assert_int_equal(m->from, m->to); /* interned once */
	om_bundle_section(&out, OM_SEC_EGRESS, &n);
	assert_int_equal(n, 2);
	assert_string_equal(om_bundle_str(&out, UINT32_MAX), "");
	assert_null(om_bundle_section(&out, OM_SEC_COUNT, &n));
	assert_int_equal(n, 0);
	free(b.data);
}

static void same_calls_same_bytes(void **state)
{
	struct block a = make(), b = make();

	assert_int_equal(a.len, b.len);
	assert_memory_equal(a.data, b.data, a.len);
	free(a.data);
	free(b.data);
}

static void every_flipped_bit_is_seen(void **state)
{
	struct block b = make();
	struct om_bundle out;

	for (size_t i = 0; i < b.len * 8; i++) {
		b.data[i / 8] ^= (uint8_t)(1u << (i % 8));
		assert_true(om_bundle_open(b.data, b.len, &out, NULL) < 0);
		b.data[i / 8] ^= (uint8_t)(1u << (i % 8));
	}
	assert_int_equal(om_bundle_open(b.data, b.len, &out, NULL), 0);
	b.data[b.len - 1] ^= 1;
	refuse(b, OM_ERR_BUNDLE_DIGEST);
}

static void every_truncation_is_seen(void **state)
{
	struct block b = make();

	for (size_t len = 0; len < b.len; len++) {
		struct om_bundle out;

		assert_true(om_bundle_open(b.data, len, &out, NULL) < 0);
		if (len < sizeof(struct om_b_head))
			continue;
		((struct om_b_head *)b.data)->total = (uint32_t)len;
		om_bundle_digest(b.data, len, ((struct om_b_head *)b.data)->digest);
		assert_true(om_bundle_open(b.data, len, &out, NULL) < 0);
		((struct om_b_head *)b.data)->total = (uint32_t)b.len;
		seal(b);
	}
	free(b.data);
}

/* Each row breaks one thing in an otherwise sealed block. */
#define FORGED(sec, type, change)                  \
	do {                                       \
		struct block blk = make();         \
		type *e = section(blk, sec);       \
		change;                            \
		seal(blk);                         \
		refuse(blk, OM_ERR_BUNDLE_FORMAT); \
	} while (0)

static uint32_t inside(struct block b, const char *text)
{
	const struct om_b_head *h = (const void *)b.data;
	const char *s = (const char *)b.data + h->sec[OM_SEC_STRINGS].off;
	const char *p = memmem(s, h->sec[OM_SEC_STRINGS].count, text, strlen(text));

	assert_non_null(p);
	return (uint32_t)(p - s);
}

static void forged_elements_are_refused(void **state)
{
	FORGED(OM_SEC_META, struct om_b_meta, e->name = 0);
	FORGED(OM_SEC_META, struct om_b_meta, e->name = inside(blk, "/etc"));
	FORGED(OM_SEC_META, struct om_b_meta, e->name = UINT32_MAX);
	FORGED(OM_SEC_META, struct om_b_meta, e->workdir = inside(blk, "api"));
	FORGED(OM_SEC_META, struct om_b_meta, e->layers = 8);
	FORGED(OM_SEC_META, struct om_b_meta, e->slot_flags |= OM_SLOT_DENY_ALL);
	FORGED(OM_SEC_META, struct om_b_meta, (e->slot_flags |= OM_SLOT_OWN_NET, e->netns = 0));
	FORGED(OM_SEC_META, struct om_b_meta, e->restart = 3);
	FORGED(OM_SEC_META, struct om_b_meta, e->image = OM_IMAGE_DIR);
	FORGED(OM_SEC_META, struct om_b_meta, e->user = UINT32_MAX);
	/* the middle of a string is not a string */
	FORGED(OM_SEC_FILES, struct om_b_file, e->path = inside(blk, "/true"));
	FORGED(OM_SEC_FILES, struct om_b_file, e->self = 0x40);
	FORGED(OM_SEC_FILES, struct om_b_file, e->tree = OM_MAY_EXEC_BOUND);
	/* bound to nothing; contents of what is not bound; bound, and the map could not tell to what */
	FORGED(OM_SEC_FILES, struct om_b_file, e->self = OM_MAY_EXEC_BOUND);
	FORGED(OM_SEC_FILES, struct om_b_file, e[1].self = OM_MAY_EXEC);
	FORGED(OM_SEC_FILES, struct om_b_file, e[1].grant = UINT32_MAX);
	FORGED(OM_SEC_DIGESTS, struct om_b_digest, e->file = 0);
	FORGED(OM_SEC_DIGESTS, struct om_b_digest, e->file = 2);
	FORGED(OM_SEC_DIGESTS, struct om_b_digest, e[0] = e[1]);
	FORGED(OM_SEC_DIGESTS, struct om_b_digest, e->sha256[0] = 9);
	FORGED(OM_SEC_FILES, struct om_b_file, e->grant = 1);
	FORGED(OM_SEC_FILES, struct om_b_file, e->exact = 1);
	FORGED(OM_SEC_FILES, struct om_b_file, e->prefix = inside(blk, "api"));
	FORGED(OM_SEC_VIEW, struct om_b_mount, e->flags = OM_MNT_TMPFS);
	FORGED(OM_SEC_VIEW, struct om_b_mount, e->flags = 0x80);
	FORGED(OM_SEC_VIEW, struct om_b_mount, e->from = 0);
	FORGED(OM_SEC_VIEW, struct om_b_mount, e->bytes = 1);
	FORGED(OM_SEC_EGRESS, struct om_b_egress, e->addr[15] = 1);
	FORGED(OM_SEC_EGRESS, struct om_b_egress, e->bits = 129);
	FORGED(OM_SEC_EGRESS, struct om_b_egress, e->port = 0);
	FORGED(OM_SEC_EGRESS, struct om_b_egress, e[1] = e[0]);
	FORGED(OM_SEC_LISTEN, struct om_b_listen, e->proto = 1);
	FORGED(OM_SEC_NFT, struct om_b_nft, e->hi[0] = 0);
	FORGED(OM_SEC_NFT, struct om_b_nft, e->v6 = 0);
	FORGED(OM_SEC_SECCOMP, struct om_b_insn, e[1].jt = 2);
	FORGED(OM_SEC_SECCOMP, struct om_b_insn, e[3].code = BPF_LD | BPF_W | BPF_ABS);
	FORGED(OM_SEC_SECCOMP, struct om_b_insn, e[0].k = 64);
	FORGED(OM_SEC_SECCOMP, struct om_b_insn, e[0].code = BPF_ST);
	FORGED(OM_SEC_CGROUP, struct om_b_cgroup, e->controller = 0);
	FORGED(OM_SEC_CGROUP, struct om_b_cgroup, e->file = inside(blk, "api"));
	FORGED(OM_SEC_CGROUP, struct om_b_cgroup, e->value = inside(blk, "/etc"));
	FORGED(OM_SEC_RLIMIT, struct om_b_rlimit, e->resource = 16);
	FORGED(OM_SEC_ENV, uint32_t, *e = inside(blk, "api"));
	FORGED(OM_SEC_ARGV, uint32_t, *e = UINT32_MAX);
	FORGED(OM_SEC_GRANTS, struct om_b_grant, e->text = 2);
}

static void climbing_paths_are_refused(void **state)
{
	static const char *const bad[] = {"/a/../b", "/a/./b", "/a//b", "/a/",
					  "a/b",     "",       "//",	"/.."};

	for (size_t i = 0; i < OM_ARRAY_LEN(bad); i++) {
		struct om_bundle_w *w;
		struct block b;

		assert_int_equal(om_bundle_w_new(&w, NULL), 0);
		ADD(w, OM_SEC_META,
		    (struct om_b_meta){.name = str(w, "api"), .workdir = str(w, bad[i])});
		assert_int_equal(om_bundle_w_finish(w, policy_id, &b.data, &b.len, NULL), 0);
		om_bundle_w_free(w);
		refuse(b, OM_ERR_BUNDLE_FORMAT);
	}
}

static void layout_is_the_only_one(void **state)
{
	struct block b = make();
	struct om_b_head *h = (void *)b.data;

	h->sec[OM_SEC_VIEW].off = h->sec[OM_SEC_FILES].off; /* two sections share bytes */
	seal(b);
	refuse(b, OM_ERR_BUNDLE_FORMAT);

	b = make();
	h = (void *)b.data;
	h->sec[OM_SEC_GRANTS].count = UINT32_MAX;
	seal(b);
	refuse(b, OM_ERR_BUNDLE_FORMAT);

	b = make();
	h = (void *)b.data;
	h->sec[OM_SEC_GRANTS].count = 1000;
	seal(b);
	refuse(b, OM_ERR_BUNDLE_FORMAT);

	b = make();
	b.data[((uint8_t *)section(b, OM_SEC_ARGV) - b.data) + 4] = 1; /* hidden between sections */
	seal(b);
	refuse(b, OM_ERR_BUNDLE_FORMAT);

	b = make();
	h = (void *)b.data;
	h->version = OM_BUNDLE_VERSION + 1;
	seal(b);
	refuse(b, OM_ERR_BUNDLE_FORMAT);
}

static void sections_are_bounded(void **state)
{
	struct om_bundle_w *w;
	struct om_b_rlimit r[17] = {0};
	struct om_err err = {0};

	assert_int_equal(om_bundle_w_new(&w, NULL), 0);
	assert_true(om_bundle_w_add(w, OM_SEC_RLIMIT, r, 17, &err) < 0);
	assert_int_equal(err.id, OM_ERR_IR_LIMIT);
	assert_true(om_bundle_w_add(w, OM_SEC_COUNT, r, 1, NULL) < 0);
	om_bundle_w_free(w);
	om_bundle_w_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_back_what_was_written),
		cmocka_unit_test(same_calls_same_bytes),
		cmocka_unit_test(every_flipped_bit_is_seen),
		cmocka_unit_test(every_truncation_is_seen),
		cmocka_unit_test(forged_elements_are_refused),
		cmocka_unit_test(climbing_paths_are_refused),
		cmocka_unit_test(layout_is_the_only_one),
		cmocka_unit_test(sections_are_bounded),
	};

	return cmocka_run_group_tests_name("bundle", tests, NULL, NULL);
}
