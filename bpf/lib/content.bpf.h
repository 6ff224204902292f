/*
 * Whether a file is what its grant says it is: the half that decides.
 *
 * Comes in: a file whose object is bound to contents (OM_MAY_EXEC_BOUND), and what the sleepable program
 * of the same hook call found in it (om_seen, lsm_hash.bpf.c). Goes out: yes, or a record that names the
 * content. Called by: lsm_exec. Never does: read the file; take what another call left behind.
 *
 * The kernel calls the program that was attached last first, so the loader attaches lsm_hash after
 * lsm_exec. Nothing depends on that but the permission: without a finding for this very file, because
 * the order is another or lsm_hash is not there, the answer is no.
 */
#ifndef OMEGA_BPF_CONTENT_H
#define OMEGA_BPF_CONTENT_H

#include "core.bpf.h"
#include "event.bpf.h"
#include "path.bpf.h"

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct inode___writers {
	struct {
		int counter;
	} i_writecount;
};

struct mm_struct {
	struct file *exe_file;
};

struct task_struct___mm {
	struct mm_struct *mm;
};

#pragma clang attribute pop

#define OM_ALGO_SHA256 4 /* HASH_ALGO_SHA256 of linux/hash_info.h */

static __always_inline struct om_seen *om_seen_of(struct task_struct *task, __u64 flags)
{
	return bpf_task_storage_get(&om_seen, task, 0, flags);
}

/* 1: somebody has FILE open for writing, or mapped shared and writable. */
static __always_inline int om_writers(struct file *file)
{
	struct inode___writers *inode = (void *)BPF_CORE_READ(file, f_inode);

	return BPF_CORE_READ(inode, i_writecount.counter) > 0;
}

/* 0: FILE may be executed; otherwise C says why not. */
static __always_inline int om_content_check(struct om_ctx *c, struct file *file)
{
	struct dentry *d = file->f_path.dentry;
	struct om_seen *seen = om_seen_of(bpf_get_current_task_btf(), 0);
	struct om_object_key key = {.policy = c->policy};
	struct om_content_key content = {.policy = c->policy};
	struct om_object_val *val;

	key.dev = d->d_sb->s_dev;
	key.ino = d->d_inode->i_ino;
	key.gen = d->d_inode->i_generation;
	val = bpf_map_lookup_elem(&om_objects, &key);
	c->grant = val ? val->grant : ~0u;
	content.grant = c->grant;
	c->why = OM_CONTENT_UNREAD;
	if (!seen || seen->file != (__u64)file)
		return 1;
	/* Another call, for what was then a content of the same file, must look again. */
	seen->file = 0;
	/* A host that hashes with another algorithm (ima_hash=) compares with nothing. */
	if (seen->algo != OM_ALGO_SHA256)
		return 1;
	/* What can be written now can be another program by the time that its pages are read. */
	c->why = OM_CONTENT_WRITERS;
	if (seen->writers || om_writers(file))
		return 1;
	c->why = OM_CONTENT_OTHER;
	__builtin_memcpy(content.sha256, seen->sha256, sizeof(content.sha256));
	return !bpf_map_lookup_elem(&om_contents, &content);
}

/* Records the denial that om_content_check found, of c->dentry and c->mnt. */
__noinline int om_emit_content(struct om_ctx *c)
{
	struct om_event_content *e;
	struct om_seen *seen;
	struct om_stat *st;
	__u64 seq;

	if (!c)
		return 1;
	c->op = OM_OP_FILE_EXEC;
	st = om_stat_of(c->brane);
	if (!st)
		return om_verdict(c);
	seq = __sync_fetch_and_add(&st->seq, 1);
	e = OM_FAIL(OM_FAULT_RING, 0, bpf_ringbuf_reserve(&om_events, sizeof(*e), 0));
	if (!e) {
		om_fold_full(c, st);
		return om_verdict(c);
	}
	om_head(&e->path.head, c, seq, OM_BODY_CONTENT);
	om_path_fill(&e->path, c);
	seen = om_seen_of(bpf_get_current_task_btf(), 0);
	if (seen && c->why != OM_CONTENT_UNREAD)
		__builtin_memcpy(e->sha256, seen->sha256, sizeof(e->sha256));
	else
		__builtin_memset(e->sha256, 0, sizeof(e->sha256));
	e->grant = c->grant;
	e->why = c->why;
	__sync_fetch_and_add(&st->events, 1);
	bpf_ringbuf_submit(e, 0);
	return om_verdict(c);
}

#endif
