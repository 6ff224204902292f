/*
 * Questions answered here: which path did a brane look for that its view does not have, and what did it
 * try to change that its view holds read-only?
 *
 * A path outside the view is ENOENT, and a change on a read-only mount EROFS, before any hook. These
 * programs run when the kernel's own check has failed, for labelled tasks only, and report the string
 * that the task gave, or the mount that refused. Once an absent path is reported, further look-ups of
 * it are counted. Nothing is decided here. Every open goes through do_filp_open, every other look-up
 * through filename_lookup, every name that is to be made, removed or renamed first through
 * path_parentat, and every change but an open through mnt_want_write or its _file form, so that
 * one attempt is one report. do_filp_open is do_file_open from 7.0 on.
 */
#define OM_KERNEL_LAYER 1
#include "bpf/lib/core.bpf.h"
#include "bpf/lib/scope.bpf.h"
#include "bpf/lib/path.bpf.h"

char LICENSE[] SEC("license") = "GPL";

struct om_path_sip {
	struct om_sip s;
	const __u64 *w;
	__u64 words;
};

/* A callback: verified once, not once a word. */
static long om_path_sip_step(__u32 i, struct om_path_sip *p)
{
	if (i >= OM_EVENT_PATH_MAX / 8 || i >= p->words)
		return 1;
	om_sip_word(&p->s, p->w[i]);
	return 0;
}

/*
 * Of what is missing and the N bytes of the path, its NUL among them, in whole words: the rest of the
 * last is zero. 0: there is no key.
 */
static __always_inline __u64 om_path_hash(const struct om_event_path *e, __u32 need, long n)
{
	struct om_path_sip p = {.w = (const __u64 *)e->path, .words = ((__u64)n + 7) / 8};

	if (!om_hash_begin(&p.s))
		return 0;
	/* A look for a path must not hide a later attempt to make it. */
	om_sip_word(&p.s, need);
	bpf_loop(OM_EVENT_PATH_MAX / 8, om_path_sip_step, &p, 0);
	return om_sip_end(&p.s, (p.words + 1) << 59);
}

__noinline int om_emit_absent(struct om_ctx *c, __u64 name)
{
	struct om_event_path *e;
	struct om_stat *st;
	long n;

	if (!c)
		return 0;
	e = OM_FAIL(OM_FAULT_RING, 0, bpf_ringbuf_reserve(&om_events, sizeof(*e), 0));
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
	if (n <= 1) {
		bpf_ringbuf_discard(e, 0);
		return 0;
	}
	e->ino = om_path_hash(e, c->need, n);
	if (e->ino && c->op == OM_OP_FILE_ABSENT && om_fold_repeat(c, e->ino)) {
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

/* 1: the current task's view answers, C says so. */
static __always_inline int om_view_scope(struct om_ctx *c, long ret)
{
	if ((ret != -OM_ENOENT && ret != -OM_EROFS) || !om_scope(c) || !(c->flags & OM_SLOT_VIEW))
		return 0;
	c->where = OM_WHERE_VIEW;
	c->op = ret == -OM_ENOENT ? OM_OP_FILE_ABSENT : OM_OP_FILE_WRITE;
	c->need = ret == -OM_ENOENT ? OM_MAY_READ : OM_MAY_WRITE;
	/* What is not there is not there: audit mode allows nothing more. */
	c->flags &= ~OM_SLOT_AUDIT;
	OM_HOOK(c, "view");
	return 1;
}

static __always_inline int om_view_name(struct filename *name, long ret, __u32 need)
{
	const char *text;
	struct om_ctx c;

	if (!om_view_scope(&c, ret))
		return 0;
	if (ret == -OM_ENOENT)
		c.need = need;
	/* An error pointer instead of a name: nothing was looked up. */
	if ((unsigned long)name >= (unsigned long)-4095)
		return 0;
	if (bpf_probe_read_kernel(&text, sizeof(text), &name->name))
		return 0;
	return om_emit_absent(&c, (__u64)text);
}

static __always_inline int om_view_opened(struct filename *name, struct open_flags___omega *op,
					  long ret)
{
	__u32 need = OM_MAY_READ;

	if (ret == -OM_ENOENT && BPF_CORE_READ(op, open_flag) & OM_O_CREAT)
		need = OM_MAY_CREATE;
	return om_view_name(name, ret, need);
}

SEC("fexit/do_filp_open")
int BPF_PROG(om_view_open, int dfd, struct filename *name, struct open_flags___omega *op,
	     struct file *ret)
{
	return om_view_opened(name, op, (long)ret);
}

SEC("fexit/do_file_open")
int BPF_PROG(om_view_file_open, int dfd, struct filename *name, struct open_flags___omega *op,
	     struct file *ret)
{
	return om_view_opened(name, op, (long)ret);
}

/*
 * That the parent is not there is all these two see; what its last component is, the hooks of BPF-LSM or
 * EROFS below answer. Only one is attached: the first is inlined into the second from 6.16 or so on.
 */
SEC("fexit/path_parentat")
int BPF_PROG(om_view_parent, struct nameidata___omega *nd, unsigned int flags, void *parent,
	     int ret)
{
	return ret == -OM_ENOENT ? om_view_name(BPF_CORE_READ(nd, name), ret, OM_MAY_CREATE) : 0;
}

/* Seven arguments, more than the macro can name: taken by number. */
SEC("fexit/__filename_parentat")
int om_view_parentat(void *ctx)
{
	__u64 name = 0, ret = 0;

	if (bpf_get_func_ret(ctx, &ret) || (int)ret != -OM_ENOENT)
		return 0;
	if (bpf_get_func_arg(ctx, 1, &name))
		return 0;
	return om_view_name((struct filename *)name, (int)ret, OM_MAY_CREATE);
}

SEC("fexit/filename_lookup")
int BPF_PROG(om_view_lookup, int dfd, struct filename *name, unsigned int flags, void *path,
	     void *root, int ret)
{
	/* A look-up changes nothing: EROFS from here would be another layer's. */
	return ret == -OM_ENOENT ? om_view_name(name, ret, OM_MAY_READ) : 0;
}

/*
 * An open with O_CREAT asks for write access first and goes on without it if the file exists: only
 * do_filp_open knows how that ended.
 */
static __always_inline int om_in_open(void)
{
	struct pt_regs___omega *regs = (void *)bpf_task_pt_regs(bpf_get_current_task_btf());
	unsigned long nr = BPF_CORE_READ(regs, orig_ax);

	return nr == 2 || nr == 85 || nr == 257 || nr == 437; /* open creat openat openat2 */
}

SEC("fexit/mnt_want_write")
int BPF_PROG(om_view_change, struct vfsmount *mnt, int ret)
{
	struct om_ctx c;

	if (ret != -OM_EROFS || !om_view_scope(&c, ret) || om_in_open())
		return 0;
	om_deny_path(&c, BPF_CORE_READ(mnt, mnt_root), mnt);
	return 0;
}

SEC("fexit/mnt_want_write_file")
int BPF_PROG(om_view_change_file, struct file *file, int ret)
{
	struct om_ctx c;

	if (ret != -OM_EROFS || !om_view_scope(&c, ret))
		return 0;
	om_deny_path(&c, BPF_CORE_READ(file, f_path.dentry), BPF_CORE_READ(file, f_path.mnt));
	return 0;
}
