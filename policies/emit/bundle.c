/*
 * From an IR to a bundle: every layer that the manifest wants writes its sections.
 *
 * Comes in: a normalised IR. Goes out: one sealed bundle. Called by: the compile role, omegactl's
 * offline verbs, tests. Never does: hand out a bundle that the loader's reader would refuse, or leave
 * a grant out because a layer cannot express it: that is an error with the grant's name in it.
 */
#include <errno.h>

#include <policies/emit/emit.h>
#include <policies/policy.h>

/*
 * In the order in which the kernel asks. seccomp stands before everything; a path that is not in the
 * view never reaches a hook; BPF-LSM's socket hooks run before cgroup BPF, and nft sees only packets.
 */
const struct om_layer om_layers[] = {
	{"seccomp", OM_WHERE_SECCOMP, OM_LAYER_PROCESS, om_emit_seccomp, om_sim_seccomp},
	{"view", OM_WHERE_VIEW, OM_LAYER_PROCESS, om_emit_view, om_sim_view},
	{"lsm", OM_WHERE_LSM, OM_LAYER_KERNEL, om_emit_lsm, om_sim_lsm},
	{"cgroup-bpf", OM_WHERE_CGROUP_BPF, OM_LAYER_NETWORK, om_emit_net, om_sim_net},
	{"nft", OM_WHERE_NFT, OM_LAYER_NETWORK, om_emit_nft, om_sim_nft},
	{"cgroup", OM_WHERE_CGROUP, OM_LAYER_PROCESS, om_emit_cgroup, NULL},
	{"process", OM_WHERE_PROCESS, 0, om_emit_process, om_sim_process},
};
const uint32_t om_layer_count = OM_ARRAY_LEN(om_layers);

static void w_free(struct om_bundle_w **w)
{
	om_bundle_w_free(*w);
}

static int emit_layers(const struct om_emit *e, struct om_err *err)
{
	/* Grants come first: the other sections name them by index. */
	int ret = om_emit_grants(e, err);

	for (uint32_t i = 0; !ret && i < om_layer_count; i++) {
		uint32_t wanted = om_layers[i].layers;

		if (!wanted || (wanted & e->ir->layers))
			ret = om_layers[i].emit(e, err);
	}
	/* BPF-LSM asks the same address sets, also where the cgroup programs are switched off. */
	if (!ret && (e->ir->layers & OM_LAYER_KERNEL) && !(e->ir->layers & OM_LAYER_NETWORK))
		ret = om_emit_net(e, err);
	return ret;
}

int om_emit_bundle(const struct om_ir *ir, uint8_t **data, size_t *len, struct om_err *err)
{
	OM_CLEANUP(w_free) struct om_bundle_w *w = NULL;
	struct om_bundle check;
	int ret;

	*data = NULL;
	*len = 0;
	ret = om_bundle_w_new(&w, err);
	if (ret)
		return ret;
	ret = emit_layers(&(struct om_emit){ir, w}, err);
	if (ret)
		return ret;
	ret = om_bundle_w_finish(w, ir->policy_id, data, len, err);
	if (ret)
		return ret;
	/* The loader must never be the first to find our own mistake. */
	ret = om_bundle_open(*data, *len, &check, err);
	if (ret) {
		free(*data);
		*data = NULL;
		*len = 0;
	}
	return ret;
}
