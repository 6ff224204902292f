/*
 * events, explain --event, security audit and verify-chain through the real omegactl, on a log that the
 * real writer made: the grant that is named, the exit codes, the byte that was changed, hostile names.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>
#include <jansson.h>

#include "tests/util/chain_fixture.h"

static struct fix fix;
static char output[65536];

/* Runs omegactl with ARGS (shell words) over the fixture's log; stdout and stderr into output. */
static int ctl(const char *args)
{
	const char *build = getenv("OMEGA_BUILD");
	char cmd[1024];
	size_t n = 0, got;
	FILE *p;

	snprintf(cmd, sizeof(cmd), "%s/omegactl --run-dir %s/none --state-dir %s %s 2>&1",
		 build ? build : "build", fix.dir, fix.dir, args);
	p = popen(cmd, "r");
	assert_non_null(p);
	while ((got = fread(output + n, 1, sizeof(output) - 1 - n, p)) > 0)
		n += got;
	output[n] = 0;
	return WEXITSTATUS(pclose(p));
}

static void denial(uint32_t brane, const char *kind, const char *op, const void *obj, size_t len,
		   const char *layer)
{
	struct om_data d;

	om_data_init(&d);
	om_data_word(&d, "act", "deny");
	om_data_word(&d, "op", op);
	om_data_word(&d, "layer", layer);
	om_data_bytes(&d, "obj", obj, len);
	om_data_int(&d, "pid", 29697);
	om_data_word(&d, "proc", "curl");
	assert_int_equal(om_log_append(fix.log, brane, kind, &d, 0, NULL), 0);
}
#define DENIAL(b, kind, op, obj, layer) denial(b, kind, op, obj, strlen(obj), layer)

static int setup(void **state)
{
	uint32_t api, web;

	fix_make(&fix);
	fix_open(&fix);
	api = fix_brane(&fix, "api", "k3v9qz");
	web = fix_brane(&fix, "web", "aaaaaa");
	DENIAL(api, "file.read", "file.read", "/etc/shadow", "lsm");
	DENIAL(api, "file.read", "file.read", "/etc/shadow", "lsm");
	DENIAL(api, "net.connect", "net.connect", "203.0.113.7:443", "cgroup-bpf");
	DENIAL(api, "seccomp", "syscall", "mlock2", "seccomp");
	DENIAL(api, "ptrace", "ptrace", "pid 1 arg 2 init", "lsm");
	DENIAL(api, "file.read", "file.read", "/tmp/\x1b]0;owned\x07\xe2\x80\xae", "lsm");
	DENIAL(api, "file.read", "file.read", "/tmp/\xff\xfe", "lsm");
	DENIAL(web, "exec", "file.exec", "/usr/bin/id", "lsm");
	fix_commit(&fix);
	fix_close(&fix);
	return 0;
}

static int teardown(void **state)
{
	fix_free(&fix);
	return 0;
}

static void has(const char *text)
{
	if (!strstr(output, text))
		print_message("missing '%s' in:\n%s", text, output);
	assert_non_null(strstr(output, text));
}

static void hasnt(const char *text)
{
	if (strstr(output, text))
		print_message("'%s' in:\n%s", text, output);
	assert_null(strstr(output, text));
}

static void events_name_the_grant(void **state)
{
	assert_int_equal(ctl("events --brane api --denials"), 0);
	has("[brane.api.filesystem] read = [\"/etc/shadow\"]");
	has("[brane.api.network] egress = [\"203.0.113.7:443/tcp\"]");
	has("[brane.api.syscalls] allow = [\"mlock2\"]");
	has("no manifest line");
	has("29697");
	has("curl");
	has("cgroup-bpf");
	hasnt("/usr/bin/id");
	hasnt("log.open");
	assert_int_equal(ctl("events --denials"), 0);
	has("[brane.web.filesystem] exec = [\"/usr/bin/id\"]");
	assert_int_equal(ctl("events"), 0);
	has("log.open");
}

static void events_are_made_safe(void **state)
{
	assert_int_equal(ctl("events --denials"), 0);
	assert_null(strchr(output, 0x1b));
	hasnt("\xe2\x80\xae");
	has("/tmp/\\x1b]0;owned\\x07\\u202e");
	has("/tmp/\\xff\\xfe");
}

