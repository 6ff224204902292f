/*
 * What a manifest may and may not add to the base profile of system calls.
 *
 * Comes in: a name. Goes out: facts about it. Called by: the syscalls capability, tests. Never
 * does: depend on the host's kernel; numbers are x86_64's.
 */
#ifndef OMEGA_POLICIES_PROFILE_H
#define OMEGA_POLICIES_PROFILE_H

#include <stdbool.h>

/* The x86_64 number of NAME; -1 if there is none that the filter can grant. */
int om_profile_nr(const char *name);

/* Whether every brane may make the call already, with any or with some arguments. */
bool om_profile_allows(const char *name);

/* Why no manifest can grant NAME, as half a sentence; NULL if one can. */
const char *om_profile_never(const char *name);

#endif
