/*
 * Starting a role: fork, exactly the descriptors it is to have, exec.
 *
 * Comes in: a path, arguments, descriptors. Goes out: a pid. Called by: omegad. Never does: search
 * PATH, pass on an environment, or let a descriptor through that is not listed.
 */
#ifndef OMEGA_ROLE_SPAWN_H
#define OMEGA_ROLE_SPAWN_H

#include <sys/types.h>
#include <omega/err.h>

#define OM_SPAWN_FDS_MAX 8u
#define OM_ROLE_FD	 3 /* FDS[0] is descriptor 3 of the role, FDS[1] 4, and so on */

/*
 * Starts PATH with ARGV (NULL-terminated). stdin is /dev/null, stdout and stderr are ours. A failure
 * after fork ends the child with code 126; the parent sees it as any other death.
 */
int om_role_spawn(const char *path, char *const *argv, const int *fds, unsigned int nfds,
		  pid_t *pid, struct om_err *err) OM_MUST_CHECK;

#endif
