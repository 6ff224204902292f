/*
 * The normal form: sorting, and what holds for all kinds of grants.
 *
 * Comes in: an IR as the capabilities built it. Goes out: the same grants in the one form that
 * stands for everything that grants the same. Called by: policies/compile.c. Never does: change
 * what is granted; tests prove that by asking the interpreter before and after.
 */
#include <errno.h>
#include <string.h>

#include <omega/limits.h>
#include <policies/ir/ir.h>

#define CMP(a, b) ((a) < (b) ? -1 : (a) > (b))

static int text_compare(const char *a, const char *b)
{
	if (!a || !b)
		return (a != NULL) - (b != NULL);
	return strcmp(a, b);
}

static int file_compare(const struct om_grant_file *a, const struct om_grant_file *b)
{
	int ret = om_ir_path_compare(a->path, b->path);

	/* The tree first: what it gives, the others on the same path inherit. */
	if (!ret)
		ret = CMP(b->tree, a->tree);
	if (!ret)
		ret = text_compare(a->prefix, b->prefix);
	return ret ? ret : text_compare(a->suffix, b->suffix);
}

/* By place first: two mounts on one place must stand side by side to be found. */
static int mount_compare(const struct om_grant_mount *a, const struct om_grant_mount *b)
{
	int ret = om_ir_path_compare(a->to, b->to);

	if (!ret)
		ret = text_compare(a->from, b->from);
	if (!ret)
		ret = CMP(a->may, b->may);
	return ret ? ret : CMP(a->bytes, b->bytes);
}

static int egress_compare(const struct om_grant_egress *a, const struct om_grant_egress *b)
{
	int ret = CMP(a->proto, b->proto);

	if (!ret)
		ret = CMP(a->port_lo, b->port_lo);
	if (!ret)
		ret = CMP(a->port_hi, b->port_hi);
	if (!ret)
		ret = memcmp(a->addr, b->addr, sizeof(a->addr));
	return ret ? ret : CMP(a->bits, b->bits);
}

int om_ir_compare(const struct om_grant *a, const struct om_grant *b)
{
	if (a->kind != b->kind)
		return CMP(a->kind, b->kind);
	switch (a->kind) {
	case OM_GRANT_FILE:
		return file_compare(&a->file, &b->file);
	case OM_GRANT_MOUNT:
		return mount_compare(&a->mount, &b->mount);
	case OM_GRANT_EGRESS:
		return egress_compare(&a->egress, &b->egress);
	case OM_GRANT_LISTEN:
		return a->listen.proto != b->listen.proto ? CMP(a->listen.proto, b->listen.proto)
							  : CMP(a->listen.port, b->listen.port);
	case OM_GRANT_LIMIT:
		return CMP(a->limit.which, b->limit.which);
	case OM_GRANT_ENV:
		return strcmp(a->env.name, b->env.name);
	case OM_GRANT_STDIO:
		return CMP(a->stdio.which, b->stdio.which);
	case OM_GRANT_SYSCALL:
		return CMP(a->syscall.nr, b->syscall.nr);
	}
	return 0;
}

/*
 * Equal content: the earlier line of the manifest stands first, and is the one that reports name.
 */
static int sort_compare(const void *pa, const void *pb)
{
	const struct om_grant *a = pa, *b = pb;
	int ret = om_ir_compare(a, b);

	if (!ret)
		ret = CMP(a->pos.line, b->pos.line);
	return ret ? ret : CMP(a->pos.col, b->pos.col);
}

/* Files with the same place, tree and pattern become one with the rights and the contents of all. */
static int drop_duplicates(struct om_ir *ir, struct om_err *err)
{
	uint32_t kept = 0;

	for (uint32_t i = 0, n; i < ir->count; i += n) {
		struct om_grant *first = &ir->grants[i];
		int ret = 0;

		for (n = 1; i + n < ir->count && om_ir_compare(first, first + n) == 0; n++)
			if (first->kind == OM_GRANT_FILE)
				first->file.may |= first[n].file.may;
		if (first->kind == OM_GRANT_FILE)
			ret = om_ir_unite_digests(ir, first, n, err);
		if (ret < 0)
			return ret;
		ir->grants[kept++] = *first;
	}
	ir->count = kept;
	return 0;
}

int om_ir_normalise(struct om_ir *ir, struct om_err *err)
{
	uint32_t files = 0;
	int ret;

	if (ir->count)
		qsort(ir->grants, ir->count, sizeof(*ir->grants), sort_compare);
	ret = drop_duplicates(ir, err);
	if (ret < 0)
		return ret;

	/* OM_GRANT_FILE is the first kind, so the files are the head of the array. */
	while (files < ir->count && ir->grants[files].kind == OM_GRANT_FILE)
		files++;
	if (files) {
		uint32_t kept = files;

		ret = om_ir_normal_files(ir->grants, &kept, err);
		if (ret < 0)
			return ret;
		memmove(ir->grants + kept, ir->grants + files,
			(ir->count - files) * sizeof(*ir->grants));
		ir->count -= files - kept;
	}
	ret = om_ir_normal_egress(ir, err);
	if (ret < 0)
		return ret;
	if (ir->count)
		qsort(ir->grants, ir->count, sizeof(*ir->grants), sort_compare);
	om_ir_digest(ir, ir->policy_id);
	return 0;
}
