/* Each emitter on its own: the rows that a grant becomes, and the grants that no layer can hold. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/resource.h>
#include <cmocka.h>

#include <omega/abi/policy.h>
#include <policies/emit/emit.h>
#include <policies/ir/ir.h>
#include <policies/policy.h>

#define MAY_RW (OM_MAY_READ | OM_MAY_WRITE | OM_MAY_CREATE | OM_MAY_REMOVE)
#define MAY_RX (OM_MAY_READ | OM_MAY_EXEC)

#define FILE_(p, m, t) \
	((struct om_grant){.kind = OM_GRANT_FILE, .file = {(p), (m), (t), NULL, NULL}})
#define PATTERN(d, a, b)                          \
	((struct om_grant){.kind = OM_GRANT_FILE, \
			   .file = {(d), OM_MAY_CREATE | OM_MAY_WRITE, false, (a), (b)}})
#define MOUNT(f, t, m) ((struct om_grant){.kind = OM_GRANT_MOUNT, .mount = {(f), (t), (m), 0}})
#define LIMIT(w, v)    ((struct om_grant){.kind = OM_GRANT_LIMIT, .limit = {(w), (v)}})
#define LISTEN(p)      ((struct om_grant){.kind = OM_GRANT_LISTEN, .listen = {OM_PROTO_TCP, (p)}})

static struct om_grant egress4(uint8_t a, uint8_t b, uint8_t bits, uint16_t lo, uint16_t hi)
{
	struct om_grant g = {.kind = OM_GRANT_EGRESS,
			     .egress = {{[10] = 0xff, [11] = 0xff, [12] = a, [13] = b},
					(uint8_t)(96 + bits),
					OM_PROTO_TCP,
					lo,
					hi}};

	return g;
}

/* The bundle of a few grants, with every layer unless LAYERS says otherwise. */
static struct om_bundle bundle(struct om_grant *g, uint32_t n, uint32_t layers)
{
	struct om_ir ir = {.name = "api", .layers = layers, .grants = g, .count = n};
	struct om_bundle b;
	struct om_err err = {0};
	uint8_t *data;
	size_t len;

	if (om_emit_bundle(&ir, &data, &len, &err))
		fail_msg("%s", err.text);
	assert_int_equal(om_bundle_open(data, len, &b, NULL), 0);
	return b;
}

static void release(struct om_bundle *b)
{
	free((void *)(uintptr_t)b->data);
}

static void refused(struct om_grant g, uint32_t layers, enum om_err_id id, const char *word)
{
	struct om_ir ir = {.name = "api", .layers = layers, .grants = &g, .count = 1};
	struct om_err err = {0};
	uint8_t *data;
	size_t len;

	assert_true(om_emit_bundle(&ir, &data, &len, &err) < 0);
	assert_int_equal(err.id, id);
	assert_non_null(strstr(err.text, word));
	assert_null(data);
}

struct mount_row {
	const char *from, *to;
	uint32_t flags;
};

static void expect_view(const struct om_bundle *b, const struct mount_row *want, uint32_t n)
{
	uint32_t have;
	const struct om_b_mount *m = om_bundle_section(b, OM_SEC_VIEW, &have);

	for (uint32_t i = 0; i < n && i < have; i++) {
		assert_string_equal(om_bundle_str(b, m[i].to), want[i].to);
		assert_string_equal(om_bundle_str(b, m[i].from), want[i].from);
		assert_int_equal(m[i].flags, want[i].flags);
	}
	assert_int_equal(have, n);
}

#define RO   OM_MNT_RO
#define NX   OM_MNT_NOEXEC
#define TREE OM_MNT_TREE
#define VIEW(b, ...)                                              \
	expect_view((b), (const struct mount_row[]){__VA_ARGS__}, \
		    sizeof((const struct mount_row[]){__VA_ARGS__}) / sizeof(struct mount_row))

