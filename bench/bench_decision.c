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

#define PORT 9 /* discard; nobody listens */

struct op {
	const char *what;
	const char *prog; /* whose cost is reported */
	int (*fn)(const char *arg);
	const char *arg;
	bool inside, succeeds; /* what fails ends early: its time says nothing */
};

static struct om_bpf *bpf;
static struct om_slot slot;
static char dir[64], bpffs[64], parent[300], brane_cg[310], paths[5][256];
static int parent_fd = -1;
static uint32_t layers;
static unsigned long ops, runs;
static double floor_ns;

/* --- operations --- */

static int open_close(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd >= 0)
		close(fd);
	return fd < 0 ? -errno : 0;
}

static int send_udp(const char *addr)
{
	static int fd = -1;
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(PORT)};

	if (fd < 0)
		fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	inet_pton(AF_INET, addr, &to.sin_addr);
	return sendto(fd, "x", 1, MSG_DONTWAIT, (struct sockaddr *)&to, sizeof(to)) < 0 ? -errno
											: 0;
}

static int connect_udp(const char *addr)
{
	static int fd = -1;
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(PORT)};

	if (fd < 0)
		fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	inet_pton(AF_INET, addr, &to.sin_addr);
	return connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0 ? -errno : 0;
}

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

	snprintf(path, sizeof(path), "%s/v%u/%s", bpffs, OM_ABI_VERSION, name);
	OM_CLEANUP(om_close_fd) int fd = bpf_obj_get(path);

	if (fd < 0 || bpf_obj_get_info_by_fd(fd, &link, &len))
		bench_die(path, NULL);
	OM_CLEANUP(om_close_fd) int prog = bpf_prog_get_fd_by_id(link.prog_id);

	if (prog < 0)
		bench_die(name, NULL);
	return usage_of(prog);
}

/* --- a round --- */

static void enter(const char *cgroup)
{
	char path[340];
	int fd;

	snprintf(path, sizeof(path), "%s/cgroup.procs", cgroup);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, "0", 1) != 1)
		bench_die(path, NULL);
	close(fd);
}

