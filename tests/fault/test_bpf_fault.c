/*
 * The helpers of the programs fail, one after the other: no memory for a label, no room in the ring, no place
 * for a repeat, names and addresses that cannot be read. Each time the answer is no, and it is counted.
 *
 * Needs a build whose objects hold the switch (FAULTS=1) and a kernel with BPF-LSM; skipped elsewhere.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include <bpf/lib/fault.bpf.h>
#include <tests/util/brane.h>
#include <tests/util/netops.h>

static struct tb tb;
static int faults = -1;
static uint16_t port;

static void faulty(uint32_t which)
{
	const uint32_t zero = 0;

	assert_int_equal(tb_map_put(faults, &zero, &which), 0);
}

static int do_secret(void *arg)
{
	return open(tb.secret, O_RDONLY | O_CLOEXEC) < 0 ? errno : 0;
}

/* Forks, and what the child finds. */
static int do_fork(void *arg)
{
	pid_t pid = fork();
	int st;

	if (pid < 0)
		return errno;
	if (!pid)
		_exit(do_secret(NULL));
	return waitpid(pid, &st, 0) == pid ? 100 + WEXITSTATUS(st) : 200;
}

static int do_absent(void *arg)
{
	for (int i = 0; i < 3; i++)
		if (open("/omt/fault", O_RDONLY | O_CLOEXEC) >= 0 || errno != ENOENT)
			return 1;
	return 0;
}

/* seq moved by N, and all of them lie in one of the three places. */
static void counted(const struct om_stat *a, uint64_t n, uint64_t events)
{
	struct om_stat b;

	tb_stat(&tb, &b);
	assert_int_equal(b.seq - a->seq, n);
	assert_int_equal(b.events - a->events, events);
	assert_int_equal(b.folded - a->folded + b.lost - a->lost, n - events);
	assert_int_equal(b.lost, 0);
}

/* A child that could shed its brane is not born; and a task without a label is in it by its cgroup. */
static void test_label(void **state)
{
	struct om_stat before;

	tb_stat(&tb, &before);
	assert_true(tb_expect(&tb, "label", do_fork, NULL, 100 + EACCES, 1, OM_OP_FILE_READ,
			      "file_open"));
	faulty(OM_FAULT_LABEL);
	assert_true(tb_expect(&tb, "no label: fork", do_fork, NULL, EPERM, 1, OM_OP_SCOPE,
			      "task_alloc"));
	assert_true(tb_expect(&tb, "no label: open", do_secret, NULL, EACCES, 1, OM_OP_FILE_READ,
			      "file_open"));
	faulty(0);
	counted(&before, 3, 3);
}

static void test_ring(void **state)
{
	struct om_stat before;

	tb_stat(&tb, &before);
	faulty(OM_FAULT_RING);
	assert_int_equal(tb_run(&tb, do_secret, NULL), EACCES);
	assert_int_equal(tb_run(&tb, net_connect,
				&(struct netop){.family = AF_INET,
						.type = SOCK_STREAM,
						.addr = "127.0.0.1",
						.port = port}),
			 EPERM);
	faulty(OM_FAULT_RING | OM_FAULT_LABEL);
	assert_int_equal(tb_run(&tb, do_fork, NULL), EPERM);
	faulty(0);
	assert_int_equal(tb_events(&tb), 0);
	counted(&before, 3, 0);
}

/* Neither a place for a repeat nor room for a record: the look-up is counted all the same. */
static void test_fold(void **state)
{
	struct om_stat before;

	tb_publish(&tb, OM_SLOT_KERNEL | OM_SLOT_VIEW);
	tb_stat(&tb, &before);
	faulty(OM_FAULT_FOLD);
	assert_true(tb_expect(&tb, "no place", do_absent, NULL, 0, 3, OM_OP_FILE_ABSENT, "view"));
	counted(&before, 3, 3);
	tb_stat(&tb, &before);
	faulty(OM_FAULT_FOLD | OM_FAULT_RING);
	assert_int_equal(tb_run(&tb, do_absent, NULL), 0);
	faulty(0);
	counted(&before, 3, 0);
	tb_publish(&tb, OM_SLOT_KERNEL);
}

/* What a record names is for people: without it the record is there, and says that it is not whole. */
static void test_path(void **state)
{
	struct om_stat before;

	tb_stat(&tb, &before);
	faulty(OM_FAULT_PARENT);
	assert_true(tb_expect(&tb, "no walk", do_secret, NULL, EACCES, 1, OM_OP_FILE_READ,
			      "file_open"));
	assert_true(tb.events[0].head.flags & OM_EVENT_TRUNCATED);
	assert_int_not_equal(tb.events[0].ino, 0);
	faulty(OM_FAULT_NAME);
	assert_true(tb_expect(&tb, "no name", do_secret, NULL, EACCES, 1, OM_OP_FILE_READ,
			      "file_open"));
	assert_true(tb.events[0].head.flags & OM_EVENT_TRUNCATED);
	assert_int_not_equal(tb.events[0].ino, 0);
	faulty(0);
	counted(&before, 2, 2);
}

static void test_address(void **state)
{
	struct netop op = {
		.family = AF_INET, .type = SOCK_STREAM, .addr = "127.0.0.1", .port = port};
	struct netop to = {
		.family = AF_INET, .type = SOCK_DGRAM, .addr = "127.0.0.1", .port = port};
	struct om_stat before;

	tb_egress(&tb, "127.0.0.1", 32, OM_PROTO_TCP, port);
	tb_egress(&tb, "127.0.0.1", 32, OM_PROTO_UDP, port);
	tb_publish(&tb, OM_SLOT_KERNEL);
	assert_true(tb_expect(&tb, "granted", net_connect, &op, 0, 0, 0, NULL));
	tb_stat(&tb, &before);
	faulty(OM_FAULT_ADDR);
	assert_true(tb_expect(&tb, "connect", net_connect, &op, EPERM, 1, OM_OP_NET_CONNECT,
			      "socket_connect"));
	assert_true(tb_expect(&tb, "sendto", net_sendto, &to, EPERM, 1, OM_OP_NET_CONNECT,
			      "socket_sendmsg"));
	/* A socket without a label of its own is judged like a stranger's: at each send, by its peer. */
	faulty(OM_FAULT_SOCK);
	assert_true(tb_expect(&tb, "no socket label", net_connect, &op, 0, 0, 0, NULL));
	faulty(0);
	counted(&before, 2, 2);
}

/* What is missing here, or NULL: the programs are loaded and can be told to fail. */
static const char *open_scene(void)
{
	static struct om_err err;
	char path[128];

	if (tb_open(&tb, OM_LAYER_KERNEL, &err))
		return err.text;
	snprintf(path, sizeof(path), "%s/v%u/om_faults", tb.bpffs, OM_ABI_VERSION);
	if (access(path, F_OK))
		return "these programs hold no fault points (FAULTS=1)";
	faults = tb_map(path);
	return NULL;
}

static int setup(void **state)
{
	assert_true(net_server(AF_INET, SOCK_STREAM, &port) >= 0);
	tb_publish(&tb, OM_SLOT_KERNEL);
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
		cmocka_unit_test(test_label),	cmocka_unit_test(test_ring),
		cmocka_unit_test(test_fold),	cmocka_unit_test(test_path),
		cmocka_unit_test(test_address),
	};

	const char *why = open_scene();

	if (why) {
		printf("1..0 # SKIP %s\n", why);
		tb_close(&tb);
		return 0;
	}
	return cmocka_run_group_tests(tests, setup, teardown);
}