static void mounts_only_where_rights_differ(void **state)
{
	struct om_grant g[] = {
		FILE_("/usr", OM_MAY_READ, true),
		FILE_("/usr/share/doc", OM_MAY_READ, true),
		FILE_("/usr/bin/bash", MAY_RX, false),
		FILE_("/usr/lib", MAY_RX, true),
		FILE_("/usr/lib/x/ld.so", MAY_RX, false),
		FILE_("/etc/hosts", OM_MAY_READ, false),
		FILE_("/usr-local", OM_MAY_READ, true),
		FILE_("/var/lib/api", MAY_RW, true),
	};
	struct om_bundle b = bundle(g, OM_ARRAY_LEN(g), OM_LAYER_ALL);

	/* BPF-LSM tells what may be executed, and must see who tries. */
	VIEW(&b, {"/etc/hosts", "/etc/hosts", RO}, {"/usr", "/usr", RO | TREE},
	     {"/usr-local", "/usr-local", RO | TREE}, {"/var/lib/api", "/var/lib/api", TREE});
	release(&b);
	b = bundle(g, OM_ARRAY_LEN(g), OM_LAYER_PROCESS);
	VIEW(&b, {"/etc/hosts", "/etc/hosts", RO | NX}, {"/usr", "/usr", RO | NX | TREE},
	     {"/usr/bin/bash", "/usr/bin/bash", RO}, {"/usr/lib", "/usr/lib", RO | TREE},
	     {"/usr-local", "/usr-local", RO | NX | TREE},
	     {"/var/lib/api", "/var/lib/api", NX | TREE});
	release(&b);
}

static void writing_below_a_readable_tree_keeps_execution(void **state)
{
	struct om_grant g[] = {
		FILE_("/srv", MAY_RX, true),
		FILE_("/srv/data", MAY_RW, true),
	};
	struct om_bundle b = bundle(g, 2, OM_LAYER_ALL);

	/* Rights add up: what /srv gives holds below /srv/data as well. */
	VIEW(&b, {"/srv", "/srv", RO | TREE}, {"/srv/data", "/srv/data", TREE});
	release(&b);
}

static void mounts_move_and_patterns_open_directories(void **state)
{
	struct om_grant g[] = {
		MOUNT("/srv/api-data", "/var/lib/api", OM_MAY_READ),
		FILE_("/var/lib/api", OM_MAY_READ, true),
		FILE_("/var/lib/api/spool", MAY_RW, true),
		PATTERN("/var/log/api", "", ".log"),
		MOUNT(NULL, "/tmp", MAY_RW),
		FILE_("/tmp", MAY_RW, true),
		FILE_("/dev/null", OM_MAY_READ | OM_MAY_WRITE, false),
	};
	struct om_bundle b = bundle(g, OM_ARRAY_LEN(g), OM_LAYER_ALL);

	VIEW(&b, {"/dev/null", "/dev/null", RO | NX | OM_MNT_DEVICE},
	     {"", "/tmp", NX | OM_MNT_TMPFS}, {"/srv/api-data", "/var/lib/api", RO | TREE},
	     {"/srv/api-data/spool", "/var/lib/api/spool", TREE},
	     {"/var/log/api", "/var/log/api", OM_MNT_DIR});
	release(&b);
}

