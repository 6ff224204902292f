/*
 * A denied file's path, for the report only: no decision reads it.
 *
 * Comes in: dentry and mount of a denied operation. Goes out: struct om_event_path, components from
 * the leaf upwards, across mounts, to the root that the task sees. Called by: the file, exec and
 * view programs, after the verdict. bpf_d_path is refused in half of the hooks, so the walk is our own; it
 * may race with a rename and then names a mixed path, beside an object key that is always right.
 */
#ifndef OMEGA_BPF_PATH_H
#define OMEGA_BPF_PATH_H

#include "core.bpf.h"
#include "event.bpf.h"

#define OM_PATH_STEPS 256 /* components and mount crossings reported */

/* The op that a missing right belongs to: the first that is missing. */
static __always_inline __u16 om_file_op(__u32 need)
{
	if (need & OM_MAY_EXEC)
		return OM_OP_FILE_EXEC;
	if (need & OM_MAY_CREATE)
		return OM_OP_FILE_CREATE;
	if (need & OM_MAY_REMOVE)
		return OM_OP_FILE_REMOVE;
	if (need & OM_MAY_WRITE)
		return OM_OP_FILE_WRITE;
	return OM_OP_FILE_READ;
}

struct om_path_walk {
	struct om_event_path *e;
	__u64 d;
	__u64 mnt; /* 0: unknown, stop at the file system's root */
	__u64 root_d;
	__u64 root_mnt;
	__u64 len; /* 64 bits wide: 6.1 forgets the bounds of narrower values that it spills */
	__u64 truncated;
};

/* One step up. 1: the root is reached. A callback: verified once, not once a step. */
static long om_path_up(__u32 i, struct om_path_walk *w)
{
	__u32 off = __builtin_preserve_field_info(((struct mount *)0)->mnt, BPF_FIELD_BYTE_OFFSET);
	struct vfsmount *mnt = (struct vfsmount *)w->mnt;
	struct dentry *parent, *d = (struct dentry *)w->d;
	const unsigned char *name;
	__u64 len;
	long n;

	if (w->d == w->root_d && w->mnt == w->root_mnt)
		return 1;
	if (mnt && d == BPF_CORE_READ(mnt, mnt_root)) {
		struct mount *m = (void *)mnt - off;
		struct mount *up = BPF_CORE_READ(m, mnt_parent);

		if (!up || up == m)
			return 1;
		w->d = (__u64)BPF_CORE_READ(m, mnt_mountpoint);
		w->mnt = (__u64)up + off;
		return 0;
	}
	parent = BPF_CORE_READ(d, d_parent);
	if (!parent || parent == d)
		return 1;
	name = BPF_CORE_READ(d, d_name.name);
	/* Read and checked in one register and last: what 6.1 has checked it forgets in another copy. */
	len = *(volatile __u64 *)&w->len;
	if (len > OM_EVENT_PATH_MAX - 257) {
		w->truncated = 1;
		return 1;
	}
	asm volatile("" : "+r"(len));
	n = OM_FAIL(OM_FAULT_NAME, -1, bpf_probe_read_kernel_str(&w->e->path[len], 256, name));
	if (n <= 0 || n > 256) {
		w->truncated = 1;
		return 1;
	}
	/* The string's NUL becomes the separator. */
	len += (__u64)n - 1;
	if (len >= OM_EVENT_PATH_MAX)
		return 1;
	w->e->path[len] = '/';
	w->len = len + 1;
	w->d = (__u64)parent;
	return 0;
}

static __always_inline void om_path_fill(struct om_event_path *e, const struct om_ctx *c)
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();
	struct fs_struct *fs = BPF_CORE_READ(task, fs);
	struct dentry *d = (struct dentry *)c->dentry;
	struct om_path_walk w = {.e = e, .d = c->dentry, .mnt = c->mnt};
	long steps;

	/*
	 * 6.1 verifies a loop's callback once, with what it knows of the first turn. If it knew that these
	 * are 0 it would drop the checks of later turns as dead code, and long names would be written
	 * past the record, over the next one's header. So they are 0 by memory that it cannot know.
	 */
	w.len = c->zero;
	w.truncated = c->zero;
	/* Zeroed first: the ring's memory is reused, and a record must not carry an older one's bytes. */
	__builtin_memset(e->path, 0, sizeof(e->path));
	w.root_d = (__u64)BPF_CORE_READ(fs, root.dentry);
	w.root_mnt = (__u64)BPF_CORE_READ(fs, root.mnt);
	e->ino = BPF_CORE_READ(d, d_inode, i_ino);
	e->gen = BPF_CORE_READ(d, d_inode, i_generation);
	e->dev = BPF_CORE_READ(d, d_sb, s_dev);
	e->pad = 0;
	steps = OM_FAIL(OM_FAULT_PARENT, -1, bpf_loop(OM_PATH_STEPS, om_path_up, &w, 0));
	if (steps < 0 || steps == OM_PATH_STEPS || w.truncated)
		e->head.flags |= OM_EVENT_TRUNCATED;
	e->path_len = (__u32)w.len;
}

/* Records a denial on c->dentry, c->mnt. A global function: verified once for all its callers. */
__noinline int om_emit_path(struct om_ctx *c)
{
	struct om_event_path *e;
	struct om_stat *st;
	__u64 seq;

	if (!c)
		return 1;
	if (c->flags & OM_CTX_SCOPE)
		c->op = OM_OP_SCOPE;
	else if (c->op == OM_OP_NONE)
		c->op = om_file_op(c->need);
	st = om_stat_of(c->brane);
	if (!st)
		return om_verdict(c);
	seq = __sync_fetch_and_add(&st->seq, 1);
	e = OM_FAIL(OM_FAULT_RING, 0, bpf_ringbuf_reserve(&om_events, sizeof(*e), 0));
	if (!e) {
		om_fold_full(c, st);
		return om_verdict(c);
	}
	om_head(&e->head, c, seq, OM_BODY_PATH);
	om_path_fill(e, c);
	__sync_fetch_and_add(&st->events, 1);
	bpf_ringbuf_submit(e, 0);
	return om_verdict(c);
}

/* Records a denial on D, below MNT if that is known. */
static __always_inline int om_deny_path(struct om_ctx *c, const struct dentry *d,
					const struct vfsmount *mnt)
{
	c->dentry = (__u64)d;
	c->mnt = (__u64)mnt;
	return om_emit_path(c);
}

#endif