static double cpu_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Seconds of processor time that a single operation took in a child. */
static double loop(const struct op *op, const char *cgroup)
{
	double took = 0;
	int p[2];
	pid_t pid;

	if (pipe2(p, O_CLOEXEC) < 0 || (pid = fork()) < 0)
		bench_die("fork", NULL);
	if (!pid) {
		if (cgroup)
			enter(cgroup);
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
		bench_add(&s, loop(op, NULL));
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

static void measure_empty(const struct op *op, const char *cgroup)
{
	bool lsm = layers & OM_LAYER_KERNEL;
	struct bench_samples *s = calloc(1, sizeof(*s));
	OM_CLEANUP(om_close_fd)
	int prog = lsm ? load_empty(BPF_PROG_TYPE_LSM, BPF_LSM_MAC, 0)
		       : load_empty(BPF_PROG_TYPE_CGROUP_SOCK_ADDR, BPF_CGROUP_INET4_CONNECT, 1);
	OM_CLEANUP(om_close_fd)
	int link = prog < 0 ? -1
		   : lsm    ? bpf_raw_tracepoint_open(NULL, prog)
			    : bpf_link_create(prog, parent_fd, BPF_CGROUP_INET4_CONNECT, NULL);

	if (link < 0 || !s)
		bench_die("the empty program", NULL);
	for (unsigned long i = 0; i < runs; i++) {
		struct usage before = usage_of(prog);

		loop(op, cgroup);
		struct usage after = usage_of(prog);

		bench_add(s, (double)(after.ns - before.ns) / (double)(after.count - before.count));
	}
	floor_ns = bench_at(s, 0.5);
	printf("| empty program | - | - | %.0f | %.0f | %.0f | 0 | 1.00 | - |\n", floor_ns,
	       bench_at(s, 0.1), bench_at(s, 0.9));
	free(s);
}

/* --- policies --- */

static struct om_bundle addresses(uint32_t n, uint8_t **data)
{
	struct om_b_egress *e = calloc(n, sizeof(*e));
	struct om_b_grant g = {.line = 1};
	struct om_b_meta meta = {0};
	static const uint8_t id[32];
	struct om_bundle_w *w;
	struct om_bundle b;
	struct om_err err;
	size_t len;

	for (uint32_t i = 0; e && i < n; i++) {
		e[i].addr[10] = e[i].addr[11] = 0xff;
		e[i].addr[12] = 127;
		e[i].addr[14] = (uint8_t)(i >> 8);
		e[i].addr[15] = (uint8_t)(i + 1);
		e[i].bits = 128;
		e[i].proto = OM_PROTO_UDP;
		e[i].port = PORT;
	}
	/* Sorted, as the bundle asks: the last byte wraps within each third byte. */
	for (uint32_t i = 255; e && i < n; i += 256)
		e[i].addr[15] = 255, e[i].port = PORT + 1;
	if (om_bundle_w_new(&w, &err) || om_bundle_w_str(w, "t", &meta.name, &err) ||
	    om_bundle_w_str(w, "/", &meta.workdir, &err) ||
	    om_bundle_w_str(w, "g", &g.text, &err) ||
	    om_bundle_w_add(w, OM_SEC_META, &meta, 1, &err) ||
	    om_bundle_w_add(w, OM_SEC_GRANTS, &g, 1, &err) ||
	    om_bundle_w_add(w, OM_SEC_EGRESS, e, n, &err) ||
	    om_bundle_w_finish(w, id, data, &len, &err) || om_bundle_open(*data, len, &b, &err))
		bench_die("bundle", &err);
	om_bundle_w_free(w);
	free(e);
	return b;
}

/* GRANTS objects, of which the first is the directory that holds the granted files. */
static void publish(struct om_slot *s, uint32_t grants)
{
	struct om_resolved *objs = calloc(grants, sizeof(*objs));
	uint32_t old = s->policy;
	uint8_t *data = NULL;
	struct om_bundle b = addresses(grants, &data);
	struct om_err err;

	if (!objs)
		bench_die("objects", NULL);
	for (uint32_t i = 0; i < grants; i++) {
		objs[i].key = (struct om_object_key){.dev = 7, .ino = 1000 + i};
		objs[i].val.self = objs[i].val.tree = OM_MAY_READ;
	}
	if (layers & OM_LAYER_KERNEL) {
		char top[80];

		snprintf(top, sizeof(top), "%s/granted", dir);
		OM_CLEANUP(om_close_fd) int fd = open(top, O_PATH | O_CLOEXEC);

		if (om_bpf_object_key(bpf, fd, &objs[0].key, &err))
			bench_die(top, &err);
	}
	if (om_bpf_policy_new(bpf, objs, grants, &s->policy, &err) ||
	    om_bpf_policy_fill(bpf, s->policy, &b, objs, grants, &err) ||
	    om_bpf_brane_publish(bpf, s, &err) || (old && om_bpf_policy_drop(bpf, old, &err)))
		bench_die("policy", &err);
	free(objs);
	free(data);
}

/* --- the rows --- */

static void row(const struct op *op, uint32_t grants, uint32_t branes, double bare)
{
	static struct bench_samples one, took;

	one.n = took.n = 0;
	for (unsigned long i = 0; i < runs; i++) {
		struct usage a = usage(op->prog);

		bench_add(&took, loop(op, op->inside ? brane_cg : NULL));
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
	static const uint32_t shapes[][2] = {{1, 1}, {100, 1}, {10000, 1}, {100, 100}};

	for (size_t k = 0; k < OM_ARRAY_LEN(shapes); k++) {
		for (uint32_t i = 1; i < shapes[k][1]; i++) {
			struct om_slot other = {.flags = slot.flags, .cgid = 1ull << 40 | i};
			struct om_err err;

			if (om_bpf_brane_new(bpf, &other.brane, &err))
				bench_die("brane", &err);
			publish(&other, shapes[k][0]);
		}
		publish(&slot, shapes[k][0]);
		for (size_t i = 0; i < n; i++)
			row(&list[i], shapes[k][0], shapes[k][1], bare[i]);
	}
}

/* --- setting up --- */

static void make_tree(void)
{
	static const struct {
		const char *top;
		int depth;
	} files[] = {{"granted", 2}, {"granted", 6}, {"granted", 16}, {"other", 6}};

	for (size_t i = 0; i < OM_ARRAY_LEN(files); i++) {
		size_t at =
			(size_t)snprintf(paths[i], sizeof(paths[i]), "%s/%s", dir, files[i].top);

		(void)mkdir(paths[i], 0755);
		for (int d = 1; d < files[i].depth; d++) {
			at += (size_t)snprintf(paths[i] + at, sizeof(paths[i]) - at, "/d%d", d);
			(void)mkdir(paths[i], 0755);
		}
		snprintf(paths[i] + at, sizeof(paths[i]) - at, "/file");
		close(open(paths[i], O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
	}
}

static uint64_t make_cgroup(const char *path)
{
	struct stat st;

	if (mkdir(path, 0755) < 0 || stat(path, &st) < 0)
		bench_die(path, NULL);
	return st.st_ino;
}

static uint64_t set_up(void)
{
	const char *base = getenv("OMEGA_BENCH_DIR");
	struct stat st;
	const char *root = stat("/sys/fs/cgroup/unified", &st) == 0 ? "/sys/fs/cgroup/unified"
								    : "/sys/fs/cgroup";

	snprintf(dir, sizeof(dir), "%.40s/omega-bench-XXXXXX", base ? base : "/tmp");
	if (!mkdtemp(dir) || chmod(dir, 0755) < 0)
		bench_die(dir, NULL);
	make_tree();
	(void)mount("bpf", "/sys/fs/bpf", "bpf", 0, "mode=0700");
	snprintf(bpffs, sizeof(bpffs), "/sys/fs/bpf/omega-bench-%d", getpid());
	snprintf(parent, sizeof(parent), "%s/omega-bench-%d", root, getpid());
	snprintf(brane_cg, sizeof(brane_cg), "%s/b", parent);
	uint64_t id = make_cgroup(parent);

	slot.cgid = make_cgroup(brane_cg);
	parent_fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return id;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	return remove(path);
}

static void tear_down(void)
{
	struct om_err err;

	om_bpf_free(bpf);
	if (om_bpf_unload(bpffs, &err) < 0)
		fprintf(stderr, "%s\n", err.text);
	close(parent_fd);
	rmdir(brane_cg);
	rmdir(parent);
	nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

int main(int argc, char **argv)
{
	const char *names = argc > 1 ? argv[1] : "network";
	bool lsm = strstr(names, "kernel") != NULL;
	const struct op file_ops[] = {
		{"open, granted, 2 deep", "om_file_open", open_close, paths[0], true, true},
		{"open, granted, 6 deep", "om_file_open", open_close, paths[1], true, true},
		{"open, granted, 16 deep", "om_file_open", open_close, paths[2], true, true},
		{"open, denied and recorded, 6 deep", "om_file_open", open_close, paths[3], true},
		{"open by a task outside every brane", "om_file_open", open_close, paths[1], false,
		 true},
		{"connect, granted, BPF-LSM", "om_socket_connect", connect_udp, "127.0.0.1", true,
		 true},
		{"connect, granted, cgroup BPF", "om_connect4", connect_udp, "127.0.0.1", true,
		 true},
	};
	const struct op net_ops[] = {
		{"connect, granted", "om_connect4", connect_udp, "127.0.0.1", true, true},
		{"connect, denied and recorded", "om_connect4", connect_udp, "10.9.9.9", true},
		{"connect by a task outside every brane", "om_connect4", connect_udp, "127.0.0.1",
		 false, true},
		{"packet out, granted", "om_egress_skb", send_udp, "127.0.0.1", true},
	};
	const struct op *list = lsm ? file_ops : net_ops;
	size_t n = lsm ? OM_ARRAY_LEN(file_ops) : OM_ARRAY_LEN(net_ops);
	double bare[8];
	struct om_bpf_opts o = {.bpffs = bpffs, .cgroup_level = 2};
	struct om_err err = {0};
	uint32_t got;

	ops = bench_env("OMEGA_BENCH_OPS", 2000);
	runs = bench_env("OMEGA_BENCH_RUNS", 7);
	layers = OM_LAYER_NETWORK | (lsm ? OM_LAYER_KERNEL : 0);
	slot.flags = OM_SLOT_NETWORK | (lsm ? OM_SLOT_KERNEL : 0);
	o.parent_cgid = set_up();
	o.parent_fd = parent_fd;
	o.layers = layers;
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
	measure_empty(&list[0], brane_cg);
	if (om_bpf_open(&o, &bpf, &got, &err) < 0 || got != layers ||
	    om_bpf_brane_new(bpf, &slot.brane, &err))
		bench_die("loading", &err);
	rows(list, n, bare);
	tear_down();
	return 0;
}
