/*
 * Findings, exit codes and sentences.
 *
 * Comes in: what the walk counted. Goes out: text. Called by: the walk, omegactl. Never does: print,
 * or say "OK" where a reader could take it for more than was looked at.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "agent/chain/verify/walk.h"

static const struct {
	const char *cls;
	const char *name;
} classes[] = {
	{"1", "bit flip in record"},
	{"2", "bit flip in note"},
	{"3", "record deleted"},
	{"4", "commit group deleted"},
	{"5", "records of one brane reordered"},
	{"6", "records of several branes reordered"},
	{"7", "record inserted"},
	{"8", "record duplicated"},
	{"9b", "older than the freshness bound"},
	{"9c", "cut off before a head that was seen"},
	{"10", "cut inside a batch"},
	{"11b", "fork: another tree than the head that was seen"},
	{"12", "substrate key swapped"},
	{"13", "brane key swapped"},
	{"14", "monotonic clock runs back"},
	{"15", "wall clock stepped without a record"},
	{"16", "segments swapped"},
	{"17", "segment removed"},
	{"18", "record moved to another brane"},
	{"19", "history re-signed with other keys"},
	{"20", "one of two signatures stripped"},
	{"21", "record is not canonical"},
	{"22", "duplicate key in a record"},
	{"23", "drop counter rolled back"},
	{"24", "note replayed elsewhere"},
	{"25", "note dropped"},
	{"29", "note is not canonical"},
	{"31", "oversized line, control or trailing bytes"},
	{"32", "unclean restart"},
	{"33", "derived file altered"},
	{"34", "old checkpoint"},
	{"35", "brane instance reused"},
	{"36", "commit record is wrong"},
};

void om_walk_find(struct walk *w, enum om_finding_level level, const char *cls, uint64_t leaf,
		  uint64_t offset, const char *fmt, ...)
{
	struct om_finding *f;
	va_list ap;

	if (level == OM_FINDING_TAMPERED)
		w->stop = true;
	if (w->res->n_findings == OM_FINDINGS_MAX)
		return;
	f = &w->res->finding[w->res->n_findings++];
	memset(f, 0, sizeof(*f));
	f->level = level;
	f->cls = cls;
	f->name = "";
	for (size_t i = 0; i < OM_ARRAY_LEN(classes); i++)
		if (!strcmp(classes[i].cls, cls))
			f->name = classes[i].name;
	f->leaf = leaf;
	f->offset = offset;
	memcpy(f->segment, w->name, sizeof(f->segment));
	va_start(ap, fmt);
	vsnprintf(f->text, sizeof(f->text), fmt, ap);
	va_end(ap);
}

int om_verify_exit(const struct om_verify_result *res)
{
	switch (res->verdict) {
	case OM_VERDICT_INTACT:
		return 0;
	case OM_VERDICT_TAMPERED:
		return 1;
	case OM_VERDICT_INCOMPLETE:
		return 11;
	case OM_VERDICT_NO_KEYS:
		return 12;
	}
	return 1;
}

struct say {
	void (*fn)(char mark, const char *text, void *ctx);
	void *ctx;
};

static void say(const struct say *s, char mark, const char *fmt, ...) OM_PRINTF(3, 4);
static void say(const struct say *s, char mark, const char *fmt, ...)
{
	char text[400];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	s->fn(mark, text, s->ctx);
}

#define U(v) ((unsigned long long)(v))

static void say_findings(const struct say *s, const struct om_verify_result *res)
{
	for (uint32_t i = 0; i < res->n_findings; i++) {
		const struct om_finding *f = &res->finding[i];
		char mark = f->level == OM_FINDING_TAMPERED  ? 'x'
			    : f->level == OM_FINDING_WARNING ? '!'
							     : ' ';

		if (f->segment[0])
			say(s, mark, "class %s, %s: leaf %llu, byte offset %llu of %s: %s", f->cls,
			    f->name, U(f->leaf), U(f->offset), f->segment, f->text);
		else
			say(s, mark, "class %s, %s: %s", f->cls, f->name, f->text);
	}
}

static void say_time(const struct say *s, const struct om_verify_result *res)
{
	uint64_t lost = res->drop[0] + res->drop[1] + res->drop[2];
	char stamp[OM_TIME_LEN + 1] = "1970-01-01T00:00:00.000000Z";

	om_time_format(res->complete_through, stamp);
	memcpy(stamp + 19, "Z", 2); /* whole seconds are enough for people */
	say(s, lost ? '!' : '+', "complete through %s, %llu events counted as lost", stamp,
	    U(lost));
	if (lost)
		say(s, '!', "lost: %llu disk full, %llu rate limit, %llu kernel buffer",
		    U(res->drop[0]), U(res->drop[1]), U(res->drop[2]));
	if (res->fresh >= 0)
		say(s, res->fresh ? '+' : '!', res->fresh ? "fresh" : "stale: see class 9b");
	say(s, ' ', res->closed ? "the last writer stopped cleanly" : "a writer has it open");
}

static void say_restarts(const struct say *s, const struct om_verify_result *res)
{
	if (res->unclean || res->key_breaks)
		say(s, '!',
		    "%llu unclean restarts, %llu one-time keys lost, %llu lines kept unsigned, "
		    "%llu bytes torn",
		    U(res->unclean), U(res->key_breaks), U(res->kept_unsigned), U(res->torn));
	else
		say(s, '+', "no unclean restarts");
}

void om_verify_lines(const struct om_verify_result *res, const struct om_verify_options *opt,
		     void (*fn)(char mark, const char *text, void *ctx), void *ctx)
{
	struct say s = {fn, ctx};

	if (opt->brane)
		say(&s, ' ', "%llu events in %llu %s of the name, among %llu leaves in all",
		    U(res->filter_events), U(res->filter_branes),
		    res->filter_branes == 1 ? "life" : "lives", U(res->size));
	else
		say(&s, ' ', "%llu events of %u branes", U(res->brane_events), res->n_branes);
	if (res->authenticity)
		say(&s, '+',
		    "all signatures valid (substrate + one-time keys on %llu commits, "
		    "substrate + brane on %llu brane heads)",
		    U(res->node_notes), U(res->brane_notes));
	else if (res->verdict == OM_VERDICT_NO_KEYS)
		say(&s, '!', "no substrate key to judge by: whose log this is cannot be said");
	if (res->integrity)
		say(&s, '+', "no chain breaks, no out-of-order events");
	say_findings(&s, res);
	if (res->commits)
		say_time(&s, res);
	say_restarts(&s, res);
	say(&s, ' ', "not anchored: no witness configured; size %llu", U(res->size));
	say(&s, ' ',
	    "no offline check sees an old copy passed off as all of it, a fork shown alone, or "
	    "lies "
	    "told after a break-in");
}
