/*
 * Limits: cpu, memory, tasks, open files, io, core files.
 *
 * Comes in: [brane.X.limits]. Goes out: OM_GRANT_LIMIT. Called through the registry. Never does:
 * guess a limit that the manifest does not name.
 */
#include <omega/cap.h>
#include <policies/path.h>

static const struct om_field fields[] = {
	{.key = "cpu",
	 .type = OM_FIELD_CPU,
	 .doc = "processor time: thousandths of a core (\"500m\") or cores",
	 .dflt = "no limit",
	 .example = "\"500m\"",
	 .min = 1,
	 .max = 1024000},
	{.key = "memory",
	 .type = OM_FIELD_SIZE,
	 .doc = "memory of all its processes; past it one is killed, swap is not used",
	 .dflt = "no limit",
	 .example = "\"128MiB\"",
	 .min = 1u << 20,
	 .max = 1ull << 50},
	{.key = "pids",
	 .type = OM_FIELD_INT,
	 .doc = "processes and threads",
	 .dflt = "no limit",
	 .example = "64",
	 .min = 1,
	 .max = 4194304},
	{.key = "files",
	 .type = OM_FIELD_INT,
	 .doc = "open files of each process",
	 .dflt = "the agent's own",
	 .example = "256",
	 .min = 3,
	 .max = 1048576},
	{.key = "io",
	 .type = OM_FIELD_RATE,
	 .doc = "bytes a second read from and written to block devices, each",
	 .dflt = "no limit",
	 .example = "\"20MiB/s\"",
	 .missing = "the block device list of the io controller",
	 .min = 4096,
	 .max = 1ull << 50},
	{.key = "core",
	 .type = OM_FIELD_SIZE,
	 .doc = "largest core file; \"0B\" for none",
	 .dflt = "\"0B\"",
	 .example = "\"0B\"",
	 .min = 0,
	 .max = 1ull << 50},
	{0},
};

/* In the order of the fields. */
static const enum om_limit which[] = {
	OM_LIMIT_CPU, OM_LIMIT_MEMORY, OM_LIMIT_PIDS, OM_LIMIT_FILES, OM_LIMIT_IO, OM_LIMIT_CORE,
};
OM_STATIC_ASSERT(OM_ARRAY_LEN(which) + 1 == OM_ARRAY_LEN(fields));

static void lower(struct om_cap_ctx *ctx, const struct om_value *table)
{
	bool core = false;
	struct om_grant none = {.kind = OM_GRANT_LIMIT, .pos = ctx->ir->pos};

	/* The fields and the enum run in parallel; the assertion above holds them together. */
	for (size_t i = 0; i < OM_ARRAY_LEN(which); i++) {
		const struct om_value *v = om_value_get(table, fields[i].key);
		struct om_grant g = {.kind = OM_GRANT_LIMIT};

		if (!v)
			continue;
		core |= which[i] == OM_LIMIT_CORE;
		g.pos = v->pos;
		g.limit.which = which[i];
		g.limit.value = v->num;
		om_cap_grant(ctx, &g);
	}
	/*
	 * A core file holds the workload's memory, secrets included: none unless it is asked for.
	 */
	none.limit.which = OM_LIMIT_CORE;
	if (!core)
		om_cap_grant(ctx, &none);
}

const struct om_cap om_cap_limits = {
	.name = "limits",
	.table = "limits",
	.summary = "how much of the machine it may use",
	.layers = OM_LAYER_PROCESS,
	.fields = fields,
	.lower = lower,
};
