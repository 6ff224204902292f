/*
 * Taking over what an earlier agent left: every brane is whole and verified, or condemned, or removed.
 *
 * Comes in: RUN_DIR/branes, cgroups, maps. Goes out: one call per brane. Called by: the load role, once,
 * before it serves requests; om_loader_verify at any time. Never does: trust a stored file that does
 * not match its digest, or let a brane run on whose policy differs from what was recorded.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <omega/sha256.h>
#include <loader/txn/txn.h>

struct stored {
	int dir;
	struct om_state st;
	void *bundle, *objects;
	struct om_bundle b;
};

static void stored_done(struct stored *s)
{
	om_close_fd(&s->dir);
	free(s->bundle);
	free(s->objects);
}

/*
 * An update was cut short between its first and its last file. If the slot names the new version it is
 * live, and its files become the current ones; otherwise it never was, and they go.
 */
static int settle(struct om_loader *l, int dir, struct om_state *st, struct om_err *err)
{
	OM_CLEANUP(om_free_ptr) void *data = NULL;
	struct om_state next;
	struct om_slot slot = {0};
	struct om_err ignored;
	size_t len = 0;
	uint8_t now[32];

	if (faccessat(dir, "state.next", F_OK, 0) < 0) {
		om_state_discard(dir);
		return 0;
	}
	int ret = om_state_read_as(dir, "state.next", &next, &ignored);
	if (ret < 0) {
		om_state_discard(dir);
		return 0;
	}
	ret = om_state_get(dir, "bundle", OM_BUNDLE_MAX, &data, &len, err);
	if (ret < 0)
		return ret;
	om_sha256(data, len, now);
	bool live = l->bpf && next.info.brane && next.info.policy != st->info.policy &&
		    om_bpf_brane_get(l->bpf, next.info.brane, &slot, &ignored) == 0 &&
		    slot.policy == next.info.policy;
	/* The new bundle is in place already: the promotion had begun. */
	if (live || memcmp(now, st->bundle, sizeof(now)) != 0) {
		ret = om_state_promote(dir, err);
		return ret < 0 ? ret : om_state_read(dir, st, err);
	}
	om_state_discard(dir);
	return 0;
}

static int load_stored(struct om_loader *l, const char *name, bool may_settle, struct stored *s,
		       struct om_err *err)
{
	size_t len = 0;
	uint8_t digest[32];

	int ret = om_state_dir(l, name, false, &s->dir, err);
	if (ret == 0)
		ret = om_state_read(s->dir, &s->st, err);
	if (ret == 0 && s->st.info.state == OM_BRANE_LOADING)
		return om_err_set(err, OM_ERR_ADOPT, -EINTR, "a transaction was cut short");
	if (ret == 0 && may_settle)
		ret = settle(l, s->dir, &s->st, err);
	if (ret == 0)
		ret = om_state_get(s->dir, "bundle", OM_BUNDLE_MAX, &s->bundle, &len, err);
	if (ret < 0)
		return ret;
	om_sha256(s->bundle, len, digest);
	if (memcmp(digest, s->st.bundle, 32) != 0)
		return om_err_set(err, OM_ERR_TAMPERED, -EBADMSG, "the stored bundle was changed");
	ret = om_bundle_open(s->bundle, len, &s->b, err);
	if (ret == 0)
		ret = om_state_get(s->dir, "objects",
				   (size_t)OM_OBJECTS_MAX * sizeof(struct om_resolved), &s->objects,
				   &len, err);
	if (ret < 0)
		return ret;
	om_sha256(s->objects, len, digest);
	if (memcmp(digest, s->st.objects, 32) != 0 ||
	    len != s->st.object_count * sizeof(struct om_resolved))
		return om_err_set(err, OM_ERR_TAMPERED, -EBADMSG,
				  "the stored objects were changed");
	return 0;
}

