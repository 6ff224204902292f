/*
 * Apply, apply again, change, restart, freeze, delete, adopt: what the load role does all day.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>
#include <loader/impl.h>
#include "tests/util/live.h"

static void apply(struct live *v, const struct live_brane *b, bool restart, enum om_change expect,
		  struct om_brane_info *info)
{
	struct om_err err;
	enum om_change change = 0;
	if (live_apply_x(v, b, restart, &change, info, &err) < 0)
		fail_msg("%s: %s", b->name, err.text);
	assert_int_equal(change, expect);
}

/* 1: the same again changes nothing; a limit changes in place; an argument starts anew. */
static void changes(void **state)
{
	struct live v;
	struct om_brane_info a, b2;
	(void)state;
	live_open(&v, OM_LAYER_PROCESS);
	struct live_brane b = live_inside(&v, "c", "sleep", NULL);
	apply(&v, &b, false, OM_CHANGE_CREATED, &a);
	assert_int_equal(a.state, OM_BRANE_RUNNING);
	assert_int_equal(strlen(a.instance), OM_INSTANCE_LEN);
	apply(&v, &b, false, OM_CHANGE_UNCHANGED, &b2);
	assert_int_equal(a.init_pid, b2.init_pid);
	b.listen[0] = (struct om_b_listen){.port = 80, .proto = OM_PROTO_TCP};
	b.listen_count = 1;
	apply(&v, &b, false, OM_CHANGE_CONFIGURED, &b2);
	assert_int_equal(a.init_pid, b2.init_pid);
	assert_string_equal(a.instance, b2.instance);
	b.argv[2] = "other";
	apply(&v, &b, false, OM_CHANGE_CONFIGURED, &b2);
	assert_int_not_equal(a.init_pid, b2.init_pid);
	assert_string_not_equal(a.instance, b2.instance);
	assert_int_equal(b2.cgid, a.cgid);
	assert_true(kill(a.init_pid, 0) < 0);
	apply(&v, &b, true, OM_CHANGE_UNCHANGED, &a);
	assert_int_not_equal(a.init_pid, b2.init_pid);
	assert_int_equal(a.restarts, 2);
	/* A brane whose workload was killed can be started in the same cgroup again. */
	struct om_err err = {0};
	assert_int_equal(om_loader_kill(v.l, "c", &err), 0);
	live_wait(&v, "c", &b2);
	apply(&v, &b, true, OM_CHANGE_UNCHANGED, &a);
	assert_int_equal(a.state, OM_BRANE_RUNNING);
	assert_int_equal(a.exit_cause, OM_EXIT_NONE);
	live_close(&v);
}

/* 2: a required layer that this host lacks: exit 9, and nothing was touched. */
static void missing_layer(void **state)
{
	struct live v;
	struct om_brane_info info;
	struct om_err err;
	(void)state;
	live_open(&v, OM_LAYER_PROCESS);
	struct live_brane b = live_inside(&v, "l", "sleep", NULL);
	b.layers = OM_LAYER_PROCESS | OM_LAYER_KERNEL;
	assert_true(live_apply(&v, &b, &info, &err) < 0);
	assert_int_equal(om_err_exit(err.id), 9);
	b = live_inside(&v, "l", "sleep", NULL);
	b.cgroup[0][0] = "nonsense.max";
	b.cgroup[0][1] = "1";
	b.cgroup[0][2] = "nonsense";
	assert_true(live_apply(&v, &b, &info, &err) < 0);
	assert_int_equal(err.id, OM_ERR_CGROUP_CONTROLLER);
	assert_int_equal(om_err_exit(err.id), 9);
	assert_true(om_loader_get(v.l, "l", &info, &err) < 0);
	assert_int_equal(err.id, OM_ERR_NOT_FOUND);
	assert_true(om_cgroup_child(v.l->parent, "l") < 0);
	live_close(&v);
}

struct told {
	int ends, adopted[8];
	char name[64];
	struct om_brane_info info;
};

static void ended(const struct om_brane_info *info, void *ctx)
{
	struct told *t = ctx;
	t->ends++;
	t->info = *info;
}

