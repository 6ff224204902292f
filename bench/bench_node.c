/*
 * A node with many branes: how long an apply takes, what the agent's memory is.
 *
 * Comes in: argv: the layers ("process,network"); OMEGA_BENCH_BRANES (100), OMEGA_BENCH_RUNS (21).
 * Goes out: Markdown tables. Called by: bench/run. Never does: judge its figures.
 *
 * Every apply goes through omegad's control socket, compiler included; "created" ends when the
 * workload's execve is committed. The commands it is compared with run in the same loop, so that all
 * see the same machine; each of those is timed from fork to wait, of /bin/true.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "bench/lib/bench.h"
#include "bench/lib/node.h"

#define FILES 56u
#define ADDRS 40u

enum { PLAIN, UNSHARE, BWRAP, BWRAP_SAME, PEERS };

struct peer {
	const char *name, *path;
	const char **argv;
	struct bench_samples took;
};

static struct peer peers[PEERS];
static struct bench_samples synced, created, configured, unchanged, deleted;

static const char *bwrap_argv[20 + 3 * FILES];
static char file_path[FILES][256];

static void make_bwrap(const char **argv, const struct node *n, unsigned int files)
{
	static const char *const head[] = {"/usr/bin/bwrap", "--unshare-all", "--die-with-parent",
					   "--ro-bind",	     "/usr",	      "/usr",
					   "--symlink",	     "usr/lib64",     "/lib64",
					   "--symlink",	     "usr/lib",	      "/lib"};
	unsigned int at = 0;

	for (size_t i = 0; i < OM_ARRAY_LEN(head); i++)
		argv[at++] = head[i];
	for (unsigned int i = 0; i < files; i++) {
		snprintf(file_path[i], sizeof(file_path[i]), "%s/f%03u", n->data, i);
		argv[at++] = "--ro-bind";
		argv[at++] = file_path[i];
		argv[at++] = file_path[i];
	}
	argv[at++] = "/usr/bin/true";
	argv[at] = NULL;
}

static void make_peers(const struct node *n)
{
	static const char *plain[] = {"/usr/bin/true", NULL};
	static const char *unshare[] = {"/usr/bin/unshare", "-muipnC", "--fork", "/usr/bin/true",
					NULL};
	static const char *bwrap[20];

	make_bwrap(bwrap, n, 0);
	make_bwrap(bwrap_argv, n, FILES);
	peers[PLAIN] = (struct peer){.name = "fork + exec of true", .argv = plain};
	peers[UNSHARE] = (struct peer){.name = "unshare, six namespaces, true", .argv = unshare};
	peers[BWRAP] = (struct peer){.name = "bwrap, own namespaces, /usr, true", .argv = bwrap};
	peers[BWRAP_SAME] = (struct peer){.name = "bwrap, the same files mounted one by one, true",
					  .argv = bwrap_argv};
	for (int i = 0; i < PEERS; i++)
		if (access(peers[i].argv[0], X_OK) < 0)
			peers[i].argv = NULL;
}

/* What one durable record costs on this disk at this moment: an apply waits for one. */
static double sync_once(int fd)
{
	static char page[4096];
	double t = bench_now();

	if (pwrite(fd, page, sizeof(page), 0) != (ssize_t)sizeof(page) || fdatasync(fd) < 0)
		bench_die("fdatasync", NULL);
	return bench_now() - t;
}

static int sync_file(const struct node *n)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "%s/sync", n->dir);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0)
		bench_die(path, NULL);
	sync_once(fd);
	return fd;
}

static void rounds(struct node *n, unsigned long runs)
{
	struct node_policy p = {.name = "probe", .files = FILES, .addrs = ADDRS, .port = 443};

	int fd = sync_file(n);

	for (unsigned long i = 0; i < runs; i++) {
		bench_add(&synced, sync_once(fd));
		for (int k = 0; k < PEERS; k++)
			if (peers[k].argv)
				bench_add(&peers[k].took, bench_run(peers[k].argv));
		p.port = 443;
		bench_add(&created, node_apply(n, node_manifest(n, &p), "created"));
		bench_add(&unchanged, node_apply(n, node_manifest(n, &p), "unchanged"));
		p.port = 8443;
		bench_add(&configured, node_apply(n, node_manifest(n, &p), "configured"));
		double t = bench_now();

		node_delete(n, "probe");
		bench_add(&deleted, bench_now() - t);
	}
	close(fd);
}

