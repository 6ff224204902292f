/*
 * What omegactl prints, and how.
 *
 * Comes in: texts from manifests, the log and workloads; rows; JSON values. Goes out: stdout (the
 * result) and stderr (messages). Called by: the verbs. Never does: let text from elsewhere reach the
 * terminal raw (a workload that names a file with an escape sequence must not rewrite the auditor's
 * screen), colour what is no terminal, or build JSON from text.
 */
#ifndef OMEGA_CTL_OUT_H
#define OMEGA_CTL_OUT_H

#include <jansson.h>
#include <stddef.h>
#include <stdio.h>
#include "agent/ctl/lib/ctl.h"

/* --- text from elsewhere --- */

/*
 * Writes LEN bytes with control characters, bidi controls, other invisible characters and invalid UTF-8
 * made visible (\x1b, \u202e). Returns the columns used.
 */
size_t om_ctl_put(FILE *f, const char *text, size_t len);
/* The same as a new string (malloc'd); NULL without memory. */
char *om_ctl_clean(const char *text) OM_MUST_CHECK;

enum ctl_color { CTL_PLAIN, CTL_BOLD, CTL_RED, CTL_GREEN, CTL_YELLOW, CTL_DIM };
/* The escape sequence that starts COLOR ("" when OFF), and the one that ends it. */
const char *om_ctl_color(bool on, enum ctl_color color);
const char *om_ctl_uncolor(bool on);

/* --- messages on stderr --- */

/* "omegactl: error[OM3106]: text: detail" and, where there is one, the remedy on a line of its own. */
void om_ctl_error(const struct om_ctl *ctl, const struct om_err *err);
/* Prints ERR and returns its exit code. */
int om_ctl_fail(const struct om_ctl *ctl, const struct om_err *err);
/* What to do about an error, or NULL. */
const char *om_ctl_remedy(enum om_err_id id);

/* --- tables: columns as wide as their widest cell, two blanks between --- */

#define CTL_COLUMNS_MAX 10u
struct om_table {
	char **cells;
	uint32_t columns, count, cap;
	bool failed; /* no memory: nothing is printed but an error */
};

/* HEADS: COLUMNS texts. */
void om_table_init(struct om_table *t, const char *const *heads, uint32_t columns);
void om_table_done(struct om_table *t);
/* Adds a row of t->columns texts (copied, made safe; NULL: "-"). */
void om_table_row(struct om_table *t, const char *const *cells);
/* OM_ERR_NOMEM when a row was lost on the way. Prints only the head when there is no row. */
int om_table_print(const struct om_ctl *ctl, const struct om_table *t, struct om_err *err)
	OM_MUST_CHECK;

/* --- JSON --- */

/* Prints V and a newline, indented, or on one line when LINE; takes V over. NULL: OM_ERR_NOMEM. */
int om_ctl_json(json_t *v, bool line, struct om_err *err) OM_MUST_CHECK;
/* An object that starts with "v":1. */
json_t *om_ctl_json_new(void);
/* 64-bit numbers as decimal strings: JSON readers lose bits past 2^53. */
json_t *om_ctl_json_u64(uint64_t v);
/* TEXT as a string; what is no UTF-8 has its bad bytes escaped. NULL: null. */
json_t *om_ctl_json_text(const char *text);
/* A member's text, or DFLT when it is missing or no string. */
const char *om_json_text(const json_t *o, const char *key, const char *dflt);
/* A member that is a number or a decimal string. */
int64_t om_json_number(const json_t *o, const char *key, int64_t dflt);

#endif
