/*
 * Integers and floats.
 *
 * Comes in: the text of one value. Goes out: an int64 or a double in its node. Called by: toml_value.c.
 * Never does: wrap, saturate or round an integer, or let the process's locale read a decimal point.
 */
#include <errno.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "policies/manifest/toml_impl.h"

/* The cursor within one number. */
struct number {
	const char *s, *end;
	char *digits; /* the number without underscores, NUL-terminated: what strtod reads */
	size_t len;
};

static bool is_digit(char c, unsigned base)
{
	if (base == 16 && (c | 0x20) >= 'a' && (c | 0x20) <= 'f')
		return true;
	return c >= '0' && c < '0' + (char)OM_MIN(base, 10u);
}

/* Digits with single underscores between them, at least one. */
static bool digits(struct number *n, unsigned base)
{
	bool after_digit = false;

	for (; n->s < n->end; n->s++) {
		if (is_digit(*n->s, base)) {
			n->digits[n->len++] = *n->s;
			after_digit = true;
		} else if (*n->s == '_' && after_digit) {
			after_digit = false;
		} else {
			break;
		}
	}
	return after_digit;
}

/* One character out of SET, which goes to strtod as it is. */
static bool take(struct number *n, const char *set)
{
	if (n->s >= n->end || !*n->s || !strchr(set, *n->s))
		return false;
	n->digits[n->len++] = *n->s++;
	return true;
}

/* Why S is no number, as a remedy; NULL if it is most likely a string without quotes. */
static const char *remedy(const char *s, size_t len)
{
	const char *end = s + len, *digit = s + (*s == '+' || *s == '-');
	size_t rest = (size_t)(end - digit);

	if (memchr(s, '_', len))
		return "an underscore stands between two digits";
	if (rest > 0 && (end[-1] == '.' || *digit == '.'))
		return "a decimal point needs a digit on both sides";
	if (rest < 2 || *digit != '0')
		return NULL;
	if (digit[1] == 'X' || digit[1] == 'O' || digit[1] == 'B')
		return "the prefixes are 0x, 0o and 0b";
	if (digit > s && (digit[1] == 'x' || digit[1] == 'o' || digit[1] == 'b'))
		return "hexadecimal, octal and binary numbers have no sign";
	if (is_digit(digit[1], 10))
		return "leading zeros are not allowed; octal is written 0o17";
	return NULL;
}

static void malformed(struct om_toml_parser *ps, const char *s, size_t len, struct om_pos pos)
{
	char shown[OM_TOML_SHOWN], quoted[OM_TOML_SHOWN + 48];
	const char *hint = remedy(s, len);

	om_toml_show(shown, s, len);
	if (!hint) {
		snprintf(quoted, sizeof(quoted), "strings need quotes: write \"%s\"", shown);
		hint = quoted;
	}
	om_toml_error(ps, OM_ERR_TOML_NUMBER, pos, hint, "malformed number '%s'", shown);
}

static void too_large(struct om_toml_parser *ps, const char *s, size_t len, struct om_pos pos)
{
	char shown[OM_TOML_SHOWN];

	om_toml_error(ps, OM_ERR_TOML_RANGE, pos,
		      "integers reach from -9223372036854775808 to 9223372036854775807",
		      "integer '%s' is out of range", om_toml_show(shown, s, len));
}

/* Counts downwards when negative: the smallest integer has no positive twin. */
static bool convert(const char *s, size_t len, unsigned base, bool is_negative, int64_t *out)
{
	int64_t v = 0;

	for (size_t i = 0; i < len; i++) {
		int64_t d = s[i] <= '9' ? s[i] - '0' : (s[i] | 0x20) - 'a' + 10;

		if (__builtin_mul_overflow(v, (int64_t)base, &v) ||
		    __builtin_add_overflow(v, is_negative ? -d : d, &v))
			return false;
	}
	*out = v;
	return true;
}

