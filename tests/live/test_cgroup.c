/*
 * Limits are there before the workload is; a killed brane can be started again; removal is whole.
 */
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
#include <unistd.h>
#include <cmocka.h>
#include <loader/impl.h>
#include "tests/util/live.h"

static const char *content(int cg, const char *file)
{
	static char buf[512];
	OM_CLEANUP(om_close_fd) int fd = openat(cg, file, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, buf, sizeof(buf) - 1);
	buf[n > 0 ? n : 0] = '\0';
	return buf;
}

static void apply(struct live *v, const struct live_brane *b, struct om_brane_info *info)
{
	struct om_err err;
	if (live_apply(v, b, info, &err) < 0)
		fail_msg("%s: %s", b->name, err.text);
}

/* 1: a default that this host cannot give is left out; the same row asked for is exit 9. */
static void defaults(void **state)
{
	struct live v;
	struct om_brane_info info;
	struct om_err err;
	(void)state;
	live_open(&v, OM_LAYER_PROCESS);
	struct live_brane b = live_inside(&v, "default", "sleep", NULL);
	b.cgroup[0][0] = "nonsense.max";
	b.cgroup[0][1] = "0";
	b.cgroup[0][2] = "nonsense";
	b.cgroup_flags = OM_CGROUP_DEFAULT;
	apply(&v, &b, &info);
	b.name = "asked";
	b.cgroup_flags = 0;
	assert_true(live_apply(&v, &b, &info, &err) < 0);
	assert_int_equal(err.id, OM_ERR_CGROUP_CONTROLLER);
	live_close(&v);
}

/* 2: limits, changed in place and lifted; the OOM killer's end is told apart. */
static void limits(void **state)
{
	struct live v;
	struct om_brane_info info, again;
	(void)state;
	live_open(&v, OM_LAYER_PROCESS);
	if (!strstr(v.l->controllers, "memory") || !strstr(v.l->controllers, "pids")) {
		print_message("cgroup2 has no memory and pids controllers here\n");
		live_close(&v);
		skip();
	}
	struct live_brane b = live_inside(&v, "limits", "sleep", NULL);
	b.cgroup[0][0] = "memory.max";
	b.cgroup[0][1] = "67108864";
	b.cgroup[0][2] = "memory";
	b.cgroup[1][0] = "pids.max";
	b.cgroup[1][1] = "20";
	b.cgroup[1][2] = "pids";
	apply(&v, &b, &info);
	OM_CLEANUP(om_close_fd) int cg = om_cgroup_child(v.l->parent, "limits");
	assert_string_equal(content(cg, "memory.max"), "67108864\n");
	assert_string_equal(content(cg, "pids.max"), "20\n");
	b.cgroup[0][1] = "33554432";
	b.cgroup[1][0] = NULL;
	apply(&v, &b, &again);
	assert_int_equal(info.init_pid, again.init_pid);
	assert_string_equal(content(cg, "memory.max"), "33554432\n");
	assert_string_equal(content(cg, "pids.max"), "max\n");
	b = live_inside(&v, "oom", "eat", NULL);
	b.cgroup[0][0] = "memory.max";
	b.cgroup[0][1] = "16777216";
	b.cgroup[0][2] = "memory";
	b.cgroup[1][0] = "memory.swap.max";
	b.cgroup[1][1] = "0";
	b.cgroup[1][2] = "memory";
	b.cgroup[2][0] = "memory.oom.group";
	b.cgroup[2][1] = "1";
	b.cgroup[2][2] = "memory";
	apply(&v, &b, &info);
	live_wait(&v, "oom", &info);
	assert_int_equal(info.exit_cause, OM_EXIT_OOM);
	live_close(&v);
}

/* 3: a file name out of the cgroup is not written to. */
static void escape(void **state)
{
	struct live v;
	struct om_brane_info info;
	struct om_err err;
	(void)state;
	live_open(&v, OM_LAYER_PROCESS);
	static const char *const files[] = {"../cgroup.procs", "a/b", ".."};
	for (size_t i = 0; i < OM_ARRAY_LEN(files); i++) {
		struct live_brane b = live_inside(&v, "escape", "sleep", NULL);
		uint8_t *data = NULL;
		size_t len = 0;
		struct om_bundle bundle;
		b.cgroup[0][0] = files[i];
		b.cgroup[0][1] = "0";
		live_bundle(&b, &data, &len);
		/* The bundle's own check may refuse it first: either will do. */
		if (om_bundle_open(data, len, &bundle, &err) == 0) {
			assert_true(live_apply(&v, &b, &info, &err) < 0);
			assert_true(om_loader_get(v.l, "escape", &info, &err) < 0);
		}
		free(data);
	}
	live_close(&v);
}

/* 4: ended without cgroup.kill, the cgroup is empty, thawed and can be born into. */
static void ended(void **state)
{
	struct live v;
	struct om_brane_info info;
	struct om_err err = {0};
	(void)state;
	live_open(&v, OM_LAYER_PROCESS);
	struct live_brane b = live_inside(&v, "end", "sleep", NULL);
	apply(&v, &b, &info);
	OM_CLEANUP(om_close_fd) int cg = om_cgroup_child(v.l->parent, "end");
	assert_int_equal(om_cgroup_event(cg, "populated"), 1);
	assert_int_equal(om_cgroup_end(cg), 0);
	assert_int_equal(om_cgroup_event(cg, "populated"), 0);
	assert_int_equal(om_cgroup_event(cg, "frozen"), 0);
	/* A brane removed while a sub-cgroup of it is there. */
	assert_int_equal(mkdirat(cg, "sub", 0755), 0);
	assert_int_equal(om_cgroup_remove(v.l->parent, "end", &err), 0);
	assert_int_equal(om_cgroup_remove(v.l->parent, "end", &err), 0);
	live_close(&v);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(defaults),
		cmocka_unit_test(limits),
		cmocka_unit_test(escape),
		cmocka_unit_test(ended),
	};
	return cmocka_run_group_tests_name("cgroup", tests, NULL, NULL);
}
