/*
 * A node of its own for a bench; the contract is in node.h.
 *
 * Comes in: counts. Goes out: a daemon with branes. Called by: bench/bench_*.c. Never does: end a process
 * that it did not start.
 */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <loader/bpf.h>
#include <loader/net/nft.h>
#include "bench/lib/bench.h"
#include "bench/lib/node.h"

#define PATIENCE_MS 600000 /* loading BPF in an emulated processor */

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
	if (!to[0])
		bench_die("no cgroup2 is mounted", NULL);
}

static void make_files(struct node *n)
{
	char path[256];

	for (unsigned int i = 0; i < 256; i++) {
		snprintf(path, sizeof(path), "%s/f%03u", n->data, i);
		int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

		if (fd < 0 || write(fd, "x\n", 2) != 2)
			bench_die(path, NULL);
		close(fd);
	}
}

void node_prepare(struct node *n, const char *layers)
{
	const char *base = getenv("OMEGA_BENCH_DIR");
	char root[256], *slash;
	ssize_t len = readlink("/proc/self/exe", n->exe, sizeof(n->exe) - 1);

	memset(&n->control, 0, sizeof(n->control));
	n->layers = layers;
	n->pid = 0;
	n->exe[len > 0 ? len : 0] = 0;
	/* O/bench/bench_x: two steps up are the programs. */
	for (int i = 0; i < 2 && (slash = strrchr(n->exe, '/')); i++)
		*slash = 0;
	cgroup_mount(root, sizeof(root));
	snprintf(n->dir, sizeof(n->dir), "%s/omega-bench-XXXXXX", base ? base : "/tmp");
	if (!mkdtemp(n->dir) || chmod(n->dir, 0755) < 0)
		bench_die(n->dir, NULL);
	snprintf(n->run, sizeof(n->run), "%.80s/run", n->dir);
	snprintf(n->data, sizeof(n->data), "%s/data", n->dir);
	if (mkdir(n->run, 0755) < 0 || mkdir(n->data, 0755) < 0 ||
	    mount("omega-bench", n->run, "tmpfs", MS_NOSUID | MS_NODEV, "mode=755") < 0)
		bench_die("directories", NULL);
	make_files(n);
	snprintf(n->cgroup, sizeof(n->cgroup), "%s/omega-bench-%d", root, getpid());
	snprintf(n->table, sizeof(n->table), "omega_bench_%d", getpid());
	snprintf(n->bpffs, sizeof(n->bpffs), "/sys/fs/bpf/omega-bench-%d", getpid());
}

static OM_NORETURN void become_daemon(const struct node *n, int ready)
{
	char exe[3100], log[128], state[128], fd[16];
	int out;

	snprintf(exe, sizeof(exe), "%s/omegad", n->exe);
	snprintf(log, sizeof(log), "%s/log", n->dir);
	snprintf(state, sizeof(state), "%s/state", n->dir);
	snprintf(fd, sizeof(fd), "%d", ready);
	out = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	dup2(out, 1);
	dup2(out, 2);
	execl(exe, exe, "--run-dir", n->run, "--state-dir", state, "--bpffs", n->bpffs, "--cgroup",
	      n->cgroup, "--nft-table", n->table, "--layers", n->layers, "--libexec", n->exe,
	      "--ready-fd", fd, NULL);
	_exit(127);
}

void node_start(struct node *n)
{
	struct pollfd p = {.events = POLLIN};
	struct om_err err = {0};
	char path[128], c;
	int fds[2];

	if (pipe2(fds, 0) < 0 || fcntl(fds[0], F_SETFD, FD_CLOEXEC) < 0)
		bench_die("pipe", NULL);
	n->pid = fork();
	if (!n->pid)
		become_daemon(n, fds[1]);
	close(fds[1]);
	p.fd = fds[0];
	if (poll(&p, 1, PATIENCE_MS) <= 0 || read(fds[0], &c, 1) != 1)
		bench_die("omegad does not start; see its log in the bench's directory", NULL);
	close(fds[0]);
	snprintf(path, sizeof(path), "%s/control.sock", n->run);
	if (om_vl_client_open(&n->control, path, &err) < 0)
		bench_die(path, &err);
}

/* The end of the daemon's log: what a bench that failed is asked for. */
static void show_log(const struct node *n)
{
	char path[128], text[4096];
	OM_CLEANUP(om_close_fd) int fd = -1;
	struct stat st;

	snprintf(path, sizeof(path), "%s/log", n->dir);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return;
	ssize_t len =
		pread(fd, text, sizeof(text),
		      st.st_size > (off_t)sizeof(text) ? st.st_size - (off_t)sizeof(text) : 0);

	if (len > 0)
		fwrite(text, 1, (size_t)len, stderr);
}

