/*
 * Nothing is lost silently: with the ring full, the maps full, from 64 tasks at once, every denial is
 * still a denial, and still counted.
 *
 * Also the view's absent paths (reported once, then counted) and a loader that is killed.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include <tests/util/brane.h>

static struct tb tb;
static int has_view; /* this kernel has the functions that the view programs follow */

static int do_secret(void *arg)
{
	return open(tb.secret, O_RDONLY | O_CLOEXEC) < 0 ? errno : 0;
}

static int do_flood(void *arg)
{
	for (int i = 0; i < *(int *)arg; i++)
		if (open(tb.secret, O_RDONLY | O_CLOEXEC) >= 0 || errno != EACCES)
			return 1;
	return 0;
}

static int do_absent(void *arg)
{
	struct stat st;

	for (int i = 0; i < 3; i++)
		if (open("/omt/absent", O_RDONLY | O_CLOEXEC) >= 0 || errno != ENOENT)
			return 1;
	return stat("/omt/other", &st) && errno == ENOENT ? 0 : 2;
}

static void test_full(void **state)
{
	struct om_stat before, after;
	uint32_t read_back;
	int n = 12000; /* three times what the ring holds */

	(void)tb_events(&tb);
	tb_stat(&tb, &before);
	assert_int_equal(tb_run(&tb, do_flood, &n), 0);
	tb_stat(&tb, &after);
	read_back = tb_events(&tb);
	assert_int_equal(after.seq - before.seq, n);
	assert_int_equal(after.events - before.events, read_back);
	assert_true(read_back > 0 && read_back < (uint32_t)n);
	assert_int_equal(after.folded - before.folded, (uint32_t)n - read_back);
	assert_int_equal(after.lost - before.lost, 0);
	/* And room again means events again. */
	assert_true(
		tb_expect(&tb, "after", do_secret, NULL, EACCES, 1, OM_OP_FILE_READ, "file_open"));
	assert_int_equal(tb.events[0].head.seq, after.seq);
}

static uint64_t opens(uint64_t n, void *arg)
{
	uint64_t wrong = 0;

	for (uint64_t i = 0; i < n; i++)
		wrong += open(tb.secret, O_RDONLY | O_CLOEXEC) >= 0 || errno != EACCES;
	return wrong;
}

static void flood(int drain)
{
	struct flood f = {
		.work = opens, .total = flood_total(100000), .drain = drain, .op = OM_OP_FILE_READ};

	flood_run(&tb, &f);
	assert_true(flood_adds_up(&f));
}

static void test_flood(void **state)
{
	flood(0);
}

static void test_flood_read(void **state)
{
	flood(1);
}

/* A stranger's repeats take every place of om_folds: the ring-full counters are the brane's own. */
static void test_folds_full(void **state)
{
	struct om_fold_key key = {.brane = tb.slot.brane + 1, .op = OM_OP_FILE_ABSENT};
	struct om_fold fold = {.count = 1};
	struct om_bpf_drain_fds fds;
	struct om_stat before, after;
	int n = 12000;

	om_bpf_drain_fds(tb.bpf, &fds);
	for (key.hash = 0; !tb_map_put(fds.folds, &key, &fold); key.hash++)
		;
	assert_int_equal(key.hash, OM_FOLD_MAX);
	(void)tb_events(&tb);
	tb_stat(&tb, &before);
	assert_int_equal(tb_run(&tb, do_flood, &n), 0);
	tb_stat(&tb, &after);
	assert_int_equal(after.seq - before.seq, n);
	assert_int_equal(after.lost, 0);
	assert_int_equal(after.events - before.events, tb_events(&tb));
	assert_int_equal(after.folded - before.folded + after.events - before.events, n);
	/* A repeat that cannot be remembered is a record of its own, each time. */
	tb_publish(&tb, OM_SLOT_KERNEL | OM_SLOT_VIEW);
	if (has_view)
		assert_true(tb_expect(&tb, "absent, folds full", do_absent, NULL, 0, 4,
				      OM_OP_FILE_ABSENT, "view"));
	tb_publish(&tb, OM_SLOT_KERNEL);
	while (key.hash--)
		(void)tb_map_drop(fds.folds, &key);
}

