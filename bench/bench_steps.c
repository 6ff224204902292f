/*
 * Where the time of an apply goes: the loader's own steps, timed one by one.
 *
 * Comes in: argv: the layers; OMEGA_BENCH_BRANES (100), OMEGA_BENCH_RUNS (21). Goes out: Markdown
 * tables, one row a step, each as a part of the whole. Called by: bench/run. Never does: go through
 * the daemon (bench_node does), or record anything durable: the step "record" is empty here.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <loader/impl.h>
#include <loader/txn/txn.h>
#include <policies/policy.h>
#include "bench/lib/bench.h"
#include "bench/lib/node.h"

#define FILES 56u
#define ADDRS 40u
#define STEPS 16u

static struct bench_samples took[2][STEPS], whole[2], after, base;
static struct om_loader *loader;
static struct node node;

struct bytes {
	uint8_t *data;
	size_t len;
};

static struct bytes compile(const char *name, unsigned int port)
{
	struct node_policy p = {.name = name, .files = FILES, .addrs = ADDRS, .port = port};
	const char *text = node_manifest(&node, &p);
	struct om_policy *policy = NULL;
	struct om_diags diags;
	struct om_err err = {0};
	struct bytes b;

	om_diags_init(&diags);
	if (om_policy_compile(text, strlen(text), &policy, &diags, &err) < 0 ||
	    om_emit_bundle(om_policy_ir(policy, 0), &b.data, &b.len, &err) < 0)
		bench_die("compile", &err);
	om_policy_free(policy);
	om_diags_done(&diags);
	return b;
}

static void apply(const struct bytes *b, enum om_change want)
{
	struct om_apply what = {.bundle = b->data, .bundle_len = b->len, .stdio = {-1, -1, -1}};
	struct om_brane_info info;
	enum om_change change;
	struct om_err err = {0};

	if (om_txn_apply(loader, &what, &change, &info, &err) < 0 || change != want)
		bench_die("apply", &err);
}

/* The steps are wrapped, each in a function of its own that knows its number. */
static const struct om_step *real_steps;
static struct bench_samples *into;
static double stepped;

static int timed(unsigned int i, struct om_txn *t, struct om_err *err)
{
	double from = bench_now();
	int ret = real_steps[i].run(t, err);
	double d = bench_now() - from;

	stepped += d;
	bench_add(&into[i], d);
	return ret;
}

#define STEP(n)                                                   \
	static int step_##n(struct om_txn *t, struct om_err *err) \
	{                                                         \
		return timed(n, t, err);                          \
	}
STEP(0)
STEP(1)
STEP(2)
STEP(3)
STEP(4)
STEP(5)
STEP(6)
STEP(7)
STEP(8)
STEP(9)
STEP(10)
STEP(11)
STEP(12)
static int (*const run_step[])(struct om_txn *, struct om_err *) = {
	step_0, step_1, step_2, step_3,	 step_4,  step_5, step_6,
	step_7, step_8, step_9, step_10, step_11, step_12};

static struct om_step copies[STEPS];

static void wrap(const struct om_step *steps, size_t n)
{
	if (n > OM_ARRAY_LEN(run_step))
		bench_die("more steps than are timed", NULL);
	for (size_t i = 0; i < n; i++) {
		copies[i] = steps[i];
		copies[i].run = run_step[i];
	}
	real_steps = steps;
	stepped = 0;
}

static struct om_txn begin(const struct om_apply *what)
{
	struct om_txn t = {.l = loader,
			   .what = what,
			   .change = OM_CHANGE_CREATED,
			   .dir = -1,
			   .cg = -1,
			   .shim_cg = -1,
			   .control = -1,
			   .shim_pidfd = -1,
			   .res.root = -1,
			   .view.root = -1};
	struct om_err err = {0};

	if (om_bundle_open(what->bundle, what->bundle_len, &t.b, &err) < 0)
		bench_die("bundle", &err);
	t.name = om_bundle_str(&t.b, t.b.meta->name);
	return t;
}

static void create(const struct bytes *b)
{
	struct om_apply what = {.bundle = b->data, .bundle_len = b->len, .stdio = {-1, -1, -1}};
	struct om_err err = {0};
	struct om_txn t = begin(&what);

	into = took[0];
	wrap(om_create_steps, om_create_count);
	if (om_txn_run(&t, copies, om_create_count, &err) < 0)
		bench_die("create", &err);
	bench_add(&whole[0], stepped);
	om_txn_done(&t);
}

