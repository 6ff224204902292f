/*
 * The normal form and the policy id: equal grants have one id whatever their spelling, different
 * grants have different ones, and normalising never changes a verdict.
 *
 * The random parts use a fixed generator with a printed seed, so that a failure can be repeated.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include <omega/addr.h>
#include <omega/limits.h>
#include <policies/ir/ir.h>
#include <policies/policy.h>

static uint64_t seed;

static uint32_t rnd(uint32_t n)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (uint32_t)(seed >> 33) % n;
}

static void id_of(const char *text, uint8_t id[32])
{
	struct om_policy *p = NULL;
	struct om_diags d;
	struct om_err err = {0};

	om_diags_init(&d);
	if (om_policy_compile(text, strlen(text), &p, &d, &err) < 0)
		fail_msg("%s\n%s", err.text, text);
	memcpy(id, om_policy_ir(p, 0)->policy_id, 32);
	om_policy_free(p);
	om_diags_done(&d);
}

static bool same_id(const char *a, const char *b)
{
	uint8_t x[32], y[32];

	id_of(a, x);
	id_of(b, y);
	return memcmp(x, y, 32) == 0;
}

#define B "[brane.x]\nimage = \"host:\"\n"
#define F B "[brane.x.filesystem]\n"
#define R "[brane.x]\nimage = \"dir:/srv\"\n[brane.x.filesystem]\n"
#define N B "[brane.x.network]\n"

/* Two contents. */
#define D1	"9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
#define D2	"60303ae22b998861bce3b28f33eec1be758a213c86c93c076dbe9f558c11c752"
#define X(list) F "exec = [{ path = \"/a\", sha256 = [" list "] }]\n"

static void test_same_grants(void **state)
{
	static const char *const pairs[][2] = {
		{B, "# c\n[brane.y]\nuser = 65_534\nworkdir=\"/\"\nimage='host:'\n"},
		{B, B "substrate = \"elsewhere\"\nrestart = \"never\"\nmode = \"enforce\"\n"
		      "capability = \"standard\"\non-log-full = \"freeze\"\n"
		      "layers = [\"network\", \"kernel\", \"process\", \"kernel\"]\n"},
		{B, B "[brane.x.stdio]\nout = true\n[brane.x.limits]\ncore = \"0B\"\n"},
		{B, B "[brane.x.syscalls]\nallow = [\"read\"]\n[brane.x.network]\negress = []\n"},
		{F "read = [\"/a\", \"/b\"]\n", F "read = [\"/b\", \"/a\", \"/b\"]\n"},
		{F "read = [\"/a/\"]\n", F "read = [\"/a/\", \"/a/b\", \"/a/b/c/\", \"/a\"]\n"},
		{F "write = [\"/a/\"]\n", F "write = [\"/a/\"]\nread = [\"/a/\", \"/a/x\"]\n"},
		{F "write = [\"/a/\"]\n",
		 F "write = [\"/a/\"]\ncreate = [\"/a/*.log\", \"/a/b/c\"]\n"},
		{F "create = [\"/a/*\"]\n", F "create = [\"/a/*\", \"/a/*.log\", \"/a/x\"]\n"},
		{F "create = [\"/a/x*z\"]\n",
		 F "create = [\"/a/xyz\", \"/a/x*z\", \"/a/xa*bz\"]\n"},
		{F "exec = [\"/a\"]\n", F "exec = [{ path = \"/a\" }]\nread = [\"/a\"]\n"},
		{F "exec = [\"/a\"]\n", X("")},
		{X("\"" D1 "\", \"" D2 "\""), X("\"" D2 "\", \"" D1 "\", \"" D2 "\"")},
		{X("\"" D1 "\", \"" D2 "\""),
		 F "exec = [{ path = \"/a\", sha256 = [\"" D2
		   "\"] }, { path = \"/a\", sha256 = [\"" D1 "\"] }]\nread = [\"/a\"]\n"},
		{F "read = [\"/a/\", \"/a-b\"]\n", F "read = [\"/a-b\", \"/a/c\", \"/a/\"]\n"},
		{R "read = [\"/\"]\n", R "read = [\"/\", \"/a\", \"/b/\"]\n"},
		{F "mounts = [{ tmpfs = \"/t\", size = \"1MiB\" }]\n",
		 F "mounts = [{ size = \"1024KiB\", mode = \"rw\", exec = false, tmpfs = \"/t/\" "
		   "}]\n"},
		{N "egress = [\"10.0.0.1:1\"]\n",
		 N "egress = [\"10.0.0.1:1/tcp\", \"[::ffff:10.0.0.1]:1\", \"10.0.0.1/32:1-1\"]\n"},
		{N "egress = [\"10.0.0.0/8:1\"]\n",
		 N "egress = [\"10.0.0.0/9:1\", \"10.128.0.0/9:1\", \"10.9.0.0/16:1\"]\n"},
		{N "egress = [\"10.0.0.1:1-9\"]\n",
		 N "egress = [\"10.0.0.1:5-9\", \"10.0.0.1:1-3\", \"10.0.0.1:4\", "
		   "\"10.0.0.1:2-6\"]\n"},
		{N "egress = [\"10.0.0.0/31:1-2\"]\n",
		 N "egress = [\"10.0.0.0:1\", \"10.0.0.1:2\", \"10.0.0.1:1\", \"10.0.0.0:2\"]\n"},
		{N "egress = [\"10.0.0.0/8:1-5\", \"10.0.0.1:5-9\"]\n",
		 N "egress = [\"10.0.0.1:1-9\", \"10.0.0.0/8:1-5\"]\n"},
		{N "listen = [\"80\", \"81/udp\"]\n",
		 N "listen = [\"81/udp\", \"80/tcp\", \"80\"]\n"},
		{B "[brane.x.limits]\nmemory = \"1MiB\"\ncpu = 1\n",
		 B "[brane.x.limits]\ncpu = \"1000m\"\nmemory = \"1024 KiB\"\n"},
		{B "[brane.x.environment]\nset = { A = \"1\", B = \"2\" }\n",
		 B "environment.set.B = \"2\"\nenvironment.set.A = \"1\"\n"},
		{"[brane.x]\nimage = \"dir:/srv/\"\n", "[brane.x]\nimage = \"dir:/srv\"\n"},
	};

	for (size_t i = 0; i < OM_ARRAY_LEN(pairs); i++)
		if (!same_id(pairs[i][0], pairs[i][1]))
			fail_msg("different ids for\n%s\nand\n%s", pairs[i][0], pairs[i][1]);
}

