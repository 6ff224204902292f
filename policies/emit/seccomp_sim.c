/*
 * The seccomp layer, asked without a kernel: an interpreter for classic BPF on one system call.
 *
 * Comes in: the filter in a bundle and a request. Goes out: an opinion. Called by: om_sim_decide,
 * tests. Never does: look at the profile that the filter was made from to decide.
 */
#include <linux/audit.h>
#include <linux/filter.h>
#include <string.h>
#include <sys/mman.h>

#include <policies/emit/emit.h>

#define NR_MMAP 9

static uint32_t load(const struct seccomp_data *data, uint32_t off)
{
	uint32_t v = 0;

	memcpy(&v, (const uint8_t *)data + off, sizeof(v));
	return v;
}

/*
 * The subset that our generator and libseccomp use. Anything else kills, as an unknown instruction in a
 * filter must never come out as "allowed".
 */
uint32_t om_cbpf_run(const struct om_b_insn *prog, uint32_t count, const struct seccomp_data *data)
{
	uint32_t a = 0;

	/* Jumps only go forward, so this ends after at most COUNT steps. */
	for (uint64_t pc = 0; pc < count; pc++) {
		const struct om_b_insn *i = &prog[pc];

		switch (i->code) {
		case BPF_LD | BPF_W | BPF_ABS:
			if (i->k % 4 || i->k > sizeof(*data) - 4)
				return SECCOMP_RET_KILL_PROCESS;
			a = load(data, i->k);
			break;
		case BPF_ALU | BPF_AND | BPF_K:
			a &= i->k;
			break;
		case BPF_JMP | BPF_JA:
			pc += i->k;
			break;
		case BPF_JMP | BPF_JEQ | BPF_K:
			pc += a == i->k ? i->jt : i->jf;
			break;
		case BPF_JMP | BPF_JGT | BPF_K:
			pc += a > i->k ? i->jt : i->jf;
			break;
		case BPF_JMP | BPF_JGE | BPF_K:
			pc += a >= i->k ? i->jt : i->jf;
			break;
		case BPF_JMP | BPF_JSET | BPF_K:
			pc += (a & i->k) ? i->jt : i->jf;
			break;
		case BPF_RET | BPF_K:
			return i->k;
		default:
			return SECCOMP_RET_KILL_PROCESS;
		}
	}
	return SECCOMP_RET_KILL_PROCESS;
}

/* A call by name alone asks "may it be made at all?": with arguments that its rule allows. */
static void fill_args(const struct om_request *req, struct seccomp_data *data)
{
	static const uint64_t none[6];
	const struct om_sys_rule *r = om_sys_rule(data->nr);

	if (r && memcmp(req->args, none, sizeof(none)) == 0)
		memcpy(data->args, r->example, sizeof(r->example));
	else
		memcpy(data->args, req->args, sizeof(req->args));
}

/* Executable memory is asked as the plainest call that would make it. */
enum om_opinion om_sim_seccomp(const struct om_bundle *b, const struct om_request *req)
{
	struct seccomp_data data = {.arch = AUDIT_ARCH_X86_64};
	uint32_t n, ret;
	const struct om_b_insn *prog = om_bundle_section(b, OM_SEC_SECCOMP, &n);

	if (req->op == OM_OP_SYSCALL) {
		data.nr = req->nr >= 0 ? req->nr : om_sys_nr(req->text);
		if (data.nr < 0)
			return OM_OPINION_DENY;
		fill_args(req, &data);
	} else if (req->op == OM_OP_MEM_EXEC) {
		data.nr = NR_MMAP;
		data.args[1] = 4096;
		data.args[2] = PROT_READ | PROT_WRITE | PROT_EXEC;
		data.args[3] = MAP_PRIVATE | MAP_ANONYMOUS;
	} else {
		return OM_OPINION_NONE;
	}
	ret = om_cbpf_run(prog, n, &data);
	return ret == SECCOMP_RET_ALLOW ? OM_OPINION_ALLOW : OM_OPINION_DENY;
}
