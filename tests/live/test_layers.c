/*
 * All layers together, and each one alone: a real brane, asked from inside.
 *
 * The view shows a whole directory; BPF-LSM grants one file of it. Skipped where the kernel refuses
 * BPF-LSM programs (tests/vm runs it where it does not).
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

/* One loader for the whole file: loading the programs takes a while in a virtual machine. */
static struct live shared;

struct place {
	char dir[64], reach[4200], granted[128], other[128];
};

static void make(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, "x", 1), 1);
	assert_int_equal(fchmod(fd, 0666), 0);
	close(fd);
}

static void place_open(struct place *p, uint32_t need)
{
	if (!shared.l)
		live_open(&shared, OM_LAYER_ALL);
	for (uint32_t layer = 1; layer <= OM_LAYER_NETWORK; layer <<= 1)
		if (need & layer && !(shared.got & layer)) {
			print_message("layer %u: %s\n", layer, om_loader_why(shared.l, layer));
			skip();
		}
	/* Not below /tmp: a guest of the VM has another one. */
	(void)snprintf(p->dir, sizeof(p->dir), "/run/omega-layers-XXXXXX");
	assert_non_null(mkdtemp(p->dir));
	chmod(p->dir, 0755);
	(void)snprintf(p->reach, sizeof(p->reach), "%s/reach", shared.helpers);
	(void)snprintf(p->granted, sizeof(p->granted), "%s/granted", p->dir);
	(void)snprintf(p->other, sizeof(p->other), "%s/other", p->dir);
	make(p->granted);
	make(p->other);
}

static void place_close(struct place *p)
{
	unlink(p->granted);
	unlink(p->other);
	rmdir(p->dir);
}

/* Asks two questions about the two files; LAYERS decide. */
static const char *ask(struct place *p, const char *name, uint32_t layers, const char *verb)
{
	static char q[2][200];
	struct om_brane_info info;
	struct om_err err;
	(void)snprintf(q[0], sizeof(q[0]), "%s %s", verb, p->granted);
	(void)snprintf(q[1], sizeof(q[1]), "%s %s", verb, p->other);
	struct live_brane b = {
		.name = name,
		.argv = {layers & OM_LAYER_PROCESS ? "/reach" : p->reach, q[0], q[1]},
		.paths = {layers & OM_LAYER_PROCESS ? "/reach" : p->reach, p->granted},
		.files = {{.self = OM_MAY_READ | OM_MAY_EXEC}, {.self = OM_MAY_READ}},
		.user = 65534,
		.layers = layers,
		.stdio = OM_STDIO_OUT | OM_STDIO_ERR,
		.netns = 1,
		.slot_flags = layers & OM_LAYER_KERNEL ? OM_SLOT_KERNEL : 0,
	};
	if (layers & OM_LAYER_PROCESS) {
		b.mounts[0] = (struct live_mount){p->reach, "/reach", OM_MNT_RO, 0};
		b.mounts[1] = (struct live_mount){p->dir, p->dir, OM_MNT_TREE, 0};
	}
	if (live_apply(&shared, &b, &info, &err) < 0)
		fail_msg("%s: %s", name, err.text);
	live_wait(&shared, name, &info);
	if (om_loader_verify(shared.l, name, &err) < 0)
		fail_msg("%s: %s", name, err.text);
	return live_text(&shared, name, "stdout");
}

/* 1: the view alone shows what is mounted. */
static void view_alone(void **state)
{
	struct place p;
	(void)state;
	place_open(&p, OM_LAYER_PROCESS);
	assert_string_equal(ask(&p, "view", OM_LAYER_PROCESS, "file.read"), "allow\nallow\n");
	place_close(&p);
}

/* 2: with BPF-LSM, the object decides inside the view. */
static void view_and_kernel(void **state)
{
	struct place p;
	(void)state;
	place_open(&p, OM_LAYER_KERNEL);
	assert_string_equal(ask(&p, "both", OM_LAYER_PROCESS | OM_LAYER_KERNEL, "file.read"),
			    "allow\ndeny EACCES\n");
	assert_string_equal(ask(&p, "write", OM_LAYER_PROCESS | OM_LAYER_KERNEL, "file.write"),
			    "deny EACCES\ndeny EACCES\n");
	place_close(&p);
}

/* 3: BPF-LSM alone, in the host's own view. */
static void kernel_alone(void **state)
{
	struct place p;
	(void)state;
	place_open(&p, OM_LAYER_KERNEL);
	assert_string_equal(ask(&p, "lsm", OM_LAYER_KERNEL, "file.read"), "allow\ndeny EACCES\n");
	place_close(&p);
}

/* 4: a new policy for a running brane: one swap, the same process. */
static void live_swap(void **state)
{
	struct place p;
	struct om_brane_info a, b2;
	struct om_err err;
	struct om_slot slot;
	(void)state;
	place_open(&p, OM_LAYER_KERNEL);
	struct live_brane b = live_inside(&shared, "swap", "sleep", NULL);
	b.layers = OM_LAYER_PROCESS | OM_LAYER_KERNEL;
	b.slot_flags = OM_SLOT_KERNEL;
	b.paths[0] = "/inside";
	b.files[0].self = OM_MAY_EXEC;
	if (live_apply(&shared, &b, &a, &err) < 0)
		fail_msg("%s", err.text);
	b.files[0].self = OM_MAY_READ | OM_MAY_EXEC;
	if (live_apply(&shared, &b, &b2, &err) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(a.init_pid, b2.init_pid);
	assert_int_not_equal(a.policy, b2.policy);
	assert_int_equal(om_bpf_brane_get(shared.l->bpf, b2.brane, &slot, &err), 0);
	assert_int_equal(slot.policy, b2.policy);
	assert_int_equal(om_loader_verify(shared.l, "swap", &err), 0);
	/* What a process may hold open or mapped goes with the process. */
	b.files[0].self = OM_MAY_EXEC;
	if (live_apply(&shared, &b, &a, &err) < 0)
		fail_msg("%s", err.text);
	assert_int_not_equal(a.init_pid, b2.init_pid);
	assert_true(kill(b2.init_pid, 0) < 0);
	place_close(&p);
}

static int close_shared(void **state)
{
	(void)state;
	live_close(&shared);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(view_alone),
		cmocka_unit_test(view_and_kernel),
		cmocka_unit_test(kernel_alone),
		cmocka_unit_test(live_swap),
	};
	return cmocka_run_group_tests_name("layers", tests, NULL, close_shared);
}
