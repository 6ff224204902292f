/*
 * What of omegad's options the strict self-guard holds its successor to, beside the directories.
 *
 * Comes in: option values. Goes out: one text. Called by: omegad, when it claims to be the agent, and the
 * load role, when it makes the guard strict: they must agree to the byte. Never does: judge.
 */
#ifndef OMEGA_ROLE_GUARD_H
#define OMEGA_ROLE_GUARD_H

#include <stdio.h>
#include <string.h>
#include <omega/abi/self.h>

/* OUT is zero-filled. What is too long is filled with something that no other text equals: itself. */
static inline void om_guard_opts(char out[OM_SELF_OPTS], const char *layers, const char *nft_table,
				 const char *cgroup)
{
	int n;

	memset(out, 0, OM_SELF_OPTS);
	n = snprintf(out, OM_SELF_OPTS, "%s %s %s", layers, nft_table, cgroup);
	/* Cut short it could equal another one's: an empty text is refused by both. */
	if (n < 0 || n >= (int)OM_SELF_OPTS)
		memset(out, 0, OM_SELF_OPTS);
}

#endif
