/*
 * What was generated means what the IR means: for random grants and random questions the simulators
 * and the interpreter agree, and each layer that has an opinion is sufficient alone.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include <omega/arena.h>
#include <policies/emit/emit.h>
#include <policies/ir/ir.h>
#include <policies/policy.h>

#define MAY_RW (OM_MAY_READ | OM_MAY_WRITE | OM_MAY_CREATE | OM_MAY_REMOVE)

/* xorshift: the same sequence on every machine. */
static uint64_t rng_state;

static uint32_t rnd(uint32_t below)
{
	rng_state ^= rng_state << 13;
	rng_state ^= rng_state >> 7;
	rng_state ^= rng_state << 17;
	return (uint32_t)(rng_state >> 33) % below;
}

/* Few names, so that grants and questions meet often; "ab" and "a.b" so that prefixes are not parents. */
static void random_path(char *buf, size_t size, uint32_t depth)
{
	static const char *const names[] = {"a", "b", "ab", "a.b", "x.log", "y.log"};
	size_t used = 0;

	for (uint32_t i = 0; i < depth; i++)
		used += (size_t)snprintf(buf + used, size - used, "/%s", names[rnd(6)]);
}

static const char *text(struct om_ir *ir, const char *s)
{
	const char *t = om_ir_text(ir, s, strlen(s));

	assert_non_null(t);
	return t;
}

static bool has_mount_at(const struct om_ir *ir, const char *path)
{
	for (uint32_t i = 0; i < ir->count; i++)
		if (ir->grants[i].kind == OM_GRANT_MOUNT &&
		    strcmp(ir->grants[i].mount.to, path) == 0)
			return true;
	return false;
}

static void add(struct om_ir *ir, struct om_grant g)
{
	assert_int_equal(om_ir_add(ir, &g, NULL), 0);
}

static const uint8_t contents[4][OM_DIGEST_LEN] = {{1}, {2}, {3}, {4}};

static void add_file(struct om_ir *ir, bool patterns)
{
	static const uint32_t may[] = {OM_MAY_READ, OM_MAY_READ, OM_MAY_READ | OM_MAY_EXEC, MAY_RW};
	struct om_grant g = {.kind = OM_GRANT_FILE};
	char path[64];

	random_path(path, sizeof(path), 1 + rnd(3));
	g.file.path = text(ir, path);
	g.file.may = may[rnd(4)];
	/* One path as an object and as a tree is two meanings of one thing; see bundle.h. */
	g.file.tree = strlen(path) % 2;
	/* Few contents, so that lists and questions meet too. */
	if (patterns && !g.file.tree && rnd(3) == 0) {
		g.file.may = OM_MAY_READ | OM_MAY_EXEC_BOUND;
		g.file.sha256 = &contents[rnd(3)];
		g.file.digests = 1 + rnd(2);
	}
	if (patterns && rnd(5) == 0) {
		g.file.tree = false;
		g.file.digests = 0;
		g.file.may = OM_MAY_READ | OM_MAY_WRITE | OM_MAY_CREATE;
		g.file.prefix = rnd(2) ? "a" : "";
		g.file.suffix = rnd(4) ? ".log" : NULL;
		if (!g.file.suffix)
			g.file.prefix = "x.log";
	}
	add(ir, g);
}

static void add_mount(struct om_ir *ir)
{
	struct om_grant g = {.kind = OM_GRANT_MOUNT};
	struct om_grant f = {.kind = OM_GRANT_FILE};
	char path[64];

	random_path(path, sizeof(path), 1 + rnd(2));
	/* An odd length, as trees have: the file grant beside a mount is a tree. */
	if (has_mount_at(ir, path) || strlen(path) % 2 == 0)
		return;
	g.mount.to = text(ir, path);
	random_path(path, sizeof(path), 1 + rnd(2));
	g.mount.from = text(ir, path);
	g.mount.may = rnd(2) ? MAY_RW : OM_MAY_READ;
	f.file.path = g.mount.to;
	f.file.may = g.mount.may;
	f.file.tree = true;
	add(ir, g);
	add(ir, f);
}

