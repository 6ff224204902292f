/*
 * One decision natively, by its own code: scope and walk of bpf/lib/ beside the shapes of other agents.
 *
 * Comes in: OMEGA_BENCH_RUNS rounds (9), OMEGA_BENCH_OPS decisions a run (20000), OMEGA_BENCH_DIR. Goes
 * out: one Markdown table. Called by: bench/run. The programs are bench/core.bpf.c, loaded with maps of
 * their own; nothing of an installed agent is touched, nothing is attached or pinned. Never does: compare
 * with a figure of another run: every row is run in every round, by turns.
 */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <omega/abi/filter.h>
#include <omega/abi/policy.h>
#include <omega/limits.h>
#include "bench/lib/bench.h"
#include "bench/lib/core.h"
#include "bench_core.skel.h"

#define BRANE	 1u
#define POLICY	 1u
#define OPS_RING 1000ul /* recorded denials a run: the ring holds no more than 4,000 */
#define OPS_FILL 5000ul

enum place {
	AT_ROOT,   /* in the root cgroup */
	AT_BESIDE, /* as deep as a brane's cgroup, below another parent */
	AT_BRANE,
};

struct row {
	const char *what, *prog, *dir;
	enum place at;
	bool exact;	    /* under a policy that does not ask the filter */
	bool records, full; /* denied: into the ring; or with the ring full */
	struct bench_samples s;
};

static struct bench_core_bpf *core;
static struct ring_buffer *ring;
static char base[96], parent[3][192], cgroup[3][200];
static uint64_t cgid[3], parent_id;
static unsigned long ops, runs;

static struct row rows[] = {
	{.what = "an empty step", .prog = "empty"},
	{.what = "task outside, in the root cgroup", .prog = "scope"},
	{.what = "task outside, cgroup as deep as a brane's", .prog = "scope", .at = AT_BESIDE},
	{.what = "task inside: whose brane", .prog = "scope", .at = AT_BRANE},
	{.what = "granted, the object's own entry",
	 .prog = "decide",
	 .dir = "granted",
	 .at = AT_BRANE},
	{.what = "granted, 2 deep", .prog = "decide", .dir = "granted/1/2", .at = AT_BRANE},
	{.what = "granted, 6 deep", .prog = "decide", .dir = "granted/1/2/3/4/5/6", .at = AT_BRANE},
	{.what = "granted, 16 deep",
	 .prog = "decide",
	 .dir = "granted/1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16",
	 .at = AT_BRANE},
	{.what = "granted, 6 deep, policy with entries that take rights away",
	 .prog = "decide",
	 .dir = "granted/1/2/3/4/5/6",
	 .at = AT_BRANE,
	 .exact = true},
	{.what = "denied and recorded, 6 deep",
	 .prog = "decide",
	 .dir = "other/1/2/3/4/5/6",
	 .at = AT_BRANE,
	 .records = true},
	{.what = "denied, ring full: counted, 6 deep",
	 .prog = "decide",
	 .dir = "other/1/2/3/4/5/6",
	 .at = AT_BRANE,
	 .full = true},
	{.what = "shape: 400-byte path key, a hash look-up for each of 6 components",
	 .prog = "path_hash"},
	{.what = "shape: 64 rules scanned, the last one fits", .prog = "linear"},
	{.what = "shape: one prefix trie of path strings", .prog = "trie"},
};

/* --- the programs --- */

static int prog_fd(const char *name)
{
	struct bpf_program *p = bpf_object__find_program_by_name(core->obj, name);

	if (!p)
		bench_die(name, NULL);
	return bpf_program__fd(p);
}

static void run_prog(const char *name)
{
	LIBBPF_OPTS(bpf_test_run_opts, o);

	if (bpf_prog_test_run_opts(prog_fd(name), &o))
		bench_die(name, NULL);
}

static int map_fd(const char *name)
{
	int fd = bpf_object__find_map_fd_by_name(core->obj, name);

	if (fd < 0)
		bench_die(name, NULL);
	return fd;
}

static void put(const char *map, const void *key, const void *value)
{
	if (bpf_map_update_elem(map_fd(map), key, value, BPF_ANY))
		bench_die(map, NULL);
}

/* --- a run --- */

static void enter(const char *path)
{
	char procs[240];

	snprintf(procs, sizeof(procs), "%s/cgroup.procs", path);
	OM_CLEANUP(om_close_fd) int fd = open(procs, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, "0", 1) != 1)
		bench_die(procs, NULL);
}

/* In a child: a label in task storage cannot be taken off again. The arguments are shared memory. */
static struct core_args in_child(enum place at, const char *dir, const char *prog, unsigned long n)
{
	char path[256];
	int status = 1;
	pid_t pid;

