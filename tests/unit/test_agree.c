/*
 * Two of the three ways: for each vector of tests/vectors/manifests the interpreter, the simulated
 * artifacts and the expected verdict are the same. (The live kernel is asked in tests/live.)
 *
 * A vector is CAPABILITY/CASE/{brane.toml,requests}; a line of requests is `file.read /x -> allow`.
 */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include <omega/compiler.h>
#include <policies/policy.h>

#define FOLDER "tests/vectors/manifests"

static unsigned int cases, requests, refused;

static size_t read_file(const char *path, char *buf, size_t size)
{
	FILE *f = fopen(path, "re");
	size_t n;

	if (!f)
		fail_msg("cannot read %s", path);
	n = fread(buf, 1, size - 1, f);
	buf[n] = '\0';
	fclose(f);
	return n;
}

static void check_line(const char *where, const struct om_ir *ir, const struct om_bundle *b,
		       char *line)
{
	char *arrow = strstr(line, " -> ");
	struct om_sim_result sim;
	struct om_request req;
	struct om_verdict v;
	bool want;

	if (!arrow)
		fail_msg("%s: no verdict in: %s", where, line);
	want = strcmp(arrow + 4, "allow") == 0;
	*arrow = '\0';
	assert_int_equal(om_request_parse(line, strlen(line), &req, NULL), 0);
	om_engine_decide(ir, &req, &v);
	om_sim_decide(b, &req, &sim);
	if (v.allow != want || sim.allow != want)
		fail_msg("%s: %s: expected %d, interpreter %d, artifacts %d (%s, asked %x)", where,
			 line, want, v.allow, sim.allow, om_where_name(sim.where), sim.asked);
	/* Denied by nobody in particular would be a record without a layer. */
	assert_int_equal(sim.allow, sim.where == OM_WHERE_NONE);
	requests++;
}

static void check_ir(const char *where, const struct om_ir *ir, char *text)
{
	OM_CLEANUP(om_free_ptr) uint8_t *data = NULL;
	struct om_err err = {0};
	struct om_bundle b;
	char *save = NULL;
	size_t len;

	if (om_emit_bundle(ir, &data, &len, &err)) {
		/* The one thing that is accepted and not emitted; anything else is a failure. */
		if (err.id != OM_ERR_CAP_NOT_ENFORCEABLE || !strstr(err.text, "limits.io"))
			fail_msg("%s: %s", where, err.text);
		print_message("# %s is refused: %s\n", where, err.text);
		refused++;
		return;
	}
	assert_int_equal(om_bundle_open(data, len, &b, NULL), 0);
	for (char *l = strtok_r(text, "\n", &save); l; l = strtok_r(NULL, "\n", &save))
		if (*l != '#')
			check_line(where, ir, &b, l);
}

static void check_case(const char *folder)
{
	OM_CLEANUP(om_free_ptr) char *text = malloc(OM_MANIFEST_BYTES_MAX);
	struct om_policy *p = NULL;
	struct om_err err = {0};
	struct om_diags d;
	char path[1400];
	size_t len;

	assert_non_null(text);
	snprintf(path, sizeof(path), "%s/brane.toml", folder);
	len = read_file(path, text, OM_MANIFEST_BYTES_MAX);
	om_diags_init(&d);
	if (om_policy_compile(text, len, &p, &d, &err) < 0)
		fail_msg("%s: %s", path, err.text);
	snprintf(path, sizeof(path), "%s/requests", folder);
	(void)read_file(path, text, OM_MANIFEST_BYTES_MAX);
	check_ir(folder, om_policy_ir(p, 0), text);
	om_policy_free(p);
	om_diags_done(&d);
	cases++;
}

static void each(const char *folder, void (*fn)(const char *))
{
	DIR *dir = opendir(folder);
	struct dirent *e;

	if (!dir)
		return;
	while ((e = readdir(dir))) {
		char path[1300];

		if (e->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/%s", folder, e->d_name);
		fn(path);
	}
	closedir(dir);
}

static void check_capability(const char *folder)
{
	each(folder, check_case);
}

static void vectors_agree(void **state)
{
	each(FOLDER, check_capability);
	if (!cases) {
		print_message("# skipped: no vectors in " FOLDER "\n");
		skip();
	}
	print_message("# %u manifests, %u requests, %u refused\n", cases, requests, refused);
	assert_true(requests > cases);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(vectors_agree),
	};

	return cmocka_run_group_tests_name("agree", tests, NULL, NULL);
}
