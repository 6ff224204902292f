/*
 * Resource limits: cgroup files and rlimits.
 *
 * Comes in: the limit grants of an IR. Goes out: OM_SEC_CGROUP, OM_SEC_RLIMIT. Called by:
 * om_emit_bundle. Never does: leave the number of tasks, descriptors or core files without a bound; a
 * manifest that names none gets ours, marked OM_CGROUP_DEFAULT.
 */
#include <errno.h>
#include <stdio.h>
#include <sys/resource.h>

#include <policies/emit/emit.h>

#define PIDS_DEFAULT  256u  /* a shell pipeline or a small service; stops a fork bomb */
#define FILES_DEFAULT 1024u /* what a login shell gets */

/* A period of 100 ms unless the quota would fall below the kernel's minimum of 1 ms. */
#define CPU_PERIOD_US	   100000u
#define CPU_PERIOD_LONG_US 1000000u
#define CPU_SHORT_MIN	   10u /* thousandths that give 1 ms in 100 ms */

static int put(const struct om_emit *e, const char *controller, const char *file, const char *value,
	       uint32_t flags, struct om_err *err)
{
	struct om_b_cgroup row = {.flags = flags};
	int ret = om_bundle_w_str(e->w, file, &row.file, err);

	if (!ret)
		ret = om_bundle_w_str(e->w, value, &row.value, err);
	if (!ret)
		ret = om_bundle_w_str(e->w, controller, &row.controller, err);
	return ret ? ret : om_bundle_w_add(e->w, OM_SEC_CGROUP, &row, 1, err);
}

/* The last grant of a kind counts; the normal form has one. */
static const struct om_grant_limit *find(const struct om_ir *ir, enum om_limit which)
{
	const struct om_grant_limit *found = NULL;

	for (uint32_t i = 0; i < ir->count; i++)
		if (ir->grants[i].kind == OM_GRANT_LIMIT && ir->grants[i].limit.which == which)
			found = &ir->grants[i].limit;
	return found;
}

static int put_number(const struct om_emit *e, const char *controller, const char *file, uint64_t v,
		      uint32_t flags, struct om_err *err)
{
	char value[32];

	snprintf(value, sizeof(value), "%llu", (unsigned long long)v);
	return put(e, controller, file, value, flags, err);
}

static int emit_memory(const struct om_emit *e, uint64_t bytes, struct om_err *err)
{
	int ret = put_number(e, "memory", "memory.max", bytes, 0, err);

	/* Half a workload after an OOM kill is neither running nor stopped. */
	if (!ret)
		ret = put(e, "memory", "memory.oom.group", "1", 0, err);
	/* Without swap support the file is absent, and then there is nothing to bound. */
	return ret ? ret : put(e, "memory", "memory.swap.max", "0", OM_CGROUP_DEFAULT, err);
}

static int emit_cpu(const struct om_emit *e, uint64_t thousandths, struct om_err *err)
{
	uint32_t period = thousandths < CPU_SHORT_MIN ? CPU_PERIOD_LONG_US : CPU_PERIOD_US;
	char value[64];

	if (!thousandths || thousandths > UINT32_MAX)
		return om_err_set(err, OM_ERR_BIND_RANGE, -ERANGE, "limits.cpu: %llu thousandths",
				  (unsigned long long)thousandths);
	snprintf(value, sizeof(value), "%llu %u", (unsigned long long)(thousandths * period / 1000),
		 period);
	return put(e, "cpu", "cpu.max", value, 0, err);
}

static int put_rlimit(const struct om_emit *e, uint32_t resource, uint64_t v, struct om_err *err)
{
	struct om_b_rlimit row = {.resource = resource, .value = v};

	return om_bundle_w_add(e->w, OM_SEC_RLIMIT, &row, 1, err);
}

int om_emit_cgroup(const struct om_emit *e, struct om_err *err)
{
	const struct om_grant_limit *cpu = find(e->ir, OM_LIMIT_CPU);
	const struct om_grant_limit *memory = find(e->ir, OM_LIMIT_MEMORY);
	const struct om_grant_limit *pids = find(e->ir, OM_LIMIT_PIDS);
	const struct om_grant_limit *files = find(e->ir, OM_LIMIT_FILES);
	const struct om_grant_limit *core = find(e->ir, OM_LIMIT_CORE);
	int ret;

	/* io.max has no key for "every device", and a manifest does not know this host's numbers. */
	if (find(e->ir, OM_LIMIT_IO))
		return om_err_set(err, OM_ERR_CAP_NOT_ENFORCEABLE, -ENOTSUP,
				  "limits.io needs the number of a block device of this host, "
				  "which is not built");
	ret = put_number(e, "pids", "pids.max", pids ? pids->value : PIDS_DEFAULT,
			 pids ? 0 : OM_CGROUP_DEFAULT, err);
	if (!ret && memory)
		ret = emit_memory(e, memory->value, err);
	if (!ret && cpu)
		ret = emit_cpu(e, cpu->value, err);
	if (!ret)
		ret = put_rlimit(e, RLIMIT_NOFILE, files ? files->value : FILES_DEFAULT, err);
	if (ret)
		return ret;
	/* A core file is a copy of everything the workload knew, in a place no grant names. */
	return put_rlimit(e, RLIMIT_CORE, core && core->value ? core->value : OM_CORE_NONE, err);
}
