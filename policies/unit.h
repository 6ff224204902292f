/*
 * Quantities with units: sizes, rates, shares of a processor.
 *
 * Comes in: text. Goes out: one integer in the base unit. Called by: the binder. Never does: round
 * up, accept a bare number where a unit is expected, or tell 1024 from 1000 by case alone.
 */
#ifndef OMEGA_POLICIES_UNIT_H
#define OMEGA_POLICIES_UNIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <omega/compiler.h>

enum om_unit_fault {
	OM_UNIT_OK,
	OM_UNIT_NO_NUMBER, /* does not begin with a decimal number */
	OM_UNIT_MISSING,   /* nothing behind the number */
	OM_UNIT_UNKNOWN,   /* something else behind the number */
	OM_UNIT_RANGE,	   /* does not fit, or below one base unit */
};

/* "64MiB": bytes. Units B kB MB GB TB (1000) KiB MiB GiB TiB (1024). */
enum om_unit_fault om_unit_size(const char *s, uint64_t *out) OM_MUST_CHECK;
/* "20MiB/s" (sizes), "10Mbit/s" (bit kbit Mbit Gbit): bytes a second, rounded down. */
enum om_unit_fault om_unit_rate(const char *s, uint64_t *out) OM_MUST_CHECK;
/* "500m", "2", "1.5": thousandths of a core; at most three digits behind the point. */
enum om_unit_fault om_unit_cpu(const char *s, uint64_t *out) OM_MUST_CHECK;

#endif