/* All of these grant different things: no two may share an id. */
static void test_different_grants(void **state)
{
	static const char *const all[] = {
		B,
		"[brane.x]\nimage = \"dir:/\"\n",
		"[brane.x]\nimage = \"dir:/srv\"\n",
		B "user = 0\n",
		B "workdir = \"/a\"\n",
		B "restart = \"always\"\n",
		B "mode = \"audit\"\n",
		B "on-log-full = \"kill\"\n",
		B "layers = [\"process\"]\n",
		B "layers = [\"kernel\"]\n",
		F "allow-write-exec = true\n",
		X("\"" D1 "\""),
		X("\"" D2 "\""),
		X("\"" D1 "\", \"" D2 "\""),
		F "read = [\"/a\"]\n",
		F "read = [\"/a/\"]\n",
		F "read = [\"/ab\"]\n",
		F "read = [\"/a\", \"/b\"]\n",
		F "read = [\"/a/b\"]\n",
		F "write = [\"/a\"]\n",
		F "write = [\"/a/\"]\n",
		F "exec = [\"/a\"]\n",
		F "exec = [\"/a/\"]\n",
		F "create = [\"/a\"]\n",
		F "create = [\"/a*\"]\n",
		F "create = [\"/*a\"]\n",
		F "create = [\"/a/*\"]\n",
		F "create = [\"/a/a\"]\n",
		F "read = [\"/a/\"]\nwrite = [\"/a\"]\n",
		F "read = [\"/a\"]\nwrite = [\"/a/b\"]\n",
		F "mounts = [{ tmpfs = \"/a\", size = \"1MiB\" }]\n",
		F "mounts = [{ tmpfs = \"/a\", size = \"2MiB\" }]\n",
		F "mounts = [{ from = \"/b\", to = \"/a\" }]\n",
		F "mounts = [{ from = \"/b\", to = \"/a\", mode = \"rw\" }]\n",
		N "egress = [\"10.0.0.1:1\"]\n",
		N "egress = [\"10.0.0.1:1/udp\"]\n",
		N "egress = [\"10.0.0.1:1-2\"]\n",
		N "egress = [\"10.0.0.0/31:1\"]\n",
		N "egress = [\"10.0.0.1:1\", \"10.0.0.2:1\"]\n",
		N "egress = [\"10.0.0.1:1\", \"10.0.0.0:2\"]\n",
		N "egress = [\"[::10.0.0.1]:1\"]\n",
		N "listen = [\"1\"]\n",
		N "listen = [\"1/udp\"]\n",
		B "[brane.x.limits]\npids = 1\n",
		B "[brane.x.limits]\npids = 2\n",
		B "[brane.x.limits]\ncpu = \"2m\"\n",
		B "[brane.x.limits]\nfiles = 3\n",
		B "[brane.x.environment]\nset = { A = \"\" }\n",
		B "[brane.x.environment]\nset = { A = \"B\" }\n",
		B "[brane.x.environment]\nset = { AB = \"\" }\n",
		B "[brane.x.stdio]\nin = true\n",
		B "[brane.x.stdio]\nout = false\n",
		B "[brane.x.stdio]\nerr = false\n",
		B "[brane.x.syscalls]\nallow = [\"mlock2\"]\n",
		B "[brane.x.syscalls]\nallow = [\"mbind\"]\n",
		B "command = [\"/a\"]\n[brane.x.filesystem]\nexec = [\"/a\"]\n",
		B "command = [\"/a\", \"b\"]\n[brane.x.filesystem]\nexec = [\"/a\"]\n",
		B "command = [\"/a\", \"b\", \"\"]\n[brane.x.filesystem]\nexec = [\"/a\"]\n",
		B "command = [\"/a\", \"\", \"b\"]\n[brane.x.filesystem]\nexec = [\"/a\"]\n",
	};
	uint8_t ids[OM_ARRAY_LEN(all)][32];

	for (size_t i = 0; i < OM_ARRAY_LEN(all); i++) {
		id_of(all[i], ids[i]);
		for (size_t j = 0; j < i; j++)
			if (memcmp(ids[i], ids[j], 32) == 0)
				fail_msg("one id for\n%s\nand\n%s", all[i], all[j]);
	}
}

