/*
 * Making an IR and adding grants to it.
 *
 * Comes in: a name, grants. Goes out: an IR with its own arena. Called by: policies/compile.c and
 * the capabilities. Never does: free a grant, or grow past the limits.
 */
#include <errno.h>
#include <string.h>

#include <omega/arena.h>
#include <omega/limits.h>
#include <policies/ir/ir.h>

#define NOBODY 65534u

int om_ir_new(struct om_ir **out, const char *name, struct om_err *err)
{
	struct om_ir *ir = calloc(1, sizeof(*ir));

	*out = NULL;
	if (ir)
		ir->arena = calloc(1, sizeof(*ir->arena));
	if (!ir || !ir->arena) {
		free(ir);
		return om_err_set(err, OM_ERR_NOMEM, -ENOMEM, "no memory for the policy of %s",
				  name);
	}
	om_arena_init(ir->arena, OM_IR_BYTES_MAX);
	ir->name = om_ir_text(ir, name, strlen(name));
	ir->workdir = "/";
	ir->user = NOBODY;
	ir->layers = OM_LAYER_ALL;
	if (!ir->name) {
		om_ir_free(ir);
		return om_err_set(err, OM_ERR_NOMEM, -ENOMEM, "no memory for the policy of %s",
				  name);
	}
	*out = ir;
	return 0;
}

void om_ir_free(struct om_ir *ir)
{
	if (!ir)
		return;
	om_arena_done(ir->arena);
	free(ir->arena);
	free(ir);
}

const char *om_ir_text(struct om_ir *ir, const char *text, size_t len)
{
	return om_arena_strndup(ir->arena, text, len);
}

int om_ir_add(struct om_ir *ir, const struct om_grant *g, struct om_err *err)
{
	if (ir->count >= OM_GRANTS_MAX)
		return om_err_set(err, OM_ERR_IR_LIMIT, -E2BIG, "brane %s has more than %u grants",
				  ir->name, OM_GRANTS_MAX);
	if (ir->count == ir->cap) {
		uint32_t cap = ir->cap ? ir->cap * 2 : 16;
		struct om_grant *grants =
			om_arena_grow(ir->arena, ir->grants, ir->count, cap, sizeof(*grants));

		if (!grants)
			return om_err_set(err, OM_ERR_NOMEM, -ENOMEM,
					  "no memory for the grants of %s", ir->name);
		ir->grants = grants;
		ir->cap = cap;
	}
	ir->grants[ir->count++] = *g;
	return 0;
}