static void events_since(void **state)
{
	assert_int_equal(ctl("events --denials --since 1h"), 0);
	has("/etc/shadow");
	assert_int_equal(ctl("events --denials --since 2999-01-01T00:00:00Z"), 0);
	hasnt("/etc/shadow");
	assert_int_equal(ctl("events --since tomorrow"), 2);
}

static void events_as_json(void **state)
{
	json_t *root, *list, *one;
	char id[32], args[64];
	size_t i, grants = 0;

	assert_int_equal(ctl("events --brane api --denials -o json"), 0);
	root = json_loads(output, JSON_REJECT_DUPLICATES, NULL);
	assert_non_null(root);
	assert_int_equal(json_integer_value(json_object_get(root, "v")), 1);
	list = json_object_get(root, "events");
	assert_int_equal(json_array_size(list), 7);
	json_array_foreach (list, i, one) {
		assert_true(json_is_string(json_object_get(one, "id")));
		assert_true(json_is_string(json_object_get(one, "time")));
		grants += json_is_string(json_object_get(one, "grant"));
	}
	/* Neither ptrace nor a path that is no UTF-8 can be granted by a line. */
	assert_true(grants >= 4 && grants < 7);
	snprintf(id, sizeof(id), "%s",
		 json_string_value(json_object_get(json_array_get(list, 0), "id")));
	json_decref(root);
	snprintf(args, sizeof(args), "explain --event %s", id);
	assert_int_equal(ctl(args), 0);
	has("/etc/shadow");
	has("risk       the workload can copy");
}

static void explain_ids(void **state)
{
	assert_int_equal(ctl("explain --event 99999"), 4);
	assert_int_equal(ctl("explain --event x"), 2);
	assert_int_equal(ctl("explain --event -1"), 2);
}

static void audit_counts(void **state)
{
	assert_int_equal(ctl("security audit --brane api --since 1h"), 0);
	has("denied file.read");
	has("/etc/shadow (2)");
	has("denied net.connect");
	hasnt("file.exec");
	assert_null(strchr(output, 0x1b));
}

static void verify_exits(void **state)
{
	char args[256];

	snprintf(args, sizeof(args),
		 "security verify-chain --brane api --keys %s/state/substrate.vkey", fix.dir);
	assert_int_equal(ctl(args), 0);
	has("of brane api");
	has("not anchored");
	/* The key that would lie beside a copy is not believed. */
	snprintf(args, sizeof(args), "security verify-chain --offline %s", fix.dir);
	assert_int_equal(ctl(args), 12);
	snprintf(args, sizeof(args),
		 "security verify-chain --brane nobody --keys %s/state/substrate.vkey", fix.dir);
	assert_int_equal(ctl(args), 4);
	assert_int_equal(ctl("security verify-chain --offline /nonexistent"), 1);
	assert_int_equal(ctl("security verify-chain --head 5:zz"), 2);
}

static void verify_names_the_byte(void **state)
{
	struct fix_text t;
	char args[256], where[64];
	struct fix_line *l;
	size_t i;
	json_t *root, *one;

	fix_load(&fix, &t);
	i = fix_find(&t, FIX_RECORD, "203.0.113.7", 0);
	l = &t.line[i];
	*strstr(t.seg[l->seg].p + l->off, "203") = '3';
	fix_store(&fix, &t);
	snprintf(args, sizeof(args), "security verify-chain --keys %s/state/substrate.vkey",
		 fix.dir);
	assert_int_equal(ctl(args), 1);
	snprintf(where, sizeof(where), "leaf %llu, byte offset %zu", (unsigned long long)l->leaf,
		 l->off);
	has(where);
	has("class 1");
	strcat(args, " -o json");
	assert_int_equal(ctl(args), 1);
	root = json_loads(output, JSON_REJECT_DUPLICATES, NULL);
	assert_non_null(root);
	assert_string_equal(json_string_value(json_object_get(root, "verdict")), "tampered");
	one = json_array_get(json_object_get(root, "findings"), 0);
	assert_string_equal(json_string_value(json_object_get(one, "class")), "1");
	json_decref(root);
	fix_text_free(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(events_name_the_grant), cmocka_unit_test(events_are_made_safe),
		cmocka_unit_test(events_since),		 cmocka_unit_test(events_as_json),
		cmocka_unit_test(explain_ids),		 cmocka_unit_test(audit_counts),
		cmocka_unit_test(verify_exits),		 cmocka_unit_test(verify_names_the_byte),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
