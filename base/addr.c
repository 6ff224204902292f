/*
 * Addresses, ports and protocols as text.
 *
 * Comes in: (pointer, length). Goes out: bytes, and text. Called by: whoever includes omega/addr.h.
 * Never does: allocate, resolve, guess.
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include <omega/abi/op.h>
#include <omega/addr.h>

static const uint8_t v4_prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

bool om_addr_parse(const char *s, size_t len, uint8_t addr[static 16])
{
	char text[INET6_ADDRSTRLEN];

	if (len == 0 || len >= sizeof(text) || memchr(s, 0, len))
		return false;
	memcpy(text, s, len);
	text[len] = 0;
	/*
	 * inet_pton takes neither "10.1", "0x0a000001" nor "010.0.0.1", which tools read
	 * differently.
	 */
	if (inet_pton(AF_INET, text, addr + 12) == 1) {
		memcpy(addr, v4_prefix, sizeof(v4_prefix));
		return true;
	}
	return inet_pton(AF_INET6, text, addr) == 1;
}

bool om_addr_is_v4(const uint8_t addr[static 16])
{
	return memcmp(addr, v4_prefix, sizeof(v4_prefix)) == 0;
}

bool om_addr_match(const uint8_t a[static 16], const uint8_t b[static 16], unsigned int bits)
{
	unsigned int bytes = bits / 8, rest = bits % 8;

	if (bits > 128 || memcmp(a, b, bytes) != 0)
		return false;
	return rest == 0 || ((a[bytes] ^ b[bytes]) >> (8 - rest)) == 0;
}

bool om_addr_mask(uint8_t addr[static 16], unsigned int bits)
{
	bool was_set = false;

	for (unsigned int i = bits / 8; i < 16; i++) {
		uint8_t keep = i > bits / 8 ? 0 : (uint8_t)(0xff00u >> (bits % 8));

		was_set |= (addr[i] & (uint8_t)~keep) != 0;
		addr[i] &= keep;
	}
	return was_set;
}

void om_addr_format(const uint8_t addr[static 16], unsigned int bits,
		    char buf[static OM_ADDR_TEXT_MAX])
{
	char text[INET6_ADDRSTRLEN] = "";
	bool v4 = om_addr_is_v4(addr) && bits >= 96;

	if (v4)
		inet_ntop(AF_INET, addr + 12, text, sizeof(text));
	else
		inet_ntop(AF_INET6, addr, text, sizeof(text));
	if (bits >= 128)
		snprintf(buf, OM_ADDR_TEXT_MAX, v4 ? "%s" : "[%s]", text);
	else
		snprintf(buf, OM_ADDR_TEXT_MAX, v4 ? "%s/%u" : "[%s/%u]", text,
			 v4 ? bits - 96 : bits);
}

bool om_decimal_parse(const char *s, size_t len, uint64_t lo, uint64_t hi, uint64_t *out)
{
	uint64_t n = 0;

	if (len == 0 || len > 20 || (len > 1 && s[0] == '0'))
		return false;
	for (size_t i = 0; i < len; i++) {
		if (s[i] < '0' || s[i] > '9' || __builtin_mul_overflow(n, 10u, &n) ||
		    __builtin_add_overflow(n, (uint64_t)(s[i] - '0'), &n))
			return false;
	}
	*out = n;
	return n >= lo && n <= hi;
}

uint8_t om_proto_parse(const char *s, size_t len)
{
	if (len != 3)
		return 0;
	if (memcmp(s, "tcp", 3) == 0)
		return OM_PROTO_TCP;
	return memcmp(s, "udp", 3) == 0 ? OM_PROTO_UDP : 0;
}

const char *om_proto_name(uint8_t proto)
{
	return proto == OM_PROTO_TCP ? "tcp" : proto == OM_PROTO_UDP ? "udp" : "?";
}
