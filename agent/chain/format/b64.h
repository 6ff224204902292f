/*
 * Base64, RFC 4648 section 4, strict: one spelling for each byte string.
 *
 * Comes in: bytes or text. Goes out: the other. Called by: records, notes, segment headers, readers.
 * Never does: accept white space, missing padding, or bits set under the padding (a second spelling
 * of one signature would be a second leaf for one fact).
 */
#ifndef OMEGA_CHAIN_B64_H
#define OMEGA_CHAIN_B64_H

#include <stddef.h>
#include <stdint.h>
#include <omega/compiler.h>

#define OM_B64_LEN(n) (((size_t)(n) + 2) / 3 * 4)
#define OM_B64_HASH   44u /* characters of 32 bytes */

/* Writes OM_B64_LEN(len) characters, no NUL; returns how many. */
size_t om_b64_encode(const void *data, size_t len, char *out);

/* Decodes LEN characters into OUT of CAP bytes; returns the bytes, or -EINVAL, -E2BIG. */
int om_b64_decode(const char *text, size_t len, uint8_t *out, size_t cap) OM_MUST_CHECK;

#endif