static void random_addr(uint8_t addr[16])
{
	memset(addr, 0, 16);
	if (rnd(2)) {
		addr[10] = addr[11] = 0xff;
		addr[12] = 10;
		addr[13] = (uint8_t)rnd(2);
		addr[15] = (uint8_t)rnd(4);
	} else {
		addr[0] = rnd(8) ? 0x20 : 0;
		addr[1] = addr[0] ? 1 : 0;
		addr[15] = (uint8_t)rnd(4);
	}
}

static void add_egress(struct om_ir *ir)
{
	struct om_grant g = {.kind = OM_GRANT_EGRESS};
	struct om_grant_egress *e = &g.egress;

	random_addr(e->addr);
	e->bits = (uint8_t)(rnd(3) ? 96 + rnd(33) : rnd(129));
	for (unsigned int i = e->bits; i < 128; i++)
		e->addr[i / 8] &= (uint8_t) ~(0x80u >> (i % 8));
	e->proto = rnd(2) ? OM_PROTO_TCP : OM_PROTO_UDP;
	e->port_lo = (uint16_t)(1 + rnd(5));
	e->port_hi = (uint16_t)(e->port_lo + rnd(4));
	add(ir, g);
}

static struct om_ir *random_ir(uint32_t layers, bool files, bool patterns, bool net)
{
	struct om_ir *ir;

	assert_int_equal(om_ir_new(&ir, "api", NULL), 0);
	ir->layers = layers;
	ir->write_exec = rnd(2);
	for (uint32_t i = rnd(6); files && i; i--)
		add_file(ir, patterns);
	for (uint32_t i = rnd(3); files && i; i--)
		add_mount(ir);
	for (uint32_t i = rnd(5); net && i; i--)
		add_egress(ir);
	for (uint32_t i = rnd(3); net && i; i--)
		add(ir, (struct om_grant){.kind = OM_GRANT_LISTEN,
					  .listen = {rnd(2) ? 6 : 17, (uint16_t)(1 + rnd(6))}});
	if (rnd(2))
		add(ir, (struct om_grant){.kind = OM_GRANT_ENV, .env = {"LANG", "C"}});
	if (rnd(2))
		add(ir, (struct om_grant){.kind = OM_GRANT_STDIO, .stdio = {1 + rnd(7)}});
	if (rnd(2))
		add(ir, (struct om_grant){.kind = OM_GRANT_SYSCALL, .syscall = {"mlock2", 325}});
	assert_int_equal(om_ir_normalise(ir, NULL), 0);
	return ir;
}

static void random_request(struct om_request *req)
{
	static const enum om_op ops[] = {OM_OP_FILE_READ,   OM_OP_FILE_WRITE, OM_OP_FILE_CREATE,
					 OM_OP_FILE_REMOVE, OM_OP_FILE_EXEC,  OM_OP_MEM_EXEC,
					 OM_OP_NET_CONNECT, OM_OP_NET_LISTEN, OM_OP_SYSCALL,
					 OM_OP_ENV,	    OM_OP_STDIO};
	static const char *const streams[] = {"in", "out", "err"};

	memset(req, 0, sizeof(*req));
	req->nr = -1;
	req->op = ops[rnd(OM_ARRAY_LEN(ops))];
	if (om_op_need(req->op)) {
		if (rnd(20) == 0)
			snprintf(req->text, sizeof(req->text), "/");
		else
			random_path(req->text, sizeof(req->text), 1 + rnd(5));
		req->has_sha256 = req->op == OM_OP_FILE_EXEC && rnd(2);
		memcpy(req->sha256, contents[rnd(4)], sizeof(req->sha256));
	} else if (req->op == OM_OP_SYSCALL) {
		req->nr = (int)rnd(480);
		for (uint32_t i = 0; i < 6; i++)
			req->args[i] = rnd(2) ? 0 : rnd(40);
	} else if (req->op == OM_OP_ENV) {
		snprintf(req->text, sizeof(req->text), "%s", rnd(2) ? "LANG" : "LAN");
	} else if (req->op == OM_OP_STDIO) {
		snprintf(req->text, sizeof(req->text), "%s", streams[rnd(3)]);
	}
	random_addr(req->addr);
	req->port = (uint16_t)(1 + rnd(9));
	req->proto = rnd(2) ? OM_PROTO_TCP : OM_PROTO_UDP;
}

