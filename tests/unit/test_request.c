/*
 * Requests as text: what is taken, what is refused, and that formatting is the inverse of parsing.
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
#include <omega/request.h>

static void same(const char *text, const char *back)
{
	struct om_request req;
	struct om_err err = {0};
	char buf[OM_PATH_MAX + 64];

	if (om_request_parse(text, strlen(text), &req, &err) < 0)
		fail_msg("%s: %s", text, err.text);
	om_request_format(&req, buf, sizeof(buf));
	assert_string_equal(buf, back);
}

#define DIGEST "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"

static void test_taken(void **state)
{
	same("file.read /", "file.read /");
	same("file.read /etc/x y", "file.read /etc/x y");
	same("file.read /etc/", "file.read /etc");
	same("file.absent /x", "file.absent /x");
	same("net.connect 10.0.0.1:443", "net.connect 10.0.0.1:443/tcp");
	same("net.connect 10.0.0.1:53/udp", "net.connect 10.0.0.1:53/udp");
	same("net.connect [::ffff:10.0.0.1]:443", "net.connect 10.0.0.1:443/tcp");
	same("net.connect [2001:DB8:0::1]:443", "net.connect [2001:db8::1]:443/tcp");
	same("net.listen 65535/udp", "net.listen 65535/udp");
	same("syscall mlock2", "syscall mlock2");
	same("env LANG", "env LANG");
	same("stdio err", "stdio err");
	same("mem.exec", "mem.exec");
	same("file.exec sha256:" DIGEST " /x y", "file.exec sha256:" DIGEST " /x y");
	same("file.exec /sha256:" DIGEST, "file.exec /sha256:" DIGEST);
}

static void test_refused(void **state)
{
	static const char *const bad[] = {
		"",
		"file",
		"file.read",
		"file.read ",
		"file.read etc",
		"file.read  /etc",
		"file.read //",
		"file.read /a//b",
		"file.read /a/./b",
		"file.read /a/../b",
		"file.read /..",
		"file.reads /x",
		"file.read sha256:" DIGEST " /x",
		"file.exec sha256:" DIGEST,
		"file.exec sha256:" DIGEST "/x",
		"file.exec sha256:" DIGEST " x",
		"file.exec sha256: /x",
		"file.exec sha256:9F86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08 "
		"/x",
		"net.connect 10.0.0.1",
		"net.connect 10.0.0.1:",
		"net.connect 10.0.0.1:0",
		"net.connect 10.0.0.1:65536",
		"net.connect 10.0.0.1:080",
		"net.connect 10.0.0.1:80/",
		"net.connect 10.0.0.1:80/icmp",
		"net.connect 10.0.0.1:80/tcp ",
		"net.connect 10.1:80",
		"net.connect 010.0.0.1:80",
		"net.connect ::1:80",
		"net.connect [::1]80",
		"net.connect [::1",
		"net.connect [::1]",
		"net.connect [::1]:",
		"net.connect [fe80::1%lo]:80",
		"net.connect example.org:80",
		"net.listen",
		"net.listen -1",
		"net.listen 99999999999999999999999",
		"syscall",
		"syscall a b",
		"stdio",
		"stdio both",
		"mem.exec now",
		"ptrace",
		"none",
	};
	struct om_request req;
	struct om_err err;

	for (size_t i = 0; i < OM_ARRAY_LEN(bad); i++) {
		memset(&err, 0, sizeof(err));
		if (om_request_parse(bad[i], strlen(bad[i]), &req, &err) != -EINVAL)
			fail_msg("taken: '%s'", bad[i]);
		assert_int_equal(err.id, OM_ERR_REQUEST_FORMAT);
		assert_int_equal(om_err_exit(err.id), 2);
	}
	assert_int_equal(om_request_parse("file.read /a\0b", 14, &req, &err), -EINVAL);
}

/* No terminating NUL, exact length: under ASan a read past the end is fatal. */
static void test_bounds(void **state)
{
	static const char *const texts[] = {"net.connect [2001:db8::1]:443/udp", "file.read /a/b",
					    "net.connect 10.0.0.1:443/tcp", "net.listen 80/tcp"};
	struct om_request req;
	struct om_err err;
	char path[OM_PATH_MAX + 32] = "file.read /";

	for (size_t i = 0; i < OM_ARRAY_LEN(texts); i++) {
		for (size_t len = 0; len <= strlen(texts[i]); len++) {
			char *copy = malloc(len ? len : 1);

			memcpy(copy, texts[i], len);
			(void)!om_request_parse(copy, len, &req, &err);
			free(copy);
		}
	}
	memset(path + 11, 'a', OM_PATH_MAX);
	assert_int_equal(om_request_parse(path, 10 + OM_PATH_MAX - 1, &req, &err), 0);
	assert_int_equal(strlen(req.text), OM_PATH_MAX - 1);
	assert_int_equal(om_request_parse(path, 10 + OM_PATH_MAX, &req, &err), -EINVAL);
	om_request_format(&req, path, 4);
	assert_int_equal(strlen(path), 3);
}

static void test_names(void **state)
{
	for (int op = 0; op < OM_OP_COUNT; op++) {
		assert_non_null(om_op_name((enum om_op)op));
		for (int other = 0; other < op; other++)
			assert_string_not_equal(om_op_name((enum om_op)op),
						om_op_name((enum om_op)other));
	}
	for (int w = 0; w < OM_WHERE_COUNT; w++)
		assert_non_null(om_where_name((enum om_where)w));
	assert_string_equal(om_op_name((enum om_op) - 1), "none");
	assert_string_equal(om_op_name((enum om_op)OM_OP_COUNT), "none");
	assert_string_equal(om_where_name((enum om_where)999), "none");
	assert_string_equal(om_where_name(OM_WHERE_CGROUP_BPF), "cgroup-bpf");
}

static void test_addr(void **state)
{
	uint8_t a[16], b[16];
	char buf[OM_ADDR_TEXT_MAX];

	assert_true(om_addr_parse("10.2.3.4", 8, a));
	assert_true(om_addr_is_v4(a));
	assert_true(om_addr_mask(a, 96 + 16));
	assert_false(om_addr_mask(a, 96 + 16));
	om_addr_format(a, 96 + 16, buf);
	assert_string_equal(buf, "10.2.0.0/16");
	assert_true(om_addr_parse("10.2.255.255", 12, b));
	assert_true(om_addr_match(a, b, 96 + 16));
	assert_false(om_addr_match(a, b, 96 + 17));
	assert_true(om_addr_match(a, b, 0));
	assert_false(om_addr_match(a, b, 129));
	assert_true(om_addr_match(a, a, 128));
	assert_true(om_addr_parse("2001:db8::", 10, a));
	om_addr_format(a, 32, buf);
	assert_string_equal(buf, "[2001:db8::/32]");
	assert_false(om_addr_parse("1.2.3", 5, a));
	assert_false(om_addr_parse("", 0, a));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_taken),  cmocka_unit_test(test_refused),
		cmocka_unit_test(test_bounds), cmocka_unit_test(test_names),
		cmocka_unit_test(test_addr),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
