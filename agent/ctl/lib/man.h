/*
 * Man pages as troff, from tables.
 *
 * Comes in: texts, options, the registry of capabilities. Goes out: troff. Called by: cmd_help.c. Never
 * does: let a text start a troff request.
 */
#ifndef OMEGA_CTL_MAN_H
#define OMEGA_CTL_MAN_H

#include <stdio.h>
#include "agent/ctl/lib/ctl.h"

void om_man_head(FILE *f, const char *title, int section, const char *name, const char *summary);
void om_man_section(FILE *f, const char *title);
void om_man_text(FILE *f, const char *text);
/* A bold term and what it means; om_man_more adds a paragraph under the same term. */
void om_man_pair(FILE *f, const char *term, const char *text);
void om_man_more(FILE *f, const char *text);
void om_man_options(FILE *f, const struct om_opt *opts);
/* brane.toml(5): every table and field that the registry knows. */
void om_man_manifest(FILE *f);

#endif
