/*
 * Which brane the current task is in, from two sources that it cannot change.
 *
 * Comes in: the task's label in task storage (om_tasks), which only these programs write, at fork and
 * at the first hook; and the id of its ancestor cgroup at the level of the branes, which the kernel
 * keeps and no unshare, sub-cgroup or namespace number alters. Goes out: struct om_ctx. Called by:
 * every LSM and fexit program, first thing. Never does: clear a label; let a failure mean "outside".
 *
 * A task outside every brane pays one helper and a dozen loads: it has no storage, and its cgroup is
 * not deep enough or has another parent.
 */
#ifndef OMEGA_BPF_SCOPE_H
#define OMEGA_BPF_SCOPE_H

#include "event.bpf.h"

/* Reads the slot of BRANE. 0: there is none. */
static __always_inline int om_slot_get(__u32 brane, struct om_ctx *c, __u64 *cgid)
{
	/*
	 * A replaced hash element may be reused while it is read here. brane and policy share one
	 * aligned word, so they cannot be torn; flags are believed only if that word did not change.
	 */
	for (int i = 0; i < 3; i++) {
		struct om_slot *slot = bpf_map_lookup_elem(&om_branes, &brane);
		__u64 word, again;
		__u32 flags;

		if (!slot)
			return 0;
		word = *(volatile __u64 *)&slot->brane;
		flags = *(volatile __u32 *)&slot->flags;
		*cgid = *(volatile __u64 *)&slot->cgid;
		again = *(volatile __u64 *)&slot->brane;
		if (word != again || (__u32)word != brane)
			continue;
		c->brane = brane;
		c->policy = (__u32)(word >> 32);
		c->flags = flags;
		return 1;
	}
	return 0;
}

/* Level and parent of the branes' cgroups: set before anything is attached, and then frozen. */
static __always_inline __u32 om_level_parent(__u64 *parent)
{
	__u32 zero = 0;
	struct om_config *cfg = bpf_map_lookup_elem(&om_config, &zero);

	*parent = cfg ? cfg->parent_cgid : 0;
	return cfg ? cfg->cgroup_level : 0;
}

static __always_inline __u32 om_level(void)
{
	__u64 parent;

	return om_level_parent(&parent);
}

/* The brane of a cgroup id, 0 for none: brane numbers start at 1. */
static __always_inline __u32 om_brane_of_cgroup(__u64 cgid)
{
	__u32 *id = cgid ? bpf_map_lookup_elem(&om_cgroups, &cgid) : 0;

	return id ? *id : 0;
}

/* Scope by the current task's cgroup alone: all that a cgroup program can use. 1: inside. */
static __always_inline int om_scope_cgroup(__u64 cgid, struct om_ctx *c)
{
	__u32 brane = om_brane_of_cgroup(cgid);
	__u64 own;

	if (!brane)
		return 0;
	if (om_slot_get(brane, c, &own))
		return 1;
	/* The cgroup names a brane that has no slot: half withdrawn. Deny. */
	c->brane = brane;
	c->policy = 0;
	c->flags = OM_SLOT_DENY_ALL | OM_SLOT_KERNEL | OM_SLOT_NETWORK;
	return 1;
}

#ifdef OM_KERNEL_LAYER

/* TASK's label, 0 for none. Without any task storage there is none: a load instead of a call. */
static __always_inline __u32 om_label_of(struct task_struct *task)
{
	struct om_label *label;

	if (bpf_core_field_exists(task->bpf_storage) && !task->bpf_storage)
		return 0;
	label = bpf_task_storage_get(&om_tasks, task, 0, 0);
	return label ? label->brane : 0;
}

#define OM_CGROUP_HOPS 3 /* parents read by plain loads; a cgroup further down asks the helper */

/*
 * The ids of the current task's ancestor cgroup at LEVEL and of that one's parent; 0 where there is
 * none. The same answer as bpf_get_current_ancestor_cgroup_id twice, by loads, which cost a tenth: each
 * hook of each task of the host comes through here. A load that fails asks the helper.
 */
static __always_inline void om_cgroup_at(struct task_struct *task, int level, __u64 *id,
					 __u64 *parent)
{
	struct cgroup *cg = task->cgroups->dfl_cgrp;
	struct cgroup_subsys_state *up;

	*id = 0;
	*parent = 0;
	/* Believed only with an id beside it: a failed load reads as level 0. */
	if (cg->level < level && cg->kn->id)
		return;
	for (int i = 0; i <= OM_CGROUP_HOPS; i++) {
		up = cg->self.parent;
		if (!up || !up->cgroup)
			break;
		if (cg->level == level) {
			*id = cg->kn->id;
			*parent = up->cgroup->kn->id;
			break;
		}
		cg = up->cgroup;
	}
	if (*id && *parent)
		return;
	*id = bpf_get_current_ancestor_cgroup_id(level);
	*parent = bpf_get_current_ancestor_cgroup_id(level - 1);
}

/* 1: inside a brane that BPF-LSM decides for; the rest of C is set. 0: outside. */
static __always_inline int om_scope(struct om_ctx *c)
{
	struct task_struct *task = bpf_get_current_task_btf();
	__u32 by_cgroup, by_label = om_label_of(task);
	struct om_label fresh = {};
	__u64 cgid, above, parent, own = 0;
	__u32 level = om_level_parent(&parent);

	om_cgroup_at(task, level, &cgid, &above);
	/* Every brane's cgroup is a child of one parent, and no cgroup can be moved to another. */
	if (!by_label && above != parent)
		return 0;
	__builtin_memset(c, 0, sizeof(*c));
	c->where = OM_WHERE_LSM;
	if (!by_label) {
		if (!om_scope_cgroup(cgid, c))
			return 0;
		/* Labelling may fail for want of memory: then the cgroup alone decides, as it just did. */
		fresh.brane = c->brane;
		(void)OM_FAIL(OM_FAULT_LABEL, 0,
			      bpf_task_storage_get(&om_tasks, task, &fresh,
						   BPF_LOCAL_STORAGE_GET_F_CREATE));
		return (c->flags & (OM_SLOT_KERNEL | OM_SLOT_DENY_ALL)) != 0;
	}
	if (!om_slot_get(by_label, c, &own)) {
		/* The brane was withdrawn while this task lives: it may do nothing any more. */
		c->brane = by_label;
		c->policy = 0;
		c->flags = OM_SLOT_DENY_ALL | OM_SLOT_KERNEL;
		return 1;
	}
	if (cgid != own) {
		by_cgroup = om_brane_of_cgroup(cgid);
		/* Moved out of its cgroup: the label holds. Moved into another brane: neither's rights. */
		if (by_cgroup && by_cgroup != by_label)
			c->flags |= OM_SLOT_DENY_ALL | OM_CTX_SCOPE;
	}
	return (c->flags & (OM_SLOT_KERNEL | OM_SLOT_DENY_ALL)) != 0;
}

/* 1: TASK, a task other than the current one, carries the label of C's brane. */
static __always_inline int om_same_brane(const struct om_ctx *c, struct task_struct *task)
{
	struct om_label *label = bpf_task_storage_get(&om_tasks, task, 0, 0);

	return label && label->brane == c->brane;
}

#endif
#endif
