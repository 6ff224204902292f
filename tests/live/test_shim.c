/*
 * The supervisor: every denied call recorded once or counted, output kept within its bound, the end
 * reported, all of it without the agent.
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
#include <sys/syscall.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>
#include <loader/impl.h>
#include "tests/util/live.h"

static const uint32_t denied[] = {SYS_mount, SYS_ptrace, SYS_bpf, ~0u};

/* The drain role's end. */
static int serve(struct live *v)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	(void)snprintf(a.sun_path, sizeof(a.sun_path), "%.80s/shim.sock", v->run);
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	assert_true(fd >= 0);
	(void)unlink(a.sun_path);
	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(fd, 8), 0);
	return fd;
}

static void hang_up(struct live *v, int server, int client)
{
	char path[128];
	close(client);
	close(server);
	(void)snprintf(path, sizeof(path), "%.80s/shim.sock", v->run);
	(void)unlink(path);
}

static int answer(int server)
{
	struct pollfd p = {server, POLLIN, 0};
	assert_int_equal(poll(&p, 1, 10000), 1);
	int fd = accept4(server, NULL, NULL, SOCK_CLOEXEC);
	assert_true(fd >= 0);
	return fd;
}

static void get(int fd, struct om_shim_msg *m)
{
	struct pollfd p = {fd, POLLIN, 0};
	memset(m, 0, sizeof(*m));
	assert_int_equal(poll(&p, 1, 10000), 1);
	assert_int_equal(recv(fd, m, sizeof(*m), 0), (ssize_t)sizeof(*m));
	assert_int_equal(m->version, OM_SHIM_VERSION);
}

static void ack(int fd, const struct om_shim_msg *m)
{
	struct om_shim_msg a = {.version = OM_SHIM_VERSION, .type = OM_SHIM_ACK, .id = m->id};
	assert_int_equal(send(fd, &a, sizeof(a), MSG_NOSIGNAL), (ssize_t)sizeof(a));
}

static struct live_brane caller(const struct live *v, const char *name, const char *what, long nr)
{
	static char arg[4][16];
	static int turn;
	char *s = arg[turn++ % 4];
	(void)snprintf(s, 16, "%ld", nr);
	struct live_brane b = live_inside(v, name, what, s);
	b.denied = denied;
	return b;
}

static void apply(struct live *v, const struct live_brane *b, struct om_brane_info *info)
{
	struct om_err err;
	if (live_apply(v, b, info, &err) < 0)
		fail_msg("%s: %s", b->name, err.text);
}

/* 1: one attempt, one event, answered EPERM; then the end. */
static void one_event(void **state)
{
	struct live v;
	struct om_brane_info info;
	struct om_shim_msg m;
	char eperm[8];
	(void)state;
	live_open(&v, OM_LAYER_PROCESS);
	int server = serve(&v);
	struct live_brane b = caller(&v, "call", "call", SYS_mount);
	apply(&v, &b, &info);
	int fd = answer(server);
	get(fd, &m);
	assert_int_equal(m.type, OM_SHIM_HELLO);
	assert_string_equal(m.u.hello.name, "call");
	assert_string_equal(m.u.hello.instance, info.instance);
	assert_int_equal(m.u.hello.shim_pid, info.shim_pid);
	assert_int_equal(m.u.hello.init_pid, info.init_pid);
	get(fd, &m);
	assert_int_equal(m.type, OM_SHIM_DENIED);
	const struct om_event *e = &m.u.denied;
	assert_int_equal(e->head.version, OM_EVENT_VERSION);
	assert_int_equal(e->head.body, OM_BODY_SYS);
	assert_int_equal(e->head.where, OM_WHERE_SECCOMP);
	assert_int_equal(e->head.op, OM_OP_SYSCALL);
	assert_int_equal(e->head.seq, 0);
	assert_int_equal(e->head.uid, 65534);
	assert_string_equal(e->head.comm, "inside");
	assert_string_equal(e->head.hook, "seccomp");
	assert_int_equal(e->u.sys.nr, SYS_mount);
	assert_true(e->u.sys.args[0] == (uint64_t)-1);
	/* Not answered before it is taken over: the workload waits. */
	assert_string_equal(live_text(&v, "call", "stdout"), "");
	ack(fd, &m);
	get(fd, &m);
	assert_int_equal(m.type, OM_SHIM_EXITED);
	assert_int_equal(m.u.exited.cause, OM_EXIT_CODE);
	assert_int_equal(m.u.exited.code, 0);
	ack(fd, &m);
	live_wait(&v, "call", &info);
	(void)snprintf(eperm, sizeof(eperm), "%d", EPERM);
	assert_string_equal(live_fact(live_text(&v, "call", "stdout"), "call"), eperm);
	hang_up(&v, server, fd);
	live_close(&v);
}