static void what_no_view_can_hold_is_refused(void **state)
{
	refused(FILE_("/proc", OM_MAY_READ, true), OM_LAYER_ALL, OM_ERR_CAP_NOT_ENFORCEABLE,
		"procfs view");
	refused(FILE_("/proc/self/status", OM_MAY_READ, false), OM_LAYER_ALL,
		OM_ERR_CAP_NOT_ENFORCEABLE, "procfs view");
	refused(FILE_("/sys/fs/cgroup", OM_MAY_READ, true), OM_LAYER_ALL,
		OM_ERR_CAP_NOT_ENFORCEABLE, "sysfs view");
	refused(FILE_("/dev/sda", OM_MAY_READ, false), OM_LAYER_ALL, OM_ERR_CAP_NOT_ENFORCEABLE,
		"/dev");
	refused(FILE_("/dev/null", OM_MAY_READ, true), OM_LAYER_ALL, OM_ERR_CAP_NOT_ENFORCEABLE,
		"/dev");
	refused(FILE_("/", OM_MAY_READ, true), OM_LAYER_ALL, OM_ERR_CAP_NOT_ENFORCEABLE, "/proc");
	refused(MOUNT("/proc", "/mnt", OM_MAY_READ), OM_LAYER_ALL, OM_ERR_CAP_NOT_ENFORCEABLE,
		"procfs view");
	refused(PATTERN("/var/log", "a", ".log"), OM_LAYER_PROCESS, OM_ERR_CAP_LAYER, "kernel");
	/* Names that merely begin alike are not special. */
	{
		struct om_grant g = FILE_("/process", OM_MAY_READ, true);
		struct om_bundle b = bundle(&g, 1, OM_LAYER_ALL);

		VIEW(&b, {"/process", "/process", RO | TREE});
		release(&b);
	}
	{
		struct om_grant g[] = {MOUNT(NULL, "/tmp", MAY_RW), FILE_("/tmp/x", MAY_RX, false)};
		struct om_ir ir = {.name = "api", .layers = OM_LAYER_ALL, .grants = g, .count = 2};
		struct om_err err = {0};
		uint8_t *data;
		size_t len;

		assert_true(om_emit_bundle(&ir, &data, &len, &err) < 0);
		assert_int_equal(err.id, OM_ERR_CAP_NOT_ENFORCEABLE);
	}
}

static void files_are_one_row_a_path(void **state)
{
	struct om_grant g[] = {
		FILE_("/a", MAY_RX, false),	 FILE_("/a", OM_MAY_READ, true),
		PATTERN("/a", "x", ".log"),	 PATTERN("/a", "core", NULL),
		FILE_("/0", OM_MAY_READ, false),
	};
	struct om_bundle b = bundle(g, OM_ARRAY_LEN(g), OM_LAYER_ALL);
	uint32_t n;
	const struct om_b_file *f = om_bundle_section(&b, OM_SEC_FILES, &n);

	assert_int_equal(n, 4);
	assert_string_equal(om_bundle_str(&b, f[0].path), "/0");
	assert_int_equal(f[1].self, MAY_RX);
	assert_int_equal(f[1].tree, OM_MAY_READ);
	assert_int_equal(f[1].grant, 0);
	assert_string_equal(om_bundle_str(&b, f[2].suffix), ".log");
	assert_int_equal(f[2].pattern_may, OM_MAY_CREATE | OM_MAY_WRITE);
	assert_int_equal(f[2].self | f[2].tree, 0);
	assert_int_equal(f[3].exact, 1);
	release(&b);
}

/* A walk by dentries ends at the mount's root, so a tree above it must be said again there. */
static void a_bind_mount_below_a_tree_gets_a_row(void **state)
{
	struct om_grant g[] = {FILE_("/var", OM_MAY_READ, true),
			       MOUNT("/srv", "/var/x", OM_MAY_READ),
			       MOUNT("/opt", "/elsewhere", OM_MAY_READ)};
	struct om_bundle b = bundle(g, OM_ARRAY_LEN(g), OM_LAYER_ALL);
	uint32_t n;
	const struct om_b_file *f = om_bundle_section(&b, OM_SEC_FILES, &n);

	assert_int_equal(n, 2);
	assert_string_equal(om_bundle_str(&b, f[1].path), "/var/x");
	assert_int_equal(f[1].tree, OM_MAY_READ);
	assert_int_equal(f[1].grant, 1);
	release(&b);
}

static void patterns_are_bounded(void **state)
{
	static const char names[17][2] = {"a", "b", "c", "d", "e", "f", "g", "h", "i",
					  "j", "k", "l", "m", "n", "o", "p", "q"};
	struct om_grant g[17];
	struct om_ir ir = {.name = "api", .layers = OM_LAYER_ALL, .grants = g, .count = 17};
	struct om_err err = {0};
	uint8_t *data;
	size_t len;

	for (size_t i = 0; i < 17; i++)
		g[i] = PATTERN("/a", names[i], NULL);
	assert_true(om_emit_bundle(&ir, &data, &len, &err) < 0);
	assert_int_equal(err.id, OM_ERR_IR_LIMIT);
	ir.count = 16;
	assert_int_equal(om_emit_bundle(&ir, &data, &len, NULL), 0);
	free(data);
}

