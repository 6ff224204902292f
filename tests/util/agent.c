/*
 * An omegad of its own for a live test; the contract is in agent.h.
 *
 * Comes in: layers. Goes out: a running daemon. Called by: tests/live. Never does: wait without a bound.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <loader/bpf.h>
#include <loader/net/nft.h>
#include "agent/chain/reader.h"
#include "agent/chain/verify.h"
#include "agent/varlink/client.h"
#include "tests/util/agent.h"

#define PATIENCE_MS 20000

static void cgroup_mount(char *to, size_t size)
{
	char line[512], dir[256], type[64];
	FILE *f = fopen("/proc/self/mounts", "re");

	to[0] = 0;
	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "%*s %255s %63s", dir, type) == 2 && !strcmp(type, "cgroup2")) {
			snprintf(to, size, "%s", dir);
			break;
		}
	if (f)
		fclose(f);
}

void agent_open(struct agent *a, const char *layers)
{
	agent_prepare(a, layers, NULL);
	agent_start(a);
}

void agent_prepare(struct agent *a, const char *layers, const char *state_size)
{
	static unsigned int turn;
	char root[256], exe[3000];
	ssize_t n;

	if (geteuid() != 0) {
		print_message("skipped: needs root\n");
		skip();
	}
	memset(a, 0, sizeof(*a));
	cgroup_mount(root, sizeof(root));
	if (!root[0]) {
		print_message("skipped: no cgroup2 is mounted\n");
		skip();
	}
	n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);
	assert_true(n > 0);
	exe[n] = 0;
	/* O/tests/live/test_x: three steps up are the programs. */
	for (int i = 0; i < 3; i++)
		*strrchr(exe, '/') = 0;
	snprintf(a->exe, sizeof(a->exe), "%s", getenv("OMEGA_LIBEXEC") ?: exe);
	snprintf(a->dir, sizeof(a->dir), "/tmp/omega-agent.XXXXXX");
	assert_non_null(mkdtemp(a->dir));
	assert_int_equal(chmod(a->dir, 0755), 0);
	snprintf(a->cgroup, sizeof(a->cgroup), "%s/oma-%d-%u", root, getpid(), ++turn);
	snprintf(a->table, sizeof(a->table), "oma_%d_%u", getpid(), turn);
	snprintf(a->bpffs, sizeof(a->bpffs), "/sys/fs/bpf/oma-%d-%u", getpid(), turn);
	a->layers = layers;
	if (state_size) {
		char state[96], opts[32];

		snprintf(state, sizeof(state), "%s/state", a->dir);
		snprintf(opts, sizeof(opts), "size=%s,mode=700", state_size);
		assert_int_equal(mkdir(state, 0700), 0);
		assert_int_equal(mount("tmpfs", state, "tmpfs", MS_NOSUID | MS_NODEV, opts), 0);
		a->tmpfs = true;
	}
}

static OM_NORETURN void exec_agent(const struct agent *a, int ready)
{
	char exe[3200], run[96], state[96], log[96], fd[16];
	int out;

	snprintf(exe, sizeof(exe), "%s/omegad", a->exe);
	snprintf(run, sizeof(run), "%s/run", a->dir);
	snprintf(state, sizeof(state), "%s/state", a->dir);
	snprintf(log, sizeof(log), "%s/log", a->dir);
	snprintf(fd, sizeof(fd), "%d", ready);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	out = open(log, O_WRONLY | O_CREAT | O_APPEND, 0600);
	dup2(out, 1);
	dup2(out, 2);
	execl(exe, exe, "--run-dir", run, "--state-dir", state, "--bpffs", a->bpffs, "--cgroup",
	      a->cgroup, "--nft-table", a->table, "--layers", a->layers, "--libexec", a->exe,
	      "--ready-fd", fd, NULL);
	_exit(127);
}

static void show_log(const struct agent *a)
{
	char path[96], line[1024];
	FILE *f;

	snprintf(path, sizeof(path), "%s/log", a->dir);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f))
		print_message("# %s", line);
	if (f)
		fclose(f);
}

