/*
 * The table of verbs.
 *
 * Comes in: words. Goes out: rows. Called by: main, cmd_help.c. Never does: run anything.
 */
#include <errno.h>
#include <string.h>
#include <omega/diag.h>
#include "agent/ctl/command.h"

static const char *const streams[] = {"stdout", "stderr", "all", NULL};
static const char *const dry_runs[] = {"client", "daemon", NULL};

#define OPT_FILE                                                                            \
	{                                                                                   \
		"file", 'f', "FILE", "the manifest: a file, a folder, or - for stdin", NULL \
	}
#define OPT_BRANE                                           \
	{                                                   \
		"brane", 0, "NAME", "only this brane", NULL \
	}
#define OPT_SINCE                                                                             \
	{                                                                                     \
		"since", 0, "TIME", "from 30m, 1h, 2d ago, or from an RFC 3339 time on", NULL \
	}

static const struct om_opt opt_apply[] = {
	OPT_FILE,
	{"dry-run", 0, "WHERE", "client or daemon: say what would happen, change nothing",
	 dry_runs},
	{"wait", 'w', NULL, "until the workload runs", NULL},
	{"exit-code", 0, NULL, "exit with 10 when something changed", NULL},
	{"restart", 0, NULL, "start the workload anew even if nothing changed", NULL},
	{0},
};
static const struct om_opt opt_file[] = {OPT_FILE, {0}};
static const struct om_opt opt_logs[] = {
	{"follow", 'f', NULL, "go on until the workload ends", NULL},
	{"stream", 0, "STREAM", "stdout, stderr or all", streams},
	{"raw", 0, NULL, "control characters as they are, even on a terminal", NULL},
	{0},
};
static const struct om_opt opt_events[] = {
	{"follow", 'f', NULL, "go on with what comes", NULL},
	OPT_BRANE,
	{"denials", 0, NULL, "only what was denied", NULL},
	OPT_SINCE,
	{0},
};
static const struct om_opt opt_compile[] = {
	OPT_FILE,
	{"out", 'o', "DIR", "the folder to write to; made if it is missing", NULL},
	{0},
};
static const struct om_opt opt_simulate[] = {
	OPT_FILE,
	OPT_BRANE,
	{"request", 'r', "REQUEST", "such as 'file.read /etc/hosts'; may be repeated", NULL},
	{0},
};
static const struct om_opt opt_explain[] = {
	{"event", 0, "ID", "why this event of the log was denied", NULL},
	{0},
};
static const struct om_opt opt_audit[] = {OPT_BRANE, OPT_SINCE, {0}};
static const struct om_opt opt_verify[] = {
	OPT_BRANE,
	{"offline", 0, "DIR", "a copy of the audit directory, or of what holds it", NULL},
	{"keys", 0, "FILE", "the public key to judge by (substrate.vkey)", NULL},
	{"max-age", 0, "TIME", "the last commit must not be older", NULL},
	{"head", 0, "SIZE:ROOT", "a head seen earlier: leaves and root in hex", NULL},
	{0},
};

#define ANY (~0u)
#define REQUESTS                                                                        \
	"A request is one of: file.read|write|create|remove|exec PATH; net.connect "    \
	"ADDRESS:PORT[/tcp|/udp]; net.listen PORT[/tcp|/udp]; syscall NAME; env NAME; " \
	"stdio in|out|err; mem.exec."

