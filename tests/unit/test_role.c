/*
 * Roles: messages that fit exactly or not at all, sealed memory, spawn's exact descriptors, and what a
 * confined role can no longer do.
 *
 * Comes in: nothing. Goes out: TAP. Called by: make check. Never does: confine the test itself.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include "agent/role/sandbox.h"
#include "agent/role/spawn.h"
#include "agent/role/wire.h"

static int pair[2];

static int open_pair(void **state)
{
	return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair);
}

static int close_pair(void **state)
{
	close(pair[0]);
	close(pair[1]);
	return 0;
}

static void messages_travel(void **state)
{
	struct om_wire_log_state out = {.state = OM_LOG_STUCK};
	const struct om_wire_log_state *in;
	struct om_err err;
	struct om_msg m;

	assert_int_equal(om_msg_recv(pair[1], 0, &m, &err), 0);
	assert_int_equal(
		om_msg_send(pair[0], OM_MSG_LOG_STATE, 7, &out, sizeof(out), pair, 2, &err), 0);
	assert_int_equal(om_msg_recv(pair[1], 1000, &m, &err), 1);
	assert_int_equal(m.head.id, 7);
	assert_int_equal(m.nfds, 2);
	assert_true(fcntl(m.fds[0], F_GETFD) & FD_CLOEXEC);
	in = om_msg_body(&m, OM_MSG_LOG_STATE, sizeof(*in), 2, 2);
	assert_non_null(in);
	assert_int_equal(in->state, OM_LOG_STUCK);
	/* Another type, size or number of descriptors is another message. */
	assert_null(om_msg_body(&m, OM_MSG_DONE, sizeof(*in), 2, 2));
	assert_null(om_msg_body(&m, OM_MSG_LOG_STATE, sizeof(*in) - 1, 2, 2));
	assert_null(om_msg_body(&m, OM_MSG_LOG_STATE, sizeof(*in), 0, 1));
	om_msg_done(&m);
	assert_int_equal(om_msg_send(pair[0], 1, 0, NULL, 0, NULL, 0, &err), 0);
	close(pair[0]);
	assert_int_equal(om_msg_recv(pair[1], 1000, &m, &err), 1);
	assert_int_equal(om_msg_recv(pair[1], 1000, &m, &err), -ECONNRESET);
	assert_int_equal(om_msg_send(pair[1], 1, 0, NULL, 0, NULL, 0, &err), -ECONNRESET);
}

static void bad_messages(void **state)
{
	struct {
		struct om_msg_head head;
		char body[OM_MSG_BODY_MAX + 64];
	} raw = {.head = {.version = OM_MSG_VERSION, .type = 1, .len = 8}};
	struct om_err err = {0};
	struct om_msg m;
	static const size_t sizes[] = {1, 15, 16, 23, 25, sizeof(raw)};

	for (size_t i = 0; i < OM_ARRAY_LEN(sizes); i++) {
		assert_int_equal(send(pair[0], &raw, sizes[i], 0), (ssize_t)sizes[i]);
		assert_int_equal(om_msg_recv(pair[1], 1000, &m, &err), -EBADMSG);
		assert_int_equal(err.id, OM_ERR_ROLE_PROTOCOL);
	}
	raw.head.version++;
	assert_int_equal(send(pair[0], &raw, 24, 0), 24);
	assert_int_equal(om_msg_recv(pair[1], 1000, &m, &err), -EBADMSG);
	assert_int_equal(om_msg_send(pair[0], 1, 0, &raw, OM_MSG_BODY_MAX + 1, NULL, 0, &err),
			 -EMSGSIZE);
	assert_true(om_msg_str_ok("a", 2));
	assert_false(om_msg_str_ok("abc", 3));
}