static void port_ranges_are_expanded_and_bounded(void **state)
{
	struct om_grant g[] = {egress4(10, 0, 8, 80, 82), egress4(10, 0, 8, 81, 81)};
	struct om_bundle b = bundle(g, 2, OM_LAYER_ALL);
	uint32_t n;
	const struct om_b_egress *e = om_bundle_section(&b, OM_SEC_EGRESS, &n);

	assert_int_equal(n, 3);
	assert_int_equal(e[0].port, 80);
	assert_int_equal(e[1].port, 81);
	assert_int_equal(e[0].bits, 104);
	release(&b);
	{
		struct om_grant wide[5];
		struct om_ir ir = {
			.name = "api", .layers = OM_LAYER_ALL, .grants = wide, .count = 5};
		struct om_err err = {0};
		uint8_t *data;
		size_t len;

		for (uint8_t i = 0; i < 5; i++)
			wide[i] = egress4(10, i, 16, 1, 65535);
		assert_true(om_emit_bundle(&ir, &data, &len, &err) < 0);
		assert_int_equal(err.id, OM_ERR_IR_LIMIT);
	}
}

static void nft_intervals_never_touch(void **state)
{
	struct om_grant all = {.kind = OM_GRANT_EGRESS, .egress = {{0}, 0, OM_PROTO_TCP, 443, 443}};
	struct om_grant g[] = {
		egress4(10, 0, 16, 443, 443), egress4(10, 1, 16, 443, 443), /* neighbours */
		egress4(10, 0, 8, 80, 80), egress4(10, 7, 16, 80, 80), /* one inside the other */
	};
	struct om_bundle b = bundle(g, OM_ARRAY_LEN(g), OM_LAYER_ALL);
	uint32_t n;
	const struct om_b_nft *t = om_bundle_section(&b, OM_SEC_NFT, &n);

	assert_int_equal(n, 2);
	assert_int_equal(t[0].port, 80);
	assert_int_equal(t[0].hi[13], 255);
	assert_int_equal(t[1].lo[13], 0);
	assert_int_equal(t[1].hi[13], 1);
	assert_int_equal(t[1].hi[15], 255);
	assert_int_equal(t[1].v6, 0);
	release(&b);

	/* ::/0 holds IPv4's range: it is cut out, because IPv4 packets meet another set. */
	b = bundle(&all, 1, OM_LAYER_ALL);
	t = om_bundle_section(&b, OM_SEC_NFT, &n);
	assert_int_equal(n, 3);
	assert_int_equal(t[0].v6 + t[1].v6 + t[2].v6, 2);
	assert_int_equal(t[0].v6, 0);
	release(&b);
}

static const char *cgroup_value(const struct om_bundle *b, const char *file, uint32_t *flags)
{
	uint32_t n;
	const struct om_b_cgroup *c = om_bundle_section(b, OM_SEC_CGROUP, &n);

	for (uint32_t i = 0; i < n; i++) {
		if (strcmp(om_bundle_str(b, c[i].file), file) != 0)
			continue;
		*flags = c[i].flags;
		return om_bundle_str(b, c[i].value);
	}
	return "absent";
}

static uint64_t rlimit_value(const struct om_bundle *b, uint32_t resource)
{
	uint32_t n;
	const struct om_b_rlimit *r = om_bundle_section(b, OM_SEC_RLIMIT, &n);

	for (uint32_t i = 0; i < n; i++)
		if (r[i].resource == resource)
			return r[i].value;
	return UINT64_MAX;
}

