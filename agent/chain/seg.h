/*
 * Segments: their names, and the header line that lets each be read alone.
 *
 * Comes in: the state of the log before a segment's first leaf. Goes out: one JSON line, and back.
 * Called by: the log, its recovery, verify, the reader. Never does: believe a header; whoever reads
 * one compares it with what it computed, or says that it did not.
 *
 * {"seg":{"boot":ID,"branes":{ID:[size,[[level,hash],...],prev,key],...},"commits":N,
 *  "drop":{"full":N,"rate":N,"ringbuf":N},"first":N,"frontier":[[level,hash],...],"mono":N,
 *  "next":KEY,"origin":O,"v":1}}     hashes and keys in base64; @node is among the branes
 */
#ifndef OMEGA_CHAIN_SEG_H
#define OMEGA_CHAIN_SEG_H

#include <stdbool.h>
#include <stdint.h>
#include "agent/chain/format/json.h"
#include "agent/chain/format/merkle.h"
#include "agent/chain/signer.h"

#define OM_SEG_NAME_LEN 16u /* "000000000000.log" */
#define OM_BOOT_ID_LEN	36u

struct om_seg_head {
	char boot[OM_BOOT_ID_LEN + 1];
	char origin[OM_ORIGIN_MAX + 1];
	uint64_t commits;
	uint64_t drop[3];
	int64_t mono;
	uint8_t next[32];	   /* must sign the first node note in the segment */
	struct om_tree tree;	   /* its size is "first" */
	struct om_json_val branes; /* walk with om_json_iter and om_seg_brane_parse */
};

struct om_seg_brane {
	char id[OM_BRANE_ID_MAX + 1];
	struct om_tree tree; /* its size is the next seq */
	uint8_t prev[32];
	uint8_t key[32]; /* zero for @node */
};

/* "%012u.log"; NAME has room for OM_SEG_NAME_LEN + 1. */
void om_seg_name(uint64_t first, char name[OM_SEG_NAME_LEN + 1]);
/* 1 and the number when NAME is a segment's. */
int om_seg_name_parse(const char *name, uint64_t *first);

/*
 * All segment numbers in STREAM_FD (a directory), ascending; *firsts is malloc'd. 0 or -errno.
 */
int om_seg_list(int stream_fd, uint64_t **firsts, size_t *n) OM_MUST_CHECK;

/*
 * Whether the LEN bytes at file offset OFF look like a write that lost whole sectors: there are runs
 * of NUL, and each starts and ends at a multiple of 512 (or at the end of P). Text has no NUL, so a
 * changed byte is never taken for a crash.
 */
bool om_seg_torn(const char *p, size_t len, uint64_t off);

/* Header in three steps: begin, each brane in byte order of its id, end (with LF). */
void om_seg_head_begin(struct om_out *o, const struct om_seg_head *h);
void om_seg_head_brane(struct om_out *o, const struct om_seg_brane *b, bool first);
void om_seg_head_end(struct om_out *o, const struct om_seg_head *h);

/* Reads the line without LF. 0 or -EBADMSG. H->branes points into LINE. */
int om_seg_head_parse(const char *line, size_t len, struct om_seg_head *h) OM_MUST_CHECK;
int om_seg_brane_parse(struct om_json_val key, struct om_json_val v, struct om_seg_brane *b)
	OM_MUST_CHECK;

#endif
