/*
 * What every verb of omegactl is given: the global options, the parsed arguments, times.
 *
 * Comes in: argv. Goes out: struct om_ctl, struct om_args. Called by: agent/ctl. Never does: touch the
 * daemon, the log or a file.
 */
#ifndef OMEGA_CTL_H
#define OMEGA_CTL_H

#include <stdbool.h>
#include <stdint.h>
#include <omega/err.h>

/* Exit codes that no error id carries (70-cli.md). */
#define CTL_EXIT_FAILED	    1
#define CTL_EXIT_REJECTED   3
#define CTL_EXIT_CHANGED    10
#define CTL_EXIT_INCOMPLETE 11
#define CTL_EXIT_NO_KEYS    12
#define CTL_EXIT_RUN_OURS   125

#define CTL_ARGS_MAX 512u /* words of a command line, and values of one option */

enum ctl_format { CTL_TABLE, CTL_WIDE, CTL_JSON, CTL_JSONL, CTL_NAME };

/* The invocation. Strings are borrowed from argv. */
struct om_ctl {
	const char *prog;      /* "omegactl" or "omega", for messages */
	const char *run_dir;   /* sockets */
	const char *state_dir; /* audit/, keys */
	enum ctl_format format;
	bool format_given;
	int timeout_ms; /* for one answer of the daemon; -1: for ever */
	bool color_out, color_err;
};

/* One option of a verb. An array of them ends with .name == NULL. */
struct om_opt {
	const char *name; /* without the dashes */
	char letter;	  /* 0: none */
	const char *meta; /* name of its value; NULL: a switch */
	const char *doc;
	const char *const *words; /* its values, for checks and completion; NULL: any */
};

struct om_arg_value {
	const struct om_opt *opt;
	const char *value; /* "" for a switch */
};

struct om_args {
	struct om_arg_value vals[CTL_ARGS_MAX];
	uint32_t nvals;
	const char *pos[CTL_ARGS_MAX];
	uint32_t npos;
	const char *const *rest; /* behind "--"; NULL: there was none */
	uint32_t nrest;
	bool help;
};

/* The options that every verb takes. */
extern const struct om_opt om_ctl_globals[];

/*
 * Reads ARGC words at ARGV against OPTS (may be NULL) and the global options. Options may stand anywhere
 * before "--"; ONE_VERB stops at the first word that is none (the verb). OM_ERR_USAGE with the nearest
 * known option. *USED (may be NULL): words read.
 */
int om_args_parse(struct om_ctl *ctl, const struct om_opt *opts, int argc, const char *const *argv,
		  bool one_verb, struct om_args *out, int *used, struct om_err *err) OM_MUST_CHECK;
bool om_args_has(const struct om_args *a, const char *name);
/* The last value given for NAME, or DFLT. */
const char *om_args_value(const struct om_args *a, const char *name, const char *dflt);

/* --- times --- */

/* "500ms", "30s", "1h", "2d": microseconds. False if it is none of these. */
bool om_ctl_duration(const char *text, int64_t *us) OM_MUST_CHECK;
/*
 * A point in time as microseconds since the epoch: RFC 3339 with zone, or a duration before NOW_US.
 * OM_ERR_USAGE otherwise.
 */
int om_ctl_since(const char *text, int64_t now_us, int64_t *us, struct om_err *err) OM_MUST_CHECK;
/* "2026-11-21T23:53:05.467953Z" into BUF. */
#define CTL_TIME_MAX 40u
const char *om_ctl_time(int64_t us, char buf[static CTL_TIME_MAX]);
int64_t om_ctl_now_us(void);

#endif
