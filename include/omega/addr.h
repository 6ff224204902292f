/*
 * Addresses, ports and protocols as text.
 *
 * Comes in: text from manifests and requests. Goes out: 16 bytes, IPv4 as ::ffff:a.b.c.d, so that
 * the two spellings of one destination cannot be told apart. Called by: policies/, ctl,
 * base/request.c. Never does: resolve a name, accept the short, octal or hexadecimal forms of
 * inet_aton.
 */
#ifndef OMEGA_ADDR_H
#define OMEGA_ADDR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <omega/compiler.h>

#define OM_ADDR_TEXT_MAX 64u /* "[v6]/128" and a NUL, with room */

/* "10.1.2.3" or "2001:db8::1" (no brackets, no zone) in S[0..LEN). False if it is neither. */
bool om_addr_parse(const char *s, size_t len, uint8_t addr[static 16]) OM_MUST_CHECK;
/* Whether ADDR lies in ::ffff:0:0/96. */
bool om_addr_is_v4(const uint8_t addr[static 16]);
/* Whether the first BITS bits of A and B are the same. */
bool om_addr_match(const uint8_t a[static 16], const uint8_t b[static 16], unsigned int bits);
/* Sets the bits behind BITS to zero; returns whether one was set. */
bool om_addr_mask(uint8_t addr[static 16], unsigned int bits);
/* "10.1.2.3", "[2001:db8::1]", and "10.2.0.0/16", "[2001:db8::/32]" when BITS < 128. */
void om_addr_format(const uint8_t addr[static 16], unsigned int bits,
		    char buf[static OM_ADDR_TEXT_MAX]);

/* A decimal number without sign or leading zero, LO to HI. False otherwise. */
bool om_decimal_parse(const char *s, size_t len, uint64_t lo, uint64_t hi, uint64_t *out)
	OM_MUST_CHECK;
/* "tcp" or "udp" to OM_PROTO_*; 0 if it is neither. */
uint8_t om_proto_parse(const char *s, size_t len);
const char *om_proto_name(uint8_t proto);

#endif
