/*
 * What every bench needs: a clock, samples, a table row, a child that is waited for.
 *
 * Comes in: measured times. Goes out: Markdown rows on stdout. Called by: bench/bench_*.c. Never does:
 * judge a figure, or drop a sample.
 */
#ifndef OMEGA_BENCH_H
#define OMEGA_BENCH_H

#include <stddef.h>
#include <stdint.h>
#include <omega/compiler.h>
#include <omega/err.h>

#define BENCH_SAMPLES_MAX 4096u

struct bench_samples {
	size_t n;
	double v[BENCH_SAMPLES_MAX];
};

double bench_now(void); /* seconds, CLOCK_MONOTONIC */
void bench_add(struct bench_samples *s, double v);
/* P of the sorted samples, 0 to 1; 0.5 is the median. Sorts in place. */
double bench_at(struct bench_samples *s, double p);

/* Says WHAT and ERR (may be NULL: errno) on stderr, and ends the program with 1. */
OM_NORETURN void bench_die(const char *what, const struct om_err *err);

/* Runs ARGV with its output thrown away and waits; seconds from before fork to after wait. */
double bench_run(const char *const *argv);

/* "# heading", "| a | b |" and the rule below it; rows with median, p10, p90 and what BASE divides. */
void bench_head(const char *title, const char *what, const char *unit, const char *base);
/* SCALE: samples are multiplied by it for print. BASE 0: no ratio. */
void bench_row(const char *what, struct bench_samples *s, double scale, double base);

/* A positive whole number from the environment, or OTHER. */
unsigned long bench_env(const char *name, unsigned long other);

#endif
