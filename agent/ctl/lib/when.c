/*
 * Durations and points in time as people write them.
 *
 * Comes in: "1h", "30m", "2d", RFC 3339. Goes out: microseconds. Called by: the verbs that read the log,
 * --timeout. Never does: use the host's time zone: what is written is UTC or names its offset.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include "agent/ctl/lib/ctl.h"

#define SECOND_US 1000000LL

int64_t om_ctl_now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (int64_t)t.tv_sec * SECOND_US + t.tv_nsec / 1000;
}

/* Exactly N digits at *P. */
static bool digits(const char **p, int n, int *out)
{
	*out = 0;
	for (int i = 0; i < n; i++, (*p)++) {
		if (**p < '0' || **p > '9')
			return false;
		*out = *out * 10 + (**p - '0');
	}
	return true;
}

static bool literal(const char **p, char c)
{
	if (**p != c)
		return false;
	(*p)++;
	return true;
}

bool om_ctl_duration(const char *text, int64_t *us)
{
	static const struct {
		const char *unit;
		int64_t us;
	} units[] = {
		{"ms", 1000},
		{"s", SECOND_US},
		{"m", 60 * SECOND_US},
		{"h", 3600 * SECOND_US},
		{"d", 86400 * SECOND_US},
	};
	int64_t n = 0;
	int count = 0;

	for (; *text >= '0' && *text <= '9' && count < 9; text++, count++)
		n = n * 10 + (*text - '0');
	if (!count)
		return false;
	for (size_t i = 0; i < OM_ARRAY_LEN(units); i++) {
		if (strcmp(text, units[i].unit) != 0)
			continue;
		/* 10^9 days would overflow what follows; a thousand years is long enough. */
		if (n > 365250LL * 86400 * SECOND_US / units[i].us)
			return false;
		*us = n * units[i].us;
		return true;
	}
	return false;
}

/* The offset behind the seconds: "Z", "+02:00". */
static bool zone(const char **p, int *offset)
{
	int h, m, sign = **p == '-' ? -1 : 1;

	*offset = 0;
	if (literal(p, 'Z') || literal(p, 'z'))
		return true;
	if (!literal(p, '+') && !literal(p, '-'))
		return false;
	if (!digits(p, 2, &h) || !literal(p, ':') || !digits(p, 2, &m) || h > 23 || m > 59)
		return false;
	*offset = sign * (h * 3600 + m * 60);
	return true;
}

static bool rfc3339(const char *p, int64_t *us)
{
	struct tm tm = {0}, back;
	int64_t frac = 0, unit = SECOND_US / 10;
	int offset, year, mon;
	time_t t;

	if (!digits(&p, 4, &year) || !literal(&p, '-') || !digits(&p, 2, &mon) ||
	    !literal(&p, '-') || !digits(&p, 2, &tm.tm_mday))
		return false;
	if (!literal(&p, 'T') && !literal(&p, 't') && !literal(&p, ' '))
		return false;
	if (!digits(&p, 2, &tm.tm_hour) || !literal(&p, ':') || !digits(&p, 2, &tm.tm_min) ||
	    !literal(&p, ':') || !digits(&p, 2, &tm.tm_sec))
		return false;
	if (literal(&p, '.')) {
		if (*p < '0' || *p > '9')
			return false;
		for (; *p >= '0' && *p <= '9'; p++, unit /= 10)
			frac += unit * (*p - '0');
	}
	if (!zone(&p, &offset) || *p || tm.tm_hour > 23 || tm.tm_min > 59 || tm.tm_sec > 60)
		return false;
	tm.tm_year = year - 1900;
	tm.tm_mon = mon - 1;
	back = tm;
	t = timegm(&back);
	/* timegm makes 2 March of 30 February; a date that moved was none. */
	if (back.tm_mon != tm.tm_mon && tm.tm_sec < 60)
		return false;
	*us = ((int64_t)t - offset) * SECOND_US + frac;
	return true;
}

int om_ctl_since(const char *text, int64_t now_us, int64_t *us, struct om_err *err)
{
	int64_t ago;

	if (om_ctl_duration(text, &ago)) {
		*us = now_us - ago;
		return 0;
	}
	if (rfc3339(text, us))
		return 0;
	return om_err_set(err, OM_ERR_USAGE, -EINVAL,
			  "'%s' is no time: write 30m, 1h, 2d or 2026-11-21T23:53:05Z", text);
}

const char *om_ctl_time(int64_t us, char buf[static CTL_TIME_MAX])
{
	int64_t frac = us % SECOND_US;
	time_t t = (time_t)(us / SECOND_US);
	struct tm tm;

	if (frac < 0) {
		frac += SECOND_US;
		t--;
	}
	if (!gmtime_r(&t, &tm) || tm.tm_year > 8099)
		memset(&tm, 0, sizeof(tm));
	snprintf(buf, CTL_TIME_MAX, "%04d-%02d-%02dT%02d:%02d:%02d.%06dZ",
		 (tm.tm_year + 1900) % 10000, (tm.tm_mon + 1) % 100, tm.tm_mday % 100,
		 tm.tm_hour % 100, tm.tm_min % 100, tm.tm_sec % 100, (int)(frac % SECOND_US));
	return buf;
}
