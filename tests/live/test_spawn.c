/*
 * A brane starts, sees what it should and nothing else, and ends with its cause.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include "tests/util/live.h"

static void starts(void **state)
{
	struct live v;
	struct om_brane_info info;
	struct om_err err;
	(void)state;
	live_open(&v, OM_LAYER_PROCESS);
	struct live_brane b = live_inside(&v, "one", "facts", NULL);
	if (live_apply(&v, &b, &info, &err) < 0)
		fail_msg("apply: %s", err.text);
	live_wait(&v, "one", &info);
	print_message("%s", live_text(&v, "one", "stdout"));
	live_close(&v);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(starts),
	};
	return cmocka_run_group_tests_name("spawn", tests, NULL, NULL);
}
