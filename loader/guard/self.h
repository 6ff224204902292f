/*
 * The strict self-guard: not even the host's root reaches the agent, except by asking it.
 *
 * Comes in: an open loader, whose kernel layer is there. Goes out: programs, maps and labels in a directory of
 * pins of their own ("self"), or none. Called by: the load role, at its start and when it is asked to release.
 * Never does: lift the guard by itself; it outlives the agent like everything that is pinned.
 */
#ifndef OMEGA_LOADER_GUARD_SELF_H
#define OMEGA_LOADER_GUARD_SELF_H

#include <loader/impl.h>

enum om_guard {
	OM_GUARD_BRANE = 1, /* nothing inside a brane reaches the agent */
	OM_GUARD_STRICT,    /* nor does any other process */
};

/*
 * Makes the guard strict if WANT says so, or takes over one that is strict already, whatever WANT says:
 * *FRESH tells which. OPTS is what omegad was started with, apart from its directories: the next omegad
 * must have the same. *GUARD: what holds now.
 *   OM_ERR_BPF_GUARD   this kernel cannot
 *   OM_ERR_GUARD       it is strict, and its pins are not whole or this process is not the agent
 */
int om_loader_guard(struct om_loader *l, enum om_guard want, const char *opts, enum om_guard *guard,
		    bool *fresh, struct om_err *err) OM_MUST_CHECK;
/* From here on everything is as with OM_GUARD_BRANE. The caller has recorded it before. */
int om_loader_guard_release(struct om_loader *l, struct om_err *err) OM_MUST_CHECK;

/*
 * The programs alone, attached and pinned as "self-new" while they decide nothing; *LINKS more. Only L->bpffs
 * is looked at. The first step of the above, and the test of the verifier's budget.
 */
int om_self_load(struct om_loader *l, uint32_t *links, struct om_err *err) OM_MUST_CHECK;
int om_self_unload(struct om_loader *l, struct om_err *err) OM_MUST_CHECK;

/* --- between self.c and self_own.c --- */

struct om_self_maps {
	int state, tasks, objects, ids, pids;
};
/* Lists what is the agent's: files, directories, cgroups, programs, libraries. */
int om_self_list(struct om_loader *l, const struct om_self_maps *m, struct om_err *err)
	OM_MUST_CHECK;
/* The cgroup that this process runs in, which may be another one after a restart. */
int om_self_list_cgroup(struct om_loader *l, const struct om_self_maps *m, struct om_err *err)
	OM_MUST_CHECK;
/* The object behind PATH, with OM_SELF_* FLAGS. */
int om_self_put(struct om_loader *l, const struct om_self_maps *m, const char *path, uint32_t flags,
		struct om_err *err) OM_MUST_CHECK;
/* OM_SELF_LINK and its like. */
int om_self_put_id(const struct om_self_maps *m, uint32_t kind, uint32_t id, struct om_err *err)
	OM_MUST_CHECK;
/* Labels omegad, its roles and the shims that run now. */
int om_self_label(struct om_loader *l, const struct om_self_maps *m, struct om_err *err)
	OM_MUST_CHECK;

#endif
