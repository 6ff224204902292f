/*
 * The transaction: ordered steps, each with its undo; apply and delete.
 *
 * Comes in: a bundle. Goes out: a brane that runs under it, or no trace of the attempt. Called by: the
 * load role. Never does: return with a brane half loaded. What cannot be undone is denied everything,
 * killed and frozen, and says so (OM_ERR_TXN_FROZEN).
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <omega/sha256.h>
#include <loader/txn/txn.h>

/*
 * Fault points, for the tests that kill or fail the loader at every step's end:
 * OMEGA_FAULT="STEP:kill|fail|undo-fail". Absent from a release build.
 */
static bool fault(const char *step, const char *what)
{
#ifdef OMEGA_FAULTS
	const char *e = getenv("OMEGA_FAULT");
	size_t n = strlen(step);
	bool hit = e && strncmp(e, step, n) == 0 && e[n] == ':' && strcmp(e + n + 1, what) == 0;
	if (hit && strcmp(what, "kill") == 0)
		kill(getpid(), SIGKILL);
	return hit;
#else
	(void)step;
	(void)what;
	return false;
#endif
}

static int one_step(struct om_txn *t, const struct om_step *s, struct om_err *err)
{
	int ret = s->run(t, err);
	if (ret < 0)
		return ret;
	(void)fault(s->name, "kill");
	if (fault(s->name, "fail"))
		return om_err_set(err, OM_ERR_INTERNAL, -EIO, "a test asked for this failure");
	return 0;
}

static int one_undo(struct om_txn *t, const struct om_step *s, struct om_err *err)
{
	if (!s->undo)
		return 0;
	if (fault(s->name, "undo-fail"))
		return om_err_set(err, OM_ERR_INTERNAL, -EIO, "a test asked for this failure");
	return s->undo(t, err);
}

int om_txn_run(struct om_txn *t, const struct om_step *steps, size_t n, struct om_err *err)
{
	struct om_err cause = {0}, undo = {0};
	size_t i = 0;
	int ret = 0;

	while (i < n && (ret = one_step(t, &steps[i], &cause)) == 0)
		i++;
	if (ret == 0)
		return 0;
	bool touched = steps[i].touches;
	size_t failed = i;
	for (size_t k = i + 1; k-- > 0;) {
		if (one_undo(t, &steps[k], &undo) == 0)
			continue;
		/* Fail closed: what is left may not act, and stays for a person to look at. */
		om_txn_condemn(t->l, t->name, &t->st);
		return om_err_set(err, OM_ERR_TXN_FROZEN, ret, "%s: %s; undoing %s: %s",
				  steps[failed].name, cause.text, steps[k].name, undo.text);
	}
	/* Ids that say "this host cannot" and "your path is not there" keep their meaning. */
	if (!touched || om_err_exit(cause.id) == 9) {
		if (err)
			*err = cause;
		return ret;
	}
	return om_err_set(err, OM_ERR_TXN_ROLLED_BACK, ret, "%s: %s", steps[failed].name,
			  cause.text);
}

struct om_slot om_txn_slot(const struct om_state *st)
{
	return (struct om_slot){
		.brane = st->info.brane,
		.policy = st->info.policy,
		.flags = st->slot_flags,
		.cgid = st->info.cgid,
	};
}

void om_txn_deny(struct om_loader *l, const char *name, const struct om_state *st)
{
	struct om_err ignored;
	OM_CLEANUP(om_close_fd) int cg = om_cgroup_child(l->parent, name);

	/* Each is tried, whatever became of the other. */
	if (l->bpf && st->info.brane) {
		struct om_slot slot = om_txn_slot(st);
		slot.flags |= OM_SLOT_DENY_ALL;
		(void)!om_bpf_brane_publish(l->bpf, &slot, &ignored);
	}
	if (cg >= 0)
		(void)!om_cgroup_freeze(cg, true, &ignored);
}

void om_txn_condemn(struct om_loader *l, const char *name, struct om_state *st)
{
	struct om_err ignored;
	OM_CLEANUP(om_close_fd) int cg = om_cgroup_child(l->parent, name);
	OM_CLEANUP(om_close_fd) int dir = -1;

	if (cg >= 0)
		(void)om_cgroup_kill(cg);
	om_txn_deny(l, name, st);
	st->info.state = OM_BRANE_LOADING;
	if (om_state_dir(l, name, false, &dir, &ignored) == 0)
		(void)!om_state_write(dir, st, &ignored);
}