static void limits_have_safe_defaults(void **state)
{
	struct om_bundle b = bundle(NULL, 0, OM_LAYER_ALL);
	struct om_grant g[] = {LIMIT(OM_LIMIT_CPU, 500), LIMIT(OM_LIMIT_MEMORY, 134217728),
			       LIMIT(OM_LIMIT_PIDS, 64), LIMIT(OM_LIMIT_FILES, 256),
			       LIMIT(OM_LIMIT_CORE, 4096)};
	struct om_grant tiny = LIMIT(OM_LIMIT_CPU, 5);
	uint32_t flags = 9;

	assert_string_equal(cgroup_value(&b, "pids.max", &flags), "256");
	assert_int_equal(flags, OM_CGROUP_DEFAULT);
	assert_string_equal(cgroup_value(&b, "memory.max", &flags), "absent");
	assert_int_equal(rlimit_value(&b, RLIMIT_CORE), OM_CORE_NONE);
	assert_int_equal(rlimit_value(&b, RLIMIT_NOFILE), 1024);
	release(&b);

	b = bundle(g, OM_ARRAY_LEN(g), OM_LAYER_ALL);
	assert_string_equal(cgroup_value(&b, "pids.max", &flags), "64");
	assert_int_equal(flags, 0);
	assert_string_equal(cgroup_value(&b, "memory.max", &flags), "134217728");
	assert_string_equal(cgroup_value(&b, "memory.oom.group", &flags), "1");
	assert_string_equal(cgroup_value(&b, "memory.swap.max", &flags), "0");
	assert_string_equal(cgroup_value(&b, "cpu.max", &flags), "50000 100000");
	assert_int_equal(rlimit_value(&b, RLIMIT_NOFILE), 256);
	assert_int_equal(rlimit_value(&b, RLIMIT_CORE), 4096);
	release(&b);

	/* 1 ms is the least quota that the kernel takes: the period grows instead. */
	b = bundle(&tiny, 1, OM_LAYER_ALL);
	assert_string_equal(cgroup_value(&b, "cpu.max", &flags), "5000 1000000");
	release(&b);
	refused(LIMIT(OM_LIMIT_IO, 1), OM_LAYER_ALL, OM_ERR_CAP_NOT_ENFORCEABLE, "limits.io");
}

static void network_namespace_follows_the_grants(void **state)
{
	struct om_grant l = LISTEN(80);
	struct om_bundle b = bundle(NULL, 0, OM_LAYER_ALL);

	assert_int_equal(b.meta->netns, 1);
	release(&b);
	b = bundle(&l, 1, OM_LAYER_ALL);
	assert_int_equal(b.meta->netns, 0);
	release(&b);
	b = bundle(NULL, 0, OM_LAYER_KERNEL);
	assert_int_equal(b.meta->netns, 0);
	release(&b);
}

static void layers_that_are_off_leave_nothing(void **state)
{
	struct om_grant g[] = {FILE_("/etc", OM_MAY_READ, true), egress4(10, 0, 8, 80, 80)};
	struct om_bundle b = bundle(g, 2, OM_LAYER_KERNEL);
	uint32_t n;

	om_bundle_section(&b, OM_SEC_VIEW, &n);
	assert_int_equal(n, 0);
	om_bundle_section(&b, OM_SEC_SECCOMP, &n);
	assert_int_equal(n, 0);
	om_bundle_section(&b, OM_SEC_NFT, &n);
	assert_int_equal(n, 0);
	/* BPF-LSM's socket hooks ask the address set too. */
	om_bundle_section(&b, OM_SEC_EGRESS, &n);
	assert_int_equal(n, 1);
	assert_int_equal(b.meta->slot_flags, OM_SLOT_KERNEL);
	release(&b);
	b = bundle(g, 2, OM_LAYER_PROCESS | OM_LAYER_NETWORK);
	om_bundle_section(&b, OM_SEC_FILES, &n);
	assert_int_equal(n, 0);
	assert_int_equal(b.meta->slot_flags, OM_SLOT_NETWORK | OM_SLOT_VIEW);
	release(&b);
}

