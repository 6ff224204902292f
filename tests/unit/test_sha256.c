/* SHA-256 against nettle and the FIPS 180-4 examples, on every backend this processor has. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <nettle/sha2.h>

#include <omega/sha256.h>

static uint8_t data[4096];

static void reference(int prefix, const uint8_t *p, size_t len, uint8_t *out)
{
	struct sha256_ctx c;
	uint8_t b = (uint8_t)prefix;

	sha256_init(&c);
	if (prefix >= 0)
		sha256_update(&c, 1, &b);
	sha256_update(&c, len, p);
	sha256_digest(&c, 32, out);
}

static void test_known(void **state)
{
	static const uint8_t abc[32] = {0xba, 0x78, 0x16, 0xbf, 0x8f, 0x01, 0xcf, 0xea,
					0x41, 0x41, 0x40, 0xde, 0x5d, 0xae, 0x22, 0x23,
					0xb0, 0x03, 0x61, 0xa3, 0x96, 0x17, 0x7a, 0x9c,
					0xb4, 0x10, 0xff, 0x61, 0xf2, 0x00, 0x15, 0xad};
	uint8_t out[32], again[32];

	om_sha256("abc", 3, out);
	assert_memory_equal(out, abc, 32);
	om_sha256(NULL, 0, out);
	reference(-1, data, 0, again);
	assert_memory_equal(out, again, 32);
}

static void test_every_length(void **state)
{
	for (size_t len = 0; len < 700; len++) {
		uint8_t want[32], got[32];
		struct om_sha256 c;

		reference(-1, data, len, want);
		om_sha256(data, len, got);
		assert_memory_equal(got, want, 32);
		om_sha256_init(&c);
		for (size_t at = 0; at < len;) {
			size_t step = 1 + (at * 7 + len) % 97;

			step = step < len - at ? step : len - at;
			om_sha256_update(&c, data + at, step);
			at += step;
		}
		om_sha256_final(&c, got);
		assert_memory_equal(got, want, 32);
		reference(0, data, len, want);
		om_sha256_leaf(data, len, got);
		assert_memory_equal(got, want, 32);
	}
}

static void test_many(void **state)
{
	const void *ptr[301];
	size_t len[301];
	static uint8_t out[301][32], nodes[301][32];
	uint8_t want[32];

	for (size_t i = 0; i < 301; i++) {
		ptr[i] = data + i;
		len[i] = (i * 131) % 900;
	}
	for (size_t n = 0; n <= 301; n += 43) {
		memset(out, 0, sizeof(out));
		om_sha256_leaves(ptr, len, n, out);
		for (size_t i = 0; i < n; i++) {
			reference(0, ptr[i], len[i], want);
			assert_memory_equal(out[i], want, 32);
		}
		om_sha256_nodes((const uint8_t(*)[32])out, n / 2, nodes);
		for (size_t i = 0; i < n / 2; i++) {
			reference(1, out[2 * i], 64, want);
			assert_memory_equal(nodes[i], want, 32);
		}
	}
	/* in place: a level folds onto itself */
	om_sha256_nodes((const uint8_t(*)[32])out, 150, out);
	assert_memory_equal(out[149], nodes[149], 32);
}

static int fallback(void **state)
{
	om_sha256_force_fallback(1);
	return 0;
}

static int native(void **state)
{
	om_sha256_force_fallback(0);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_known),
		cmocka_unit_test(test_every_length),
		cmocka_unit_test(test_many),
		cmocka_unit_test_setup_teardown(test_known, fallback, native),
		cmocka_unit_test_setup_teardown(test_every_length, fallback, native),
		cmocka_unit_test_setup_teardown(test_many, fallback, native),
	};

	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i * 167 + (i >> 8));
	return cmocka_run_group_tests_name("sha256", tests, NULL, NULL);
}
