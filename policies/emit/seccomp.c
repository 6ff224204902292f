/*
 * The seccomp layer: a profile becomes a classic BPF filter.
 *
 * Comes in: the brane's profile. Goes out: OM_SEC_SECCOMP. Called by: om_emit_bundle. Never does: use
 * more than loads, AND, jumps and returns, so that the reader can check a program in one pass.
 *
 * Numbers with the same answer are merged into intervals, and the intervals are searched by a balanced
 * tree of jumps: about eight compares for any call, and a program short enough that the kernel installs
 * it in tens of microseconds instead of hundreds.
 */
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <stddef.h>
#include <string.h>

#include <policies/emit/emit.h>

#define LOAD (BPF_LD | BPF_W | BPF_ABS)
#define JEQ  (BPF_JMP | BPF_JEQ | BPF_K)
#define JGE  (BPF_JMP | BPF_JGE | BPF_K)
#define JSET (BPF_JMP | BPF_JSET | BPF_K)
#define JA   (BPF_JMP | BPF_JA)
#define RET  (BPF_RET | BPF_K)
#define AND  (BPF_ALU | BPF_AND | BPF_K)

struct gen {
	struct om_b_insn *prog;
	uint32_t cap, count; /* count may pass cap: then nothing is written and generate fails */
};

/* Calls from FIRST up to the next interval's first have this answer. */
struct interval {
	uint32_t first;
	enum om_sys_action action;
};

uint32_t om_seccomp_ret(enum om_sys_action action)
{
	switch (action) {
	case OM_SYS_ALLOW:
		return SECCOMP_RET_ALLOW;
	case OM_SYS_ENOSYS:
		return SECCOMP_RET_ERRNO | ENOSYS;
	case OM_SYS_NOTIFY:
		return SECCOMP_RET_USER_NOTIF;
	case OM_SYS_DONE:
		return SECCOMP_RET_ERRNO; /* errno 0 */
	case OM_SYS_KILL:
	case OM_SYS_RULE: /* never a return value: the caller has a bug, and this fails closed */
		break;
	}
	return SECCOMP_RET_KILL_PROCESS;
}

static void put(struct gen *g, uint32_t code, uint32_t jt, uint32_t jf, uint32_t k)
{
	if (g->count < g->cap)
		g->prog[g->count] = (struct om_b_insn){(uint16_t)code, (uint8_t)jt, (uint8_t)jf, k};
	g->count++;
}

static void put_ret(struct gen *g, enum om_sys_action action)
{
	put(g, RET, 0, 0, om_seccomp_ret(action));
}

/* Sizes are known beforehand, so that every jump is emitted once and needs no patching. */
static uint32_t cond_size(const struct om_sys_cond *c)
{
	if (c->op == OM_SYS_PTR)
		return 4;
	if (c->op == OM_SYS_ANY)
		return 2;
	return 1 + (c->mask != UINT32_MAX) + c->n;
}

/* Falls through when it holds, else skips FAIL instructions after its own end. */
static void put_cond(struct gen *g, const struct om_sys_cond *c, uint32_t fail)
{
	uint32_t low = (uint32_t)offsetof(struct seccomp_data, args) + 8u * c->arg;

	/* The low half first: little-endian, and of all but pointers the kernel drops the high half. */
	put(g, LOAD, 0, 0, low);
	if (c->op == OM_SYS_PTR) {
		/* An address with 32 zero bits below is one that mmap gives to whoever asks for it. */
		put(g, JSET, 2, 0, UINT32_MAX);
		put(g, LOAD, 0, 0, low + 4);
		put(g, JSET, 0, fail, UINT32_MAX);
		return;
	}
	if (c->op == OM_SYS_ANY) {
		put(g, JSET, 0, fail, c->mask);
		return;
	}
	if (c->mask != UINT32_MAX)
		put(g, AND, 0, 0, c->mask);
	for (uint32_t i = 0; i < c->n; i++)
		put(g, JEQ, c->n - 1 - i, i + 1 == c->n ? fail : 0, c->val[i]);
}

/*
 * Clause after clause: a condition that fails skips to the next clause, the last one's failure is the
 * other answer. A rule always returns, so nothing after it needs the call's number again.
 */
