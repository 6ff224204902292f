/*
 * The roles' own log; the contract is in log.h.
 *
 * Comes in: pairs. Goes out: one write(2) per line on stderr. Called by: omegad and its roles. Never
 * does: allocate.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include "agent/role/log.h"

#define LINE_MAX_BYTES 1024u
#define BURST	       20
#define PER_SECOND     5

static const char *speaker = "omegad";
static int tokens = BURST;
static int64_t filled;
static uint64_t suppressed;

void om_slog_role(const char *name)
{
	time_t epoch = 0;
	struct tm tm;

	speaker = name;
	/* The C library reads its time zone file on first use; later there is no file to be had. */
	gmtime_r(&epoch, &tm);
}

struct line {
	char text[LINE_MAX_BYTES];
	size_t len;
};

static void put(struct line *l, const char *s, size_t n)
{
	/* Room for the newline is kept. */
	n = OM_MIN(n, sizeof(l->text) - 1 - l->len);
	memcpy(l->text + l->len, s, n);
	l->len += n;
}

/*
 * A value can hold what a workload chose (a file name): control bytes are replaced, so that it can
 * neither start a line of its own nor steer a terminal.
 */
static void put_value(struct line *l, const char *v)
{
	bool plain = *v;

	for (const char *p = v; *p && plain; p++)
		plain = *p > ' ' && *p < 0x7f && *p != '"' && *p != '\\' && *p != '=';
	if (plain) {
		put(l, v, strlen(v));
		return;
	}
	put(l, "\"", 1);
	for (; *v; v++) {
		unsigned char c = (unsigned char)*v;

		if (c == '"' || c == '\\')
			put(l, "\\", 1);
		put(l, c < ' ' || c == 0x7f ? "?" : v, 1);
	}
	put(l, "\"", 1);
}

static void put_pair(struct line *l, const char *key, const char *value)
{
	put(l, " ", 1);
	put(l, key, strlen(key));
	put(l, "=", 1);
	put_value(l, value);
}

static bool take_token(enum om_level level)
{
	struct timespec t;
	int64_t more;

	if (level == OM_FAIL)
		return true;
	clock_gettime(CLOCK_MONOTONIC, &t);
	more = (t.tv_sec - filled) * PER_SECOND;
	if (more > 0) {
		tokens = (int)OM_MIN(tokens + more, (int64_t)BURST);
		filled = t.tv_sec;
	}
	if (tokens <= 0) {
		suppressed++;
		return false;
	}
	tokens--;
	return true;
}

static void begin(struct line *l, enum om_level level, const char *event)
{
	static const char *const names[] = {"info", "warn", "fail"};
	struct timespec t;
	struct tm tm;
	char stamp[40];
	size_t n;

	l->len = 0;
	clock_gettime(CLOCK_REALTIME, &t);
	gmtime_r(&t.tv_sec, &tm);
	n = strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H:%M:%S", &tm);
	n += (size_t)snprintf(stamp + n, sizeof(stamp) - n, ".%03ldZ ", t.tv_nsec / 1000000);
	put(l, stamp, n);
	put(l, names[level], strlen(names[level]));
	put(l, " ", 1);
	put(l, speaker, strlen(speaker));
	put(l, " ", 1);
	put(l, event, strlen(event));
}

static void end(struct line *l)
{
	if (suppressed) {
		put_pair(l, "suppressed", om_slog_num((int64_t)suppressed));
		suppressed = 0;
	}
	l->text[l->len++] = '\n';
	if (write(STDERR_FILENO, l->text, l->len) < 0)
		return; /* nobody listens; there is no second place to say so */
}

void om_slog(enum om_level level, const char *event, ...)
{
	struct line l;
	const char *key;
	va_list ap;

	if (!take_token(level))
		return;
	begin(&l, level, event);
	va_start(ap, event);
	while ((key = va_arg(ap, const char *))) {
		const char *value = va_arg(ap, const char *);

		if (value)
			put_pair(&l, key, value);
	}
	va_end(ap);
	end(&l);
}

void om_slog_err(enum om_level level, const char *event, const char *name, const struct om_err *err)
{
	char code[8];

	om_slog(level, event, "id", om_err_code(err->id, code), "error",
		err->text[0] ? err->text : om_err_text(err->id), name ? "name" : NULL, name, NULL);
}

const char *om_slog_num(int64_t v)
{
	static char buf[8][24];
	static unsigned int turn;
	char *b = buf[turn++ % OM_ARRAY_LEN(buf)];

	snprintf(b, sizeof(buf[0]), "%" PRId64, v);
	return b;
}
