/*
 * The bundle writer: elements and strings become one flat block.
 *
 * Comes in: elements, section by section in any order. Goes out: the block, the same bytes for the
 * same calls. Called by: policies/emit and tests. Never does: check what the elements mean (the
 * reader does, and emit opens what it wrote), or grow past the limits of the sections.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <base/bundle_sec.h>

struct om_bundle_w {
	struct {
		uint8_t *data;
		uint32_t count;
		size_t cap; /* bytes */
	} sec[OM_SEC_COUNT];
	uint32_t *slots; /* open addressing: string offset + 1, 0 free */
	uint32_t slot_count;
	uint32_t strings;
};

/* Grows by doubling; a section can never pass the size of a whole block. */
static int reserve(struct om_bundle_w *w, enum om_section sec, size_t bytes, struct om_err *err)
{
	size_t have = (size_t)w->sec[sec].count * om_bundle_sec(sec)->size;
	size_t cap = w->sec[sec].cap ? w->sec[sec].cap : 256;
	uint8_t *p;

	/* Also keeps the arithmetic below and in finish far from overflow. */
	if (bytes > OM_BUNDLE_MAX || have + bytes > OM_BUNDLE_MAX)
		return om_err_set(err, OM_ERR_IR_LIMIT, -E2BIG, "section %s passes %u bytes",
				  om_bundle_sec(sec)->name, OM_BUNDLE_MAX);
	while (cap < have + bytes)
		cap *= 2;
	if (cap == w->sec[sec].cap)
		return 0;
	p = realloc(w->sec[sec].data, cap);
	if (!p)
		return om_err_set(err, OM_ERR_NOMEM, -ENOMEM, "bundle section");
	w->sec[sec].data = p;
	w->sec[sec].cap = cap;
	return 0;
}

int om_bundle_w_add(struct om_bundle_w *w, enum om_section sec, const void *elems, uint32_t count,
		    struct om_err *err)
{
	const struct om_bundle_sec *row;
	size_t bytes;
	int ret;

	if (sec <= 0 || sec >= OM_SEC_COUNT)
		return om_err_set(err, OM_ERR_INVALID, -EINVAL, "no bundle section %d", (int)sec);
	if (!count)
		return 0;
	row = om_bundle_sec(sec);
	if (count > row->max || w->sec[sec].count > row->max - count)
		return om_err_set(err, OM_ERR_IR_LIMIT, -E2BIG, "more than %u %s entries", row->max,
				  row->name);
	bytes = (size_t)count * row->size;
	ret = reserve(w, sec, bytes, err);
	if (ret)
		return ret;
	memcpy(w->sec[sec].data + (size_t)w->sec[sec].count * row->size, elems, bytes);
	w->sec[sec].count += count;
	return 0;
}

/* FNV-1a. The strings come from one manifest of at most OM_MANIFEST_BYTES_MAX: no need of a secret. */
static uint32_t hash_str(const char *s)
{
	uint32_t h = 2166136261u;

	for (; *s; s++)
		h = (h ^ (uint8_t)*s) * 16777619u;
	return h;
}

/* The slot of S, or the free one where it belongs. At most half of the slots are taken. */
static uint32_t *find_slot(struct om_bundle_w *w, const char *s)
{
	uint32_t i = hash_str(s) & (w->slot_count - 1);

	while (w->slots[i] &&
	       strcmp((const char *)w->sec[OM_SEC_STRINGS].data + w->slots[i] - 1, s) != 0)
		i = (i + 1) & (w->slot_count - 1);
	return &w->slots[i];
}

static int grow_slots(struct om_bundle_w *w, struct om_err *err)
{
	uint32_t *old = w->slots, old_count = w->slot_count;

	if (old && w->strings < old_count / 2)
		return 0;
	w->slot_count = old ? old_count * 2 : 256;
	w->slots = calloc(w->slot_count, sizeof(*w->slots));
	if (!w->slots) {
		w->slots = old;
		w->slot_count = old_count;
		return om_err_set(err, OM_ERR_NOMEM, -ENOMEM, "bundle strings");
	}
	for (uint32_t i = 0; i < old_count; i++)
		if (old[i])
			*find_slot(w, (const char *)w->sec[OM_SEC_STRINGS].data + old[i] - 1) =
				old[i];
	free(old);
	return 0;
}