/* 2: 100 attempts, 100 events, numbered without a gap. */
static void many_events(void **state)
{
	struct live v;
	struct om_brane_info info;
	struct om_shim_msg m;
	(void)state;
	live_open(&v, OM_LAYER_PROCESS);
	int server = serve(&v);
	struct live_brane b = caller(&v, "calls", "calls", SYS_bpf);
	apply(&v, &b, &info);
	int fd = answer(server);
	get(fd, &m);
	for (uint64_t i = 0; i < 100; i++) {
		get(fd, &m);
		assert_int_equal(m.type, OM_SHIM_DENIED);
		assert_int_equal(m.u.denied.head.seq, i);
		ack(fd, &m);
	}
	get(fd, &m);
	assert_int_equal(m.type, OM_SHIM_EXITED);
	hang_up(&v, server, fd);
	live_close(&v);
}

/* 3: nobody listens: denied after a bound, counted, and told when somebody does. */
static void counted(void **state)
{
	struct live v;
	struct om_brane_info info;
	struct om_shim_msg m;
	(void)state;
	live_open(&v, OM_LAYER_PROCESS);
	struct live_brane b = caller(&v, "count", "call", SYS_ptrace);
	apply(&v, &b, &info);
	live_wait(&v, "count", &info);
	char eperm[8];
	(void)snprintf(eperm, sizeof(eperm), "%d", EPERM);
	assert_string_equal(live_fact(live_text(&v, "count", "stdout"), "call"), eperm);
	int server = serve(&v);
	int fd = answer(server);
	get(fd, &m);
	assert_int_equal(m.type, OM_SHIM_HELLO);
	get(fd, &m);
	assert_int_equal(m.type, OM_SHIM_COUNTED);
	assert_int_equal(m.u.counted.count, 1);
	assert_int_equal(m.u.counted.nr, SYS_ptrace);
	ack(fd, &m);
	get(fd, &m);
	assert_int_equal(m.type, OM_SHIM_EXITED);
	ack(fd, &m);
	hang_up(&v, server, fd);
	live_close(&v);
}

/* 4: the drain role dies with an event in hand: it is offered again under the same id. */
static void offered_again(void **state)
{
	struct live v;
	struct om_brane_info info;
	struct om_shim_msg m, again;
	(void)state;
	live_open(&v, OM_LAYER_PROCESS);
	int server = serve(&v);
	struct live_brane b = caller(&v, "again", "call", SYS_mount);
	apply(&v, &b, &info);
	int fd = answer(server);
	get(fd, &m);
	get(fd, &m);
	assert_int_equal(m.type, OM_SHIM_DENIED);
	close(fd);
	fd = answer(server);
	get(fd, &again);
	assert_int_equal(again.type, OM_SHIM_HELLO);
	get(fd, &again);
	assert_int_equal(again.type, OM_SHIM_DENIED);
	assert_int_equal(again.id, m.id);
	ack(fd, &again);
	get(fd, &m);
	assert_int_equal(m.type, OM_SHIM_EXITED);
	hang_up(&v, server, fd);
	live_close(&v);
}