/* 3: the end of a workload wakes the event loop, and is told once. */
static void events(void **state)
{
	struct live v;
	struct om_brane_info info;
	struct told t = {0};
	struct om_err err = {0};
	(void)state;
	live_open(&v, OM_LAYER_PROCESS);
	struct live_brane b = live_inside(&v, "e", "exit", "3");
	apply(&v, &b, false, OM_CHANGE_CREATED, &info);
	for (int i = 0; i < 50 && t.ends == 0; i++) {
		struct pollfd p = {om_loader_event_fd(v.l), POLLIN, 0};
		assert_true(poll(&p, 1, 10000) == 1);
		assert_int_equal(om_loader_poll(v.l, ended, &t, &err), 0);
	}
	assert_int_equal(t.ends, 1);
	assert_int_equal(t.info.exit_code, 3);
	assert_int_equal(om_loader_poll(v.l, ended, &t, &err), 0);
	assert_int_equal(t.ends, 1);
	apply(&v, &b, true, OM_CHANGE_UNCHANGED, &info);
	live_wait(&v, "e", &info);
	assert_int_equal(om_loader_poll(v.l, ended, &t, &err), 0);
	assert_int_equal(t.ends, 2);
	live_close(&v);
}

/* 4: freezing stops, thawing goes on, deleting a frozen brane works. */
static void freezing(void **state)
{
	struct live v;
	struct om_brane_info info;
	struct om_err err = {0};
	(void)state;
	live_open(&v, OM_LAYER_PROCESS);
	struct live_brane b = live_inside(&v, "f", "sleep", NULL);
	apply(&v, &b, false, OM_CHANGE_CREATED, &info);
	assert_int_equal(om_loader_freeze(v.l, "f", true, &err), 0);
	assert_int_equal(om_loader_get(v.l, "f", &info, &err), 0);
	assert_int_equal(info.state, OM_BRANE_FROZEN);
	assert_int_equal(om_loader_freeze(v.l, "f", false, &err), 0);
	assert_int_equal(om_loader_get(v.l, "f", &info, &err), 0);
	assert_int_equal(info.state, OM_BRANE_RUNNING);
	assert_int_equal(om_loader_freeze(v.l, "f", true, &err), 0);
	assert_int_equal(om_txn_delete(v.l, "f", &info, &err), 0);
	assert_true(om_loader_get(v.l, "f", &info, &err) < 0);
	live_close(&v);
}

static void adopted(const struct om_brane_info *info, enum om_adopted how, const struct om_err *why,
		    void *ctx)
{
	struct told *t = ctx;
	(void)why;
	t->adopted[how]++;
	t->info = *info;
}

/* 5: a new loader takes over what runs, what ended, and refuses what was changed. */
static void adoption(void **state)
{
	struct live v;
	struct om_brane_info info;
	struct told t = {0};
	struct om_err err = {0};
	char path[300];
	(void)state;
	live_open(&v, OM_LAYER_PROCESS);
	struct live_brane b = live_inside(&v, "runs", "sleep", NULL);
	apply(&v, &b, false, OM_CHANGE_CREATED, &info);
	struct om_brane_info runs = info;
	b = live_inside(&v, "ended", "exit", "5");
	apply(&v, &b, false, OM_CHANGE_CREATED, &info);
	live_wait(&v, "ended", &info);
	b = live_inside(&v, "changed", "sleep", NULL);
	apply(&v, &b, false, OM_CHANGE_CREATED, &info);
	(void)snprintf(path, sizeof(path), "%s/branes/changed/bundle", v.run);
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	assert_int_equal(pwrite(fd, "x", 1, 40), 1);
	close(fd);
	live_reopen(&v);
	assert_int_equal(om_loader_adopt(v.l, adopted, &t, &err), 0);
	assert_int_equal(t.adopted[OM_ADOPT_RUNNING], 1);
	assert_int_equal(t.adopted[OM_ADOPT_EXITED], 1);
	assert_int_equal(t.adopted[OM_ADOPT_TAMPERED], 1);
	assert_int_equal(om_loader_get(v.l, "runs", &info, &err), 0);
	assert_int_equal(info.init_pid, runs.init_pid);
	assert_int_equal(om_loader_verify(v.l, "runs", &err), 0);
	assert_true(om_loader_verify(v.l, "changed", &err) < 0);
	assert_int_equal(err.id, OM_ERR_TAMPERED);
	OM_CLEANUP(om_close_fd) int cg = om_cgroup_child(v.l->parent, "changed");
	assert_int_equal(om_cgroup_event(cg, "frozen"), 1);
	/* An adopted brane's end is noticed too. */
	assert_int_equal(om_loader_kill(v.l, "runs", &err), 0);
	live_wait(&v, "runs", &info);
	assert_int_equal(om_loader_poll(v.l, ended, &t, &err), 0);
	assert_int_equal(t.ends, 1);
	live_close(&v);
}

