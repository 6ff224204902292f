/*
 * Helpers for tests of the audit log: scratch directories, a log to write, its lines to edit.
 *
 * Comes in: calls of test_chain*.c. Goes out: open logs, edited copies. Called by: tests only. Never
 * does: judge; every failure of a helper fails the test.
 */
#ifndef OMEGA_TEST_CHAIN_FIXTURE_H
#define OMEGA_TEST_CHAIN_FIXTURE_H

#include "agent/chain/log.h"
#include "agent/chain/reader.h"
#include "agent/chain/verify.h"

#define FIX_ORIGIN "node7.example/omega"

struct fix {
	char dir[64]; /* holds state/ run/ audit/ */
	int state_fd, run_fd, audit_fd;
	struct om_signer *signer;
	struct om_log *log;
	struct om_log_options opt;
	char vkey[512];
};

void fix_make(struct fix *f);
void fix_free(struct fix *f); /* removes the directory */
void fix_open(struct fix *f); /* signer and log */
void fix_close(struct fix *f);
/* Ends both as kill -9 would: memory gone, nothing written. */
void fix_crash(struct fix *f);
uint32_t fix_brane(struct fix *f, const char *name, const char *instance);
/* One denial; number I varies the content. */
void fix_event(struct fix *f, uint32_t brane, int i);
void fix_commit(struct fix *f);
void fix_verify(struct fix *f, const struct om_verify_options *opt, struct om_verify_result *res);
/* The exit code of a plain verification with the pinned key; prints findings when not EXPECT. */
void fix_expect_exit(struct fix *f, int expect);

/* A log's files in memory, split into lines. */
enum fix_kind { FIX_HEADER, FIX_RECORD, FIX_NOTE, FIX_BRANE_NOTE };

struct fix_line {
	uint32_t seg;
	enum fix_kind kind;
	size_t off, len; /* LF included */
	uint64_t leaf;	 /* of a record; of a note: the next record's */
};

struct fix_seg {
	char name[24];
	char *p;
	size_t len;
};

struct fix_text {
	struct fix_seg seg[64];
	uint32_t n_seg;
	struct fix_line *line;
	size_t n;
};

void fix_load(struct fix *f, struct fix_text *t);
void fix_store(struct fix *f, const struct fix_text *t);
void fix_text_free(struct fix_text *t);
/* Replaces DEL bytes at OFF of segment SEG by LEN bytes. */
void fix_splice(struct fix_text *t, uint32_t seg, size_t off, size_t del, const void *p,
		size_t len);
const char *fix_at(const struct fix_text *t, size_t i);
/* Index of the N-th line (from 0) that contains NEEDLE and is of KIND. */
size_t fix_find(const struct fix_text *t, enum fix_kind kind, const char *needle, int n);

#endif
