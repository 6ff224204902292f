/*
 * The transaction under fire: killed and failed at the end of every step, of every kind of change.
 *
 * After a kill a new loader adopts: the brane is gone without a trace, or runs whole and verified. After
 * a failure everything is as it was before. Never is there a process without its policy.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <dirent.h>
#include <unistd.h>
#include <cmocka.h>
#include <loader/txn/txn.h>
#include <loader/net/nft_impl.h>
#include "tests/util/live.h"

#ifndef OMEGA_FAULTS
#define HAVE_FAULTS 0
#else
#define HAVE_FAULTS 1
#endif

enum change { CREATE, LIVE, RESTART };

static struct live_brane version(const struct live *v, int n, bool restart)
{
	struct live_brane b = live_inside(v, "fault", "sleep", NULL);
	b.layers = v->got;
	b.netns = 0; /* so that nftables takes part */
	b.nft[0] = (struct om_b_nft){.port = (uint16_t)(1000 + n), .proto = OM_PROTO_TCP};
	b.nft[0].lo[10] = b.nft[0].lo[11] = b.nft[0].hi[10] = b.nft[0].hi[11] = 0xff;
	b.nft[0].lo[12] = b.nft[0].hi[12] = 127;
	b.nft_count = 1;
	if (restart)
		b.env[0] = n ? "N=1" : "N=0";
	else
		b.env[0] = "N=0";
	b.paths[0] = "/inside";
	b.files[0] = (struct om_b_file){.self = OM_MAY_READ | OM_MAY_EXEC};
	return b;
}

static void add(char *out, size_t size, const char *what, const char *name)
{
	size_t n = strlen(out);
	(void)snprintf(out + n, size - n, "%s %s\n", what, name);
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static void list(char *out, size_t size, const char *dir)
{
	struct dirent **names = NULL;
	int n = scandir(dir, &names, NULL, by_name);
	add(out, size, "dir", dir);
	for (int i = 0; i < n; i++) {
		if (names[i]->d_type == DT_DIR)
			add(out, size, "  ", names[i]->d_name);
		free(names[i]);
	}
	free(names);
}

/* What a brane leaves on the host, as text. */
static const char *snapshot(struct live *v, char *out, size_t size)
{
	char path[512], line[4096];
	struct om_nft_elems e = {0};
	out[0] = '\0';
	list(out, size, v->cgroup);
	(void)snprintf(path, sizeof(path), "%s.shims", v->cgroup);
	list(out, size, path);
	(void)snprintf(path, sizeof(path), "%s/branes", v->run);
	list(out, size, path);
	FILE *f = fopen("/proc/self/mountinfo", "re");
	while (f && fgets(line, sizeof(line), f))
		if (strstr(line, v->run))
			add(out, size, "mount", line);
	if (f)
		(void)fclose(f);
	if (v->l->nft && om_nft_read_elems(v->l->nft, NFT_MAP_NAME, &e) == 0) {
		(void)snprintf(line, sizeof(line), "%u", e.count);
		add(out, size, "verdicts", line);
	}
	om_nft_elems_done(&e);
	return out;
}

struct seen {
	int running, cut, other;
};

static void saw(const struct om_brane_info *info, enum om_adopted how, const struct om_err *why,
		void *ctx)
{
	struct seen *s = ctx;
	if (how == OM_ADOPT_RUNNING)
		s->running++;
	else if (how == OM_ADOPT_CUT_SHORT)
		s->cut++;
	else
		s->other++;
	if (how == OM_ADOPT_TAMPERED)
		print_message("# %s: %s\n", info->name, why ? why->text : "");
}

/* One set of names for the whole file: loading the programs takes a while in a virtual machine. */
static struct live shared;

static struct live *prepare(void)
{
	if (!HAVE_FAULTS) {
		print_message("# skip: built without FAULTS=1\n");
		skip();
	}
	if (!shared.l)
		live_open(&shared, OM_LAYER_ALL);
	return &shared;
}

static int close_shared(void **state)
{
	(void)state;
	live_close(&shared);
	return 0;
}

static void must_apply(struct live *v, const struct live_brane *b, const char *when)
{
	struct om_brane_info info;
	struct om_err err;
	if (live_apply(v, b, &info, &err) < 0)
		fail_msg("%s: %s", when, err.text);
}

static void must_delete(struct live *v)
{
	struct om_brane_info info;
	struct om_err err = {0};
	if (om_txn_delete(v->l, "fault", &info, &err) < 0)
		fail_msg("delete: %s", err.text);
}

/* In a process of its own, so that a kill is a kill. Returns the wait status. */
static int apply_faulty(struct live *v, const struct live_brane *b, const char *fault)
{
	int status = 0;
	om_loader_free(v->l);
	v->l = NULL;
	pid_t pid = fork();
	if (pid == 0) {
		struct om_brane_info info;
		struct om_err err;
		live_reopen(v);
		setenv("OMEGA_FAULT", fault, 1);
		int ret = live_apply(v, b, &info, &err);
		if (ret < 0)
			fprintf(stderr, "# %s: %d %s\n", fault, err.id, err.text);
		_exit(ret == 0 ? 0 : err.id == OM_ERR_TXN_FROZEN ? 3 : 1);
	}
	waitpid(pid, &status, 0);
	live_reopen(v);
	return status;
}

static void kill_at(struct live *v, enum change c, const struct om_step *step)
{
	struct seen s = {0};
	struct om_err err = {0};
	char fault[64], before[8192], after[8192];
	struct live_brane old = version(v, 0, c == RESTART), b = version(v, 1, c == RESTART);

	(void)snprintf(fault, sizeof(fault), "%s:kill", step->name);
	snapshot(v, before, sizeof(before));
	if (c != CREATE)
		must_apply(v, &old, "first version");
	int status = apply_faulty(v, &b, fault);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	if (om_loader_adopt(v->l, saw, &s, &err) < 0)
		fail_msg("%s, change %d: adopt: %s", fault, (int)c, err.text);
	assert_int_equal(s.other, 0);
	if (s.running) {
		if (om_loader_verify(v->l, "fault", &err) < 0)
			fail_msg("%s: %s", fault, err.text);
		/* Kept, so it is one of the two versions; and it can still be deleted. */
		must_delete(v);
	} else if (c != CREATE || step->touches) {
		assert_int_equal(s.cut, 1);
	}
	assert_string_equal(before, snapshot(v, after, sizeof(after)));
	if (c == LIVE && !s.running)
		fail_msg("%s: a live change may not cost the workload", fault);
}

static void fail_at(struct live *v, enum change c, const struct om_step *step)
{
	struct om_err err = {0};
	struct om_brane_info was = {0}, is = {0};
	char fault[64], before[8192], after[8192];
	struct live_brane old = version(v, 0, c == RESTART), b = version(v, 1, c == RESTART);
	bool stopped = false;

	(void)snprintf(fault, sizeof(fault), "%s:fail", step->name);
	if (c != CREATE) {
		must_apply(v, &old, "first version");
		assert_int_equal(om_loader_get(v->l, "fault", &was, &err), 0);
	}
	/* From the stop on, a restart cannot be undone: the brane is killed and denied everything. */
	for (size_t i = 0; c == RESTART && i < om_update_count; i++) {
		stopped |= strcmp(om_update_steps[i].name, "stop") == 0;
		if (&om_update_steps[i] == step)
			break;
	}
	stopped |= c != CREATE && strcmp(step->name, "commit") == 0;
	snapshot(v, before, sizeof(before));
	int status = apply_faulty(v, &b, fault);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), stopped ? 3 : 1);
	if (!stopped)
		assert_string_equal(before, snapshot(v, after, sizeof(after)));
	if (c == CREATE)
		return;
	if (!stopped) {
		assert_int_equal(om_loader_get(v->l, "fault", &is, &err), 0);
		assert_memory_equal(&was, &is, sizeof(was));
		if (om_loader_verify(v->l, "fault", &err) < 0)
			fail_msg("%s: %s", fault, err.text);
	} else {
		OM_CLEANUP(om_close_fd) int cg = om_cgroup_child(v->l->parent, "fault");
		assert_int_equal(om_cgroup_event(cg, "populated"), 0);
	}
	must_delete(v);
}

