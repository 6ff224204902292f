/* C2SP signed notes: the specification's example, spellings that must be refused, base64. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <sodium.h>

#include "agent/chain/format/b64.h"
#include "agent/chain/format/note.h"

static size_t slurp(const char *sub, char *buf, size_t cap)
{
	const char *base = getenv("OMEGA_VECTORS");
	char path[512];
	FILE *f;
	size_t n;

	snprintf(path, sizeof(path), "%s/tlog/signed-note/%s", base ? base : "../shared/vectors",
		 sub);
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

static void test_specification_example(void **state)
{
	char text[OM_NOTE_MAX], key[OM_VKEY_MAX];
	size_t len = slurp("example.note", text, sizeof(text));
	size_t klen = slurp("example.vkey", key, sizeof(key));
	struct om_note n;
	struct om_vkey k;
	char again[OM_VKEY_MAX + 1];

	assert_int_equal(om_note_parse(text, len, &n), 0);
	assert_int_equal(om_vkey_parse(key, klen, &k), 0);
	assert_int_equal(om_note_verify(&n, k.name, strlen(k.name), k.pk), 1);
	om_vkey_format(k.name, k.pk, again);
	assert_memory_equal(again, key, strlen(again));
	/* any bit of text, name or signature */
	for (size_t i = 0; i < len; i++) {
		text[i] ^= 1;
		if (om_note_parse(text, len, &n) == 0)
			assert_int_not_equal(om_note_verify(&n, k.name, strlen(k.name), k.pk), 1);
		text[i] ^= 1;
	}
}

static void make(char *note, size_t *len, const uint8_t sk[64], const uint8_t pk[32])
{
	uint8_t root[32] = {5}, sig[64];

	*len = om_checkpoint_body("o.example/l", 77, root, note);
	crypto_sign_detached(sig, NULL, (uint8_t *)note, *len, sk);
	*len = om_note_sign_line(note, *len, 1, "o.example/l",
				 om_key_id("o.example/l", 11, OM_SIG_ED25519, pk), sig);
}

static void test_round_trip(void **state)
{
	char note[OM_NOTE_MAX], line[2 * OM_NOTE_MAX + 16], back[OM_NOTE_MAX];
	uint8_t pk[32], sk[64];
	struct om_checkpoint c;
	struct om_note n;
	size_t len, l;

	crypto_sign_keypair(pk, sk);
	make(note, &len, sk, pk);
	l = om_note_line(note, len, line);
	assert_int_equal(line[l - 1], '\n');
	assert_int_equal(om_note_from_line(line, l - 1, back), (int)len);
	assert_memory_equal(back, note, len);
	assert_int_equal(om_note_parse(back, len, &n), 0);
	assert_int_equal(om_checkpoint_parse(n.body, n.body_len, &c), 0);
	assert_int_equal(c.size, 77);
	assert_int_equal(om_note_verify(&n, "o.example/l", 11, pk), 1);
	assert_int_equal(om_note_verify(&n, "o.example/x", 11, pk), 0);
	/* the same line twice is no second opinion */
	memcpy(back + len, strstr(back, "\n\n") + 2,
	       len - (size_t)(strstr(back, "\n\n") + 2 - back));
	l = len + (len - (size_t)(strstr(note, "\n\n") + 2 - note));
	assert_int_equal(om_note_parse(back, l, &n), 0);
	assert_true(om_note_verify(&n, "o.example/l", 11, pk) < 0);
}

static void test_refused(void **state)
{
	static const char *const notes[] = {
		"",
		"\n",
		"\n\n",
		"a\n",
		"a\n\n",
		"a\n\nb\n",
		"a\n\n- x AAAAAAA=\n",
		"a\n\n\xE2\x80\x94 x\n",
		"a\n\n\xE2\x80\x94 x AAAA\n",
		"a\n\n\xE2\x80\x94 x+y AAAAAAA=\n",
		"a\n\n\xE2\x80\x94 x AAAAAAB=\n",
		"a\n\n\xE2\x80\x94 x AAAAAAA=",
		"a\x01\n\n\xE2\x80\x94 x AAAAAAA=\n",
		"a\xff\n\n\xE2\x80\x94 x AAAAAAA=\n",
		"a\n\n\xE2\x80\x94  AAAAAAA=\n",
		"a\n\n\xE2\x80\x94 x AAAAAAA= \n",
		"a\n\n\xE2\x80\x94 x AAAAAAA=\r\n",
	};
	static const char root[] = "\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n";
	static const char *const sizes[] = {"", "01", "-1", "+1", "1 ", "x", "99999999999999999"};
	struct om_checkpoint c;
	struct om_note n;
	char body[256];

	for (size_t i = 0; i < OM_ARRAY_LEN(notes); i++)
		if (om_note_parse(notes[i], strlen(notes[i]), &n) == 0)
			fail_msg("note %zu was accepted", i);
	for (size_t i = 0; i < OM_ARRAY_LEN(sizes); i++) {
		snprintf(body, sizeof(body), "o\n%s%s", sizes[i], root);
		assert_true(om_checkpoint_parse(body, strlen(body), &c) < 0);
	}
	snprintf(body, sizeof(body), "o\n1%s", root);
	assert_int_equal(om_checkpoint_parse(body, strlen(body), &c), 0);
	strcat(body, "extension\n");
	assert_true(om_checkpoint_parse(body, strlen(body), &c) < 0);
}

/* Keys that verifiers disagree about: small order, not on the curve, not canonical. */
static void test_bad_points(void **state)
{
	uint8_t pk[3][32] = {{1}, {0}, {0}};
	char text[OM_VKEY_MAX + 1];
	struct om_vkey k;

	memset(pk[1], 0xff, 32);
	pk[2][31] = 0x80;
	for (int i = 0; i < 3; i++) {
		size_t len = om_vkey_format("x", pk[i], text);

		assert_true(om_vkey_parse(text, len, &k) < 0);
	}
}

static void test_base64(void **state)
{
	static const char *const bad[] = {"A",	   "AA",   "AAA",     "AA=A",  "====",
					  "AB==",  "AAB=", "AAA ",    "AAA\n", "A-A_",
					  "AAAA=", "=AAA", "AA==AAAA"};
	uint8_t data[64], back[64];
	char text[128];

	for (size_t i = 0; i < OM_ARRAY_LEN(bad); i++)
		if (om_b64_decode(bad[i], strlen(bad[i]), back, sizeof(back)) >= 0)
			fail_msg("%s was accepted", bad[i]);
	for (size_t n = 0; n < 64; n++) {
		size_t len;

		for (size_t i = 0; i < n; i++)
			data[i] = (uint8_t)(i * 37 + n);
		len = om_b64_encode(data, n, text);
		assert_int_equal(len, OM_B64_LEN(n));
		assert_int_equal(om_b64_decode(text, len, back, sizeof(back)), (int)n);
		assert_memory_equal(data, back, n);
		if (n)
			assert_true(om_b64_decode(text, len, back, n - 1) < 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_specification_example),
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_bad_points),
		cmocka_unit_test(test_base64),
	};

	if (sodium_init() < 0)
		return 1;
	return cmocka_run_group_tests_name("note", tests, NULL, NULL);
}
