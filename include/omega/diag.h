/*
 * Findings about a manifest: as many as there are, each with position, cause and remedy.
 *
 * Comes in: findings from the parser, the binder and the capabilities. Goes out: an array, worst
 * first once sorted, that omegactl renders as text or JSON. Called by: policies/, ctl, the compile
 * role. Never does: print, stop at the first finding, or grow past OM_DIAG_MAX (the last one then
 * says how many were dropped).
 */
#ifndef OMEGA_DIAG_H
#define OMEGA_DIAG_H

#include <stdint.h>
#include <omega/err.h>

enum om_severity {
	OM_SEV_ERROR = 0, /* refused, exit code 3 */
	OM_SEV_WARNING,	  /* accepted, a risk worth a sentence */
	OM_SEV_NOTE,
};

/* A place in the manifest. Lines and columns count from 1; columns and lengths count bytes. */
struct om_pos {
	uint32_t line; /* 0: no position */
	uint32_t col;
	uint32_t len; /* of the span to underline, 0 or 1: one column */
};

struct om_diag {
	enum om_severity severity;
	enum om_err_id id;
	struct om_pos pos;
	char message[256]; /* what was found and what was expected */
	char hint[256];	   /* what to write instead; empty: none */
};

struct om_diags {
	struct om_diag *items;
	uint32_t count;
	uint32_t cap;
	uint32_t errors;  /* how many of them are errors, dropped ones included */
	uint32_t dropped; /* findings past OM_DIAG_MAX or past memory */
};

void om_diags_init(struct om_diags *d);
void om_diags_done(struct om_diags *d);

/* Adds a finding. HINT may be NULL. Never fails: past the limit or memory it is counted instead. */
void om_diag_add(struct om_diags *d, enum om_severity sev, enum om_err_id id, struct om_pos pos,
		 const char *hint, const char *fmt, ...) OM_PRINTF(6, 7);

/* Worst first, then by position; stable. */
void om_diags_sort(struct om_diags *d);

/* The nearest of N words to WORD within an edit distance of a third of its length, or NULL. */
const char *om_nearest(const char *word, const char *const *words, size_t n);

#endif
