/*
 * explain: a capability or a field from the registry, or one event of the log.
 *
 * Comes in: a topic, or an event's id. Goes out: text. Called by: main. Never does: recommend a grant: it
 * says what the line would be, and what it would risk.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <omega/cap.h>
#include "agent/ctl/command.h"
#include "agent/ctl/lib/out.h"
#include "agent/ctl/log/event.h"

static const struct {
	const char *rule, *risk;
} risks[] = {
	{"filesystem.read", "the workload can copy what it reads to every address it may reach"},
	{"filesystem.write",
	 "it can change and remove what stands there; others may trust its content"},
	{"filesystem.create", "it can fill the disk, and put files where others look for theirs"},
	{"filesystem.exec",
	 "that program runs with all other grants of this brane; interpreters and "
	 "shells run anything that they can read"},
	{"filesystem.allow-write-exec", "code that was never reviewed can be written and then run"},
	{"network.egress", "whatever it may read can leave to that address"},
	{"network.listen", "whoever reaches that port can speak to the workload"},
	{"syscalls.allow", "more of the kernel can be reached by code that may be hostile"},
	{"environment.set",
	 "values in the environment are visible to every process of the brane and "
	 "in the log"},
};

static const char *layer_means(const char *layer)
{
	static const struct {
		const char *layer, *means;
	} all[] = {
		{"lsm", "the kernel's own hook on the object, whatever name it had"},
		{"cgroup-bpf", "the cgroup's socket programs"},
		{"nft", "the packet filter"},
		{"seccomp", "the system call filter, before the kernel looked at the arguments"},
		{"view",
		 "the path is not in the brane's file tree, so the kernel answered 'no such file'"},
		{"cgroup", "a resource limit"},
		{"process", "the setup of the process"},
	};

	for (size_t i = 0; i < OM_ARRAY_LEN(all); i++)
		if (strcmp(all[i].layer, layer) == 0)
			return all[i].means;
	return "a layer that this build does not know";
}

static const char *risk_of(const char *rule)
{
	for (size_t i = 0; i < OM_ARRAY_LEN(risks); i++)
		if (strcmp(risks[i].rule, rule) == 0)
			return risks[i].risk;
	return "it widens what the workload can do; read 'omegactl explain' on that key";
}

static void put(const char *label, const char *text)
{
	printf("%-10s ", label);
	om_ctl_put(stdout, text, strlen(text));
	printf("\n");
}

static void explain_event(const struct om_ctl_event *e)
{
	char time[CTL_TIME_MAX], who[96];

	printf("event %" PRIu64 ": %s %s\n\n", e->leaf, e->op,
	       e->denied  ? "was denied"
	       : e->would ? "was allowed by audit mode; enforced, it would be denied"
			  : "is no denial");
	put("when", om_ctl_time(e->time, time));
	put("brane", e->brane);
	if (e->pid) {
		snprintf(who, sizeof(who), "pid %" PRId64 " %s", e->pid, e->proc);
		put("who", who);
	}
	if (*e->obj)
		put("object", e->obj);
	if (!e->denied && !e->would)
		return;
	snprintf(who, sizeof(who), "%s: %s", *e->layer ? e->layer : "unknown",
		 layer_means(e->layer));
	put("layer", who);
	put("why", e->rule[0] ? "nothing in the manifest grants it; what is not named is denied"
			      : "no capability grants such operations to any brane");
	if (!e->grant[0]) {
		put("grant", *e->obj ? "no manifest line can grant it"
				     : "this record counts repetitions; explain one of the first");
		return;
	}
	put("rule", e->rule);
	put("grant", e->grant);
	put("risk", risk_of(e->rule));
}

static int event(const struct om_ctl *ctl, const char *id, struct om_err *err)
{
	OM_CLEANUP(om_close_fd) int fd = -1;
	struct om_reader_filter f = {0};
	struct om_reader *r = NULL;
	struct om_record rec;
	char *end;
	uint64_t leaf;
	int ret;

	errno = 0;
	leaf = strtoull(id, &end, 10);
	if (*id < '0' || *id > '9' || *end || errno)
		return om_err_set(err, OM_ERR_USAGE, -EINVAL,
				  "--event %s: expected the number in the ID column of 'events'",
				  id);
	ret = om_ctl_audit_open(ctl, NULL, &fd, err);
	if (!ret)
		ret = om_reader_open(fd, &f, &r, err);
	if (ret < 0)
		return ret;
	while ((ret = om_reader_next(r, &rec, err)) > 0) {
		struct om_ctl_event e;

		if (om_reader_leaf(r) != leaf)
			continue;
		ret = om_ctl_event_read(r, &rec, &e, err);
		if (ret < 0)
			break;
		if (ctl->format == CTL_JSON || ctl->format == CTL_JSONL) {
			json_t *out = om_ctl_event_json(&e);

			json_object_set_new(out, "risk",
					    e.grant[0] ? json_string(risk_of(e.rule))
						       : json_null());
			ret = om_ctl_json(out, false, err);
		} else {
			explain_event(&e);
		}
		om_ctl_event_done(&e);
		om_reader_close(r);
		return ret;
	}
	om_reader_close(r);
	if (ret < 0)
		return ret;
	/* 4, as for anything that is not there. */
	return om_err_set(err, OM_ERR_NOT_FOUND, -ENOENT, "the log has no event %s", id);
}

int cmd_explain(struct om_ctl *ctl, const struct om_args *a)
{
	const char *id = om_args_value(a, "event", NULL);
	OM_CLEANUP(om_free_ptr) char *text = NULL;
	struct om_err err = {0};
	json_t *out;
	int ret;

	if (id) {
		ret = event(ctl, id, &err);
		return ret < 0 ? om_ctl_fail(ctl, &err) : 0;
	}
	ret = om_cap_explain(a->npos ? a->pos[0] : "", &text, &err);
	if (ret < 0)
		return om_ctl_fail(ctl, &err);
	if (ctl->format == CTL_JSON || ctl->format == CTL_JSONL) {
		out = om_ctl_json_new();
		json_object_set_new(out, "topic", om_ctl_json_text(a->npos ? a->pos[0] : ""));
		json_object_set_new(out, "text", om_ctl_json_text(text));
		ret = om_ctl_json(out, false, &err);
		return ret < 0 ? om_ctl_fail(ctl, &err) : 0;
	}
	fputs(text, stdout);
	return 0;
}
