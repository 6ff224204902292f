/*
 * help, version, completion: what the table of verbs says about itself.
 *
 * Comes in: the table, the table of errors, the registry of capabilities. Goes out: text, bash, troff.
 * Called by: main. Never does: list what is not built.
 */
#include <errno.h>
#include <string.h>
#include <omega/version.h>
#include "agent/ctl/command.h"
#include "agent/ctl/lib/daemon.h"
#include "agent/ctl/lib/man.h"
#include "agent/ctl/lib/out.h"

static void put_opts(const struct om_opt *o, FILE *f)
{
	for (; o && o->name; o++) {
		char left[48];

		snprintf(left, sizeof(left), "%c%c%c --%s%s%s", o->letter ? '-' : ' ',
			 o->letter ? o->letter : ' ', o->letter ? ',' : ' ', o->name,
			 o->meta ? " " : "", o->meta ? o->meta : "");
		fprintf(f, "  %-26s %s\n", left, o->doc);
	}
}

void om_command_help(const struct om_ctl *ctl, const struct om_command *c, FILE *f)
{
	fprintf(f, "%s\n\nusage: %s %s %s\n", c->summary, ctl->prog, c->name, c->usage);
	if (c->more)
		fprintf(f, "\n%s\n", c->more);
	if (c->opts) {
		fprintf(f, "\noptions:\n");
		put_opts(c->opts, f);
	}
	fprintf(f, "\nglobal options:\n");
	put_opts(om_ctl_globals, f);
}

static void put_all(const struct om_ctl *ctl)
{
	printf("Omega: confines workloads by what their manifest grants, and proves it.\n\n"
	       "usage: %s [options] COMMAND ...\n\ncommands:\n",
	       ctl->prog);
	for (const struct om_command *c = om_commands; c->name; c++)
		printf("  %-22s %s\n", c->name, c->summary);
	printf("\nglobal options:\n");
	put_opts(om_ctl_globals, stdout);
	printf("\n'%s help COMMAND' says more; '%s help exit-codes' lists those.\n", ctl->prog,
	       ctl->prog);
}

static const struct {
	int code;
	const char *meaning;
} exits[] = {
	{0, "done (verify-chain: intact, fresh, complete; can, simulate: allowed)"},
	{1, "failed (verify-chain: tampered; can, simulate: denied)"},
	{2, "usage"},
	{3, "manifest rejected"},
	{4, "not found"},
	{5, "permission or second factor missing"},
	{6, "daemon unreachable"},
	{7, "rolled back, nothing changed"},
	{8, "timed out"},
	{9, "this kernel cannot enforce it"},
	{10, "apply --exit-code: something changed"},
	{11, "verify-chain: intact, but incomplete, stale, unanchored or uncleanly restarted"},
	{12, "verify-chain: cannot judge, keys are missing"},
	{125, "run: our own failure; 126 cannot be executed, 127 not found, 128+n signal n"},
};

static void put_row(enum om_err_id id, int exit_code, const char *text, void *ctx)
{
	char code[8];

	printf("  %s  exit %-3d %s\n", om_err_code(id, code), exit_code, text);
}

static int help_exits(void)
{
	printf("exit codes:\n");
	for (size_t i = 0; i < OM_ARRAY_LEN(exits); i++)
		printf("  %-4d %s\n", exits[i].code, exits[i].meaning);
	printf("\nerror ids, each with the exit code it ends in:\n");
	om_err_each(put_row, NULL);
	return 0;
}

static void man_row(enum om_err_id id, int exit_code, const char *text, void *ctx)
{
	char code[8];

	om_man_pair(stdout, om_err_code(id, code), text);
}

/* omegactl.1, from the same rows as --help. */
static void man_omegactl(void)
{
	om_man_head(stdout, "OMEGACTL", 1, "omegactl",
		    "confine workloads by manifest, and read what was denied");
	om_man_section(stdout, "SYNOPSIS");
	om_man_text(stdout, "omegactl [options] COMMAND ...");
	om_man_section(stdout, "COMMANDS");
	for (const struct om_command *c = om_commands; c->name; c++) {
		char head[256];

		snprintf(head, sizeof(head), "%s %s", c->name, c->usage);
		om_man_pair(stdout, head, c->summary);
		if (c->more)
			om_man_more(stdout, c->more);
		om_man_options(stdout, c->opts);
	}
	om_man_section(stdout, "OPTIONS");
	om_man_options(stdout, om_ctl_globals);
	om_man_section(stdout, "EXIT STATUS");
	for (size_t i = 0; i < OM_ARRAY_LEN(exits); i++) {
		char code[12];

		snprintf(code, sizeof(code), "%d", exits[i].code);
		om_man_pair(stdout, code, exits[i].meaning);
	}
	om_man_section(stdout, "ERRORS");
	om_err_each(man_row, NULL);
	om_man_section(stdout, "ENVIRONMENT");
	om_man_pair(stdout, "NO_COLOR", "no colour; so does TERM=dumb");
	om_man_section(stdout, "SEE ALSO");
	om_man_text(stdout, "omegad(8), brane.toml(5)");
}

static int help_man(struct om_ctl *ctl, const char *page)
{
	struct om_err err;

	if (strcmp(page, "omegactl") == 0)
		man_omegactl();
	else if (strcmp(page, "brane.toml") == 0)
		om_man_manifest(stdout);
	else {
		om_err_set(&err, OM_ERR_USAGE, -EINVAL, "help man: omegactl or brane.toml");
		return om_ctl_fail(ctl, &err);
	}
	return 0;
}