void agent_start(struct agent *a)
{
	struct pollfd p = {.events = POLLIN};
	int pipefd[2];
	char c;

	assert_int_equal(pipe(pipefd), 0);
	fcntl(pipefd[0], F_SETFD, FD_CLOEXEC);
	a->pid = fork();
	assert_true(a->pid >= 0);
	if (!a->pid)
		exec_agent(a, pipefd[1]);
	close(pipefd[1]);
	p.fd = pipefd[0];
	if (poll(&p, 1, PATIENCE_MS) <= 0 || read(pipefd[0], &c, 1) != 1) {
		show_log(a);
		fail_msg("omegad did not become ready");
	}
	close(pipefd[0]);
}

int agent_stop(struct agent *a, int sig)
{
	int status;

	kill(a->pid, sig);
	assert_int_equal(waitpid(a->pid, &status, 0), a->pid);
	a->pid = 0;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static json_t *call(struct agent *a, const char *socket, const char *method, json_t *params,
		    const int *fds, struct om_err *err)
{
	struct om_vl_client c;
	char path[128];
	json_t *reply;
	int ret;

	snprintf(path, sizeof(path), "%s/run/%s.sock", a->dir, socket);
	memset(err, 0, sizeof(*err));
	ret = om_vl_client_open(&c, path, err);
	if (ret < 0)
		fail_msg("%s: %s", path, err->text);
	ret = om_vl_client_call(&c, method, params, fds, fds ? 3 : 0, PATIENCE_MS, &reply, err);
	om_vl_client_done(&c);
	if (!reply) {
		show_log(a);
		fail_msg("%s: %s", method, err->text);
	}
	return reply;
}

json_t *agent_call(struct agent *a, const char *socket, const char *method, json_t *params,
		   struct om_err *err)
{
	return call(a, socket, method, params, NULL, err);
}

json_t *agent_apply(struct agent *a, const char *manifest, struct om_err *err)
{
	return agent_call(a, "control", "io.omega.Control.Apply",
			  json_pack("{s:s, s:s}", "manifest", manifest, "file", "t.toml"), err);
}

static int audit_fd(const struct agent *a)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/state/audit", a->dir);
	return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

unsigned int agent_records(struct agent *a, const char *brane, const char *kind, const char *field,
			   const char *value)
{
	struct om_reader_filter f = {.brane = brane, .kind = kind};
	int fd = audit_fd(a), ret;
	struct om_reader *r;
	struct om_record rec;
	struct om_err err;
	unsigned int n = 0;

	assert_true(fd >= 0);
	assert_int_equal(om_reader_open(fd, &f, &r, &err), 0);
	close(fd);
	while ((ret = om_reader_next(r, &rec, &err)) == 1) {
		struct om_json_val line = om_reader_line(r);
		json_t *all = json_loadb(line.p, line.len, 0, NULL);
		json_t *v = json_object_get(json_object_get(all, "data"), field ? field : "");
		const char *s = json_string_value(v);

		n += !field || (s && !strcmp(s, value));
		json_decref(all);
	}
	assert_int_equal(ret, 0);
	om_reader_close(r);
	return n;
}

unsigned int agent_await(struct agent *a, const char *brane, const char *kind, const char *field,
			 const char *value)
{
	struct timespec nap = {0, 50000000};

	for (int i = 0; i < PATIENCE_MS / 50; i++) {
		unsigned int n = agent_records(a, brane, kind, field, value);

		if (n)
			return n;
		nanosleep(&nap, NULL);
	}
	show_log(a);
	return 0;
}

int agent_verify(struct agent *a)
{
	struct om_verify_result res;
	struct om_verify_options opt = {0};
	char path[128], key[512] = "";
	struct om_err err = {0};
	int fd = audit_fd(a), ret;
	FILE *f;

	snprintf(path, sizeof(path), "%s/state/substrate.vkey", a->dir);
	f = fopen(path, "re");
	assert_non_null(f);
	assert_non_null(fgets(key, sizeof(key), f));
	fclose(f);
	key[strcspn(key, "\n")] = 0;
	opt.substrate_vkey = key;
	ret = om_verify(fd, &opt, &res, &err);
	close(fd);
	if (ret < 0)
		fail_msg("verify: %s", err.text);
	ret = (int)res.verdict;
	for (uint32_t i = 0; i < res.n_findings; i++)
		if (res.finding[i].level != OM_FINDING_NOTE)
			print_message("# finding %s: %s\n", res.finding[i].cls,
				      res.finding[i].text);
	om_verify_done(&res);
	return ret;
}

pid_t agent_role(struct agent *a, const char *role)
{
	char path[96], name[32], comm[32];
	struct dirent *e;
	DIR *d = opendir("/proc");
	pid_t found = 0;

	snprintf(name, sizeof(name), "omegad-%s", role);
	name[15] = 0; /* what the kernel keeps of it */
	while (d && !found && (e = readdir(d))) {
		int ppid = 0, pid = atoi(e->d_name);
		FILE *f;

		if (pid <= 0)
			continue;
		snprintf(path, sizeof(path), "/proc/%d/stat", pid);
		f = fopen(path, "re");
		if (f && fscanf(f, "%*d (%31[^)]) %*c %d", comm, &ppid) == 2 && ppid == a->pid &&
		    !strcmp(comm, name))
			found = pid;
		if (f)
			fclose(f);
	}
	if (d)
		closedir(d);
	return found;
}

const char *agent_manifest(const char *name, const char *script, const char *extra)
{
	static char text[8192];

	snprintf(text, sizeof(text),
		 "[brane.%s]\nsubstrate = \"local\"\ncapability = \"standard\"\n"
		 "image = \"host:\"\nlayers = [\"process\", \"network\"]\n"
		 "command = [\"/usr/bin/bash\", \"-c\", '''%s''']\n%s\n"
		 "[brane.%s.filesystem]\n"
		 "read = [\"/etc/debian_version\", \"/etc/ld.so.cache\", \"/usr/bin/\"]\n"
		 "exec = [\"/usr/bin/bash\", \"/usr/bin/cat\", \"/usr/bin/sleep\","
		 " \"/usr/bin/unshare\", \"/usr/lib/x86_64-linux-gnu/\","
		 " \"/usr/lib64/ld-linux-x86-64.so.2\"]\n"
		 "[brane.%s.network]\negress = [\"127.0.0.1:9/tcp\"]\n"
		 "[brane.%s.stdio]\nout = true\nerr = true\nin = true\n"
		 "[brane.%s.environment]\nset = { PATH = \"/usr/bin\" }\n",
		 name, script, extra, name, name, name, name);
	return text;
}

static void remove_tree(const char *path)
{
	char sub[1024];
	struct dirent *e;
	DIR *d = opendir(path);

	while (d && (e = readdir(d))) {
		if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
			continue;
		snprintf(sub, sizeof(sub), "%s/%s", path, e->d_name);
		if (e->d_type == DT_DIR)
			remove_tree(sub);
		else
			unlink(sub);
	}
	if (d)
		closedir(d);
	rmdir(path);
}

static void delete_all(struct agent *a)
{
	struct om_err err;
	json_t *list = agent_call(a, "control", "io.omega.Observe.List", NULL, &err), *b;
	size_t i;

	json_array_foreach (json_object_get(list, "branes"), i, b) {
		json_t *name = json_pack("{s:O}", "name", json_object_get(b, "name"));

		json_decref(agent_call(a, "control", "io.omega.Control.Delete", name, &err));
	}
	json_decref(list);
}

static void remove_table(const struct agent *a)
{
	struct om_err err = {0};
	struct om_nft *n;
	struct stat st;

	if (stat(a->cgroup, &st) == 0 && om_nft_open(a->table, st.st_ino, 1, &n, &err) == 0) {
		if (om_nft_destroy(n, &err) < 0)
			print_message("# %s\n", err.text);
		om_nft_free(n);
	} else {
		print_message("# %s stays: %s\n", a->table, err.text);
	}
}

void agent_close(struct agent *a)
{
	char cmd[400];
	struct om_err err;

	if (!a->pid)
		agent_start(a);
	delete_all(a);
	agent_stop(a, SIGTERM);
	if (om_bpf_unload(a->bpffs, &err) < 0)
		print_message("# %s\n", err.text);
	remove_table(a);
	snprintf(cmd, sizeof(cmd), "%s.shims", a->cgroup);
	rmdir(cmd);
	rmdir(a->cgroup);
	if (a->tmpfs) {
		snprintf(cmd, sizeof(cmd), "%s/state", a->dir);
		umount2(cmd, MNT_DETACH);
	}
	remove_tree(a->dir);
}
