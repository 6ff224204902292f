/*
 * Changing a brane that exists: a new policy version by one swap, or a new workload under it.
 *
 * Comes in: the old state and bundle, a new bundle. Goes out: the brane under the new one. Called by:
 * om_txn_apply. Never does: leave a moment without policy: the old version decides until the swap,
 * the new one from it on. A workload is only started anew if parts differ that a running process
 * cannot change, or if rights are gone that it may hold on to; then the old one is dead before the new
 * policy is live.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <omega/sha256.h>
#include <loader/txn/txn.h>

static bool same_section(const struct om_bundle *a, const struct om_bundle *b, enum om_section sec,
			 size_t elem)
{
	uint32_t na = 0, nb = 0;
	const void *x = om_bundle_section(a, sec, &na), *y = om_bundle_section(b, sec, &nb);
	return na == nb && (na == 0 || memcmp(x, y, na * elem) == 0);
}

static bool same_strings(const struct om_bundle *a, const struct om_bundle *b, enum om_section sec)
{
	uint32_t na = 0, nb = 0;
	const uint32_t *x = om_bundle_section(a, sec, &na), *y = om_bundle_section(b, sec, &nb);
	if (na != nb)
		return false;
	for (uint32_t i = 0; i < na; i++)
		if (strcmp(om_bundle_str(a, x[i]), om_bundle_str(b, y[i])) != 0)
			return false;
	return true;
}

static bool same_view(const struct om_bundle *a, const struct om_bundle *b)
{
	uint32_t na = 0, nb = 0;
	const struct om_b_mount *x = om_bundle_section(a, OM_SEC_VIEW, &na);
	const struct om_b_mount *y = om_bundle_section(b, OM_SEC_VIEW, &nb);
	if (na != nb)
		return false;
	for (uint32_t i = 0; i < na; i++)
		if (x[i].flags != y[i].flags || x[i].bytes != y[i].bytes ||
		    strcmp(om_bundle_str(a, x[i].from), om_bundle_str(b, y[i].from)) != 0 ||
		    strcmp(om_bundle_str(a, x[i].to), om_bundle_str(b, y[i].to)) != 0)
			return false;
	return true;
}

/* Can a running process come under B without noticing? */
static bool live_change(const struct om_bundle *a, const struct om_bundle *b)
{
	const struct om_b_meta *x = a->meta, *y = b->meta;
	return same_view(a, b) && same_strings(a, b, OM_SEC_ARGV) &&
	       same_strings(a, b, OM_SEC_ENV) &&
	       same_section(a, b, OM_SEC_SECCOMP, sizeof(struct om_b_insn)) &&
	       same_section(a, b, OM_SEC_RLIMIT, sizeof(struct om_b_rlimit)) &&
	       x->image == y->image && x->user == y->user && x->layers == y->layers &&
	       x->stdio == y->stdio && x->netns == y->netns &&
	       strcmp(om_bundle_str(a, x->workdir), om_bundle_str(b, y->workdir)) == 0 &&
	       strcmp(om_bundle_str(a, x->image_dir), om_bundle_str(b, y->image_dir)) == 0;
}

static bool wants_bpf(const struct om_txn *t)
{
	return t->l->bpf && t->b.meta->layers & (OM_LAYER_KERNEL | OM_LAYER_NETWORK);
}

static int step_open(struct om_txn *t, struct om_err *err)
{
	t->cg = om_cgroup_child(t->l->parent, t->name);
	t->shim_cg = om_cgroup_child(t->l->shims, t->name);
	if (t->cg < 0 || t->shim_cg < 0)
		return om_err_set(err, OM_ERR_STATE, -ENOENT, "the cgroup of %s is gone", t->name);
	return 0;
}

/*
 * The tmpfs mounts of a running brane are its own and not found by a path: the keys that the loader
 * made for them are carried over from the version being replaced. Their masks cannot have changed,
 * because a changed view starts the workload anew.
 */
static int step_objects(struct om_txn *t, struct om_err *err)
{
	OM_CLEANUP(om_free_ptr) void *data = NULL;
	struct om_objects *o = &t->res.objs;
	size_t len = 0;

	if (t->start)
		return om_step_view(t, err);
	if (!(t->b.meta->layers & OM_LAYER_KERNEL) || !t->l->bpf)
		return 0;
	int ret = om_state_get(t->dir, "objects", (size_t)OM_OBJECTS_MAX * sizeof(*o->v), &data,
			       &len, err);
	if (ret < 0)
		return ret;
	const struct om_resolved *old = data;
	size_t n = len / sizeof(*old);
	void *p = reallocarray(o->v, o->count + n + 1, sizeof(*o->v));
	if (!p)
		return om_err_set(err, OM_ERR_NOMEM, -ENOMEM, "objects");
	o->v = p;
	o->cap = o->count + (uint32_t)n + 1;
	for (size_t i = 0; i < n; i++)
		if (old[i].val.grant == ~0u)
			o->v[o->count++] = old[i];
	return om_objects_merge(o, err);
}

