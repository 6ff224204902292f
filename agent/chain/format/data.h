/*
 * What a record says: the `data` object, built from typed fields, never from text.
 *
 * Comes in: fields in any order. Goes out: an RFC 8785 object with sorted keys. Called by: whoever
 * appends to the log (om_log_append) and the log itself. Never does: copy values (every pointer is
 * borrowed until om_log_append returns), allocate, or emit a float or a null.
 *
 *     struct om_data d;
 *     om_data_init(&d);
 *     om_data_word(&d, "act", "deny");
 *     om_data_bytes(&d, "obj", path, path_len);
 *     om_data_int(&d, "pid", pid);
 *     om_data_id(&d, "cgroup", cgroup_id);
 *     ret = om_log_append(log, brane, "file.open", &d, 0, &err);
 *
 * Mistakes (a key out of [a-z0-9_]{1,31}, two equal keys, too many fields, an integer past 2^53-1)
 * stick in the builder and make the append fail with OM_ERR_LOG_RECORD; no call needs checking.
 */
#ifndef OMEGA_CHAIN_DATA_H
#define OMEGA_CHAIN_DATA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <omega/compiler.h>

#define OM_DATA_FIELDS_MAX 32u
#define OM_DATA_KEY_MAX	   31u
/*
 * A longer value is cut there (at a character boundary when it is UTF-8) and the key with "_cut"
 * added gives its full length: a path of PATH_MAX fits, a crafted argument cannot make an event
 * unrecordable. Past OM_DATA_ROOM of values in one record the later values are cut harder.
 */
#define OM_DATA_VALUE_MAX 4096u
#define OM_DATA_ROOM	  10240u
#define OM_INT_MAX	  9007199254740991LL /* 2^53-1, the largest integer of RFC 8785 */

enum om_data_type {
	OM_DATA_BYTES,
	OM_DATA_INT,
	OM_DATA_BOOL,
	OM_DATA_ID,
	OM_DATA_JSON,
	OM_DATA_LIST,
	OM_DATA_B64,
};

struct om_data_field {
	const char *key;
	uint8_t klen;
	uint8_t type;	/* enum om_data_type */
	uint8_t suffix; /* 0, 'b' for "_b64", 'c' for "_cut" */
	const void *p;	/* bytes, JSON, or const char *const * */
	size_t len;	/* bytes, or elements of a list */
	int64_t i;
};

struct om_data {
	struct om_data_field f[OM_DATA_FIELDS_MAX];
	uint32_t n;
	uint32_t used; /* bytes of values so far */
	int error;     /* 0 or the first -errno */
};

void om_data_init(struct om_data *d);
/* Text that ends in NUL. NULL adds nothing. */
void om_data_word(struct om_data *d, const char *key, const char *text);
/* Bytes from anywhere: UTF-8 becomes a string, all else base64 under KEY_b64. */
void om_data_bytes(struct om_data *d, const char *key, const void *p, size_t len);
/* |v| <= 2^53-1. */
void om_data_int(struct om_data *d, const char *key, int64_t v);
void om_data_bool(struct om_data *d, const char *key, bool v);
/* A 64-bit id (cgroup, inode): a decimal string, since JSON readers lose bits past 2^53. */
void om_data_id(struct om_data *d, const char *key, uint64_t v);
/* Base64 under KEY itself (keys, hashes). */
void om_data_b64(struct om_data *d, const char *key, const void *p, size_t len);
/* N texts; each must be UTF-8 (others make the record fail). */
void om_data_list(struct om_data *d, const char *key, const char *const *texts, size_t n);
/* A nested value that is canonical JSON already (checked when the record is made). */
void om_data_json(struct om_data *d, const char *key, const char *json, size_t len);

#endif