int cmd_help(struct om_ctl *ctl, const struct om_args *a)
{
	const struct om_command *c;
	struct om_err err = {0};
	int used;

	if (!a->npos) {
		put_all(ctl);
		return 0;
	}
	if (strcmp(a->pos[0], "exit-codes") == 0)
		return help_exits();
	if (strcmp(a->pos[0], "man") == 0)
		return help_man(ctl, a->npos > 1 ? a->pos[1] : "");
	c = om_command_find((int)a->npos, a->pos, &used, &err);
	if (!c)
		return om_ctl_fail(ctl, &err);
	om_command_help(ctl, c, stdout);
	return 0;
}

static void complete_opts(const struct om_opt *o)
{
	for (; o && o->name; o++)
		printf(" --%s", o->name);
}

/* "a|b|c)" rows of a case over the option in front of the cursor. */
static void complete_values(const struct om_opt *o)
{
	for (; o && o->name; o++) {
		if (!o->meta)
			continue;
		printf("    --%s%s%c) ", o->name, o->letter ? "|-" : "",
		       o->letter ? o->letter : ' ');
		if (o->words) {
			printf("COMPREPLY=($(compgen -W '");
			for (const char *const *w = o->words; *w; w++)
				printf("%s ", *w);
			printf("' -- \"$cur\"))");
		} else if (strcmp(o->meta, "DIR") == 0) {
			printf("COMPREPLY=($(compgen -d -- \"$cur\"))");
		} else if (strcmp(o->meta, "FILE") == 0) {
			printf("COMPREPLY=($(compgen -f -- \"$cur\"))");
		} else {
			printf("COMPREPLY=()");
		}
		printf("; return ;;\n");
	}
}

int cmd_completion(struct om_ctl *ctl, const struct om_args *a)
{
	struct om_err err;

	if (strcmp(a->pos[0], "bash") != 0) {
		om_err_set(&err, OM_ERR_NOT_BUILT, -ENOSYS,
			   "completion for '%s'; only bash is there", a->pos[0]);
		return om_ctl_fail(ctl, &err);
	}
	printf("_omegactl() {\n  local cur=${COMP_WORDS[COMP_CWORD]} "
	       "prev=${COMP_WORDS[COMP_CWORD-1]}\n"
	       "  local i verb=\n"
	       "  for ((i = 1; i < COMP_CWORD; i++)); do\n"
	       "    case ${COMP_WORDS[i]} in\n"
	       "      --run-dir|--state-dir|--timeout|-o|--output) ((i++)) ;;\n"
	       "      -*) ;;\n"
	       "      *) verb=\"${verb:+$verb }${COMP_WORDS[i]}\"; [ \"$verb\" = security ] || "
	       "break ;;\n"
	       "    esac\n  done\n");
	printf("  case $verb in\n");
	for (const struct om_command *c = om_commands; c->name; c++) {
		printf("  '%s')\n    case $prev in\n", c->name);
		complete_values(c->opts);
		complete_values(om_ctl_globals);
		printf("    esac\n    if [[ $cur == -* ]]; then COMPREPLY=($(compgen -W '");
		complete_opts(c->opts);
		complete_opts(om_ctl_globals);
		printf("' -- \"$cur\")); return; fi\n");
		if (c->brane)
			printf("    COMPREPLY=($(compgen -W \"$(omegactl get -o name 2>/dev/null | "
			       "sed 's,^brane/,,')\" -- \"$cur\")) ;;\n");
		else
			printf("    COMPREPLY=($(compgen -f -- \"$cur\")) ;;\n");
	}
	printf("  security) COMPREPLY=($(compgen -W 'audit verify-chain' -- \"$cur\")) ;;\n"
	       "  *)\n    COMPREPLY=($(compgen -W 'security");
	for (const struct om_command *c = om_commands; c->name; c++)
		if (!strchr(c->name, ' '))
			printf(" %s", c->name);
	complete_opts(om_ctl_globals);
	printf("' -- \"$cur\")) ;;\n  esac\n}\ncomplete -o default -F _omegactl omegactl omega\n");
	return 0;
}

static int put_version(const struct om_ctl *ctl, const json_t *daemon, struct om_err *err)
{
	json_t *out, *layer;
	const char *key;
	json_t *value;
	size_t i;

	if (ctl->format == CTL_JSON || ctl->format == CTL_JSONL) {
		out = om_ctl_json_new();
		json_object_set_new(out, "omegactl", json_string(OM_VERSION));
		json_object_set_new(out, "omegad", daemon ? json_deep_copy(daemon) : json_null());
		return om_ctl_json(out, ctl->format == CTL_JSONL, err);
	}
	printf("omegactl %s\n", OM_VERSION);
	if (!daemon)
		return 0;
	printf("omegad   %s, kernel %s\n", om_json_text(daemon, "version", "?"),
	       om_json_text(daemon, "kernel", "?"));
	printf("layers  ");
	json_array_foreach (json_object_get(daemon, "layers"), i, layer)
		printf(" %s", json_string_value(layer) ? json_string_value(layer) : "?");
	printf("\n");
	json_object_foreach (json_object_get(daemon, "why"), key, value) {
		const char *why = json_string_value(value);

		printf("missing  %s: ", key);
		om_ctl_put(stdout, why ? why : "", why ? strlen(why) : 0);
		printf("\n");
	}
	return 0;
}

int cmd_version(struct om_ctl *ctl, const struct om_args *a)
{
	OM_CLEANUP(om_json_put) json_t *reply = NULL;
	struct om_err err = {0}, print_err = {0};
	int ret = om_ctl_call(ctl, "io.omega.Observe.Version", NULL, &reply, &err);

	if (put_version(ctl, ret ? NULL : reply, &print_err) < 0)
		return om_ctl_fail(ctl, &print_err);
	if (ret < 0) {
		fflush(stdout);
		return om_ctl_fail(ctl, &err);
	}
	return 0;
}