static int undo_objects(struct om_txn *t, struct om_err *err)
{
	(void)err;
	om_view_done(&t->view);
	return 0;
}

/*
 * The next version's files beside the current ones. An adopting agent that finds them promotes them
 * if the swap had happened, and discards them otherwise (om_state_settle).
 */
static int step_stage(struct om_txn *t, struct om_err *err)
{
	const struct om_objects *o = &t->res.objs;
	size_t len = o->count * sizeof(*o->v);
	struct om_state next = t->st;

	next.info.state = OM_BRANE_RUNNING;
	if (wants_bpf(t))
		next.info.policy = next.next_policy;
	next.next_policy = 0;
	next.object_count = o->count;
	om_sha256(o->v, len, next.objects);
	int ret = om_state_put(t->dir, "bundle.next", t->b.data, t->b.len, err);
	if (ret == 0)
		ret = om_state_put(t->dir, "objects.next", o->v, len, err);
	if (ret == 0 && t->what->manifest)
		ret = om_state_put(t->dir, "manifest.next", t->what->manifest,
				   t->what->manifest_len, err);
	return ret == 0 ? om_state_write_as(t->dir, "state.next", &next, err) : ret;
}

static int undo_stage(struct om_txn *t, struct om_err *err)
{
	om_state_discard(t->dir);
	/* Also takes the number of the discarded version out of the state. */
	return om_state_write(t->dir, &t->old, err);
}

/*
 * Time for the old shim to say how its workload ended; then it is not waited for. Its cgroup is made
 * anew: one that was killed cannot be born into any more (process/reap.c).
 */
static int new_shim_cgroup(struct om_txn *t, struct om_err *err)
{
	struct om_err ignored;
	(void)!om_cgroup_wait_empty(t->shim_cg, OM_SHIM_END_MS, &ignored);
	om_close_fd(&t->shim_cg);
	int ret = om_cgroup_remove(t->l->shims, t->name, err);
	return ret < 0 ? ret : om_cgroup_make(t->l->shims, t->name, &t->shim_cg, NULL, err);
}

/* A workload that must end ends before the new policy is live: it never runs under the new one. */
static int step_stop(struct om_txn *t, struct om_err *err)
{
	struct om_state st = t->old;
	if (!t->start)
		return 0;
	st.info.state = OM_BRANE_LOADING; /* our death from here on is the brane's removal */
	st.next_policy = t->st.next_policy;
	int ret = om_state_write(t->dir, &st, err);
	if (ret < 0)
		return ret;
	t->old_killed = t->old.info.state != OM_BRANE_EXITED;
	if (t->old_killed) {
		ret = om_state_put(t->dir, "killed", "", 0, err);
		if (ret == 0 && (ret = om_cgroup_end(t->cg)) < 0)
			ret = om_err_sys(err, OM_ERR_CGROUP, ret, "cannot kill %s", t->name);
		if (ret == 0)
			ret = om_cgroup_wait_empty(t->cg, OM_EMPTY_WAIT_MS, err);
	}
	if (ret == 0)
		ret = new_shim_cgroup(t, err);
	om_state_forget_exit(t->dir);
	t->st.info.exit_cause = t->st.info.exit_code = 0;
	return ret;
}

static int undo_stop(struct om_txn *t, struct om_err *err)
{
	if (!t->start)
		return 0;
	if (t->old_killed)
		return om_err_set(err, OM_ERR_SPAWN, -ESRCH,
				  "the workload was ended for the new version");
	return om_state_write(t->dir, &t->old, err);
}

static int step_limits(struct om_txn *t, struct om_err *err)
{
	return om_cgroup_limits(t->cg, &t->b, &t->old_b, err);
}

static int undo_limits(struct om_txn *t, struct om_err *err)
{
	return om_cgroup_limits(t->cg, &t->old_b, &t->b, err);
}

static int swap_nft(struct om_txn *t, bool want, const struct om_bundle *b, struct om_err *err)
{
	uint64_t cgid = t->st.info.cgid;
	if (!t->l->nft)
		return 0;
	if (!want)
		return om_nft_remove(t->l->nft, t->name, cgid, err);
	return om_nft_put(t->l->nft, t->name, cgid, b, err); /* reads back itself */
}

static int step_nft(struct om_txn *t, struct om_err *err)
{
	t->nft_done = true;
	t->st.nft = om_txn_wants_nft(t);
	return swap_nft(t, t->st.nft, &t->b, err);
}

