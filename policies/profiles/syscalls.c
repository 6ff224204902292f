/*
 * The table of system calls, and the profile that an IR makes of it.
 *
 * Comes in: base_syscalls.def and an IR. Goes out: struct om_sys_set, names, numbers. Called by: the
 * seccomp emitter, tests. Never does: allow what it has no row for.
 */
#include <linux/audit.h>
#include <string.h>

#include <omega/compiler.h>
#include <policies/profiles/syscalls.h>

struct row {
	const char *name;
	enum om_sys_action action;
};

static const struct row rows[] = {
#define OM_SYS(nr, name, action) [nr] = {#name, OM_SYS_##action},
#include <policies/profiles/base_syscalls.def>
#undef OM_SYS
};

OM_STATIC_ASSERT(OM_ARRAY_LEN(rows) == OM_SYS_LAST + 1);

#define NR_MMAP		9
#define NR_MPROTECT	10
#define NR_SETRLIMIT	160
#define NR_PRLIMIT64	302
#define NR_MEMFD_CREATE 319
#define NR_OPENAT2	437

/* Judged by the mode of the file that they make, unless BPF-LSM judges it with the file in hand. */
static const int by_mode[] = {2, 85, 90, 91, 133, 257, 259, 268, 452};

const char *om_sys_name(int nr)
{
	return nr >= 0 && nr <= OM_SYS_LAST ? rows[nr].name : NULL;
}

/* A scan: names are asked once per grant, never on a path that counts. */
int om_sys_nr(const char *name)
{
	for (int nr = 0; nr <= OM_SYS_LAST; nr++)
		if (rows[nr].name && strcmp(rows[nr].name, name) == 0)
			return nr;
	return -1;
}

/*
 * Above the table a call is one that this build has never heard of: programs probe for new calls and go
 * another way on ENOSYS, while EPERM makes some of them give up.
 */
enum om_sys_action om_sys_base(int nr)
{
	if (nr > OM_SYS_LAST)
		return OM_SYS_ENOSYS;
	return nr < 0 ? OM_SYS_KILL : rows[nr].action;
}

/*
 * Order matters: what allow-write-exec and a missing layer change comes before what the manifest grants,
 * so that a grant is never taken back silently.
 */
void om_sys_set_init(struct om_sys_set *set, const struct om_ir *ir)
{
	for (int nr = 0; nr <= OM_SYS_LAST; nr++)
		set->action[nr] = (uint8_t)rows[nr].action;
	if (ir->write_exec) {
		set->action[NR_MMAP] = OM_SYS_ALLOW;
		set->action[NR_MPROTECT] = OM_SYS_ALLOW;
	} else if (!(ir->layers & OM_LAYER_KERNEL)) {
		/* A file that no mount's noexec covers: write code into it, map it executable. */
		set->action[NR_MEMFD_CREATE] = OM_SYS_NOTIFY;
	}
	if (ir->layers & OM_LAYER_KERNEL)
		for (size_t i = 0; i < OM_ARRAY_LEN(by_mode); i++)
			set->action[by_mode[i]] = OM_SYS_ALLOW;
	else
		/* Its mode lies in memory; who tries it goes on with openat. */
		set->action[NR_OPENAT2] = OM_SYS_ENOSYS;
	for (uint32_t i = 0; i < ir->count; i++) {
		const struct om_grant *g = &ir->grants[i];

		/* Core files are granted: their limit is the workload's own, as all others. */
		if (g->kind == OM_GRANT_LIMIT && g->limit.which == OM_LIMIT_CORE && g->limit.value)
			set->action[NR_SETRLIMIT] = set->action[NR_PRLIMIT64] = OM_SYS_ALLOW;
		if (g->kind == OM_GRANT_SYSCALL && g->syscall.nr >= 0 &&
		    g->syscall.nr <= OM_SYS_LAST)
			set->action[g->syscall.nr] = OM_SYS_ALLOW;
	}
}

static bool cond_holds(const struct om_sys_cond *c, const uint64_t args[static 6])
{
	uint32_t v = (uint32_t)args[c->arg] & c->mask;

	if (c->op == OM_SYS_PTR)
		return args[c->arg] != 0;
	if (c->op == OM_SYS_ANY)
		return v != 0;
	for (uint32_t i = 0; i < c->n; i++)
		if (c->val[i] == v)
			return true;
	return false;
}

/* The plain meaning of a rule; the generated code is tested against this and never the other way. */
static enum om_sys_action rule_says(const struct om_sys_rule *r, const uint64_t args[static 6])
{
	for (uint32_t i = 0; i < OM_SYS_CLAUSES; i++) {
		uint32_t n = r->clause[i].n, held = 0;

		while (held < n && cond_holds(&r->clause[i].cond[held], args))
			held++;
		if (n && held == n)
			return r->clause[i].hit;
	}
	return r->miss;
}

enum om_sys_action om_sys_decide(const struct om_sys_set *set, uint32_t arch, uint32_t nr,
				 const uint64_t args[static 6])
{
	enum om_sys_action action;
	const struct om_sys_rule *r;

	if (arch != AUDIT_ARCH_X86_64 || nr >= OM_SYS_X32_BIT)
		return OM_SYS_KILL;
	if (nr > OM_SYS_LAST)
		return OM_SYS_ENOSYS;
	action = (enum om_sys_action)set->action[nr];
	if (action != OM_SYS_RULE)
		return action;
	/* Marked as a rule without having one: denied, as the generator does. */
	r = om_sys_rule((int)nr);
	return r ? rule_says(r, args) : OM_SYS_NOTIFY;
}
