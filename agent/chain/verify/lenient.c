/*
 * Any JSON, for the slow path: tells a line that was rewritten from one that was damaged.
 *
 * Comes in: a line that is not canonical. Goes out: its class. Called by: diagnose.c. Never does:
 * accept anything into the log.
 */
#include <string.h>

#include "agent/chain/verify/walk.h"

#define LENIENT_KEYS 64

struct lenient {
	const char *p;
	const char *end;
	bool duplicate;
};

static void space(struct lenient *l)
{
	while (l->p < l->end && strchr(" \t\r\n", *l->p) && *l->p)
		l->p++;
}

static bool eat(struct lenient *l, char c)
{
	space(l);
	if (l->p >= l->end || *l->p != c)
		return false;
	l->p++;
	return true;
}

static bool text(struct lenient *l)
{
	if (!eat(l, '"'))
		return false;
	for (; l->p < l->end && *l->p != '"'; l->p++)
		if (*l->p == '\\' && ++l->p == l->end)
			return false;
	return l->p++ < l->end;
}

static bool value(struct lenient *l, int depth);

static bool object(struct lenient *l, int depth)
{
	const char *key[LENIENT_KEYS];
	size_t len[LENIENT_KEYS];
	int n = 0;

	if (eat(l, '}'))
		return true;
	do {
		const char *start;

		space(l);
		start = l->p;
		if (!text(l))
			return false;
		for (int i = 0; i < n; i++)
			if (len[i] == (size_t)(l->p - start) && !memcmp(key[i], start, len[i]))
				l->duplicate = true;
		if (n < LENIENT_KEYS) {
			key[n] = start;
			len[n++] = (size_t)(l->p - start);
		}
		if (!eat(l, ':') || !value(l, depth))
			return false;
	} while (eat(l, ','));
	return eat(l, '}');
}

static bool array(struct lenient *l, int depth)
{
	if (eat(l, ']'))
		return true;
	do
		if (!value(l, depth))
			return false;
	while (eat(l, ','));
	return eat(l, ']');
}

/* Numbers and words: whatever JSON could have there, loosely. */
static bool scalar(struct lenient *l)
{
	const char *start = l->p;

	while (l->p < l->end && *l->p && strchr("0123456789+-.eEtrufalsn", *l->p))
		l->p++;
	return l->p > start;
}

static bool value(struct lenient *l, int depth)
{
	if (depth > 16)
		return false;
	space(l);
	if (l->p >= l->end)
		return false;
	if (*l->p == '"')
		return text(l);
	if (eat(l, '{'))
		return object(l, depth + 1);
	if (eat(l, '['))
		return array(l, depth + 1);
	return scalar(l);
}

const char *om_walk_lenient(const char *p, size_t len)
{
	struct lenient l = {p, p + len, false};

	if (!eat(&l, '{') || !object(&l, 0))
		return "1";
	space(&l);
	if (l.p != l.end)
		return "31";
	return l.duplicate ? "22" : "21";
}
