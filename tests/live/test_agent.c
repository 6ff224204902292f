/*
 * The agent as a whole, on this host: from the control socket to the signed log, through its own death.
 *
 * Comes in: nothing. Goes out: TAP. Called by: make check. Never does: assert on time.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <omega/abi/policy.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <bpf/bpf.h>
#include <omega/abi/policy.h>
#include "agent/chain/verify.h"
#include "agent/varlink/client.h"
#include "tests/util/agent.h"

static struct agent ag;

static int setup(void **state)
{
	agent_open(&ag, "process,network");
	return 0;
}

static int teardown(void **state)
{
	if (ag.dir[0])
		agent_close(&ag);
	return 0;
}

static json_t *name_of(const char *name)
{
	return json_pack("{s:s}", "name", name);
}

static const char *text_of(json_t *o, const char *outer, const char *key)
{
	const char *s = json_string_value(json_object_get(json_object_get(o, outer), key));

	return s ? s : "";
}

static void serves_and_guards(void **state)
{
	static const struct {
		const char *socket, *method;
		enum om_err_id id;
	} rows[] = {
		{"observe", "io.omega.Control.Delete", OM_ERR_CTL_PERMISSION},
		{"observe", "io.omega.Admin.Stop", OM_ERR_CTL_PERMISSION},
		{"control", "io.omega.Admin.Stop", OM_ERR_CTL_PERMISSION},
		{"control", "io.omega.Observe.Nothing", OM_ERR_CTL_METHOD},
		{"observe", "io.omega.Observe.Describe", OM_ERR_CTL_PARAMETER},
	};
	struct om_err err;
	json_t *r = agent_call(&ag, "observe", "io.omega.Observe.Version", NULL, &err);

	assert_int_equal(err.id, 0);
	assert_non_null(json_string_value(json_object_get(r, "kernel")));
	assert_true(json_array_size(json_object_get(r, "layers")) >= 1);
	json_decref(r);
	for (size_t i = 0; i < OM_ARRAY_LEN(rows); i++) {
		json_decref(agent_call(&ag, rows[i].socket, rows[i].method, NULL, &err));
		assert_int_equal(err.id, rows[i].id);
	}
	json_decref(
		agent_call(&ag, "control", "io.omega.Control.Delete", name_of("../../etc"), &err));
	assert_int_equal(err.id, OM_ERR_NOT_FOUND);
	json_decref(agent_call(&ag, "control", "io.omega.Control.Delete",
			       json_pack("{s:s, s:i}", "name", "x", "force", 1), &err));
	assert_int_equal(err.id, OM_ERR_CTL_PARAMETER);
}

static void one_instance(void **state)
{
	struct agent second = ag;
	int status;
	pid_t pid = fork();

	if (!pid) {
		char run[128], exe[3300], dir[128];

		snprintf(exe, sizeof(exe), "%s/omegad", second.exe);
		snprintf(run, sizeof(run), "%s/run", second.dir);
		snprintf(dir, sizeof(dir), "%s/state", second.dir);
		if (!freopen("/dev/null", "w", stderr))
			_exit(126);
		execl(exe, exe, "--run-dir", run, "--state-dir", dir, NULL);
		_exit(127);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), om_err_exit(OM_ERR_ALREADY_RUNNING));
}

/* Sends raw bytes; returns whether the connection ends, with the answer in BUF. */
static bool raw(const char *bytes, size_t len, char *buf, size_t size)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	size_t at = 0;
	ssize_t n = 0;

	snprintf(sa.sun_path, sizeof(sa.sun_path), "%s/run/control.sock", ag.dir);
	assert_int_equal(connect(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	while (len) {
		n = send(fd, bytes, len, MSG_NOSIGNAL);
		if (n <= 0)
			break;
		bytes += n;
		len -= (size_t)n;
	}
	do {
		n = recv(fd, buf + at, size - 1 - at, 0);
		at += n > 0 ? (size_t)n : 0;
	} while (n > 0 && at < size - 1);
	buf[at] = 0;
	close(fd);
	return n == 0 || (n < 0 && errno == ECONNRESET);
}

static void bad_frames(void **state)
{
	static char buf[4096];
	char *big = malloc(OM_FRAME_MAX + 4096);
	static const char *const bad[] = {
		"{\"method\":\"io.omega.Observe.List\",\"method\":\"x\"}", "[1]", "{", "\xff",
		"{\"method\":\"io.omega.Observe.List\",\"parameters\":7}",
	};

	for (size_t i = 0; i < OM_ARRAY_LEN(bad); i++) {
		assert_true(raw(bad[i], strlen(bad[i]) + 1, buf, sizeof(buf)));
		assert_non_null(strstr(buf, "OM3101"));
	}
	memset(big, ' ', OM_FRAME_MAX + 4096);
	assert_true(raw(big, OM_FRAME_MAX + 4096, buf, sizeof(buf)));
	free(big);
	/* And it serves on. */
	serves_and_guards(state);
}

static void rejects_a_manifest(void **state)
{
	struct om_err err;
	json_t *r = agent_apply(&ag, "[brane.x]\negres = 1\n", &err);

	assert_int_equal(om_err_exit(err.id), 3);
	assert_true(json_array_size(json_object_get(r, "findings")) >= 2);
	json_decref(r);
	assert_int_equal(agent_await(&ag, "@node", "policy.denied", NULL, NULL), 1);
	r = agent_call(&ag, "observe", "io.omega.Observe.List", NULL, &err);
	assert_int_equal(json_array_size(json_object_get(r, "branes")), 0);
	json_decref(r);
}

static void denials_once(void **state)
{
	struct om_err err;
	json_t *r = agent_apply(&ag,
				agent_manifest("net",
					       "exec 3<>/dev/tcp/127.0.0.1/8081\n"
					       "/usr/bin/unshare -m /usr/bin/cat /etc/x\n"
					       "cat /etc/debian_version\nexit 3",
					       ""),
				&err);

	if (err.id)
		fail_msg("%s", err.text);
	assert_string_equal(json_string_value(json_object_get(
				    json_array_get(json_object_get(r, "results"), 0), "change")),
			    "created");
	json_decref(r);
	r = agent_call(&ag, "observe", "io.omega.Observe.Wait", name_of("net"), &err);
	assert_int_equal(err.id, 0);
	assert_string_equal(text_of(r, "brane", "state"), "exited");
	assert_int_equal(json_integer_value(json_object_get(
				 json_object_get(json_object_get(r, "brane"), "exit"), "code")),
			 3);
	json_decref(r);
	assert_int_equal(agent_await(&ag, "net", "log.close", NULL, NULL), 1);
	assert_int_equal(agent_records(&ag, "net", "policy.apply", NULL, NULL), 1);
	assert_int_equal(agent_records(&ag, "net", "net.connect", "obj", "127.0.0.1:8081"), 1);
	assert_int_equal(agent_records(&ag, "net", "net.connect", "rule", "network.egress"), 1);
	assert_int_equal(agent_records(&ag, "net", "seccomp", "obj", "unshare"), 1);
	assert_int_equal(agent_records(&ag, "net", "brane.exit", "cause", "code"), 1);
	r = agent_call(&ag, "observe", "io.omega.Observe.Logs", name_of("net"), &err);
	assert_true(strlen(json_string_value(json_object_get(r, "data"))) > 4);
	assert_true(json_is_true(json_object_get(r, "end")));
	json_decref(r);
	r = agent_call(&ag, "observe", "io.omega.Observe.Describe", name_of("net"), &err);
	assert_string_equal(text_of(r, "counts", "denied"), "2");
	assert_non_null(strstr(json_string_value(json_object_get(r, "manifest")), "[brane.net]"));
	json_decref(r);
	json_decref(agent_call(&ag, "control", "io.omega.Control.Delete", name_of("net"), &err));
	assert_int_equal(err.id, 0);
	json_decref(agent_call(&ag, "observe", "io.omega.Observe.Wait", name_of("net"), &err));
	assert_int_equal(err.id, OM_ERR_NOT_FOUND);
	assert_true(agent_await(&ag, "@node", "operator.delete", NULL, NULL) >= 1);
}

static const char *apply_change(const char *manifest)
{
	static char word[32];
	struct om_err err;
	json_t *r = agent_apply(&ag, manifest, &err);

	if (err.id)
		fail_msg("%s", err.text);
	snprintf(word, sizeof(word), "%s",
		 json_string_value(json_object_get(json_array_get(json_object_get(r, "results"), 0),
						   "change")));
	json_decref(r);
	return word;
}

/* A second life of a name is recorded to its end, and its end is its own. */
static void lives_of_one_name(void **state)
{
	struct om_err err;

	for (unsigned int life = 1; life <= 2; life++) {
		json_t *r;

		assert_string_equal(
			apply_change(agent_manifest("twice", "while sleep 1; do :; done", "")),
			"created");
		r = agent_call(&ag, "control", "io.omega.Control.Delete", name_of("twice"), &err);
		assert_int_equal(err.id, 0);
		json_decref(r);
		for (int i = 0; i < 200; i++) {
			if (agent_records(&ag, "twice", "log.close", "why", "deleted") == life)
				break;
			nanosleep(&(struct timespec){0, 50000000}, NULL);
		}
		assert_int_equal(agent_records(&ag, "twice", "log.close", "why", "deleted"), life);
		assert_int_equal(agent_records(&ag, "twice", "operator.delete", NULL, NULL), life);
	}
}

/* Without a BPF layer there is no number from a map; the log has the brane all the same. */
static void process_layer_alone(void **state)
{
	static const char manifest[] =
		"[brane.alone]\nimage = \"host:\"\nlayers = [\"process\"]\n"
		"command = [\"/usr/bin/sleep\", \"100\"]\n[brane.alone.filesystem]\n"
		"exec = [\"/usr/bin/sleep\", \"/usr/lib/x86_64-linux-gnu/\", \"/usr/lib64/\"]\n";
	struct om_err err;

	assert_string_equal(apply_change(manifest), "created");
	assert_int_equal(agent_await(&ag, "alone", "brane.start", NULL, NULL), 1);
	json_decref(agent_call(&ag, "control", "io.omega.Control.Delete", name_of("alone"), &err));
	assert_int_equal(err.id, 0);
	assert_int_equal(agent_await(&ag, "alone", "log.close", NULL, NULL), 1);
	assert_int_equal(agent_records(&ag, "@node", "recover", NULL, NULL), 0);
}

/* The loop tries once for each line that comes on its standard input. */
#define LOOP "while sleep 0.1; do exec 3<>/dev/tcp/192.0.2.1/443; done"

static void dies_and_adopts(void **state)
{
	struct timespec nap = {1, 0};
	struct om_err err;
	json_t *r;
	unsigned int before, after;

	assert_string_equal(apply_change(agent_manifest("loop", LOOP, "")), "created");
	assert_string_equal(apply_change(agent_manifest("loop", LOOP, "")), "unchanged");
	assert_true(agent_await(&ag, "loop", "net.connect", "obj", "192.0.2.1:443") >= 1);
	assert_int_equal(agent_stop(&ag, SIGKILL), 128 + SIGKILL);
	before = agent_records(&ag, "loop", "net.connect", "obj", "192.0.2.1:443");
	/* Nobody is there; the workload goes on trying. */
	nanosleep(&nap, NULL);
	agent_start(&ag);
	assert_int_equal(agent_await(&ag, "loop", "adopt", NULL, NULL), 1);
	for (int i = 0; i < 200; i++) {
		after = agent_records(&ag, "loop", "net.connect", "obj", "192.0.2.1:443") +
			agent_records(&ag, "loop", "net.connect", "why", "repeat");
		if (after > before)
			break;
		nanosleep(&(struct timespec){0, 50000000}, NULL);
	}
	assert_true(after > before);
	r = agent_call(&ag, "observe", "io.omega.Observe.List", NULL, &err);
	assert_string_equal(json_string_value(json_object_get(
				    json_array_get(json_object_get(r, "branes"), 0), "state")),
			    "running");
	json_decref(r);
}

static void role_dies(void **state)
{
	static const char *const roles[] = {"api", "compile", "drain", "load", "sign"};
	struct om_err err;
	json_t *r;

	for (size_t i = 0; i < OM_ARRAY_LEN(roles); i++) {
		pid_t pid = agent_role(&ag, roles[i]);
		unsigned int ready = agent_records(&ag, "@node", "agent.ready", NULL, NULL);

		assert_true(pid > 0);
		kill(pid, SIGKILL);
		for (int k = 0; k < 800; k++) {
			if (agent_records(&ag, "@node", "agent.ready", NULL, NULL) > ready)
				break;
			nanosleep(&(struct timespec){0, 50000000}, NULL);
		}
		r = agent_call(&ag, "observe", "io.omega.Observe.List", NULL, &err);
		assert_int_equal(err.id, 0);
		assert_string_equal(
			json_string_value(json_object_get(
				json_array_get(json_object_get(r, "branes"), 0), "state")),
			"running");
		json_decref(r);
	}
	json_decref(agent_call(&ag, "control", "io.omega.Control.Delete", name_of("loop"), &err));
	assert_int_equal(err.id, 0);
}

/* A brane that has ended stays loaded; the agent after a kill must not begin its stream anew (class 35). */
static void ended_before_the_kill(void **state)
{
	struct om_err err;
	json_t *r;

	json_decref(agent_apply(&ag, agent_manifest("ended", "exit 0", ""), &err));
	assert_int_equal(err.id, 0);
	assert_int_equal(agent_await(&ag, "ended", "log.close", NULL, NULL), 1);
	assert_int_equal(agent_stop(&ag, SIGKILL), 128 + SIGKILL);
	agent_start(&ag);
	r = agent_call(&ag, "observe", "io.omega.Observe.List", NULL, &err);
	assert_string_equal(json_string_value(json_object_get(
				    json_array_get(json_object_get(r, "branes"), 0), "state")),
			    "exited");
	json_decref(r);
	json_decref(agent_call(&ag, "control", "io.omega.Control.Delete", name_of("ended"), &err));
	assert_int_equal(err.id, 0);
	assert_int_equal(agent_records(&ag, "ended", "log.open", NULL, NULL), 1);
	assert_int_not_equal(agent_verify(&ag), OM_VERDICT_TAMPERED);
}

static void runs_with_own_command_and_stdio(void **state)
{
	json_t *cmd = json_pack("[s, s]", "/usr/bin/cat", "/etc/debian_version"), *r;
	int out[2], null;
	struct om_vl_client c;
	struct om_err err = {0};
	char path[128], buf[64] = "", want[64] = "";
	FILE *f = fopen("/etc/debian_version", "re");

	assert_non_null(fgets(want, sizeof(want), f));
	fclose(f);
	assert_int_equal(pipe(out), 0);
	null = dup(out[1]);
	snprintf(path, sizeof(path), "%s/run/control.sock", ag.dir);
	assert_int_equal(om_vl_client_open(&c, path, &err), 0);
	int status = om_vl_client_call(&c, "io.omega.Control.Apply",
				       json_pack("{s:s, s:o, s:b}", "manifest",
						 agent_manifest("once", "exit 9", ""), "command",
						 cmd, "stdio", 1),
				       (int[]){out[0], out[1], null}, 3, 20000, &r, &err);

	if (status < 0)
		fail_msg("%s", err.text);
	json_decref(r);
	close(out[1]);
	close(null);
	assert_true(read(out[0], buf, sizeof(buf) - 1) > 0);
	assert_string_equal(buf, want);
	close(out[0]);
	om_vl_client_done(&c);
	r = agent_call(&ag, "observe", "io.omega.Observe.Wait", name_of("once"), &err);
	assert_int_equal(json_integer_value(json_object_get(
				 json_object_get(json_object_get(r, "brane"), "exit"), "code")),
			 0);
	json_decref(r);
	/* A command that the manifest does not grant is refused before anything is touched. */
	r = agent_call(&ag, "control", "io.omega.Control.Apply",
		       json_pack("{s:s, s:[s]}", "manifest", agent_manifest("other", "exit 0", ""),
				 "command", "/usr/bin/id"),
		       &err);
	assert_int_equal(err.id, OM_ERR_CAP_COMMAND);
	json_decref(r);
}

/* How many branes the kernel keeps counters of; -1: none of the layers counts. */
static int counted(void)
{
	char path[128];
	uint32_t key, *prev = NULL, at;
	int fd, n = 0;

	snprintf(path, sizeof(path), "%s/v%d/om_stats", ag.bpffs, OM_ABI_VERSION);
	fd = bpf_obj_get(path);
	if (fd < 0)
		return -1;
	while (!bpf_map_get_next_key(fd, prev, &key)) {
		at = key;
		prev = &at;
		n++;
	}
	close(fd);
	return n;
}

/* Otherwise the map of counters would be full after OM_BRANES_MAX lives, and nothing start any more. */
static void counters_go_with_their_branes(void **state)
{
	int begun = counted();

	if (begun < 0) {
		print_message("# skip: no BPF layer here\n");
		skip();
	}
	for (int i = 0; i < 70; i++) {
		struct om_err err;
		json_t *r = agent_apply(&ag, agent_manifest("brief", "exit 0", ""), &err);

		if (err.id)
			fail_msg("%s", err.text);
		json_decref(r);
		json_decref(agent_call(&ag, "control", "io.omega.Control.Delete", name_of("brief"),
				       &err));
		assert_int_equal(err.id, 0);
	}
	assert_true(counted() < 70);
}

static void freezes_and_restarts(void **state)
{
	struct om_err err;
	json_t *r;
	char first[16];

	assert_string_equal(apply_change(agent_manifest("ice", "while sleep 1; do :; done",
							"restart = \"always\"")),
			    "created");
	r = agent_call(&ag, "control", "io.omega.Control.Freeze", name_of("ice"), &err);
	assert_string_equal(text_of(r, "brane", "state"), "frozen");
	json_decref(r);
	r = agent_call(&ag, "control", "io.omega.Control.Thaw", name_of("ice"), &err);
	assert_string_equal(text_of(r, "brane", "state"), "running");
	snprintf(first, sizeof(first), "%s", text_of(r, "brane", "instance"));
	json_decref(r);
	r = agent_call(&ag, "control", "io.omega.Control.Restart", name_of("ice"), &err);
	if (err.id)
		fail_msg("%s", err.text);
	assert_string_not_equal(text_of(r, "brane", "instance"), first);
	json_decref(r);
	assert_int_equal(agent_await(&ag, "ice", "operator.freeze", NULL, NULL), 1);
	assert_int_equal(agent_await(&ag, "ice", "operator.restart", NULL, NULL), 1);
}

static void stops_in_order(void **state)
{
	struct om_err err;
	int status;

	json_decref(agent_call(&ag, "admin", "io.omega.Admin.Stop", NULL, &err));
	assert_int_equal(err.id, 0);
	assert_int_equal(waitpid(ag.pid, &status, 0), ag.pid);
	ag.pid = 0;
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	assert_int_equal(agent_records(&ag, "@node", "operator.stop", NULL, NULL), 1);
	/* Unclean restarts happened on purpose: intact, and the verdict says that there were some. */
	assert_true(agent_verify(&ag) == OM_VERDICT_INTACT ||
		    agent_verify(&ag) == OM_VERDICT_INCOMPLETE);
	agent_start(&ag);
}

static const char *state_of(struct agent *a, const char *name)
{
	static char word[32];
	struct om_err err;
	json_t *r = agent_call(a, "observe", "io.omega.Observe.List", NULL, &err), *b;
	size_t i;

	word[0] = 0;
	json_array_foreach (json_object_get(r, "branes"), i, b)
		if (!strcmp(json_string_value(json_object_get(b, "name")), name))
			snprintf(word, sizeof(word), "%s",
				 json_string_value(json_object_get(b, "state")));
	json_decref(r);
	return word;
}

static bool becomes(struct agent *a, const char *name, const char *state)
{
	for (int i = 0; i < 1200; i++) {
		if (!strcmp(state_of(a, name), state))
			return true;
		nanosleep(&(struct timespec){0, 50000000}, NULL);
	}
	return false;
}

/* Denials until the disk is full: what the policy says happens, and nothing before it is lost. */
static void a_full_disk(void **state)
{
	static const char flood[] = "while :; do exec 3<>/dev/tcp/192.0.2.1/443; done";
	char path[128], buf[65536];
	struct agent full;
	struct om_err err;
	int fd;

	agent_prepare(&full, "process,network", "64m");
	agent_start(&full);
	snprintf(path, sizeof(path), "%s/state/filler", full.dir);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	memset(buf, 'x', sizeof(buf));
	while (write(fd, buf, sizeof(buf)) > 0)
		;
	close(fd);
	json_decref(agent_apply(&full, agent_manifest("icy", flood, ""), &err));
	if (!err.id) {
		json_decref(agent_apply(
			&full, agent_manifest("free", flood, "on-log-full = \"count\""), &err));
		assert_true(becomes(&full, "icy", "frozen"));
		/* Nothing new starts while nothing can be recorded. */
		json_decref(agent_apply(&full, agent_manifest("late", "exit 0", ""), &err));
		assert_int_equal(err.id, OM_ERR_LOG_FULL);
		assert_string_equal(state_of(&full, "free"), "running");
	}
	unlink(path);
	assert_true(becomes(&full, "icy", "running"));
	json_decref(agent_call(&full, "control", "io.omega.Control.Delete", name_of("free"), &err));
	json_decref(agent_call(&full, "control", "io.omega.Control.Delete", name_of("icy"), &err));
	assert_int_equal(err.id, 0);
	assert_true(agent_await(&full, "icy", "net.connect", NULL, NULL) > 0);
	assert_int_equal(agent_stop(&full, SIGTERM), 0);
	assert_true(agent_verify(&full) == OM_VERDICT_INTACT);
	agent_close(&full);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(serves_and_guards),
		cmocka_unit_test(one_instance),
		cmocka_unit_test(bad_frames),
		cmocka_unit_test(rejects_a_manifest),
		cmocka_unit_test(denials_once),
		cmocka_unit_test(lives_of_one_name),
		cmocka_unit_test(process_layer_alone),
		cmocka_unit_test(dies_and_adopts),
		cmocka_unit_test(role_dies),
		cmocka_unit_test(ended_before_the_kill),
		cmocka_unit_test(runs_with_own_command_and_stdio),
		cmocka_unit_test(counters_go_with_their_branes),
		cmocka_unit_test(freezes_and_restarts),
		cmocka_unit_test(stops_in_order),
		cmocka_unit_test(a_full_disk),
	};

	if (geteuid() != 0) {
		puts("1..0 # SKIP needs root");
		return 0;
	}
	return cmocka_run_group_tests(tests, setup, teardown);
}
