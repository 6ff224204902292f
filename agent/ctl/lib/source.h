/*
 * Manifests as files, and findings about them as people and programs read them.
 *
 * Comes in: a file name, "-" or a folder. Goes out: bytes; findings as text with the source line, or as
 * JSON. Called by: lint, compile, apply, simulate, run. Never does: follow a folder into folders, or
 * read without a bound (a little more than a manifest may have; the parser then says that it is too large).
 */
#ifndef OMEGA_CTL_SOURCE_H
#define OMEGA_CTL_SOURCE_H

#include <jansson.h>
#include <omega/diag.h>
#include <policies/policy.h>
#include "agent/ctl/lib/ctl.h"

struct om_source {
	char *name; /* as shown in findings: "brane.toml", "<stdin>" */
	char *data; /* may hold anything, NUL included */
	size_t len;
	struct om_diags diags;
	struct om_policy *policy; /* NULL: not compiled, or refused */
};

struct om_sources {
	struct om_source *items;
	uint32_t count;
};

/* Appends what PATH names: a file, stdin, or every *.toml of a folder in the order of their names. */
int om_sources_read(struct om_sources *s, const char *path, struct om_err *err) OM_MUST_CHECK;
void om_sources_done(struct om_sources *s);

/*
 * Compiles all of them. 0: every policy is set. -EINVAL: at least one was refused (its findings say
 * why). Other errors: no memory. A brane that two files define is a finding of the second.
 */
int om_sources_compile(struct om_sources *s, struct om_err *err) OM_MUST_CHECK;

/* All findings, worst first within each file, as text on stderr (or stdout when it is the result). */
void om_source_print(const struct om_ctl *ctl, const struct om_source *s, FILE *f, bool color);
/* The same as a JSON array appended to LIST. */
int om_source_json(const struct om_source *s, json_t *list) OM_MUST_CHECK;
/* The errors among findings that the daemon sent, {severity, id, file, line, col, len, message, hint}; DATA its text. */
void om_findings_print(const json_t *findings, const char *name, const char *data, size_t len,
		       FILE *f, bool color);

#endif
