/*
 * The list of findings, and the did-you-mean search.
 *
 * Comes in: findings. Goes out: a sorted array. Called by: policies/, ctl, the compile role. Never
 * does: print or fail; what does not fit is counted.
 */
#include <stdio.h>
#include <string.h>

#include <omega/diag.h>
#include <omega/limits.h>

void om_diags_init(struct om_diags *d)
{
	memset(d, 0, sizeof(*d));
}

void om_diags_done(struct om_diags *d)
{
	free(d->items);
	om_diags_init(d);
}

static int grow(struct om_diags *d)
{
	uint32_t cap = d->cap ? d->cap * 2 : 8;
	struct om_diag *items;

	if (d->count < d->cap)
		return 0;
	if (d->count >= OM_DIAG_MAX)
		return -1;
	items = reallocarray(d->items, cap, sizeof(*items));
	if (!items)
		return -1;
	d->items = items;
	d->cap = cap;
	return 0;
}

/*
 * Findings quote the manifest, which may hold escapes for the terminal that shows them; and a text
 * cut at the buffer's end must not end inside a character, or no JSON library takes it.
 */
static void make_plain(char *s)
{
	size_t len = strlen(s), start = len;

	for (size_t i = 0; i < len; i++)
		if ((unsigned char)s[i] < ' ' || s[i] == 0x7f)
			s[i] = '?';
	while (start > 0 && ((unsigned char)s[start - 1] & 0xc0) == 0x80)
		start--;
	if (start > 0 && (unsigned char)s[start - 1] >= 0xc0) {
		unsigned char lead = (unsigned char)s[start - 1];

		if (len - start < (lead >= 0xf0 ? 3u : lead >= 0xe0 ? 2u : 1u))
			s[start - 1] = 0;
	}
}

void om_diag_add(struct om_diags *d, enum om_severity sev, enum om_err_id id, struct om_pos pos,
		 const char *hint, const char *fmt, ...)
{
	struct om_diag *it;
	va_list ap;

	if (sev == OM_SEV_ERROR)
		d->errors++;
	if (grow(d) < 0) {
		d->dropped++;
		return;
	}
	it = &d->items[d->count++];
	memset(it, 0, sizeof(*it));
	it->severity = sev;
	it->id = id;
	it->pos = pos;
	va_start(ap, fmt);
	vsnprintf(it->message, sizeof(it->message), fmt, ap);
	va_end(ap);
	snprintf(it->hint, sizeof(it->hint), "%s", hint ? hint : "");
	make_plain(it->message);
	make_plain(it->hint);
}

static int is_before(const struct om_diag *a, const struct om_diag *b)
{
	if (a->severity != b->severity)
		return a->severity < b->severity;
	if (a->pos.line != b->pos.line)
		return a->pos.line < b->pos.line;
	return a->pos.col < b->pos.col;
}

/* Insertion sort: stable, and the list is bounded by OM_DIAG_MAX. */
void om_diags_sort(struct om_diags *d)
{
	for (uint32_t i = 1; i < d->count; i++) {
		struct om_diag moving = d->items[i];
		uint32_t j = i;

		for (; j > 0 && is_before(&moving, &d->items[j - 1]); j--)
			d->items[j] = d->items[j - 1];
		d->items[j] = moving;
	}
}

#define WORD_MAX 64

/* Edit distance where swapping two neighbours costs one; words past WORD_MAX are never near. */
static size_t edit_distance(const char *a, size_t n, const char *b, size_t m)
{
	size_t rows[3][WORD_MAX + 1];

	for (size_t j = 0; j <= m; j++)
		rows[0][j] = j;
	for (size_t i = 1; i <= n; i++) {
		size_t *cur = rows[i % 3], *prev = rows[(i + 2) % 3], *prev2 = rows[(i + 1) % 3];

		cur[0] = i;
		for (size_t j = 1; j <= m; j++) {
			size_t best = prev[j - 1] + (a[i - 1] != b[j - 1]);

			best = OM_MIN(best, prev[j] + 1);
			best = OM_MIN(best, cur[j - 1] + 1);
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				best = OM_MIN(best, prev2[j - 2] + 1);
			cur[j] = best;
		}
	}
	return rows[n % 3][m];
}

const char *om_nearest(const char *word, const char *const *words, size_t n)
{
	size_t len = strlen(word), best = len / 3 + 1;
	const char *found = NULL;

	if (len > WORD_MAX)
		return NULL;
	for (size_t i = 0; i < n; i++) {
		size_t other = strlen(words[i]), dist;

		if (other > WORD_MAX)
			continue;
		dist = edit_distance(word, len, words[i], other);
		if (dist < best || (dist == best && !found)) {
			best = dist;
			found = words[i];
		}
	}
	return found;
}
