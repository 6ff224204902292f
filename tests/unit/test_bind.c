/*
 * The way from a manifest to findings: ids, positions, texts, remedies, and that none is skipped.
 */
#include <dirent.h>
#include <errno.h>
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
#include <policies/unit.h>

#define HEAD "[brane.api]\nimage = \"host:\"\n"

static struct om_policy *compile(const char *text, size_t len, struct om_diags *d)
{
	struct om_policy *p = NULL;
	struct om_err err = {0};
	int ret;

	om_diags_init(d);
	ret = om_policy_compile(text, len, &p, d, &err);
	/* A policy and an error exclude each other, and an error always says its id. */
	assert_true((ret == 0) == (p != NULL));
	assert_true((d->errors == 0) == (p != NULL));
	if (ret < 0) {
		assert_int_equal(err.id, d->items[0].id);
		assert_int_equal(err.ret, ret);
		assert_int_equal(om_err_exit(err.id), 3);
	}
	return p;
}

/* The one finding that TEXT must have. */
static void expect_one(const char *text, size_t len, enum om_err_id id, uint32_t line, uint32_t col,
		       const char *message, const char *hint)
{
	struct om_diags d;
	struct om_policy *p = compile(text, len, &d);

	if (d.count != 1 || d.items[0].id != id || d.items[0].pos.line != line ||
	    d.items[0].pos.col != col) {
		for (uint32_t i = 0; i < d.count; i++)
			print_error("%u:%u %d %s (%s)\n", d.items[i].pos.line, d.items[i].pos.col,
				    d.items[i].id, d.items[i].message, d.items[i].hint);
		fail_msg("expected OM%d at %u:%u only, for:\n%s", (int)id, line, col, text);
	}
	assert_true(d.items[0].pos.len > 0);
	if (message)
		assert_string_equal(d.items[0].message, message);
	if (hint)
		assert_string_equal(d.items[0].hint, hint);
	om_policy_free(p);
	om_diags_done(&d);
}

