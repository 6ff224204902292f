/*
 * Paths as manifests write them.
 *
 * Comes in: a bound value. Goes out: a canonical path, or a finding that says what is wrong with
 * which part. Called by: the capabilities. Never does: resolve a path; that is the loader's, in the
 * view.
 */
#ifndef OMEGA_POLICIES_PATH_H
#define OMEGA_POLICIES_PATH_H

#include <omega/cap.h>

#define OM_PATH_TREE_OK	   0x1u /* a trailing slash means the whole tree; else it is an error */
#define OM_PATH_PATTERN_OK 0x2u /* one * in the last component; else it is an error */

/*
 * Reads V's text into F: path, tree, and prefix and suffix when OM_PATH_PATTERN_OK is set (the last
 * component is then always split off). Strings go into the IR's arena; .may is left alone. False
 * after a finding (OM_ERR_CAP_PATH, OM_ERR_CAP_PATTERN) or after ctx->ret was set.
 */
bool om_path_bind(struct om_cap_ctx *ctx, const struct om_value *v, unsigned int flags,
		  struct om_grant_file *f) OM_MUST_CHECK;

/*
 * What a place in the kernel's own file systems would need, as half a sentence: /proc, /sys, and
 * /dev but for the devices that read as nothing, zero or random. NULL for any other place.
 */
const char *om_path_special(const char *path);

/* Whether a manifest can name PATH, whole as it is: what no line can grant is never suggested. */
bool om_path_can_name(const char *path);

/* Adds a grant; errors of memory and limits end up in ctx->ret. */
void om_cap_grant(struct om_cap_ctx *ctx, const struct om_grant *g);

#endif
