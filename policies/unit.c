/*
 * Quantities with units.
 *
 * Comes in: NUL-terminated text. Goes out: an integer. Called by: the binder. Never does: use
 * floating point, whose rounding would make the policy id depend on the compiler.
 */
#include <string.h>

#include <omega/addr.h>
#include <policies/unit.h>

struct unit {
	const char *name;
	uint64_t factor;
};

static const struct unit sizes[] = {
	{"B", 1},
	{"kB", 1000},
	{"MB", 1000000},
	{"GB", 1000000000},
	{"TB", 1000000000000},
	{"KiB", 1ull << 10},
	{"MiB", 1ull << 20},
	{"GiB", 1ull << 30},
	{"TiB", 1ull << 40},
};

/* In bits; the result is divided by eight. */
static const struct unit bits[] = {
	{"bit", 1},
	{"kbit", 1000},
	{"Mbit", 1000000},
	{"Gbit", 1000000000},
};

static const struct unit *find(const struct unit *u, size_t n, const char *s, size_t len)
{
	for (size_t i = 0; i < n; i++)
		if (strlen(u[i].name) == len && memcmp(u[i].name, s, len) == 0)
			return &u[i];
	return NULL;
}

/* The number in front; *REST is what follows it, blanks skipped. */
static enum om_unit_fault number(const char *s, uint64_t *n, const char **rest)
{
	size_t len = strspn(s, "0123456789");

	if (len == 0)
		return OM_UNIT_NO_NUMBER;
	*rest = s + len + strspn(s + len, " ");
	return om_decimal_parse(s, len, 0, UINT64_MAX, n) ? OM_UNIT_OK : OM_UNIT_RANGE;
}

static enum om_unit_fault scale(uint64_t n, const struct unit *u, uint64_t divisor, uint64_t *out)
{
	if (!u)
		return OM_UNIT_UNKNOWN;
	if (__builtin_mul_overflow(n, u->factor, out))
		return OM_UNIT_RANGE;
	*out /= divisor;
	return n > 0 && *out == 0 ? OM_UNIT_RANGE : OM_UNIT_OK;
}

enum om_unit_fault om_unit_size(const char *s, uint64_t *out)
{
	const char *rest;
	uint64_t n;
	enum om_unit_fault ret = number(s, &n, &rest);

	if (ret != OM_UNIT_OK)
		return ret;
	if (!*rest)
		return OM_UNIT_MISSING;
	return scale(n, find(sizes, OM_ARRAY_LEN(sizes), rest, strlen(rest)), 1, out);
}

enum om_unit_fault om_unit_rate(const char *s, uint64_t *out)
{
	const struct unit *u;
	const char *rest;
	uint64_t n;
	size_t len;
	enum om_unit_fault ret = number(s, &n, &rest);

	if (ret != OM_UNIT_OK)
		return ret;
	if (!*rest)
		return OM_UNIT_MISSING;
	len = strlen(rest);
	if (len < 2 || strcmp(rest + len - 2, "/s") != 0)
		return OM_UNIT_UNKNOWN;
	u = find(sizes, OM_ARRAY_LEN(sizes), rest, len - 2);
	if (u)
		return scale(n, u, 1, out);
	return scale(n, find(bits, OM_ARRAY_LEN(bits), rest, len - 2), 8, out);
}

enum om_unit_fault om_unit_cpu(const char *s, uint64_t *out)
{
	size_t whole = strspn(s, "0123456789"), part = 0;
	uint64_t n, fraction = 0;

	if (whole == 0)
		return OM_UNIT_NO_NUMBER;
	if (!om_decimal_parse(s, whole, 0, UINT32_MAX, &n))
		return OM_UNIT_RANGE;
	s += whole;
	if (strcmp(s, "m") == 0) {
		*out = n;
		return OM_UNIT_OK;
	}
	if (*s == '.') {
		part = strspn(s + 1, "0123456789");
		if (part == 0 || part > 3)
			return OM_UNIT_UNKNOWN;
		for (size_t i = 0; i < 3; i++)
			fraction = fraction * 10 + (i < part ? (uint64_t)(s[1 + i] - '0') : 0);
		s += 1 + part;
	}
	*out = n * 1000 + fraction;
	return *s ? OM_UNIT_UNKNOWN : OM_UNIT_OK;
}
