/*
 * events: the audit log, decoded; security audit: the same, counted.
 *
 * Comes in: the log. Goes out: lines, JSON, a table. Called by: main. Never does: pass a damaged log off
 * as whole: what could not be read is counted on stderr.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include "agent/ctl/command.h"
#include "agent/ctl/lib/daemon.h"
#include "agent/ctl/lib/out.h"
#include "agent/ctl/log/event.h"

#define POLL_US	    200000
#define OBJECTS_MAX 4096u /* distinct objects remembered for one row */
#define NOTABLE	    3u

static void reader_put(struct om_reader **r)
{
	if (*r)
		om_reader_close(*r);
}

static int open_log(const struct om_ctl *ctl, const struct om_args *a, struct om_reader_filter *f,
		    struct om_reader **r, struct om_err *err)
{
	OM_CLEANUP(om_close_fd) int fd = -1;
	const char *since = om_args_value(a, "since", NULL);
	int ret = 0;

	f->brane = om_args_value(a, "brane", NULL);
	if (since)
		ret = om_ctl_since(since, om_ctl_now_us(), &f->since, err);
	if (!ret)
		ret = om_ctl_audit_open(ctl, NULL, &fd, err);
	if (!ret)
		ret = om_reader_open(fd, f, r, err);
	return ret;
}

static void warn_damaged(const struct om_ctl *ctl, const struct om_reader *r)
{
	if (om_reader_damaged(r))
		fprintf(stderr,
			"%s: %" PRIu64
			" lines of the log are no records; 'security verify-chain' says "
			"more\n",
			ctl->prog, om_reader_damaged(r));
}

/* Bookkeeping of the log itself, which nobody asked to see among events. */
static bool is_noise(const struct om_ctl_event *e)
{
	return strcmp(e->kind, "commit") == 0;
}

struct shown {
	json_t *list; /* -o json */
	bool heads;
};

static int show(const struct om_ctl *ctl, const struct om_ctl_event *e, struct shown *s,
		struct om_err *err)
{
	if (s->list) {
		json_array_append_new(s->list, om_ctl_event_json(e));
		return 0;
	}
	if (ctl->format == CTL_JSONL || ctl->format == CTL_JSON)
		return om_ctl_json(om_ctl_event_json(e), true, err);
	if (ctl->format == CTL_NAME) {
		printf("event/%" PRIu64 "\n", e->leaf);
		return 0;
	}
	if (!s->heads)
		om_ctl_event_heads(ctl);
	s->heads = true;
	om_ctl_event_print(ctl, e);
	return 0;
}

/* Everything there is now. */
static int drain(const struct om_ctl *ctl, struct om_reader *r, bool denials, struct shown *s,
		 struct om_err *err)
{
	struct om_record rec;
	int ret;

	while ((ret = om_reader_next(r, &rec, err)) > 0) {
		struct om_ctl_event e;

		ret = om_ctl_event_read(r, &rec, &e, err);
		if (ret < 0)
			return ret;
		if (!is_noise(&e) && (!denials || e.denied || e.would))
			ret = show(ctl, &e, s, err);
		om_ctl_event_done(&e);
		if (ret < 0)
			return ret;
	}
	return ret;
}

int cmd_events(struct om_ctl *ctl, const struct om_args *a)
{
	bool follow = om_args_has(a, "follow"), denials = om_args_has(a, "denials");
	OM_CLEANUP(reader_put) struct om_reader *r = NULL;
	struct om_reader_filter f = {0};
	struct shown s = {0};
	struct om_err err = {0};
	json_t *out;
	int ret = open_log(ctl, a, &f, &r, &err);

	if (ret < 0)
		return om_ctl_fail(ctl, &err);
	/* An array has no end while one follows: then it is a line each, as with jsonl. */
	if (ctl->format == CTL_JSON && !follow)
		s.list = json_array();
	ret = drain(ctl, r, denials, &s, &err);
	while (!ret && follow) {
		if (fflush(stdout) != 0)
			return 0;
		usleep(POLL_US);
		ret = drain(ctl, r, denials, &s, &err);
	}
	if (ret < 0) {
		json_decref(s.list);
		return om_ctl_fail(ctl, &err);
	}
	warn_damaged(ctl, r);
	if (s.list) {
		out = om_ctl_json_new();
		json_object_set_new(out, "events", s.list);
		if (om_ctl_json(out, false, &err) < 0)
			return om_ctl_fail(ctl, &err);
	} else if (!s.heads && ctl->format <= CTL_WIDE) {
		fprintf(stderr, "no events\n");
	}
	return 0;
}

/* --- security audit --- */

struct group {
	char event[64];
	uint64_t count;
	bool bad;
	json_t *objects; /* object: how often */
	uint64_t others;
};

struct groups {
	struct group *items;
	uint32_t n;
};

static void groups_done(struct groups *g)
{
	for (uint32_t i = 0; i < g->n; i++)
		json_decref(g->items[i].objects);
	free(g->items);
}

static struct group *group_of(struct groups *g, const struct om_ctl_event *e)
{
	struct group *grown;
	char event[64];