int om_txn_purge(struct om_loader *l, const char *name, const struct om_state *st,
		 struct om_err *err)
{
	/* Processes first: policy is withdrawn only when nobody is left under it. */
	int ret = om_cgroup_remove(l->parent, name, err);
	if (ret == 0)
		ret = om_cgroup_remove(l->shims, name, err);
	if (ret == 0 && l->bpf && st->info.brane)
		ret = om_bpf_brane_withdraw(l->bpf, st->info.brane, err);
	if (ret == 0 && l->bpf && st->info.policy)
		ret = om_bpf_policy_drop(l->bpf, st->info.policy, err);
	if (ret == 0 && l->bpf && st->next_policy && st->next_policy != st->info.policy)
		ret = om_bpf_policy_drop(l->bpf, st->next_policy, err);
	if (ret == 0 && l->nft)
		ret = om_nft_remove(l->nft, name, st->info.cgid, err);
	if (ret == 0)
		ret = om_state_remove(l, name, err);
	return ret;
}

static int open_old(struct om_txn *t, struct om_err *err)
{
	OM_CLEANUP(om_close_fd) int dir = -1;
	struct om_err e = {0};
	size_t len = 0;

	int ret = om_state_dir(t->l, t->name, false, &dir, &e);
	if (ret < 0 && e.id == OM_ERR_NOT_FOUND)
		return 0;
	if (ret == 0)
		ret = om_state_read(dir, &t->old, &e);
	if (ret == 0 && t->old.info.state == OM_BRANE_LOADING)
		ret = om_err_set(&e, OM_ERR_TXN_FROZEN, -EBUSY,
				 "%s is left from a failed transaction: delete it first", t->name);
	if (ret == 0)
		ret = om_state_get(dir, "bundle", OM_BUNDLE_MAX, &t->old_data, &len, &e);
	if (ret == 0)
		ret = om_bundle_open(t->old_data, len, &t->old_b, &e);
	if (ret < 0) {
		if (err)
			*err = e;
		return ret;
	}
	t->have_old = true;
	om_state_refresh(t->l, dir, &t->old.info);
	t->st = t->old;
	t->dir = OM_STEAL_FD(dir);
	return 0;
}

void om_txn_done(struct om_txn *t)
{
	om_view_done(&t->view);
	om_resolution_done(&t->res);
	free(t->old_data);
	om_close_fd(&t->dir);
	om_close_fd(&t->cg);
	om_close_fd(&t->shim_cg);
	om_close_fd(&t->control);
	om_close_fd(&t->shim_pidfd);
}

int om_txn_apply(struct om_loader *l, const struct om_apply *what, enum om_change *change,
		 struct om_brane_info *info, struct om_err *err)
{
	OM_CLEANUP(om_txn_done)
	struct om_txn t = {
		.l = l,
		.what = what,
		.change = OM_CHANGE_CREATED,
		.dir = -1,
		.cg = -1,
		.shim_cg = -1,
		.control = -1,
		.shim_pidfd = -1,
		.res.root = -1,
		.view.root = -1,
	};
	int ret = om_bundle_open(what->bundle, what->bundle_len, &t.b, err);
	if (ret < 0)
		return ret;
	t.name = om_bundle_str(&t.b, t.b.meta->name);
	if (!om_name_ok(t.name))
		return om_err_set(err, OM_ERR_INVALID, -EINVAL, "not a brane's name");
	ret = open_old(&t, err);
	if (ret < 0)
		return ret;
	if (t.have_old)
		ret = om_txn_update(&t, err);
	else
		ret = om_txn_run(&t, om_create_steps, om_create_count, err);
	if (ret < 0)
		return ret;
	*change = t.change;
	*info = t.st.info;
	return 0;
}

int om_txn_delete(struct om_loader *l, const char *name, struct om_brane_info *info,
		  struct om_err *err)
{
	OM_CLEANUP(om_close_fd) int dir = -1;
	OM_CLEANUP(om_close_fd) int cg = -1;
	struct om_state st;

	int ret = om_state_dir(l, name, false, &dir, err);
	if (ret == 0)
		ret = om_state_read(dir, &st, err);
	if (ret < 0)
		return ret;
	om_state_refresh(l, dir, &st.info);
	/* From here on a death of ours ends in removal, not in adoption. */
	st.info.state = OM_BRANE_LOADING;
	ret = om_state_write(dir, &st, err);
	if (ret == 0)
		ret = om_state_put(dir, "killed", "", 0, err);
	if (ret < 0)
		return ret;
	cg = om_cgroup_child(l->parent, name);
	if (cg >= 0) {
		(void)!om_cgroup_freeze(cg, false, NULL);
		(void)om_cgroup_kill(cg);
		ret = om_cgroup_wait_empty(cg, OM_EMPTY_WAIT_MS, err);
	}
	if (ret == 0) {
		om_state_refresh(l, dir, &st.info);
		ret = om_txn_purge(l, name, &st, err);
		om_watch_del(l, name);
	}
	if (ret < 0) {
		om_txn_condemn(l, name, &st);
		om_err_prefix(err, "deleting %s", name);
		return ret;
	}
	st.info.state = OM_BRANE_EXITED;
	if (st.info.exit_cause == OM_EXIT_NONE)
		st.info.exit_cause = OM_EXIT_DELETED;
	*info = st.info;
	return 0;
}
