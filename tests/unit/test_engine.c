/*
 * The reference interpreter, and the simulated artifacts made from the same manifest, against
 * tests/vectors/manifests/CAPABILITY/CASE/{brane.toml,requests}, and what it suggests: each
 * suggested line, added to the manifest, must grant the request.
 *
 * A line of requests: `file.read /etc/x -> allow`, or `-> deny`; `#` begins a comment line.
 */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include <omega/cap.h>
#include <omega/limits.h>
#include <policies/policy.h>

#define FOLDER "tests/vectors/manifests"

static int cases, requests;

static struct om_policy *compile_file(const char *path)
{
	OM_CLEANUP(om_free_ptr) char *text = calloc(1, OM_MANIFEST_BYTES_MAX);
	FILE *f = fopen(path, "re");
	struct om_policy *p = NULL;
	struct om_diags d;
	struct om_err err = {0};
	size_t len;

	if (!f || !text)
		fail_msg("cannot read %s", path);
	len = fread(text, 1, OM_MANIFEST_BYTES_MAX, f);
	fclose(f);
	om_diags_init(&d);
	if (om_policy_compile(text, len, &p, &d, &err) < 0)
		fail_msg("%s: %s", path, err.text);
	om_diags_done(&d);
	return p;
}

/* The suggestion alone makes a manifest that grants the request (and is wide enough to compile). */
static void check_suggestion(const char *where, const struct om_request *req,
			     const struct om_verdict *v)
{
	struct om_policy *p = NULL;
	struct om_verdict again;
	struct om_diags d;
	struct om_err err = {0};
	char text[1024], *end;

	assert_true(v->rule[0]);
	if (!v->suggestion[0])
		return;
	snprintf(text, sizeof(text), "[brane.v]\nimage = \"host:\"\n%s\n", v->suggestion);
	end = strstr(text, "] ");
	assert_non_null(end);
	end[1] = '\n';
	om_diags_init(&d);
	if (om_policy_compile(text, strlen(text), &p, &d, &err) < 0)
		fail_msg("%s: the suggestion does not compile: %s\n%s", where, text, err.text);
	om_engine_decide(om_policy_ir(p, 0), req, &again);
	if (!again.allow)
		fail_msg("%s: the suggestion does not grant it: %s", where, text);
	om_policy_free(p);
	om_diags_done(&d);
}

static void check_line(const char *where, const struct om_ir *ir, const struct om_bundle *bundle,
		       char *line)
{
	char *arrow = strstr(line, " -> "), back[OM_PATH_MAX + 64];
	struct om_request req, again;
	struct om_sim_result sim;
	struct om_verdict v;
	struct om_err err = {0};
	bool want;

	if (!arrow)
		fail_msg("%s: no verdict in: %s", where, line);
	want = strcmp(arrow + 4, "allow") == 0;
	if (!want && strcmp(arrow + 4, "deny") != 0)
		fail_msg("%s: strange verdict in: %s", where, line);
	*arrow = 0;
	if (om_request_parse(line, strlen(line), &req, &err) < 0)
		fail_msg("%s: %s: %s", where, line, err.text);
	om_engine_decide(ir, &req, &v);
	if (v.allow != want)
		fail_msg("%s: %s: expected %s", where, line, want ? "allow" : "deny");
	om_sim_decide(bundle, &req, &sim);
	if (sim.allow != want)
		fail_msg("%s: %s: the artifacts say %s (layer %d)", where, line,
			 sim.allow ? "allow" : "deny", (int)sim.where);
	/* Allowed: by a grant, or by what no grant stands for. */
	if (v.allow && v.grant < 0)
		assert_true(req.op == OM_OP_SYSCALL || req.op == OM_OP_MEM_EXEC);
	if (!v.allow) {
		assert_int_equal(v.grant, -1);
		check_suggestion(where, &req, &v);
	}
	om_request_format(&req, back, sizeof(back));
	assert_int_equal(om_request_parse(back, strlen(back), &again, &err), 0);
	assert_memory_equal(&req, &again, sizeof(req));
	requests++;
}

static void check_case(const char *folder)
{
	char path[1400], line[OM_PATH_MAX + 64];
	OM_CLEANUP(om_free_ptr) uint8_t *data = NULL;
	struct om_bundle bundle;
	struct om_policy *p;
	struct om_err err = {0};
	size_t len;
	FILE *f;

	snprintf(path, sizeof(path), "%s/brane.toml", folder);
	p = compile_file(path);
	assert_int_equal(om_policy_count(p), 1);
	if (om_emit_bundle(om_policy_ir(p, 0), &data, &len, &err) < 0 ||
	    om_bundle_open(data, len, &bundle, &err) < 0)
		fail_msg("%s: %s", folder, err.text);
	snprintf(path, sizeof(path), "%s/requests", folder);
	f = fopen(path, "re");
	if (!f)
		fail_msg("cannot read %s", path);
	while (fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\n")] = 0;
		if (line[0] && line[0] != '#')
			check_line(folder, om_policy_ir(p, 0), &bundle, line);
	}
	fclose(f);
	om_policy_free(p);
	cases++;
}