/* 5: a flood of output costs a bound, and the newest of it is what stays. */
static void output(void **state)
{
	struct live v;
	struct om_brane_info info;
	struct stat st;
	char path[256];
	(void)state;
	live_open(&v, OM_LAYER_PROCESS);
	struct live_brane b = live_inside(&v, "flood", "flood", NULL);
	apply(&v, &b, &info);
	live_wait(&v, "flood", &info);
	(void)snprintf(path, sizeof(path), "%s/branes/flood/stdout", v.run);
	assert_int_equal(stat(path, &st), 0);
	assert_true(st.st_size <= OM_OUTPUT_BYTES_MAX && st.st_size > 100000);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	char last[21] = "";
	assert_int_equal(pread(fd, last, 20, st.st_size - 20), 20);
	assert_string_equal(last, "0000000000000299999\n");
	close(fd);
	live_close(&v);
}

/* 6: the shim is outside of the brane, without capabilities but CAP_KILL, and gone when the brane is. */
static void confined(void **state)
{
	struct live v;
	struct om_brane_info info, out;
	struct om_err err = {0};
	char path[64], line[256];
	int zero = 0;
	(void)state;
	live_open(&v, OM_LAYER_PROCESS);
	struct live_brane b = live_inside(&v, "shim", "sleep", NULL);
	apply(&v, &b, &info);
	(void)snprintf(path, sizeof(path), "/proc/%d/status", info.shim_pid);
	FILE *f = fopen(path, "re");
	assert_non_null(f);
	while (fgets(line, sizeof(line), f)) {
		zero += strcmp(line, "CapEff:\t0000000000000020\n") == 0;
		zero += strcmp(line, "CapPrm:\t0000000000000020\n") == 0;
		zero += strcmp(line, "CapBnd:\t0000000000000000\n") == 0;
		zero += strcmp(line, "NoNewPrivs:\t1\n") == 0;
	}
	(void)fclose(f);
	assert_int_equal(zero, 4);
	(void)snprintf(path, sizeof(path), "/proc/%d/cgroup", info.shim_pid);
	f = fopen(path, "re");
	assert_non_null(f);
	int there = 0;
	while (fgets(line, sizeof(line), f))
		there += strncmp(line, "0::", 3) == 0 && strstr(line, ".shims/shim");
	(void)fclose(f);
	assert_int_equal(there, 1);
	if (om_txn_delete(v.l, "shim", &out, &err) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(out.exit_cause, OM_EXIT_DELETED);
	assert_true(kill(info.shim_pid, 0) < 0);
	assert_true(om_cgroup_child(v.l->shims, "shim") < 0);
	live_close(&v);
}

/* 7: the shim killed by somebody: its brane dies with it rather than run on unsupervised. */
static void shim_killed(void **state)
{
	struct live v;
	struct om_brane_info info;
	const struct timespec ms = {.tv_nsec = 2000000};
	struct om_err err = {0};
	(void)state;
	live_open(&v, OM_LAYER_PROCESS);
	struct live_brane b = live_inside(&v, "orphan", "sleep", NULL);
	apply(&v, &b, &info);
	assert_int_equal(kill(info.shim_pid, SIGKILL), 0);
	for (int i = 0; i < 2500; i++) {
		assert_int_equal(om_loader_get(v.l, "orphan", &info, &err), 0);
		if (info.state == OM_BRANE_EXITED)
			break;
		nanosleep(&ms, NULL);
	}
	assert_int_equal(info.state, OM_BRANE_EXITED);
	assert_int_equal(info.exit_cause, OM_EXIT_SIGNAL);
	live_close(&v);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_event),   cmocka_unit_test(many_events),
		cmocka_unit_test(counted),     cmocka_unit_test(offered_again),
		cmocka_unit_test(output),      cmocka_unit_test(confined),
		cmocka_unit_test(shim_killed),
	};
	return cmocka_run_group_tests_name("shim", tests, NULL, NULL);
}
