/*
 * Errors: one fixed-size struct, owned by the caller, written only on failure.
 *
 * Comes in: an id from err.def, a negative errno, a text. Goes out: the same, to be printed once at
 * the edge. Called by: everything outside bpf/. Never does: log, allocate, or carry a secret (no
 * caller may format key material or a workload's data beyond its name and path into a text).
 */
#ifndef OMEGA_ERR_H
#define OMEGA_ERR_H

#include <stdarg.h>
#include <omega/compiler.h>

#define OM_ERR_TEXT_MAX 512

enum om_err_id {
	OM_ERR_NONE = 0,
#define OM_ERR(name, id, exit, text) OM_ERR_##name = (id),
#include <omega/err.def>
#undef OM_ERR
};

struct om_err {
	enum om_err_id id;
	int ret;		    /* the negative errno that travelled with it */
	char text[OM_ERR_TEXT_MAX]; /* NUL-terminated, UTF-8, one line, truncated if longer */
};

/*
 * Fills ERR (which may be NULL) and returns RET, so that a caller can write
 *     return om_err_set(err, OM_ERR_CGROUP, -errno, "cannot create %s", path);
 * RET must be negative. The text names what failed; the table's own text need not be repeated.
 */
int om_err_set(struct om_err *err, enum om_err_id id, int ret, const char *fmt, ...)
	OM_PRINTF(4, 5);

/* As om_err_set, and appends ": " and the text of errno value -RET. */
int om_err_sys(struct om_err *err, enum om_err_id id, int ret, const char *fmt, ...)
	OM_PRINTF(4, 5);

/* Puts "PREFIX: " before the text already there. Keeps id and ret. */
void om_err_prefix(struct om_err *err, const char *fmt, ...) OM_PRINTF(2, 3);

/* The table's text and exit code; "unknown error" and 1 for an id that is not in it. */
const char *om_err_text(enum om_err_id id);
int om_err_exit(enum om_err_id id);

/* The identifier as users see it, "OM1203", into BUF of at least 8 bytes; returns BUF. */
const char *om_err_code(enum om_err_id id, char buf[static 8]);

/* Calls FN for every row of the table, in order. Used by help and the man page. */
void om_err_each(void (*fn)(enum om_err_id id, int exit_code, const char *text, void *ctx),
		 void *ctx);

#endif
