/*
 * Branes in the maps: the slot that publishes a policy, the cgroup that leads to it, the counters.
 *
 * Comes in: a slot whose policy is complete and verified. Goes out: map entries. Called by: the
 * transaction, adoption. Never does: publish a cgroup before its slot, or take a slot away while the
 * cgroup still leads to it (a task in between is denied everything, by the programs themselves).
 */
#include <errno.h>

#include <loader/bpf_priv.h>
#include <omega/abi/self.h>

int om_bpf_brane_publish(struct om_bpf *b, const struct om_slot *slot, struct om_err *err)
{
	const struct om_stat zero = {0};
	int ret;

	/* 0 means "no brane" in a label and "no policy" in a slot. */
	if (!slot->brane || !slot->policy || !slot->cgid)
		return om_err_set(err, OM_ERR_INVALID, -EINVAL, "slot of brane %u", slot->brane);
	ret = bpf_map_update_elem(b->maps[OM_MAP_STATS], &slot->brane, &zero, BPF_NOEXIST);
	if (ret && ret != -EEXIST)
		return om_map_error(err, OM_MAP_STATS, ret, "cannot write");
	ret = bpf_map_update_elem(b->maps[OM_MAP_BRANES], &slot->brane, slot, BPF_ANY);
	if (ret)
		return om_map_error(err, OM_MAP_BRANES, ret, "cannot write");
	ret = bpf_map_update_elem(b->maps[OM_MAP_CGROUPS], &slot->cgid, &slot->brane, BPF_ANY);
	if (ret)
		return om_map_error(err, OM_MAP_CGROUPS, ret, "cannot write");
	return 0;
}

int om_bpf_brane_get(struct om_bpf *b, uint32_t brane, struct om_slot *out, struct om_err *err)
{
	int ret = bpf_map_lookup_elem(b->maps[OM_MAP_BRANES], &brane, out);

	if (ret == -ENOENT)
		return om_err_set(err, OM_ERR_NOT_FOUND, ret, "brane %u has no slot", brane);
	return ret ? om_map_error(err, OM_MAP_BRANES, ret, "cannot read") : 0;
}

int om_bpf_brane_led(struct om_bpf *b, uint64_t cgid, uint32_t brane, struct om_err *err)
{
	uint32_t led = 0;
	int ret = bpf_map_lookup_elem(b->maps[OM_MAP_CGROUPS], &cgid, &led);

	if (ret && ret != -ENOENT)
		return om_map_error(err, OM_MAP_CGROUPS, ret, "cannot read");
	if (ret || led != brane)
		return om_err_set(err, OM_ERR_BPF_VERIFY, -EUCLEAN,
				  "om_cgroups: the cgroup leads to brane %u, not %u", led, brane);
	return 0;
}

int om_bpf_brane_withdraw(struct om_bpf *b, uint32_t brane, struct om_err *err)
{
	struct om_slot slot;
	int ret = bpf_map_lookup_elem(b->maps[OM_MAP_BRANES], &brane, &slot);

	if (ret == -ENOENT)
		return 0;
	if (ret)
		return om_map_error(err, OM_MAP_BRANES, ret, "cannot read");
	/* Slot first: a task that is left behind is denied everything, by cgroup and by label. */
	ret = bpf_map_delete_elem(b->maps[OM_MAP_BRANES], &brane);
	if (ret)
		return om_map_error(err, OM_MAP_BRANES, ret, "cannot remove from");
	ret = bpf_map_delete_elem(b->maps[OM_MAP_CGROUPS], &slot.cgid);
	if (ret && ret != -ENOENT)
		return om_map_error(err, OM_MAP_CGROUPS, ret, "cannot remove from");
	return 0;
}

int om_bpf_brane_each(struct om_bpf *b, int (*fn)(const struct om_slot *slot, void *ctx), void *ctx,
		      struct om_err *err)
{
	uint32_t key, next;
	void *prev = NULL;
	int ret;

	/* FN may withdraw the brane it is given, so the next key is fetched before the call. */
	ret = bpf_map_get_next_key(b->maps[OM_MAP_BRANES], NULL, &key);
	while (!ret) {
		struct om_slot slot;
		int more;

		more = bpf_map_get_next_key(b->maps[OM_MAP_BRANES], &key, &next);
		ret = bpf_map_lookup_elem(b->maps[OM_MAP_BRANES], &key, &slot);
		if (!ret)
			ret = fn(&slot, ctx);
		else if (ret == -ENOENT)
			ret = 0;
		if (ret > 0 || (ret < 0 && ret != -ENOENT))
			return ret > 0 ? 0 : om_map_error(err, OM_MAP_BRANES, ret, "cannot read");
		key = next;
		ret = more;
	}
	(void)prev;
	return ret == -ENOENT ? 0 : om_map_error(err, OM_MAP_BRANES, ret, "cannot list");
}

static int fold_of_brane(const void *key, void *ctx)
{
	int map = *(int *)ctx;

	(void)bpf_map_delete_elem(map, key);
	return 0;
}

int om_bpf_brane_forget(struct om_bpf *b, uint32_t brane, struct om_err *err)
{
	struct om_slot slot;
	int ret;

	if (brane == OM_BRANE_LEFT || brane == OM_BRANE_HOST)
		return om_err_set(err, OM_ERR_EXISTS, -EBUSY,
				  "the counters of tasks that no brane has");
	if (!bpf_map_lookup_elem(b->maps[OM_MAP_BRANES], &brane, &slot))
		return om_err_set(err, OM_ERR_EXISTS, -EBUSY, "brane %u is published", brane);
	ret = om_policy_keys(b->maps[OM_MAP_FOLDS], sizeof(struct om_fold_key),
			     offsetof(struct om_fold_key, brane), brane, fold_of_brane,
			     &b->maps[OM_MAP_FOLDS]);
	if (ret)
		return om_map_error(err, OM_MAP_FOLDS, ret, "cannot clear");
	ret = bpf_map_delete_elem(b->maps[OM_MAP_STATS], &brane);
	if (ret && ret != -ENOENT)
		return om_map_error(err, OM_MAP_STATS, ret, "cannot clear");
	return 0;
}
