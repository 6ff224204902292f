/*
 * A capability: one table, or part of one, of the manifest, described once.
 *
 * Comes in: descriptors, one in each file of policies/caps/, collected by the Makefile into
 * gen/registry_list.h. Goes out: the binding with its unknown-key hints, `omegactl explain`,
 * completion, the field documentation, the grants. Called by: policies/manifest (bind),
 * policies/compile.c, policies/engine (suggest), ctl (explain). Never does: look at the host, keep
 * state, print.
 *
 * A new capability is one new file policies/caps/NAME.c that defines `const struct om_cap
 * om_cap_NAME`, and one folder of vectors. Several descriptors may contribute fields to one table.
 */
#ifndef OMEGA_CAP_H
#define OMEGA_CAP_H

#include <stdbool.h>
#include <stdint.h>
#include <omega/diag.h>
#include <omega/err.h>
#include <omega/ir.h>
#include <omega/request.h>

/* What a value must look like, and how the binder hands it over (struct om_value). */
enum om_field_type {
	OM_FIELD_STRING,  /* text */
	OM_FIELD_WORD,	  /* text, one of .words; num is its index */
	OM_FIELD_BOOL,	  /* num 0 or 1 */
	OM_FIELD_INT,	  /* num, .min to .max */
	OM_FIELD_SIZE,	  /* "64MiB": num in bytes, .min to .max */
	OM_FIELD_RATE,	  /* "20MiB/s", "10Mbit/s": num in bytes a second */
	OM_FIELD_CPU,	  /* "500m", 2, "1.5": num in thousandths of a core */
	OM_FIELD_STRINGS, /* items with text */
	OM_FIELD_WORDS,	  /* items with text and num, each one of .words */
	OM_FIELD_INTS,	  /* items with num */
	OM_FIELD_MIXED,	  /* items: strings, or tables with .fields */
	OM_FIELD_TABLES,  /* items: tables with .fields */
	OM_FIELD_TABLE,	  /* a table with .fields */
	OM_FIELD_MAP,	  /* items: free keys with text */
	OM_FIELD_NAMED,	  /* items: free keys, each a table with .fields */
};

/* One key. An array of them ends with .key == NULL. All strings are literals. */
struct om_field {
	const char *key;
	enum om_field_type type;
	bool required;
	const char *doc;     /* one sentence, without a full stop */
	const char *dflt;    /* what holds without the key, for people; NULL: nothing is granted */
	const char *example; /* a TOML value, used in remedies: `["/etc/api/"]` */
	const char *const *words; /* OM_FIELD_WORD(S), ends with NULL */
	uint64_t min, max;	  /* numbers; both 0: any */
	const struct om_field *fields;
	const char *missing; /* the layer that is not built, without which this key is refused */
};

/* A bound value. Everything it points to lives as long as the binding. */
struct om_value {
	const struct om_field *field; /* the field it was bound to; of an item, its list's */
	const char *key;	      /* as written; NULL for items of a list */
	struct om_pos key_pos;	      /* of an item of a list: its pos */
	struct om_pos pos;
	const char *text; /* valid UTF-8 without NUL; NULL if the value is not text */
	uint64_t num;
	struct om_value *items; /* of a list, a map or a table, in the manifest's order */
	uint32_t count;
};

/* One brane's way through the compiler. */
struct om_cap_ctx {
	struct om_ir *ir;
	struct om_diags *diags;
	int ret; /* a negative errno once memory or the IR's limit is exhausted */
};

struct om_cap {
	const char *name;    /* as in `omegactl explain NAME`; the file's name */
	const char *table;   /* its fields stand in [brane.X.TABLE]; "": in [brane.X] itself */
	const char *summary; /* one sentence, without a full stop */
	const char *explain; /* paragraphs for `omegactl explain`, or NULL */
	const char *missing; /* the layer that is not built: every use is refused with this name */
	uint32_t layers; /* OM_LAYER_*: each alone enforces it; 0: no grant, nothing to enforce */
	const struct om_field *fields;

	/*
	 * All take the bound table (NULL if the manifest has none) and may be NULL themselves.
	 * check: findings about values that the field table cannot express. lower: values into
	 * grants, and findings about single items; not called if check or the binding found errors
	 * in this capability. review: errors that need all grants, and risks; TABLE as for lower;
	 * called once the IR is normalised, only if nothing before was an error.
	 */
	void (*check)(struct om_cap_ctx *ctx, const struct om_value *table);
	void (*lower)(struct om_cap_ctx *ctx, const struct om_value *table);
	void (*review)(struct om_cap_ctx *ctx, const struct om_value *table);

	/*
	 * True if a line of this capability would grant REQ: fills OUT->rule, and OUT->suggestion
	 * with that line unless no line may ever grant it.
	 */
	bool (*suggest)(const char *brane, const struct om_request *req, struct om_verdict *out);
};

/* --- the registry, in the order of the file list --- */

uint32_t om_registry_count(void);
const struct om_cap *om_registry_at(uint32_t i); /* NULL past the end */
const struct om_cap *om_registry_find(const char *name);
/* "network.egress", "image" or "bandwidth.egress" (by capability): the field, or NULL. */
const struct om_field *om_registry_field(const char *topic, const struct om_cap **cap);

/*
 * The text of `omegactl explain TOPIC`: a capability, a table, a field of either, or "" for the
 * list of all. *TEXT is malloc'd. OM_ERR_USAGE (-ENOENT) for an unknown topic, with the nearest
 * known one.
 */
int om_cap_explain(const char *topic, char **text, struct om_err *err) OM_MUST_CHECK;

/* "string", "array of strings", ... : the type as people read it. */
const char *om_field_type_name(enum om_field_type type);

/* --- for descriptors --- */

/* The value of KEY in TABLE, or NULL; TABLE may be NULL. */
const struct om_value *om_value_get(const struct om_value *table, const char *key);
/* The text or number of KEY, or DFLT when the key is not there. */
const char *om_value_text(const struct om_value *table, const char *key, const char *dflt);
uint64_t om_value_num(const struct om_value *table, const char *key, uint64_t dflt);

#define om_value_for_each(v, list)                                          \
	for (const struct om_value *v = (list) ? (list)->items : NULL,      \
				   *v##_end = v ? v + (list)->count : NULL; \
	     v != v##_end; v++)

/*
 * Writes `[brane.BRANE.TABLE] KEY = ["TEXT"]` (TABLE "" for the brane's own keys; TEXT escaped for
 * TOML) into OUT->suggestion, and "TABLE.KEY" into OUT->rule. A line that does not fit is left out
 * whole: half a line would grant something else.
 */
void om_suggest_list(struct om_verdict *out, const char *brane, const char *table, const char *key,
		     const char *text);

#endif