/*
 * Paths repeat: a file row, a mount row and a grant's text often name the same one. Interning keeps
 * a policy of ten thousand grants well below the block's limit.
 */
int om_bundle_w_str(struct om_bundle_w *w, const char *s, uint32_t *off, struct om_err *err)
{
	size_t len = strlen(s) + 1;
	uint32_t *slot;
	int ret;

	ret = grow_slots(w, err);
	if (ret)
		return ret;
	slot = find_slot(w, s);
	if (*slot) {
		*off = *slot - 1;
		return 0;
	}
	*off = w->sec[OM_SEC_STRINGS].count;
	if (len > OM_BUNDLE_MAX)
		return om_err_set(err, OM_ERR_IR_LIMIT, -E2BIG, "string of %zu bytes", len);
	ret = om_bundle_w_add(w, OM_SEC_STRINGS, s, (uint32_t)len, err);
	if (ret)
		return ret;
	*slot = *off + 1;
	w->strings++;
	return 0;
}

int om_bundle_w_new(struct om_bundle_w **out, struct om_err *err)
{
	struct om_bundle_w *w = calloc(1, sizeof(*w));
	uint32_t off;
	int ret;

	*out = NULL;
	if (!w)
		return om_err_set(err, OM_ERR_NOMEM, -ENOMEM, "bundle writer");
	/* Offset 0 is the empty string, so that a zeroed field means "none". */
	ret = om_bundle_w_str(w, "", &off, err);
	if (ret) {
		om_bundle_w_free(w);
		return ret;
	}
	*out = w;
	return 0;
}

void om_bundle_w_free(struct om_bundle_w *w)
{
	if (!w)
		return;
	for (unsigned int s = 0; s < OM_SEC_COUNT; s++)
		free(w->sec[s].data);
	free(w->slots);
	free(w);
}

/* The layout that the reader insists on: sections by number, each at the next multiple of 8. */
int om_bundle_w_finish(struct om_bundle_w *w, const uint8_t policy_id[static 32], uint8_t **data,
		       size_t *len, struct om_err *err)
{
	size_t total = sizeof(struct om_b_head), at = total;
	struct om_b_head *h;
	uint8_t *p;

	*data = NULL;
	*len = 0;
	for (unsigned int s = 1; s < OM_SEC_COUNT; s++)
		total = OM_BUNDLE_ALIGN(total + (size_t)w->sec[s].count *
							om_bundle_sec((enum om_section)s)->size);
	if (total > OM_BUNDLE_MAX)
		return om_err_set(err, OM_ERR_IR_LIMIT, -E2BIG,
				  "the policy takes %zu bytes, at most %u", total, OM_BUNDLE_MAX);
	/* calloc: gaps between sections are zero, and malloc's alignment is more than 8. */
	p = calloc(1, total);
	if (!p)
		return om_err_set(err, OM_ERR_NOMEM, -ENOMEM, "bundle");
	h = (void *)p;
	memcpy(h->magic, OM_BUNDLE_MAGIC, sizeof(h->magic));
	h->version = OM_BUNDLE_VERSION;
	h->total = (uint32_t)total;
	memcpy(h->policy_id, policy_id, sizeof(h->policy_id));
	for (unsigned int s = 1; s < OM_SEC_COUNT; s++) {
		size_t bytes = (size_t)w->sec[s].count * om_bundle_sec((enum om_section)s)->size;

		if (!bytes)
			continue;
		h->sec[s].off = (uint32_t)at;
		h->sec[s].count = w->sec[s].count;
		memcpy(p + at, w->sec[s].data, bytes);
		at = OM_BUNDLE_ALIGN(at + bytes);
	}
	om_bundle_digest(p, total, h->digest);
	*data = p;
	*len = total;
	return 0;
}