/* 0x, 0o, 0b. False: not of that form. */
static bool prefixed(struct om_toml_parser *ps, const char *s, size_t len, struct om_pos pos,
		     struct number *n, struct om_toml_node *out)
{
	unsigned base = s[1] == 'x' ? 16 : s[1] == 'o' ? 8 : 2;

	n->s = s + 2;
	if (!digits(n, base) || n->s != n->end)
		return false;
	out->type = OM_TOML_INTEGER;
	if (!convert(n->digits, n->len, base, false, &out->integer))
		too_large(ps, s, len, pos);
	return true;
}

/* inf and nan, after a sign. */
static bool special(const struct number *n, bool is_negative, struct om_toml_node *out)
{
	if (n->end - n->s != 3)
		return false;
	if (!memcmp(n->s, "inf", 3))
		out->real = is_negative ? -INFINITY : INFINITY;
	else if (!memcmp(n->s, "nan", 3))
		out->real = NAN;
	else
		return false;
	out->type = OM_TOML_FLOAT;
	return true;
}

static void to_double(struct om_toml_parser *ps, const char *s, size_t len, struct om_pos pos,
		      const struct number *n, struct om_toml_node *out)
{
	/* "C" is a constant of the C library: this allocates nothing and does not fail. */
	locale_t c = newlocale(LC_ALL_MASK, "C", (locale_t)0);
	char shown[OM_TOML_SHOWN], *end = NULL;

	out->type = OM_TOML_FLOAT;
	if (c) {
		out->real = strtod_l(n->digits, &end, c);
		freelocale(c);
	}
	if (!end || *end != '\0')
		om_toml_error(ps, OM_ERR_INTERNAL, pos, NULL, "cannot convert this float");
	else if (isinf(out->real))
		om_toml_error(ps, OM_ERR_TOML_RANGE, pos, "write inf if infinity is meant",
			      "float '%s' is out of range", om_toml_show(shown, s, len));
}

/* False: neither an integer nor a float. */
static bool decimal(struct om_toml_parser *ps, const char *s, size_t len, struct om_pos pos,
		    struct number *n, struct om_toml_node *out)
{
	bool is_negative = *s == '-', is_float = false;
	size_t sign, whole;

	if (take(n, "+-") && special(n, is_negative, out))
		return true;
	sign = n->len;
	if (sign == 0 && special(n, false, out))
		return true;
	if (!digits(n, 10))
		return false;
	whole = n->len - sign;
	/* An octal number of C would silently be another one here. */
	if (whole > 1 && n->digits[sign] == '0')
		return false;
	if (take(n, ".")) {
		is_float = true;
		if (!digits(n, 10))
			return false;
	}
	if (take(n, "eE")) {
		is_float = true;
		take(n, "+-");
		if (!digits(n, 10))
			return false;
	}
	if (n->s != n->end)
		return false;
	if (is_float) {
		to_double(ps, s, len, pos, n, out);
		return true;
	}
	out->type = OM_TOML_INTEGER;
	if (!convert(n->digits + sign, whole, 10, is_negative, &out->integer))
		too_large(ps, s, len, pos);
	return true;
}

int om_toml_number(struct om_toml_parser *ps, const char *s, size_t len, struct om_pos pos,
		   struct om_toml_node *out)
{
	struct number n = {.s = s, .end = s + len};
	bool is_good;

	ps->work += len;
	out->type = OM_TOML_INTEGER;
	n.digits = om_arena_alloc(&ps->doc->arena, len + 1);
	if (!n.digits)
		return om_toml_nomem(ps);
	if (len > 2 && s[0] == '0' && (s[1] == 'x' || s[1] == 'o' || s[1] == 'b'))
		is_good = prefixed(ps, s, len, pos, &n, out);
	else
		is_good = decimal(ps, s, len, pos, &n, out);
	if (!is_good)
		malformed(ps, s, len, pos);
	return 0;
}
