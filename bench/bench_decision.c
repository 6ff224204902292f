/*
 * What one decision costs, by the kernel's own account of program run time.
 *
 * Comes in: argv: the layers ("network", "kernel,network"); OMEGA_BENCH_OPS operations a round (2000),
 * OMEGA_BENCH_RUNS rounds (7). Goes out: Markdown tables. Called by: bench/run, natively and in a VM.
 * Never does: compare figures of two machines: every row is divided by an empty program of the same run.
 *
 * BPF statistics (run_time_ns / run_cnt) are switched on; a loop of real operations runs in a child
 * inside a brane, or outside every brane. Policies are made by hand: "10,000 grants" are that many
 * objects and that many addresses under one policy.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <loader/bpf.h>
#include "bench/lib/bench.h"
#include "bench/lib/ops.h"
#include "bench/lib/pins.h"

#define BRANE "b"

static struct pins pins;
static struct om_slot slot;
static unsigned long ops, runs;
static double floor_ns;

/* --- programs and their statistics --- */

struct usage {
	uint64_t ns, count;
};

static struct usage usage_of(int prog)
{
	struct bpf_prog_info info = {0};
	uint32_t len = sizeof(info);

	if (bpf_obj_get_info_by_fd(prog, &info, &len))
		bench_die("program info", NULL);
	return (struct usage){info.run_time_ns, info.run_cnt};
}

/* Of our own program, found by its pin: others on this host may bear the same name. */
static struct usage usage(const char *name)
{
	struct bpf_link_info link = {0};
	uint32_t len = sizeof(link);
	char path[128];

	snprintf(path, sizeof(path), "%s/v%u/%s", pins.bpffs, OM_ABI_VERSION, name);
	OM_CLEANUP(om_close_fd) int fd = bpf_obj_get(path);

	if (fd < 0 || bpf_obj_get_info_by_fd(fd, &link, &len))
		bench_die(path, NULL);
	OM_CLEANUP(om_close_fd) int prog = bpf_prog_get_fd_by_id(link.prog_id);

	if (prog < 0)
		bench_die(name, NULL);
	return usage_of(prog);
}

/* --- a round --- */

static double cpu_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Seconds of processor time that a single operation took in a child. */
static double loop(const struct op *op, bool inside)
{
	double took = 0;
	int p[2];
	pid_t pid;

	if (pipe2(p, O_CLOEXEC) < 0 || (pid = fork()) < 0)
		bench_die("fork", NULL);
	if (!pid) {
		if (inside)
			pins_enter(&pins, BRANE);
		(void)op->fn(op->arg);
		double t = cpu_now();

		for (unsigned long i = 0; i < ops; i++)
			(void)op->fn(op->arg);
		t = (cpu_now() - t) / (double)ops;
		_exit(write(p[1], &t, sizeof(t)) != (ssize_t)sizeof(t));
	}
	close(p[1]);
	if (read(p[0], &took, sizeof(took)) != (ssize_t)sizeof(took))
		bench_die(op->what, NULL);
	close(p[0]);
	waitpid(pid, NULL, 0);
	return took;
}

static double without(const struct op *op)
{
	static struct bench_samples s;

	s.n = 0;
	for (unsigned long i = 0; i < runs; i++)
		bench_add(&s, loop(op, false));
	return bench_at(&s, 0.5);
}

/* --- the empty program --- */

static int load_empty(enum bpf_prog_type type, enum bpf_attach_type attach, int ret)
{
	const struct bpf_insn insns[] = {
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = ret},
		{.code = BPF_JMP | BPF_EXIT},
	};
	LIBBPF_OPTS(bpf_prog_load_opts, o, .expected_attach_type = attach);

	if (type == BPF_PROG_TYPE_LSM) {
		int id = libbpf_find_vmlinux_btf_id("file_open", BPF_LSM_MAC);

		o.attach_btf_id = id > 0 ? (uint32_t)id : 0;
	}
	return bpf_prog_load(type, "bench_empty", "GPL", insns, OM_ARRAY_LEN(insns), &o);
}

static void measure_empty(const struct op *op)
{
	bool lsm = pins.layers & OM_LAYER_KERNEL;
	struct bench_samples *s = calloc(1, sizeof(*s));
	OM_CLEANUP(om_close_fd)
	int prog = lsm ? load_empty(BPF_PROG_TYPE_LSM, BPF_LSM_MAC, 0)
		       : load_empty(BPF_PROG_TYPE_CGROUP_SOCK_ADDR, BPF_CGROUP_INET4_CONNECT, 1);
	OM_CLEANUP(om_close_fd)
	int link = prog < 0 ? -1
		   : lsm    ? bpf_raw_tracepoint_open(NULL, prog)
			    : bpf_link_create(prog, pins.parent_fd, BPF_CGROUP_INET4_CONNECT, NULL);

	if (link < 0 || !s)
		bench_die("the empty program", NULL);
	for (unsigned long i = 0; i < runs; i++) {
		struct usage before = usage_of(prog);

		loop(op, true);
		struct usage after = usage_of(prog);

		bench_add(s, (double)(after.ns - before.ns) / (double)(after.count - before.count));
	}
	floor_ns = bench_at(s, 0.5);
	printf("| empty program | - | - | %.0f | %.0f | %.0f | 0 | 1.00 | - |\n", floor_ns,
	       bench_at(s, 0.1), bench_at(s, 0.9));
	free(s);
}

/* --- policies --- */

