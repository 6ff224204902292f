/*
 * Command lines, read against tables: the same tables make the help, the man page and the completion.
 *
 * Comes in: argv. Goes out: options, words, what stands behind "--". Called by: main, tests. Never does:
 * guess: an unknown option is an error that names the nearest one.
 */
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <omega/diag.h>
#include "agent/ctl/lib/ctl.h"

static const char *const formats[] = {"table", "wide", "json", "jsonl", "name", NULL};

const struct om_opt om_ctl_globals[] = {
	{"output", 'o', "FORMAT", "table, wide, json, jsonl or name", formats},
	{"json", 0, NULL, "the same as -o json", NULL},
	{"run-dir", 0, "DIR", "where the sockets of omegad are (/run/omega)", NULL},
	{"state-dir", 0, "DIR", "where the audit log and its keys are (/var/lib/omega)", NULL},
	{"timeout", 0, "TIME", "how long to wait for one answer of omegad (30s)", NULL},
	{"no-color", 0, NULL, "no colour, even on a terminal", NULL},
	{"help", 'h', NULL, "what the verb does and takes", NULL},
	{0},
};

#define NAMES_MAX 32u

static const struct om_opt *by_name(const struct om_opt *opts, const char *name, size_t len)
{
	for (; opts && opts->name; opts++)
		if (strlen(opts->name) == len && memcmp(opts->name, name, len) == 0)
			return opts;
	return NULL;
}

static const struct om_opt *by_letter(const struct om_opt *opts, char letter)
{
	for (; opts && opts->name; opts++)
		if (opts->letter && opts->letter == letter)
			return opts;
	return NULL;
}

static int unknown_long(const struct om_opt *opts, const char *name, size_t len, struct om_err *err)
{
	const char *names[2 * NAMES_MAX], *near;
	char word[64];
	size_t n = 0;

	for (const struct om_opt *o = opts; o && o->name && n < NAMES_MAX; o++)
		names[n++] = o->name;
	for (const struct om_opt *o = om_ctl_globals; o->name && n < 2 * NAMES_MAX; o++)
		names[n++] = o->name;
	len = OM_MIN(len, sizeof(word) - 1);
	memcpy(word, name, len);
	word[len] = 0;
	near = om_nearest(word, names, n);
	return om_err_set(err, OM_ERR_USAGE, -EINVAL, "unknown option --%s%s%s%s", word,
			  near ? "; did you mean --" : "", near ? near : "", near ? "?" : "");
}

static int take_global(struct om_ctl *ctl, const struct om_opt *o, const char *value,
		       struct om_err *err)
{
	int64_t us;

	switch (o - om_ctl_globals) {
	case 0:
		for (int i = 0; formats[i]; i++)
			if (strcmp(formats[i], value) == 0)
				ctl->format = (enum ctl_format)i;
		ctl->format_given = true;
		break;
	case 1:
		ctl->format = CTL_JSON;
		ctl->format_given = true;
		break;
	case 2:
		ctl->run_dir = value;
		break;
	case 3:
		ctl->state_dir = value;
		break;
	case 4:
		if (!om_ctl_duration(value, &us) || us / 1000 > INT_MAX || us < 1000)
			return om_err_set(err, OM_ERR_USAGE, -EINVAL,
					  "--timeout %s: expected a time such as 30s", value);
		ctl->timeout_ms = (int)(us / 1000);
		break;
	default:
		ctl->color_out = ctl->color_err = false;
		break;
	}
	return 0;
}

static int take(struct om_ctl *ctl, struct om_args *a, const struct om_opt *o, bool global,
		const char *value, struct om_err *err)
{
	const char *near;
	size_t n = 0;

	for (; o->words && o->words[n]; n++)
		if (strcmp(o->words[n], value) == 0)
			break;
	if (o->words && !o->words[n]) {
		near = om_nearest(value, o->words, n);
		return om_err_set(err, OM_ERR_USAGE, -EINVAL, "--%s %s: expected %s%s%s%s", o->name,
				  value, o->doc, near ? "; did you mean '" : "", near ? near : "",
				  near ? "'?" : "");
	}
	if (global && strcmp(o->name, "help") == 0) {
		a->help = true;
		return 0;
	}
	if (global)
		return take_global(ctl, o, value, err);
	if (a->nvals >= CTL_ARGS_MAX)
		return om_err_set(err, OM_ERR_LIMIT, -E2BIG, "more than %u options", CTL_ARGS_MAX);
	a->vals[a->nvals++] = (struct om_arg_value){o, value};
	return 0;
}