/* The kernel's state against the stored one. Errors other than TAMPERED mean it could not be read. */
static int verify_kernel(struct om_loader *l, const struct stored *s, struct om_err *err)
{
	const struct om_brane_info *i = &s->st.info;
	struct om_slot slot, want = om_txn_slot(&s->st);
	int ret;

	OM_CLEANUP(om_close_fd) int cg = om_cgroup_child(l->parent, i->name);
	if (cg < 0 || om_cgroup_id(cg) != i->cgid)
		return om_err_set(err, OM_ERR_TAMPERED, -ENOENT, "the cgroup is not the one made");
	if (i->layers & (OM_LAYER_KERNEL | OM_LAYER_NETWORK)) {
		if (!l->bpf)
			return om_err_set(err, OM_ERR_TAMPERED, -ENODEV, "BPF is not loaded");
		ret = om_bpf_brane_get(l->bpf, i->brane, &slot, err);
		if (ret < 0)
			return ret;
		if (slot.policy != want.policy || slot.flags != want.flags ||
		    slot.cgid != want.cgid)
			return om_err_set(err, OM_ERR_TAMPERED, -EBADMSG,
					  "slot: policy %u flags %x, expected %u %x", slot.policy,
					  slot.flags, want.policy, want.flags);
		ret = om_bpf_brane_led(l->bpf, i->cgid, i->brane, err);
		if (ret < 0)
			return ret;
		ret = om_bpf_policy_verify(l->bpf, i->policy, &s->b, s->objects, s->st.object_count,
					   err);
		if (ret < 0)
			return ret;
	}
	if (!s->st.nft)
		return 0;
	if (!l->nft)
		return om_err_set(err, OM_ERR_TAMPERED, -ENODEV, "nftables is not loaded");
	return om_nft_verify(l->nft, i->name, i->cgid, &s->b, err);
}

int om_loader_verify(struct om_loader *l, const char *name, struct om_err *err)
{
	OM_CLEANUP(stored_done) struct stored s = {.dir = -1};
	struct om_err e = {0};
	int ret = load_stored(l, name, false, &s, &e);
	if (ret == 0)
		ret = verify_kernel(l, &s, &e);
	if (ret < 0 && err) {
		*err = e;
		if (e.id == OM_ERR_BPF_VERIFY || e.id == OM_ERR_NFT_VERIFY)
			err->id = OM_ERR_TAMPERED;
	}
	return ret;
}

typedef void (*adopted_fn)(const struct om_brane_info *info, enum om_adopted how,
			   const struct om_err *why, void *ctx);

static int adopt_one(struct om_loader *l, const char *name, adopted_fn fn, void *ctx,
		     struct om_err *err)
{
	OM_CLEANUP(stored_done) struct stored s = {.dir = -1};
	struct om_err why = {0};
	int ret = load_stored(l, name, true, &s, &why);

	if (ret < 0 && why.id != OM_ERR_TAMPERED) {
		/* Cut short, or nothing can be known of it: it has no right to run. */
		if (!s.st.info.name[0])
			memcpy(s.st.info.name, name, strlen(name) + 1);
		om_state_refresh(l, s.dir, &s.st.info);
		ret = om_txn_purge(l, name, &s.st, err);
		if (ret < 0)
			return ret;
		s.st.info.state = OM_BRANE_EXITED;
		fn(&s.st.info, OM_ADOPT_CUT_SHORT, &why, ctx);
		return 0;
	}
	if (ret == 0 && s.st.nft && l->nft)
		/* A cut update may have changed the sets and not the rest; they follow the bundle. */
		ret = om_nft_put(l->nft, name, s.st.info.cgid, &s.b, &why);
	if (ret == 0)
		ret = verify_kernel(l, &s, &why);
	if (ret < 0) {
		/* Frozen, not killed: what did this may still be seen in it. */
		om_txn_deny(l, name, &s.st);
		s.st.info.state = OM_BRANE_FROZEN;
		fn(&s.st.info, OM_ADOPT_TAMPERED, &why, ctx);
		return 0;
	}
	if (s.st.next_policy && l->bpf) {
		ret = om_bpf_policy_drop(l->bpf, s.st.next_policy, err);
		s.st.next_policy = 0;
		if (ret == 0)
			ret = om_state_write(s.dir, &s.st, err);
		if (ret < 0)
			return ret;
	}
	om_state_refresh(l, s.dir, &s.st.info);
	bool exited = s.st.info.state == OM_BRANE_EXITED;
	int pidfd = s.st.info.shim_pid > 0 ? pidfd_open(s.st.info.shim_pid, 0) : -1;
	ret = om_watch_add(l, name, pidfd, exited, err);
	if (ret < 0)
		return ret;
	fn(&s.st.info, exited ? OM_ADOPT_EXITED : OM_ADOPT_RUNNING, NULL, ctx);
	return 0;
}

