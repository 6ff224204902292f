/*
 * System calls over the base profile.
 *
 * Comes in: [brane.X.syscalls]. Goes out: OM_GRANT_SYSCALL. Called through the registry. Never
 * does: grant a call with which the brane could leave its confinement, whatever the manifest says.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <omega/cap.h>
#include <policies/ir/ir.h>
#include <policies/path.h>
#include <policies/profiles/profile.h>
#include <policies/profiles/syscalls.h>

static const struct om_field fields[] = {
	{.key = "allow",
	 .type = OM_FIELD_STRINGS,
	 .doc = "system calls to add to the base profile, by their x86_64 names",
	 .example = "[\"mlock2\"]"},
	{0},
};

static void nearest(const char *name, char hint[static 64])
{
	const char *names[OM_SYS_LAST + 1], *near;
	size_t n = 0;

	for (int nr = 0; nr <= OM_SYS_LAST; nr++)
		if (om_sys_name(nr))
			names[n++] = om_sys_name(nr);
	near = om_nearest(name, names, n);
	snprintf(hint, 64,
		 near ? "did you mean '%s'?" : "names are those of the manual's section 2",
		 near ? near : "");
}

static void lower(struct om_cap_ctx *ctx, const struct om_value *table)
{
	om_value_for_each(v, om_value_get(table, "allow"))
	{
		struct om_grant g = {.kind = OM_GRANT_SYSCALL, .pos = v->pos};
		const char *why = om_profile_never(v->text);
		char hint[64];

		/* Before the number is looked up: the reason teaches more than "unknown" would. */
		if (why) {
			om_diag_add(ctx->diags, OM_SEV_ERROR, OM_ERR_CAP_SYSCALL, v->pos,
				    "leave it out: no manifest can grant it",
				    "system call '%.60s' is never granted: %s", v->text, why);
			continue;
		}
		g.syscall.nr = om_profile_nr(v->text);
		if (g.syscall.nr < 0) {
			nearest(v->text, hint);
			om_diag_add(ctx->diags, OM_SEV_ERROR, OM_ERR_CAP_SYSCALL, v->pos, hint,
				    "x86_64 has no system call '%.60s'", v->text);
			continue;
		}
		/*
		 * What the profile has already is no grant: with or without it, the id is the same.
		 */
		if (om_profile_allows(v->text))
			continue;
		g.syscall.name = om_ir_text(ctx->ir, v->text, strlen(v->text));
		if (!g.syscall.name)
			ctx->ret = -ENOMEM;
		om_cap_grant(ctx, &g);
	}
}

static void review(struct om_cap_ctx *ctx, const struct om_value *table)
{
	const struct om_value *allow = om_value_get(table, "allow");

	om_value_for_each(v, allow)
	{
		if (om_profile_allows(v->text))
			om_diag_add(ctx->diags, OM_SEV_NOTE, OM_ERR_CAP_RISK, v->pos,
				    "leave it out",
				    "system call '%.60s' is in the base profile already", v->text);
		else
			om_diag_add(
				ctx->diags, OM_SEV_WARNING, OM_ERR_CAP_RISK, v->pos,
				"keep it only if the program fails without it",
				"system call '%.60s' widens what the kernel exposes to this brane",
				v->text);
	}
}

static bool suggest(const char *brane, const struct om_request *req, struct om_verdict *out)
{
	if (req->op != OM_OP_SYSCALL)
		return false;
	om_suggest_list(out, brane, "syscalls", "allow", req->text);
	if (om_profile_never(req->text) || om_profile_nr(req->text) < 0)
		out->suggestion[0] = 0;
	return true;
}

const struct om_cap om_cap_syscalls = {
	.name = "syscalls",
	.table = "syscalls",
	.summary = "system calls over the base profile",
	.explain = "Each one is a finding, because each one widens what the kernel exposes. Calls "
		   "that lead out of "
		   "the confinement (bpf, ptrace, mount, setns, io_uring_setup and others) are "
		   "never granted.",
	.layers = OM_LAYER_PROCESS,
	.fields = fields,
	.lower = lower,
	.review = review,
	.suggest = suggest,
};