static int undo_nft(struct om_txn *t, struct om_err *err)
{
	return t->nft_done ? swap_nft(t, t->old.nft, &t->old_b, err) : 0;
}

/* One slot: from this update on every decision is the new version's. */
static int step_swap(struct om_txn *t, struct om_err *err)
{
	if (!wants_bpf(t))
		return 0;
	t->st.info.policy = t->st.next_policy;
	t->published = true;
	struct om_slot slot = om_txn_slot(&t->st);
	return om_bpf_brane_publish(t->l->bpf, &slot, err);
}

static int undo_swap(struct om_txn *t, struct om_err *err)
{
	if (!t->published)
		return 0;
	t->st.info.policy = t->old.info.policy;
	struct om_slot slot = om_txn_slot(&t->old);
	return om_bpf_brane_publish(t->l->bpf, &slot, err);
}

static int step_spawn(struct om_txn *t, struct om_err *err)
{
	return t->start ? om_step_spawn(t, err) : 0;
}

static int step_commit(struct om_txn *t, struct om_err *err)
{
	const struct om_objects *o = &t->res.objs;

	t->st.info.state = OM_BRANE_RUNNING;
	t->st.next_policy = 0;
	t->st.object_count = o->count;
	om_sha256(o->v, o->count * sizeof(*o->v), t->st.objects);
	int ret = om_state_write_as(t->dir, "state.next", &t->st, err);
	if (ret == 0)
		ret = om_state_promote(t->dir, err);
	if (ret < 0 || !t->start)
		return ret;
	ret = om_spawn_consent(t->control, err);
	return ret < 0 ? ret : om_watch_add(t->l, t->name, OM_STEAL_FD(t->shim_pidfd), false, err);
}

/* Once promoted, the files of the old version are gone: there is nothing to go back to. */
static int undo_commit(struct om_txn *t, struct om_err *err)
{
	return om_err_set(err, OM_ERR_STATE, -EIO, "the new version of %s is already written",
			  t->name);
}

const struct om_step om_update_steps[] = {
	{"check", false, om_step_check, NULL},
	{"resolve", false, om_step_resolve, NULL},
	{"open", false, step_open, NULL},
	{"view", true, step_objects, undo_objects},
	{"policy", true, om_step_policy, om_undo_policy},
	{"stage", true, step_stage, undo_stage},
	{"record", true, om_step_record, NULL},
	{"stop", true, step_stop, undo_stop},
	{"cgroup", true, step_limits, undo_limits},
	{"nft", true, step_nft, undo_nft},
	{"publish", true, step_swap, undo_swap},
	{"spawn", true, step_spawn, om_undo_spawn},
	{"commit", true, step_commit, undo_commit},
};

const size_t om_update_count = OM_ARRAY_LEN(om_update_steps);

int om_txn_collect(struct om_loader *l, struct om_err *err)
{
	int ret = 0;

	while (l->retired_count && ret == 0) {
		ret = om_bpf_policy_drop(l->bpf, l->retired[l->retired_count - 1], err);
		l->retired_count -= ret == 0;
	}
	return ret;
}

/*
 * Nobody decides by POLICY any more: its entries cost memory, not safety, and removing them has to wait
 * for every program that runs now. The caller's answer does not wait for that; the event loop does it.
 */
static int retire(struct om_loader *l, uint32_t policy, struct om_err *err)
{
	int ret = l->retired_count == OM_RETIRED_MAX ? om_txn_collect(l, err) : 0;

	if (ret < 0)
		return ret;
	l->retired[l->retired_count++] = policy;
	(void)eventfd_write(l->kick, 1);
	return 0;
}

int om_txn_update(struct om_txn *t, struct om_err *err)
{
	uint32_t dropped = t->old.info.policy;
	bool same = t->b.len == t->old_b.len && memcmp(t->b.data, t->old_b.data, t->b.len) == 0;

	t->change = same ? OM_CHANGE_UNCHANGED : OM_CHANGE_CONFIGURED;
	if (same && !t->what->restart)
		return 0;
	t->start = t->what->restart || t->old.info.state == OM_BRANE_EXITED ||
		   !live_change(&t->old_b, &t->b) || om_txn_takes_away(&t->old_b, &t->b);
	om_txn_describe(&t->st, &t->b);
	if (t->start) {
		int ret = om_txn_instance(t->st.info.instance, err);
		if (ret < 0)
			return ret;
		t->st.info.restarts++;
	}
	int ret = om_txn_run(t, om_update_steps, om_update_count, err);
	if (ret < 0 || !wants_bpf(t) || !dropped || dropped == t->st.info.policy)
		return ret;
	return retire(t->l, dropped, err);
}
