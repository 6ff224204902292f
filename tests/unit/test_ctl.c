/*
 * omegactl's library: command lines, times, text made safe, records turned into requests. What the verbs
 * print is tried through the real binary (test_ctl_log.c, tests/live/test_ctl_offline.sh).
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include <omega/request.h>
#include "agent/ctl/lib/out.h"
#include "agent/ctl/lib/source.h"
#include "agent/ctl/log/event.h"

#define HOUR_US 3600000000LL

static const char *const colors[] = {"red", "green", NULL};
static const struct om_opt opts[] = {
	{"follow", 'f', NULL, "go on", NULL},
	{"brane", 'b', "NAME", "only this one", NULL},
	{"tint", 0, "COLOR", "red or green", colors},
	{0},
};

static struct om_ctl ctl;
static struct om_args args;
static struct om_err err;

static int parse(int argc, const char *const *argv)
{
	ctl = (struct om_ctl){.prog = "omegactl", .run_dir = "/r", .timeout_ms = 1};
	memset(&err, 0, sizeof(err));
	return om_args_parse(&ctl, opts, argc, argv, false, &args, NULL, &err);
}
#define PARSE(...)                                                           \
	parse((int)(sizeof((const char *[]){__VA_ARGS__}) / sizeof(char *)), \
	      (const char *[]){__VA_ARGS__})

static void args_everywhere(void **state)
{
	assert_int_equal(PARSE("one", "-f", "two", "--brane=api", "--run-dir", "/x", "-ojson"), 0);
	assert_int_equal(args.npos, 2);
	assert_string_equal(args.pos[1], "two");
	assert_true(om_args_has(&args, "follow"));
	assert_false(om_args_has(&args, "tint"));
	assert_string_equal(om_args_value(&args, "brane", "-"), "api");
	assert_string_equal(ctl.run_dir, "/x");
	assert_int_equal(ctl.format, CTL_JSON);
	assert_null(args.rest);
}

static void args_last_wins(void **state)
{
	assert_int_equal(PARSE("-b", "a", "-fb", "b", "--timeout", "2s"), 0);
	assert_string_equal(om_args_value(&args, "brane", "-"), "b");
	assert_int_equal(ctl.timeout_ms, 2000);
}

static void args_rest(void **state)
{
	assert_int_equal(PARSE("file", "--", "ls", "-f", "--brane"), 0);
	assert_int_equal(args.npos, 1);
	assert_int_equal(args.nrest, 3);
	assert_string_equal(args.rest[1], "-f");
	assert_false(om_args_has(&args, "follow"));
}

static void args_refused(void **state)
{
	static const struct {
		const char *words[2], *text;
	} bad[] = {
		{{"--folow", "x"}, "did you mean --follow"},
		{{"--statedir", "x"}, "did you mean --state-dir"},
		{{"x", "--brane"}, "needs NAME"},
		{{"--follow=1", "x"}, "takes no value"},
		{{"x", "-z"}, "unknown option -z"},
		{{"--tint", "gren"}, "did you mean 'green'"},
		{{"-o", "yaml"}, "expected table"},
		{{"--timeout", "5"}, "expected a time"},
	};

	for (size_t i = 0; i < OM_ARRAY_LEN(bad); i++) {
		assert_true(parse(2, bad[i].words) < 0);
		assert_int_equal(err.id, OM_ERR_USAGE);
		assert_non_null(strstr(err.text, bad[i].text));
	}
}

static void durations(void **state)
{
	static const char *const bad[] = {"",	"h",  "1",   "1 h",	     "-1h",	   "1.5h",
					  "1y", "1H", "1hh", "99999999999d", "1000000000d"};
	int64_t us;

	assert_true(om_ctl_duration("1h", &us) && us == HOUR_US);
	assert_true(om_ctl_duration("30m", &us) && us == HOUR_US / 2);
	assert_true(om_ctl_duration("2d", &us) && us == 48 * HOUR_US);
	assert_true(om_ctl_duration("500ms", &us) && us == 500000);
	assert_true(om_ctl_duration("0s", &us) && us == 0);
	for (size_t i = 0; i < OM_ARRAY_LEN(bad); i++)
		assert_false(om_ctl_duration(bad[i], &us));
}

static void since(void **state)
{
	static const char *const bad[] = {"yesterday",
					  "2026-11-21",
					  "2026-11-21T23:53:05",
					  "2026-02-30T00:00:00Z",
					  "2026-11-21T24:00:00Z",
					  "2026-11-21T23:53:05.Z",
					  "2026-11-21T23:53:05Zx"};
	char buf[CTL_TIME_MAX];
	int64_t us;

	assert_int_equal(om_ctl_since("1h", 10 * HOUR_US, &us, &err), 0);
	assert_int_equal(us, 9 * HOUR_US);
	assert_int_equal(om_ctl_since("2026-11-21T23:53:05.467953Z", 0, &us, &err), 0);
	assert_string_equal(om_ctl_time(us, buf), "2026-11-21T23:53:05.467953Z");
	assert_int_equal(om_ctl_since("2026-11-22T01:53:05.467953+02:00", 0, &us, &err), 0);
	assert_string_equal(om_ctl_time(us, buf), "2026-11-21T23:53:05.467953Z");
	for (size_t i = 0; i < OM_ARRAY_LEN(bad); i++) {
		assert_true(om_ctl_since(bad[i], 0, &us, &err) < 0);
		assert_int_equal(err.id, OM_ERR_USAGE);
	}
}

static void text_is_made_safe(void **state)
{
	static const struct {
		const char *in, *out;
	} all[] = {
		{"plain ünï \xe6\x97\xa5", "plain ünï \xe6\x97\xa5"},
		{"a\x1b[31mb", "a\\x1b[31mb"},
		{"a\nb\tc\rd\x7f", "a\\nb\\tc\\x0dd\\x7f"},
		{"\xe2\x80\xaetxt.exe", "\\u202etxt.exe"},
		{"\xe2\x81\xa6x\xe2\x81\xa9", "\\u2066x\\u2069"},
		{"\xe2\x80\x8b\xef\xbb\xbf", "\\u200b\\ufeff"},
		{"\xc2\x9b"
		 "31m",
		 "\\u009b31m"}, /* C1: CSI in one character */
		{"\xff\xc0\x80", "\\xff\\xc0\\x80"},
		{"\xed\xa0\x80", "\\xed\\xa0\\x80"}, /* a surrogate */
		{"\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80"},
		{"cut \xe2\x80", "cut \\xe2\\x80"},
	};

	for (size_t i = 0; i < OM_ARRAY_LEN(all); i++) {
		char *s = om_ctl_clean(all[i].in);

		assert_string_equal(s, all[i].out);
		free(s);
	}
}

