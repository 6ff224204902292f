/*
 * How a failed start is told: stages, their texts and error ids, the report itself.
 *
 * Comes in: a stage and an errno, from any process on the way to execve. Goes out: one struct
 * om_report on the pipe; for the load role, a text and an id. Called by: loader/process/ and
 * loader/process/spawn.c. Never does: allocate: its writers are forked children.
 */
#include <unistd.h>
#include <loader/process/process.h>

void om_report_fail(int fd, enum om_stage stage, int err, uint32_t index)
{
	struct om_report r = {
		.kind = OM_REPORT_FAILED,
		.stage = stage,
		.err = err < 0 ? -err : err,
		.index = index,
	};
	/* Shorter than PIPE_BUF: whole or not at all. Without a reader the shim is gone, and so are we. */
	ssize_t n = write(fd, &r, sizeof(r));
	(void)n;
}

static const struct {
	const char *text;
	enum om_err_id id;
} stages[OM_STAGE_COUNT] = {
	[OM_STAGE_NONE] = {"starting", OM_ERR_SPAWN},
	[OM_STAGE_PLAN] = {"reading the plan", OM_ERR_SPAWN},
	[OM_STAGE_FORK] = {"forking the builder", OM_ERR_SPAWN},
	[OM_STAGE_NAMESPACE] = {"making namespaces", OM_ERR_NAMESPACE},
	[OM_STAGE_ROOT] = {"mounting the private root", OM_ERR_VIEW},
	[OM_STAGE_MOUNT] = {"mounting", OM_ERR_VIEW},
	[OM_STAGE_PIVOT] = {"entering the private root", OM_ERR_VIEW},
	[OM_STAGE_HOSTNAME] = {"setting the host name", OM_ERR_NAMESPACE},
	[OM_STAGE_WORKDIR] = {"entering the working directory", OM_ERR_VIEW},
	[OM_STAGE_KEYRING] = {"joining a session keyring", OM_ERR_SPAWN},
	[OM_STAGE_BIRTH] = {"cloning into the cgroup", OM_ERR_SPAWN},
	[OM_STAGE_CGROUP_NS] = {"making the cgroup namespace", OM_ERR_NAMESPACE},
	[OM_STAGE_RLIMIT] = {"lowering a resource limit", OM_ERR_SPAWN},
	[OM_STAGE_STDIO] = {"connecting standard streams", OM_ERR_SPAWN},
	[OM_STAGE_FDS] = {"closing descriptors", OM_ERR_SPAWN},
	[OM_STAGE_USER] = {"changing the user", OM_ERR_SPAWN},
	[OM_STAGE_CAPS] = {"dropping capabilities", OM_ERR_SPAWN},
	[OM_STAGE_SIGNALS] = {"resetting signals", OM_ERR_SPAWN},
	[OM_STAGE_SECCOMP] = {"installing the seccomp filter", OM_ERR_SECCOMP_LOAD},
	[OM_STAGE_LISTENER] = {"taking over the seccomp listener", OM_ERR_SECCOMP_LOAD},
	[OM_STAGE_EXEC] = {"executing the command", OM_ERR_EXEC_FAILED},
};

const char *om_stage_text(enum om_stage stage)
{
	return stage < OM_STAGE_COUNT ? stages[stage].text : "unknown stage";
}

enum om_err_id om_stage_err(enum om_stage stage)
{
	return stage < OM_STAGE_COUNT ? stages[stage].id : OM_ERR_SPAWN;
}
