/* RFC 6962 trees against the vectors of transparency-dev/merkle and a C2SP tiles log. */
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include <jansson.h>

#include <omega/sha256.h>
#include "agent/chain/format/b64.h"
#include "agent/chain/format/merkle.h"
#include "agent/chain/format/note.h"

static const char *vectors(const char *sub)
{
	static char path[512];
	const char *base = getenv("OMEGA_VECTORS");

	snprintf(path, sizeof(path), "%s/tlog/%s", base ? base : "../shared/vectors", sub);
	return path;
}

static int need(const char *sub)
{
	if (access(vectors(sub), R_OK) == 0)
		return 1;
	print_message("vectors %s are absent\n", vectors(sub));
	skip();
	return 0;
}

static int from_hex(const char *hex, uint8_t *out)
{
	int n = 0;

	for (; hex[0] && hex[1] && hex[0] != '\n'; hex += 2) {
		unsigned int v;

		assert_int_equal(sscanf(hex, "%2x", &v), 1);
		out[n++] = (uint8_t)v;
	}
	return n;
}

static void test_roots(void **state)
{
	char line[256];
	uint8_t data[64], leaf[9][32], work[9][32], root[32], want[32];
	unsigned int n = 0, size;
	struct om_tree t;
	FILE *f;

	if (!need("rfc6962-proofs/roots.tsv"))
		return;
	f = fopen(vectors("rfc6962-proofs/roots.tsv"), "r");
	while (fgets(line, sizeof(line), f)) {
		char *tab = strrchr(line, '\t');

		if (!strncmp(line, "leaf\t", 5)) {
			om_sha256_leaf(data, (size_t)from_hex(tab + 1, data), leaf[n++]);
		} else if (!strncmp(line, "root\t", 5)) {
			size = (unsigned int)atoi(line + 5);
			assert_int_equal(from_hex(tab + 1, want), 32);
			/* in every split into two appends */
			for (unsigned int cut = 0; cut <= size; cut++) {
				memcpy(work, leaf, sizeof(work));
				om_tree_init(&t);
				om_tree_append(&t, work, cut);
				memcpy(work, leaf, sizeof(work));
				om_tree_append(&t, work + cut, size - cut);
				om_tree_root(&t, root);
				assert_memory_equal(root, want, 32);
			}
		}
	}
	fclose(f);
	assert_int_equal(n, 8);
}

/* A big tree, one append against many, and a frontier saved and loaded. */
static void test_frontier(void **state)
{
	enum { N = 3000 };
	static uint8_t leaf[N][32], work[N][32];
	uint8_t front[64][32], a[32], b[32];
	struct om_tree one, many, back;
	size_t at = 0;

	for (unsigned int i = 0; i < N; i++)
		om_sha256(&i, sizeof(i), leaf[i]);
	om_tree_init(&one);
	memcpy(work, leaf, sizeof(work));
	om_tree_append(&one, work, N);
	om_tree_init(&many);
	memcpy(work, leaf, sizeof(work));
	for (size_t step = 1; at < N; step = step * 3 % 101 + 1) {
		size_t n = step < N - at ? step : N - at;

		om_tree_append(&many, work + at, n);
		om_tree_frontier(&many, front);
		om_tree_load(&back, many.size, (const uint8_t(*)[32])front);
		om_tree_root(&many, a);
		om_tree_root(&back, b);
		assert_memory_equal(a, b, 32);
		at += n;
	}
	om_tree_root(&one, a);
	assert_memory_equal(a, b, 32);
}

static int cases;

static int get_hash(json_t *v, uint8_t out[32])
{
	const char *s = json_string_value(v);

	return s && om_b64_decode(s, strlen(s), out, 32) == 32;
}

static int get_proof(json_t *v, uint8_t proof[][32], size_t *n)
{
	*n = json_array_size(v);
	for (size_t i = 0; i < *n; i++)
		if (i >= 64 || !get_hash(json_array_get(v, i), proof[i]))
			return 0;
	return 1;
}

