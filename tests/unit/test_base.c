/* The error table and the findings list: ids unique, texts one line, order worst first. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include <omega/diag.h>
#include <omega/limits.h>

struct seen {
	int ids[512];
	size_t n;
};

static void remember(enum om_err_id id, int exit_code, const char *text, void *ctx)
{
	struct seen *s = ctx;

	for (size_t i = 0; i < s->n; i++)
		assert_int_not_equal(s->ids[i], id);
	assert_true(s->n < OM_ARRAY_LEN(s->ids));
	s->ids[s->n++] = (int)id;
	assert_in_range(exit_code, 1, 12);
	assert_true(strlen(text) > 5);
}

static void test_ids_are_unique(void **state)
{
	struct seen s = {.n = 0};

	om_err_each(remember, &s);
	assert_true(s.n > 40);
}

static void test_text_is_one_line(void **state)
{
	struct om_err err = {0};
	char code[8];

	assert_int_equal(om_err_set(&err, OM_ERR_CGROUP, -ENOENT, "a\nb\x1b[31m"), -ENOENT);
	assert_null(strchr(err.text, '\n'));
	assert_null(strchr(err.text, '\x1b'));
	om_err_prefix(&err, "brane %s", "api");
	assert_string_equal(err.text, "brane api: a?b?[31m");
	assert_string_equal(om_err_code(OM_ERR_BIND_UNKNOWN_KEY, code), "OM1203");
	assert_int_equal(om_err_exit(OM_ERR_BIND_UNKNOWN_KEY), 3);
}

static void test_findings_sorted_and_bounded(void **state)
{
	struct om_diags d;

	om_diags_init(&d);
	om_diag_add(&d, OM_SEV_WARNING, OM_ERR_CAP_RISK, (struct om_pos){1, 1, 1}, NULL, "w");
	om_diag_add(&d, OM_SEV_ERROR, OM_ERR_BIND_TYPE, (struct om_pos){9, 1, 1}, "h", "late");
	om_diag_add(&d, OM_SEV_ERROR, OM_ERR_BIND_TYPE, (struct om_pos){2, 7, 1}, NULL, "early");
	om_diags_sort(&d);
	assert_string_equal(d.items[0].message, "early");
	assert_string_equal(d.items[1].hint, "h");
	assert_int_equal(d.items[2].severity, OM_SEV_WARNING);
	for (int i = 0; i < 400; i++)
		om_diag_add(&d, OM_SEV_ERROR, OM_ERR_BIND_TYPE, (struct om_pos){3, 1, 1}, NULL,
			    "x");
	assert_int_equal(d.errors, 402);
	assert_int_equal(d.count + d.dropped, 403);
	om_diags_done(&d);
}

static void test_nearest(void **state)
{
	static const char *const words[] = {"egress", "listen", "bandwidth"};

	assert_string_equal(om_nearest("egres", words, 3), "egress");
	assert_string_equal(om_nearest("lsiten", words, 3), "listen");
	assert_null(om_nearest("zzz", words, 3));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ids_are_unique),
		cmocka_unit_test(test_text_is_one_line),
		cmocka_unit_test(test_findings_sorted_and_bounded),
		cmocka_unit_test(test_nearest),
	};

	return cmocka_run_group_tests_name("base", tests, NULL, NULL);
}
