/*
 * The strict self-guard: who asks, and is it the agent's.
 *
 * Comes in: om_self_state (the switch), om_self_tasks (who is the agent), om_self_objects and om_self_ids
 * (what is the agent's). Goes out: yes or no. Called by: lsm_self*.bpf.c. Never does: decide for a task of
 * a brane that is enforced: lsm_guard and the others do, and record it as the brane's.
 */
#ifndef OMEGA_BPF_SELF_H
#define OMEGA_BPF_SELF_H

#include "core.bpf.h"
#include "null.bpf.h"
#include "scope.bpf.h"
#include "path.bpf.h"
#include <omega/abi/self.h>

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_RDONLY_PROG);
	__type(key, __u32);
	__type(value, struct om_self_state);
} om_self_state SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct om_self_task);
} om_self_tasks SEC(".maps");

/* Beside the label, for those who have a number and no task. Programs write it: as tasks come and go. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, OM_SELF_PIDS_MAX);
	__type(key, __u32);
	__type(value, __u32);
} om_self_pids SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__uint(map_flags, BPF_F_RDONLY_PROG);
	__type(key, struct om_self_key);
	__type(value, __u32);
} om_self_objects SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__uint(map_flags, BPF_F_RDONLY_PROG);
	__type(key, struct om_self_id);
	__type(value, __u32);
} om_self_ids SEC(".maps");

static __always_inline struct om_self_state *om_self_on(void)
{
	__u32 zero = 0;
	struct om_self_state *state = bpf_map_lookup_elem(&om_self_state, &zero);

	return state && state->level == OM_SELF_STRICT ? state : 0;
}

static __always_inline __u32 om_self_who(struct task_struct *task)
{
	struct om_self_task *label = bpf_task_storage_get(&om_self_tasks, task, 0, 0);

	return label ? label->who : OM_SELF_NOBODY;
}

/*
 * 1: the current task is neither the agent nor in a brane that is enforced; C is set for the record. A
 * brane in audit mode is let through by its own rules, so it is held here like any other task.
 */
static __always_inline int om_self_outside(struct om_ctx *c)
{
	if (om_self_who(bpf_get_current_task_btf()) == OM_SELF_AGENT)
		return 0;
	if (om_scope(c) && !(c->flags & OM_SLOT_AUDIT))
		return 0;
	__builtin_memset(c, 0, sizeof(*c));
	c->brane = OM_BRANE_HOST;
	c->where = OM_WHERE_LSM;
	return 1;
}

/* 1: the current task is in a brane, enforced by whichever layers. */
static __always_inline int om_self_braned(void)
{
	struct om_ctx c;

	__builtin_memset(&c, 0, sizeof(c));
	return om_scope(&c) || c.brane;
}

static __always_inline int om_self_id(__u32 kind, __u32 id)
{
	struct om_self_id key = {.kind = kind, .id = id};

	return bpf_map_lookup_elem(&om_self_ids, &key) != 0;
}

static __always_inline __u32 om_self_entry(const struct om_self_key *key)
{
	__u32 *flags = bpf_map_lookup_elem(&om_self_objects, key);

	return flags ? *flags : 0;
}

/* The entry of the object itself. */
static __always_inline __u32 om_self_inode(struct inode *inode)
{
	struct om_self_key key = {};

	key.dev = inode->i_sb->s_dev;
	key.ino = inode->i_ino;
	key.gen = inode->i_generation;
	return om_self_entry(&key);
}

/* OM_SELF_* of D, which may be a name that does not exist yet: its own, and those of trees around it. */
static __noinline __attribute__((unused)) __u32 om_self_dentry(struct dentry *d)
{
	struct inode *inode = d->d_inode;
	struct om_self_key key = {};
	__u32 got = 0, tree;

	key.dev = d->d_sb->s_dev;
	if (om_exists(d) && inode) {
		key.ino = inode->i_ino;
		key.gen = inode->i_generation;
		got = om_self_entry(&key);
	}
	for (int i = 0; i < OM_SELF_DEPTH && !(got & OM_SELF_TREE); i++) {
		struct dentry *parent = d->d_parent;

		if (parent == d)
			break;
		inode = parent->d_inode;
		key.ino = inode->i_ino;
		key.gen = inode->i_generation;
		tree = om_self_entry(&key);
		if (tree & OM_SELF_TREE)
			got |= tree & (OM_SELF_TREE | OM_SELF_SECRET);
		d = parent;
	}
	return got;
}

/* The same for a dentry that is only an address here. */
static __noinline __attribute__((unused)) __u32 om_self_address(__u64 at)
{
	struct dentry *d = (struct dentry *)at;
	struct om_self_key key = {};
	__u32 got = 0, tree;

	key.dev = BPF_CORE_READ(d, d_sb, s_dev);
	key.ino = BPF_CORE_READ(d, d_inode, i_ino);
	key.gen = BPF_CORE_READ(d, d_inode, i_generation);
	got = om_self_entry(&key);
	for (int i = 0; i < OM_SELF_DEPTH && !(got & OM_SELF_TREE); i++) {
		d = BPF_CORE_READ(d, d_parent);
		key.ino = BPF_CORE_READ(d, d_inode, i_ino);
		key.gen = BPF_CORE_READ(d, d_inode, i_generation);
		tree = om_self_entry(&key);
		if (tree & OM_SELF_TREE)
			got |= tree & (OM_SELF_TREE | OM_SELF_SECRET);
	}
	return got;
}

#endif