#define ONE(text, id, line, col, message, hint) \
	expect_one(text, sizeof(text) - 1, OM_ERR_##id, line, col, message, hint)

static void test_least_manifest(void **state)
{
	struct om_diags d;
	struct om_policy *p = compile(HEAD, sizeof(HEAD) - 1, &d);
	const struct om_ir *ir;

	assert_non_null(p);
	assert_int_equal(d.count, 0);
	assert_int_equal(om_policy_count(p), 1);
	ir = om_policy_find(p, "api");
	assert_ptr_equal(ir, om_policy_ir(p, 0));
	assert_null(om_policy_ir(p, 1));
	assert_null(om_policy_find(p, "other"));
	assert_int_equal(ir->layers, OM_LAYER_ALL);
	assert_int_equal(ir->user, 65534);
	assert_string_equal(ir->workdir, "/");
	assert_int_equal(ir->argc, 0);
	/* The two that stand without being named: collected output, no core files. */
	assert_int_equal(ir->count, 2);
	om_policy_free(p);
	om_diags_done(&d);
}

static void test_unknown_keys(void **state)
{
	ONE(HEAD "[brane.api.network]\negres = [\"10.0.0.1:443\"]\n", BIND_UNKNOWN_KEY, 4, 1,
	    "unknown key 'egres' in [brane.api.network]", "did you mean 'egress'?");
	ONE(HEAD "netwrk = 1\n", BIND_UNKNOWN_KEY, 3, 1, "unknown key 'netwrk' in [brane.api]",
	    "did you mean 'network'?");
	ONE(HEAD "[brane.api.stdio]\nzzzzzz = true\n", BIND_UNKNOWN_KEY, 4, 1,
	    "unknown key 'zzzzzz' in [brane.api.stdio]", "known here: in, out, err");
	ONE("barne.api.image = 1\n" HEAD, BIND_UNKNOWN_KEY, 1, 1,
	    "unknown key 'barne' in [the manifest]", "did you mean 'brane'?");
	ONE(HEAD "[brane.api.filesystem]\nmounts = [{ tmpfs = \"/tmp\", size = \"1MiB\", moode = "
		 "\"rw\" }]\n",
	    BIND_UNKNOWN_KEY, 4, 44, "unknown key 'moode' in [brane.api.filesystem.mounts]",
	    "did you mean 'mode'?");
}

static void test_types(void **state)
{
	ONE("[brane.api]\nimage = 1\n", BIND_TYPE, 2, 9,
	    "'image' in [brane.api] must be a string, found an integer", "write image = \"host:\"");
	ONE(HEAD "[brane.api.filesystem]\nread = \"/etc\"\n", BIND_TYPE, 4, 8,
	    "'read' in [brane.api.filesystem] must be an array of strings, found a string",
	    "write read = [\"/etc/api/\"]");
	ONE(HEAD "[brane.api.filesystem]\nread = [\"/etc\", 7]\n", BIND_TYPE, 4, 17, NULL, NULL);
	ONE(HEAD "[brane.api.stdio]\nin = \"yes\"\n", BIND_TYPE, 4, 6, NULL, "write in = true");
	ONE(HEAD "filesystem = 3\n", BIND_TYPE, 3, 14, NULL, NULL);
	ONE("brane = 3\n", BIND_TYPE, 1, 9, NULL, NULL);
	ONE("brane.api = 3\n", BIND_TYPE, 1, 13, NULL, NULL);
	ONE(HEAD "[brane.api.environment]\nset = { A = 1 }\n", BIND_TYPE, 4, 13, NULL, NULL);
	ONE(HEAD "[brane.api.limits]\npids = \"64\"\n", BIND_TYPE, 4, 8, NULL, "write pids = 64");
}

static void test_units(void **state)
{
	ONE(HEAD "[brane.api.limits]\nmemory = 128\n", BIND_UNIT, 4, 10,
	    "'memory' in [brane.api.limits] has no unit", "write memory = \"128MiB\"");
	ONE(HEAD "[brane.api.limits]\nmemory = \"128\"\n", BIND_UNIT, 4, 10,
	    "'memory' in [brane.api.limits] has no unit", NULL);
	ONE(HEAD "[brane.api.limits]\nmemory = \"128M\"\n", BIND_UNIT, 4, 10, NULL, NULL);
	ONE(HEAD "[brane.api.limits]\nmemory = \"128mib\"\n", BIND_UNIT, 4, 10, NULL, NULL);
	ONE(HEAD "[brane.api.limits]\nmemory = \"x\"\n", BIND_UNIT, 4, 10, NULL, NULL);
	ONE(HEAD "[brane.api.limits]\nmemory = \"1KiB\"\n", BIND_RANGE, 4, 10, NULL, NULL);
	ONE(HEAD "[brane.api.limits]\nmemory = \"99999999999GiB\"\n", BIND_RANGE, 4, 10, NULL,
	    NULL);
	ONE(HEAD "[brane.api.limits]\ncpu = \"2x\"\n", BIND_UNIT, 4, 7, NULL, NULL);
	ONE(HEAD "[brane.api.limits]\ncpu = 0.5\n", BIND_UNIT, 4, 7, NULL, NULL);
	ONE(HEAD "[brane.api.limits]\ncpu = 0\n", BIND_RANGE, 4, 7, NULL, NULL);
	ONE(HEAD "[brane.api.limits]\npids = 0\n", BIND_RANGE, 4, 8, NULL, NULL);
	ONE(HEAD "[brane.api.limits]\npids = -1\n", BIND_RANGE, 4, 8, NULL, NULL);
	ONE(HEAD "user = 4294967295\n", BIND_RANGE, 3, 8, NULL, NULL);
}

static void test_unit_values(void **state)
{
	uint64_t n;

	assert_int_equal(om_unit_size("64MiB", &n), OM_UNIT_OK);
	assert_int_equal(n, 64ull << 20);
	assert_int_equal(om_unit_size("1 kB", &n), OM_UNIT_OK);
	assert_int_equal(n, 1000);
	assert_int_equal(om_unit_size("0B", &n), OM_UNIT_OK);
	assert_int_equal(n, 0);
	assert_int_equal(om_unit_size("16777216TiB", &n), OM_UNIT_RANGE);
	assert_int_equal(om_unit_size("007MiB", &n), OM_UNIT_RANGE);
	assert_int_equal(om_unit_rate("10Mbit/s", &n), OM_UNIT_OK);
	assert_int_equal(n, 1250000);
	assert_int_equal(om_unit_rate("20MiB/s", &n), OM_UNIT_OK);
	assert_int_equal(n, 20u << 20);
	assert_int_equal(om_unit_rate("7bit/s", &n), OM_UNIT_RANGE);
	assert_int_equal(om_unit_cpu("500m", &n), OM_UNIT_OK);
	assert_int_equal(n, 500);
	assert_int_equal(om_unit_cpu("1.25", &n), OM_UNIT_OK);
	assert_int_equal(n, 1250);
	assert_int_equal(om_unit_cpu("2", &n), OM_UNIT_OK);
	assert_int_equal(n, 2000);
	assert_int_equal(om_unit_cpu("1.2345", &n), OM_UNIT_UNKNOWN);
	assert_int_equal(om_unit_cpu("1.", &n), OM_UNIT_UNKNOWN);
}

static void test_words_and_names(void **state)
{
	ONE(HEAD "restart = \"allways\"\n", BIND_VALUE, 3, 11,
	    "'restart' in [brane.api] must be one of never, on-failure, always; found 'allways'",
	    "did you mean 'always'?");
	ONE(HEAD "layers = [\"process\", \"kernal\"]\n", BIND_VALUE, 3, 22, NULL,
	    "did you mean 'kernel'?");
	ONE(HEAD "workdir = \"/a\\u0000b\"\n", BIND_VALUE, 3, 11,
	    "'workdir' in [brane.api] has a NUL byte", NULL);
	ONE("[brane.Api_1]\nimage = \"host:\"\n", BIND_NAME, 1, 8, NULL,
	    "lower-case letters, digits and inner '-', at most 63: 'api-1'");
	ONE("[brane.a-]\nimage = \"host:\"\n", BIND_NAME, 1, 8, NULL, NULL);
	ONE("[brane.\"\"]\nimage = \"host:\"\n", BIND_NAME, 1, 8, NULL, NULL);
	ONE("[brane.aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa]\n", BIND_NAME,
	    1, 8, NULL, NULL);
	ONE("[brane.api]\n", BIND_MISSING, 1, 1, NULL, NULL);
	ONE("# nothing\n", BIND_NO_BRANE, 1, 1, NULL, NULL);
	ONE("[brane]\n", BIND_NO_BRANE, 1, 1, NULL, NULL);
	ONE("", BIND_NO_BRANE, 1, 1, NULL, NULL);
}

/* The rows of the issue that TOML itself refuses: they must arrive here with position and id. */
static void test_what_toml_refuses(void **state)
{
	static char big[257 * 1024];
	char deep[200] = "";
	struct om_diags d;

	ONE(HEAD "image = \"host:\"\n", TOML_DUPLICATE, 3, 1, NULL, NULL);
	memset(big, '#', sizeof(big));
	assert_null(compile(big, sizeof(big), &d));
	assert_int_equal(d.items[0].id, OM_ERR_TOML_SIZE);
	om_diags_done(&d);
	strcat(deep, HEAD "x = ");
	for (int i = 0; i < 20; i++)
		strcat(deep, "[");
	for (int i = 0; i < 20; i++)
		strcat(deep, "]");
	assert_null(compile(deep, strlen(deep), &d));
	assert_int_equal(d.items[0].id, OM_ERR_TOML_DEPTH);
	assert_int_equal(d.items[0].pos.line, 3);
	om_diags_done(&d);
	assert_null(compile(HEAD "x = \"\xff\"\n", sizeof(HEAD "x = \"\xff\"\n") - 1, &d));
	assert_int_equal(d.items[0].id, OM_ERR_TOML_UTF8);
	assert_int_equal(d.items[0].pos.line, 3);
	om_diags_done(&d);
	assert_null(compile(HEAD "x\0 = 1\n", sizeof(HEAD "x\0 = 1\n") - 1, &d));
	assert_int_equal(d.items[0].pos.line, 3);
	om_diags_done(&d);
	assert_null(compile(HEAD "[brane.api]\nimage = \"host:\"\n",
			    sizeof(HEAD "[brane.api]\nimage = \"host:\"\n") - 1, &d));
	assert_true(d.items[0].id == OM_ERR_TOML_REDEFINE ||
		    d.items[0].id == OM_ERR_TOML_DUPLICATE);
	assert_int_equal(d.items[0].pos.line, 3);
	om_diags_done(&d);
}

static void test_all_findings_in_one_run(void **state)
{
	static const char text[] =
		"[brane.a]\n"
		"imag = \"host:\"\n"
		"restart = 3\n"
		"[brane.a.filesystem]\n"
		"read = [\"etc\", \"/a/../b\"]\n"
		"[brane.a.network]\n"
		"egress = [\"10.0.0.1:0\", \"10.1.2.3/16:80\", \"a.example.org:443\"]\n"
		"[brane.B]\n"
		"[brane.c]\n"
		"image = \"host:\"\n"
		"[brane.c.limits]\n"
		"memory = \"12\"\n";
	static const struct {
		enum om_err_id id;
		uint32_t line, col;
	} want[] = {
		{OM_ERR_BIND_MISSING, 1, 1},   {OM_ERR_BIND_UNKNOWN_KEY, 2, 1},
		{OM_ERR_BIND_TYPE, 3, 11},     {OM_ERR_CAP_PATH, 5, 9},
		{OM_ERR_CAP_PATH, 5, 16},      {OM_ERR_CAP_PORT, 7, 11},
		{OM_ERR_CAP_HOST_BITS, 7, 25}, {OM_ERR_CAP_NOT_ENFORCEABLE, 7, 43},
		{OM_ERR_BIND_NAME, 8, 8},      {OM_ERR_BIND_UNIT, 12, 10},
	};
	struct om_diags d;

	assert_null(compile(text, sizeof(text) - 1, &d));
	for (uint32_t i = 0; i < d.count && i < OM_ARRAY_LEN(want); i++) {
		assert_int_equal(d.items[i].id, want[i].id);
		assert_int_equal(d.items[i].pos.line, want[i].line);
		assert_int_equal(d.items[i].pos.col, want[i].col);
	}
	assert_int_equal(d.count, OM_ARRAY_LEN(want));
	om_diags_done(&d);
}

/* Every length of a manifest that has everything: no read past the end, no crash, one outcome. */
static void test_every_prefix(void **state)
{
	static const char text[] = HEAD
		"command = [\"/bin/x\", \"-c\"]\nlayers=[\"process\",\"kernel\",\"network\"]\n"
		"[brane.api.filesystem]\nread=[\"/etc/\"]\nexec=[\"/bin/x\",{path=\"/lib/"
		"\",sha256=[]}]\n"
		"create=[\"/v/*.log\"]\nmounts=[{tmpfs=\"/tmp\",size=\"1MiB\"}]\n"
		"[brane.api.network]\negress=[\"[2001:db8::/32]:1-9/udp\"]\nlisten=[\"80/tcp\"]\n"
		"[brane.api.environment]\nset={A=\"b\"}\n[brane.api.syscalls]\nallow=[\"mlock2\"]"
		"\n";
	struct om_diags d;

	for (size_t len = 0; len <= sizeof(text) - 1; len++) {
		char *copy = malloc(len ? len : 1);

		assert_non_null(copy);
		memcpy(copy, text, len);
		om_policy_free(compile(copy, len, &d));
		om_diags_done(&d);
		free(copy);
	}
	om_policy_free(compile(text, sizeof(text) - 1, &d));
	assert_int_equal(d.errors, 0);
	om_diags_done(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_least_manifest),
		cmocka_unit_test(test_unknown_keys),
		cmocka_unit_test(test_types),
		cmocka_unit_test(test_units),
		cmocka_unit_test(test_unit_values),
		cmocka_unit_test(test_words_and_names),
		cmocka_unit_test(test_what_toml_refuses),
		cmocka_unit_test(test_all_findings_in_one_run),
		cmocka_unit_test(test_every_prefix),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
