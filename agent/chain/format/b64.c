/*
 * Strict base64.
 *
 * Comes in: bytes or text. Goes out: the other. Called by: agent/chain. Never does: allocate.
 */
#include <errno.h>
#include <limits.h>

#include "agent/chain/format/b64.h"

static const char alphabet[64] OM_NONSTRING =
	"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

size_t om_b64_encode(const void *data, size_t len, char *out)
{
	const uint8_t *p = data;
	char *start = out;

	for (; len >= 3; len -= 3, p += 3) {
		uint32_t v = (uint32_t)p[0] << 16 | (uint32_t)p[1] << 8 | p[2];

		*out++ = alphabet[v >> 18];
		*out++ = alphabet[(v >> 12) & 63];
		*out++ = alphabet[(v >> 6) & 63];
		*out++ = alphabet[v & 63];
	}
	if (len) {
		uint32_t v = (uint32_t)p[0] << 16 | (len == 2 ? (uint32_t)p[1] << 8 : 0);

		*out++ = alphabet[v >> 18];
		*out++ = alphabet[(v >> 12) & 63];
		*out++ = len == 2 ? alphabet[(v >> 6) & 63] : '=';
		*out++ = '=';
	}
	return (size_t)(out - start);
}

static int value(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	if (c == '+')
		return 62;
	return c == '/' ? 63 : -1;
}

int om_b64_decode(const char *text, size_t len, uint8_t *out, size_t cap)
{
	size_t padding = 0, bytes, at = 0;

	if (len % 4 || len > INT_MAX)
		return -EINVAL;
	if (len && text[len - 1] == '=')
		padding = text[len - 2] == '=' ? 2 : 1;
	bytes = len / 4 * 3 - padding;
	if (bytes > cap)
		return -E2BIG;
	for (size_t i = 0; i < len; i += 4) {
		size_t pads = i + 4 == len ? padding : 0;
		uint32_t v = 0;

		for (size_t k = 0; k < 4; k++) {
			int d = k < 4 - pads ? value(text[i + k]) : 0;

			if (d < 0)
				return -EINVAL;
			v = v << 6 | (uint32_t)d;
		}
		if (v & ((1u << (8 * pads)) - 1))
			return -EINVAL;
		for (size_t k = 0; k < 3 - pads; k++)
			out[at++] = (uint8_t)(v >> (16 - 8 * k));
	}
	return (int)bytes;
}