struct emitted {
	uint8_t *data;
	struct om_bundle b;
};

static bool emit(const struct om_ir *ir, struct emitted *out)
{
	size_t len;
	struct om_err err = {0};

	if (om_emit_bundle(ir, &out->data, &len, &err)) {
		if (err.id != OM_ERR_CAP_NOT_ENFORCEABLE && err.id != OM_ERR_CAP_LAYER)
			fail_msg("emit: %s", err.text);
		return false;
	}
	assert_int_equal(om_bundle_open(out->data, len, &out->b, NULL), 0);
	return true;
}

static void explain(const struct om_ir *ir, const struct emitted *em, const struct om_request *req,
		    bool want, const struct om_sim_result *got)
{
	char buf[512];
	uint32_t n;
	const struct om_b_grant *g = om_bundle_section(&em->b, OM_SEC_GRANTS, &n);
	const struct om_b_mount *m;

	for (uint32_t i = 0; i < n; i++)
		print_message("# grant %s\n", om_bundle_str(&em->b, g[i].text));
	m = om_bundle_section(&em->b, OM_SEC_VIEW, &n);
	for (uint32_t i = 0; i < n; i++)
		print_message("# mount %s at %s flags %x\n", om_bundle_str(&em->b, m[i].from),
			      om_bundle_str(&em->b, m[i].to), m[i].flags);
	om_request_format(req, buf, sizeof(buf));
	fail_msg("%s (nr %d): interpreter %d, simulator %d (asked %x, denied %x), layers %x", buf,
		 req->nr, want, got->allow, got->asked, got->denied, ir->layers);
}

/* Layers LAYERS, all questions that WANTED accepts: same answer as the interpreter. */
static void agree(uint32_t layers, bool files, bool patterns, bool net, uint32_t where_bits,
		  uint32_t irs)
{
	uint32_t compared = 0, allowed = 0;

	rng_state = 0x9e3779b97f4a7c15u + layers;
	for (uint32_t i = 0; i < irs; i++) {
		struct om_ir *ir = random_ir(layers, files, patterns, net);
		struct emitted em = {0};

		if (emit(ir, &em)) {
			for (uint32_t r = 0; r < 200; r++) {
				struct om_request req;
				struct om_sim_result got;
				struct om_verdict want;

				random_request(&req);
				om_engine_decide(ir, &req, &want);
				om_sim_decide(&em.b, &req, &got);
				if (!(got.asked & where_bits))
					continue;
				if (got.allow != want.allow)
					explain(ir, &em, &req, want.allow, &got);
				assert_int_equal(got.allow, got.where == OM_WHERE_NONE);
				compared++;
				allowed += got.allow;
			}
		}
		free(em.data);
		om_ir_free(ir);
	}
	print_message("# %u verdicts compared, %u of them yes\n", compared, allowed);
	assert_true(compared > irs && allowed > irs / 10 && allowed < compared);
}

static void all_layers_together_agree(void **state)
{
	agree(OM_LAYER_ALL, true, true, true, ~0u, 3000);
}

static void kernel_layer_alone_is_exact(void **state)
{
	agree(OM_LAYER_KERNEL, true, true, true, 1u << OM_WHERE_LSM, 2000);
}

static void network_layer_alone_is_exact(void **state)
{
	agree(OM_LAYER_NETWORK, false, false, true, 1u << OM_WHERE_CGROUP_BPF | 1u << OM_WHERE_NFT,
	      2000);
}

/* Files by the view alone, system calls by the filter alone, no network by an empty namespace. */
static void process_layer_alone_is_exact(void **state)
{
	agree(OM_LAYER_PROCESS, true, false, false,
	      1u << OM_WHERE_VIEW | 1u << OM_WHERE_SECCOMP | 1u << OM_WHERE_PROCESS, 3000);
}

