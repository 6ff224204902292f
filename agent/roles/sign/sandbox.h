/*
 * The sign role locks itself in before it reads its first message.
 *
 * Comes in: nothing. Goes out: a process that can hash, sign, talk over one socket and overwrite one
 * small file, and nothing else. Called by: main.c. Never does: continue when a step fails.
 */
#ifndef OMEGA_ROLE_SIGN_SANDBOX_H
#define OMEGA_ROLE_SIGN_SANDBOX_H

#include <omega/compiler.h>
#include <omega/err.h>

/* Before keys are loaded: no dumps, no ptrace by equals, no core, memory may be locked. */
int om_sign_harden(struct om_err *err) OM_MUST_CHECK;

/* After keys are loaded: no capabilities, and a seccomp list of what the loop needs. */
int om_sign_confine(struct om_err *err) OM_MUST_CHECK;

#endif
