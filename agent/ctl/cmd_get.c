/*
 * get and describe: what is loaded.
 *
 * Comes in: names. Goes out: a table, JSON, names. Called by: main. Never does: ask for more than it
 * shows, or show a brane's manifest to who may not observe it (the daemon's socket decides that).
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include "agent/ctl/command.h"
#include "agent/ctl/lib/daemon.h"
#include "agent/ctl/lib/out.h"

#define CELL 96u

static const char *join_layers(const json_t *b, char buf[static CELL])
{
	const json_t *one;
	size_t i, n = 0;

	buf[0] = 0;
	json_array_foreach (json_object_get(b, "layers"), i, one) {
		const char *s = json_string_value(one);
		int w = snprintf(buf + n, CELL - n, "%s%s", n ? "," : "", s ? s : "?");

		if (w < 0 || (size_t)w >= CELL - n)
			break;
		n += (size_t)w;
	}
	return buf;
}

static const char *exit_text(const json_t *b, char buf[static CELL])
{
	const json_t *e = json_object_get(b, "exit");
	const char *cause = om_json_text(e, "cause", NULL);

	if (!cause)
		return "-";
	snprintf(buf, CELL, "%s %" PRId64, cause, om_json_number(e, "code", 0));
	return buf;
}

/* "3d4h", "12m": how long ago an RFC 3339 time was. */
static const char *age(const char *started, char buf[static CELL])
{
	int64_t us, s;

	if (!*started || om_ctl_since(started, 0, &us, NULL) < 0)
		return "-";
	s = OM_MAX((om_ctl_now_us() - us) / 1000000, 0);
	if (s >= 86400)
		snprintf(buf, CELL, "%" PRId64 "d%" PRId64 "h", s / 86400, s % 86400 / 3600);
	else if (s >= 3600)
		snprintf(buf, CELL, "%" PRId64 "h%" PRId64 "m", s / 3600, s % 3600 / 60);
	else if (s >= 60)
		snprintf(buf, CELL, "%" PRId64 "m%" PRId64 "s", s / 60, s % 60);
	else
		snprintf(buf, CELL, "%" PRId64 "s", s);
	return buf;
}

static void add_row(struct om_table *t, const json_t *b, bool wide)
{
	char layers[CELL], ended[CELL], since[CELL], restarts[24], pid[24], id[16];
	const char *policy = om_json_text(b, "policy_id", "");

	snprintf(id, sizeof(id), "%.12s", policy);
	snprintf(restarts, sizeof(restarts), "%" PRId64, om_json_number(b, "restarts", 0));
	snprintf(pid, sizeof(pid), "%" PRId64, om_json_number(b, "init_pid", 0));
	const char *cells[CTL_COLUMNS_MAX] = {
		om_json_text(b, "name", "?"),
		om_json_text(b, "state", "?"),
		wide ? policy : id,
		join_layers(b, layers),
		om_json_text(b, "mode", "?"),
		restarts,
		age(om_json_text(b, "started", ""), since),
		exit_text(b, ended),
		om_json_text(b, "instance", "?"),
		strcmp(pid, "0") ? pid : "-",
	};

	om_table_row(t, cells);
}

static int print_branes(const struct om_ctl *ctl, json_t *list, bool one, struct om_err *err)
{
	static const char *const heads[] = {"NAME",	"STATE", "POLICY", "LAYERS",   "MODE",
					    "RESTARTS", "AGE",	 "EXIT",   "INSTANCE", "PID"};
	struct om_table t;
	json_t *b, *out;
	size_t i;
	int ret;

	if (ctl->format == CTL_JSON) {
		out = om_ctl_json_new();
		json_object_set(out, one ? "brane" : "branes",
				one ? json_array_get(list, 0) : list);
		return om_ctl_json(out, false, err);
	}
	om_table_init(&t, heads, ctl->format == CTL_WIDE ? 10 : 8);
	json_array_foreach (list, i, b) {
		if (ctl->format == CTL_JSONL) {
			out = om_ctl_json_new();
			json_object_update(out, b);
			if (om_ctl_json(out, true, err) < 0)
				break;
		} else if (ctl->format == CTL_NAME) {
			printf("brane/%s\n", om_json_text(b, "name", "?"));
		} else {
			add_row(&t, b, ctl->format == CTL_WIDE);
		}
	}
	ret = ctl->format == CTL_TABLE || ctl->format == CTL_WIDE ? om_table_print(ctl, &t, err)
								  : 0;
	om_table_done(&t);
	return ret;
}