static json_t *call(struct node *n, const char *method, json_t *params)
{
	struct om_err err = {0};
	json_t *reply = NULL;

	if (om_vl_client_call(&n->control, method, params, NULL, 0, PATIENCE_MS, &reply, &err) <
	    0) {
		show_log(n);
		bench_die(method, &err);
	}
	return reply;
}

double node_apply(struct node *n, const char *manifest, const char *change)
{
	json_t *params = json_pack("{s:s, s:s}", "manifest", manifest, "file", "bench.toml");
	double t = bench_now();
	json_t *reply = call(n, "io.omega.Control.Apply", params);

	t = bench_now() - t;
	const char *is = json_string_value(
		json_object_get(json_array_get(json_object_get(reply, "results"), 0), "change"));

	if (!is || strcmp(is, change) != 0) {
		fprintf(stderr, "apply: %s, expected %s\n", is ? is : "?", change);
		exit(1);
	}
	json_decref(reply);
	return t;
}

void node_delete(struct node *n, const char *name)
{
	json_decref(call(n, "io.omega.Control.Delete", json_pack("{s:s}", "name", name)));
}

const char *node_manifest(const struct node *n, const struct node_policy *p)
{
	static char text[256 * 1024];
	FILE *f = fmemopen(text, sizeof(text), "w");
	char layers[64] = "";

	for (const char *s = n->layers; *s;) {
		size_t len = strcspn(s, ",");

		snprintf(layers + strlen(layers), sizeof(layers) - strlen(layers), "%s\"%.*s\"",
			 *layers ? ", " : "", (int)len, s);
		s += len + (s[len] == ',');
	}
	fprintf(f,
		"[brane.%s]\nsubstrate = \"local\"\ncapability = \"standard\"\n"
		"image = \"host:\"\nlayers = [%s]\ncommand = [\"/usr/bin/sleep\", \"1000000\"]\n"
		"[brane.%s.filesystem]\nexec = [\"/usr/bin/sleep\", "
		"\"/usr/lib/x86_64-linux-gnu/\", \"/usr/lib64/ld-linux-x86-64.so.2\"]\n"
		"read = [\"/etc/ld.so.cache\"",
		p->name, layers, p->name);
	for (unsigned int i = 0; i < p->files; i++)
		fprintf(f, ",\n  \"%s/f%03u\"", n->data, i);
	fprintf(f, "]\n");
	if (p->addrs)
		fprintf(f, "[brane.%s.network]\negress = [\n", p->name);
	for (unsigned int i = 0; i < p->addrs; i++)
		fprintf(f, "  \"10.%u.%u.0/24:%u/tcp\",\n", i / 256, i % 256, i ? 443 : p->port);
	if (p->addrs)
		fprintf(f, "]\n");
	fclose(f);
	return text;
}

void node_fill(struct node *n, const struct node_policy *p, unsigned int count)
{
	struct node_policy one = *p;
	char name[16];

	for (unsigned int i = 0; i < count; i++) {
		snprintf(name, sizeof(name), "b%03u", i);
		one.name = name;
		node_apply(n, node_manifest(n, &one), "created");
	}
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	return remove(path);
}

void node_clean(struct node *n)
{
	char shims[340];
	struct om_nft *nft = NULL;
	struct om_err err;
	struct stat st;

	if (om_bpf_unload(n->bpffs, &err) < 0)
		fprintf(stderr, "%s\n", err.text);
	if (stat(n->cgroup, &st) == 0 &&
	    (om_nft_open(n->table, st.st_ino, 1, &nft, &err) < 0 || om_nft_destroy(nft, &err) < 0))
		fprintf(stderr, "%s\n", err.text);
	snprintf(shims, sizeof(shims), "%s.shims", n->cgroup);
	rmdir(shims);
	rmdir(n->cgroup);
	umount2(n->run, MNT_DETACH);
	nftw(n->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

void node_stop(struct node *n, unsigned int count)
{
	char name[16];
	int status;

	for (unsigned int i = 0; i < count; i++) {
		snprintf(name, sizeof(name), "b%03u", i);
		node_delete(n, name);
	}
	om_vl_client_done(&n->control);
	kill(n->pid, SIGTERM);
	waitpid(n->pid, &status, 0);
	node_clean(n);
}
