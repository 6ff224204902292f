/*
 * Dates and times: the four types of TOML, written as in RFC 3339.
 *
 * Comes in: the text of one value. Goes out: checked fields in its node. Called by: toml_value.c. Never
 * does: convert between time zones, or accept a day that the calendar does not have.
 */
#include <errno.h>
#include <string.h>

#include "policies/manifest/toml_impl.h"

/* The cursor within one value. */
struct scan {
	const char *s, *end;
	const char *hint; /* of the first thing that is wrong */
};

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Exactly N digits, as a number. */
static bool number(struct scan *sc, unsigned n, unsigned *out)
{
	*out = 0;
	if ((size_t)(sc->end - sc->s) < n)
		return false;
	for (unsigned i = 0; i < n; i++) {
		if (!is_digit(sc->s[i]))
			return false;
		*out = *out * 10 + (unsigned)(sc->s[i] - '0');
	}
	sc->s += n;
	return true;
}

static bool one_of(struct scan *sc, const char *set)
{
	if (sc->s >= sc->end || !*sc->s || !strchr(set, *sc->s))
		return false;
	sc->s++;
	return true;
}

/* The Gregorian calendar, proleptic as in RFC 3339; MONTH is 1 to 12. */
static unsigned days_in(unsigned year, unsigned month)
{
	static const uint8_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	bool is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);

	return days[month - 1] + (month == 2 && is_leap);
}

/* full-date of RFC 3339. */
static bool date(struct scan *sc, struct om_toml_datetime *dt)
{
	unsigned year, month, day;

	sc->hint = "a date is written 2026-01-31";
	if (!number(sc, 4, &year) || !one_of(sc, "-") || !number(sc, 2, &month) ||
	    !one_of(sc, "-") || !number(sc, 2, &day))
		return false;
	sc->hint = "the month is 01 to 12";
	if (month < 1 || month > 12)
		return false;
	sc->hint = "that month has no such day";
	if (day < 1 || day > days_in(year, month))
		return false;
	dt->year = (uint16_t)year;
	dt->month = (uint8_t)month;
	dt->day = (uint8_t)day;
	return true;
}

/* UNIT reaches 0 after nine digits: the rest is checked but adds nothing. */
static bool fraction(struct scan *sc, struct om_toml_datetime *dt)
{
	uint32_t unit = 100000000;

	sc->hint = "a decimal point is followed by digits";
	if (sc->s >= sc->end || !is_digit(*sc->s))
		return false;
	for (; sc->s < sc->end && is_digit(*sc->s); sc->s++) {
		dt->nanosecond += unit * (uint32_t)(*sc->s - '0');
		unit /= 10;
	}
	return true;
}

/*
 * partial-time of RFC 3339. A leap second is accepted in any minute: when the next one comes is not
 * known to a parser.
 */
static bool time_of_day(struct scan *sc, struct om_toml_datetime *dt)
{
	unsigned hour, minute, second;

	sc->hint = "a time is written 07:32:00 or 07:32:00.999";
	if (!number(sc, 2, &hour) || !one_of(sc, ":") || !number(sc, 2, &minute))
		return false;
	if (!one_of(sc, ":")) {
		sc->hint = "a time without seconds is TOML 1.1; this is TOML 1.0: write 07:32:00";
		return false;
	}
	if (!number(sc, 2, &second))
		return false;
	sc->hint = "hours are 00 to 23, minutes 00 to 59, seconds 00 to 60";
	if (hour > 23 || minute > 59 || second > 60)
		return false;
	dt->hour = (uint8_t)hour;
	dt->minute = (uint8_t)minute;
	dt->second = (uint8_t)second;
	return !one_of(sc, ".") || fraction(sc, dt);
}

/* time-offset of RFC 3339; -00:00 ("offset unknown") is kept as UTC. */
static bool offset(struct scan *sc, struct om_toml_datetime *dt)
{
	unsigned hour, minute;
	bool is_west = *sc->s == '-';

	if (one_of(sc, "Zz"))
		return true;
	sc->hint = "an offset is written Z, +01:00 or -08:00";
	if (!one_of(sc, "+-") || !number(sc, 2, &hour) || !one_of(sc, ":") ||
	    !number(sc, 2, &minute) || hour > 23 || minute > 59)
		return false;
	dt->offset_minutes = (int16_t)(hour * 60 + minute);
	if (is_west)
		dt->offset_minutes = (int16_t)-dt->offset_minutes;
	return true;
}

/* The type is set first, so that even a malformed value has the one that was meant. */
static bool scan(struct scan *sc, struct om_toml_node *out)
{
	struct om_toml_datetime *dt = &out->datetime;

	const char *first = memchr(sc->s, ':', OM_MIN((size_t)(sc->end - sc->s), 3u));

	if (first) {
		out->type = OM_TOML_LOCAL_TIME;
		if (!time_of_day(sc, dt))
			return false;
		sc->hint = "a time without a date has no offset";
		return sc->s == sc->end;
	}
	out->type = OM_TOML_LOCAL_DATE;
	if (!date(sc, dt))
		return false;
	if (sc->s == sc->end)
		return true;
	sc->hint = "between date and time stands T or one space";
	if (!one_of(sc, "Tt "))
		return false;
	out->type = OM_TOML_LOCAL_DATETIME;
	if (!time_of_day(sc, dt))
		return false;
	if (sc->s == sc->end)
		return true;
	out->type = OM_TOML_OFFSET_DATETIME;
	if (!offset(sc, dt))
		return false;
	sc->hint = "nothing follows the offset";
	return sc->s == sc->end;
}

/*
 * Digits, then what no number has: a hyphen (an exponent's has a letter before it), or a colon unless
 * there are more digits before it than an hour has: that is an IPv6 address without its quotes.
 */
bool om_toml_is_datetime(const char *s, size_t len)
{
	size_t i = 0;

	while (i < len && is_digit(s[i]))
		i++;
	return i > 0 && i < len && (s[i] == '-' || (s[i] == ':' && i <= 2));
}

void om_toml_datetime(struct om_toml_parser *ps, const char *s, size_t len, struct om_pos pos,
		      struct om_toml_node *out)
{
	struct scan sc = {.s = s, .end = s + len};
	char shown[OM_TOML_SHOWN];

	ps->work += len;
	if (!scan(&sc, out))
		om_toml_error(ps, OM_ERR_TOML_DATETIME, pos, sc.hint, "malformed date or time '%s'",
			      om_toml_show(shown, s, len));
}