int cmd_get(struct om_ctl *ctl, const struct om_args *a)
{
	OM_CLEANUP(om_json_put) json_t *reply = NULL;
	OM_CLEANUP(om_json_put) json_t *list = json_array();
	const char *name = a->npos ? a->pos[0] : NULL;
	struct om_err err = {0};
	json_t *b;
	size_t i;
	int ret = om_ctl_call(ctl, "io.omega.Observe.List", NULL, &reply, &err);

	if (ret < 0)
		return om_ctl_fail(ctl, &err);
	/* "brane/api", as the other verbs print it, is a name too. */
	if (name && strncmp(name, "brane/", 6) == 0)
		name += 6;
	json_array_foreach (json_object_get(reply, "branes"), i, b)
		if (!name || strcmp(om_json_text(b, "name", ""), name) == 0)
			json_array_append(list, b);
	if (name && !json_array_size(list))
		ret = om_err_set(&err, OM_ERR_NOT_FOUND, -ENOENT, "'%s'", name);
	else if (!json_array_size(list) && ctl->format <= CTL_WIDE)
		fprintf(stderr, "no branes\n");
	else
		ret = print_branes(ctl, list, name != NULL, &err);
	return ret < 0 ? om_ctl_fail(ctl, &err) : 0;
}

static void put_line(const char *label, const char *text)
{
	printf("%-12s ", label);
	om_ctl_put(stdout, text, strlen(text));
	printf("\n");
}

static void describe(const json_t *reply)
{
	const json_t *b = json_object_get(reply, "brane"), *n = json_object_get(reply, "counts");
	const char *manifest = om_json_text(reply, "manifest", "");
	char buf[CELL];

	put_line("name", om_json_text(b, "name", "?"));
	put_line("instance", om_json_text(b, "instance", "?"));
	put_line("state", om_json_text(b, "state", "?"));
	put_line("policy", om_json_text(b, "policy_id", "?"));
	put_line("layers", join_layers(b, buf));
	put_line("mode", om_json_text(b, "mode", "?"));
	put_line("restart", om_json_text(b, "restart", "?"));
	put_line("started", om_json_text(b, "started", "-"));
	printf("%-12s %" PRId64 "\n", "init pid", om_json_number(b, "init_pid", 0));
	printf("%-12s %" PRId64 "\n", "restarts", om_json_number(b, "restarts", 0));
	put_line("exit", exit_text(b, buf));
	printf("%-12s %" PRId64 " denied, %" PRId64 " recorded, %" PRId64 " folded, %" PRId64
	       " lost\n",
	       "events", om_json_number(n, "denied", 0), om_json_number(n, "events", 0),
	       om_json_number(n, "folded", 0), om_json_number(n, "lost", 0));
	printf("manifest\n");
	while (*manifest) {
		size_t len = strcspn(manifest, "\n");

		printf("    ");
		om_ctl_put(stdout, manifest, len);
		printf("\n");
		manifest += len + (manifest[len] == '\n');
	}
}

int cmd_describe(struct om_ctl *ctl, const struct om_args *a)
{
	OM_CLEANUP(om_json_put) json_t *reply = NULL;
	const char *name = strncmp(a->pos[0], "brane/", 6) == 0 ? a->pos[0] + 6 : a->pos[0];
	struct om_err err = {0};
	json_t *out;
	int ret = om_ctl_call_name(ctl, "io.omega.Observe.Describe", name, &reply, &err);

	if (ret < 0)
		return om_ctl_fail(ctl, &err);
	if (ctl->format == CTL_JSON || ctl->format == CTL_JSONL) {
		out = om_ctl_json_new();
		json_object_update(out, reply);
		ret = om_ctl_json(out, ctl->format == CTL_JSONL, &err);
		return ret < 0 ? om_ctl_fail(ctl, &err) : 0;
	}
	describe(reply);
	return 0;
}
