/*
 * Asking a bundle what it would decide, layer by layer, and what process set-up decides.
 *
 * Comes in: a bundle and a request. Goes out: the verdict, who gave it, who else would have. Called
 * by: omegactl simulate, tests. Never does: look at the IR; what it says is what was generated.
 */
#include <string.h>

#include <policies/emit/emit.h>
#include <policies/policy.h>

static bool env_has(const struct om_bundle *b, const char *name)
{
	uint32_t n;
	size_t len = strlen(name);
	const uint32_t *env = om_bundle_section(b, OM_SEC_ENV, &n);

	for (uint32_t i = 0; i < n; i++) {
		const char *s = om_bundle_str(b, env[i]);

		if (strncmp(s, name, len) == 0 && s[len] == '=')
			return true;
	}
	return false;
}

static bool stdio_has(const struct om_bundle *b, const char *name)
{
	if (strcmp(name, "in") == 0)
		return b->meta->stdio & OM_STDIO_IN;
	if (strcmp(name, "out") == 0)
		return b->meta->stdio & OM_STDIO_OUT;
	return strcmp(name, "err") == 0 && (b->meta->stdio & OM_STDIO_ERR);
}

enum om_opinion om_sim_process(const struct om_bundle *b, const struct om_request *req)
{
	switch ((int)req->op) {
	case OM_OP_ENV:
		return env_has(b, req->text) ? OM_OPINION_ALLOW : OM_OPINION_DENY;
	case OM_OP_STDIO:
		return stdio_has(b, req->text) ? OM_OPINION_ALLOW : OM_OPINION_DENY;
	case OM_OP_NET_CONNECT:
	case OM_OP_NET_LISTEN:
		/*
		 * In an empty namespace with lo down no address can be reached, and a port is one that
		 * nobody can reach. Hooks are asked before the routing table is.
		 */
		return b->meta->netns ? OM_OPINION_DENY_LATE : OM_OPINION_NONE;
	default:
		return OM_OPINION_NONE;
	}
}

void om_sim_decide(const struct om_bundle *b, const struct om_request *req,
		   struct om_sim_result *out)
{
	enum om_where late = OM_WHERE_NONE;

	memset(out, 0, sizeof(*out));
	for (uint32_t i = 0; i < om_layer_count; i++) {
		const struct om_layer *l = &om_layers[i];
		enum om_opinion op = OM_OPINION_NONE;

		if (l->simulate && (!l->layers || (l->layers & b->meta->layers)))
			op = l->simulate(b, req);
		if (op == OM_OPINION_NONE)
			continue;
		out->asked |= 1u << l->where;
		if (op == OM_OPINION_ALLOW)
			continue;
		out->denied |= 1u << l->where;
		if (op == OM_OPINION_DENY_LATE && late == OM_WHERE_NONE)
			late = l->where;
		else if (op == OM_OPINION_DENY && out->where == OM_WHERE_NONE)
			out->where = l->where;
	}
	if (out->where == OM_WHERE_NONE)
		out->where = late;
	/* Nobody asked means nobody denies: a manifest that switched the layers off is told so. */
	out->allow = out->denied == 0;
}
