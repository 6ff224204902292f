/*
 * Records: the eight-key envelope, and the data of a commit record.
 *
 * Comes in: parts, or a line that claims to be a record. Goes out: a line (without LF), or its parts.
 * Called by: the log, the signer, verify, the reader. Never does: allocate, look at a tree.
 */
#ifndef OMEGA_CHAIN_RECORD_H
#define OMEGA_CHAIN_RECORD_H

#include "agent/chain/format/b64.h"
#include "agent/chain/format/data.h"
#include "agent/chain/format/json.h"
#include "agent/chain/signer.h"

#define OM_KIND_MAX  31u
#define OM_NODE_NAME "@node"

/* A parsed line; every pointer is into the line. */
struct om_record {
	const char *brane; /* "@node", or tenant/name#instance */
	const char *kind;
	const char *prev; /* OM_B64_HASH characters */
	struct om_json_val data;
	uint32_t brane_len;
	uint32_t kind_len;
	int64_t mono; /* CLOCK_BOOTTIME us at append */
	uint64_t seq;
	int64_t time; /* CLOCK_REALTIME us */
};

/* What goes into a line. DATA may be NULL for {}. */
struct om_record_parts {
	const char *brane;
	const char *kind;
	size_t brane_len;
	size_t kind_len;
	struct om_data *data;
	int64_t mono;
	uint64_t seq;
	int64_t time;
	const uint8_t *prev; /* 32 bytes */
};

/* Writes the line; -EINVAL, -E2BIG (past OM_RECORD_MAX or the buffer), -EEXIST. */
int om_record_emit(const struct om_record_parts *p, struct om_out *o) OM_MUST_CHECK;

/* Reads a line without LF: 0, or -EBADMSG unless it is exactly what om_record_emit would write. */
int om_record_parse(const char *line, size_t len, struct om_record *r) OM_MUST_CHECK;

static inline bool om_record_is(const struct om_record *r, const char *kind)
{
	return r->kind_len == __builtin_strlen(kind) &&
	       !__builtin_memcmp(r->kind, kind, r->kind_len);
}

bool om_kind_valid(const char *kind, size_t len);
/* @node, or tenant/name#instance and name#instance of [a-z0-9._-]. */
bool om_brane_id_valid(const char *id, size_t len);

struct om_commit {
	uint64_t drop[3]; /* full, rate, ringbuf: cumulative */
	uint8_t heads[32];
	uint8_t next[32];
	uint64_t n;	 /* leaves of the batch, the commit itself not counted */
	uint64_t nheads; /* branes touched */
};

int om_commit_parse(struct om_json_val data, struct om_commit *c) OM_MUST_CHECK;
/* Adds the five fields to D; DROPBUF (64 bytes) and C must live until the record is made. */
#define OM_COMMIT_DROP_MAX 96u
void om_commit_fields(struct om_data *d, const struct om_commit *c,
		      char dropbuf[OM_COMMIT_DROP_MAX]);

/* "2026-11-21T23:53:05.467953Z", 27 characters; US from 0 to year 9999. */
#define OM_TIME_LEN 27u
void om_time_format(int64_t us, char out[OM_TIME_LEN]);
int om_time_parse(const char *p, size_t len, int64_t *us) OM_MUST_CHECK;

#endif