const struct om_command om_commands[] = {
	{"apply", "compile a manifest and load its branes", "FILE [options]", opt_apply,
	 CTL_NEEDS_DAEMON, 0, 1, false, false, cmd_apply,
	 "Prints created, configured or unchanged for each brane, and on stderr the grants that "
	 "come "
	 "and go. A manifest with an error changes nothing."},
	{"run", "run one brane in the foreground", "FILE [NAME] [-- COMMAND...]", opt_file,
	 CTL_NEEDS_DAEMON, 0, 2, true, false, cmd_run,
	 "Standard streams are relayed through pipes, never the terminal itself. The exit code is "
	 "the "
	 "workload's; 125 is ours, 126 cannot be executed, 127 not found, 128+n killed by signal "
	 "n. "
	 "The brane is deleted afterwards."},
	{"get", "list branes", "[NAME]", NULL, CTL_NEEDS_DAEMON, 0, 1, false, true, cmd_get, NULL},
	{"describe", "one brane: state, counts, manifest", "NAME", NULL, CTL_NEEDS_DAEMON, 1, 1,
	 false, true, cmd_describe, NULL},
	{"delete", "kill a brane and unload its policy", "NAME...", NULL, CTL_NEEDS_DAEMON, 1, ANY,
	 false, true, cmd_delete, NULL},
	{"freeze", "stop a brane's processes where they are", "NAME...", NULL, CTL_NEEDS_DAEMON, 1,
	 ANY, false, true, cmd_freeze, NULL},
	{"thaw", "let a frozen brane go on", "NAME...", NULL, CTL_NEEDS_DAEMON, 1, ANY, false, true,
	 cmd_thaw, NULL},
	{"restart", "start a brane's workload anew", "NAME...", NULL, CTL_NEEDS_DAEMON, 1, ANY,
	 false, true, cmd_restart, NULL},
	{"logs", "what a workload wrote", "NAME", opt_logs, CTL_NEEDS_DAEMON, 1, 1, false, true,
	 cmd_logs, "Its stdout goes to stdout, its stderr to stderr."},
	{"events", "the audit log, decoded", "[options]", opt_events, CTL_NEEDS_LOG, 0, 0, false,
	 false, cmd_events,
	 "Each denial is followed by the manifest line that would have granted it. Only what is "
	 "committed and signed is shown; 'security verify-chain' judges it."},
	{"lint", "check manifests", "FILE...", opt_file, CTL_NEEDS_NOTHING, 0, ANY, false, false,
	 cmd_lint, "All findings are printed. Exit 3 when there is an error, 0 with warnings."},
	{"compile", "write what each layer would enforce", "FILE -o DIR", opt_compile,
	 CTL_NEEDS_NOTHING, 0, 1, false, false, cmd_compile,
	 "One readable file for each layer, the bundle, and the policy id. A layer that this build "
	 "cannot generate is an error."},
	{"simulate", "ask a manifest what it would allow", "FILE --request REQUEST...",
	 opt_simulate, CTL_NEEDS_NOTHING, 0, 1, false, false, cmd_simulate,
	 "Asks the reference interpreter and, for each layer, a simulator of what was generated. "
	 "Without --request, requests come from stdin, one a line. Exit 0 when all are allowed, 1 "
	 "otherwise. " REQUESTS},
	{"can", "would this be allowed now", "NAME REQUEST", NULL, CTL_NEEDS_DAEMON, 2, ANY, false,
	 true, cmd_can,
	 "Decides by the manifest that is loaded, after checking that it has the policy id that is "
	 "enforced. Exit 0 allowed, 1 denied. " REQUESTS},
	{"explain", "a capability, a field, or an event", "[CAP[.FIELD]] | --event ID", opt_explain,
	 CTL_NEEDS_NOTHING, 0, 1, false, false, cmd_explain,
	 "With --event: why it was denied, which line would have granted it, and what that line "
	 "would risk. Ids are in the first column of 'events'."},
	{"security audit", "what a brane did, counted", "[--brane NAME] [--since TIME]", opt_audit,
	 CTL_NEEDS_LOG, 0, 0, false, false, cmd_security_audit, NULL},
	{"security verify-chain", "walk the audit log and judge it", "[options]", opt_verify,
	 CTL_NEEDS_LOG, 0, 0, false, false, cmd_verify_chain,
	 "Exit 0 intact, 1 tampered, 11 intact but incomplete, stale or uncleanly restarted, 12 no "
	 "keys to judge by. What no offline check can see is said in words."},
	{"guard release", "lift the strict self-guard", "", NULL, CTL_NEEDS_DAEMON, 0, 0, false,
	 false, cmd_guard_release,
	 "Of an omegad that was started with --self-guard=strict. Recorded before it happens; from "
	 "then on root outside every brane can stop omegad and replace its files, until omegad is "
	 "started again."},
	{"doctor", "what this kernel and host can enforce", "", NULL, CTL_NEEDS_NOTHING, 0, 0,
	 false, false, cmd_doctor, "Asks omegad when it runs, and looks at this host by itself."},
	{"completion", "shell completion", "bash", NULL, CTL_NEEDS_NOTHING, 1, 1, false, false,
	 cmd_completion, "source <(omegactl completion bash)"},
	{"version", "of omegactl and omegad", "", NULL, CTL_NEEDS_NOTHING, 0, 0, false, false,
	 cmd_version, "Exits with 6 when omegad is not reachable."},
	{"help", "this list, a verb, exit-codes", "[VERB | exit-codes]", NULL, CTL_NEEDS_NOTHING, 0,
	 3, false, false, cmd_help, NULL},
	{0},
};

