/*
 * Question answered here: which path did a brane look for that its view does not have?
 *
 * A path outside the view is ENOENT before any hook. These programs run when the kernel's own look-up
 * has failed, for labelled tasks only, and report the string that the task gave. Once a path is
 * reported, further look-ups of it are counted. Nothing is decided here. Every open goes through
 * do_filp_open and every other look-up through filename_lookup, so that one attempt is one report.
 */
#define OM_KERNEL_LAYER 1
#include "bpf/lib/core.bpf.h"
#include "bpf/lib/scope.bpf.h"

char LICENSE[] SEC("license") = "GPL";

static __always_inline __u64 om_path_hash(const struct om_event_path *e)
{
	const __u64 *w = (const __u64 *)e->path;
	__u64 h = 0xcbf29ce484222325ull;

	for (int i = 0; i < OM_EVENT_PATH_MAX / 8; i++)
		h = (h ^ w[i]) * 0x9e3779b97f4a7c15ull + (h >> 29);
	return h;
}

__noinline int om_emit_absent(struct om_ctx *c, __u64 name)
{
	struct om_event_path *e;
	struct om_stat *st;
	long n;

	if (!c)
		return 0;
	e = bpf_ringbuf_reserve(&om_events, sizeof(*e), 0);
	if (!e) {
		/* Without room the path cannot be hashed either: counted with what found the ring full. */
		st = om_stat_of(c->brane);
		if (st) {
			__sync_fetch_and_add(&st->seq, 1);
			om_fold_full(c, st);
		}
		return 0;
	}
	e->dev = 0;
	e->gen = 0;
	e->pad = 0;
	/* Kept apart from the stores above: one memset may be 1 KiB long, no more. */
	asm volatile("" ::: "memory");
	__builtin_memset(e->path, 0, sizeof(e->path));
	n = bpf_probe_read_kernel_str(e->path, sizeof(e->path), (const void *)name);
	e->ino = om_path_hash(e);
	if (n <= 1 || om_fold_repeat(c, e->ino)) {
		bpf_ringbuf_discard(e, 0);
		return 0;
	}
	st = om_stat_of(c->brane);
	if (!st) {
		bpf_ringbuf_discard(e, 0);
		return 0;
	}
	om_head(&e->head, c, __sync_fetch_and_add(&st->seq, 1), OM_BODY_PATH);
	e->head.flags |= OM_EVENT_ABSOLUTE;
	if (n == sizeof(e->path))
		e->head.flags |= OM_EVENT_TRUNCATED;
	e->path_len = (__u32)n - 1;
	__sync_fetch_and_add(&st->events, 1);
	bpf_ringbuf_submit(e, 0);
	return 0;
}

static __always_inline int om_absent(struct filename *name, long ret)
{
	const char *text;
	struct om_ctx c;

	if (ret != -OM_ENOENT || !om_scope(&c) || !(c.flags & OM_SLOT_VIEW))
		return 0;
	c.where = OM_WHERE_VIEW;
	c.op = OM_OP_FILE_ABSENT;
	c.need = OM_MAY_READ;
	/* What is not there is not there: audit mode allows nothing more. */
	c.flags &= ~OM_SLOT_AUDIT;
	OM_HOOK(&c, "view");
	/* An error pointer instead of a name: nothing was looked up. */
	if ((unsigned long)name >= (unsigned long)-4095)
		return 0;
	if (bpf_probe_read_kernel(&text, sizeof(text), &name->name))
		return 0;
	return om_emit_absent(&c, (__u64)text);
}

SEC("fexit/do_filp_open")
int BPF_PROG(om_view_open, int dfd, struct filename *name, void *op, struct file *ret)
{
	return om_absent(name, (long)ret);
}

SEC("fexit/filename_lookup")
int BPF_PROG(om_view_lookup, int dfd, struct filename *name, unsigned int flags, void *path,
	     void *root, int ret)
{
	return om_absent(name, ret);
}