static void apply_table(unsigned long branes, const char *layers)
{
	double base = bench_at(&peers[PLAIN].took, 0.5);
	char title[160];

	snprintf(title, sizeof(title),
		 "Apply of a brane with %u grants on a node with %lu branes, layers %s",
		 FILES + ADDRS + 4, branes, layers);
	bench_head(title, "what", "ms", "to fork + exec of true");
	bench_row("apply, created: workload running", &created, 1e3, base);
	bench_row("apply, configured: policy swapped", &configured, 1e3, base);
	bench_row("apply, unchanged", &unchanged, 1e3, base);
	bench_row("delete: killed, unloaded, recorded", &deleted, 1e3, base);
	bench_row("write of 4 KiB + fdatasync", &synced, 1e3, base);
	for (int i = 0; i < PEERS; i++)
		if (peers[i].argv)
			bench_row(peers[i].name, &peers[i].took, 1e3, base);
		else
			printf("| %s | not installed | | | | |\n", peers[i].name);
}

/* --- memory --- */

struct sum {
	unsigned long n, pss, rss, anon;
};

static void add_process(long pid, struct sum *s)
{
	char path[64], line[160];
	unsigned long v;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%ld/smaps_rollup", pid);
	f = fopen(path, "re");
	if (!f)
		return;
	s->n++;
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "Pss: %lu", &v) == 1)
			s->pss += v;
		else if (sscanf(line, "Rss: %lu", &v) == 1)
			s->rss += v;
		else if (sscanf(line, "Anonymous: %lu", &v) == 1)
			s->anon += v;
	}
	fclose(f);
}

static void print_sum(const char *what, const struct sum *s, unsigned long per)
{
	printf("| %s | %lu | %lu | %lu | %lu |\n", what, s->n, s->pss / per, s->rss / per,
	       s->anon / per);
}

static void memory_table(const struct node *n, unsigned long branes)
{
	static const char *const roles[] = {"omegad",	   "omegad-api",   "omegad-compile",
					    "omegad-load", "omegad-drain", "omegad-sign",
					    "omegad-shim"};
	struct sum sums[OM_ARRAY_LEN(roles)] = {0}, all = {0};
	struct dirent *e;
	DIR *d = opendir("/proc");

	while (d && (e = readdir(d))) {
		char path[300], comm[32];
		long pid = strtol(e->d_name, NULL, 10), ppid = 0;
		FILE *f;

		snprintf(path, sizeof(path), "/proc/%s/stat", e->d_name);
		if (pid <= 0 || !(f = fopen(path, "re")))
			continue;
		int got = fscanf(f, "%*d (%31[^)]) %*c %ld", comm, &ppid);

		fclose(f);
		if (got != 2)
			continue;
		for (size_t i = 0; i < OM_ARRAY_LEN(roles); i++)
			/* The kernel keeps fifteen bytes of a name. A shim is a child of the load role. */
			if (!strncmp(comm, roles[i], 15) &&
			    strlen(comm) == OM_MIN(strlen(roles[i]), 15u) &&
			    (pid == n->pid || ppid == n->pid || i == OM_ARRAY_LEN(roles) - 1))
				add_process(pid, &sums[i]);
	}
	if (d)
		closedir(d);
	printf("\n### Memory with %lu branes, KiB\n\n| process | number | PSS | RSS | of it "
	       "anonymous |\n|---|---|---|---|---|\n",
	       branes);
	for (size_t i = 0; i + 1 < OM_ARRAY_LEN(roles); i++) {
		print_sum(roles[i], &sums[i], 1);
		all.n += sums[i].n;
		all.pss += sums[i].pss;
		all.rss += sums[i].rss;
		all.anon += sums[i].anon;
	}
	print_sum("**omegad and all roles**", &all, 1);
	const struct sum *shims = &sums[OM_ARRAY_LEN(roles) - 1];

	if (shims->n)
		print_sum("omegad-shim and init, each", shims, shims->n);
}

int main(int argc, char **argv)
{
	const char *layers = argc > 1 ? argv[1] : "process,network";
	struct node_policy p = {.files = FILES, .addrs = ADDRS, .port = 443};
	unsigned long branes = bench_env("OMEGA_BENCH_BRANES", 100);
	unsigned long runs = bench_env("OMEGA_BENCH_RUNS", 21);
	static struct node n;

	node_prepare(&n, layers);
	make_peers(&n);
	node_start(&n);
	double t = bench_now();

	node_fill(&n, &p, (unsigned int)branes - 1);
	fprintf(stderr, "%lu branes started in %.1f s\n", branes - 1, bench_now() - t);
	rounds(&n, runs);
	p.name = "last";
	node_apply(&n, node_manifest(&n, &p), "created");
	apply_table(branes, layers);
	memory_table(&n, branes);
	node_delete(&n, "last");
	node_stop(&n, (unsigned int)branes - 1);
	return 0;
}
