/*
 * The steps that make a brane, in order, each with its undo.
 *
 * Comes in: struct om_txn. Goes out: one more thing in place. Called by: om_txn_run. Never does: let a
 * process exist before its policy is complete, read back and published.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/wait.h>
#include <time.h>
#include <omega/sha256.h>
#include <loader/txn/txn.h>

static bool has_layer(const struct om_txn *t, uint32_t layer)
{
	return t->b.meta->layers & layer;
}

int om_step_check(struct om_txn *t, struct om_err *err)
{
	static const struct {
		uint32_t layer;
		enum om_err_id id;
		const char *name;
	} layers[] = {
		{OM_LAYER_KERNEL, OM_ERR_BPF_UNSUPPORTED, "kernel"},
		{OM_LAYER_NETWORK, OM_ERR_CGBPF_UNSUPPORTED, "network"},
		{OM_LAYER_PROCESS, OM_ERR_NAMESPACE, "process"},
	};
	const struct om_b_meta *m = t->b.meta;
	uint32_t argc = 0, digests = 0;
	const char *why = "no BPF";

	for (size_t i = 0; i < OM_ARRAY_LEN(layers); i++)
		if (has_layer(t, layers[i].layer) && !(t->l->layers & layers[i].layer))
			return om_err_set(err, layers[i].id, -EOPNOTSUPP,
					  "layer \"%s\" is required: %s", layers[i].name,
					  om_loader_why(t->l, layers[i].layer));
	(void)om_bundle_section(&t->b, OM_SEC_DIGESTS, &digests);
	if (digests && !(t->l->bpf && om_bpf_content(t->l->bpf, &why)))
		return om_err_set(err, OM_ERR_BPF_CONTENT, -EOPNOTSUPP,
				  "sha256 in filesystem.exec: %s", why);
	(void)om_bundle_section(&t->b, OM_SEC_ARGV, &argc);
	if (argc == 0)
		return om_err_set(err, OM_ERR_INVALID, -EINVAL, "the brane names no command");
	if (m->image == OM_IMAGE_DIR && !has_layer(t, OM_LAYER_PROCESS))
		return om_err_set(err, OM_ERR_NOT_BUILT, -EOPNOTSUPP,
				  "an image directory needs the layer \"process\"");
	return om_cgroup_check(t->l, &t->b, err);
}

int om_step_resolve(struct om_txn *t, struct om_err *err)
{
	char libexec[sizeof(t->l->shim)];
	const struct om_own_names own = {.run_dir = t->l->run_dir,
					 .state_dir = t->l->state_dir,
					 .bpffs = t->l->bpffs,
					 .libexec = libexec};

	(void)snprintf(libexec, sizeof(libexec), "%s", t->l->shim);
	char *slash = strrchr(libexec, '/');
	if (slash)
		*slash = '\0';
	return om_resolve(has_layer(t, OM_LAYER_KERNEL) ? t->l->bpf : NULL, &t->b,
			  has_layer(t, OM_LAYER_PROCESS), &own, &t->res, err);
}

int om_txn_instance(char out[static 8], struct om_err *err)
{
	static const char alphabet[] = "abcdefghijklmnopqrstuvwxyz0123456789";
	uint8_t r[OM_INSTANCE_LEN];
	if (getrandom(r, sizeof(r), 0) != (ssize_t)sizeof(r))
		return om_err_sys(err, OM_ERR_IO, -errno, "no random numbers");
	memset(out, 0, 8);
	for (size_t i = 0; i < sizeof(r); i++)
		out[i] = alphabet[r[i] % (sizeof(alphabet) - 1)];
	return 0;
}

static int has_number(const struct om_brane_info *info, void *ctx)
{
	return info->brane == *(const uint32_t *)ctx ? -EEXIST : 0;
}

/*
 * Every brane has a number, one without a BPF layer too: the log attributes by it. A host without
 * BPF has no counter that outlives the agent; the upper half of the numbers is never counted up to.
 */
static int new_number(struct om_loader *l, uint32_t *out, struct om_err *err)
{
	int ret = -EEXIST;

	if (l->bpf)
		return om_bpf_brane_new(l->bpf, out, err);
	while (ret == -EEXIST) {
		if (getrandom(out, sizeof(*out), 0) != (ssize_t)sizeof(*out))
			return om_err_sys(err, OM_ERR_IO, -errno, "no random numbers");
		*out |= 1u << 31;
		ret = om_loader_each(l, has_number, out, err);
	}
	return ret;
}

/* What INFO says about the bundle. The rest of it belongs to the steps that make it true. */
void om_txn_describe(struct om_state *st, const struct om_bundle *b)
{
	const struct om_b_meta *m = b->meta;
	memcpy(st->info.policy_id, b->head->policy_id, sizeof(st->info.policy_id));
	st->info.layers = m->layers;
	st->info.mode = m->mode;
	st->info.on_full = m->on_full;
	st->info.restart = m->restart;
	st->slot_flags = m->slot_flags;
	om_sha256(b->data, b->len, st->bundle);
}

