/*
 * What a policy grants on a file: by object, never by string.
 *
 * Comes in: a dentry that the kernel resolved. Goes out: the rights still missing. Called by: lsm_file,
 * lsm_exec and, for path sockets, lsm_net. The object's own entry counts, then the trees of its
 * dentry parents up to the root of its file system, never across a mount: what an attacker binds over
 * a granted name keeps its own parents. Never does: read a path string, except the last component for
 * the patterns of the directory that holds it. Past OM_WALK_MAX parents the answer is "missing".
 *
 * i_ino, i_generation and s_dev are read from the object itself; a name, a mount, a chroot or a
 * namespace cannot change them, and a recycled inode number comes with a new generation.
 */
#ifndef OMEGA_BPF_WALK_H
#define OMEGA_BPF_WALK_H

#include "core.bpf.h"
#include "null.bpf.h"
#include "event.bpf.h"
#include "pattern.bpf.h"

#define OM_WALK_NEAR 16 /* parents read by plain loads; more go through bpf_loop */

/*
 * 0: om_objects has no entry for INO under the policy and device of BASE. Nearly every step of a walk
 * ends here, at a tenth of what a look-up costs. There is no cache of verdicts: anybody on the host may
 * move a directory, and a granted verdict that outlived the move would be a hole. This is about entries,
 * which the loader alone writes, and never zero while there is one. Were it, only a grant would be missed:
 * where more could be (exact), its answer does not count.
 */
static __always_inline int om_maybe(__u64 base, __u64 ino)
{
	__u32 place = om_filter_place(base, ino), at = place >> 3;
	struct om_filter_word *w = bpf_map_lookup_elem(&om_filter, &at);

	return w && w->count[place & 7];
}

/*
 * 1: om_objects is to be asked about INO. One branch on both reasons: were there two, the verifier would
 * follow each further step of the walk twice.
 */
static __always_inline int om_asked(__u64 base, __u64 ino, __u32 exact)
{
	__u32 ask = exact | (__u32)om_maybe(base, ino);

	asm volatile("" : "+r"(ask));
	return ask != 0;
}

/*
 * Which rights of the object's own entry count, as a mask: those of its self entry. NAME: none at all, D is
 * a name and what it would give to whatever stands there is asked. TREE: what stays with a directory's
 * content when it is moved.
 */
#define OM_SELF_ALL  0xffffffffu
#define OM_SELF_TREE 0u

struct om_far {
	struct om_object_key key;
	__u64 base;
	__u64 dentry;
	__u32 need;
	__u32 exact;
};

static long om_far_step(__u32 i, struct om_far *far)
{
	struct dentry *d = (struct dentry *)far->dentry;
	struct dentry *parent = BPF_CORE_READ(d, d_parent);
	struct om_object_val *val;

	if (!parent || parent == d)
		return 1;
	far->dentry = (__u64)parent;
	far->key.ino = BPF_CORE_READ(parent, d_inode, i_ino);
	if (!om_asked(far->base, far->key.ino, far->exact))
		return 0;
	far->key.gen = BPF_CORE_READ(parent, d_inode, i_generation);
	val = bpf_map_lookup_elem(&om_objects, &far->key);
	if (val && val->tree & OM_MAY_NEVER)
		return 1;
	if (val)
		far->need &= ~val->tree;
	return far->need == 0;
}

/* The same walk, further up; D is known to have granted nothing by itself. */
static __noinline __u32 om_missing_far(struct om_object_key *key, struct dentry *d, __u32 need,
				       __u32 exact)
{
	struct om_far far = {.key = *key,
			     .base = om_filter_base(key->policy, key->dev),
			     .dentry = (__u64)d,
			     .need = need,
			     .exact = exact};

	bpf_loop(OM_WALK_MAX - OM_WALK_NEAR, om_far_step, &far, 0);
	return far.need;
}

/*
 * NEED minus what POLICY grants on D, which may be a name that does not exist yet. CREATE and REMOVE
 * are asked of the directory that holds the name, so the directory's own entry gives them as well.
 * EXEC of an object that is bound to contents comes back as EXEC_BOUND; trees around it give nothing.
 */
static __noinline __u32 om_missing(__u32 policy, struct dentry *d, __u32 need, __u32 self_mask,
				   int name_only)
{
	struct om_object_key key = {};
	struct inode *inode = d->d_inode;
	struct om_object_val *val;
	struct dentry *name = d;
	/*
	 * A hidden entry could give rights: entries that take them away, and what a name would give, since
	 * a grant that is missed there and found later was gained.
	 */
	__u32 exact = (policy & OM_POLICY_EXACT) | (__u32)name_only;
	__u64 base;

	key.policy = policy;
	key.dev = d->d_sb->s_dev;
	key.gen =
		policy; /* any number that the verifier does not know: a known zero is a state of its own */
	base = om_filter_base(key.policy, key.dev);
	if (!name_only && om_exists(d) && inode) {
		key.ino = inode->i_ino;
		key.gen = inode->i_generation;
		val = 0;
		if (om_asked(base, key.ino, exact))
			val = bpf_map_lookup_elem(&om_objects, &key);
		if (val) {
			__u32 self = val->self & self_mask;

			if (val->tree & OM_MAY_NEVER)
				return need;
			if ((need & OM_MAY_EXEC) && (self & OM_MAY_EXEC_BOUND))
				return OM_MAY_EXEC_BOUND | (need & ~OM_MAY_EXEC & ~self);
			/* CREATE on an object means "in it", not "this name". */
			need &= ~((self | val->tree) & ~OM_MAY_CREATE);
			if (!need)
				return 0;
		}
	}
	for (int i = 0; i < OM_WALK_NEAR; i++) {
		struct dentry *parent = d->d_parent;

		if (parent == d)
			return need;
		inode = parent->d_inode;
		key.ino = inode->i_ino;
		d = parent;
		if (!om_asked(base, key.ino, exact))
			continue;
		key.gen = inode->i_generation;
		val = bpf_map_lookup_elem(&om_objects, &key);
		if (val) {
			/* The agent's own: whatever lies above was not meant to give this. */
			if (val->tree & OM_MAY_NEVER)
				return need;
			need &= ~val->tree;
			if (i == 0) {
				need &= ~(val->self & (OM_MAY_CREATE | OM_MAY_REMOVE));
				if (need && val->patterns)
					need &= ~om_pattern_rights(&key, val->patterns, name);
			}
			/* Asked where it changes only: elsewhere the verifier knows, and follows both. */
			if (!need)
				return 0;
		}
	}
	return om_missing_far(&key, d, need, exact);
}

/*
 * 1: memory behind a descriptor, of memfd_create or shmget: a tmpfs that only the kernel mounts. Whoever has
 * the descriptor made it, or it passed file_receive, which takes none from outside. So it is the brane's own, to
 * write, resize and share; what makes it code is asked like that of any file.
 */
static __always_inline int om_own_memory(const struct om_ctx *c, const struct dentry *d)
{
	if (c->flags & OM_SLOT_DENY_ALL || d->d_sb->s_magic != OM_TMPFS_MAGIC)
		return 0;
	return (d->d_sb->s_flags & OM_SB_NOUSER) != 0;
}

/* As om_missing, for the brane of C. */
static __always_inline __u32 om_file_missing(const struct om_ctx *c, struct dentry *d, __u32 need)
{
	if (c->flags & OM_SLOT_DENY_ALL)
		return need;
	return om_missing(c->policy, d, need, OM_SELF_ALL, 0);
}

#endif
