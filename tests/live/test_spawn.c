/*
 * A brane's processes: how they start, what they inherit (nothing), how they end.
 *
 * Each case with a CVE in its name is that attack's precondition, looked for from inside.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/keyctl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <cmocka.h>
#include <loader/impl.h>
#include "tests/util/live.h"

static void run(struct live *v, const struct live_brane *b, struct om_brane_info *info)
{
	struct om_err err;
	if (live_apply(v, b, info, &err) < 0)
		fail_msg("%s: %s", b->name, err.text);
	live_wait(v, b->name, info);
}

/* Runs `inside facts` under what the test did to the loader's own process before. */
static const char *facts(struct live *v)
{
	struct om_brane_info info;
	struct live_brane b = live_inside(v, "facts", "facts", NULL);
	run(v, &b, &info);
	assert_int_equal(info.exit_cause, OM_EXIT_CODE);
	assert_int_equal(info.exit_code, 0);
	return live_text(v, "facts", "stdout");
}

#define FACT(key, value) assert_string_equal(live_fact(text, key), value)

/* 1: nobody in particular, with nothing. */
static void identity(void **state)
{
	struct live v;
	(void)state;
	live_open(&v, OM_LAYER_PROCESS);
	const char *text = facts(&v);
	FACT("pid", "2");
	FACT("ppid", "1");
	FACT("sid", "1");
	FACT("uid", "65534");
	FACT("gid", "65534");
	FACT("groups", "0");
	FACT("host", "facts");
	FACT("caps", "0 0 0 0 0 0");
	FACT("bounding", "0");
	FACT("ambient", "0");
	FACT("nnp", "1");
	FACT("securebits", "239"); /* noroot, no-fixup, no-ambient, all locked, keep-caps locked */
	FACT("umask", "22");
	FACT("env0", "COLOUR=blue");
	FACT("env", "1");
	live_close(&v);
}

/* 2: CVE-2024-21626: no descriptor and no working directory of the host. */
static void descriptors(void **state)
{
	struct live v;
	int leak[32];
	(void)state;
	live_open(&v, OM_LAYER_PROCESS);
	for (int i = 0; i < 32; i++)
		leak[i] = dup(v.l->branes); /* without O_CLOEXEC, on purpose */
	const char *text = facts(&v);
	FACT("fds", "0 1 2");
	FACT("cwd", "/");
	for (int i = 0; i < 32; i++)
		close(leak[i]);
	live_close(&v);
}

/* 3: signal mask and dispositions are not inherited; SIGCHLD ignored would hide every exit. */
static void signals(void **state)
{
	struct live v;
	sigset_t all, old;
	(void)state;
	live_open(&v, OM_LAYER_PROCESS);
	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, &old);
	void (*chld)(int) = signal(SIGCHLD, SIG_IGN);
	void (*usr)(int) = signal(SIGUSR1, SIG_IGN);
	const char *text = facts(&v);
	signal(SIGCHLD, chld);
	signal(SIGUSR1, usr);
	sigprocmask(SIG_SETMASK, &old, NULL);
	FACT("blocked", "0");
	FACT("ignored", "0");
	live_close(&v);
}

/* 4: CVE-2017-5226, CVE-2019-10063: no terminal to push input into. */
static void terminal(void **state)
{
	struct live v;
	char expect[16];
	(void)state;
	live_open(&v, OM_LAYER_PROCESS);
	const char *text = facts(&v);
	(void)snprintf(expect, sizeof(expect), "%d", ENOTTY);
	FACT("tiocsti", expect);
	(void)snprintf(expect, sizeof(expect), "%d", ENOENT);
	FACT("tty", expect);
	live_close(&v);
}

/* 5: the session keyring of whoever started the agent stays outside. */
static void keyring(void **state)
{
	struct live v;
	(void)state;
	live_open(&v, OM_LAYER_PROCESS);
	long key =
		syscall(SYS_add_key, "user", "omega-test", "secret", 6, KEY_SPEC_SESSION_KEYRING);
	const char *text = facts(&v);
	FACT("session-user", "-1");
	if (key > 0)
		syscall(SYS_keyctl, KEYCTL_UNLINK, key, KEY_SPEC_SESSION_KEYRING);
	live_close(&v);
}

/* 6: no core of a brane unless asked; limits are lowered, a raise that fails is not fatal. */
static void rlimits(void **state)
{
	struct live v;
	struct om_brane_info info;
	(void)state;
	live_open(&v, OM_LAYER_PROCESS);
	struct live_brane b = live_inside(&v, "limits", "facts", NULL);
	b.rlimits[0] = (struct om_b_rlimit){.resource = RLIMIT_NOFILE, .value = 77};
	b.rlimits[1] = (struct om_b_rlimit){.resource = RLIMIT_NICE, .value = 40};
	b.rlimit_count = 2;
	run(&v, &b, &info);
	const char *text = live_text(&v, "limits", "stdout");
	FACT("nofile", "77");
	FACT("core", "0");
	/* Fewer than init itself holds. */
	b.name = "few";
	b.rlimits[0].value = 3;
	run(&v, &b, &info);
	assert_string_equal(live_fact(live_text(&v, "few", "stdout"), "nofile"), "3");
	live_close(&v);
}

