/*
 * The policy id: SHA-256 over a canonical encoding of the normalised IR.
 *
 * Comes in: a normalised IR. Goes out: 32 bytes. Called by: om_ir_normalise. Never does: hash a
 * position, a pointer, the brane's name or where it may be placed: none of these is a right.
 *
 * Encoding: the ten bytes "omega-ir-1"; then integers as 8 bytes little-endian, and texts as their
 * length (an integer) and their bytes, an absent text as the length 2^64 - 1. Order: image,
 * image_dir, argc, argv, workdir, user, restart, mode, on_full, layers, write_exec, number of
 * grants; for each grant its kind and its fields in the order of include/omega/ir.h, contents only where
 * the rights say that there are some. Every field
 * has its length or a fixed one, so no two different IRs have the same encoding.
 */
#include <string.h>

#include <omega/sha256.h>
#include <policies/ir/ir.h>

static void put_num(struct om_sha256 *c, uint64_t n)
{
	uint8_t b[8];

	for (int i = 0; i < 8; i++)
		b[i] = (uint8_t)(n >> (8 * i));
	om_sha256_update(c, b, sizeof(b));
}

/* NULL and "" are different policies (no pattern, the pattern that matches all). */
static void put_text(struct om_sha256 *c, const char *s)
{
	if (!s) {
		put_num(c, UINT64_MAX);
		return;
	}
	put_num(c, strlen(s));
	om_sha256_update(c, s, strlen(s));
}

static void put_grant(struct om_sha256 *c, const struct om_grant *g)
{
	put_num(c, g->kind);
	switch (g->kind) {
	case OM_GRANT_FILE:
		put_text(c, g->file.path);
		put_num(c, g->file.may);
		put_num(c, g->file.tree);
		put_text(c, g->file.prefix);
		put_text(c, g->file.suffix);
		/* Told from what follows by OM_MAY_EXEC_BOUND in .may. */
		if (!(g->file.may & OM_MAY_EXEC_BOUND))
			break;
		put_num(c, g->file.digests);
		for (uint32_t i = 0; i < g->file.digests; i++)
			om_sha256_update(c, g->file.sha256[i], OM_DIGEST_LEN);
		break;
	case OM_GRANT_MOUNT:
		put_text(c, g->mount.from);
		put_text(c, g->mount.to);
		put_num(c, g->mount.may);
		put_num(c, g->mount.bytes);
		break;
	case OM_GRANT_EGRESS:
		om_sha256_update(c, g->egress.addr, sizeof(g->egress.addr));
		put_num(c, g->egress.bits);
		put_num(c, g->egress.proto);
		put_num(c, g->egress.port_lo);
		put_num(c, g->egress.port_hi);
		break;
	case OM_GRANT_LISTEN:
		put_num(c, g->listen.proto);
		put_num(c, g->listen.port);
		break;
	case OM_GRANT_LIMIT:
		put_num(c, g->limit.which);
		put_num(c, g->limit.value);
		break;
	case OM_GRANT_ENV:
		put_text(c, g->env.name);
		put_text(c, g->env.value);
		break;
	case OM_GRANT_STDIO:
		put_num(c, g->stdio.which);
		break;
	case OM_GRANT_SYSCALL:
		put_text(c, g->syscall.name);
		put_num(c, (uint64_t)g->syscall.nr);
		break;
	}
}

void om_ir_digest(const struct om_ir *ir, uint8_t id[static 32])
{
	struct om_sha256 c;

	om_sha256_init(&c);
	om_sha256_update(&c, "omega-ir-1", 10);
	put_num(&c, ir->image);
	put_text(&c, ir->image_dir);
	put_num(&c, ir->argc);
	for (uint32_t i = 0; i < ir->argc; i++)
		put_text(&c, ir->argv[i]);
	put_text(&c, ir->workdir);
	put_num(&c, ir->user);
	put_num(&c, ir->restart);
	put_num(&c, ir->mode);
	put_num(&c, ir->on_full);
	put_num(&c, ir->layers);
	put_num(&c, ir->write_exec);
	put_num(&c, ir->count);
	for (uint32_t i = 0; i < ir->count; i++)
		put_grant(&c, &ir->grants[i]);
	om_sha256_final(&c, id);
}
