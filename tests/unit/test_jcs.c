/* Canonical JSON: RFC 8785's vectors where they fit the profile, refusals, the builder, records. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "agent/chain/format/json.h"
#include "agent/chain/format/record.h"

static size_t slurp(const char *sub, char *buf, size_t cap)
{
	const char *base = getenv("OMEGA_VECTORS");
	char path[512];
	FILE *f;
	size_t n;

	snprintf(path, sizeof(path), "%s/jcs/%s", base ? base : "../shared/vectors", sub);
	f = fopen(path, "r");
	if (!f) {
		print_message("vector %s is absent\n", path);
		skip();
		return 0;
	}
	n = fread(buf, 1, cap, f);
	fclose(f);
	return n;
}

static void test_vectors(void **state)
{
	static const struct {
		const char *name;
		bool fits; /* arrays.json holds a null, which the profile does not have */
	} v[] = {{"french", true}, {"structures", true}, {"unicode", true}, {"arrays", false}};
	char buf[4096], path[64];

	for (size_t i = 0; i < OM_ARRAY_LEN(v); i++) {
		size_t n;

		snprintf(path, sizeof(path), "output/%s.json", v[i].name);
		n = slurp(path, buf, sizeof(buf));
		assert_int_equal(om_json_canonical(buf, n), v[i].fits);
		snprintf(path, sizeof(path), "input/%s.json", v[i].name);
		n = slurp(path, buf, sizeof(buf));
		assert_false(om_json_canonical(buf, n)); /* white space, order, escapes, 56.0 */
	}
}

static void test_accept_and_refuse(void **state)
{
	static const char *const good[] = {
		"{}",
		"[]",
		"0",
		"-1",
		"9007199254740991",
		"-9007199254740991",
		"true",
		"false",
		"\"\"",
		"\"\\u0000\\u001f\\n\\\"\\\\\"",
		"{\"a\":1,\"b\":[1,{}]}",
		"\"/\"",
		"\"\x7f\"",
		"{\"a\":1,\"aa\":2}",
		"{\"\":1}",
		"\"\xE2\x80\x94\"",
		"{\"\xF0\x9F\x98\x80\":1,\"\xEF\xAC\xB3\":2}", /* UTF-16 order: D83D before FB33 */
		"[[[[[[[[]]]]]]]]",
	};
	static const char *const bad[] = {
		"",
		" 0",
		"0 ",
		"00",
		"-0",
		"1.0",
		"1e3",
		"9007199254740992",
		"null",
		"True",
		"\"\\u0041\"",
		"\"\\/\"",
		"\"\\u001F\"",
		"\"\\u000a\"",
		"\"\\u0009\"",
		"\"\n\"",
		"\"\xC0\x80\"",
		"\"\xED\xA0\x80\"",
		"\"\xF4\x90\x80\x80\"",
		"\"\xE2\x80\"",
		"\"",
		"{\"b\":1,\"a\":2}",
		"{\"a\":1,\"a\":2}",
		"{\"a\": 1}",
		"{\"a\":1,}",
		"[1,]",
		"[1 ]",
		"{a:1}",
		"{\"a\"}",
		"[",
		"{",
		"{}{}",
		"+1",
		"1a",
		"\"\\x41\"",
		"\"a\"b",
		"{\"\xEF\xAC\xB3\":2,\"\xF0\x9F\x98\x80\":1}",
		"[[[[[[[[[]]]]]]]]]",
	};

	for (size_t i = 0; i < OM_ARRAY_LEN(good); i++)
		if (!om_json_canonical(good[i], strlen(good[i])))
			fail_msg("refused: %s", good[i]);
	for (size_t i = 0; i < OM_ARRAY_LEN(bad); i++)
		if (om_json_canonical(bad[i], strlen(bad[i])))
			fail_msg("accepted: %s", bad[i]);
	/* every string's own length counts, not a NUL */
	assert_false(om_json_canonical("\"a\0\"", 4));
}

static void test_builder(void **state)
{
	static const char *const list[] = {"x", "a\"b"};
	char buf[2048], out[64];
	struct om_json_val doc, v;
	struct om_data d;
	struct om_out o;
	int64_t n;

	om_data_init(&d);
	om_data_word(&d, "zeta", "last");
	om_data_bytes(&d, "name", "\xff\xfe", 2);
	om_data_bytes(&d, "plain", "tab\there\x01", 9);
	om_data_int(&d, "alpha", -42);
	om_data_bool(&d, "flag", true);
	om_data_id(&d, "cgroup", UINT64_MAX);
	om_data_list(&d, "args", list, 2);
	om_data_json(&d, "j", "[1,2]", 5);
	om_data_word(&d, "none", NULL);
	om_out_init(&o, buf, sizeof(buf));
	assert_int_equal(om_data_emit(&d, &o), 0);
	*o.p = 0;
	assert_string_equal(buf, "{\"alpha\":-42,\"args\":[\"x\",\"a\\\"b\"],\"cgroup\":"
				 "\"18446744073709551615\",\"flag\":true,\"j\":[1,2],"
				 "\"name_b64\":\"//4=\",\"plain\":\"tab\\there\\u0001\","
				 "\"zeta\":\"last\"}");
	doc = (struct om_json_val){buf, (size_t)(o.p - buf)};
	assert_true(om_json_canonical(doc.p, doc.len));
	assert_int_equal(om_json_get(doc, "alpha", &v), 0);
	assert_int_equal(om_json_int(v, &n), 0);
	assert_int_equal(n, -42);
	assert_int_equal(om_json_get(doc, "plain", &v), 0);
	assert_int_equal(om_json_str(v, out, sizeof(out)), 9);
	assert_memory_equal(out, "tab\there\x01", 10);
	assert_int_equal(om_json_get(doc, "nope", &v), -ENOENT);
	om_out_init(&o, buf, 20);
	assert_int_equal(om_data_emit(&d, &o), -E2BIG);
}

