/*
 * Process set-up: who the brane is, what it runs, with which variables, streams and network.
 *
 * Comes in: an IR. Goes out: OM_SEC_META, ARGV, ENV. Called by: om_emit_bundle, and om_sim_decide for
 * what is decided here once and for all. Never does: inherit anything; what no grant names is not
 * in the environment, and a stream that no grant names is /dev/null.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <omega/abi/policy.h>
#include <policies/emit/emit.h>

/* The command may be absent: `omegactl run` brings its own. */
static int emit_argv(const struct om_emit *e, struct om_err *err)
{
	for (uint32_t i = 0; i < e->ir->argc; i++) {
		uint32_t off;
		int ret = om_bundle_w_str(e->w, e->ir->argv[i], &off, err);

		if (!ret)
			ret = om_bundle_w_add(e->w, OM_SEC_ARGV, &off, 1, err);
		if (ret)
			return ret;
	}
	return 0;
}

/* Only what is named: a variable of the daemon's own (LD_PRELOAD, a token) must never get in. */
static int emit_env(const struct om_emit *e, const struct om_grant_env *env, struct om_err *err)
{
	OM_CLEANUP(om_free_ptr) char *text = NULL;
	uint32_t off;
	int ret;

	if (asprintf(&text, "%s=%s", env->name, env->value) < 0) {
		text = NULL;
		return om_err_set(err, OM_ERR_NOMEM, -ENOMEM, "environment");
	}
	ret = om_bundle_w_str(e->w, text, &off, err);
	return ret ? ret : om_bundle_w_add(e->w, OM_SEC_ENV, &off, 1, err);
}

/* What the kernel side needs to know before any look-up. A layer that is off decides nothing. */
static uint32_t slot_flags(const struct om_ir *ir)
{
	return (ir->mode == OM_MODE_AUDIT ? OM_SLOT_AUDIT : 0) |
	       (ir->write_exec ? OM_SLOT_WRITE_EXEC : 0) |
	       (ir->layers & OM_LAYER_KERNEL ? OM_SLOT_KERNEL : 0) |
	       (ir->layers & OM_LAYER_NETWORK ? OM_SLOT_NETWORK : 0) |
	       (ir->layers & OM_LAYER_PROCESS ? OM_SLOT_VIEW : 0);
}

static int emit_meta(const struct om_emit *e, struct om_b_meta *m, struct om_err *err)
{
	const struct om_ir *ir = e->ir;
	int ret = om_bundle_w_str(e->w, ir->name, &m->name, err);

	if (!ret && ir->substrate)
		ret = om_bundle_w_str(e->w, ir->substrate, &m->substrate, err);
	if (!ret && ir->image == OM_IMAGE_DIR)
		ret = om_bundle_w_str(e->w, ir->image_dir ? ir->image_dir : "", &m->image_dir, err);
	if (!ret)
		ret = om_bundle_w_str(e->w, ir->workdir ? ir->workdir : "/", &m->workdir, err);
	if (ret)
		return ret;
	m->image = ir->image;
	m->user = ir->user;
	m->restart = ir->restart;
	m->mode = ir->mode;
	m->on_full = ir->on_full;
	m->layers = ir->layers;
	m->slot_flags = slot_flags(ir) | (m->netns ? OM_SLOT_OWN_NET : 0);
	return om_bundle_w_add(e->w, OM_SEC_META, m, 1, err);
}

int om_emit_process(const struct om_emit *e, struct om_err *err)
{
	/* The one place that decides it: a brane that names no network gets a namespace with nothing. */
	struct om_b_meta m = {.netns = (e->ir->layers & OM_LAYER_PROCESS) != 0};
	int ret = emit_argv(e, err);

	for (uint32_t i = 0; !ret && i < e->ir->count; i++) {
		const struct om_grant *g = &e->ir->grants[i];

		if (g->kind == OM_GRANT_ENV)
			ret = emit_env(e, &g->env, err);
		else if (g->kind == OM_GRANT_STDIO)
			m.stdio |= g->stdio.which;
		else if (g->kind == OM_GRANT_EGRESS || g->kind == OM_GRANT_LISTEN)
			m.netns = 0;
	}
	return ret ? ret : emit_meta(e, &m, err);
}