static const char *const names[] = {"a", "b", "ab", "a.c", "b.c"};

static const char *random_path(struct om_ir *ir, uint32_t depth)
{
	char buf[64] = "";

	for (uint32_t i = 0; i < depth; i++) {
		strcat(buf, "/");
		strcat(buf, names[rnd(OM_ARRAY_LEN(names))]);
	}
	return om_ir_text(ir, depth ? buf : "/", depth ? strlen(buf) : 1);
}

static void random_grant(struct om_ir *ir, struct om_grant *g)
{
	static const uint32_t object[] = {OM_MAY_READ, OM_MAY_READ | OM_MAY_WRITE,
					  OM_MAY_READ | OM_MAY_EXEC};
	static const uint32_t tree[] = {OM_MAY_READ,
					OM_MAY_READ | OM_MAY_WRITE | OM_MAY_CREATE | OM_MAY_REMOVE,
					OM_MAY_READ | OM_MAY_EXEC};
	static const char *const parts[] = {"", "a", "b", ".c"};

	memset(g, 0, sizeof(*g));
	g->pos.line = rnd(100) + 1;
	if (rnd(2)) {
		g->kind = OM_GRANT_EGRESS;
		memcpy(g->egress.addr, "\0\0\0\0\0\0\0\0\0\0\xff\xff\x0a\0\0", 15);
		g->egress.addr[15] = (uint8_t)rnd(16);
		g->egress.bits = (uint8_t)(124 + rnd(5));
		om_addr_mask(g->egress.addr, g->egress.bits);
		g->egress.proto = rnd(4) ? OM_PROTO_TCP : OM_PROTO_UDP;
		g->egress.port_lo = (uint16_t)(1 + rnd(8));
		g->egress.port_hi = (uint16_t)(g->egress.port_lo + rnd(4));
		return;
	}
	g->kind = OM_GRANT_FILE;
	g->file.path = random_path(ir, rnd(4));
	switch (rnd(3)) {
	case 0:
		g->file.may = object[rnd(3)];
		break;
	case 1:
		g->file.tree = true;
		g->file.may = tree[rnd(3)];
		break;
	default:
		g->file.may = OM_MAY_CREATE | OM_MAY_WRITE;
		g->file.prefix = parts[rnd(4)];
		g->file.suffix = rnd(3) ? parts[rnd(4)] : NULL;
		if (!g->file.suffix && !g->file.prefix[0])
			g->file.prefix = "ab";
	}
}

