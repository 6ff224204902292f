/*
 * Fuzzes the bundle reader as a hostile compile role would drive it: any bytes, with a right digest.
 *
 * Comes in: bytes; the first says whether the rest is a block, or edits to a good block of four bytes
 * each (offset, value, width), which reach the checks behind the layout. Goes out: nothing, or a crash.
 * Whatever opens is walked and asked completely, so that a check that open forgot is a read out of
 * bounds here.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <base/bundle_sec.h>
#include <policies/policy.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static volatile size_t sink;
static uint8_t *good;
static size_t good_len;

static void make_good(void)
{
	static const char *argv[] = {"/bin/sh", "-c", "true", NULL};
	static const uint8_t contents[][OM_DIGEST_LEN] = {{1}, {2}};
	static struct om_grant g[] = {
		{.kind = OM_GRANT_FILE, .file = {"/etc", OM_MAY_READ, true, NULL, NULL}},
		{.kind = OM_GRANT_FILE, .file = {"/log", OM_MAY_CREATE, false, "a", ".log"}},
		{.kind = OM_GRANT_FILE,
		 .file = {"/opt/x", OM_MAY_EXEC_BOUND, false, NULL, NULL, contents, 2}},
		{.kind = OM_GRANT_MOUNT, .mount = {NULL, "/tmp", OM_MAY_READ, 4096}},
		{.kind = OM_GRANT_EGRESS, .egress = {{[10] = 255, 255, 10}, 104, 6, 80, 81}},
		{.kind = OM_GRANT_LISTEN, .listen = {6, 80}},
		{.kind = OM_GRANT_LIMIT, .limit = {OM_LIMIT_MEMORY, 1 << 20}},
		{.kind = OM_GRANT_ENV, .env = {"LANG", "C"}},
	};
	struct om_ir ir = {.name = "api",
			   .layers = OM_LAYER_ALL,
			   .argv = argv,
			   .argc = 3,
			   .grants = g,
			   .count = OM_ARRAY_LEN(g)};

	if (om_emit_bundle(&ir, &good, &good_len, NULL))
		abort();
}

static void ask(const struct om_bundle *b)
{
	static const char *const texts[] = {
		"file.read /etc/passwd",
		"file.create /log/a1.log",
		"file.exec /tmp/x",
		("file.exec "
		 "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08 /opt/x"),
		"net.connect 10.0.0.1:80",
		"net.connect [::1]:81/udp",
		"net.listen 80",
		"syscall socket",
		"syscall mlock2",
		"mem.exec",
		"env LANG",
		"stdio out",
	};

	for (size_t i = 0; i < OM_ARRAY_LEN(texts); i++) {
		struct om_request req;
		struct om_sim_result r;

		if (om_request_parse(texts[i], strlen(texts[i]), &req, NULL))
			abort();
		om_sim_decide(b, &req, &r);
		sink += r.denied;
	}
}

static void walk(const struct om_bundle *b)
{
	uint32_t n;
	const struct om_b_file *f = om_bundle_section(b, OM_SEC_FILES, &n);
	const struct om_b_grant *g;

	for (uint32_t i = 0; i < n; i++)
		sink += strlen(om_bundle_str(b, f[i].path)) + strlen(om_bundle_str(b, f[i].prefix));
	g = om_bundle_section(b, OM_SEC_GRANTS, &n);
	for (uint32_t i = 0; i < n; i++)
		sink += strlen(om_bundle_str(b, g[i].text));
	for (unsigned int s = 1; s < OM_SEC_COUNT; s++) {
		const uint8_t *p = om_bundle_section(b, (enum om_section)s, &n);

		for (size_t i = 0; i < (size_t)n * om_bundle_sec((enum om_section)s)->size; i++)
			sink += p[i];
	}
	ask(b);
}

static void edit(uint8_t *block, const uint8_t *data, size_t size)
{
	for (; size >= 4; data += 4, size -= 4) {
		size_t off = (data[0] | (size_t)data[1] << 8) % good_len;
		uint32_t v = (data[3] & 0x80) ? (uint32_t)-data[2] : data[2];

		memcpy(block + off, &v, OM_MIN((size_t)(data[3] & 4 ? 4 : 1), good_len - off));
	}
}

static void open_exactly(const uint8_t *data, size_t size, const uint8_t *edits, size_t edits_size)
{
	struct om_bundle b;
	struct om_b_head *h;
	/* An exact allocation, so that one byte past the end is caught. */
	uint8_t *copy = malloc(size ? size : 1);

	if (!copy)
		return;
	memcpy(copy, data, size);
	edit(copy, edits, edits_size);
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
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!good)
		make_good();
	if (!size)
		return 0;
	if (data[0] & 1)
		open_exactly(good, good_len, data + 1, size - 1);
	else
		open_exactly(data + 1, size - 1, NULL, 0);
	return 0;
}
