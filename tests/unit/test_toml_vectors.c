/*
 * All of toml-test that lies in ../shared/vectors and applies to TOML 1.0.0, twice: through the decoder
 * program with its JSON compared by meaning, and in this process with a manifest's own limits.
 */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <cmocka.h>
#include <jansson.h>

#include <omega/limits.h>

#include "policies/manifest/toml.h"

#define GROUPS_MAX 64
#define FILES_MAX  2048

static char *files[FILES_MAX]; /* relative names of the .toml files */
static size_t file_count, valid_count, invalid_count;
static char root[512], decoder[512];

static void path_of(char *buf, size_t size, const char *name, const char *extension)
{
	size_t stem = strlen(name) - strlen(".toml");

	snprintf(buf, size, "%s/%.*s%s", root, (int)stem, name, extension);
}

static char *read_file(const char *path, size_t *len)
{
	FILE *f = fopen(path, "re");
	char *data = calloc(1, OM_MANIFEST_BYTES_MAX + 1);

	if (!f || !data)
		fail_msg("cannot read %s", path);
	*len = fread(data, 1, OM_MANIFEST_BYTES_MAX, f);
	fclose(f);
	return data;
}

/* Seconds since 1970 in UTC and nanoseconds; local ones as if they were UTC. */
static int to_instant(const char *s, int64_t *seconds, long *ns)
{
	struct tm tm = {0};
	int n = 0, hours = 0, minutes = 0;
	char sign;

	if (sscanf(s, "%d-%d-%d%*1[Tt ]%d:%d:%d%n", &tm.tm_year, &tm.tm_mon, &tm.tm_mday,
		   &tm.tm_hour, &tm.tm_min, &tm.tm_sec, &n) != 6)
		return -1;
	tm.tm_year -= 1900;
	tm.tm_mon -= 1;
	*seconds = timegm(&tm);
	*ns = 0;
	if (s[n] == '.') {
		long unit = 100000000;

		for (n++; s[n] >= '0' && s[n] <= '9'; n++, unit /= 10)
			*ns += unit * (s[n] - '0');
	}
	s += n;
	if (*s == '\0' || !strcasecmp(s, "Z"))
		return *s != '\0';
	if (sscanf(s, "%c%2d:%2d", &sign, &hours, &minutes) != 3)
		return -1;
	*seconds -= (sign == '-' ? -1 : 1) * (hours * 3600 + minutes * 60);
	return 1;
}

static int same_scalar(const char *type, const char *a, const char *b)
{
	if (!strcmp(type, "float")) {
		double x = strtod(a, NULL), y = strtod(b, NULL);

		return isnan(x) ? isnan(y) : x == y && signbit(x) == signbit(y);
	}
	if (!strcmp(type, "datetime") || !strcmp(type, "datetime-local")) {
		int64_t s1, s2;
		long n1, n2;
		int k1 = to_instant(a, &s1, &n1), k2 = to_instant(b, &s2, &n2);

		return k1 >= 0 && k1 == k2 && k1 == !strcmp(type, "datetime") && s1 == s2 &&
		       labs(n1 - n2) < 500000;
	}
	return !strcmp(a, b);
}

static int same(const json_t *want, const json_t *have)
{
	const char *type, *key;
	json_t *value;
	size_t i;

	if (json_typeof(want) != json_typeof(have))
		return 0;
	if (json_is_array(want)) {
		if (json_array_size(want) != json_array_size(have))
			return 0;
		json_array_foreach (want, i, value) {
			if (!same(value, json_array_get(have, i)))
				return 0;
		}
		return 1;
	}
	if (!json_is_object(want))
		return json_equal(want, have);
	if (json_object_size(want) != json_object_size(have))
		return 0;
	type = json_string_value(json_object_get(want, "type"));
	if (type && json_is_string(json_object_get(want, "value"))) {
		json_t *a = json_object_get(want, "value"), *b = json_object_get(have, "value");
		const char *t = json_string_value(json_object_get(have, "type"));

		if (!t || strcmp(t, type) != 0 || !json_is_string(b))
			return 0;
		return !strcmp(type, "string")
			       ? json_equal(a, b)
			       : same_scalar(type, json_string_value(a), json_string_value(b));
	}
	json_object_foreach ((json_t *)want, key, value) {
		json_t *other = json_object_get(have, key);

		if (!other || !same(value, other))
			return 0;
	}
	return 1;
}