/* Every question about the small world that random_grant makes, as one string of answers. */
static size_t ask_everything(const struct om_ir *ir, char *answers)
{
	struct om_request req = {.nr = -1};
	struct om_verdict v;
	size_t n = 0;

	for (uint32_t k = 0; k < 1 + 5 + 25 + 125; k++) {
		uint32_t depth = k == 0 ? 0 : k < 6 ? 1 : k < 31 ? 2 : 3;
		uint32_t rest = k == 0 ? 0 : k < 6 ? k - 1 : k < 31 ? k - 6 : k - 31;

		strcpy(req.text, depth ? "" : "/");
		for (uint32_t i = 0; i < depth; i++, rest /= 5) {
			strcat(req.text, "/");
			strcat(req.text, names[rest % 5]);
		}
		for (int op = OM_OP_FILE_READ; op <= OM_OP_FILE_EXEC; op++) {
			req.op = (enum om_op)op;
			om_engine_decide(ir, &req, &v);
			answers[n++] = v.allow ? '1' : '0';
		}
	}
	req.op = OM_OP_NET_CONNECT;
	memcpy(req.addr, "\0\0\0\0\0\0\0\0\0\0\xff\xff\x0a\0\0", 15);
	for (uint32_t k = 0; k < 2u * 18 * 16; k++) {
		req.proto = k % 2 ? OM_PROTO_TCP : OM_PROTO_UDP;
		req.addr[15] = (uint8_t)(k / 2 % 18);
		req.port = (uint16_t)(k / 36);
		om_engine_decide(ir, &req, &v);
		answers[n++] = v.allow ? '1' : '0';
	}
	return n;
}

static struct om_ir *make(const struct om_grant *g, uint32_t n)
{
	struct om_ir *ir;
	struct om_err err;

	assert_int_equal(om_ir_new(&ir, "x", &err), 0);
	for (uint32_t i = 0; i < n; i++)
		assert_int_equal(om_ir_add(ir, &g[i], &err), 0);
	return ir;
}

/*
 * For random sets of grants: the normal form answers every question as the plain set does; it is
 * the same for every order and for repeated grants; normalising twice changes nothing.
 */
static void test_normal_form(void **state)
{
	enum { ROUNDS = 400, MOST = 12 };
	static char before[4096], after[4096];

	seed = 0x9e3779b97f4a7c15u;
	for (int round = 0; round < ROUNDS; round++) {
		struct om_ir *owner, *a, *b;
		struct om_grant g[2 * MOST];
		uint32_t n = 1 + rnd(MOST);
		uint8_t id[32];
		struct om_err err;
		size_t len;

		assert_int_equal(om_ir_new(&owner, "x", &err), 0);
		for (uint32_t i = 0; i < n; i++)
			random_grant(owner, &g[i]);
		a = make(g, n);
		len = ask_everything(a, before);
		assert_true(len < sizeof(before));
		assert_int_equal(om_ir_normalise(a, &err), 0);
		assert_int_equal(ask_everything(a, after), len);
		if (memcmp(before, after, len) != 0)
			fail_msg("round %d: the normal form answers differently", round);
		memcpy(id, a->policy_id, 32);
		for (uint32_t i = 1; i < a->count; i++)
			assert_true(om_ir_compare(&a->grants[i - 1], &a->grants[i]) < 0);
		assert_int_equal(om_ir_normalise(a, &err), 0);
		assert_memory_equal(id, a->policy_id, 32);

		for (uint32_t i = n; i < 2 * n; i++)
			g[i] = g[rnd(n)];
		for (uint32_t i = 2 * n - 1; i > 0; i--) {
			uint32_t j = rnd(i + 1);
			struct om_grant swap = g[i];

			g[i] = g[j];
			g[j] = swap;
		}
		b = make(g, 2 * n);
		assert_int_equal(om_ir_normalise(b, &err), 0);
		if (memcmp(id, b->policy_id, 32) != 0)
			fail_msg("round %d: order or repetition changes the id", round);
		om_ir_free(a);
		om_ir_free(b);
		om_ir_free(owner);
	}
}

