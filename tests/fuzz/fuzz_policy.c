/*
 * Fuzzer of the whole compiler: manifest bytes to normalised IRs.
 *
 * Comes in: bytes from libFuzzer; tests/vectors/invalid and tests/vectors/manifests are a good
 * corpus. Goes out: a trap when an invariant breaks. Called by: make fuzz. Never does: judge a
 * policy; it checks what must hold for every one.
 */
#include <string.h>

#include <omega/limits.h>
#include <policies/ir/ir.h>
#include <policies/policy.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(c)                          \
	do {                              \
		if (!(c))                 \
			__builtin_trap(); \
	} while (0)

static void check_finding(const struct om_diag *d)
{
	CHECK(d->pos.line > 0 && d->pos.col > 0);
	CHECK(d->message[0]);
	for (const char *c = d->message; *c; c++)
		CHECK((unsigned char)*c >= ' ' && *c != 0x7f);
	for (const char *c = d->hint; *c; c++)
		CHECK((unsigned char)*c >= ' ' && *c != 0x7f);
}

static void check_path(const char *path)
{
	CHECK(path[0] == '/' && strlen(path) < OM_PATH_MAX);
	CHECK(!strstr(path, "//") && !strstr(path, "/../") && !strstr(path, "/./"));
	CHECK(path[1] == 0 || path[strlen(path) - 1] != '/');
}

static void check_ir(struct om_ir *ir)
{
	uint8_t id[32];
	uint32_t count = ir->count;
	bool kernel = ir->layers & OM_LAYER_KERNEL;

	CHECK(ir->layers && ir->name[0] && strlen(ir->name) <= OM_NAME_MAX);
	for (uint32_t i = 0; i < count; i++) {
		const struct om_grant *g = &ir->grants[i];

		CHECK(i == 0 || om_ir_compare(g - 1, g) < 0);
		if (g->kind == OM_GRANT_FILE) {
			check_path(g->file.path);
			CHECK(g->file.may && (!g->file.prefix || (kernel && !g->file.tree)));
			/*
			 * The promise that matters most: nothing is writable and executable
			 * unasked.
			 */
			CHECK(ir->write_exec || !(g->file.may & OM_MAY_EXEC) ||
			      !(g->file.may & (OM_MAY_WRITE | OM_MAY_CREATE)));
		} else if (g->kind == OM_GRANT_EGRESS) {
			CHECK(g->egress.port_lo >= 1 && g->egress.port_lo <= g->egress.port_hi);
			CHECK(g->egress.bits > 0 && g->egress.bits <= 128);
			CHECK(ir->layers & OM_LAYER_NETWORK);
		}
	}
	memcpy(id, ir->policy_id, sizeof(id));
	CHECK(om_ir_normalise(ir, NULL) == 0);
	CHECK(ir->count == count && memcmp(id, ir->policy_id, sizeof(id)) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct om_policy *p = NULL;
	struct om_err err = {0};
	struct om_diags d;
	int ret;

	om_diags_init(&d);
	ret = om_policy_compile((const char *)data, size, &p, &d, &err);
	CHECK((ret == 0) == (p != NULL));
	CHECK((ret == 0) == (d.errors == 0));
	CHECK(ret == 0 || err.id != OM_ERR_NONE);
	for (uint32_t i = 0; i < d.count; i++)
		check_finding(&d.items[i]);
	for (uint32_t i = 0; p && i < om_policy_count(p); i++)
		check_ir((struct om_ir *)(uintptr_t)om_policy_ir(p, i));
	om_policy_free(p);
	om_diags_done(&d);
	return 0;
}