static void process_setup_and_grant_texts(void **state)
{
	static const char *argv[] = {"/bin/sh", "-c", "true", NULL};
	static const char *const want[] = {
		"filesystem.read \"/etc/\"",
		"filesystem.exec \"/bin/sh\"",
		"filesystem.write \"/v/\"",
		"filesystem.create \"/l/a*.log\"",
		"network.egress \"10.0.0.0/8:80-82/tcp\"",
		"network.listen \"80/tcp\"",
		"environment.set LANG",
		"stdio in err",
		"syscalls.allow \"mlock2\"",
		"filesystem.read \"/x?y\"",
	};
	struct om_grant g[] = {
		FILE_("/etc", OM_MAY_READ, true),
		FILE_("/bin/sh", MAY_RX, false),
		FILE_("/v", MAY_RW, true),
		PATTERN("/l", "a", ".log"),
		egress4(10, 0, 8, 80, 82),
		LISTEN(80),
		{.kind = OM_GRANT_ENV, .env = {"LANG", "C=C"}},
		{.kind = OM_GRANT_STDIO, .stdio = {OM_STDIO_IN | OM_STDIO_ERR}},
		{.kind = OM_GRANT_SYSCALL, .pos = {.line = 12}, .syscall = {"mlock2", 325}},
		FILE_("/x\ny", OM_MAY_READ, false),
	};
	struct om_ir ir = {.name = "api",
			   .layers = OM_LAYER_ALL,
			   .grants = g,
			   .argv = argv,
			   .argc = 3,
			   .user = 1000,
			   .mode = OM_MODE_AUDIT,
			   .write_exec = true,
			   .workdir = "/v",
			   .image = OM_IMAGE_DIR,
			   .image_dir = "/srv/img",
			   .count = OM_ARRAY_LEN(g),
			   .policy_id = {7}};
	const struct om_b_grant *t;
	const uint32_t *w;
	struct om_bundle b;
	uint8_t *data;
	uint32_t n;
	size_t len;

	assert_int_equal(om_emit_bundle(&ir, &data, &len, NULL), 0);
	assert_int_equal(om_bundle_open(data, len, &b, NULL), 0);
	t = om_bundle_section(&b, OM_SEC_GRANTS, &n);
	assert_int_equal(n, OM_ARRAY_LEN(want));
	for (uint32_t i = 0; i < n; i++)
		assert_string_equal(om_bundle_str(&b, t[i].text), want[i]);
	assert_int_equal(t[8].line, 12);
	w = om_bundle_section(&b, OM_SEC_ARGV, &n);
	assert_int_equal(n, 3);
	assert_string_equal(om_bundle_str(&b, w[2]), "true");
	w = om_bundle_section(&b, OM_SEC_ENV, &n);
	assert_string_equal(om_bundle_str(&b, w[0]), "LANG=C=C");
	assert_int_equal(b.meta->stdio, OM_STDIO_IN | OM_STDIO_ERR);
	assert_string_equal(om_bundle_str(&b, b.meta->image_dir), "/srv/img");
	assert_string_equal(om_bundle_str(&b, b.meta->workdir), "/v");
	assert_int_equal(b.meta->slot_flags, OM_SLOT_AUDIT | OM_SLOT_WRITE_EXEC | OM_SLOT_KERNEL |
						     OM_SLOT_NETWORK | OM_SLOT_VIEW);
	assert_int_equal(b.head->policy_id[0], 7);
	free(data);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(mounts_only_where_rights_differ),
		cmocka_unit_test(writing_below_a_readable_tree_keeps_execution),
		cmocka_unit_test(mounts_move_and_patterns_open_directories),
		cmocka_unit_test(what_no_view_can_hold_is_refused),
		cmocka_unit_test(files_are_one_row_a_path),
		cmocka_unit_test(a_bind_mount_below_a_tree_gets_a_row),
		cmocka_unit_test(patterns_are_bounded),
		cmocka_unit_test(port_ranges_are_expanded_and_bounded),
		cmocka_unit_test(nft_intervals_never_touch),
		cmocka_unit_test(limits_have_safe_defaults),
		cmocka_unit_test(network_namespace_follows_the_grants),
		cmocka_unit_test(layers_that_are_off_leave_nothing),
		cmocka_unit_test(process_setup_and_grant_texts),
	};

	return cmocka_run_group_tests_name("emit", tests, NULL, NULL);
}
