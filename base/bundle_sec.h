/*
 * The shape of each bundle section, for the reader and the writer alike, so that they cannot differ.
 *
 * Comes in: a section number. Goes out: element size, bound, name. Called by: base/bundle*.c only.
 * Never does: anything at run time but answer.
 */
#ifndef OMEGA_BASE_BUNDLE_SEC_H
#define OMEGA_BASE_BUNDLE_SEC_H

#include <omega/bundle.h>

struct om_bundle_sec {
	const char *name;
	uint32_t size; /* bytes of one element */
	uint32_t max;  /* elements; the reason stands in limits.h */
};

/* Row SEC, 1 to OM_SEC_COUNT - 1. */
const struct om_bundle_sec *om_bundle_sec(enum om_section sec);

/*
 * Checks every element of every section of an already laid out block: strings, enums, masks, order.
 * Called by om_bundle_open once bounds and digest hold.
 */
int om_bundle_check(const struct om_bundle *b, struct om_err *err) OM_MUST_CHECK;

/* SHA-256 of the block with its digest field taken as zero. */
void om_bundle_digest(const uint8_t *data, size_t len, uint8_t out[static 32]);

#define OM_BUNDLE_ALIGN(n) (((n) + 7u) & ~(size_t)7u)

#endif
