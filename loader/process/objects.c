/*
 * The list of granted objects: collected from paths, sorted, one entry per object.
 *
 * Comes in: descriptors and masks. Goes out: struct om_resolved, as the maps will hold them. Called by:
 * resolve.c and mount.c. Never does: write a map.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <loader/process/view.h>

int om_objects_add(struct om_bpf *b, struct om_objects *o, int fd, uint32_t self, uint32_t tree,
		   const struct om_pattern *pattern, uint32_t grant, struct om_err *err)
{
	if (!b)
		return 0; /* the view alone decides */
	if (o->count >= OM_OBJECTS_MAX)
		return om_err_set(err, OM_ERR_LIMIT, -E2BIG, "more than %u objects",
				  OM_OBJECTS_MAX);
	if (o->count == o->cap) {
		uint32_t cap = o->cap ? o->cap * 2 : 16;
		void *p = reallocarray(o->v, cap, sizeof(*o->v));
		if (!p)
			return om_err_set(err, OM_ERR_NOMEM, -ENOMEM, "%u objects", cap);
		o->v = p;
		o->cap = cap;
	}
	struct om_resolved *r = &o->v[o->count];
	memset(r, 0, sizeof(*r));
	int ret = om_bpf_object_key(b, fd, &r->key, err);
	if (ret < 0)
		return ret;
	r->key.policy = 0;
	r->val.self = self;
	r->val.tree = tree;
	r->val.grant = grant;
	if (pattern) {
		r->val.patterns = 1;
		r->patterns[0] = *pattern;
	}
	o->count++;
	return 0;
}

static int by_key(const void *a, const void *b)
{
	const struct om_resolved *x = a, *y = b;
	int c = memcmp(&x->key, &y->key, sizeof(x->key));
	return c ? c : (x->val.grant > y->val.grant) - (x->val.grant < y->val.grant);
}

int om_objects_merge(struct om_objects *o, struct om_err *err)
{
	uint32_t w = 0;
	if (o->count == 0)
		return 0;
	qsort(o->v, o->count, sizeof(*o->v), by_key);
	for (uint32_t i = 1; i < o->count; i++) {
		struct om_resolved *to = &o->v[w], *from = &o->v[i];
		if (memcmp(&to->key, &from->key, sizeof(to->key)) != 0) {
			w++;
			if (w != i)
				o->v[w] = *from;
			continue;
		}
		int ret = om_bpf_merge_bound(&to->val, &from->val, err);
		if (ret < 0)
			return ret;
		to->val.self |= from->val.self;
		to->val.tree |= from->val.tree;
		for (uint32_t k = 0; k < from->val.patterns; k++) {
			/* A pattern that is left out would be a silent denial; the apply fails instead. */
			if (to->val.patterns >= OM_PATTERNS_MAX)
				return om_err_set(err, OM_ERR_LIMIT, -E2BIG,
						  "more than %u patterns on one directory",
						  OM_PATTERNS_MAX);
			to->patterns[to->val.patterns++] = from->patterns[k];
		}
	}
	o->count = w + 1;
	return 0;
}
