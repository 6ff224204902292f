/*
 * The capabilities: their descriptors are complete, and each way to be wrong is found where it
 * stands.
 *
 * tests/vectors/invalid/CASE.toml ends in comments `# expect OM1203 3:1`: exactly these findings,
 * warnings included, wherever they come in the list.
 */
#include <dirent.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include <omega/cap.h>
#include <omega/limits.h>
#include <policies/policy.h>
#include <policies/profiles/profile.h>
#include <policies/profiles/syscalls.h>

#define FOLDER "tests/vectors/invalid"

static char *read_file(const char *path, size_t *len)
{
	FILE *f = fopen(path, "re");
	char *buf = calloc(1, OM_MANIFEST_BYTES_MAX + 2);

	if (!f || !buf)
		fail_msg("cannot read %s", path);
	*len = fread(buf, 1, OM_MANIFEST_BYTES_MAX + 1, f);
	fclose(f);
	return buf;
}

/* Takes one finding of that id and place out of D; false if there is none. */
static bool take(struct om_diags *d, unsigned int id, unsigned int line, unsigned int col)
{
	for (uint32_t i = 0; i < d->count; i++) {
		if ((unsigned int)d->items[i].id != id || d->items[i].pos.line != line ||
		    d->items[i].pos.col != col)
			continue;
		memmove(&d->items[i], &d->items[i + 1], (d->count - i - 1) * sizeof(*d->items));
		d->count--;
		return true;
	}
	return false;
}

static int check_case(const char *path)
{
	struct om_policy *p = NULL;
	struct om_err err = {0};
	struct om_diags d;
	size_t len;
	char *text = read_file(path, &len), *at = text;
	int bad = 0, expected = 0;

	om_diags_init(&d);
	(void)!om_policy_compile(text, len, &p, &d, &err);
	/* Every finding has a place and every error a remedy or a reason of its own. */
	for (uint32_t i = 0; i < d.count; i++) {
		if (!d.items[i].pos.line || !d.items[i].pos.col || !d.items[i].pos.len ||
		    (!d.items[i].hint[0] && d.items[i].id >= OM_ERR_BIND_TYPE)) {
			print_error("%s: OM%d has no place or no remedy: %s\n", path,
				    (int)d.items[i].id, d.items[i].message);
			bad++;
		}
	}
	while ((at = strstr(at, "# expect OM"))) {
		unsigned int id, line, col;

		assert_int_equal(sscanf(at, "# expect OM%u %u:%u", &id, &line, &col), 3);
		if (!take(&d, id, line, col)) {
			print_error("%s: missing OM%u %u:%u\n", path, id, line, col);
			bad++;
		}
		expected++;
		at++;
	}
	for (uint32_t i = 0; i < d.count; i++) {
		print_error("%s: not expected: OM%d %u:%u %s | %s\n", path, (int)d.items[i].id,
			    d.items[i].pos.line, d.items[i].pos.col, d.items[i].message,
			    d.items[i].hint);
		bad++;
	}
	if (!expected) {
		print_error("%s: expects nothing\n", path);
		bad++;
	}
	om_policy_free(p);
	om_diags_done(&d);
	free(text);
	return bad;
}

static void test_invalid_vectors(void **state)
{
	DIR *dir = opendir(FOLDER);
	struct dirent *e;
	int bad = 0, n = 0;

	assert_non_null(dir);
	while ((e = readdir(dir))) {
		char path[600];

		if (!strstr(e->d_name, ".toml"))
			continue;
		snprintf(path, sizeof(path), FOLDER "/%s", e->d_name);
		bad += check_case(path);
		n++;
	}
	closedir(dir);
	assert_true(n >= 50);
	assert_int_equal(bad, 0);
}

static void check_fields(const struct om_cap *cap, const struct om_field *fields)
{
	for (const struct om_field *f = fields; f->key; f++) {
		bool nested = f->type == OM_FIELD_TABLE || f->type == OM_FIELD_TABLES ||
			      f->type == OM_FIELD_MIXED || f->type == OM_FIELD_NAMED;
		bool words = f->type == OM_FIELD_WORD || f->type == OM_FIELD_WORDS;

		if (!f->doc || !f->example || nested != (f->fields != NULL) ||
		    words != (f->words != NULL) || f->doc[strlen(f->doc) - 1] == '.')
			fail_msg("field %s of %s is not complete", f->key, cap->name);
		if (f->fields)
			check_fields(cap, f->fields);
	}
}

