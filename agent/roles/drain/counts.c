/*
 * The kernel's counters: denials that were folded or found no room.
 *
 * Comes in: om_folds and om_stats. Goes out: one record for each counter that grew, with what is new and
 * the total. Called by: the event loop once a second, notes.c before a life ends. Never does: reset a
 * counter: an increment that happens between reading and resetting would be lost. What was recorded is
 * remembered in a file beside the sockets, which lives exactly as long as the maps (until reboot); if
 * it is lost with an agent, counts are recorded once more, never less: the total tells.
 */
#include <bpf/bpf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <omega/abi/self.h>
#include "agent/role/log.h"
#include "agent/roles/drain/drain.h"

#define SEEN_FIRST 1024u
#define BATCH	   256u
/* om_stat.lost lives in the same table, under a key that no fold can have. */
#define LOST_OP 0xffffu

static uint32_t slot_of(const struct drain *d, const struct om_fold_key *k)
{
	uint64_t h = k->hash * 0x9e3779b97f4a7c15u;

	h ^= ((uint64_t)k->brane << 32 | (uint32_t)(k->op << 16) | (uint32_t)(k->where << 8) |
	      k->full) *
	     0xc2b2ae3d27d4eb4fu;
	return (uint32_t)((h ^ h >> 32) & (d->seen_cap - 1));
}

static struct seen *find(struct drain *d, const struct om_fold_key *k)
{
	for (uint32_t i = slot_of(d, k);; i = (i + 1) & (d->seen_cap - 1))
		if (!d->seen[i].key.brane || !memcmp(&d->seen[i].key, k, sizeof(*k)))
			return &d->seen[i];
}

/* Whether the kernel still has the counter: those of branes that are gone are cleared by the load role. */
static bool still_counts(const struct drain *d, const struct om_fold_key *k)
{
	struct om_stat stat;
	struct om_fold fold;

	return k->op == LOST_OP || k->full ? !bpf_map_lookup_elem(d->stats_fd, &k->brane, &stat)
					   : !bpf_map_lookup_elem(d->folds_fd, k, &fold);
}

/*
 * Makes room for one more, first by forgetting counters that are no more: branes come and go for as long
 * as the machine runs, and a table that only grew would one day record every count anew each second.
 */
static bool grow(struct drain *d)
{
	struct seen *old = d->seen;
	uint32_t old_cap = d->seen_cap, cap = old_cap ? old_cap : SEEN_FIRST, live = 0;
	struct seen *fresh;

	if (d->seen_used * 4 < old_cap * 3)
		return true;
	for (uint32_t i = 0; i < old_cap; i++) {
		if (old[i].key.brane && !still_counts(d, &old[i].key))
			memset(&old[i], 0, sizeof(old[i]));
		live += old[i].key.brane != 0;
	}
	while (live * 2 >= cap)
		cap *= 2;
	fresh = cap > 4 * OM_FOLD_MAX ? NULL : calloc(cap, sizeof(*fresh));
	if (!fresh)
		return false;
	d->seen = fresh;
	d->seen_cap = cap;
	d->seen_used = live;
	for (uint32_t i = 0; i < old_cap; i++)
		if (old[i].key.brane)
			*find(d, &old[i].key) = old[i];
	free(old);
	return true;
}

/* How much COUNT is above what was recorded; *PLACE to be updated once that is recorded too. */
static uint64_t fresh_part(struct drain *d, const struct om_fold_key *k, uint64_t count,
			   struct seen **place)
{
	*place = grow(d) ? find(d, k) : NULL;
	if (!*place || !(*place)->key.brane)
		return count;
	/* Smaller than before: the map is a new one. */
	return count >= (*place)->count ? count - (*place)->count : count;
}

static void settle(struct drain *d, struct seen *place, const struct om_fold_key *k, uint64_t count)
{
	if (!place)
		return; /* no memory: recorded again next time, with the same total */
	if (!place->key.brane)
		d->seen_used++;
	place->key = *k;
	place->count = count;
	d->seen_dirty = true;
}

static int one_fold(struct drain *d, const struct om_fold_key *k, const struct om_fold *f,
		    struct om_err *err)
{
	const struct om_op_row *row = om_op_row(k->op);
	struct brane *b = drain_brane(d, k->brane);
	struct om_data data;
	struct seen *place;
	bool denied = k->op != OM_OP_FILE_ABSENT;
	uint64_t n;
	int ret;

	/* A repeat counter starts at 0: its first event was sent. */
	if (!k->brane || !f->count)
		return 0;
	n = fresh_part(d, k, f->count, &place);
	if (!n)
		return 0;
	om_data_init(&data);
	if (!k->full)
		denied |= drain_name_put(b, k->hash, &data);
	om_data_word(&data, "act", denied ? "deny" : "absent");
	om_data_word(&data, "layer", om_event_layer(k->where));
	om_data_word(&data, "op", row->op);
	om_data_word(&data, "rule", k->brane == OM_BRANE_HOST ? "self-guard" : row->rule);
	om_data_id(&data, "count", n);
	om_data_id(&data, "total", f->count);
	om_data_word(&data, "why", k->full ? "ring-full" : "repeat");
	if (!k->full)
		om_data_id(&data, "hash", k->hash);
	om_data_int(&data, "t", (int64_t)(f->first_ns / 1000));
	om_data_int(&data, "until", (int64_t)(f->last_ns / 1000));
	if (!b)
		om_data_int(&data, "num", k->brane);
	ret = drain_put(d, b, row->kind, &data, 0, err);
	if (ret < 0)
		return ret;
	if (b)
		b->denied += denied ? n : 0;
	settle(d, place, k, f->count);
	return 0;
}