static void each_folder(const char *folder, void (*fn)(const char *))
{
	DIR *dir = opendir(folder);
	struct dirent *e;
	char path[1000];

	assert_non_null(dir);
	while ((e = readdir(dir))) {
		if (e->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%.600s/%s", folder, e->d_name);
		fn(path);
	}
	closedir(dir);
}

static void check_capability(const char *folder)
{
	each_folder(folder, check_case);
}

static void test_vectors(void **state)
{
	const struct om_cap *cap;

	each_folder(FOLDER, check_capability);
	print_message("# %d cases, %d requests\n", cases, requests);
	assert_true(cases >= 14 && requests >= 150);
	/* A capability that is enforced without vectors is not proved. */
	for (uint32_t i = 0; (cap = om_registry_at(i)); i++) {
		char path[128];
		DIR *dir;

		if (cap->missing)
			continue;
		snprintf(path, sizeof(path), FOLDER "/%s", cap->name);
		dir = opendir(path);
		if (!dir)
			fail_msg("no vectors for %s", cap->name);
		closedir(dir);
	}
}

static void suggest(const char *text, const char *rule, const char *line)
{
	struct om_request req;
	struct om_verdict v = {0};
	struct om_err err;

	assert_int_equal(om_request_parse(text, strlen(text), &req, &err), 0);
	om_suggest("api", &req, &v);
	assert_string_equal(v.rule, rule);
	assert_string_equal(v.suggestion, line);
}

static void test_suggestions(void **state)
{
	static char longest[OM_PATH_MAX + 16] = "file.read /";

	suggest("file.read /etc/shadow", "filesystem.read",
		"[brane.api.filesystem] read = [\"/etc/shadow\"]");
	suggest("file.absent /etc/x", "filesystem.read",
		"[brane.api.filesystem] read = [\"/etc/x\"]");
	suggest("file.remove /a/b", "filesystem.write", "[brane.api.filesystem] write = [\"/a/\"]");
	/* "/" in a manifest is the whole tree: never an answer to a question about one object. */
	suggest("file.read /", "filesystem.read", "");
	suggest("file.remove /a", "filesystem.write", "");
	suggest("file.read /proc/1/status", "filesystem.read", "");
	suggest("file.read /dev/sda", "filesystem.read", "");
	suggest("file.read /dev/null", "filesystem.read",
		"[brane.api.filesystem] read = [\"/dev/null\"]");
	suggest("file.read /a*b", "filesystem.read", "");
	suggest("file.exec /bin/\"q\\", "filesystem.exec",
		"[brane.api.filesystem] exec = [\"/bin/\\\"q\\\\\"]");
	suggest("net.connect [::ffff:10.0.0.1]:80", "network.egress",
		"[brane.api.network] egress = [\"10.0.0.1:80/tcp\"]");
	suggest("net.connect [2001:db8::1]:53/udp", "network.egress",
		"[brane.api.network] egress = [\"[2001:db8::1]:53/udp\"]");
	suggest("net.listen 80", "network.listen", "[brane.api.network] listen = [\"80/tcp\"]");
	suggest("env A", "environment.set", "[brane.api.environment] set = { A = \"\" }");
	suggest("env A-B", "environment.set", "");
	suggest("stdio in", "stdio.in", "[brane.api.stdio] in = true");
	suggest("syscall mlock2", "syscalls.allow", "[brane.api.syscalls] allow = [\"mlock2\"]");
	suggest("syscall bpf", "syscalls.allow", "");
	suggest("syscall nosuch", "syscalls.allow", "");
	suggest("mem.exec", "filesystem.allow-write-exec",
		"[brane.api.filesystem] allow-write-exec = true");
	/* A line that would be cut is not given at all. */
	memset(longest + 11, 'a', 600);
	suggest(longest, "filesystem.read", "");
}

/* What the interpreter does not know is denied, whatever the numbers are. */
static void test_unknown_is_denied(void **state)
{
	static const char text[] =
		"[brane.v]\nimage = \"dir:/srv\"\n[brane.v.filesystem]\nread = [\"/\"]\n";
	struct om_policy *p = NULL;
	struct om_request req;
	struct om_verdict v;
	struct om_diags d;
	struct om_err err;

	om_diags_init(&d);
	assert_int_equal(om_policy_compile(text, sizeof(text) - 1, &p, &d, &err), 0);
	for (int op = 0; op < OM_OP_COUNT + 40; op++) {
		memset(&req, 0, sizeof(req));
		req.op = (enum om_op)op;
		req.nr = -1;
		strcpy(req.text, "/x");
		om_engine_decide(om_policy_ir(p, 0), &req, &v);
		assert_int_equal(v.allow, op == OM_OP_FILE_READ);
	}
	/* A number of a call that no table has, and one that only x32 has. */
	memset(&req, 0, sizeof(req));
	req.op = OM_OP_SYSCALL;
	req.nr = 100000;
	om_engine_decide(om_policy_ir(p, 0), &req, &v);
	assert_false(v.allow);
	req.nr = 0x40000000;
	om_engine_decide(om_policy_ir(p, 0), &req, &v);
	assert_false(v.allow);
	om_policy_free(p);
	om_diags_done(&d);
}

/*
 * Entries are a tree's to give: the right on one object, even a directory, speaks of no name in it.
 */
static void test_object_gives_no_entries(void **state)
{
	struct om_grant g = {.kind = OM_GRANT_FILE,
			     .file = {.path = "/d", .may = OM_MAY_CREATE | OM_MAY_REMOVE}};
	struct om_ir ir = {.name = "v", .grants = &g, .count = 1};
	struct om_request req = {.op = OM_OP_FILE_CREATE, .nr = -1, .text = "/d/x"};
	struct om_verdict v;

	om_engine_decide(&ir, &req, &v);
	assert_false(v.allow);
	req.op = OM_OP_FILE_REMOVE;
	om_engine_decide(&ir, &req, &v);
	assert_false(v.allow);
	g.file.tree = true;
	om_engine_decide(&ir, &req, &v);
	assert_true(v.allow);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_vectors),
		cmocka_unit_test(test_suggestions),
		cmocka_unit_test(test_unknown_is_denied),
		cmocka_unit_test(test_object_gives_no_entries),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
