/*
 * SHA-256 compression with the x86 SHA extensions (Intel SDM, SHA256RNDS2/MSG1/MSG2).
 *
 * Comes in: state and blocks. Goes out: state. Called by: base/sha256.c. Never does: run on a
 * processor without the extensions; on other architectures it reports itself unusable.
 */
#include "base/sha256_ni.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define OM_NI __attribute__((target("sha,ssse3,sse4.1")))

static const uint32_t round_k[64] __attribute__((aligned(16))) = {
	0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4,
	0xab1c5ed5, 0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe,
	0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f,
	0x4a7484aa, 0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7,
	0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967, 0x27b70a85, 0x2e1b2138, 0x4d2c6dfc,
	0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b,
	0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116,
	0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
	0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7,
	0xc67178f2,
};

int om_sha256_ni_usable(void)
{
	unsigned int a = 7, b = 0, c = 0, d = 0;

	if (!__builtin_cpu_supports("ssse3") || !__builtin_cpu_supports("sse4.1"))
		return 0;
	/* gcc 12 knows no name for the SHA bit: leaf 7, EBX bit 29. */
	__asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
	return (b >> 29) & 1;
}

/* The words of H in the order that SHA256RNDS2 wants: ABEF and CDGH. */
OM_NI static inline void load_state(const uint32_t *h, __m128i *s0, __m128i *s1)
{
	__m128i dcba = _mm_loadu_si128((const __m128i *)(const void *)h);
	__m128i hgfe = _mm_loadu_si128((const __m128i *)(const void *)(h + 4));
	__m128i cdab = _mm_shuffle_epi32(dcba, 0xB1);
	__m128i efgh = _mm_shuffle_epi32(hgfe, 0x1B);

	*s0 = _mm_alignr_epi8(cdab, efgh, 8);
	*s1 = _mm_blend_epi16(efgh, cdab, 0xF0);
}

OM_NI static inline void store_state(uint32_t *h, __m128i s0, __m128i s1)
{
	__m128i feba = _mm_shuffle_epi32(s0, 0x1B);
	__m128i dchg = _mm_shuffle_epi32(s1, 0xB1);

	_mm_storeu_si128((__m128i *)(void *)h, _mm_blend_epi16(feba, dchg, 0xF0));
	_mm_storeu_si128((__m128i *)(void *)(h + 4), _mm_alignr_epi8(dchg, feba, 8));
}

OM_NI static inline void load_block(const uint8_t *p, __m128i w[4])
{
	const __m128i swap = _mm_set_epi64x(0x0c0d0e0f08090a0bLL, 0x0405060700010203LL);

	for (int i = 0; i < 4; i++)
		w[i] = _mm_shuffle_epi8(
			_mm_loadu_si128((const __m128i *)(const void *)(p + 16 * i)), swap);
}

/* Rounds 4i..4i+3, and the four words that round 4i+16 will need. */
OM_NI static inline void quad(__m128i *s0, __m128i *s1, __m128i w[4], int i)
{
	__m128i wk = _mm_add_epi32(
		w[i & 3], _mm_load_si128((const __m128i *)(const void *)(round_k + 4 * i)));

	*s1 = _mm_sha256rnds2_epu32(*s1, *s0, wk);
	*s0 = _mm_sha256rnds2_epu32(*s0, *s1, _mm_shuffle_epi32(wk, 0x0E));
	if (i < 12) {
		__m128i t = _mm_sha256msg1_epu32(w[i & 3], w[(i + 1) & 3]);

		t = _mm_add_epi32(t, _mm_alignr_epi8(w[(i + 3) & 3], w[(i + 2) & 3], 4));
		w[i & 3] = _mm_sha256msg2_epu32(t, w[(i + 3) & 3]);
	}
}

OM_NI void om_sha256_ni_blocks(uint32_t h[static 8], const uint8_t *p, size_t n)
{
	__m128i s0, s1, w[4];

	load_state(h, &s0, &s1);
	for (; n; n--, p += 64) {
		__m128i o0 = s0, o1 = s1;

		load_block(p, w);
#pragma GCC unroll 16
		for (int i = 0; i < 16; i++)
			quad(&s0, &s1, w, i);
		s0 = _mm_add_epi32(s0, o0);
		s1 = _mm_add_epi32(s1, o1);
	}
	store_state(h, s0, s1);
}

OM_NI void om_sha256_ni_blocks2(uint32_t ha[static 8], const uint8_t *a, uint32_t hb[static 8],
				const uint8_t *b, size_t n)
{
	__m128i a0, a1, b0, b1, wa[4], wb[4];

	load_state(ha, &a0, &a1);
	load_state(hb, &b0, &b1);
	for (; n; n--, a += 64, b += 64) {
		__m128i oa0 = a0, oa1 = a1, ob0 = b0, ob1 = b1;

		load_block(a, wa);
		load_block(b, wb);
#pragma GCC unroll 16
		for (int i = 0; i < 16; i++) {
			quad(&a0, &a1, wa, i);
			quad(&b0, &b1, wb, i);
		}
		a0 = _mm_add_epi32(a0, oa0);
		a1 = _mm_add_epi32(a1, oa1);
		b0 = _mm_add_epi32(b0, ob0);
		b1 = _mm_add_epi32(b1, ob1);
	}
	store_state(ha, a0, a1);
	store_state(hb, b0, b1);
}

#else

int om_sha256_ni_usable(void)
{
	return 0;
}

void om_sha256_ni_blocks(uint32_t h[static 8], const uint8_t *p, size_t n)
{
	__builtin_trap();
}

void om_sha256_ni_blocks2(uint32_t ha[static 8], const uint8_t *a, uint32_t hb[static 8],
			  const uint8_t *b, size_t n)
{
	__builtin_trap();
}

#endif