/* The intent, before anything else exists: an adopting agent finds it and removes what there is. */
static int step_state(struct om_txn *t, struct om_err *err)
{
	struct om_brane_info *i = &t->st.info;

	memset(&t->st, 0, sizeof(t->st));
	(void)snprintf(i->name, sizeof(i->name), "%s", t->name);
	om_txn_describe(&t->st, &t->b);
	i->state = OM_BRANE_LOADING;
	int ret = om_txn_instance(i->instance, err);
	if (ret == 0)
		ret = new_number(t->l, &i->brane, err);
	if (ret == 0)
		ret = om_state_dir(t->l, t->name, true, &t->dir, err);
	if (ret == 0)
		ret = om_state_write(t->dir, &t->st, err);
	if (ret == 0)
		ret = om_state_put(t->dir, "bundle", t->b.data, t->b.len, err);
	if (ret == 0 && t->what->manifest)
		ret = om_state_put(t->dir, "manifest", t->what->manifest, t->what->manifest_len,
				   err);
	return ret;
}

static int undo_state(struct om_txn *t, struct om_err *err)
{
	return om_state_remove(t->l, t->name, err);
}

static int step_cgroup(struct om_txn *t, struct om_err *err)
{
	int ret = om_cgroup_make(t->l->parent, t->name, &t->cg, &t->st.info.cgid, err);
	if (ret == 0)
		ret = om_cgroup_make(t->l->shims, t->name, &t->shim_cg, NULL, err);
	if (ret == 0)
		ret = om_cgroup_limits(t->cg, &t->b, NULL, err);
	if (ret == 0)
		ret = om_state_write(t->dir, &t->st, err);
	return ret;
}

static int undo_cgroup(struct om_txn *t, struct om_err *err)
{
	om_close_fd(&t->cg);
	om_close_fd(&t->shim_cg);
	int ret = om_cgroup_remove(t->l->parent, t->name, err);
	return ret < 0 ? ret : om_cgroup_remove(t->l->shims, t->name, err);
}

int om_step_view(struct om_txn *t, struct om_err *err)
{
	struct om_bpf *b = has_layer(t, OM_LAYER_KERNEL) ? t->l->bpf : NULL;
	int ret = 0;
	if (has_layer(t, OM_LAYER_PROCESS))
		ret = om_view_prepare(b, &t->b, &t->res, &t->view, err);
	return ret < 0 ? ret : om_objects_merge(&t->res.objs, err);
}

/* Nothing of it is attached: closing the descriptors is all. */
static int undo_view(struct om_txn *t, struct om_err *err)
{
	(void)err;
	om_view_done(&t->view);
	return 0;
}

static bool wants_bpf(const struct om_txn *t)
{
	return t->l->bpf && has_layer(t, OM_LAYER_KERNEL | OM_LAYER_NETWORK);
}

/* Fills a fresh version beside the live one and reads it back. The number is written down first. */
int om_step_policy(struct om_txn *t, struct om_err *err)
{
	const struct om_objects *o = &t->res.objs;
	if (!wants_bpf(t))
		return 0;
	int ret = om_bpf_policy_new(t->l->bpf, o->v, o->count, &t->st.next_policy, err);
	if (ret == 0) {
		struct om_state intent = t->have_old ? t->old : t->st;
		intent.next_policy = t->st.next_policy;
		ret = om_state_write(t->dir, &intent, err);
	}
	if (ret < 0)
		return ret;
	t->filled = true;
	ret = om_bpf_policy_fill(t->l->bpf, t->st.next_policy, &t->b, o->v, o->count, err);
	/* An entry that somebody slips in meanwhile could as well come later: om_loader_verify finds it. */
	if (ret == 0)
		ret = om_bpf_policy_written(t->l->bpf, t->st.next_policy, &t->b, o->v, o->count,
					    err);
	return ret;
}

int om_undo_policy(struct om_txn *t, struct om_err *err)
{
	if (!t->filled)
		return 0;
	t->filled = false;
	return om_bpf_policy_drop(t->l->bpf, t->st.next_policy, err);
}

/* A brane in a network namespace of its own has no packet on the host's hooks. */
bool om_txn_wants_nft(const struct om_txn *t)
{
	bool own_netns = t->b.meta->netns && has_layer(t, OM_LAYER_PROCESS);
	return t->l->nft && has_layer(t, OM_LAYER_NETWORK) && !own_netns;
}

