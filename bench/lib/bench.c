/*
 * Clock, samples and tables; the contract is in bench.h.
 *
 * Comes in: times. Goes out: Markdown. Called by: bench/bench_*.c. Never does: judge.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "bench/lib/bench.h"

double bench_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

void bench_add(struct bench_samples *s, double v)
{
	if (s->n == BENCH_SAMPLES_MAX)
		bench_die("too many samples", NULL);
	s->v[s->n++] = v;
}

static int ascending(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

double bench_at(struct bench_samples *s, double p)
{
	if (!s->n)
		return 0;
	qsort(s->v, s->n, sizeof(s->v[0]), ascending);
	return s->v[(size_t)(p * (double)(s->n - 1) + 0.5)];
}

void bench_die(const char *what, const struct om_err *err)
{
	fflush(stdout);
	fprintf(stderr, "%s: %s\n", what, err ? err->text : strerror(errno));
	exit(1);
}

double bench_run(const char *const *argv)
{
	double t = bench_now();
	pid_t pid = vfork();
	int status, null;

	if (pid < 0)
		bench_die("vfork", NULL);
	if (!pid) {
		null = open("/dev/null", O_RDWR | O_CLOEXEC);
		for (int i = 0; i < 3; i++)
			dup2(null, i);
		execv(argv[0], (char *const *)(uintptr_t)argv);
		_exit(127);
	}
	if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status) || WEXITSTATUS(status) != 0)
		bench_die(argv[0], NULL);
	return bench_now() - t;
}

void bench_head(const char *title, const char *what, const char *unit, const char *base)
{
	printf("\n### %s\n\n| %s | median, %s | p10 | p90 | runs | %s "
	       "|\n|---|---|---|---|---|---|\n",
	       title, what, unit, base);
}

void bench_row(const char *what, struct bench_samples *s, double scale, double base)
{
	double m = bench_at(s, 0.5);

	printf("| %s | %.3g | %.3g | %.3g | %zu | ", what, m * scale, bench_at(s, 0.1) * scale,
	       bench_at(s, 0.9) * scale, s->n);
	if (base > 0)
		printf("%.2f |\n", m / base);
	else
		printf("- |\n");
	fflush(stdout);
}

unsigned long bench_env(const char *name, unsigned long other)
{
	const char *s = getenv(name);
	char *end;
	unsigned long v = s ? strtoul(s, &end, 10) : 0;

	return s && *s && !*end && v ? v : other;
}