/* Runs the decoder on PATH; its standard output as text in *OUT, and whether it wrote an error. */
static int decode(const char *path, char **out, size_t *len, int *has_message)
{
	int fd = memfd_create("out", MFD_CLOEXEC), err = memfd_create("err", MFD_CLOEXEC);
	struct stat st;
	int status;
	pid_t pid;

	assert_true(fd >= 0 && err >= 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		int in = open(path, O_RDONLY | O_CLOEXEC);

		if (in < 0 || dup2(in, 0) < 0 || dup2(fd, 1) < 0 || dup2(err, 2) < 0)
			_exit(126);
		execl(decoder, "toml-decode", (char *)NULL);
		_exit(127);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(fstat(err, &st), 0);
	*has_message = st.st_size > 0;
	assert_int_equal(fstat(fd, &st), 0);
	*len = (size_t)st.st_size;
	*out = calloc(1, *len + 1);
	assert_non_null(*out);
	assert_int_equal(pread(fd, *out, *len, 0), (ssize_t)*len);
	close(fd);
	close(err);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* jansson has no keys with a NUL: in both texts another character takes its place. */
static json_t *load_json(char *text, size_t len)
{
	for (char *p = text; p < text + len; p++) {
		if (*p != '\\')
			continue;
		if (!strncmp(p, "\\u0000", 6))
			memcpy(p, "\\uf8ff", 6);
		p++;
	}
	return json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL);
}

static int check_decoder(const char *name, int is_valid)
{
	char path[1024], json[1024], *out, *text;
	int status, has_message, ok;
	json_t *want, *have;
	size_t len;

	path_of(path, sizeof(path), name, ".toml");
	status = decode(path, &out, &len, &has_message);
	if (!is_valid) {
		free(out);
		return status == 1 && len == 0 && has_message;
	}
	path_of(json, sizeof(json), name, ".json");
	have = load_json(out, len);
	text = read_file(json, &len);
	want = load_json(text, len);
	free(text);
	assert_non_null(want);
	ok = status == 0 && !has_message && have && same(want, have);
	json_decref(want);
	json_decref(have);
	free(out);
	return ok;
}

static int check_in_process(const char *name, int is_valid)
{
	struct om_toml *doc = NULL;
	struct om_diags diags;
	struct om_err err = {0};
	char path[1024], *data;
	size_t len;
	int ret;

	path_of(path, sizeof(path), name, ".toml");
	data = read_file(path, &len);
	om_diags_init(&diags);
	ret = om_toml_parse(data, len, &doc, &diags, &err);
	for (uint32_t i = 0; i < diags.count; i++)
		if (diags.items[i].pos.line == 0 || diags.items[i].pos.col == 0 ||
		    diags.items[i].id / 100 != 11)
			ret = 1;
	if (is_valid ? diags.errors != 0 : diags.errors == 0)
		ret = 1;
	om_diags_done(&diags);
	om_toml_free(doc);
	free(data);
	return is_valid ? ret == 0 : ret == -EINVAL;
}

static void group(void **state)
{
	const char *name = *state;
	size_t len = strlen(name), failed = 0, run = 0;
	int is_valid = !strncmp(name, "valid", 5);

	for (size_t i = 0; i < file_count; i++) {
		const char *slash = strrchr(files[i], '/');

		if ((size_t)(slash - files[i]) != len || strncmp(files[i], name, len) != 0)
			continue;
		run++;
		if (!check_in_process(files[i], is_valid)) {
			print_error("# %s: wrong verdict or finding in this process\n", files[i]);
			failed++;
		} else if (!check_decoder(files[i], is_valid)) {
			print_error("# %s: wrong output of %s\n", files[i], decoder);
			failed++;
		}
	}
	print_message("# %s: %zu files\n", name, run);
	assert_int_not_equal(run, 0);
	assert_int_equal(failed, 0);
}

static void nothing_there(void **state)
{
	print_message("# skipped: %s/files-toml-1.0.0 or %s is not there\n", root, decoder);
	skip();
}

/* The names in the list, and one test for each folder. */
static size_t load(struct CMUnitTest *tests)
{
	char path[1024], line[512];
	size_t n = 0;
	FILE *list;

	snprintf(path, sizeof(path), "%s/files-toml-1.0.0", root);
	list = fopen(path, "re");
	if (!list || access(decoder, X_OK) != 0) {
		if (list)
			fclose(list);
		return 0;
	}
	while (fgets(line, sizeof(line), list) && file_count < FILES_MAX) {
		size_t len = strcspn(line, "\r\n"), i = 0;
		char *folder;

		line[len] = '\0';
		if (len < 6 || strcmp(line + len - 5, ".toml") != 0 || !strchr(line, '/'))
			continue;
		files[file_count++] = strdup(line);
		valid_count += !strncmp(line, "valid/", 6);
		invalid_count += !strncmp(line, "invalid/", 8);
		*strrchr(line, '/') = '\0';
		while (i < n && strcmp(tests[i].name, line) != 0)
			i++;
		if (i < n || n == GROUPS_MAX)
			continue;
		folder = strdup(line);
		tests[n++] = (struct CMUnitTest){folder, group, NULL, NULL, folder};
	}
	fclose(list);
	return n;
}

int main(int argc, char **argv)
{
	struct CMUnitTest tests[GROUPS_MAX] = {cmocka_unit_test(nothing_there)};
	const char *vectors = getenv("OMEGA_VECTORS");
	char here[512];
	size_t n;
	int ret;

	snprintf(root, sizeof(root), "%s/toml-test", vectors ? vectors : "../shared/vectors");
	snprintf(here, sizeof(here), "%s", argv[0]);
	snprintf(decoder, sizeof(decoder), "%.480s/../../toml-decode", dirname(here));
	n = load(tests);
	if (n)
		print_message("# %zu valid and %zu invalid files of toml-test for 1.0.0\n",
			      valid_count, invalid_count);
	ret = _cmocka_run_group_tests("toml_vectors", tests, n ? n : 1, NULL, NULL);
	for (size_t i = 0; i < n; i++)
		free((char *)tests[i].name);
	for (size_t i = 0; i < file_count; i++)
		free(files[i]);
	return ret;
}
