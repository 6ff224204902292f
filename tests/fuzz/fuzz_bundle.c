/*
 * Fuzzes the bundle reader as a hostile compile role would drive it: any bytes, with a right digest.
 *
 * Comes in: bytes. Goes out: nothing, or a crash. Whatever opens is walked completely, so that a
 * check that open forgot is a read out of bounds here.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <base/bundle_sec.h>
#include <policies/policy.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static volatile size_t sink;

static void walk(const struct om_bundle *b)
{
	uint32_t n;
	const struct om_b_file *f = om_bundle_section(b, OM_SEC_FILES, &n);

	for (uint32_t i = 0; i < n; i++)
		sink += strlen(om_bundle_str(b, f[i].path)) + strlen(om_bundle_str(b, f[i].prefix));
	for (unsigned int s = 1; s < OM_SEC_COUNT; s++) {
		const uint8_t *p = om_bundle_section(b, (enum om_section)s, &n);

		for (size_t i = 0; i < (size_t)n * om_bundle_sec((enum om_section)s)->size; i++)
			sink += p[i];
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct om_bundle b;
	struct om_b_head *h;
	uint8_t *copy;

	/* An exact allocation, so that one byte past the end is caught. */
	copy = malloc(size ? size : 1);
	if (!copy)
		return 0;
	memcpy(copy, data, size);
	if (size >= sizeof(*h)) {
		h = (void *)copy;
		memcpy(h->magic, OM_BUNDLE_MAGIC, 8);
		h->version = OM_BUNDLE_VERSION;
		h->total = (uint32_t)size;
		om_bundle_digest(copy, size, h->digest);
	}
	if (om_bundle_open(copy, size, &b, NULL) == 0)
		walk(&b);
	free(copy);
	return 0;
}