	core->bss->core_args = (struct core_args){.n = (uint32_t)n};
	pid = fork();
	if (!pid) {
		snprintf(path, sizeof(path), "%s/%s", base, dir ? dir : "");
		if (chdir(path) < 0)
			bench_die(path, NULL);
		enter(cgroup[at]);
		run_prog(prog);
		_exit(0);
	}
	if (pid < 0 || waitpid(pid, &status, 0) < 0 || status)
		bench_die(prog, NULL);
	return core->bss->core_args;
}

static int ignore(void *ctx, void *data, size_t len)
{
	return 0;
}

/* How many denials of the measured brane went into the ring. */
static uint64_t recorded(void)
{
	uint32_t brane = BRANE;
	struct om_stat st;

	if (bpf_map_lookup_elem(map_fd("om_stats"), &brane, &st))
		bench_die("om_stats", NULL);
	return st.events;
}

/* The measured brane's slot: its policy exists twice, filtered and not. */
static void publish(bool exact)
{
	const struct om_slot slot = {.brane = BRANE,
				     .policy = exact ? POLICY | OM_POLICY_EXACT : POLICY,
				     .flags = OM_SLOT_KERNEL,
				     .cgid = cgid[AT_BRANE]};

	put("om_branes", &slot.brane, &slot);
}

static void run_row(struct row *r)
{
	unsigned long n = r->records ? OPS_RING : ops;
	bool granted = r->at == AT_BRANE && r->dir && !strncmp(r->dir, "granted", 7);
	struct core_args a;
	uint64_t before;

	if (r->records && ring_buffer__consume(ring) < 0)
		bench_die("ring", NULL);
	publish(r->exact);
	if (r->full)
		(void)in_child(r->at, r->dir, r->prog, OPS_FILL);
	before = recorded();
	a = in_child(r->at, r->dir, r->prog, n);
	if (recorded() - before != (r->records ? n : 0))
		bench_die("denials that were to be recorded were not", NULL);
	/* A figure of the wrong verdict is worth nothing. */
	if (r->at == AT_BRANE && r->dir && (a.sum != (granted ? 0 : n)))
		bench_die("a verdict is wrong", NULL);
	if (strcmp(r->prog, "scope") == 0 && a.sum != (r->at == AT_BRANE ? n : 0))
		bench_die("a scope is wrong", NULL);
	bench_add(&r->s, (double)a.ns / (double)n);
}

/* --- policies --- */

static struct om_object_key key_of(const char *dir)
{
	struct core_args a = in_child(AT_ROOT, dir, "where", 1);

	return (struct om_object_key){.policy = POLICY, .dev = a.dev, .ino = a.ino, .gen = a.gen};
}

static void grant(const struct om_object_key *key)
{
	const struct om_object_val val = {.self = OM_MAY_READ, .tree = OM_MAY_READ};
	uint32_t place = om_filter_place(om_filter_base(key->policy, key->dev), key->ino),
		 at = place >> 3;
	struct om_filter_word w;

	if (bpf_map_lookup_elem(map_fd("om_filter"), &at, &w))
		bench_die("om_filter", NULL);
	if (w.count[place & 7] < OM_FILTER_STUCK)
		w.count[place & 7]++;
	put("om_filter", &at, &w);
	put("om_objects", key, &val);
}

static void fill(uint32_t grants, uint32_t branes)
{
	struct om_object_key key = key_of("granted");
	uint32_t zero = 0;
	struct om_config cfg = {.abi = OM_ABI_VERSION, .cgroup_level = 2, .parent_cgid = parent_id};

	put("om_config", &zero, &cfg);
	key.policy |= OM_POLICY_EXACT;
	grant(&key);
	key.policy = POLICY;
	for (uint32_t b = 0; b < branes; b++) {
		struct om_slot slot = {.brane = BRANE + b,
				       .policy = POLICY + b,
				       .flags = OM_SLOT_KERNEL,
				       .cgid = b ? 1ull << 40 | b : cgid[AT_BRANE]};

		for (uint32_t i = 0; i < grants; i++) {
			struct om_object_key other = {.policy = slot.policy,
						      .dev = key.dev,
						      .ino = 1ull << 32 | (b * 131u + i),
						      .gen = i};

			grant(i || b ? &other : &key);
		}
		static const struct om_stat none; /* without a counter nothing is recorded */

		put("om_branes", &slot.brane, &slot);
		put("om_stats", &slot.brane, &none);
		put("om_cgroups", &slot.cgid, &slot.brane);
	}
}

/* The other shapes' tables: GRANTS strings that begin alike, as paths do. */
static void fill_shapes(uint32_t grants)
{
	static struct core_path p = {.text = "/srv/workload/data/region/tenant/object"};
	uint64_t one = 1;
	uint32_t at = 0, zero = 0;

	p.len = (uint32_t)strlen(p.text);
	for (uint32_t i = 1, n = 0; i <= p.len && n < CORE_PARTS; i++)
		if (p.text[i] == '/' || !p.text[i])
			p.ends[n++] = i;
	put("core_path", &zero, &p);
	for (uint32_t i = 0; i < grants; i++) {
		struct core_trie_key t = {0};
		char key[CORE_KEY] = {0};

		at = (uint32_t)snprintf(key, sizeof(key), i ? "/srv/workload/%u" : "/srv/workload",
					i);
		put("core_paths", key, &one);
		snprintf(t.text, sizeof(t.text), "%s/", key);
		t.bits = (at + 1) * 8;
		put("core_trie", &t, &one);
	}
	for (uint32_t i = 0; i < CORE_RULES; i++) {
		struct core_rule r = {0};

		snprintf(r.prefix, sizeof(r.prefix),
			 i + 1 < CORE_RULES ? "/srv/works%u/" : "/srv/workload/", i);
		put("core_rules", &i, &r);
	}
}

