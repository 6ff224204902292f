/*
 * TOML 1.0.0, read strictly into a tree in which every key and every value keeps its position.
 *
 * Comes in: the bytes of one manifest. Goes out: an immutable tree, or findings. Called by: the binder,
 * the importers, toml-decode. Never does: accept TOML 1.1, guess, recurse deeper than the depth limit,
 * take more than linear time, or return a tree for a file in which it found an error.
 */
#ifndef OMEGA_TOML_H
#define OMEGA_TOML_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <omega/diag.h>
#include <omega/err.h>

enum om_toml_type {
	OM_TOML_STRING = 0,
	OM_TOML_INTEGER,
	OM_TOML_FLOAT,
	OM_TOML_BOOL,
	OM_TOML_OFFSET_DATETIME,
	OM_TOML_LOCAL_DATETIME,
	OM_TOML_LOCAL_DATE,
	OM_TOML_LOCAL_TIME,
	OM_TOML_ARRAY,
	OM_TOML_TABLE,
};

/* Valid UTF-8 that may contain NUL (from \u0000), hence the length. A NUL follows ptr[len]. */
struct om_toml_str {
	const char *ptr;
	size_t len;
};

/* RFC 3339. Fields that the type does not have are 0. A second of 60 is a leap second. */
struct om_toml_datetime {
	uint16_t year; /* 0 to 9999 */
	uint8_t month, day, hour, minute, second;
	uint32_t nanosecond; /* further digits of the fraction are cut off, as the spec demands */
	int16_t offset_minutes; /* east of UTC, -1439 to 1439 */
};

struct om_toml_node;
struct om_toml_branch;
struct om_toml;

struct om_toml_entry {
	struct om_toml_str key;
	struct om_pos key_pos; /* of this part of the key, quotes included */
	struct om_toml_node *value;
	struct om_toml_entry *next; /* in the order of the file, or NULL */
};

struct om_toml_array {
	struct om_toml_node **items;
	uint32_t count;
	uint32_t cap; /* private */
};

struct om_toml_table {
	struct om_toml_entry *first, *last;
	struct om_toml_branch *index; /* private: see om_toml_get */
	uint32_t count;
};

struct om_toml_node {
	enum om_toml_type type;
	uint8_t origin; /* private: which rules for re-opening apply */
	uint16_t depth; /* tables and arrays above this one; the root has 0 */
	/*
	 * A value: its text (up to the end of the line). A table or array of tables from a header: the
	 * header. A table that only a longer name implies: that part of the name.
	 */
	struct om_pos pos;
	union {
		struct om_toml_str string;
		int64_t integer;
		double real;
		bool boolean;
		struct om_toml_datetime datetime;
		struct om_toml_array array;
		struct om_toml_table table;
	};
};

struct om_toml_limits {
	size_t bytes;	/* of input */
	uint32_t depth; /* tables and arrays inside one another, at most OM_TOML_DEPTH_CAP */
	uint32_t keys; /* in the whole file, every part of a dotted key that makes a table counts */
	uint64_t *work; /* if not NULL: steps taken, so that a test can prove linear time */
};

/* The parser recurses once per level of nested values: this bounds its stack whatever a caller asks. */
#define OM_TOML_DEPTH_CAP 512u

/* The limits of a manifest: OM_MANIFEST_*_MAX. */
struct om_toml_limits om_toml_limits_manifest(void);

/*
 * Parses LEN bytes at DATA, which need not end in NUL and may be freed afterwards. On success *OUT is
 * the tree, to be freed with om_toml_free, and DIAGS is unchanged. On failure *OUT is NULL, ERR has
 * the first error, and unless memory ran out DIAGS (not NULL, initialised) gained at least one error:
 * parsing goes on behind an error, so that one run shows many. -EINVAL: not valid TOML; -E2BIG: past
 * a limit; -ENOMEM. Ids: OM_ERR_TOML_*, OM_ERR_NOMEM.
 */
int om_toml_parse(const char *data, size_t len, struct om_toml **out, struct om_diags *diags,
		  struct om_err *err) OM_MUST_CHECK;

/* As above with other limits than a manifest's. */
int om_toml_parse_limited(const char *data, size_t len, const struct om_toml_limits *limits,
			  struct om_toml **out, struct om_diags *diags, struct om_err *err)
	OM_MUST_CHECK;

/* Frees the tree and all that was reached through it. NULL is allowed. */
void om_toml_free(struct om_toml *t);
/* OM_CLEANUP(om_toml_freep) struct om_toml *t = NULL; */
static inline void om_toml_freep(struct om_toml **t)
{
	om_toml_free(*t);
}

/* The root table; never NULL. */
const struct om_toml_node *om_toml_root(const struct om_toml *t);

/* The entry of TABLE called KEY, or NULL; NULL too if TABLE is NULL or not a table. */
const struct om_toml_entry *om_toml_find(const struct om_toml_node *table, const char *key,
					 size_t len);
/* The value of the NUL-terminated KEY in TABLE, or NULL. */
const struct om_toml_node *om_toml_get(const struct om_toml_node *table, const char *key);

/* Whether S is exactly the NUL-terminated TEXT. A string with a NUL inside never is. */
bool om_toml_str_is(struct om_toml_str s, const char *text);
/* Whether S has a NUL inside, so that handing its pointer to a C string function would cut it. */
bool om_toml_str_has_nul(struct om_toml_str s);

/* "a string", "an integer", "a table", ... for messages. */
const char *om_toml_type_name(enum om_toml_type type);

/* for (const struct om_toml_entry *E in the order of the file); NODE must be a table. */
#define om_toml_for_each(e, node) \
	for (const struct om_toml_entry *e = (node)->table.first; e; e = e->next)

#endif