/* 7: every way to end is told apart. */
static void ends(void **state)
{
	struct live v;
	struct om_brane_info info;
	struct om_err err = {0};
	(void)state;
	live_open(&v, OM_LAYER_PROCESS);
	struct live_brane b = live_inside(&v, "code", "exit", "42");
	run(&v, &b, &info);
	assert_int_equal(info.exit_cause, OM_EXIT_CODE);
	assert_int_equal(info.exit_code, 42);
	b = live_inside(&v, "signal", "signal", "11");
	run(&v, &b, &info);
	assert_int_equal(info.exit_cause, OM_EXIT_SIGNAL);
	assert_int_equal(info.exit_code, SIGSEGV);
	b = live_inside(&v, "killed", "sleep", NULL);
	assert_int_equal(live_apply(&v, &b, &info, &err), 0);
	assert_int_equal(info.state, OM_BRANE_RUNNING);
	assert_int_equal(om_loader_kill(v.l, "killed", &err), 0);
	live_wait(&v, "killed", &info);
	assert_int_equal(info.exit_cause, OM_EXIT_DELETED);
	live_close(&v);
}

/* 8: what the workload leaves behind ends with it; init itself cannot be killed from inside. */
static void orphans(void **state)
{
	struct live v;
	struct om_brane_info info;
	(void)state;
	live_open(&v, OM_LAYER_PROCESS);
	struct live_brane b = live_inside(&v, "orphans", "orphan", NULL);
	run(&v, &b, &info);
	OM_CLEANUP(om_close_fd) int cg = om_cgroup_child(v.l->parent, "orphans");
	assert_int_equal(om_cgroup_event(cg, "populated"), 0);
	b = live_inside(&v, "root", "root", NULL);
	run(&v, &b, &info);
	const char *text = live_text(&v, "root", "stdout");
	FACT("alive", "1");
	live_close(&v);
}

/* 9: without the process layer: the host's view, but no privilege, and nothing is left behind. */
static void no_process_layer(void **state)
{
	struct live v;
	struct om_brane_info info;
	(void)state;
	live_open(&v, OM_LAYER_PROCESS);
	struct live_brane b = live_inside(&v, "bare", "facts", NULL);
	char path[4200];
	(void)snprintf(path, sizeof(path), "%s", b.mounts[0].from);
	b.layers = 0;
	b.argv[0] = path;
	b.mounts[0] = (struct live_mount){0};
	run(&v, &b, &info);
	const char *text = live_text(&v, "bare", "stdout");
	FACT("caps", "0 0 0 0 0 0");
	FACT("nnp", "1");
	FACT("uid", "65534");
	FACT("fds", "0 1 2");
	b.name = "bare2";
	b.argv[1] = "orphan";
	run(&v, &b, &info);
	OM_CLEANUP(om_close_fd) int cg = om_cgroup_child(v.l->parent, "bare2");
	assert_int_equal(om_cgroup_event(cg, "populated"), 0);
	live_close(&v);
}

/* 10: a command that cannot be executed makes the apply fail, and leaves nothing. */
static void no_command(void **state)
{
	struct live v;
	struct om_brane_info info;
	struct om_err err;
	(void)state;
	live_open(&v, OM_LAYER_PROCESS);
	struct live_brane b = live_inside(&v, "none", "facts", NULL);
	b.argv[0] = "/not/there";
	assert_true(live_apply(&v, &b, &info, &err) < 0);
	assert_int_equal(err.id, OM_ERR_TXN_ROLLED_BACK);
	assert_int_equal(err.ret, -ENOENT);
	assert_non_null(strstr(err.text, "/not/there"));
	assert_true(om_loader_get(v.l, "none", &info, &err) < 0);
	assert_int_equal(err.id, OM_ERR_NOT_FOUND);
	assert_true(om_cgroup_child(v.l->parent, "none") < 0);
	assert_true(om_cgroup_child(v.l->shims, "none") < 0);
	live_close(&v);
}

/* 11: uid 0 inside, should a manifest ask for it, is still without capabilities. */
static void user_zero(void **state)
{
	struct live v;
	struct om_brane_info info;
	(void)state;
	live_open(&v, OM_LAYER_PROCESS);
	struct live_brane b = live_inside(&v, "zero", "facts", NULL);
	b.user = 0;
	run(&v, &b, &info);
	const char *text = live_text(&v, "zero", "stdout");
	FACT("uid", "0");
	FACT("caps", "0 0 0 0 0 0");
	FACT("bounding", "0");
	live_close(&v);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(identity),
		cmocka_unit_test(descriptors),
		cmocka_unit_test(signals),
		cmocka_unit_test(terminal),
		cmocka_unit_test(keyring),
		cmocka_unit_test(rlimits),
		cmocka_unit_test(ends),
		cmocka_unit_test(orphans),
		cmocka_unit_test(no_process_layer),
		cmocka_unit_test(no_command),
		cmocka_unit_test(user_zero),
	};
	return cmocka_run_group_tests_name("spawn", tests, NULL, NULL);
}