const struct om_unbuilt om_unbuilt[] = {
	{"top", "the metrics of branes (cpu, memory, egress rates)"},
	{"exec", "entering a running brane"},
	{"learn", "learning a manifest from audit mode"},
	{"convert", "the importer of other manifests"},
	{"review", "the review of grants and their risks"},
	{"diff", "the comparison of two policies"},
	{"secret", "the vault"},
	{"audit", "the export and anchoring of the log; 'events' and 'security audit' read it"},
	{"bundle", "signed bundles"},
	{"wasm", "the wasm substrate"},
	{"verify", "signed digests of binaries and images"},
	{"login", "operator sessions with a second factor"},
	{"support", "support archives; 'doctor' shows what they would hold"},
	{"security enable-2fa", "operator sessions with a second factor"},
	{0},
};

/* How many words of ARGV make up NAME; 0: they do not. */
static int match(const char *name, int argc, const char *const *argv)
{
	const char *space = strchr(name, ' ');
	size_t n = space ? (size_t)(space - name) : strlen(name);

	if (argc < 1 || strlen(argv[0]) != n || memcmp(argv[0], name, n) != 0)
		return 0;
	if (!space)
		return 1;
	return argc > 1 && strcmp(argv[1], space + 1) == 0 ? 2 : 0;
}

static int no_such(int argc, const char *const *argv, struct om_err *err)
{
	const char *words[64], *near;
	bool group = false;
	size_t n = 0;

	/* The second word of a group ("security audti"), or the first one. */
	for (const struct om_command *c = om_commands; c->name && n < OM_ARRAY_LEN(words); c++) {
		const char *space = strchr(c->name, ' ');

		if (space && strlen(argv[0]) == (size_t)(space - c->name) &&
		    strncmp(c->name, argv[0], strlen(argv[0])) == 0) {
			if (!group)
				n = 0;
			group = true;
			words[n++] = space + 1;
		} else if (!group) {
			words[n++] = c->name;
		}
	}
	if (group && argc < 2)
		return om_err_set(err, OM_ERR_USAGE, -EINVAL, "%s: which one? %s or %s", argv[0],
				  words[0], words[n - 1]);
	if (!group && n < OM_ARRAY_LEN(words))
		words[n++] = "security";
	near = om_nearest(group ? argv[1] : argv[0], words, n);
	return om_err_set(err, OM_ERR_USAGE, -EINVAL, "unknown command '%s%s%s'%s%s%s", argv[0],
			  group ? " " : "", group ? argv[1] : "",
			  near ? "; did you mean '" : "; 'omegactl help' lists them",
			  near ? near : "", near ? "'?" : "");
}

const struct om_command *om_command_find(int argc, const char *const *argv, int *used,
					 struct om_err *err)
{
	for (const struct om_command *c = om_commands; c->name; c++) {
		*used = match(c->name, argc, argv);
		if (*used)
			return c;
	}
	for (const struct om_unbuilt *u = om_unbuilt; u->name; u++) {
		if (!match(u->name, argc, argv))
			continue;
		om_err_set(err, OM_ERR_NOT_BUILT, -ENOSYS, "'%s' needs %s", u->name, u->missing);
		return NULL;
	}
	if (no_such(argc, argv, err) < 0)
		*used = 0;
	return NULL;
}
