/*
 * verify-chain: all segments in order, then the verdict.
 *
 * Comes in: an audit directory. Goes out: a result. Called by: see verify.h. Never does: write.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sodium.h>

#include "agent/chain/reader.h"
#include "agent/chain/verify/walk.h"

static int walk_all(struct walk *w, int stream_fd, struct om_err *err)
{
	uint64_t done = 0;
	bool more = true, any = false;

	/* A live writer may have begun another segment meanwhile: look until nothing is new. */
	for (int round = 0; round < 8 && more && !w->stop && !w->ended; round++) {
		OM_CLEANUP(om_free_ptr) uint64_t *firsts = NULL;
		size_t n;
		int ret = om_seg_list(stream_fd, &firsts, &n);

		if (ret < 0)
			return om_err_sys(err, OM_ERR_IO, ret, "cannot list the segments");
		more = false;
		if (!any && n) {
			ret = om_walk_snapshot(w, stream_fd, firsts[n - 1], err);
			if (ret < 0)
				return ret;
		}
		for (size_t i = 0; i < n && !w->stop && !w->ended; i++) {
			if (any && firsts[i] <= done)
				continue;
			w->first = done = firsts[i];
			w->final = i + 1 == n;
			more = any = true;
			ret = om_walk_segment(w, stream_fd, err);
			if (ret < 0)
				return ret;
		}
	}
	return 0;
}

static int collect_branes(struct walk *w)
{
	struct om_verify_result *r = w->res;

	if (w->n_brane < 2)
		return 0;
	r->brane = calloc(w->n_brane - 1, sizeof(*r->brane));
	if (!r->brane)
		return -ENOMEM;
	for (uint32_t i = 1; i < w->n_brane; i++) {
		const struct walk_brane *b = w->brane[i];
		struct om_verify_brane *o = &r->brane[r->n_branes++];

		memcpy(o->id, b->id, b->id_len);
		o->events = b->events;
		o->notes = b->notes;
		o->first_time = b->first_time;
		o->last_time = b->last_time;
		o->open = !b->closed;
		r->brane_events += b->events;
		if (w->opt->brane && om_brane_matches(o->id, b->id_len, w->opt->brane)) {
			r->filter_events += b->events;
			r->filter_branes++;
		}
	}
	return 0;
}

/* What the walk alone cannot see: an end cut off, an old copy. */
static void check_end(struct walk *w, int audit_fd)
{
	const struct om_verify_options *o = w->opt;
	struct om_verify_result *r = w->res;

	if (!w->stop)
		om_walk_checkpoint(w, audit_fd);
	w->name[0] = 0;
	if (!w->stop && w->tree.size < o->saved_size)
		om_walk_find(w, OM_FINDING_TAMPERED, "9c", w->tree.size, 0,
			     "a head of %llu leaves was seen, the log ends at %llu",
			     (unsigned long long)o->saved_size, (unsigned long long)w->tree.size);
	r->fresh = -1;
	if (o->max_age) {
		r->fresh = w->commits && o->now - w->last_time <= o->max_age;
		if (!r->fresh && !w->stop)
			om_walk_find(w, OM_FINDING_WARNING, "9b", w->tree.size, 0,
				     "the last commit is %lld seconds old, the bound is %lld",
				     (long long)((o->now - w->last_time) / 1000000),
				     (long long)(o->max_age / 1000000));
	}
}

static void judge(struct walk *w)
{
	struct om_verify_result *r = w->res;
	bool warn = r->unclean || r->key_breaks || r->drop[0] || r->drop[1] || r->drop[2];

	for (uint32_t i = 0; i < r->n_findings; i++)
		warn |= r->finding[i].level == OM_FINDING_WARNING;
	r->integrity = !w->stop;
	r->authenticity = !w->stop && w->have_pin && w->commits;
	if (w->stop)
		r->verdict = OM_VERDICT_TAMPERED;
	else if (!w->have_pin)
		r->verdict = OM_VERDICT_NO_KEYS;
	else
		r->verdict = warn || !w->commits ? OM_VERDICT_INCOMPLETE : OM_VERDICT_INTACT;
}

static void fill_result(struct walk *w)
{
	struct om_verify_result *r = w->res;

	r->size = w->tree.size;
	om_tree_root(&w->tree, r->root);
	r->commits = w->commits;
	r->complete_through = w->last_time;
	r->closed = w->last_close;
	memcpy(r->drop, w->drop, sizeof(r->drop));
}

static void walk_free(struct walk **pw)
{
	struct walk *w = *pw;

	if (!w)
		return;
	for (uint32_t i = 0; i < w->n_brane; i++) {
		free(w->brane[i]->id);
		free(w->brane[i]->tree);
		free(w->brane[i]);
	}
	free(w->brane);
	free(w->table);
	free(w->buf);
	om_close_fd(&w->fd);
	free(w);
}

static int prepare(struct walk *w, struct om_err *err)
{
	const char *vkey = w->opt->substrate_vkey;
	uint32_t node;

	if (sodium_init() < 0)
		return om_err_set(err, OM_ERR_INTERNAL, -EIO, "libsodium does not start");
	if (vkey && om_vkey_parse(vkey, strlen(vkey), &w->pin) < 0)
		return om_err_set(err, OM_ERR_INVALID, -EINVAL,
				  "the substrate key to judge by is malformed");
	w->have_pin = vkey != NULL;
	w->rebase = true;
	w->cap = WALK_BUF;
	w->buf = malloc(w->cap);
	if (!w->buf || om_walk_add_brane(w, OM_NODE_NAME, sizeof(OM_NODE_NAME) - 1, &node) < 0)
		return om_err_set(err, OM_ERR_NOMEM, -ENOMEM, "no memory to verify");
	return 0;
}

int om_verify(int audit_fd, const struct om_verify_options *opt, struct om_verify_result *res,
	      struct om_err *err)
{
	OM_CLEANUP(walk_free) struct walk *w = calloc(1, sizeof(*w));
	OM_CLEANUP(om_close_fd) int stream_fd = -1;
	int ret;

	memset(res, 0, sizeof(*res));
	if (!w)
		return om_err_set(err, OM_ERR_NOMEM, -ENOMEM, "no memory to verify");
	w->res = res;
	w->opt = opt;
	w->fd = -1;
	ret = prepare(w, err);
	if (ret < 0)
		return ret;
	stream_fd = openat(audit_fd, "stream", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (stream_fd < 0)
		return om_err_sys(err, OM_ERR_IO, -errno, "there is no audit stream");
	om_walk_checkpoint_load(w, audit_fd);
	ret = walk_all(w, stream_fd, err);
	if (ret < 0)
		return ret;
	fill_result(w);
	check_end(w, audit_fd);
	judge(w);
	if (collect_branes(w) < 0)
		return om_err_set(err, OM_ERR_NOMEM, -ENOMEM, "no memory for the result");
	return 0;
}

void om_verify_done(struct om_verify_result *res)
{
	free(res->brane);
	res->brane = NULL;
	res->n_branes = 0;
}
