/*
 * The version that omegad and omegactl report.
 *
 * Comes in: nothing. Goes out: one string. Called by: roles/api, ctl. Never does: decide anything:
 * formats carry version numbers of their own.
 */
#ifndef OMEGA_VERSION_H
#define OMEGA_VERSION_H

#define OM_VERSION "0.1.0"

#endif