static void records_to_requests(void **state)
{
	static const struct {
		const char *op, *obj, *proto;
		enum om_op want;
	} all[] = {
		{"file.read", "/etc/shadow", NULL, OM_OP_FILE_READ},
		{"file.absent", "/proc/1/status", NULL, OM_OP_FILE_ABSENT},
		{"exec", "/usr/bin/id", NULL, OM_OP_FILE_EXEC},
		{"mem.exec", "/anything", NULL, OM_OP_MEM_EXEC},
		{"net.connect", "127.0.0.1:8081", "udp", OM_OP_NET_CONNECT},
		{"net.connect", "[2001:db8::1]:443", NULL, OM_OP_NET_CONNECT},
		{"net.listen", "0.0.0.0:8080", "tcp", OM_OP_NET_LISTEN},
		{"seccomp", "mount", NULL, OM_OP_SYSCALL},
		{"ptrace", "pid 1 arg 2 init", NULL, OM_OP_NONE},
		{"file.read", ".../cut/path", NULL, OM_OP_NONE},
		{"file.read", "", NULL, OM_OP_NONE},
		{"net.socket", "family 16 type 3 protocol 0", NULL, OM_OP_NONE},
	};
	static struct om_request req;

	for (size_t i = 0; i < OM_ARRAY_LEN(all); i++) {
		bool ok = om_ctl_request(all[i].op, all[i].obj, all[i].proto, &req);

		assert_int_equal(ok, all[i].want != OM_OP_NONE);
		if (ok)
			assert_int_equal(req.op, all[i].want);
	}
	assert_true(om_ctl_request("net.connect", "127.0.0.1:53", "udp", &req));
	assert_int_equal(req.proto, OM_PROTO_UDP);
	assert_true(om_ctl_request("net.listen", "[::]:8080", "udp", &req));
	assert_int_equal(req.port, 8080);
}

/* The finding of the design page, byte for byte. */
static void finding_as_designed(void **state)
{
	static char text[] = "\n\n\n\n\n\n\n\n\n\n\negres = [\"api.github.com:443\"]\n";
	struct om_source s = {.name = (char *)"brane.toml", .data = text, .len = sizeof(text) - 1};
	char *out = NULL;
	size_t len;
	FILE *f = open_memstream(&out, &len);

	om_diags_init(&s.diags);
	om_diag_add(&s.diags, OM_SEV_ERROR, OM_ERR_BIND_UNKNOWN_KEY, (struct om_pos){12, 1, 5},
		    "did you mean 'egress'?", "unknown key 'egres' in [brane.api.network]");
	om_source_print(&ctl, &s, f, false);
	fclose(f);
	assert_string_equal(
		out, "brane.toml:12:1: error[OM1203]: unknown key 'egres' in [brane.api.network]\n"
		     "   12 | egres = [\"api.github.com:443\"]\n"
		     "      | ^^^^^ did you mean 'egress'?\n");
	free(out);
	om_diags_done(&s.diags);
}

/* Positions that no text has: past the end, past the line, in the middle of a character. */
static void finding_anywhere(void **state)
{
	static char text[] = "a\xc3\xa9\x1b\tb\r\nlast";
	struct om_source s = {.name = (char *)"x", .data = text, .len = sizeof(text) - 1};
	char *out = NULL;
	size_t len;
	FILE *f = open_memstream(&out, &len);

	om_diags_init(&s.diags);
	for (uint32_t line = 0; line < 5; line++)
		for (uint32_t col = 0; col < 12; col++)
			om_diag_add(&s.diags, OM_SEV_WARNING, OM_ERR_BIND_TYPE,
				    (struct om_pos){line, col, col * 1000}, NULL, "m");
	om_source_print(&ctl, &s, f, false);
	fclose(f);
	assert_null(strchr(out, 0x1b));
	assert_non_null(strstr(out, "a\xc3\xa9\\x1b    b\n"));
	free(out);
	om_diags_done(&s.diags);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(args_everywhere),     cmocka_unit_test(args_last_wins),
		cmocka_unit_test(args_rest),	       cmocka_unit_test(args_refused),
		cmocka_unit_test(durations),	       cmocka_unit_test(since),
		cmocka_unit_test(text_is_made_safe),   cmocka_unit_test(records_to_requests),
		cmocka_unit_test(finding_as_designed), cmocka_unit_test(finding_anywhere),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