static void every_step(enum change c,
		       void (*fn)(struct live *, enum change, const struct om_step *))
{
	struct live *v = prepare();
	const struct om_step *steps = c == CREATE ? om_create_steps : om_update_steps;
	size_t n = c == CREATE ? om_create_count : om_update_count;
	for (size_t i = 0; i < n; i++)
		fn(v, c, &steps[i]);
}

static void kill_create(void **state)
{
	(void)state;
	every_step(CREATE, kill_at);
}
static void kill_live(void **state)
{
	(void)state;
	every_step(LIVE, kill_at);
}
static void kill_restart(void **state)
{
	(void)state;
	every_step(RESTART, kill_at);
}
static void fail_create(void **state)
{
	(void)state;
	every_step(CREATE, fail_at);
}
static void fail_live(void **state)
{
	(void)state;
	every_step(LIVE, fail_at);
}
static void fail_restart(void **state)
{
	(void)state;
	every_step(RESTART, fail_at);
}

/* An undo that fails leaves nothing that could act, and says so. */
static void undo_fails(void **state)
{
	struct live *v = prepare();
	struct om_err err = {0};
	struct om_brane_info info;
	(void)state;
	struct live_brane b = version(v, 0, false);
	/* The command does not exist, so "spawn" fails by itself; the named undo then fails too. */
	b.argv[0] = "/nothing";
	static const char *const faults[] = {"spawn:undo-fail", "cgroup:undo-fail",
					     "state:undo-fail"};
	for (size_t i = 0; i < OM_ARRAY_LEN(faults); i++) {
		struct seen s = {0};
		int status = apply_faulty(v, &b, faults[i]);
		assert_int_equal(WEXITSTATUS(status), 3);
		OM_CLEANUP(om_close_fd) int cg = om_cgroup_child(v->l->parent, "fault");
		assert_true(cg < 0 || om_cgroup_event(cg, "populated") != 1);
		assert_int_equal(om_loader_adopt(v->l, saw, &s, &err), 0);
		assert_int_equal(s.cut, 1);
		assert_true(om_loader_get(v->l, "fault", &info, &err) < 0);
		assert_int_equal(err.id, OM_ERR_NOT_FOUND);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(kill_create),	cmocka_unit_test(kill_live),
		cmocka_unit_test(kill_restart), cmocka_unit_test(fail_create),
		cmocka_unit_test(fail_live),	cmocka_unit_test(fail_restart),
		cmocka_unit_test(undo_fails),
	};
	return cmocka_run_group_tests_name("txn", tests, NULL, close_shared);
}
