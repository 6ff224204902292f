/*
 * The verbs: one row each. The table makes --help, `omegactl help`, completion and the man page.
 *
 * Comes in: nothing. Goes out: rows. Called by: main, cmd_help.c. Never does: list a verb that is not
 * built: those have a row of their own kind, whose only answer is what is missing.
 */
#ifndef OMEGA_CTL_COMMAND_H
#define OMEGA_CTL_COMMAND_H

#include <stdio.h>
#include "agent/ctl/lib/ctl.h"

enum ctl_needs { CTL_NEEDS_NOTHING, CTL_NEEDS_DAEMON, CTL_NEEDS_LOG };

struct om_command {
	const char *name;    /* "apply", "security audit" */
	const char *summary; /* one line, without a full stop */
	const char *usage;   /* what stands behind the name */
	const struct om_opt *opts;
	enum ctl_needs needs;
	uint32_t pos_min, pos_max; /* words; ~0: any */
	bool rest;		   /* takes "-- CMD" */
	bool brane;		   /* its first word is a brane's name (completion) */
	int (*run)(struct om_ctl *ctl, const struct om_args *a); /* the exit code */
	const char *more; /* paragraphs for --help and the man page, or NULL */
};

struct om_unbuilt {
	const char *name;
	const char *missing;
};

extern const struct om_command om_commands[]; /* ends with .name == NULL */
extern const struct om_unbuilt om_unbuilt[];  /* the same */

/*
 * The row for ARGV[0..argc), which may be one word or two ("security audit"); *USED words belong to its
 * name. NULL: none; ERR then says so, with the nearest, or what is not built.
 */
const struct om_command *om_command_find(int argc, const char *const *argv, int *used,
					 struct om_err *err);

void om_command_help(const struct om_ctl *ctl, const struct om_command *c, FILE *f);

int cmd_apply(struct om_ctl *ctl, const struct om_args *a);
int cmd_run(struct om_ctl *ctl, const struct om_args *a);
int cmd_get(struct om_ctl *ctl, const struct om_args *a);
int cmd_describe(struct om_ctl *ctl, const struct om_args *a);
int cmd_delete(struct om_ctl *ctl, const struct om_args *a);
int cmd_freeze(struct om_ctl *ctl, const struct om_args *a);
int cmd_thaw(struct om_ctl *ctl, const struct om_args *a);
int cmd_restart(struct om_ctl *ctl, const struct om_args *a);
int cmd_logs(struct om_ctl *ctl, const struct om_args *a);
int cmd_events(struct om_ctl *ctl, const struct om_args *a);
int cmd_lint(struct om_ctl *ctl, const struct om_args *a);
int cmd_compile(struct om_ctl *ctl, const struct om_args *a);
int cmd_simulate(struct om_ctl *ctl, const struct om_args *a);
int cmd_can(struct om_ctl *ctl, const struct om_args *a);
int cmd_explain(struct om_ctl *ctl, const struct om_args *a);
int cmd_guard_release(struct om_ctl *ctl, const struct om_args *a);
int cmd_doctor(struct om_ctl *ctl, const struct om_args *a);
int cmd_security_audit(struct om_ctl *ctl, const struct om_args *a);
int cmd_verify_chain(struct om_ctl *ctl, const struct om_args *a);
int cmd_version(struct om_ctl *ctl, const struct om_args *a);
int cmd_help(struct om_ctl *ctl, const struct om_args *a);
int cmd_completion(struct om_ctl *ctl, const struct om_args *a);

#endif
