/*
 * SipHash-2-4 over 64-bit words: how denials that repeat are told apart. Shared with BPF.
 *
 * Comes in: a 128-bit key that no brane knows, whole words. Goes out: 64 bits that nobody without the key can
 * predict or make two inputs agree in. Called by: bpf/lib/event.bpf.h and the programs that fold repeats.
 * tests/unit/test_siphash.c holds it to the published vectors. Never does: allocate, branch on data.
 */
#ifndef OMEGA_ABI_SIPHASH_H
#define OMEGA_ABI_SIPHASH_H

#include <linux/types.h>

/* om_hash_key, array of one: drawn once, when the pins are made, and kept as long as they are. */
struct om_hash_key {
	__u64 k[2];
};

struct om_sip {
	__u64 v0, v1, v2, v3;
};

#define OM_SIP_INLINE	 static inline __attribute__((always_inline))
#define OM_SIP_ROL(x, b) ((x) << (b) | (x) >> (64 - (b)))

OM_SIP_INLINE void om_sip_round(struct om_sip *s)
{
	s->v0 += s->v1;
	s->v1 = OM_SIP_ROL(s->v1, 13) ^ s->v0;
	s->v0 = OM_SIP_ROL(s->v0, 32);
	s->v2 += s->v3;
	s->v3 = OM_SIP_ROL(s->v3, 16) ^ s->v2;
	s->v0 += s->v3;
	s->v3 = OM_SIP_ROL(s->v3, 21) ^ s->v0;
	s->v2 += s->v1;
	s->v1 = OM_SIP_ROL(s->v1, 17) ^ s->v2;
	s->v2 = OM_SIP_ROL(s->v2, 32);
}

OM_SIP_INLINE void om_sip_begin(struct om_sip *s, const struct om_hash_key *key)
{
	s->v0 = key->k[0] ^ 0x736f6d6570736575ull;
	s->v1 = key->k[1] ^ 0x646f72616e646f6dull;
	s->v2 = key->k[0] ^ 0x6c7967656e657261ull;
	s->v3 = key->k[1] ^ 0x7465646279746573ull;
}

OM_SIP_INLINE void om_sip_word(struct om_sip *s, __u64 word)
{
	s->v3 ^= word;
	om_sip_round(s);
	om_sip_round(s);
	s->v0 ^= word;
}

/* LAST: the bytes after the last whole word, the low byte of the length in its highest byte. */
OM_SIP_INLINE __u64 om_sip_end(struct om_sip *s, __u64 last)
{
	om_sip_word(s, last);
	s->v2 ^= 0xff;
	om_sip_round(s);
	om_sip_round(s);
	om_sip_round(s);
	om_sip_round(s);
	return s->v0 ^ s->v1 ^ s->v2 ^ s->v3;
}

#endif