/*
 * Equal sets have equal ids, however they were cut up: two random descriptions of egress that
 * answer every question alike must have one id, and others two.
 */
static void test_id_is_the_meaning(void **state)
{
	enum { SETS = 300 };
	static char answers[SETS][4096];
	static uint8_t ids[SETS][32];
	size_t len = 0;
	uint32_t equal = 0;

	seed = 0x2545f4914f6cdd1du;
	for (uint32_t s = 0; s < SETS; s++) {
		struct om_grant g[8];
		uint32_t n = 4 + rnd(4);
		struct om_ir *ir;
		struct om_err err;

		/* A world so small that different lists often mean the same. */
		for (uint32_t i = 0; i < n; i++) {
			memset(&g[i], 0, sizeof(g[i]));
			g[i].kind = OM_GRANT_EGRESS;
			memcpy(g[i].egress.addr, "\0\0\0\0\0\0\0\0\0\0\xff\xff\x0a\0\0", 15);
			g[i].egress.addr[15] = (uint8_t)rnd(2);
			g[i].egress.bits = (uint8_t)(127 + rnd(2));
			om_addr_mask(g[i].egress.addr, g[i].egress.bits);
			g[i].egress.proto = OM_PROTO_TCP;
			g[i].egress.port_lo = (uint16_t)(1 + rnd(3));
			g[i].egress.port_hi = (uint16_t)(g[i].egress.port_lo + rnd(2));
		}
		ir = make(g, n);
		assert_int_equal(om_ir_normalise(ir, &err), 0);
		len = ask_everything(ir, answers[s]);
		memcpy(ids[s], ir->policy_id, 32);
		om_ir_free(ir);
		for (uint32_t t = 0; t < s; t++) {
			bool same = memcmp(answers[s], answers[t], len) == 0;

			equal += same;
			if (same != (memcmp(ids[s], ids[t], 32) == 0))
				fail_msg("sets %u and %u: meaning and id disagree", s, t);
		}
	}
	assert_true(equal > 100);
}

static void test_limits(void **state)
{
	struct om_grant g = {.kind = OM_GRANT_LISTEN};
	struct om_ir *ir;
	struct om_err err;

	assert_int_equal(om_ir_new(&ir, "x", &err), 0);
	for (uint32_t i = 0; i < OM_GRANTS_MAX; i++) {
		g.listen.port = (uint16_t)(i + 1);
		assert_int_equal(om_ir_add(ir, &g, &err), 0);
	}
	assert_int_equal(om_ir_add(ir, &g, &err), -E2BIG);
	assert_int_equal(err.id, OM_ERR_IR_LIMIT);
	assert_int_equal(om_ir_normalise(ir, &err), 0);
	om_ir_free(ir);
	om_ir_free(NULL);
}

static void test_paths(void **state)
{
	struct om_grant_file star = {.prefix = "a", .suffix = "b"};
	struct om_grant_file exact = {.prefix = "ab"};

	assert_true(om_ir_path_covers("/", "/"));
	assert_true(om_ir_path_covers("/", "/x"));
	assert_true(om_ir_path_covers("/a", "/a/b"));
	assert_false(om_ir_path_covers("/a", "/ab"));
	assert_false(om_ir_path_covers("/a/b", "/a"));
	assert_true(om_ir_path_compare("/a", "/a/b") < 0);
	assert_true(om_ir_path_compare("/a/b", "/a-b") < 0);
	assert_true(om_ir_path_compare("/a/b", "/a.b") < 0);
	assert_int_equal(om_ir_path_compare("/a", "/a"), 0);
	/* The prefix and the suffix may not share bytes of the name. */
	assert_true(om_ir_pattern_match(&star, "ab", 2));
	assert_true(om_ir_pattern_match(&star, "axb", 3));
	star.suffix = "a";
	assert_false(om_ir_pattern_match(&star, "a", 1));
	assert_true(om_ir_pattern_match(&exact, "ab", 2));
	assert_false(om_ir_pattern_match(&exact, "abc", 3));
	assert_false(om_ir_pattern_match(&exact, "a", 1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_paths),
		cmocka_unit_test(test_same_grants),
		cmocka_unit_test(test_different_grants),
		cmocka_unit_test(test_normal_form),
		cmocka_unit_test(test_id_is_the_meaning),
		cmocka_unit_test(test_limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
