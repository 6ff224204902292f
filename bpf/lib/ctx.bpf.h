/*
 * What one decision carries from scope to verdict to record, and how a program ends.
 *
 * Comes in: nothing. Goes out: struct om_ctx and the macros around it. Used by: every program. Never
 * does: decide.
 */
#ifndef OMEGA_BPF_CTX_H
#define OMEGA_BPF_CTX_H

#include <linux/types.h>

/* What a program knows about the task or packet that it decides about. */
struct om_ctx {
	__u32 brane;
	__u32 policy;
	__u32 flags; /* OM_SLOT_*, OM_CTX_* */
	__u32 need;  /* OM_MAY_* still missing */
	__u16 op;
	__u8 where;
	__u8 why;     /* enum om_content_why */
	__u32 grant;  /* with WHY */
	__u64 dentry; /* addresses, for the report only: memory turns pointers into plain numbers, */
	__u64 mnt;    /* which is what a global function may take */
	__u64 zero;   /* always: a 0 that the verifier does not know (path.bpf.h) */
	char hook[24];
};

#define OM_CTX_SCOPE 0x80000000u /* label and cgroup disagree */

/* The hook's name as three immediate stores: a record must not depend on a string section. */
#define OM_HOOK(c, name)                                               \
	do {                                                           \
		static const char om_name[24] = name;                  \
		_Static_assert(sizeof(name) <= 24, "hook name");       \
		__builtin_memcpy((c)->hook, om_name, sizeof(om_name)); \
	} while (0)

/* Seven characters and a NUL as one word, to compare names without a loop. */
#define OM_WORD(text)                                                  \
	({                                                             \
		_Static_assert(sizeof(text) == 8, "seven characters"); \
		static const char om_text[8] = text;                   \
		__u64 om_w;                                            \
		__builtin_memcpy(&om_w, om_text, sizeof(om_w));        \
		om_w;                                                  \
	})

/*
 * Ends a program. The barrier keeps the compiler from folding "0 or -1" into arithmetic, whose result
 * 6.12 and later refuse because the verifier cannot bound it.
 */
#define OM_RETURN(denied, errno_)                        \
	do {                                             \
		if (denied) {                            \
			int om_ret = -(errno_);          \
			asm volatile("" : "+r"(om_ret)); \
			return om_ret;                   \
		}                                        \
		return 0;                                \
	} while (0)

#endif