static void an_empty_manifest_reaches_nothing(void **state)
{
	static const uint32_t layers[] = {OM_LAYER_ALL, OM_LAYER_PROCESS, OM_LAYER_KERNEL};

	rng_state = 5;
	for (size_t l = 0; l < OM_ARRAY_LEN(layers); l++) {
		struct om_ir *ir;
		struct emitted em = {0};

		assert_int_equal(om_ir_new(&ir, "api", NULL), 0);
		ir->layers = layers[l];
		assert_int_equal(om_ir_normalise(ir, NULL), 0);
		assert_true(emit(ir, &em));
		for (uint32_t r = 0; r < 5000; r++) {
			struct om_request req;
			struct om_sim_result got;

			random_request(&req);
			om_sim_decide(&em.b, &req, &got);
			if (req.op != OM_OP_SYSCALL)
				assert_false(got.allow);
		}
		free(em.data);
		om_ir_free(ir);
	}
}

/* Which layer speaks first decides where the record comes from. */
static void the_first_layer_is_named(void **state)
{
	static const struct {
		const char *ask;
		enum om_where where;
	} rows[] = {
		{"file.read /etc/shadow", OM_WHERE_VIEW},
		{"file.read /etc/passwd", OM_WHERE_NONE},
		{"file.write /etc/passwd", OM_WHERE_VIEW},
		{"file.read /etc", OM_WHERE_LSM},
		{"file.exec /etc/passwd", OM_WHERE_LSM},
		{"file.read /", OM_WHERE_LSM},
		{"net.connect 10.0.0.1:443", OM_WHERE_LSM},
		{"net.listen 80", OM_WHERE_LSM},
		{"syscall ptrace", OM_WHERE_SECCOMP},
		{"syscall socket", OM_WHERE_NONE},
		{"mem.exec", OM_WHERE_SECCOMP},
		{"env HOME", OM_WHERE_PROCESS},
		{"stdio out", OM_WHERE_PROCESS},
	};
	struct om_ir *ir;
	struct emitted em = {0};

	assert_int_equal(om_ir_new(&ir, "api", NULL), 0);
	add(ir, (struct om_grant){.kind = OM_GRANT_FILE, .file = {"/etc/passwd", OM_MAY_READ}});
	assert_int_equal(om_ir_normalise(ir, NULL), 0);
	assert_true(emit(ir, &em));
	for (size_t i = 0; i < OM_ARRAY_LEN(rows); i++) {
		struct om_request req;
		struct om_sim_result got;

		assert_int_equal(om_request_parse(rows[i].ask, strlen(rows[i].ask), &req, NULL), 0);
		om_sim_decide(&em.b, &req, &got);
		if (got.where != rows[i].where)
			fail_msg("%s: %s", rows[i].ask, om_where_name(got.where));
	}
	free(em.data);
	om_ir_free(ir);
}

static void a_walk_past_the_bound_is_denied(void **state)
{
	struct om_request req = {.op = OM_OP_FILE_READ, .nr = -1};
	struct om_sim_result got;
	struct om_ir *ir;
	struct emitted em = {0};

	assert_int_equal(om_ir_new(&ir, "api", NULL), 0);
	ir->layers = OM_LAYER_KERNEL;
	add(ir, (struct om_grant){.kind = OM_GRANT_FILE,
				  .file = {"/a", OM_MAY_READ, true, NULL, NULL}});
	assert_int_equal(om_ir_normalise(ir, NULL), 0);
	assert_true(emit(ir, &em));
	strcpy(req.text, "/a");
	for (unsigned int i = 0; i < OM_WALK_MAX; i++)
		strcat(req.text, "/d");
	om_sim_decide(&em.b, &req, &got);
	assert_true(got.allow);
	strcat(req.text, "/d");
	om_sim_decide(&em.b, &req, &got);
	assert_false(got.allow);
	free(em.data);
	om_ir_free(ir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_layers_together_agree),
		cmocka_unit_test(kernel_layer_alone_is_exact),
		cmocka_unit_test(network_layer_alone_is_exact),
		cmocka_unit_test(process_layer_alone_is_exact),
		cmocka_unit_test(an_empty_manifest_reaches_nothing),
		cmocka_unit_test(the_first_layer_is_named),
		cmocka_unit_test(a_walk_past_the_bound_is_denied),
	};

	return cmocka_run_group_tests_name("sim", tests, NULL, NULL);
}