static int step_nft(struct om_txn *t, struct om_err *err)
{
	if (!om_txn_wants_nft(t))
		return 0;
	t->nft_done = true;
	t->st.nft = 1;
	return om_nft_put(t->l->nft, t->name, t->st.info.cgid, &t->b, err); /* reads back itself */
}

static int undo_nft(struct om_txn *t, struct om_err *err)
{
	return t->nft_done ? om_nft_remove(t->l->nft, t->name, t->st.info.cgid, err) : 0;
}

int om_step_record(struct om_txn *t, struct om_err *err)
{
	struct om_brane_info info = t->st.info;
	if (wants_bpf(t))
		info.policy = t->st.next_policy;
	if (!t->what->before_start)
		return 0;
	int ret = t->what->before_start(&info, t->change, t->what->ctx, err);
	if (ret > 0)
		ret = om_err_set(err, OM_ERR_LOG_IO, -EIO, "the apply was not recorded");
	return ret;
}

static int step_publish(struct om_txn *t, struct om_err *err)
{
	if (!wants_bpf(t))
		return 0;
	t->st.info.policy = t->st.next_policy;
	t->published = true;
	struct om_slot slot = om_txn_slot(&t->st);
	return om_bpf_brane_publish(t->l->bpf, &slot, err);
}

static int undo_publish(struct om_txn *t, struct om_err *err)
{
	return t->published ? om_bpf_brane_withdraw(t->l->bpf, t->st.info.brane, err) : 0;
}

int om_step_spawn(struct om_txn *t, struct om_err *err)
{
	struct om_ready ready = {0};
	struct om_spawn s = {
		.bundle = &t->b,
		.info = &t->st.info,
		.view = has_layer(t, OM_LAYER_PROCESS) ? &t->view : NULL,
		.stdio = t->what->stdio,
		.cg = t->cg,
		.shim_cg = t->shim_cg,
		.dir = t->dir,
	};
	t->spawned = true;
	int ret = om_spawn(t->l, &s, &ready, &t->control, &t->shim_pidfd, err);
	if (ret < 0)
		return ret;
	t->st.info.shim_pid = ready.shim_pid;
	t->st.info.init_pid = ready.init_pid;
	t->st.info.started_ns = ready.started_ns;
	return 0;
}

int om_undo_spawn(struct om_txn *t, struct om_err *err)
{
	siginfo_t si;
	if (!t->spawned)
		return 0;
	/* The shim first: it must not give birth after the brane was killed. */
	int ret = om_cgroup_kill(t->shim_cg);
	if (ret == 0)
		ret = om_cgroup_wait_empty(t->shim_cg, OM_EMPTY_WAIT_MS, err);
	if (ret == 0)
		ret = om_cgroup_kill(t->cg);
	if (ret == 0)
		ret = om_cgroup_wait_empty(t->cg, OM_EMPTY_WAIT_MS, err);
	if (t->shim_pidfd >= 0)
		(void)waitid(P_PIDFD, (id_t)t->shim_pidfd, &si, WEXITED);
	else if (t->st.info.shim_pid > 0)
		(void)waitid(P_PID, (id_t)t->st.info.shim_pid, &si, WEXITED);
	return ret;
}

/* The rename that makes it a brane that adoption keeps. */
static int step_commit(struct om_txn *t, struct om_err *err)
{
	const struct om_objects *o = &t->res.objs;
	size_t len = o->count * sizeof(*o->v);

	t->st.info.state = OM_BRANE_RUNNING;
	t->st.next_policy = 0;
	t->st.object_count = o->count;
	om_sha256(o->v, len, t->st.objects);
	int ret = om_state_put(t->dir, "objects", o->v, len, err);
	if (ret == 0)
		ret = om_state_write(t->dir, &t->st, err);
	if (ret == 0)
		ret = om_spawn_consent(t->control, err);
	if (ret == 0)
		ret = om_watch_add(t->l, t->name, OM_STEAL_FD(t->shim_pidfd), false, err);
	return ret;
}

static int undo_commit(struct om_txn *t, struct om_err *err)
{
	(void)err;
	om_watch_del(t->l, t->name);
	return 0;
}

const struct om_step om_create_steps[] = {
	{"check", false, om_step_check, NULL},
	{"resolve", false, om_step_resolve, NULL},
	{"state", true, step_state, undo_state},
	{"cgroup", true, step_cgroup, undo_cgroup},
	{"view", true, om_step_view, undo_view},
	{"policy", true, om_step_policy, om_undo_policy},
	{"nft", true, step_nft, undo_nft},
	{"record", true, om_step_record, NULL},
	{"publish", true, step_publish, undo_publish},
	{"spawn", true, om_step_spawn, om_undo_spawn},
	{"commit", true, step_commit, undo_commit},
};
const size_t om_create_count = OM_ARRAY_LEN(om_create_steps);
