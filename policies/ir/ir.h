/*
 * Building, normalising and comparing the IR.
 *
 * Comes in: grants from the capabilities. Goes out: the normal form and its digest, the policy id.
 * Called by: policies/compile.c, policies/caps, tests. Never does: judge a grant (that is the
 * capability's).
 */
#ifndef OMEGA_POLICIES_IR_H
#define OMEGA_POLICIES_IR_H

#include <stddef.h>
#include <omega/err.h>
#include <omega/ir.h>

/* An empty IR with the defaults of include/omega/ir.h. -ENOMEM. */
int om_ir_new(struct om_ir **out, const char *name, struct om_err *err) OM_MUST_CHECK;
void om_ir_free(struct om_ir *ir); /* takes NULL */
static inline void om_ir_freep(struct om_ir **ir)
{
	om_ir_free(*ir);
}

/* Copies TEXT into the IR's arena; NULL without memory. */
const char *om_ir_text(struct om_ir *ir, const char *text, size_t len) OM_MUST_CHECK;

/* Appends *G, whose strings must live as long as the IR. -E2BIG past OM_GRANTS_MAX, -ENOMEM. */
int om_ir_add(struct om_ir *ir, const struct om_grant *g, struct om_err *err) OM_MUST_CHECK;

/*
 * Brings the grants into normal form and sets the policy id. Two IRs that grant the same have the
 * same form whatever the order, the duplicates and the overlaps that they were built from:
 *   files: one grant for each (path, tree, pattern); .may holds what trees above it give as well,
 *     so that the nearest grant to an object tells everything; what adds nothing to a tree above is
 *     dropped
 *   egress: for each protocol, the ports are cut into the fewest ranges in which the same
 *     networks are granted, and each range names the fewest networks
 *   the rest: sorted, without duplicates
 * Idempotent. -ENOMEM, -E2BIG (OM_ERR_IR_LIMIT).
 */
int om_ir_normalise(struct om_ir *ir, struct om_err *err) OM_MUST_CHECK;

/*
 * The parts of om_ir_normalise, each over its own kind; *COUNT grants at G, written back smaller.
 */
int om_ir_normal_files(struct om_grant *g, uint32_t *count, struct om_err *err) OM_MUST_CHECK;
int om_ir_normal_egress(struct om_ir *ir, struct om_err *err) OM_MUST_CHECK;

/*
 * Gives the first of N file grants on one place the contents that all of them name, sorted, each once.
 * -E2BIG past OM_DIGESTS_MAX, -ENOMEM.
 */
int om_ir_unite_digests(struct om_ir *ir, struct om_grant *g, uint32_t n, struct om_err *err)
	OM_MUST_CHECK;
/* Whether F names that content. */
bool om_ir_digest_named(const struct om_grant_file *f, const uint8_t sha256[static OM_DIGEST_LEN]);

/* SHA-256 over the canonical encoding of a normalised IR (policies/ir/digest.c says what it is). */
void om_ir_digest(const struct om_ir *ir, uint8_t id[static 32]);

/* Order of grants in the normal form: kind, then content; positions do not count. */
int om_ir_compare(const struct om_grant *a, const struct om_grant *b);

/* Order of paths in which a directory stands right before what lies below it. */
int om_ir_path_compare(const char *a, const char *b);
/* Whether PATH is DIR or lies below it. "/" covers every path. */
bool om_ir_path_covers(const char *dir, const char *path);
/* Whether a file called NAME (LEN bytes) matches the pattern of G. */
bool om_ir_pattern_match(const struct om_grant_file *g, const char *name, size_t len);

#endif
