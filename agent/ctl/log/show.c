/*
 * Events as lines and as JSON.
 *
 * Comes in: struct om_ctl_event. Goes out: stdout, JSON values. Called by: events, explain --event. Never
 * does: leave the grant out of a denial: where no line can grant it, that is said.
 */
#include <inttypes.h>
#include <string.h>
#include "agent/ctl/log/event.h"
#include "agent/ctl/lib/out.h"
#include "policies/path.h"

/* Cleaned TEXT, padded to WIDTH; longer texts push the rest to the right rather than being cut. */
static void cell(const char *text, size_t width)
{
	size_t used = om_ctl_put(stdout, text, strlen(text));

	printf("%*s", (int)(used < width ? width - used : 0) + 1, "");
}

void om_ctl_event_heads(const struct om_ctl *ctl)
{
	printf("%s%-27s %-6s %-10s %-7s %-15s %-8s %-12s %-10s %-18s OBJECT%s\n",
	       om_ctl_color(ctl->color_out, CTL_BOLD), "TIME", "ID", "BRANE", "PID", "PROCESS",
	       "VERDICT", "WHAT", "LAYER", "RULE", om_ctl_uncolor(ctl->color_out));
}

static const char *verdict(const struct om_ctl_event *e)
{
	return e->denied ? "denied" : e->would ? "audit" : om_json_text(e->data, "act", "-");
}

void om_ctl_event_print(const struct om_ctl *ctl, const struct om_ctl_event *e)
{
	char time[CTL_TIME_MAX], id[24], pid[24] = "-";
	const char *missing;

	snprintf(id, sizeof(id), "%" PRIu64, e->leaf);
	if (e->pid)
		snprintf(pid, sizeof(pid), "%" PRId64, e->pid);
	cell(om_ctl_time(e->time, time), 27);
	cell(id, 6);
	cell(e->name, 10);
	cell(pid, 7);
	cell(*e->proc ? e->proc : "-", 15);
	fputs(om_ctl_color(ctl->color_out, e->denied  ? CTL_RED
					   : e->would ? CTL_YELLOW
						      : CTL_PLAIN),
	      stdout);
	cell(verdict(e), 8);
	fputs(om_ctl_uncolor(ctl->color_out), stdout);
	cell(e->op, 12);
	cell(*e->layer ? e->layer : "-", 10);
	cell(e->rule[0] ? e->rule : "-", 18);
	fputs(e->obj, stdout); /* made safe when it was read */
	if (e->count > 1)
		printf(" (%" PRIu64 " times)", e->count);
	if (*e->why) {
		fputs(" (", stdout);
		om_ctl_put(stdout, e->why, strlen(e->why));
		fputs(*e->content ? ", sha256:" : "", stdout);
		om_ctl_put(stdout, e->content, strlen(e->content));
		fputs(")", stdout);
	}
	putchar('\n');
	missing = *e->obj == '/' ? om_path_special(e->obj) : NULL;
	if (!e->denied && !e->would)
		return;
	printf("    would be granted by: %s", om_ctl_color(ctl->color_out, CTL_DIM));
	if (e->grant[0])
		om_ctl_put(stdout, e->grant, strlen(e->grant));
	else if (strcmp(e->why, "open-for-writing") == 0)
		fputs("the line that binds it, once nobody has it open for writing", stdout);
	else if (strcmp(e->why, "content-unknown") == 0)
		fputs("the line that binds it, where the kernel can read the file", stdout);
	else if (!*e->obj)
		fputs("see the events before it: this record counts repetitions", stdout);
	else
		printf("no manifest line%s%s%s", missing ? " yet: it needs " : "",
		       missing ? missing : "", missing ? ", which is not built" : "");
	printf("%s\n", om_ctl_uncolor(ctl->color_out));
}

json_t *om_ctl_event_json(const struct om_ctl_event *e)
{
	json_t *o = om_ctl_json_new();
	char time[CTL_TIME_MAX];

	json_object_set_new(o, "id", om_ctl_json_u64(e->leaf));
	json_object_set_new(o, "time", json_string(om_ctl_time(e->time, time)));
	json_object_set_new(o, "brane", om_ctl_json_text(e->brane));
	json_object_set_new(o, "name", om_ctl_json_text(e->name));
	json_object_set_new(o, "seq", om_ctl_json_u64(e->seq));
	json_object_set_new(o, "kind", om_ctl_json_text(e->kind));
	json_object_set_new(o, "verdict", om_ctl_json_text(verdict(e)));
	json_object_set_new(o, "what", om_ctl_json_text(e->op));
	json_object_set_new(o, "object", om_ctl_json_text(e->obj));
	json_object_set_new(o, "layer", om_ctl_json_text(e->layer));
	json_object_set_new(o, "process", om_ctl_json_text(e->proc));
	json_object_set_new(o, "pid", json_integer(e->pid));
	json_object_set_new(o, "count", om_ctl_json_u64(e->count));
	json_object_set_new(o, "rule", om_ctl_json_text(e->rule));
	json_object_set_new(o, "grant", e->grant[0] ? om_ctl_json_text(e->grant) : json_null());
	json_object_set(o, "data", e->data);
	return o;
}
