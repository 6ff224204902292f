/*
 * The seccomp profile of one brane as data: an answer for every system call number, and the few calls
 * whose answer depends on an argument.
 *
 * Comes in: base_syscalls.def, rules.c, an IR. Goes out: struct om_sys_set. Called by: the seccomp
 * generator, its simulator's front, tests (which evaluate it directly and compare). Never does: make
 * filter code, or look at the host: numbers are x86_64's.
 */
#ifndef OMEGA_POLICIES_SYSCALLS_H
#define OMEGA_POLICIES_SYSCALLS_H

#include <stdbool.h>
#include <stdint.h>
#include <omega/ir.h>

enum om_sys_action {
	OM_SYS_NOTIFY = 0, /* denied and recorded: what has no row is denied */
	OM_SYS_ALLOW,
	OM_SYS_ENOSYS,
	OM_SYS_DONE, /* answered with success and not made: what it asks for is so already */
	OM_SYS_RULE, /* struct om_sys_rule says */
	OM_SYS_KILL, /* another architecture's entry: no program of ours makes it by mistake */
};

#define OM_SYS_LAST    469	   /* the highest number with a row; asserted in syscalls.c */
#define OM_SYS_X32_BIT 0x40000000u /* x32 calls, and -1, which no program makes */

/* What one argument must be. Only the low 32 bits count, the kernel ignores the rest of these; but a pointer. */
enum om_sys_op {
	OM_SYS_IN,  /* (arg & mask) is one of val[0..n-1] */
	OM_SYS_ANY, /* (arg & mask) != 0 */
	OM_SYS_PTR, /* not NULL, in all 64 bits */
};

#define OM_SYS_VALS    32u
#define OM_SYS_CONDS   3u
#define OM_SYS_CLAUSES 2u

struct om_sys_cond {
	uint8_t arg; /* 0-5 */
	enum om_sys_op op;
	uint32_t mask;
	uint32_t n;
	uint32_t val[OM_SYS_VALS];
};

/* The first clause of which all conditions hold gives the answer. */
struct om_sys_rule {
	int nr;
	enum om_sys_action miss; /* the answer when none holds: NOTIFY or ALLOW */
	struct {
		uint32_t n;
		struct om_sys_cond cond[OM_SYS_CONDS];
		enum om_sys_action hit; /* NOTIFY, ALLOW or DONE */
	} clause[OM_SYS_CLAUSES];
	uint64_t example[6]; /* arguments that are allowed, for "may it call NAME at all?" */
};

struct om_sys_set {
	uint8_t action[OM_SYS_LAST + 1]; /* enum om_sys_action */
};

/* Name by number and number by name; NULL and -1 for what has no row. */
const char *om_sys_name(int nr);
int om_sys_nr(const char *name);
/* The base profile's answer, before any grant. */
enum om_sys_action om_sys_base(int nr);
/* The rule of NR, NULL if it has none. */
const struct om_sys_rule *om_sys_rule(int nr);

/* The profile of IR: base, what its layers and allow-write-exec change, what syscalls.allow adds. */
void om_sys_set_init(struct om_sys_set *set, const struct om_ir *ir);

/* What SET answers, by looking it up: the generator's specification. ARCH is an AUDIT_ARCH_*. */
enum om_sys_action om_sys_decide(const struct om_sys_set *set, uint32_t arch, uint32_t nr,
				 const uint64_t args[static 6]);

#endif
