/*
 * Canonical JSON: RFC 8785 narrowed to strings, integers up to 2^53-1, booleans, arrays, objects.
 *
 * Comes in: values to write; or a (pointer, length) that claims to be canonical. Goes out: bytes; or
 * a yes or no, and single values. Called by: agent/chain, omegactl's readers. Never does: allocate,
 * accept a float, null, a duplicate or unsorted key, white space, a needless escape, invalid UTF-8,
 * or recurse deeper than OM_JSON_DEPTH_MAX.
 */
#ifndef OMEGA_CHAIN_JSON_H
#define OMEGA_CHAIN_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <omega/compiler.h>

#define OM_JSON_DEPTH_MAX 8u

struct om_data;

/* A bounded writer. Once OVER is set nothing more is written and the whole is to be thrown away. */
struct om_out {
	char *p;
	char *end;
	bool over;
};

void om_out_init(struct om_out *o, char *buf, size_t cap);
void om_out_raw(struct om_out *o, const void *p, size_t len);
void om_out_int(struct om_out *o, int64_t v);
/* A quoted, escaped string. TEXT must be valid UTF-8 (om_utf8_valid). */
void om_out_str(struct om_out *o, const char *text, size_t len);
/* A quoted base64 string. */
void om_out_b64(struct om_out *o, const void *p, size_t len);
#define om_out_lit(o, s) om_out_raw((o), "" s, sizeof(s) - 1)

/* The fields of D as one object, keys sorted (D is reordered). 0, or -EINVAL, -E2BIG, -EEXIST. */
int om_data_emit(struct om_data *d, struct om_out *o) OM_MUST_CHECK;

/* UTF-8 without overlong forms, surrogates, or values past U+10FFFF. */
bool om_utf8_valid(const void *p, size_t len);

/*
 * Reads one canonical value at the start of P and returns the bytes it takes, or -EBADMSG. DEPTH is
 * how many levels it may open.
 */
long om_json_scan(const char *p, size_t len, unsigned int depth) OM_MUST_CHECK;

/* Length of the JSON string (quotes included) at the start of P, or -EBADMSG. */
long om_json_scan_str(const char *p, size_t len) OM_MUST_CHECK;

/* True when all of P is one canonical value. */
bool om_json_canonical(const char *p, size_t len);

/* A value inside a canonical document: borrowed. */
struct om_json_val {
	const char *p;
	size_t len;
};

/* Walks the members of an object or the elements of an array, once. */
struct om_json_iter {
	const char *p;
	const char *end;
	char kind; /* '{' or '[' */
};

/* 0, or -EBADMSG when V is neither. */
int om_json_iter_init(struct om_json_iter *it, struct om_json_val v) OM_MUST_CHECK;
/*
 * 1 with the next value (and, in an object, its key, still quoted; KEY may be NULL); 0 at the end;
 * -EBADMSG.
 */
int om_json_iter_next(struct om_json_iter *it, struct om_json_val *key, struct om_json_val *v)
	OM_MUST_CHECK;

/* The value of KEY in OBJECT (not nested); -ENOENT when absent, -EBADMSG. */
int om_json_get(struct om_json_val object, const char *key, struct om_json_val *v) OM_MUST_CHECK;
/* How many members or elements, or -EBADMSG. */
int om_json_count(struct om_json_val v) OM_MUST_CHECK;

int om_json_int(struct om_json_val v, int64_t *out) OM_MUST_CHECK;
/* Unescapes a string into BUF (NUL-terminated). Length, or -EINVAL, -E2BIG. */
int om_json_str(struct om_json_val v, char *buf, size_t cap) OM_MUST_CHECK;
/* A base64 string of exactly LEN bytes. */
int om_json_b64(struct om_json_val v, uint8_t *out, size_t len) OM_MUST_CHECK;

#endif