static void memory_must_be_sealed(void **state)
{
	struct om_err err = {0};
	struct om_map map;
	int fd, open_fd;

	assert_int_equal(om_memfd_new("x", "hello", 5, &fd, &err), 0);
	assert_int_equal(om_memfd_map(fd, 5, &map, &err), 0);
	assert_memory_equal(map.data, "hello", 5);
	om_map_done(&map);
	assert_int_equal(om_memfd_map(fd, 4, &map, &err), -E2BIG);
	assert_true(write(fd, "x", 1) < 0);
	assert_true(ftruncate(fd, 0) < 0);
	close(fd);
	open_fd = memfd_create("y", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	assert_int_equal(write(open_fd, "hello", 5), 5);
	assert_true(om_memfd_map(open_fd, 5, &map, &err) < 0);
	assert_int_equal(err.id, OM_ERR_ROLE_PROTOCOL);
	fcntl(open_fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW);
	assert_true(om_memfd_map(open_fd, 5, &map, &err) < 0);
	close(open_fd);
	/* A plain file cannot be sealed at all. */
	fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	assert_true(om_memfd_map(fd, 1u << 30, &map, &err) < 0);
	close(fd);
	assert_int_equal(om_memfd_new("z", "", 0, &fd, &err), 0);
	assert_int_equal(om_memfd_map(fd, 5, &map, &err), 0);
	assert_null(map.data);
	close(fd);
}

static void spawn_gives_exactly_these(void **state)
{
	int leak = open("/dev/null", O_RDONLY), out[2], status;
	char buf[512] = "";
	char ls[] = "ls", flag[] = "-1", dir[] = "/proc/self/fd";
	char *const argv[] = {ls, flag, dir, NULL};
	struct om_err err;
	pid_t pid;

	assert_true(leak >= 0);
	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	int saved = dup(1);
	dup2(out[1], 1);
	/* The second names the first's target number: neither may overwrite the other. */
	assert_int_equal(om_role_spawn("/bin/ls", argv, (int[]){pair[1], pair[0]}, 2, &pid, &err),
			 0);
	dup2(saved, 1);
	close(saved);
	close(out[1]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_true(read(out[0], buf, sizeof(buf) - 1) > 0);
	/* 0-2, the two, and the directory that ls has open. */
	assert_string_equal(buf, "0\n1\n2\n3\n4\n5\n");
	close(out[0]);
	close(leak);
	assert_int_equal(om_role_spawn("/nonexistent", argv, NULL, 0, &pid, &err), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(WEXITSTATUS(status), 126);
}

static const int no_more[] = {-1};
static const struct om_role_desc jail = {
	.name = "jail",
	.uid = OM_UID_NOBODY,
	.syscalls = no_more,
	.no_files = true,
	.no_processes = true,
	.files_max = 64,
};

/* Runs FN confined in a child; returns the wait status. */
static int confined(const struct om_role_desc *desc, int (*fn)(void))
{
	int p[2], status;
	pid_t pid;

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, p), 0);
	pid = fork();
	if (!pid) {
		struct om_err err = {0};

		if (om_role_enter(desc, p[1], &err) < 0) {
			fprintf(stderr, "# %s\n", err.text);
			_exit(99);
		}
		_exit(fn());
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	close(p[0]);
	close(p[1]);
	return status;
}

static int try_nothing(void)
{
	struct om_err err;
	int fd;

	return om_memfd_new("m", "x", 1, &fd, &err) < 0;
}

static int ascending(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

/* The C library reaches the kernel from where nobody expects it: qsort of a large array does. */
static int sort_much(void)
{
	static int v[16384];

	for (size_t i = 0; i < OM_ARRAY_LEN(v); i++)
		v[i] = (int)(OM_ARRAY_LEN(v) - i);
	qsort(v, OM_ARRAY_LEN(v), sizeof(v[0]), ascending);
	return v[0] == 1 ? 0 : 9;
}

static int try_open(void)
{
	return open("/dev/null", O_RDONLY) < 0;
}

static int try_exec_memory(void)
{
	return mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) ==
	       MAP_FAILED;
}

static int try_socket(void)
{
	return socket(AF_UNIX, SOCK_STREAM, 0) < 0;
}

static int try_fork(void)
{
	return fork() < 0;
}

static void a_role_is_confined(void **state)
{
	static int (*const tries[])(void) = {try_open, try_exec_memory, try_socket, try_fork};

	if (geteuid() != 0) {
		print_message("skipped: needs root\n");
		skip();
	}
	assert_int_equal(confined(&jail, try_nothing), 0);
	assert_int_equal(confined(&jail, sort_much), 0);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_UNDEFINED__)
	for (size_t i = 0; i < OM_ARRAY_LEN(tries); i++) {
		int status = confined(&jail, tries[i]);

		assert_true(WIFSIGNALED(status));
		assert_int_equal(WTERMSIG(status), SIGSYS);
	}
#else
	(void)tries;
#endif
}

static int is_nobody(void)
{
	char line[256];
	FILE *f = fopen("/proc/self/status", "re");
	int wrong = 0;

	if (!f)
		return 1;
	while (fgets(line, sizeof(line), f)) {
		unsigned long long v = 0;

		if (sscanf(line, "CapEff: %llx", &v) == 1 ||
		    sscanf(line, "CapPrm: %llx", &v) == 1 || sscanf(line, "CapBnd: %llx", &v) == 1)
			wrong |= v != (1ull << CAP_DAC_READ_SEARCH);
		if (sscanf(line, "NoNewPrivs: %llu", &v) == 1)
			wrong |= v != 1;
	}
	fclose(f);
	return wrong | prctl(PR_GET_DUMPABLE, 0, 0, 0, 0);
}

static void capabilities_are_what_is_listed(void **state)
{
	static const struct om_role_desc few = {.name = "few", .caps = 1ull << CAP_DAC_READ_SEARCH};

	if (geteuid() != 0) {
		print_message("skipped: needs root\n");
		skip();
	}
	assert_int_equal(confined(&few, is_nobody), 0);
}

static void a_stranger_is_no_parent(void **state)
{
	int status;
	pid_t pid = fork();

	if (!pid) {
		/* The pair was made by this process's parent's parent: not by who starts the role. */
		pid_t role = fork();
		struct om_err err = {0};

		if (!role)
			_exit(om_role_enter(&jail, pair[0], &err) < 0 && err.id == OM_ERR_SANDBOX
				      ? 0
				      : 1);
		waitpid(role, &status, 0);
		_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 2);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(messages_travel, open_pair, close_pair),
		cmocka_unit_test_setup_teardown(bad_messages, open_pair, close_pair),
		cmocka_unit_test(memory_must_be_sealed),
		cmocka_unit_test_setup_teardown(spawn_gives_exactly_these, open_pair, close_pair),
		cmocka_unit_test(a_role_is_confined),
		cmocka_unit_test(capabilities_are_what_is_listed),
		cmocka_unit_test_setup_teardown(a_stranger_is_no_parent, open_pair, close_pair),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
