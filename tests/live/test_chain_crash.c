/*
 * SIGKILL at random moments: a writer and the real sign role, killed together or one at a time, and
 * with the one-time key lost as after a reboot. After every kill the log is opened again, judged, and
 * searched for every event that was acknowledged.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <cmocka.h>

#include "tests/util/chain_fixture.h"

#define ROUNDS	   60
#define EVENTS_MAX 2000000

struct shared {
	uint32_t next;	/* number of the next event */
	uint32_t acked; /* commits that returned */
	uint8_t ack[EVENTS_MAX];
};

static struct fix fix;
static struct shared *sh;
static uint8_t *seen;
static char role[PATH_MAX];

/* build/tests/live/test_x -> build/omegad-sign */
static bool find_role(void)
{
	char self[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	char *slash;

	if (n < 0)
		return false;
	self[n] = 0;
	for (int up = 0; up < 3; up++) {
		slash = strrchr(self, '/');
		if (!slash)
			return false;
		*slash = 0;
	}
	snprintf(role, sizeof(role), "%.4000s/omegad-sign", self);
	return access(role, X_OK) == 0;
}

static pid_t start_role(int sock)
{
	char state[128], run[128];
	pid_t pid = fork();

	if (pid)
		return pid;
	snprintf(state, sizeof(state), "%s/state", fix.dir);
	snprintf(run, sizeof(run), "%s/run", fix.dir);
	if (sock == 3)
		fcntl(3, F_SETFD, 0);
	else
		dup2(sock, 3);
	execl(role, role, "--state-dir", state, "--run-dir", run, "--fd", "3", (char *)NULL);
	_exit(127);
}

static int add_event(struct om_log *log, uint32_t brane, uint32_t number, struct om_err *err)
{
	struct om_data d;

	om_data_init(&d);
	om_data_word(&d, "act", "deny");
	om_data_word(&d, "obj", "/etc/shadow");
	om_data_int(&d, "pid", number);
	return om_log_append(log, brane, "file.open", &d, 0, err);
}

/* One commit of some events, each acknowledged only afterwards. */
static int add_batch(struct om_log *log, uint32_t brane, struct om_err *err)
{
	uint32_t from = sh->next, n = 1 + from % 40;
	int ret = 0;

	if (from + n >= EVENTS_MAX)
		_exit(5);
	sh->next += n;
	for (uint32_t i = 0; ret == 0 && i < n; i++)
		ret = add_event(log, brane, from + i, err);
	if (ret == 0)
		ret = om_log_commit(log, err);
	if (ret == 0) {
		memset(sh->ack + from, 1, n);
		sh->acked++;
	}
	return ret;
}

/* Writes until it is killed or the signer is gone; exit 3 when the log cannot be opened at all. */
static void writer(int sock)
{
	struct om_err err = {0};
	struct om_signer *s;
	struct om_log *log;
	uint32_t brane = 0;

	prctl(PR_SET_PDEATHSIG, SIGKILL); /* a failed test leaves no writer behind */
	if (om_signer_remote(sock, &s, &err) < 0 ||
	    om_log_open(fix.audit_fd, s, &fix.opt, &log, &err) < 0) {
		fprintf(stderr, "# writer: %s\n", err.text);
		_exit(err.id == OM_ERR_LOG_SIGNER ? 4 : 3);
	}
	if (om_log_brane_open(log, "acme/api", "k3v9qz", NULL, &brane, &err) < 0) {
		fprintf(stderr, "# writer: %s\n", err.text);
		_exit(err.id == OM_ERR_LOG_SIGNER ? 4 : 3);
	}
	while (add_batch(log, brane, &err) == 0)
		;
	(void)!om_log_close(log, &err);
	_exit(0);
}

static void pause_us(unsigned int us)
{
	struct timespec ts = {0, (long)us * 1000};

	nanosleep(&ts, NULL);
}

static void one_round(int round, unsigned int us)
{
	int sv[2], status;
	pid_t signer, pid;

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv), 0);
	signer = start_role(sv[1]);
	pid = fork();
	if (!pid) {
		close(sv[1]);
		writer(sv[0]);
	}
	close(sv[0]);
	close(sv[1]);
	pause_us(us);
	switch (round % 4) {
	case 0: /* both at once */
		kill(pid, SIGKILL);
		kill(signer, SIGKILL);
		break;
	case 1: /* the writer alone: the signer leaves by itself */
		kill(pid, SIGKILL);
		break;
	case 2: /* the signer alone: the writer puts its lines down unsigned */
		kill(signer, SIGKILL);
		break;
	case 3: /* power cut: the tmpfs is gone too */
		kill(pid, SIGKILL);
		kill(signer, SIGKILL);
		break;
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFEXITED(status) && WEXITSTATUS(status) != 0 && WEXITSTATUS(status) != 4)
		fail_msg("writer ended with %d", WEXITSTATUS(status));
	assert_int_equal(waitpid(signer, &status, 0), signer);
	if (WIFSIGNALED(status))
		assert_int_equal(WTERMSIG(status), SIGKILL); /* SIGSYS: its filter is too narrow */
	if (round % 4 == 3)
		unlinkat(fix.run_fd, "next.key", 0);
}

