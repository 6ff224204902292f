/* The arena: zeroed, aligned, bounded, and given back at once. */
#include <setjmp.h>
#include <stdalign.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include <omega/arena.h>

static void gives_zeroed_aligned_memory(void **state)
{
	struct om_arena a;

	om_arena_init(&a, 0);
	for (size_t n = 0; n < 3000; n += 7) {
		unsigned char *p = om_arena_alloc(&a, n);

		assert_non_null(p);
		assert_int_equal((uintptr_t)p % alignof(max_align_t), 0);
		for (size_t i = 0; i < n; i++)
			assert_int_equal(p[i], 0);
		memset(p, 0xa5, n);
	}
	om_arena_done(&a);
}

static void stops_at_its_limit(void **state)
{
	struct om_arena a;
	size_t got = 0;

	om_arena_init(&a, 10000);
	while (om_arena_alloc(&a, 100))
		got += 100;
	assert_true(got <= 10000 && got >= 8000);
	assert_null(om_arena_alloc(&a, SIZE_MAX));
	assert_null(om_arena_array(&a, SIZE_MAX / 2, 4));
	om_arena_done(&a);
	assert_non_null(om_arena_alloc(&a, 100));
	om_arena_done(&a);
	om_arena_done(NULL);
}

static void copies_strings_and_grows_arrays(void **state)
{
	struct om_arena a;
	uint32_t *v;
	char *s;

	om_arena_init(&a, 0);
	s = om_arena_strndup(&a, "a\0bc", 3);
	assert_memory_equal(s, "a\0b", 4);
	assert_string_equal(om_arena_strdup(&a, "xyz"), "xyz");
	v = om_arena_array(&a, 2, sizeof(*v));
	v[0] = 1;
	v[1] = 2;
	v = om_arena_grow(&a, v, 2, 4, sizeof(*v));
	assert_int_equal(v[0] + v[1], 3);
	assert_int_equal(v[2] + v[3], 0);
	assert_non_null(om_arena_alloc(&a, 1u << 20));
	om_arena_done(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(gives_zeroed_aligned_memory),
		cmocka_unit_test(stops_at_its_limit),
		cmocka_unit_test(copies_strings_and_grows_arrays),
	};

	return cmocka_run_group_tests_name("arena", tests, NULL, NULL);
}