	snprintf(event, sizeof(event), "%s%s",
		 e->denied  ? "denied "
		 : e->would ? "audited "
			    : "",
		 e->op);
	for (uint32_t i = 0; i < g->n; i++)
		if (strcmp(g->items[i].event, event) == 0)
			return &g->items[i];
	grown = reallocarray(g->items, g->n + 1, sizeof(*grown));
	if (!grown)
		return NULL;
	g->items = grown;
	grown = &g->items[g->n];
	*grown = (struct group){.objects = json_object(), .bad = e->denied};
	memcpy(grown->event, event, sizeof(event));
	if (!grown->objects)
		return NULL;
	g->n++;
	return grown;
}

static int count(struct groups *g, const struct om_ctl_event *e, struct om_err *err)
{
	struct group *one = group_of(g, e);
	json_t *n;

	if (!one)
		return om_err_set(err, OM_ERR_NOMEM, -ENOMEM, "no memory for the table");
	one->count += e->count;
	if (!*e->obj)
		return 0;
	/* Not an object but the fields of a record: the kind says what matters. */
	if (!e->denied && !e->would && strchr(e->obj, '=') && strncmp(e->kind, "policy.", 7) != 0)
		return 0;
	n = json_object_get(one->objects, e->obj);
	/* A workload chooses its objects: a bound keeps it from choosing our memory too. */
	if (!n && json_object_size(one->objects) >= OBJECTS_MAX)
		one->others += e->count;
	else
		json_object_set_new(one->objects, e->obj,
				    json_integer(json_integer_value(n) + (json_int_t)e->count));
	return 0;
}

/* The most frequent objects, then how many more there are. */
static char *notable(const struct group *one)
{
	const char *done[NOTABLE] = {0};
	char *buf = NULL;
	size_t len = 0, size = json_object_size(one->objects);
	FILE *f = open_memstream(&buf, &len);

	if (!f)
		return NULL;
	for (uint32_t k = 0; k < NOTABLE && k < size; k++) {
		const char *key, *best = NULL;
		json_int_t most = 0;
		json_t *v;

		json_object_foreach (one->objects, key, v) {
			bool seen = false;

			for (uint32_t i = 0; i < k; i++)
				seen |= strcmp(done[i], key) == 0;
			if (!seen && json_integer_value(v) > most) {
				most = json_integer_value(v);
				best = key;
			}
		}
		if (!best)
			break;
		done[k] = best;
		fprintf(f, "%s%s", k ? ", " : "", best);
		if (most > 1)
			fprintf(f, " (%lld)", (long long)most);
	}
	if (size > NOTABLE)
		fprintf(f, ", %zu more%s", size - NOTABLE, one->others ? " and others" : "");
	if (fclose(f) != 0) {
		free(buf);
		return NULL;
	}
	return buf;
}

/* Denials first, then by how often. */
static int by_weight(const void *a, const void *b)
{
	const struct group *x = a, *y = b;

	if (x->bad != y->bad)
		return x->bad ? -1 : 1;
	if (x->count != y->count)
		return x->count > y->count ? -1 : 1;
	return strcmp(x->event, y->event);
}

static int print_groups(const struct om_ctl *ctl, const struct groups *g, struct om_err *err)
{
	static const char *const heads[] = {"EVENT", "COUNT", "NOTABLE"};
	bool json = ctl->format == CTL_JSON || ctl->format == CTL_JSONL;
	json_t *list = json_array(), *out;
	struct om_table t;
	int ret = 0;

	om_table_init(&t, heads, 3);
	for (uint32_t i = 0; i < g->n; i++) {
		const struct group *one = &g->items[i];
		OM_CLEANUP(om_free_ptr) char *what = notable(one);
		char n[24];

		snprintf(n, sizeof(n), "%" PRIu64, one->count);
		const char *cells[] = {one->event, n, what};

		if (json)
			json_array_append_new(list, json_pack("{s:s,s:s,s:o,s:O}", "event",
							      one->event, "count", n, "notable",
							      om_ctl_json_text(what ? what : ""),
							      "objects", one->objects));
		else
			om_table_row(&t, cells);
	}
	out = om_ctl_json_new();
	json_object_set_new(out, "rows", list);
	if (json)
		ret = om_ctl_json(json_incref(out), ctl->format == CTL_JSONL, err);
	else
		ret = om_table_print(ctl, &t, err);
	json_decref(out);
	om_table_done(&t);
	return ret;
}

int cmd_security_audit(struct om_ctl *ctl, const struct om_args *a)
{
	OM_CLEANUP(reader_put) struct om_reader *r = NULL;
	OM_CLEANUP(groups_done) struct groups g = {0};
	struct om_reader_filter f = {0};
	struct om_err err = {0};
	struct om_record rec;
	int ret = open_log(ctl, a, &f, &r, &err);

	while (!ret && (ret = om_reader_next(r, &rec, &err)) > 0) {
		struct om_ctl_event e;

		ret = om_ctl_event_read(r, &rec, &e, &err);
		if (ret < 0)
			break;
		if (!is_noise(&e))
			ret = count(&g, &e, &err);
		om_ctl_event_done(&e);
	}
	if (ret < 0)
		return om_ctl_fail(ctl, &err);
	warn_damaged(ctl, r);
	if (g.n)
		qsort(g.items, g.n, sizeof(*g.items), by_weight);
	else if (ctl->format <= CTL_WIDE)
		fprintf(stderr, "no events\n");
	ret = print_groups(ctl, &g, &err);
	return ret < 0 ? om_ctl_fail(ctl, &err) : 0;
}