/* --- setting up --- */

static void make_cgroup(const char *path, uint64_t *id)
{
	struct stat st;

	if (mkdir(path, 0755) < 0 || stat(path, &st) < 0)
		bench_die(path, NULL);
	*id = st.st_ino;
}

static void set_up(void)
{
	const char *top = getenv("OMEGA_BENCH_DIR");
	struct stat st;
	const char *root = stat("/sys/fs/cgroup/unified", &st) == 0 ? "/sys/fs/cgroup/unified"
								    : "/sys/fs/cgroup";
	uint64_t id;

	snprintf(base, sizeof(base), "%.60s/omega-bench-XXXXXX", top ? top : "/tmp");
	if (!mkdtemp(base) || chmod(base, 0755) < 0)
		bench_die(base, NULL);
	for (int t = 0; t < 2; t++) {
		char path[256];
		size_t n = (size_t)snprintf(path, sizeof(path), "%s/%s", base,
					    t ? "other" : "granted");

		for (int i = 0; i <= 16; i++) {
			if (mkdir(path, 0755) < 0)
				bench_die(path, NULL);
			n += (size_t)snprintf(path + n, sizeof(path) - n, "/%d", i + 1);
		}
	}
	snprintf(cgroup[AT_ROOT], sizeof(cgroup[0]), "%s", root);
	for (int i = AT_BESIDE; i <= AT_BRANE; i++) {
		snprintf(parent[i], sizeof(parent[i]), "%s/omega-bench-%d-%d", root, getpid(), i);
		make_cgroup(parent[i], i == AT_BRANE ? &parent_id : &id);
		snprintf(cgroup[i], sizeof(cgroup[i]), "%s/b", parent[i]);
		make_cgroup(cgroup[i], &cgid[i]);
	}
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	return remove(path);
}

static void tear_down(void)
{
	for (int i = AT_BESIDE; i <= AT_BRANE; i++) {
		rmdir(cgroup[i]);
		rmdir(parent[i]);
	}
	nftw(base, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void load(uint32_t grants, uint32_t branes)
{
	struct bpf_map *map;

	core = bench_core_bpf__open();
	if (!core)
		bench_die("open", NULL);
	bpf_object__for_each_map(map, core->obj)(void) bpf_map__set_pin_path(map, NULL);
	if (bench_core_bpf__load(core))
		bench_die("load", NULL);
	fill(grants, branes);
	fill_shapes(grants);
	ring = ring_buffer__new(map_fd("om_events"), ignore, NULL, NULL);
	if (!ring)
		bench_die("ring", NULL);
}

static void table(uint32_t grants, uint32_t branes)
{
	double empty;

	load(grants, branes);
	for (size_t i = 0; i < OM_ARRAY_LEN(rows); i++)
		rows[i].s.n = 0;
	for (unsigned long k = 0; k < runs; k++)
		for (size_t i = 0; i < OM_ARRAY_LEN(rows); i++)
			run_row(&rows[i]);
	empty = bench_at(&rows[0].s, 0.5);
	for (size_t i = 0; i < OM_ARRAY_LEN(rows); i++)
		printf("| %s | %u | %u | %.1f | %.1f | %.1f |\n", rows[i].what, grants, branes,
		       bench_at(&rows[i].s, 0.5) - (i ? empty : 0),
		       bench_at(&rows[i].s, 0.1) - (i ? empty : 0),
		       bench_at(&rows[i].s, 0.9) - (i ? empty : 0));
	fflush(stdout);
	ring_buffer__free(ring);
	bench_core_bpf__destroy(core);
}

int main(void)
{
	static const uint32_t shapes[][2] = {{1, 1}, {100, 1}, {10000, 1}, {100, 1000}};

	ops = bench_env("OMEGA_BENCH_OPS", 20000);
	runs = bench_env("OMEGA_BENCH_RUNS", 9);
	set_up();
	printf("\n### The decision's code in a raw tracepoint program, %lu rounds of %lu\n\n"
	       "Nanoseconds, less the empty step.\n\n"
	       "| what | grants | branes | median | p10 | p90 |\n|---|---|---|---|---|---|\n",
	       runs, ops);
	for (size_t i = 0; i < OM_ARRAY_LEN(shapes); i++)
		table(shapes[i][0], shapes[i][1]);
	tear_down();
	return 0;
}