/* The brane is withdrawn and its counters are gone, a task is left: denied, and counted. */
static void test_left_behind(void **state)
{
	uint32_t left = OM_BRANE_LEFT, own = tb.slot.brane, key = 1u << 30;
	struct om_bpf_drain_fds fds;
	struct om_stat before, after, zero = {0};
	struct om_err err;
	int go[2], n = 6000;
	char c = 0;
	pid_t pid;

	om_bpf_drain_fds(tb.bpf, &fds);
	assert_int_equal(pipe(go), 0);
	pid = fork();
	if (!pid) {
		tb_enter(tb.cgroup);
		/* The first hook labels it. */
		if (do_secret(NULL) != EACCES || read(go[0], &c, 1) != 1)
			_exit(200);
		_exit(do_flood(&n));
	}
	while (tb_events(&tb) == 0)
		usleep(1000);
	assert_int_equal(om_bpf_brane_withdraw(tb.bpf, own, &err), 0);
	assert_int_equal(om_bpf_brane_forget(tb.bpf, own, &err), 0);
	assert_true(om_bpf_brane_forget(tb.bpf, left, &err) < 0);
	/* And the map is full: nobody could make an entry now. */
	while (!tb_map_put(fds.stats, &key, &zero))
		key++;
	assert_true(key - (1u << 30) > OM_BRANES_MAX);
	assert_int_equal(tb_map_get(fds.stats, &left, &before), 0);
	assert_int_equal(write(go[1], "x", 1), 1);
	assert_int_equal(tb_wait(pid), 0);
	assert_int_equal(tb_map_get(fds.stats, &left, &after), 0);
	/* Nothing but its own end is free to it: the writes of others do not count here. */
	assert_true(after.seq - before.seq >= (uint64_t)n);
	assert_int_equal(after.seq - before.seq, after.events - before.events + after.folded -
							 before.folded + after.lost - before.lost);
	assert_int_equal(after.lost, 0);
	assert_int_equal(tb_events(&tb), after.events - before.events);
	while (key-- > 1u << 30)
		(void)tb_map_drop(fds.stats, &key);
	assert_int_equal(om_bpf_brane_publish(tb.bpf, &tb.slot, &err), 0);
}

static void test_absent(void **state)
{
	struct om_stat before, after;

	if (!has_view) {
		print_message("# skip: this kernel has no do_filp_open to follow\n");
		skip();
	}
	tb_publish(&tb, OM_SLOT_KERNEL | OM_SLOT_VIEW);
	tb_stat(&tb, &before);
	assert_true(tb_expect(&tb, "absent", do_absent, NULL, 0, 2, OM_OP_FILE_ABSENT, "view"));
	assert_int_equal(tb.events[0].head.where, OM_WHERE_VIEW);
	assert_string_equal(tb_event_path(&tb.events[0]), "/omt/absent");
	assert_string_equal(tb_event_path(&tb.events[1]), "/omt/other");
	tb_stat(&tb, &after);
	assert_int_equal(after.seq - before.seq, 4);
	assert_int_equal(after.folded - before.folded, 2);
	assert_true(tb_expect(&tb, "again", do_absent, NULL, 0, 0, 0, NULL));
	tb_publish(&tb, OM_SLOT_KERNEL);
}

/* A second opener adopts, is killed, and nothing changes. */
static void test_killed(void **state)
{
	struct om_bpf_opts opts = {.bpffs = tb.bpffs,
				   .parent_fd = tb.parent_fd,
				   .cgroup_level = 2,
				   .parent_cgid = tb.parent_cgid,
				   .layers = OM_LAYER_KERNEL};
	struct om_bpf *b = NULL;
	struct om_err err;
	uint32_t got;
	pid_t pid = fork();
	int st;

	if (!pid) {
		if (om_bpf_open(&opts, &b, &got, &err))
			_exit(1);
		kill(getpid(), SIGKILL);
	}
	waitpid(pid, &st, 0);
	assert_true(WIFSIGNALED(st));
	om_bpf_free(tb.bpf);
	tb.bpf = NULL;
	assert_int_equal(tb_run(&tb, do_secret, NULL), EACCES);
	assert_int_equal(om_bpf_open(&opts, &tb.bpf, &got, &err), 0);
	assert_int_equal(got, OM_LAYER_KERNEL);
	assert_int_equal(
		om_bpf_policy_verify(tb.bpf, tb.slot.policy, &tb.bundle, tb.objs, tb.n, &err), 0);
	/* The ring was pinned: the denial made meanwhile is in it. */
	assert_int_equal(tb_events(&tb), 1);
	assert_true(tb_expect(&tb, "adopted", do_secret, NULL, EACCES, 1, OM_OP_FILE_READ,
			      "file_open"));
}

static void test_probe(void **state)
{
	static struct om_bpf_probe probe;
	struct om_err err;

	assert_int_equal(om_bpf_probe(&probe, &err), 0);
	for (uint32_t i = 0; i < probe.count; i++)
		if (probe.hooks[i].ret)
			print_message("# %s: %s%s\n", probe.hooks[i].name, probe.hooks[i].why,
				      probe.hooks[i].required ? " (required)" : "");
	assert_int_equal(probe.layers, OM_LAYER_KERNEL | OM_LAYER_NETWORK);
}

static int setup(void **state)
{
	struct om_err err = {0};
	char path[128];
	int ret = tb_open(&tb, OM_LAYER_KERNEL, &err);

	if (ret) {
		print_message("# skip: no BPF-LSM here: %s\n", err.text);
		return ret;
	}
	tb_publish(&tb, OM_SLOT_KERNEL);
	snprintf(path, sizeof(path), "%s/v%d/om_view_open", tb.bpffs, OM_ABI_VERSION);
	has_view = !access(path, F_OK);
	return 0;
}

static int teardown(void **state)
{
	tb_close(&tb);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_full),	    cmocka_unit_test(test_flood),
		cmocka_unit_test(test_flood_read),  cmocka_unit_test(test_folds_full),
		cmocka_unit_test(test_left_behind), cmocka_unit_test(test_absent),
		cmocka_unit_test(test_killed),	    cmocka_unit_test(test_probe),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
