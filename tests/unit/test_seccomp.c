/* The seccomp filter: equal to the profile, equal to libseccomp, and what the profile says at all. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include <linux/audit.h>
#include <linux/filter.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <policies/emit/emit.h>
#include <policies/profiles/profile.h>

static struct om_b_insn prog[OM_SECCOMP_INSNS_MAX];
static uint32_t prog_len;

static void generate(const struct om_ir *ir, struct om_sys_set *set)
{
	om_sys_set_init(set, ir);
	assert_int_equal(om_seccomp_generate(set, prog, OM_SECCOMP_INSNS_MAX, &prog_len, NULL), 0);
}

static uint32_t run(uint32_t arch, uint32_t nr, const uint64_t args[static 6])
{
	struct seccomp_data data = {.nr = (int)nr, .arch = arch};

	memcpy(data.args, args, sizeof(data.args));
	return om_cbpf_run(prog, prog_len, &data);
}

/* Every value that a rule names, its neighbours, and values with high halves and all bits. */
static uint64_t interesting(uint32_t seed)
{
	static const uint64_t v[] = {
		0,
		1,
		2,
		3,
		4,
		5,
		6,
		7,
		8,
		10,
		15,
		16,
		17,
		22,
		32,
		35,
		36,
		38,
		39,
		47,
		53,
		62,
		65,
		66,
		132,
		262,
		0x20,
		0x22,
		0x80,
		0x80801,
		0x80802,
		0x80803,
		0x1001,
		0x1002,
		0x1003,
		0x1012,
		0x2001,
		0x3001,
		0x5001,
		0x541b,
		0x5412,
		0x541c,
		0x5423,
		0x53564d41,
		0x59616d61,
		CLONE_NEWNS,
		CLONE_NEWUSER,
		CLONE_NEWNET,
		CLONE_NEWPID,
		CLONE_NEWUTS,
		CLONE_NEWIPC,
		CLONE_NEWCGROUP,
		CLONE_VM | CLONE_VFORK | 17,
		0x1200011,
		0x3d0f00,
		0xffffffff,
		0x100000000,
		0x100005412,
		0xffffffff00000002,
		UINT64_MAX,
		INT64_MAX,
	};

	return v[seed % OM_ARRAY_LEN(v)];
}

static uint32_t next(uint32_t *s)
{
	*s = *s * 1664525u + 1013904223u;
	return *s >> 8;
}

static void check_against_set(const struct om_ir *ir)
{
	static const uint32_t archs[] = {AUDIT_ARCH_X86_64, AUDIT_ARCH_I386, AUDIT_ARCH_AARCH64, 0};
	struct om_sys_set set;
	uint32_t seed = 7;

	generate(ir, &set);
	for (uint32_t n = 0; n < 1100; n++) {
		uint32_t nr = n < 1024 ? n : OM_SYS_X32_BIT - 30 + n - 1024;

		for (uint32_t i = 0; i < 200; i++) {
			uint32_t arch = i < 190 ? archs[0] : archs[i % 4];
			uint64_t args[6];

			for (uint32_t a = 0; a < 6; a++)
				args[a] = interesting(next(&seed));
			assert_int_equal(run(arch, nr, args),
					 om_seccomp_ret(om_sys_decide(&set, arch, nr, args)));
		}
	}
}

static void filter_is_the_profile(void **state)
{
	struct om_grant extra[] = {
		{.kind = OM_GRANT_SYSCALL, .syscall = {"mlock2", 325}},
		{.kind = OM_GRANT_SYSCALL, .syscall = {"clone3", 435}},
		{.kind = OM_GRANT_SYSCALL, .syscall = {"socket", 41}},
		{.kind = OM_GRANT_SYSCALL, .syscall = {"none", 100000}},
	};
	struct om_ir ir = {.layers = OM_LAYER_ALL};

	check_against_set(&ir);
	ir.write_exec = true;
	check_against_set(&ir);
	ir = (struct om_ir){.layers = OM_LAYER_PROCESS, .grants = extra, .count = 4};
	check_against_set(&ir);
}

