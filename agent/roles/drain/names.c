/*
 * The names behind folded repeats.
 *
 * Comes in: absent-path events, whose hash the kernel uses to count further look-ups of the same path.
 * Goes out: that path and whether the host has it, for the record of the repeats: a count without a name
 * would leave an auditor to guess. Called by: events.c, counts.c. Never does: decide; a name that is not
 * known (the table is full, or the agent was started after the first look-up) leaves the hash alone.
 */
#include <string.h>
#include "agent/roles/drain/drain.h"

#define NAME_KEEP 192 /* bytes of a path that are kept, its end */

struct name {
	uint64_t hash; /* 0: free */
	bool denied;   /* the host has the path */
	uint8_t len;
	char path[NAME_KEEP];
};

static struct name *find_name(struct brane *b, uint64_t hash)
{
	for (uint32_t i = 0; i < b->names_cap; i++) {
		struct name *n = &b->names[(hash + i) % b->names_cap];

		if (n->hash == hash || !n->hash)
			return n;
	}
	return NULL;
}

static void grow(struct brane *b)
{
	uint32_t was = b->names_cap, cap = was ? was * 2 : DRAIN_FIRST;
	struct name *old = b->names,
		    *fresh = cap > DRAIN_NAMES ? NULL : calloc(cap, sizeof(*fresh));

	if (!fresh)
		return;
	b->names = fresh;
	b->names_cap = cap;
	for (uint32_t i = 0; i < was; i++)
		if (old[i].hash)
			*find_name(b, old[i].hash) = old[i];
	free(old);
}

void drain_name_keep(struct brane *b, uint64_t hash, const char *path, size_t len, bool denied)
{
	struct name *n;
	size_t keep = OM_MIN(len, (size_t)NAME_KEEP);

	if (!hash)
		return;
	n = find_name(b, hash);
	if (!n) {
		grow(b);
		n = find_name(b, hash);
	}
	if (!n)
		return;
	n->hash = hash;
	n->denied = denied;
	n->len = (uint8_t)keep;
	memcpy(n->path, path + len - keep, keep);
}

bool drain_name_put(struct brane *b, uint64_t hash, struct om_data *data)
{
	struct name *n = b && hash ? find_name(b, hash) : NULL;

	if (!n || !n->hash)
		return false;
	om_data_bytes(data, "obj", n->path, n->len);
	return n->denied;
}