/* As om_txn_apply does for a brane that exists and goes on running. */
static void swap(const struct bytes *old, const struct bytes *b)
{
	struct om_apply what = {.bundle = b->data, .bundle_len = b->len, .stdio = {-1, -1, -1}};
	struct om_err err = {0};
	struct om_txn t = begin(&what);

	t.change = OM_CHANGE_CONFIGURED;
	if (om_state_dir(loader, t.name, false, &t.dir, &err) < 0 ||
	    om_state_read(t.dir, &t.old, &err) < 0 ||
	    om_bundle_open(old->data, old->len, &t.old_b, &err) < 0)
		bench_die("old version", &err);
	t.have_old = true;
	om_state_refresh(loader, t.dir, &t.old.info);
	t.st = t.old;
	om_txn_describe(&t.st, &t.b);
	into = took[1];
	wrap(om_update_steps, om_update_count);
	if (om_txn_run(&t, copies, om_update_count, &err) < 0)
		bench_die("swap", &err);
	bench_add(&whole[1], stepped);
	double from = bench_now();

	if (loader->bpf && om_bpf_policy_drop(loader->bpf, t.old.info.policy, &err) < 0)
		bench_die("drop", &err);
	bench_add(&after, bench_now() - from);
	om_txn_done(&t);
}

static void delete (const char *name)
{
	struct om_brane_info info;
	struct om_err err = {0};

	if (om_txn_delete(loader, name, &info, &err) < 0)
		bench_die("delete", &err);
}

static void rounds(unsigned long runs)
{
	struct bytes a = compile("probe", 443), b = compile("probe", 8443);

	for (unsigned long i = 0; i < runs; i++) {
		bench_add(&base, bench_run((const char *const[]){"/usr/bin/true", NULL}));
		create(&a);
		swap(&a, &b);
		delete ("probe");
	}
	free(a.data);
	free(b.data);
}

static void table(unsigned int which, const char *title, const struct om_step *steps, size_t n)
{
	double all = bench_at(&whole[which], 0.5);

	bench_head(title, "step", "ms", "part of all steps");
	for (size_t i = 0; i < n; i++)
		bench_row(steps[i].name, &took[which][i], 1e3, all);
	bench_row("**all steps**", &whole[which], 1e3, all);
	if (which)
		bench_row("afterwards: the old version's entries dropped", &after, 1e3, all);
	bench_row("fork + exec of true, same run", &base, 1e3, all);
}

static void open_loader(const char *layers)
{
	static char shim[3100];
	uint32_t want = (strstr(layers, "process") ? OM_LAYER_PROCESS : 0) |
			(strstr(layers, "kernel") ? OM_LAYER_KERNEL : 0) |
			(strstr(layers, "network") ? OM_LAYER_NETWORK : 0);
	struct om_loader_opts opts = {.run_dir = node.run,
				      .bpffs = node.bpffs,
				      .cgroup = node.cgroup,
				      .shim = shim,
				      .nft_table = node.table,
				      .layers = want};
	struct om_err err = {0};
	uint32_t got;

	snprintf(shim, sizeof(shim), "%s/omegad-shim", node.exe);
	if (om_loader_open(&opts, &loader, &got, &err) < 0)
		bench_die("loader", &err);
	if (got != want) {
		fprintf(stderr, "not all of %s can be had here\n", layers);
		exit(1);
	}
}

int main(int argc, char **argv)
{
	const char *layers = argc > 1 ? argv[1] : "process,network";
	unsigned long branes = bench_env("OMEGA_BENCH_BRANES", 100);
	char name[32];

	node_prepare(&node, layers);
	open_loader(layers);
	for (unsigned long i = 0; i + 1 < branes; i++) {
		snprintf(name, sizeof(name), "b%03lu", i);
		struct bytes b = compile(name, 443);

		apply(&b, OM_CHANGE_CREATED);
		free(b.data);
	}
	rounds(bench_env("OMEGA_BENCH_RUNS", 21));
	table(0, "The loader's steps: created", om_create_steps, om_create_count);
	table(1, "The loader's steps: configured", om_update_steps, om_update_count);
	for (unsigned long i = 0; i + 1 < branes; i++) {
		snprintf(name, sizeof(name), "b%03lu", i);
		delete (name);
	}
	om_loader_free(loader);
	node_clean(&node);
	return 0;
}
