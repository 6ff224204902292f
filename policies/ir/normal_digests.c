/*
 * The contents that grants name: one sorted list a grant, each content once.
 *
 * Comes in: grants that stand for one place, from one or several lines. Goes out: the union of their
 * lists, in the IR's arena. Called by: om_ir_normalise. Never does: read a file; what is there is for the
 * loader to say.
 */
#include <errno.h>
#include <string.h>

#include <omega/arena.h>
#include <omega/limits.h>
#include <policies/ir/ir.h>

static int by_bytes(const void *a, const void *b)
{
	return memcmp(a, b, OM_DIGEST_LEN);
}

int om_ir_unite_digests(struct om_ir *ir, struct om_grant *g, uint32_t n, struct om_err *err)
{
	uint8_t(*all)[OM_DIGEST_LEN];
	uint32_t count = 0, kept = 0;

	for (uint32_t i = 0; i < n; i++)
		count += g[i].file.digests;
	if (!count)
		return 0;
	if (count > OM_DIGESTS_MAX)
		return om_err_set(err, OM_ERR_IR_LIMIT, -E2BIG,
				  "more than %u contents for '%.200s'", OM_DIGESTS_MAX,
				  g->file.path);
	all = om_arena_array(ir->arena, count, sizeof(*all));
	if (!all)
		return om_err_set(err, OM_ERR_NOMEM, -ENOMEM, "no memory to normalise");
	count = 0;
	for (uint32_t i = 0; i < n; i++) {
		if (g[i].file.digests)
			memcpy(all[count], g[i].file.sha256, g[i].file.digests * sizeof(*all));
		count += g[i].file.digests;
	}
	qsort(all, count, sizeof(*all), by_bytes);
	for (uint32_t i = 0; i < count; i++)
		if (!kept || memcmp(all[kept - 1], all[i], sizeof(*all)) != 0)
			memmove(all[kept++], all[i], sizeof(*all));
	g->file.sha256 = (const uint8_t(*)[OM_DIGEST_LEN])all;
	g->file.digests = kept;
	return 0;
}

bool om_ir_digest_named(const struct om_grant_file *f, const uint8_t sha256[static OM_DIGEST_LEN])
{
	for (uint32_t i = 0; i < f->digests; i++)
		if (memcmp(f->sha256[i], sha256, OM_DIGEST_LEN) == 0)
			return true;
	return false;
}
