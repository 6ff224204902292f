/*
 * Records of denials: numbered, then put into the ring, or counted.
 *
 * Comes in: a decision that is already made (struct om_ctx). Goes out: one record in om_events, or one
 * more in om_stat.full (no room in the ring) or om_folds (a repeat), or one more in om_stat.lost;
 * om_stat.seq is always the sum of events, folded and lost. Called by:
 * every program, after its verdict. Never does: change a verdict, except that audit mode turns "denied"
 * into "recorded". A reader that finds no room here finds a count.
 */
#ifndef OMEGA_BPF_EVENT_H
#define OMEGA_BPF_EVENT_H

#include "bpf/maps.bpf.h"
#include "bpf/lib/ctx.bpf.h"

/*
 * Made by the loader before the brane was published. A task that outlives its brane and the brane's
 * counters is denied, and counted with all others of its kind.
 */
static __always_inline struct om_stat *om_stat_of(__u32 brane)
{
	struct om_stat *st = bpf_map_lookup_elem(&om_stats, &brane);
	__u32 left = OM_BRANE_LEFT;

	return st ? st : bpf_map_lookup_elem(&om_stats, &left);
}

/* The ring is full: one more of this operation and layer. The place is the brane's own. */
static __always_inline void om_fold_full(const struct om_ctx *c, struct om_stat *st)
{
	__u32 layer = OM_FULL_LAYER(c->where), op = c->op;
	__u64 now = bpf_ktime_get_boot_ns();
	struct om_fold *fold;

	if (layer >= OM_FULL_LAYERS || op >= OM_FULL_OPS) {
		__sync_fetch_and_add(&st->lost, 1);
		return;
	}
	fold = &st->full[layer][op];
	if (!fold->first_ns)
		fold->first_ns = now;
	fold->last_ns = now;
	__sync_fetch_and_add(&fold->count, 1);
	__sync_fetch_and_add(&st->folded, 1);
}

/*
 * Begins a hash that tells repeats apart. Its input is a brane's own choice, so the key is secret: with a
 * hash that can be computed outside, a path could be looked for under the name of a harmless one. 0: there
 * is no key, which the loader rules out; then nothing is a repeat.
 */
static __always_inline int om_hash_begin(struct om_sip *s)
{
	__u32 zero = 0;
	struct om_hash_key *key = bpf_map_lookup_elem(&om_hash_key, &zero);

	if (!key)
		return 0;
	om_sip_begin(s, key);
	return 1;
}

/*
 * 1: this (brane, op, where, hash) was sent before, and is counted now: send nothing.
 * 0: first of its kind, or no room to remember it: send it. Silence is never the answer to a full map.
 */
static __always_inline int om_fold_repeat(const struct om_ctx *c, __u64 hash)
{
	struct om_fold_key key = {
		.brane = c->brane, .op = c->op, .where = c->where, .full = 0, .hash = hash};
	__u64 now = bpf_ktime_get_boot_ns();
	struct om_fold fresh = {.count = 0, .first_ns = now, .last_ns = now};
	struct om_fold *fold = bpf_map_lookup_elem(&om_folds, &key);
	struct om_stat *st;

	if (!fold) {
		if (!OM_FAIL(OM_FAULT_FOLD, -1,
			     bpf_map_update_elem(&om_folds, &key, &fresh, BPF_NOEXIST)))
			return 0;
		fold = bpf_map_lookup_elem(&om_folds, &key);
		if (!fold)
			return 0;
	}
	st = om_stat_of(c->brane);
	if (!st)
		return 0;
	__sync_fetch_and_add(&st->seq, 1);
	__sync_fetch_and_add(&st->folded, 1);
	__sync_fetch_and_add(&fold->count, 1);
	fold->last_ns = now;
	return 1;
}

static __always_inline void om_head(struct om_event_head *h, const struct om_ctx *c, __u64 seq,
				    __u8 body)
{
	h->version = OM_EVENT_VERSION;
	h->body = body;
	h->where = c->where;
	h->op = c->op;
	h->flags = (c->flags & (OM_SLOT_AUDIT | OM_SLOT_DENY_ALL)) == OM_SLOT_AUDIT
			   ? OM_EVENT_ALLOWED
			   : 0;
	h->brane = c->brane;
	h->policy = c->policy;
	h->seq = seq;
	h->time_ns = bpf_ktime_get_boot_ns();
	h->need = c->need;
	__builtin_memcpy(h->hook, c->hook, sizeof(h->hook));
#ifndef OM_NO_TASK
	__u64 id = bpf_get_current_pid_tgid();

	h->pid = id >> 32;
	h->tid = (__u32)id;
	h->uid = (__u32)bpf_get_current_uid_gid();
	bpf_get_current_comm(h->comm, sizeof(h->comm));
#else
	/* A packet may be sent in any task's time: naming that task would accuse a bystander. */
	h->pid = 0;
	h->tid = 0;
	h->uid = 0;
	__builtin_memset(h->comm, 0, sizeof(h->comm));
#endif
}

/* The answer once the record is made: 1 denied, 0 allowed because the brane is in audit mode. */
static __always_inline int om_verdict(const struct om_ctx *c)
{
	if ((c->flags & (OM_SLOT_AUDIT | OM_SLOT_DENY_ALL)) == OM_SLOT_AUDIT)
		return 0;
	return 1;
}

/* The body of a record without a path. A struct, because a global function's argument must be one. */
struct om_body {
	union {
		struct om_event_net net;
		struct om_event_sys sys;
		struct om_event_task task;
	};
};

/* Records a denial without a path. A global function: verified once for all its callers. */
__noinline int om_emit(struct om_ctx *c, struct om_body *body, __u32 kind)
{
	struct om_stat *st;
	struct om_event *e;
	__u64 seq;

	if (!c || !body)
		return 1;
	if (c->flags & OM_CTX_SCOPE)
		c->op = OM_OP_SCOPE;
	st = om_stat_of(c->brane);
	if (!st)
		return om_verdict(c);
	seq = __sync_fetch_and_add(&st->seq, 1);
	e = OM_FAIL(OM_FAULT_RING, 0, bpf_ringbuf_reserve(&om_events, sizeof(*e), 0));
	if (!e) {
		om_fold_full(c, st);
		return om_verdict(c);
	}
	om_head(&e->head, c, seq, (__u8)kind);
	__builtin_memcpy(&e->u.sys, &body->sys, sizeof(e->u.sys));
	__sync_fetch_and_add(&st->events, 1);
	bpf_ringbuf_submit(e, 0);
	return om_verdict(c);
}

/* Records a denial that has no object to name. */
static __always_inline int om_deny_plain(struct om_ctx *c, __u16 op)
{
	struct om_body none = {};

	c->op = op;
	return om_emit(c, &none, OM_BODY_NONE);
}

#endif
