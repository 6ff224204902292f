/*
 * Fuzzer of the TOML parser.
 *
 * Comes in: bytes from libFuzzer; ../shared/vectors/toml-test is a good corpus. Goes out: a trap when an
 * invariant breaks. Called by: make fuzz. Never does: judge whether a file is valid TOML; that is what
 * the vectors are for.
 */
#include <errno.h>
#include <stdint.h>
#include <string.h>

#include <omega/limits.h>

#include "policies/manifest/toml.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(c)                          \
	do {                              \
		if (!(c))                 \
			__builtin_trap(); \
	} while (0)

struct walk {
	const char *data;
	size_t size;
	uint32_t lines;
	uint32_t keys;
	uint64_t nodes;
};

/* Bytes of line LINE, its end not counted. */
static size_t line_len(const struct walk *w, uint32_t line)
{
	const char *p = w->data, *end = w->data + w->size, *stop;

	while (--line) {
		p = memchr(p, '\n', end - p);
		CHECK(p);
		p++;
	}
	stop = memchr(p, '\n', end - p);
	return (size_t)((stop ? stop : end) - p);
}

static void check_pos(const struct walk *w, struct om_pos pos)
{
	size_t len;

	CHECK(pos.line >= 1 && pos.line <= w->lines && pos.col >= 1);
	/* Looking for the line is quadratic: small inputs only. */
	if (w->size > 4096)
		return;
	len = line_len(w, pos.line);
	CHECK(pos.col <= len + 1);
	CHECK(pos.col - 1 + pos.len <= OM_MAX(len, (size_t)pos.col));
}

static void check_str(struct om_toml_str s)
{
	CHECK(s.ptr && s.ptr[s.len] == '\0');
}

static void check_node(struct walk *w, const struct om_toml_node *n, uint32_t depth)
{
	uint32_t count = 0;

	w->nodes++;
	CHECK(n->depth == depth && depth <= OM_MANIFEST_DEPTH_MAX + 1);
	check_pos(w, n->pos);
	switch (n->type) {
	case OM_TOML_STRING:
		check_str(n->string);
		break;
	case OM_TOML_ARRAY:
		CHECK(depth <= OM_MANIFEST_DEPTH_MAX);
		for (uint32_t i = 0; i < n->array.count; i++)
			check_node(w, n->array.items[i], depth + 1);
		break;
	case OM_TOML_TABLE:
		CHECK(depth <= OM_MANIFEST_DEPTH_MAX);
		om_toml_for_each(e, n)
		{
			count++;
			w->keys++;
			check_str(e->key);
			check_pos(w, e->key_pos);
			/* Also proves that no two keys are equal. */
			CHECK(om_toml_find(n, e->key.ptr, e->key.len) == e);
			check_node(w, e->value, depth + 1);
		}
		CHECK(count == n->table.count);
		break;
	case OM_TOML_BOOL:
	case OM_TOML_INTEGER:
	case OM_TOML_FLOAT:
		break;
	case OM_TOML_OFFSET_DATETIME:
	case OM_TOML_LOCAL_DATETIME:
	case OM_TOML_LOCAL_DATE:
	case OM_TOML_LOCAL_TIME:
		CHECK(n->datetime.month <= 12 && n->datetime.day <= 31 && n->datetime.hour <= 23);
		CHECK(n->datetime.nanosecond <= 999999999);
		break;
	}
}

static void check_findings(const struct walk *w, const struct om_diags *diags)
{
	for (uint32_t i = 0; i < diags->count; i++) {
		const struct om_diag *d = &diags->items[i];

		CHECK(d->severity == OM_SEV_ERROR && d->id / 100 == 11 && d->message[0]);
		check_pos(w, d->pos);
		for (const char *c = d->message; *c; c++)
			CHECK((unsigned char)*c >= 0x20 && *c != 0x7f);
		for (const char *c = d->hint; *c; c++)
			CHECK((unsigned char)*c >= 0x20 && *c != 0x7f);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct walk w = {.data = (const char *)data, .size = size, .lines = 1};
	struct om_toml_limits limits = om_toml_limits_manifest();
	struct om_toml *doc = NULL;
	struct om_diags diags;
	struct om_err err = {0};
	uint64_t work = 0;
	int ret;

	for (size_t i = 0; i < size; i++)
		w.lines += data[i] == '\n';
	limits.work = &work;
	om_diags_init(&diags);
	ret = om_toml_parse_limited(w.data, size, &limits, &doc, &diags, &err);
	CHECK(ret == 0 || ret == -EINVAL || ret == -E2BIG);
	CHECK((ret == 0) == (doc != NULL) && (ret == 0) == (diags.errors == 0));
	CHECK((ret == 0) == (err.id == OM_ERR_NONE));
	CHECK(work <= 16 * (uint64_t)size + 64);
	check_findings(&w, &diags);
	if (doc) {
		CHECK(om_toml_root(doc)->type == OM_TOML_TABLE);
		check_node(&w, om_toml_root(doc), 0);
		CHECK(w.keys <= OM_MANIFEST_KEYS_MAX && w.nodes <= size + 1);
	}
	om_toml_free(doc);
	om_diags_done(&diags);
	return 0;
}