/* Cgroups that no state speaks of: what is left of a removal that was cut short at its end. */
static int sweep(struct om_loader *l, int parent, struct om_err *err)
{
	int fd = openat(parent, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), ret = 0;
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;

	if (!d)
		return om_err_sys(err, OM_ERR_CGROUP, -errno, "cannot list %s", l->cgroup);
	while (ret == 0 && (e = readdir(d))) {
		if (e->d_type != DT_DIR || e->d_name[0] == '.' ||
		    faccessat(l->branes, e->d_name, F_OK, 0) == 0)
			continue;
		ret = om_cgroup_remove(parent, e->d_name, err);
	}
	closedir(d);
	return ret;
}

/* Slots of branes that no state speaks of. */
struct strays {
	struct om_loader *l;
	uint32_t brane[64];
	uint32_t policy[64];
	uint32_t n;
};

static int known(const struct om_brane_info *info, void *ctx)
{
	return info->brane == *(uint32_t *)ctx ? -EEXIST : 0;
}

static int stray_slot(const struct om_slot *slot, void *ctx)
{
	struct strays *s = ctx;
	uint32_t brane = slot->brane;
	if (om_loader_each(s->l, known, &brane, NULL) == -EEXIST)
		return 0;
	s->brane[s->n] = slot->brane;
	s->policy[s->n++] = slot->policy;
	return s->n == OM_ARRAY_LEN(s->brane);
}

static int sweep_slots(struct om_loader *l, struct om_err *err)
{
	struct strays s = {.l = l};
	if (!l->bpf)
		return 0;
	int ret = om_bpf_brane_each(l->bpf, stray_slot, &s, err);
	for (uint32_t i = 0; i < s.n && ret >= 0; i++) {
		ret = om_bpf_brane_withdraw(l->bpf, s.brane[i], err);
		if (ret == 0 && s.policy[i])
			ret = om_bpf_policy_drop(l->bpf, s.policy[i], err);
	}
	return ret < 0 ? ret : 0;
}

int om_loader_adopt(struct om_loader *l,
		    void (*fn)(const struct om_brane_info *info, enum om_adopted how,
			       const struct om_err *why, void *ctx),
		    void *ctx, struct om_err *err)
{
	int fd = openat(l->branes, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), ret = 0;
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;
	struct om_err first = {0};
	int first_ret = 0;

	if (!d)
		return om_err_sys(err, OM_ERR_STATE, -errno, "cannot list branes");
	while ((e = readdir(d))) {
		if (!om_name_ok(e->d_name))
			continue;
		/* One brane that cannot be dealt with must not keep the others from being verified. */
		ret = adopt_one(l, e->d_name, fn, ctx, &first);
		if (ret < 0 && first_ret == 0) {
			first_ret = ret;
			om_err_prefix(&first, "adopting %s", e->d_name);
			if (err)
				*err = first;
		}
	}
	closedir(d);
	if (first_ret < 0)
		return first_ret;
	ret = sweep(l, l->parent, err);
	if (ret == 0)
		ret = sweep(l, l->shims, err);
	if (ret == 0)
		ret = sweep_slots(l, err);
	return ret == 0 && l->bpf ? om_bpf_policy_sweep(l->bpf, err) : ret;
}
