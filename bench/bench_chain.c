/*
 * How fast the audit log is written and verified.
 *
 * Comes in: OMEGA_BENCH_DIR (default /tmp), OMEGA_BENCH_EVENTS (default 1,200,000). Goes out: one
 * figure a line: events a second durable at several batch sizes, with and without fdatasync; commit
 * latency at low load; events a second verified. Called by: bench/. Never does: judge its figures.
 */
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include <omega/sha256.h>
#include "agent/chain/log.h"
#include "agent/chain/verify.h"

static char dir[256];
static int state_fd, run_fd, audit_fd;
static char vkey[512];

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void die(const char *what, const struct om_err *err)
{
	fprintf(stderr, "%s: %s\n", what, err->text);
	exit(1);
}

static int sub(const char *name)
{
	char path[300];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	mkdir(path, 0700);
	return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	return remove(path);
}

static void fresh(void)
{
	struct om_err err = {0};
	const char *base = getenv("OMEGA_BENCH_DIR");
	ssize_t n;
	int fd;

	snprintf(dir, sizeof(dir), "%s/omega-bench-XXXXXX", base ? base : "/tmp");
	if (!mkdtemp(dir))
		exit(1);
	state_fd = sub("state");
	run_fd = sub("run");
	audit_fd = sub("audit");
	if (om_signer_enroll(state_fd, "bench.example/omega", &err) < 0)
		die("enroll", &err);
	fd = openat(state_fd, "substrate.vkey", O_RDONLY | O_CLOEXEC);
	n = read(fd, vkey, sizeof(vkey) - 1);
	vkey[n > 0 ? n : 0] = 0;
	close(fd);
}

static void done(void)
{
	close(state_fd);
	close(run_fd);
	close(audit_fd);
	nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void event(struct om_log *log, uint32_t brane, unsigned long i)
{
	struct om_err err = {0};
	struct om_data d;

	om_data_init(&d);
	om_data_word(&d, "act", "deny");
	om_data_word(&d, "layer", "cgroup");
	om_data_word(&d, "obj", "203.0.113.7:443");
	om_data_int(&d, "pid", 29697 + (long)(i % 100));
	om_data_word(&d, "pol", "9f86d081884c7d65");
	om_data_word(&d, "proc", "/usr/bin/curl");
	om_data_word(&d, "rule", "net.egress");
	om_data_int(&d, "t", 184467901 + (long)i);
	om_data_int(&d, "uid", 1000);
	if (om_log_append(log, brane, "net.connect", &d, 0, &err) < 0)
		die("append", &err);
}

static void write_log(unsigned long events, unsigned int batch, unsigned int branes, bool no_sync)
{
	struct om_log_options opt = {.no_sync = no_sync};
	struct om_err err = {0};
	struct om_signer *s;
	struct om_log *log;
	uint32_t handle[64];
	double t;

	if (om_signer_local(state_fd, run_fd, &s, &err) < 0 ||
	    om_log_open(audit_fd, s, &opt, &log, &err) < 0)
		die("open", &err);
	for (unsigned int i = 0; i < branes; i++) {
		char name[32];

		snprintf(name, sizeof(name), "acme/agent-%u", i);
		if (om_log_brane_open(log, name, "k3v9qz", NULL, &handle[i], &err) < 0)
			die("brane", &err);
	}
	t = now();
	for (unsigned long i = 0; i < events; i++) {
		event(log, handle[i % branes], i);
		if (i % batch == batch - 1 && om_log_commit(log, &err) < 0)
			die("commit", &err);
	}
	if (om_log_commit(log, &err) < 0)
		die("commit", &err);
	t = now() - t;
	printf("write: %.0f events/s (batch %u, %u branes, fdatasync %s)\n", (double)events / t,
	       batch, branes, no_sync ? "off" : "on");
	if (om_log_close(log, &err) < 0)
		die("close", &err);
	om_signer_free(s);
}

static void verify_log(void)
{
	struct om_verify_options o = {.substrate_vkey = vkey};
	struct om_verify_result r;
	struct om_err err = {0};

	for (int i = 0; i < 3; i++) {
		double t = now();

		if (om_verify(audit_fd, &o, &r, &err) < 0)
			die("verify", &err);
		t = now() - t;
		printf("verify: %.0f events/s (%llu leaves, %llu commits, %llu brane heads, exit "
		       "%d, "
		       "%s)\n",
		       (double)r.size / t, (unsigned long long)r.size,
		       (unsigned long long)r.commits, (unsigned long long)r.brane_notes,
		       om_verify_exit(&r), om_sha256_backend());
		om_verify_done(&r);
	}
}

static int ascending(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static void latency(void)
{
	enum { N = 500 };
	static double took[N];
	struct om_err err = {0};
	struct om_signer *s;
	struct om_log *log;
	uint32_t h;

	if (om_signer_local(state_fd, run_fd, &s, &err) < 0 ||
	    om_log_open(audit_fd, s, NULL, &log, &err) < 0 ||
	    om_log_brane_open(log, "acme/one", "k3v9qz", NULL, &h, &err) < 0)
		die("open", &err);
	for (int i = 0; i < N; i++) {
		double t = now();

		event(log, h, (unsigned long)i);
		if (om_log_commit(log, &err) < 0)
			die("commit", &err);
		took[i] = now() - t;
	}
	qsort(took, N, sizeof(took[0]), ascending);
	printf("commit of one event: p50 %.0f us, p99 %.0f us\n", took[N / 2] * 1e6,
	       took[N * 99 / 100] * 1e6);
	if (om_log_close(log, &err) < 0)
		die("close", &err);
	om_signer_free(s);
}

static void hashes(void)
{
	static char line[320];
	static uint8_t out[1000][32];
	const void *p[1000];
	size_t len[1000];
	double t;

	for (int i = 0; i < 1000; i++) {
		p[i] = line;
		len[i] = sizeof(line);
	}
	for (int fallback = 0; fallback < 2; fallback++) {
		om_sha256_force_fallback(fallback);
		t = now();
		for (int i = 0; i < 200; i++)
			om_sha256_leaves(p, len, 1000, out);
		printf("sha256 of a 320 byte leaf: %.0f ns (%s)\n", (now() - t) * 1e9 / 200000,
		       om_sha256_backend());
	}
	om_sha256_force_fallback(0);
}

int main(void)
{
	const char *n = getenv("OMEGA_BENCH_EVENTS");
	unsigned long events = n ? strtoul(n, NULL, 10) : 1200000;

	hashes();
	fresh();
	write_log(events, 1000, 16, false);
	verify_log();
	done();
	fresh();
	write_log(events, 4000, 1, true);
	verify_log();
	latency();
	done();
	return 0;
}