static void put_rule(struct gen *g, const struct om_sys_rule *r)
{
	for (uint32_t i = 0; i < OM_SYS_CLAUSES; i++) {
		uint32_t n = r->clause[i].n, left = 1; /* the clause's own return */

		if (!n)
			continue;
		for (uint32_t c = 0; c < n; c++)
			left += cond_size(&r->clause[i].cond[c]);
		for (uint32_t c = 0; c < n; c++) {
			left -= cond_size(&r->clause[i].cond[c]);
			put_cond(g, &r->clause[i].cond[c], left);
		}
		put_ret(g, r->clause[i].hit);
	}
	put_ret(g, r->miss);
}

/* A rule that the table names and rules.c lacks is denied; a test finds it before that. */
static void put_leaf(struct gen *g, const struct interval *iv)
{
	const struct om_sys_rule *r;

	if (iv->action != OM_SYS_RULE) {
		put_ret(g, iv->action);
		return;
	}
	r = om_sys_rule((int)iv->first);
	if (r)
		put_rule(g, r);
	else
		put_ret(g, OM_SYS_NOTIFY);
}

/* A jump's distance is 8 bits: where the lower half is longer, the way to the upper one is a JA. */
static void put_tree(struct gen *g, const struct interval *iv, uint32_t n)
{
	uint32_t mid = n / 2, at = g->count, size;

	if (n == 1) {
		put_leaf(g, iv);
		return;
	}
	put(g, JGE, 0, 0, iv[mid].first);
	put_tree(g, iv, mid);
	size = g->count - at - 1;
	if (size > UINT8_MAX) {
		g->count = at;
		put(g, JGE, 0, 1, iv[mid].first);
		put(g, JA, 0, 0, size);
		put_tree(g, iv, mid);
	} else if (at < g->cap) {
		g->prog[at].jt = (uint8_t)size;
	}
	put_tree(g, iv + mid, n - mid);
}

int om_seccomp_generate(const struct om_sys_set *set, struct om_b_insn *prog, uint32_t cap,
			uint32_t *count, struct om_err *err)
{
	struct interval iv[OM_SYS_LAST + 3];
	struct gen g = {prog, cap, 0};
	uint32_t n = 0;

	for (uint32_t nr = 0; nr <= OM_SYS_LAST; nr++) {
		enum om_sys_action action = (enum om_sys_action)set->action[nr];

		/* Two rules are never one interval: each has conditions of its own. */
		if (!n || action == OM_SYS_RULE || iv[n - 1].action != action)
			iv[n++] = (struct interval){nr, action};
	}
	iv[n++] = (struct interval){OM_SYS_LAST + 1, OM_SYS_ENOSYS};
	/* x32 calls: the same numbers with another bit, which a search by number would let by. */
	iv[n++] = (struct interval){OM_SYS_X32_BIT, OM_SYS_KILL};

	put(&g, LOAD, 0, 0, offsetof(struct seccomp_data, arch));
	/* int 0x80 enters with i386 numbers: 11 is munmap here and execve there. */
	put(&g, JEQ, 1, 0, AUDIT_ARCH_X86_64);
	put_ret(&g, OM_SYS_KILL);
	put(&g, LOAD, 0, 0, offsetof(struct seccomp_data, nr));
	put_tree(&g, iv, n);
	*count = 0;
	if (g.count > g.cap || g.count > OM_SECCOMP_INSNS_MAX)
		return om_err_set(err, OM_ERR_SECCOMP_EMIT, -E2BIG, "%u instructions, at most %u",
				  g.count, OM_MIN(g.cap, OM_SECCOMP_INSNS_MAX));
	*count = g.count;
	return 0;
}

int om_emit_seccomp(const struct om_emit *e, struct om_err *err)
{
	OM_CLEANUP(om_free_ptr) struct om_b_insn *prog = NULL;
	struct om_sys_set set;
	uint32_t count;
	int ret;

	prog = calloc(OM_SECCOMP_INSNS_MAX, sizeof(*prog));
	if (!prog)
		return om_err_set(err, OM_ERR_NOMEM, -ENOMEM, "seccomp filter");
	om_sys_set_init(&set, e->ir);
	ret = om_seccomp_generate(&set, prog, OM_SECCOMP_INSNS_MAX, &count, err);
	if (ret)
		return ret;
	return om_bundle_w_add(e->w, OM_SEC_SECCOMP, prog, count, err);
}
