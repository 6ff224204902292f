/*
 * The policy compiler's front door: manifest bytes in, one IR and one bundle per brane out.
 *
 * Comes in: TOML text. Goes out: findings, IRs, bundles, verdicts. Called by: roles/compile and the
 * offline verbs of omegactl. Never does: a system call, a log line, a look at this host.
 */
#ifndef OMEGA_POLICIES_POLICY_H
#define OMEGA_POLICIES_POLICY_H

#include <omega/bundle.h>
#include <omega/diag.h>
#include <omega/ir.h>
#include <omega/request.h>

struct om_policy; /* a compiled file: all its branes */

/*
 * Parses, binds, checks, lowers and normalises. On findings that are errors: -EINVAL, DIAGS filled
 * and sorted, *OUT NULL, ERR names the first. Warnings alone succeed. DATA is not kept.
 */
int om_policy_compile(const char *data, size_t len, struct om_policy **out, struct om_diags *diags,
		      struct om_err *err) OM_MUST_CHECK;
void om_policy_free(struct om_policy *p);

uint32_t om_policy_count(const struct om_policy *p);
const struct om_ir *om_policy_ir(const struct om_policy *p, uint32_t i);
const struct om_ir *om_policy_find(const struct om_policy *p, const char *name);

/*
 * Replaces the command of brane I (0 .. count-1) by the ARGC strings at ARGV (copied) and normalises
 * again: the policy id changes with it. OM_ERR_CAP_COMMAND when argv[0] is not granted for exec: a
 * caller's command never reaches further than the manifest does.
 */
int om_policy_set_command(struct om_policy *p, uint32_t i, const char *const *argv, uint32_t argc,
			  struct om_err *err) OM_MUST_CHECK;

/* Emits every layer of IR (policies/emit) into one bundle; *DATA is malloc'd. */
int om_emit_bundle(const struct om_ir *ir, uint8_t **data, size_t *len, struct om_err *err)
	OM_MUST_CHECK;

/* The reference interpreter: what the IR means. Never fails: what it does not know is denied. */
void om_engine_decide(const struct om_ir *ir, const struct om_request *req, struct om_verdict *out);

/*
 * The simulators: what the generated artifacts say. Every layer that has an opinion about the op is
 * asked; the first denial, in the order the kernel would meet them, decides.
 */
struct om_sim_result {
	bool allow;
	enum om_where where; /* the layer that denied, OM_WHERE_NONE if allowed */
	uint32_t asked;	     /* bit per enum om_where that had an opinion */
	uint32_t denied;     /* bit per enum om_where that alone would have denied */
};
void om_sim_decide(const struct om_bundle *b, const struct om_request *req,
		   struct om_sim_result *out);

/* Fills verdict.rule and .suggestion for a denied request, from the capability's own descriptor. */
void om_suggest(const char *brane, const struct om_request *req, struct om_verdict *out);

#endif