static void test_descriptors(void **state)
{
	const struct om_cap *cap;

	assert_true(om_registry_count() >= 13);
	for (uint32_t i = 0; (cap = om_registry_at(i)); i++) {
		assert_ptr_equal(om_registry_find(cap->name), cap);
		assert_non_null(cap->summary);
		assert_non_null(cap->table);
		/* Either it is refused by name, or it does something. */
		assert_true(cap->missing || cap->lower);
		assert_true(cap->fields[0].key);
		check_fields(cap, cap->fields);
	}
	assert_null(om_registry_at(om_registry_count()));
	assert_null(om_registry_find("nothing"));
	assert_string_equal(om_registry_field("network.egress", &cap)->key, "egress");
	assert_string_equal(cap->name, "network");
	assert_string_equal(om_registry_field("network.bandwidth.ingress", &cap)->key, "ingress");
	assert_string_equal(cap->name, "bandwidth");
	assert_string_equal(om_registry_field("image", &cap)->key, "image");
	assert_null(om_registry_field("network.", NULL));
	assert_null(om_registry_field("", NULL));
}

/* The examples in the field tables are what remedies print: each must be a manifest that binds. */
static void test_examples_bind(void **state)
{
	const struct om_cap *cap;
	char text[1024];

	for (uint32_t i = 0; (cap = om_registry_at(i)); i++) {
		for (const struct om_field *f = cap->fields; f->key; f++) {
			struct om_policy *p = NULL;
			struct om_diags d;
			struct om_err err;

			if (strcmp(f->key, "digest") == 0)
				continue;
			snprintf(text, sizeof(text), "[brane.x]\n%s%s%s%s%s = %s\n",
				 strcmp(f->key, "image") ? "image = \"host:\"\n" : "",
				 cap->table[0] ? "[brane.x." : "", cap->table,
				 cap->table[0] ? "]\n" : "", f->key, f->example);
			om_diags_init(&d);
			(void)!om_policy_compile(text, strlen(text), &p, &d, &err);
			for (uint32_t k = 0; k < d.count; k++)
				if (d.items[k].severity == OM_SEV_ERROR &&
				    d.items[k].id != OM_ERR_CAP_NOT_ENFORCEABLE &&
				    d.items[k].id != OM_ERR_CAP_COMMAND)
					fail_msg("%s: %s", text, d.items[k].message);
			om_policy_free(p);
			om_diags_done(&d);
		}
	}
}

static void test_explain(void **state)
{
	const struct om_cap *cap;
	struct om_err err = {0};
	char *text, topic[128];

	assert_int_equal(om_cap_explain("", &text, &err), 0);
	for (uint32_t i = 0; (cap = om_registry_at(i)); i++) {
		char *own;

		assert_non_null(strstr(text, cap->summary));
		assert_int_equal(om_cap_explain(cap->name, &own, &err), 0);
		for (const struct om_field *f = cap->fields; f->key; f++) {
			char *one;

			assert_non_null(strstr(own, f->doc));
			snprintf(topic, sizeof(topic), "%s%s%s", cap->table,
				 cap->table[0] ? "." : "", f->key);
			/* secrets and when are capability and field in one word. */
			assert_int_equal(om_cap_explain(topic, &one, &err), 0);
			assert_non_null(strstr(one, f->doc));
			free(one);
		}
		free(own);
	}
	free(text);
	assert_int_equal(om_cap_explain("network.egres", &text, &err), -ENOENT);
	assert_null(text);
	assert_int_equal(err.id, OM_ERR_USAGE);
	assert_non_null(strstr(err.text, "did you mean 'egress'?"));
}

static void test_profile(void **state)
{
	assert_int_equal(om_profile_nr("read"), 0);
	assert_int_equal(om_profile_nr("mlock2"), 325);
	assert_int_equal(om_profile_nr("mlock3"), -1);
	/* Calls of other architectures only. */
	assert_int_equal(om_profile_nr("cacheflush"), -1);
	assert_true(om_profile_allows("read"));
	assert_true(om_profile_allows("mmap"));
	assert_false(om_profile_allows("mlock2"));
	assert_false(om_profile_allows("bpf"));
	/* What is never granted must not be in the base profile either. */
	for (int nr = 0; nr <= OM_SYS_LAST; nr++)
		if (om_sys_name(nr) && om_profile_never(om_sys_name(nr)))
			assert_false(om_profile_allows(om_sys_name(nr)));
	assert_non_null(om_profile_never("bpf"));
	assert_null(om_profile_never("mlock2"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_descriptors),	cmocka_unit_test(test_examples_bind),
		cmocka_unit_test(test_explain),		cmocka_unit_test(test_profile),
		cmocka_unit_test(test_invalid_vectors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