/* "--name", "--name=value" or "--name value"; *I moves past what was used. */
static int take_long(struct om_ctl *ctl, const struct om_opt *opts, int argc,
		     const char *const *argv, int *i, struct om_args *a, struct om_err *err)
{
	const char *name = argv[*i] + 2, *eq = strchr(name, '='), *value = "";
	size_t len = eq ? (size_t)(eq - name) : strlen(name);
	const struct om_opt *o = by_name(opts, name, len);
	bool global = !o;

	if (!o)
		o = by_name(om_ctl_globals, name, len);
	if (!o)
		return unknown_long(opts, name, len, err);
	if (eq && !o->meta)
		return om_err_set(err, OM_ERR_USAGE, -EINVAL, "--%s takes no value", o->name);
	if (eq)
		value = eq + 1;
	else if (o->meta && *i + 1 >= argc)
		return om_err_set(err, OM_ERR_USAGE, -EINVAL, "--%s needs %s: %s", o->name, o->meta,
				  o->doc);
	else if (o->meta)
		value = argv[++*i];
	return take(ctl, a, o, global, value, err);
}

/* "-f", "-fw" (switches), "-ojson" or "-o json". */
static int take_short(struct om_ctl *ctl, const struct om_opt *opts, int argc,
		      const char *const *argv, int *i, struct om_args *a, struct om_err *err)
{
	for (const char *p = argv[*i] + 1; *p; p++) {
		const struct om_opt *o = by_letter(opts, *p);
		bool global = !o;
		int ret;

		if (!o)
			o = by_letter(om_ctl_globals, *p);
		if (!o)
			return om_err_set(err, OM_ERR_USAGE, -EINVAL, "unknown option -%c", *p);
		if (!o->meta) {
			ret = take(ctl, a, o, global, "", err);
			if (ret < 0)
				return ret;
			continue;
		}
		if (p[1])
			return take(ctl, a, o, global, p + 1, err);
		if (*i + 1 >= argc)
			return om_err_set(err, OM_ERR_USAGE, -EINVAL, "-%c needs %s: %s", *p,
					  o->meta, o->doc);
		return take(ctl, a, o, global, argv[++*i], err);
	}
	return 0;
}

int om_args_parse(struct om_ctl *ctl, const struct om_opt *opts, int argc, const char *const *argv,
		  bool one_verb, struct om_args *out, int *used, struct om_err *err)
{
	int i = 0, ret = 0;

	memset(out, 0, sizeof(*out));
	for (; i < argc && !ret; i++) {
		const char *w = argv[i];

		if (strcmp(w, "--") == 0) {
			out->rest = argv + i + 1;
			out->nrest = (uint32_t)(argc - i - 1);
			i = argc;
			break;
		}
		if (w[0] == '-' && w[1] == '-') {
			ret = take_long(ctl, opts, argc, argv, &i, out, err);
		} else if (w[0] == '-' && w[1]) {
			ret = take_short(ctl, opts, argc, argv, &i, out, err);
		} else if (one_verb) {
			break;
		} else if (out->npos >= CTL_ARGS_MAX) {
			ret = om_err_set(err, OM_ERR_LIMIT, -E2BIG, "more than %u words",
					 CTL_ARGS_MAX);
		} else {
			out->pos[out->npos++] = w;
		}
	}
	if (used)
		*used = i;
	return ret;
}

bool om_args_has(const struct om_args *a, const char *name)
{
	return om_args_value(a, name, NULL) != NULL;
}

const char *om_args_value(const struct om_args *a, const char *name, const char *dflt)
{
	for (uint32_t i = a->nvals; i > 0; i--)
		if (strcmp(a->vals[i - 1].opt->name, name) == 0)
			return a->vals[i - 1].value;
	return dflt;
}