static void filter_of_any_set_is_the_set(void **state)
{
	uint32_t seed = 99;

	for (int round = 0; round < 200; round++) {
		struct om_sys_set set;
		uint64_t args[6] = {0};

		for (uint32_t i = 0; i <= OM_SYS_LAST; i++) {
			set.action[i] = (uint8_t)(next(&seed) % 3);
			if (om_sys_rule((int)i) && next(&seed) % 2)
				set.action[i] = OM_SYS_RULE;
		}
		assert_int_equal(
			om_seccomp_generate(&set, prog, OM_SECCOMP_INSNS_MAX, &prog_len, NULL), 0);
		for (uint32_t nr = 0; nr < 600; nr++) {
			args[0] = interesting(next(&seed));
			args[2] = interesting(next(&seed));
			assert_int_equal(
				run(AUDIT_ARCH_X86_64, nr, args),
				om_seccomp_ret(om_sys_decide(&set, AUDIT_ARCH_X86_64, nr, args)));
		}
	}
}

/* One interval more each round: the half that a jump skips passes every length around 255. */
static void long_jumps_land(void **state)
{
	for (uint32_t k = 1; k <= OM_SYS_LAST; k++) {
		struct om_sys_set set = {0};
		uint64_t args[6] = {0};

		for (uint32_t i = 0; i < k; i++)
			set.action[i] = i % 2 ? OM_SYS_ALLOW : OM_SYS_ENOSYS;
		assert_int_equal(
			om_seccomp_generate(&set, prog, OM_SECCOMP_INSNS_MAX, &prog_len, NULL), 0);
		for (uint32_t nr = 0; nr <= OM_SYS_LAST + 1; nr++)
			assert_int_equal(
				run(AUDIT_ARCH_X86_64, nr, args),
				om_seccomp_ret(om_sys_decide(&set, AUDIT_ARCH_X86_64, nr, args)));
	}
}

/* --- libseccomp as a second opinion on the generator and on the rules' meaning --- */

static void add_rule(scmp_filter_ctx ctx, uint32_t action, int nr, struct scmp_arg_cmp *cmp,
		     unsigned int n)
{
	assert_int_equal(seccomp_rule_add_array(ctx, action, nr, n, cmp), 0);
}

/* A clause as libseccomp rules: one for each combination of the values of its conditions. */
static void add_clause(scmp_filter_ctx ctx, uint32_t action, int nr, const struct om_sys_cond *c,
		       uint32_t n, struct scmp_arg_cmp *cmp, uint32_t used)
{
	if (used == n) {
		add_rule(ctx, action, nr, cmp, n);
		return;
	}
	if (c[used].op == OM_SYS_PTR) {
		cmp[used] = SCMP_CMP(c[used].arg, SCMP_CMP_NE, 0);
		add_clause(ctx, action, nr, c, n, cmp, used + 1);
		return;
	}
	if (c[used].op == OM_SYS_ANY) {
		for (uint32_t bit = 0; bit < 32; bit++) {
			uint64_t m = 1ull << bit;

			if (!(c[used].mask & m))
				continue;
			cmp[used] = SCMP_CMP(c[used].arg, SCMP_CMP_MASKED_EQ, m, m);
			add_clause(ctx, action, nr, c, n, cmp, used + 1);
		}
		return;
	}
	for (uint32_t i = 0; i < c[used].n; i++) {
		cmp[used] = SCMP_CMP(c[used].arg, SCMP_CMP_MASKED_EQ, c[used].mask, c[used].val[i]);
		add_clause(ctx, action, nr, c, n, cmp, used + 1);
	}
}

struct oracle {
	struct om_b_insn *insns;
	uint32_t count;
};

static struct oracle export(scmp_filter_ctx ctx)
{
	struct oracle o;
	FILE *f = tmpfile();
	long size;

	assert_non_null(f);
	assert_int_equal(seccomp_export_bpf(ctx, fileno(f)), 0);
	fseek(f, 0, SEEK_END);
	size = ftell(f);
	rewind(f);
	assert_true(size > 0 && size % 8 == 0);
	o.count = (uint32_t)size / 8;
	o.insns = calloc(o.count, 8);
	assert_int_equal(fread(o.insns, 8, o.count, f), o.count);
	fclose(f);
	return o;
}

