/*
 * The caller's own command in place of the manifest's (`omegactl run FILE -- CMD…`).
 *
 * Comes in: a compiled policy and argv. Goes out: the same policy with another command and id. Called
 * by: the compile role, omegactl run. Never does: add a grant: a command that the manifest does not let
 * the brane execute is refused here, with the finding's own id, and would be denied by the kernel.
 */
#include <errno.h>
#include <string.h>
#include <omega/arena.h>
#include <policies/ir/ir.h>
#include <policies/policy.h>

static bool may_exec(const struct om_ir *ir, const char *path)
{
	struct om_request req = {.op = OM_OP_FILE_EXEC, .nr = -1};
	struct om_verdict v = {0};

	if (path[0] != '/' || strlen(path) >= sizeof(req.text))
		return false;
	memcpy(req.text, path, strlen(path) + 1);
	om_engine_decide(ir, &req, &v);
	return v.allow;
}

int om_policy_set_command(struct om_policy *p, uint32_t i, const char *const *argv, uint32_t argc,
			  struct om_err *err)
{
	/* The policy owns its IRs and hands them out read-only; this is the one that may change them. */
	struct om_ir *ir =
		i < om_policy_count(p) ? (struct om_ir *)(uintptr_t)om_policy_ir(p, i) : NULL;
	const char **copy;

	if (!ir || !argc)
		return om_err_set(err, OM_ERR_INVALID, -EINVAL, "no such brane, or no command");
	if (argc > OM_ARGV_MAX)
		return om_err_set(err, OM_ERR_LIMIT, -E2BIG, "%u arguments, at most %u", argc,
				  OM_ARGV_MAX);
	if (!may_exec(ir, argv[0]))
		return om_err_set(err, OM_ERR_CAP_COMMAND, -EINVAL,
				  "%s: filesystem.exec does not name it", argv[0]);
	copy = om_arena_array(ir->arena, argc + 1, sizeof(*copy));
	if (!copy)
		return om_err_set(err, OM_ERR_NOMEM, -ENOMEM, "command");
	for (uint32_t k = 0; k < argc; k++) {
		copy[k] = om_ir_text(ir, argv[k], strlen(argv[k]));
		if (!copy[k])
			return om_err_set(err, OM_ERR_NOMEM, -ENOMEM, "command");
	}
	ir->argv = copy;
	ir->argc = argc;
	return om_ir_normalise(ir, err);
}