/* 6: names that are no names, and what is not there. */
static void names(void **state)
{
	struct live v;
	struct om_brane_info info;
	struct om_err err;
	int fd;
	(void)state;
	live_open(&v, OM_LAYER_PROCESS);
	static const char *const bad[] = {"",
					  "..",
					  "a/b",
					  ".hidden",
					  "A",
					  "-x",
					  "a b",
					  "0123456789012345678901234567890123456789"
					  "012345678901234567890123"};
	for (size_t i = 0; i < OM_ARRAY_LEN(bad); i++) {
		assert_true(om_loader_get(v.l, bad[i], &info, &err) < 0);
		assert_int_equal(err.id, OM_ERR_INVALID);
		assert_true(om_loader_kill(v.l, bad[i], &err) < 0);
		assert_int_equal(err.id, OM_ERR_INVALID);
		assert_true(om_loader_open_file(v.l, bad[i], "stdout", &fd, &err) < 0);
	}
	assert_true(om_txn_delete(v.l, "absent", &info, &err) < 0);
	assert_int_equal(err.id, OM_ERR_NOT_FOUND);
	assert_true(om_loader_freeze(v.l, "absent", true, &err) < 0);
	assert_int_equal(err.id, OM_ERR_NOT_FOUND);
	live_close(&v);
}

static int refuse(const struct om_brane_info *info, enum om_change change, void *ctx,
		  struct om_err *err)
{
	struct told *t = ctx;
	assert_int_equal(change, OM_CHANGE_CREATED);
	memcpy(t->name, info->name, sizeof(t->name));
	t->ends++;
	return om_err_set(err, OM_ERR_LOG_FULL, -ENOSPC, "no room");
}

/* 7: an apply that cannot be recorded does not happen. */
static void unrecorded(void **state)
{
	struct live v;
	struct om_brane_info info;
	struct om_err err = {0};
	struct told t = {0};
	enum om_change change;
	uint8_t *data;
	size_t len;
	(void)state;
	live_open(&v, OM_LAYER_PROCESS);
	struct live_brane b = live_inside(&v, "u", "sleep", NULL);
	live_bundle(&b, &data, &len);
	struct om_apply a = {
		.bundle = data,
		.bundle_len = len,
		.stdio = {-1, -1, -1},
		.before_start = refuse,
		.ctx = &t,
	};
	assert_true(om_txn_apply(v.l, &a, &change, &info, &err) < 0);
	assert_int_equal(err.id, OM_ERR_TXN_ROLLED_BACK);
	assert_string_equal(t.name, "u");
	assert_true(om_loader_get(v.l, "u", &info, &err) < 0);
	free(data);
	live_close(&v);
}

/* 8: descriptors given by `run` are the workload's. */
static void given_stdio(void **state)
{
	struct live v;
	struct om_brane_info info;
	struct om_err err = {0};
	enum om_change change;
	uint8_t *data;
	size_t len;
	int p[2];
	char buf[64] = "";
	(void)state;
	live_open(&v, OM_LAYER_PROCESS);
	struct live_brane b = live_inside(&v, "s", "sleep", NULL);
	live_bundle(&b, &data, &len);
	assert_int_equal(pipe2(p, O_CLOEXEC), 0);
	struct om_apply a = {.bundle = data, .bundle_len = len, .stdio = {-1, p[1], -1}};
	if (om_txn_apply(v.l, &a, &change, &info, &err) < 0)
		fail_msg("%s", err.text);
	close(p[1]);
	assert_true(read(p[0], buf, sizeof(buf)) > 0);
	assert_string_equal(buf, "started 1\n");
	/* Nobody but the workload holds it open. */
	assert_int_equal(om_loader_kill(v.l, "s", &err), 0);
	assert_int_equal(read(p[0], buf, sizeof(buf)), 0);
	close(p[0]);
	free(data);
	live_close(&v);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(changes),    cmocka_unit_test(missing_layer),
		cmocka_unit_test(events),     cmocka_unit_test(freezing),
		cmocka_unit_test(adoption),   cmocka_unit_test(names),
		cmocka_unit_test(unrecorded), cmocka_unit_test(given_stdio),
	};
	return cmocka_run_group_tests_name("txn", tests, NULL, NULL);
}