/* Killed before it made its directory: then nothing may have been acknowledged. */
static bool nothing_there(void)
{
	struct om_verify_options o = {.substrate_vkey = fix.vkey};
	struct om_verify_result r;
	struct om_err err = {0};
	int ret = om_verify(fix.audit_fd, &o, &r, &err);

	if (ret == 0)
		om_verify_done(&r);
	return ret == -ENOENT;
}

static void check_log(int round)
{
	struct om_reader_filter only = {.kind = "file.open"};
	struct om_verify_options o = {.substrate_vkey = fix.vkey};
	struct om_verify_result r;
	struct om_reader *rd;
	struct om_record rec;
	struct om_err err = {0};
	struct om_json_val v;
	int64_t number;
	int code;

	if (!sh->acked && nothing_there())
		return;
	fix_verify(&fix, &o, &r);
	code = om_verify_exit(&r);
	if (code != 0 && code != 11) {
		print_message("round %d\n", round);
		om_verify_done(&r);
		fix_expect_exit(&fix, 11);
	}
	om_verify_done(&r);
	memset(seen, 0, EVENTS_MAX);
	assert_int_equal(om_reader_open(fix.audit_fd, &only, &rd, &err), 0);
	while (om_reader_next(rd, &rec, &err) == 1) {
		assert_int_equal(om_json_get(rec.data, "pid", &v), 0);
		assert_int_equal(om_json_int(v, &number), 0);
		assert_false(seen[number]); /* never twice */
		seen[number] = 1;
	}
	assert_int_equal(om_reader_damaged(rd), 0);
	om_reader_close(rd);
	for (uint32_t i = 0; i < sh->next; i++)
		if (sh->ack[i] && !seen[i])
			fail_msg("round %d: event %u was acknowledged and is gone", round, i);
}

/*
 * Kills fall within milliseconds that emulated processors need to start a writer at all; the log asks
 * nothing of the kernel that differs between them.
 */
static void only_on_the_host(void)
{
	if (!getenv("OMEGA_VM"))
		return;
	print_message("# skip: the moments of killing are for real processors\n");
	skip();
}

static void test_kill_at_random(void **state)
{
	uint64_t x = (uint64_t)time(NULL) * 2654435761u | 1;

	if (!find_role()) {
		print_message("omegad-sign is not built beside the tests\n");
		skip();
	}
	print_message("# seed %llu\n", (unsigned long long)x);
	for (int round = 0; round < ROUNDS; round++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		/* at once; then from the middle of the start, and often there, to some dozens of commits */
		one_round(round, round ? 500 + (unsigned int)(x % (round & 4 ? 40000 : 4000)) : 0);
		check_log(round);
	}
	print_message("# %u events offered, %u commits acknowledged\n", sh->next, sh->acked);
	assert_true(sh->acked > ROUNDS / 2);
	/* and it can still be opened, closed and read */
	fix_open(&fix);
	fix_close(&fix);
	fix_expect_exit(&fix, 11);
	check_log(ROUNDS);
}

/* Judged while it is written, over segment changes too: never taken for tampered with. */
static void test_verify_while_written(void **state)
{
	struct om_verify_options o = {.substrate_vkey = fix.vkey};
	struct om_verify_result r;
	int sv[2], status;
	uint32_t before = sh->acked;
	pid_t signer, pid;

	if (!find_role()) {
		print_message("omegad-sign is not built beside the tests\n");
		skip();
	}
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv), 0);
	signer = start_role(sv[1]);
	pid = fork();
	if (!pid) {
		close(sv[1]);
		writer(sv[0]);
	}
	close(sv[0]);
	close(sv[1]);
	for (int i = 0; i < 12; i++) {
		int code;

		fix_verify(&fix, &o, &r);
		code = om_verify_exit(&r);
		om_verify_done(&r);
		if (code != 0 && code != 11)
			fix_expect_exit(&fix, 11);
		pause_us(3000);
	}
	kill(pid, SIGKILL);
	kill(signer, SIGKILL);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(waitpid(signer, &status, 0), signer);
	assert_true(sh->acked > before);
	check_log(-1);
}

static int setup(void **state)
{
	fix_make(&fix);
	fix.opt.segment_bytes = 200000;
	fix.opt.prealloc_bytes = 65536;
	sh = mmap(NULL, sizeof(*sh), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	seen = malloc(EVENTS_MAX);
	return sh == MAP_FAILED || !seen ? -1 : 0;
}

static int teardown(void **state)
{
	free(seen);
	munmap(sh, sizeof(*sh));
	fix_free(&fix);
	return 0;
}

static void kill_at_random(void **state)
{
	only_on_the_host();
	test_kill_at_random(state);
}

static void verify_while_written(void **state)
{
	only_on_the_host();
	test_verify_while_written(state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(kill_at_random),
					   cmocka_unit_test(verify_while_written)};

	return cmocka_run_group_tests_name("chain_crash", tests, setup, teardown);
}