static uint64_t number(json_t *o, const char *key)
{
	/* one case holds 2^64 - 1, which jansson has no integer for */
	double v = json_real_value(json_object_get(o, key));

	return v >= 1e19 ? UINT64_MAX : (uint64_t)v;
}

static int run_case(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	static uint8_t proof[64][32];
	uint8_t h[3][32];
	json_error_t e;
	json_t *o;
	size_t n;
	int ok;

	if (type != FTW_F || !strstr(path, ".json"))
		return 0;
	o = json_load_file(path, JSON_DECODE_INT_AS_REAL, &e);
	if (!o)
		fail_msg("%s: %s", path, e.text);
	ok = get_proof(json_object_get(o, "proof"), proof, &n);
	if (json_object_get(o, "leafIdx"))
		ok = ok && get_hash(json_object_get(o, "leafHash"), h[0]) &&
		     get_hash(json_object_get(o, "root"), h[1]) &&
		     om_tree_check_inclusion(number(o, "leafIdx"), number(o, "treeSize"), h[0],
					     (const uint8_t(*)[32])proof, n, h[1]) == 0;
	else
		ok = ok && get_hash(json_object_get(o, "root1"), h[0]) &&
		     get_hash(json_object_get(o, "root2"), h[1]) &&
		     om_tree_check_consistency(number(o, "size1"), number(o, "size2"), h[0], h[1],
					       (const uint8_t(*)[32])proof, n) == 0;
	if (ok == json_is_true(json_object_get(o, "wantErr")))
		fail_msg("%s", path);
	json_decref(o);
	cases++;
	return 0;
}

static void test_proofs(void **state)
{
	if (!need("rfc6962-proofs/inclusion"))
		return;
	nftw(vectors("rfc6962-proofs/inclusion"), run_case, 16, FTW_PHYS);
	nftw(vectors("rfc6962-proofs/consistency"), run_case, 16, FTW_PHYS);
	print_message("# %d proofs\n", cases);
	assert_true(cases > 100);
}

/* Entry bundles hash to the roots of the signed checkpoints, which verify. */
static void test_tiles_log(void **state)
{
	char path[64], text[OM_NOTE_MAX];
	uint8_t bundle[8192], leaf[16][32], root[32];
	struct om_checkpoint c;
	struct om_note note;
	struct om_vkey k;
	struct om_tree t;
	size_t len, n, at;
	FILE *f;

	if (!need("tiles-log/vkey"))
		return;
	f = fopen(vectors("tiles-log/vkey"), "r");
	len = fread(text, 1, sizeof(text), f);
	fclose(f);
	while (len && text[len - 1] == '\n')
		len--;
	assert_int_equal(om_vkey_parse(text, len, &k), 0);
	for (unsigned int size = 0; size <= 15; size++) {
		snprintf(path, sizeof(path), "tiles-log/checkpoint.%u", size);
		f = fopen(vectors(path), "r");
		len = fread(text, 1, sizeof(text), f);
		fclose(f);
		assert_int_equal(om_note_parse(text, len, &note), 0);
		assert_int_equal(om_checkpoint_parse(note.body, note.body_len, &c), 0);
		assert_int_equal(om_note_verify(&note, k.name, strlen(k.name), k.pk), 1);
		assert_int_equal(c.size, size);
		om_tree_init(&t);
		snprintf(path, sizeof(path), "tiles-log/tile/entries/000.p/%u", size);
		f = size ? fopen(vectors(path), "r") : NULL;
		len = f ? fread(bundle, 1, sizeof(bundle), f) : 0;
		for (n = at = 0; at + 2 <= len; n++) {
			size_t l = (size_t)bundle[at] << 8 | bundle[at + 1];

			om_sha256_leaf(bundle + at + 2, l, leaf[n]);
			at += 2 + l;
		}
		if (f)
			fclose(f);
		om_tree_append(&t, leaf, n);
		om_tree_root(&t, root);
		assert_memory_equal(root, c.root, 32);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_roots),
		cmocka_unit_test(test_frontier),
		cmocka_unit_test(test_proofs),
		cmocka_unit_test(test_tiles_log),
	};

	return cmocka_run_group_tests_name("merkle", tests, NULL, NULL);
}