/*
 * DENY: starts from allow and forbids, for the rules that say what is denied; else starts from notify.
 * A kernel with both filters takes the stricter answer; so does the comparison below.
 */
static struct oracle build_oracle(const struct om_sys_set *set, bool deny)
{
	scmp_filter_ctx ctx = seccomp_init(deny ? SCMP_ACT_ALLOW : SCMP_ACT_NOTIFY);
	struct scmp_arg_cmp cmp[OM_SYS_CONDS];
	struct oracle o;

	assert_non_null(ctx);
	assert_int_equal(seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS), 0);
	for (int nr = 0; nr <= OM_SYS_LAST; nr++) {
		const struct om_sys_rule *r = om_sys_rule(nr);
		bool narrowed = set->action[nr] == OM_SYS_RULE;
		bool denies = r && r->miss == OM_SYS_ALLOW;

		if (set->action[nr] == OM_SYS_ENOSYS && !deny) {
			add_rule(ctx, SCMP_ACT_ERRNO(38), nr, NULL, 0);
		} else if (set->action[nr] == OM_SYS_ALLOW || (narrowed && denies)) {
			if (!deny)
				add_rule(ctx, SCMP_ACT_ALLOW, nr, NULL, 0);
		}
		if (!narrowed || denies != deny)
			continue;
		for (uint32_t c = 0; c < OM_SYS_CLAUSES; c++)
			if (r->clause[c].n)
				add_clause(ctx, om_seccomp_ret(r->clause[c].hit), nr,
					   r->clause[c].cond, r->clause[c].n, cmp, 0);
	}
	o = export(ctx);
	seccomp_release(ctx);
	return o;
}

static void filter_agrees_with_libseccomp(void **state)
{
	struct om_ir ir = {.layers = OM_LAYER_ALL};
	struct om_sys_set set;
	struct oracle allow, deny;
	uint32_t seed = 3, compared = 0;

	generate(&ir, &set);
	allow = build_oracle(&set, false);
	deny = build_oracle(&set, true);
	for (uint32_t nr = 0; nr < 1024; nr++) {
		for (uint32_t i = 0; i < 300; i++) {
			struct seccomp_data d = {.nr = (int)nr,
						 .arch = i ? AUDIT_ARCH_X86_64 : AUDIT_ARCH_I386};
			uint32_t a, b, want, got;

			for (uint32_t k = 0; k < 6; k++)
				d.args[k] = interesting(next(&seed));
			a = om_cbpf_run(allow.insns, allow.count, &d);
			b = om_cbpf_run(deny.insns, deny.count, &d);
			want = a == SECCOMP_RET_ALLOW ? b : a;
			/* libseccomp has no "above the highest": there it knows only its default. */
			if (nr > OM_SYS_LAST && d.arch == AUDIT_ARCH_X86_64)
				want = SECCOMP_RET_ERRNO | 38;
			got = om_cbpf_run(prog, prog_len, &d);
			if (got != want)
				fail_msg("%u(%llx, %llx, %llx): %08x, libseccomp says %08x", nr,
					 (unsigned long long)d.args[0],
					 (unsigned long long)d.args[1],
					 (unsigned long long)d.args[2], got, want);
			compared++;
		}
	}
	print_message("# %u verdicts compared; %u instructions, libseccomp %u and %u\n", compared,
		      prog_len, allow.count, deny.count);
	free(allow.insns);
	free(deny.insns);
}

/* --- what the profile says, by hand --- */

#define NOTIFY SECCOMP_RET_USER_NOTIF
#define ALLOW  SECCOMP_RET_ALLOW
#define DONE   SECCOMP_RET_ERRNO
#define NOSYS  (SECCOMP_RET_ERRNO | 38u)
#define VERDICT(want, nr, ...) \
	assert_int_equal(run(AUDIT_ARCH_X86_64, (uint32_t)(nr), (uint64_t[6]){__VA_ARGS__}), want)

