/*
 * Which changes of a policy a running workload may live through: those after which it holds nothing, open or
 * mapped, that is not granted any more. Bundles are the emitters' own.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <loader/txn/txn.h>
#include <policies/emit/emit.h>
#include <policies/ir/ir.h>
#include <policies/policy.h>

#define R  OM_MAY_READ
#define W  OM_MAY_WRITE
#define X  OM_MAY_EXEC
#define XB OM_MAY_EXEC_BOUND
#define C  OM_MAY_CREATE
#define D  OM_MAY_REMOVE

#define OBJ(p, m) ((struct om_grant){.kind = OM_GRANT_FILE, .file = {.path = (p), .may = (m)}})
#define TREE(p, m) \
	((struct om_grant){.kind = OM_GRANT_FILE, .file = {.path = (p), .may = (m), .tree = true}})
#define PATTERN(d, m, a, b)                       \
	((struct om_grant){.kind = OM_GRANT_FILE, \
			   .file = {.path = (d), .may = (m), .prefix = (a), .suffix = (b)}})
#define EGRESS(p)                        \
	((struct om_grant){              \
		.kind = OM_GRANT_EGRESS, \
		.egress = {{[10] = 0xff, [11] = 0xff, [12] = 10}, 104, OM_PROTO_TCP, (p), (p)}})

static struct om_bundle bundle(const struct om_grant *g, uint32_t n, enum om_mode mode, bool wx)
{
	struct om_ir ir = {
		.name = "api", .layers = OM_LAYER_ALL, .mode = mode, .write_exec = wx, .count = n};
	struct om_err err = {0};
	struct om_bundle b;
	uint8_t *data;
	size_t len;

	ir.grants = calloc(n, sizeof(*g));
	memcpy(ir.grants, g, n * sizeof(*g));
	if (om_emit_bundle(&ir, &data, &len, &err))
		fail_msg("%s", err.text);
	free(ir.grants);
	assert_int_equal(om_bundle_open(data, len, &b, NULL), 0);
	return b;
}

/* From the grants A to the grants B: must the workload end? And from B to A? */
static void expect(const struct om_grant *a, uint32_t na, const struct om_grant *b, uint32_t nb,
		   bool there, bool back)
{
	struct om_bundle x = bundle(a, na, OM_MODE_ENFORCE, false);
	struct om_bundle y = bundle(b, nb, OM_MODE_ENFORCE, false);

	assert_int_equal(om_txn_takes_away(&x, &y), there);
	assert_int_equal(om_txn_takes_away(&y, &x), back);
	assert_false(om_txn_takes_away(&x, &x));
	free((void *)(uintptr_t)x.data);
	free((void *)(uintptr_t)y.data);
}

#define COUNT(s) (sizeof(s) / sizeof((s)[0]))
#define EXPECT(a, b, there, back)                                          \
	do {                                                               \
		const struct om_grant om_a[] = a, om_b[] = b;              \
		expect(om_a, COUNT(om_a), om_b, COUNT(om_b), there, back); \
	} while (0)
#define G(...)              \
	{                   \
		__VA_ARGS__ \
	}

static void objects(void **state)
{
	EXPECT(G(OBJ("/a", R | X)), G(OBJ("/a", X)), true, false);
	EXPECT(G(OBJ("/a", R | W)), G(OBJ("/a", W)), true, false);
	EXPECT(G(OBJ("/a", R)), G(OBJ("/b", R)), true, true);
	EXPECT(G(OBJ("/a", R)), G(OBJ("/ab", R), OBJ("/a", R), OBJ("/a/b", R)), false, true);
	EXPECT(G(OBJ("/x", R), OBJ("/y", X)), G(OBJ("/x", X), OBJ("/y", R)), true, true);
	/* Asked about each time: names, and the network. */
	EXPECT(G(TREE("/a", R | W | C | D)), G(TREE("/a", R | W)), false, false);
	EXPECT(G(OBJ("/a", R), EGRESS(80)), G(OBJ("/a", R)), false, false);
}

static void trees(void **state)
{
	EXPECT(G(TREE("/a", R)), G(OBJ("/a", R)), true, false);
	EXPECT(G(OBJ("/a/b", R)), G(TREE("/a", R)), false, true);
	EXPECT(G(TREE("/a/b/c", R)), G(TREE("/a", R)), false, true);
	EXPECT(G(TREE("/ab", R)), G(TREE("/a", R)), true, true);
	EXPECT(G(TREE("/a", R), OBJ("/a/b", R)), G(TREE("/a", R)), false, false);
	EXPECT(G(TREE("/a", R), OBJ("/a/b", R | X)), G(TREE("/a", R)), true, false);
	EXPECT(G(TREE("/a/b", R | X)), G(TREE("/a", R), TREE("/a/b", X)), false, true);
}

static void patterns(void **state)
{
	EXPECT(G(PATTERN("/l", C | W, "a", ".log")), G(PATTERN("/l", C | W, "b", ".log")), true,
	       true);
	EXPECT(G(PATTERN("/l", C | W, "a", ".log")),
	       G(PATTERN("/l", C | W, "a", ".log"), PATTERN("/l", C | W, "b", ".log")), false,
	       true);
	EXPECT(G(PATTERN("/l", C | W, "a", NULL)), G(PATTERN("/l", C | W, "a", "")), true, true);
	EXPECT(G(PATTERN("/l", C | W, "a", "")), G(TREE("/l", R | W | C)), false, true);
	EXPECT(G(PATTERN("/l", C | W, "a", "")), G(TREE("/l", R | W)), false, true);
}

static struct om_grant bound(uint8_t (*sha)[32], uint32_t n)
{
	struct om_grant g = OBJ("/u/p", XB);

	g.file.sha256 = (void *)sha;
	g.file.digests = n;
	return g;
}

static void contents(void **state)
{
	uint8_t one[1][32] = {{1}}, two[2][32] = {{1}, {2}}, other[1][32] = {{3}};

	EXPECT(G(bound(two, 2)), G(bound(one, 1)), true, false);
	EXPECT(G(bound(one, 1)), G(bound(other, 1)), true, true);
	EXPECT(G(bound(one, 1)), G(OBJ("/u/p", X)), false, true);
	/* The object's own entry outweighs the tree. */
	EXPECT(G(TREE("/u", X)), G(TREE("/u", X), bound(one, 1)), true, false);
	EXPECT(G(TREE("/u", X), bound(two, 2)), G(TREE("/u", X), bound(one, 1)), true, false);
}

static void modes(void **state)
{
	const struct om_grant g = OBJ("/a", R);
	struct om_bundle plain = bundle(&g, 1, OM_MODE_ENFORCE, false);
	struct om_bundle audit = bundle(&g, 1, OM_MODE_AUDIT, false);
	struct om_bundle wx = bundle(&g, 1, OM_MODE_ENFORCE, true);

	assert_true(om_txn_takes_away(&audit, &plain));
	assert_false(om_txn_takes_away(&plain, &audit));
	assert_true(om_txn_takes_away(&wx, &plain));
	assert_false(om_txn_takes_away(&plain, &wx));
	free((void *)(uintptr_t)plain.data);
	free((void *)(uintptr_t)audit.data);
	free((void *)(uintptr_t)wx.data);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(objects),  cmocka_unit_test(trees), cmocka_unit_test(patterns),
		cmocka_unit_test(contents), cmocka_unit_test(modes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