/* What found the ring full: one counter for each operation and layer. */
static int full_folds(struct drain *d, uint32_t num, const struct om_stat *s, struct om_err *err)
{
	int ret = 0;

	for (uint32_t where = 0; where < OM_WHERE_COUNT && ret >= 0; where++) {
		uint32_t layer = OM_FULL_LAYER(where);

		for (uint32_t op = 0; layer < OM_FULL_LAYERS && op < OM_FULL_OPS && ret >= 0;
		     op++) {
			struct om_fold_key k = {.brane = num,
						.op = (uint16_t)op,
						.where = (uint8_t)where,
						.full = 1};

			ret = one_fold(d, &k, &s->full[layer][op], err);
		}
	}
	return ret;
}

static int one_stat(struct drain *d, uint32_t num, const struct om_stat *s, struct om_err *err)
{
	struct om_fold_key k = {.brane = num, .op = LOST_OP};
	struct brane *b = drain_brane(d, num);
	struct om_data data;
	struct seen *place;
	uint64_t n;
	int ret;

	if (b) {
		b->events = s->events;
		b->folded = s->folded;
		b->lost = s->lost;
	}
	ret = full_folds(d, num, s, err);
	if (ret < 0)
		return ret;
	n = s->lost ? fresh_part(d, &k, s->lost, &place) : 0;
	if (!n)
		return 0;
	om_data_init(&data);
	om_data_word(&data, "why", "counters-full");
	om_data_id(&data, "count", n);
	om_data_id(&data, "total", s->lost);
	ret = drain_put(d, b, "drop", &data, 0, err);
	if (ret < 0)
		return ret;
	om_log_drop(d->log, OM_DROP_RINGBUF, n);
	settle(d, place, &k, s->lost);
	return 0;
}

static int read_folds(struct drain *d, struct om_err *err)
{
	static struct om_fold_key keys[BATCH];
	static struct om_fold vals[BATCH];
	uint64_t in = 0, out = 0;
	bool first = true, last = false;

	while (!last) {
		uint32_t n = BATCH;
		int ret = bpf_map_lookup_batch(d->folds_fd, first ? NULL : &in, &out, keys, vals,
					       &n, NULL);

		last = ret < 0;
		if (ret < 0 && errno != ENOENT)
			return om_err_sys(err, OM_ERR_BPF_MAP, -errno, "om_folds");
		for (uint32_t i = 0; i < n; i++) {
			ret = one_fold(d, &keys[i], &vals[i], err);
			if (ret < 0)
				return ret;
		}
		first = false;
		in = out;
	}
	return 0;
}

static int read_stats(struct drain *d, struct om_err *err)
{
	uint32_t key, *prev = NULL, at;
	struct om_stat s;
	uint32_t guard = 0;

	while (!bpf_map_get_next_key(d->stats_fd, prev, &key) && guard++ < 4 * OM_BRANES_MAX) {
		int ret;

		if (!bpf_map_lookup_elem(d->stats_fd, &key, &s)) {
			ret = one_stat(d, key, &s, err);
			if (ret < 0)
				return ret;
		}
		at = key;
		prev = &at;
	}
	return 0;
}

int drain_counts(struct drain *d, struct om_err *err)
{
	int ret;

	if (!d->have_maps || !d->ready)
		return 0;
	if (d->stuck)
		return -EAGAIN;
	d->counted_ms = drain_now_ms();
	ret = read_folds(d, err);
	return ret < 0 ? ret : read_stats(d, err);
}

void drain_counts_load(struct drain *d)
{
	OM_CLEANUP(om_close_fd)
	int fd = openat(d->state_dir, "counted", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	struct seen s;

	while (fd >= 0 && read(fd, &s, sizeof(s)) == (ssize_t)sizeof(s))
		if (s.key.brane && grow(d)) {
			struct seen *place = find(d, &s.key);

			settle(d, place, &s.key, s.count);
		}
	d->seen_dirty = false;
}

void drain_counts_save(struct drain *d)
{
	OM_CLEANUP(om_close_fd) int fd = -1;
	bool ok;

	if (!d->seen_dirty)
		return;
	fd = openat(d->state_dir, "counted.new",
		    O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	ok = fd >= 0;
	for (uint32_t i = 0; ok && i < d->seen_cap; i++)
		if (d->seen[i].key.brane)
			ok = write(fd, &d->seen[i], sizeof(d->seen[i])) ==
			     (ssize_t)sizeof(d->seen[i]);
	if (ok && !renameat(d->state_dir, "counted.new", d->state_dir, "counted"))
		d->seen_dirty = false;
	else
		om_slog(OM_WARN, "counted_unsaved", NULL);
}
