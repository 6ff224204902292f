/*
 * Row 117: look for a harmless path first, chosen so that a fast hash of it is that of the path which
 * matters: an enforcer that tells paths apart by such a hash takes the second for a repeat of the first, and
 * its log never names it. The collision is computed for the hash that told repeats apart before it had a
 * key; it takes arithmetic, and no search.
 */
#include "tests/escape/lib/escape.h"

#define WORDS 128 /* of a path, as much of it as is hashed */
#define MULT  0x9e3779b97f4a7c15ull

static uint64_t step(uint64_t h, uint64_t w)
{
	return (h ^ w) * MULT + (h >> 29);
}

static uint64_t hash(const char *path)
{
	char buf[WORDS * 8] = {0};
	uint64_t h = 0xcbf29ce484222325ull, w;

	memcpy(buf, path, strlen(path));
	for (int i = 0; i < WORDS; i++) {
		memcpy(&w, buf + i * 8, 8);
		h = step(h, w);
	}
	return h;
}

/* MULT times this is 1: each turn of Newton's doubles the bits that are right. */
static uint64_t inverse(void)
{
	uint64_t x = MULT;

	for (int i = 0; i < 6; i++)
		x *= 2 - MULT * x;
	return x;
}

static bool plain(const char *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (p[i] < '0' || p[i] > 'z')
			return false;
	return true;
}

/*
 * Another path with the hash of PATH. It begins like one that nobody can look up from outside, so that it is
 * recorded as a denial of its own.
 */
static const char *twin(const char *path)
{
	static char out[WORDS * 8];
	size_t words = (strlen(path) + 7) / 8;
	uint64_t want = 0xcbf29ce484222325ull, inv = inverse(), w;
	char buf[WORDS * 8] = {0};

	if (words < 4)
		words = 4;
	memcpy(buf, path, strlen(path));
	for (size_t i = 0; i < words; i++) {
		memcpy(&w, buf + i * 8, 8);
		want = step(want, w);
	}
	for (uint32_t n = 0; n < 10000000; n++) {
		uint64_t h = 0xcbf29ce484222325ull;

		memset(out, 0, sizeof(out));
		memset(out, 'x', words * 8);
		memcpy(out, "/proc/", 6);
		snprintf(out + 8, 9, "%08x", n);
		out[16] = 'x';
		for (size_t i = 0; i + 1 < words; i++) {
			memcpy(&w, out + i * 8, 8);
			h = step(h, w);
		}
		/* The word that leads from H to WANT. */
		w = ((want - (h >> 29)) * inv) ^ h;
		memcpy(out + (words - 1) * 8, &w, 8);
		if (plain(out + (words - 1) * 8, 8) && hash(out) == hash(path))
			return out;
	}
	return NULL;
}

/* 253: no collision, nothing is tested. */
static int after_twin(const char *path, int flags)
{
	const char *other = twin(path);

	if (!other || !strcmp(other, path) || hash(other) != hash(path))
		return 253;
	if (open(other, flags | O_CLOEXEC) >= 0)
		return 253;
	return esc_open_read(AT_FDCWD, path, flags);
}

static int secret(void)
{
	return after_twin(esc_in("dir", "secret"), O_RDONLY);
}

/* Two spellings of one path: both as they were given. */
static int spelling(void)
{
	char path[600];

	snprintf(path, sizeof(path), "///%s", esc_in("dir", "secret"));
	return after_twin(path, O_RDONLY);
}

static const struct esc_try tries[] = {
	{"secret", secret, "file.absent", 2, ESC_INSIDE, NULL},
	{"spelling", spelling, "file.absent", 2, ESC_INSIDE, NULL},
};

ESC_ROW(117, "two paths with one hash",
	"repeats are told apart by a keyed hash (SipHash, a key of this boot)", tries);