static void test_cut(void **state)
{
	static char big[6000], buf[16384];
	struct om_json_val v;
	struct om_data d;
	struct om_out o;
	int64_t n;

	/* a two-byte character straddles the limit: it goes whole */
	memset(big, 'a', sizeof(big));
	memcpy(big + OM_DATA_VALUE_MAX - 1, "\xC3\xA9", 2);
	om_data_init(&d);
	om_data_bytes(&d, "obj", big, sizeof(big));
	om_out_init(&o, buf, sizeof(buf));
	assert_int_equal(om_data_emit(&d, &o), 0);
	v = (struct om_json_val){buf, (size_t)(o.p - buf)};
	assert_true(om_json_canonical(v.p, v.len));
	assert_int_equal(om_json_get(v, "obj_cut", &v), 0);
	assert_int_equal(om_json_int(v, &n), 0);
	assert_int_equal(n, 6000);
	v = (struct om_json_val){buf, (size_t)(o.p - buf)};
	assert_int_equal(om_json_get(v, "obj", &v), 0);
	assert_int_equal(v.len, OM_DATA_VALUE_MAX - 1 + 2);
}

static void test_record(void **state)
{
	uint8_t prev[32] = {1, 2, 3};
	char line[2048], copy[2048];
	struct om_record_parts p = {.brane = "acme/api#x",
				    .brane_len = 10,
				    .kind = "exec",
				    .kind_len = 4,
				    .mono = 5,
				    .seq = 7,
				    .time = 1795391585467953,
				    .prev = prev};
	struct om_record r;
	struct om_out o;
	size_t len;

	om_out_init(&o, line, sizeof(line));
	assert_int_equal(om_record_emit(&p, &o), 0);
	len = (size_t)(o.p - line);
	assert_int_equal(om_record_parse(line, len, &r), 0);
	assert_int_equal(r.seq, 7);
	assert_int_equal(r.time, p.time);
	assert_true(om_record_is(&r, "exec"));
	/* No other length, and no other byte in the frame, is the same record. */
	for (size_t i = 0; i < len; i++) {
		assert_true(om_record_parse(line, i, &r) < 0);
		memcpy(copy, line, len);
		copy[i] = '\x01';
		assert_true(om_record_parse(copy, len, &r) < 0 ||
			    (copy + i >= r.prev && copy + i < r.prev + OM_B64_HASH));
	}
}

static void test_time(void **state)
{
	static const struct {
		int64_t us;
		const char *text;
	} t[] = {{0, "1970-01-01T00:00:00.000000Z"},
		 {951782400000000, "2000-02-29T00:00:00.000000Z"},
		 {951868799999999, "2000-02-29T23:59:59.999999Z"},
		 {1795305185467953, "2026-11-21T23:53:05.467953Z"},
		 {4107542400000000, "2100-03-01T00:00:00.000000Z"},
		 {253402300799999999, "9999-12-31T23:59:59.999999Z"}};
	static const char *const bad[] = {
		"2026-02-29T00:00:00.000000Z", "2026-13-01T00:00:00.000000Z",
		"2026-00-01T00:00:00.000000Z", "2026-01-00T00:00:00.000000Z",
		"2026-01-01T24:00:00.000000Z", "2026-01-01T00:60:00.000000Z",
		"2026-01-01T00:00:60.000000Z", "2026-01-01 00:00:00.000000Z",
		"2026-01-01T00:00:00.00000Z",  "1969-12-31T23:59:59.999999Z"};
	char text[OM_TIME_LEN];
	int64_t us;

	for (size_t i = 0; i < OM_ARRAY_LEN(t); i++) {
		om_time_format(t[i].us, text);
		assert_memory_equal(text, t[i].text, OM_TIME_LEN);
		assert_int_equal(om_time_parse(text, OM_TIME_LEN, &us), 0);
		assert_true(us == t[i].us);
	}
	for (size_t i = 0; i < OM_ARRAY_LEN(bad); i++)
		assert_true(om_time_parse(bad[i], strlen(bad[i]), &us) < 0);
	for (int64_t day = 0; day < 60000; day += 7) {
		om_time_format(day * 86400000000, text);
		assert_int_equal(om_time_parse(text, OM_TIME_LEN, &us), 0);
		assert_true(us == day * 86400000000);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_vectors), cmocka_unit_test(test_accept_and_refuse),
		cmocka_unit_test(test_builder), cmocka_unit_test(test_cut),
		cmocka_unit_test(test_record),	cmocka_unit_test(test_time),
	};

	return cmocka_run_group_tests_name("jcs", tests, NULL, NULL);
}
