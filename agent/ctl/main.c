/*
 * omegactl, also called omega: the command line of Omega.
 *
 * Comes in: argv. Goes out: the result on stdout, messages on stderr, an exit code (70-cli.md). Called
 * by: people and scripts. Never does: print its help on an error, wait without telling for what, or do
 * anything that its verb's row does not say.
 */
#include <errno.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include "agent/ctl/command.h"
#include "agent/ctl/lib/out.h"

#define TIMEOUT_MS 30000

static bool wants_color(int fd)
{
	const char *term = getenv("TERM"), *no = getenv("NO_COLOR");

	return isatty(fd) && !(no && *no) && term && strcmp(term, "dumb") != 0;
}

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static int usage(struct om_ctl *ctl, const struct om_command *c, const char *what)
{
	struct om_err err;

	om_err_set(&err, OM_ERR_USAGE, -EINVAL, "%s: %s", c->name, what);
	om_ctl_error(ctl, &err);
	fprintf(stderr, "  usage: %s %s %s\n", ctl->prog, c->name, c->usage);
	return om_err_exit(OM_ERR_USAGE);
}

static int run(struct om_ctl *ctl, const struct om_command *c, int argc, const char *const *argv)
{
	/* Large, and one invocation has one of it. */
	static struct om_args args;
	struct om_err err = {0};

	if (om_args_parse(ctl, c->opts, argc, argv, false, &args, NULL, &err) < 0)
		return om_ctl_fail(ctl, &err);
	if (args.help) {
		om_command_help(ctl, c, stdout);
		return 0;
	}
	/* A manifest may be given by -f instead of as a word. */
	if (args.npos < c->pos_min)
		return usage(ctl, c, "something is missing");
	if (args.npos > c->pos_max)
		return usage(ctl, c, "too many words");
	if (args.rest && !c->rest)
		return usage(ctl, c, "takes no '--'");
	return c->run(ctl, &args);
}

/* What was printed must have arrived: a full disk is an error, a reader that went away is none. */
static int finish(struct om_ctl *ctl, int code)
{
	struct om_err err;

	if (fflush(stdout) == 0 && !ferror(stdout))
		return code;
	if (errno == EPIPE)
		return code;
	om_err_sys(&err, OM_ERR_IO, -errno, "cannot write the result");
	om_ctl_error(ctl, &err);
	return code ? code : om_err_exit(OM_ERR_IO);
}

int main(int argc, char **argv)
{
	const char *const *words = (const char *const *)argv + 1;
	static struct om_args args;
	struct om_ctl ctl = {.prog = "omegactl",
			     .run_dir = "/run/omega",
			     .state_dir = "/var/lib/omega",
			     .timeout_ms = TIMEOUT_MS,
			     .color_out = wants_color(STDOUT_FILENO),
			     .color_err = wants_color(STDERR_FILENO)};
	const struct om_command *c;
	struct om_err err = {0};
	int used = 0, name = 0;

	setlocale(LC_CTYPE, "C.UTF-8");
	signal(SIGPIPE, SIG_DFL);
	setvbuf(stderr, NULL, _IOLBF, BUFSIZ);
	if (argc > 0 && strcmp(base_name(argv[0]), "omega") == 0)
		ctl.prog = "omega";
	if (om_args_parse(&ctl, NULL, OM_MAX(argc - 1, 0), words, true, &args, &used, &err) < 0)
		return om_ctl_fail(&ctl, &err);
	words += used;
	argc -= 1 + used;
	if (args.help || argc < 1) {
		args = (struct om_args){0};
		return finish(&ctl, cmd_help(&ctl, &args));
	}
	c = om_command_find(argc, words, &name, &err);
	if (!c)
		return om_ctl_fail(&ctl, &err);
	return finish(&ctl, run(&ctl, c, argc - name, words + name));
}