static void dangerous_arguments_are_denied(void **state)
{
	struct om_ir ir = {.layers = OM_LAYER_ALL};
	struct om_sys_set set;

	generate(&ir, &set);
	VERDICT(DONE, 160, RLIMIT_CORE, 1);
	VERDICT(ALLOW, 160, RLIMIT_NOFILE, 1);
	VERDICT(DONE, 302, 0, RLIMIT_CORE, 1);
	VERDICT(DONE, 302, 0, RLIMIT_CORE, 1ull << 32);
	VERDICT(DONE, 302, 1ull << 32, (7ull << 32) | RLIMIT_CORE, 1, 1);
	VERDICT(NOTIFY, 302, 7, RLIMIT_CORE, 1);
	VERDICT(ALLOW, 302, 7, RLIMIT_CORE, 0, 1);
	VERDICT(ALLOW, 302, 0, RLIMIT_CORE, 0, 1);
	VERDICT(ALLOW, 302, 0, RLIMIT_NOFILE, 1, 1);
	VERDICT(ALLOW, 41, AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	VERDICT(ALLOW, 41, AF_INET6, SOCK_DGRAM | SOCK_NONBLOCK, 17);
	VERDICT(ALLOW, 41, AF_UNIX, SOCK_SEQPACKET, 0);
	VERDICT(NOTIFY, 41, AF_INET, SOCK_RAW, 0);
	VERDICT(NOTIFY, 41, AF_INET, SOCK_RAW | SOCK_CLOEXEC, 1);
	VERDICT(NOTIFY, 41, AF_INET, SOCK_DGRAM, 1);	/* ping */
	VERDICT(NOTIFY, 41, AF_INET, SOCK_STREAM, 132); /* SCTP */
	VERDICT(NOTIFY, 41, AF_INET, SOCK_STREAM, 262); /* MPTCP */
	VERDICT(NOTIFY, 41, AF_NETLINK, SOCK_RAW, 0);
	VERDICT(NOTIFY, 41, AF_PACKET, SOCK_DGRAM, 0);
	VERDICT(NOTIFY, 41, AF_VSOCK, SOCK_STREAM, 0);
	VERDICT(NOTIFY, 41, 38 /* AF_ALG */, SOCK_SEQPACKET, 0);
	VERDICT(ALLOW, 41, 0xffffffff00000002, SOCK_STREAM, 0); /* the kernel takes an int */
	VERDICT(NOTIFY, 16, 0, 0x5412);
	VERDICT(NOTIFY, 16, 0, 0x100005412); /* CVE-2019-10063 */
	VERDICT(NOTIFY, 16, 0, 0x541c);
	VERDICT(ALLOW, 16, 0, 0x5413);
	VERDICT(ALLOW, 56, 0x1200011);
	VERDICT(ALLOW, 56, 0x3d0f00);
	VERDICT(NOTIFY, 56, CLONE_NEWUSER | 17);
	VERDICT(NOTIFY, 56, CLONE_NEWNS);
	VERDICT(NOTIFY, 9, 0, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE, 3);
	VERDICT(NOTIFY, 9, 0, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS);
	VERDICT(ALLOW, 9, 0, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, 3);
	VERDICT(NOTIFY, 10, 0, 4096, PROT_READ | PROT_EXEC);
	VERDICT(ALLOW, 10, 0, 4096, PROT_READ | PROT_WRITE);
	VERDICT(NOTIFY, 157, 22); /* PR_SET_SECCOMP */
	VERDICT(NOTIFY, 157, 35); /* PR_SET_MM */
	VERDICT(ALLOW, 157, 15);
	VERDICT(NOTIFY, 158, 0x1012);
	VERDICT(ALLOW, 158, 0x1002);
	VERDICT(NOSYS, 435);
	VERDICT(NOSYS, OM_SYS_LAST + 1);
	VERDICT(NOTIFY, 400);
	VERDICT(SECCOMP_RET_KILL_PROCESS, OM_SYS_X32_BIT);
	VERDICT(SECCOMP_RET_KILL_PROCESS, UINT32_MAX);
	assert_int_equal(run(AUDIT_ARCH_I386, 11, (uint64_t[6]){0}), SECCOMP_RET_KILL_PROCESS);
}

static void dangerous_calls_are_denied(void **state)
{
	static const char *const names[] = {
		"ptrace",
		"process_vm_readv",
		"process_vm_writev",
		"bpf",
		"perf_event_open",
		"mount",
		"umount2",
		"move_mount",
		"open_tree",
		"fsopen",
		"fsmount",
		"fsconfig",
		"fspick",
		"mount_setattr",
		"pivot_root",
		"chroot",
		"setns",
		"unshare",
		"add_key",
		"request_key",
		"keyctl",
		"init_module",
		"finit_module",
		"delete_module",
		"kexec_load",
		"kexec_file_load",
		"reboot",
		"swapon",
		"swapoff",
		"acct",
		"settimeofday",
		"clock_settime",
		"adjtimex",
		"io_uring_setup",
		"io_uring_enter",
		"io_uring_register",
		"userfaultfd",
		"memfd_secret",
		"name_to_handle_at",
		"open_by_handle_at",
		"modify_ldt",
		"remap_file_pages",
		"vmsplice",
		"personality",
		"fanotify_init",
		"pidfd_getfd",
		"quotactl",
		"syslog",
		"iopl",
		"ioperm",
		"seccomp",
		"kcmp",
		"migrate_pages",
		"move_pages",
		"process_madvise",
		"statmount",
		"listmount",
	};
	struct om_ir ir = {.layers = OM_LAYER_ALL};
	struct om_sys_set set;

	generate(&ir, &set);
	for (size_t i = 0; i < OM_ARRAY_LEN(names); i++) {
		int nr = om_sys_nr(names[i]);

		assert_true(nr >= 0);
		VERDICT(NOTIFY, nr, 0);
	}
}

static void grants_and_layers_change_it(void **state)
{
	struct om_grant g = {.kind = OM_GRANT_SYSCALL, .syscall = {"mlock2", 325}};
	struct om_ir ir = {.layers = OM_LAYER_ALL};
	struct om_sys_set set;

	generate(&ir, &set);
	VERDICT(NOTIFY, 325, 0);
	VERDICT(ALLOW, 319, 0); /* memfd_create: BPF-LSM keeps it from being executed */
	ir.grants = &g;
	ir.count = 1;
	ir.layers = OM_LAYER_PROCESS;
	generate(&ir, &set);
	VERDICT(ALLOW, 325, 0);
	VERDICT(NOTIFY, 319, 0);
	ir.write_exec = true;
	generate(&ir, &set);
	VERDICT(ALLOW, 319, 0);
	VERDICT(ALLOW, 9, 0, 4096, 7, 0x22);
}

/* The capability, the filter and libseccomp mean the same call by the same name. */
static void names_and_numbers_agree(void **state)
{
	for (int nr = 0; nr <= OM_SYS_LAST; nr++) {
		const char *name = om_sys_name(nr);
		enum om_sys_action a = om_sys_base(nr);
		int theirs;

		if (!name)
			continue;
		if (om_profile_allows(name) != (a == OM_SYS_ALLOW || a == OM_SYS_RULE))
			fail_msg("%s (%d): the capability says otherwise", name, nr);
		theirs = seccomp_syscall_resolve_name_arch(SCMP_ARCH_X86_64, name);
		if (theirs >= 0)
			assert_int_equal(theirs, nr);
		assert_int_equal(a == OM_SYS_RULE, om_sys_rule(nr) != NULL);
	}
}

/* "May it call NAME at all?" is asked with arguments that the rule allows. */
static void examples_are_allowed(void **state)
{
	struct om_ir ir = {.layers = OM_LAYER_ALL};
	struct om_sys_set set;

	generate(&ir, &set);
	for (int nr = 0; nr <= OM_SYS_LAST; nr++) {
		const struct om_sys_rule *r = om_sys_rule(nr);

		if (r)
			assert_int_equal(run(AUDIT_ARCH_X86_64, (uint32_t)nr, r->example), ALLOW);
	}
}

/* Without BPF-LSM nothing else stands before a set-user-id file in a tree of the host's. */
static void modes_without_the_kernel_layer(void **state)
{
	static const struct {
		uint32_t nr;
		uint64_t args[6];
	} bad[] = {
		{2, {0, 0101, 04755}}, {257, {0, 0, 0101, 02755}}, {257, {0, 0, 020200001, 04755}},
		{85, {0, 04755}},      {90, {0, 04755}},	   {91, {0, 02755}},
		{133, {0, 0104755}},   {259, {0, 0, 0104755}},	   {268, {0, 0, 04755}},
		{452, {0, 0, 04755}},
	};
	static const uint64_t plain[6] = {0, 0, 0, 04755};
	struct om_ir ir = {.layers = OM_LAYER_PROCESS | OM_LAYER_NETWORK};
	struct om_sys_set set;

	generate(&ir, &set);
	for (size_t i = 0; i < OM_ARRAY_LEN(bad); i++)
		assert_int_not_equal(run(AUDIT_ARCH_X86_64, bad[i].nr, bad[i].args), ALLOW);
	/* A mode that no file is made with is nobody's. */
	assert_int_equal(run(AUDIT_ARCH_X86_64, 257, plain), ALLOW);
	assert_int_equal(om_sys_decide(&set, AUDIT_ARCH_X86_64, 437, plain), OM_SYS_ENOSYS);
	ir.layers = OM_LAYER_ALL;
	generate(&ir, &set);
	for (size_t i = 0; i < OM_ARRAY_LEN(bad); i++)
		assert_int_equal(run(AUDIT_ARCH_X86_64, bad[i].nr, bad[i].args), ALLOW);
}

static void interpreter_trusts_no_program(void **state)
{
	struct seccomp_data d = {0};
	struct om_b_insn bad[] = {{BPF_LD | BPF_W | BPF_ABS, 0, 0, 64},
				  {BPF_RET | BPF_K, 0, 0, ALLOW}};
	struct om_b_insn off[] = {{BPF_JMP | BPF_JA, 0, 0, UINT32_MAX}};
	struct om_b_insn odd[] = {{BPF_ST, 0, 0, 0}, {BPF_RET | BPF_K, 0, 0, ALLOW}};

	assert_int_equal(om_cbpf_run(bad, 2, &d), SECCOMP_RET_KILL_PROCESS);
	assert_int_equal(om_cbpf_run(off, 1, &d), SECCOMP_RET_KILL_PROCESS);
	assert_int_equal(om_cbpf_run(odd, 2, &d), SECCOMP_RET_KILL_PROCESS);
	assert_int_equal(om_cbpf_run(NULL, 0, &d), SECCOMP_RET_KILL_PROCESS);
}

static void too_small_a_buffer_is_an_error(void **state)
{
	struct om_ir ir = {.layers = OM_LAYER_ALL};
	struct om_sys_set set;
	struct om_err err = {0};
	uint32_t n = 1;

	om_sys_set_init(&set, &ir);
	assert_true(om_seccomp_generate(&set, prog, 50, &n, &err) < 0);
	assert_int_equal(err.id, OM_ERR_SECCOMP_EMIT);
	assert_int_equal(n, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(filter_is_the_profile),
		cmocka_unit_test(filter_of_any_set_is_the_set),
		cmocka_unit_test(long_jumps_land),
		cmocka_unit_test(filter_agrees_with_libseccomp),
		cmocka_unit_test(dangerous_arguments_are_denied),
		cmocka_unit_test(dangerous_calls_are_denied),
		cmocka_unit_test(grants_and_layers_change_it),
		cmocka_unit_test(names_and_numbers_agree),
		cmocka_unit_test(examples_are_allowed),
		cmocka_unit_test(modes_without_the_kernel_layer),
		cmocka_unit_test(interpreter_trusts_no_program),
		cmocka_unit_test(too_small_a_buffer_is_an_error),
	};

	return cmocka_run_group_tests_name("seccomp", tests, NULL, NULL);
}