static struct om_b_egress *addresses(uint32_t n)
{
	struct om_b_egress *e = calloc(n, sizeof(*e));

	for (uint32_t i = 0; e && i < n; i++) {
		e[i].addr[10] = e[i].addr[11] = 0xff;
		e[i].addr[12] = 127;
		e[i].addr[14] = (uint8_t)(i >> 8);
		e[i].addr[15] = (uint8_t)(i + 1);
		e[i].bits = 128;
		e[i].proto = OM_PROTO_UDP;
		e[i].port = OPS_PORT;
	}
	/* Sorted, as the bundle asks: the last byte wraps within each third byte. */
	for (uint32_t i = 255; e && i < n; i += 256)
		e[i].addr[15] = 255, e[i].port = OPS_PORT + 1;
	return e;
}

/* GRANTS objects, of which the first is the directory that holds the granted files. */
static void publish(struct om_slot *s, uint32_t grants)
{
	struct om_resolved *objs = calloc(grants, sizeof(*objs));
	struct pins_parts parts = {.egress = addresses(grants), .egress_n = grants};
	struct om_err err = {0};
	struct om_bundle b;
	uint8_t *data = NULL;

	if (!objs || !parts.egress)
		bench_die("objects", NULL);
	for (uint32_t i = 0; i < grants; i++) {
		objs[i].key = (struct om_object_key){.dev = 7, .ino = 1000 + i};
		objs[i].val.self = objs[i].val.tree =
			OM_MAY_READ | OM_MAY_WRITE | OM_MAY_EXEC | OM_MAY_CREATE | OM_MAY_REMOVE;
	}
	if (pins.layers & OM_LAYER_KERNEL) {
		char top[80];

		snprintf(top, sizeof(top), "%s/granted", pins.dir);
		OM_CLEANUP(om_close_fd) int fd = open(top, O_PATH | O_CLOEXEC);

		if (om_bpf_object_key(pins.bpf, fd, &objs[0].key, &err))
			bench_die(top, &err);
	}
	b = pins_bundle(&parts, &data);
	pins_publish(&pins, s, &b, objs, grants);
	free(objs);
	free(data);
	free((void *)parts.egress);
}

/* --- the rows --- */

static void row(const struct op *op, uint32_t grants, uint32_t branes, double bare)
{
	static struct bench_samples one, took;

	one.n = took.n = 0;
	for (unsigned long i = 0; i < runs; i++) {
		struct usage a = usage(op->prog);

		bench_add(&took, loop(op, op->inside));
		struct usage b = usage(op->prog);

		if (b.count > a.count)
			bench_add(&one, (double)(b.ns - a.ns) / (double)(b.count - a.count));
	}
	double m = bench_at(&one, 0.5);

	if (one.n)
		printf("| %s | %u | %u | %.0f | %.0f | %.0f | %.0f | %.2f | ", op->what, grants,
		       branes, m, bench_at(&one, 0.1), bench_at(&one, 0.9), m - floor_ns,
		       m / floor_ns);
	else
		printf("| %s | %u | %u | not run | | | 0 | 0 | ", op->what, grants, branes);
	if (op->succeeds)
		printf("%.2f |\n", bench_at(&took, 0.5) / bare);
	else
		printf("- |\n");
	fflush(stdout);
}

static void rows(const struct op *list, size_t n, const double *bare)
{
	static const uint32_t shapes[][2] = {{1, 1}, {100, 1}, {10000, 1}, {100, 1000}};

	for (size_t k = 0; k < OM_ARRAY_LEN(shapes); k++) {
		for (uint32_t i = 1; i < shapes[k][1]; i++) {
			struct om_slot other = {.flags = slot.flags, .cgid = 1ull << 40 | i};

			publish(&other, shapes[k][0]);
		}
		publish(&slot, shapes[k][0]);
		for (size_t i = 0; i < n; i++)
			row(&list[i], shapes[k][0], shapes[k][1], bare[i]);
	}
}

int main(int argc, char **argv)
{
	const char *names = argc > 1 ? argv[1] : "network";
	bool lsm = strstr(names, "kernel") != NULL;
	size_t n;
	const struct op *list = ops_list(lsm, &n);
	double bare[OPS_MAX];

	ops = bench_env("OMEGA_BENCH_OPS", 2000);
	runs = bench_env("OMEGA_BENCH_RUNS", 7);
	slot.flags = OM_SLOT_NETWORK | (lsm ? OM_SLOT_KERNEL | OM_SLOT_VIEW : 0);
	pins_prepare(&pins, OM_LAYER_NETWORK | (lsm ? OM_LAYER_KERNEL : 0));
	slot.cgid = pins_cgroup(&pins, BRANE);
	if (ops_make(pins.dir))
		bench_die(pins.dir, NULL);
	if (bpf_enable_stats(BPF_STATS_RUN_TIME) < 0)
		bench_die("BPF statistics", NULL);
	printf("\n### One decision, layers %s, %lu rounds of %lu operations\n\n| operation | "
	       "grants | "
	       "branes | median, ns | p10 | p90 | less empty, ns | to empty | operation to the "
	       "same "
	       "without Omega |\n|---|---|---|---|---|---|---|---|---|\n",
	       names, runs, ops);
	for (size_t i = 0; i < n; i++)
		bare[i] = without(&list[i]);
	measure_empty(&list[0]);
	pins_open(&pins);
	rows(list, n, bare);
	pins_done(&pins);
	return 0;
}
