/*
 * The verifier's bill: how many instructions it walks for each program, on the kernel at hand.
 *
 * Comes in: tests/vm/verifier-budget.tsv (kernel, program, insns), OMEGA_VM, which names the kernel.
 * Proves: every program that the loader attaches here is listed, and none takes more than a tenth over
 * its recorded count. With the argument "print" it writes the lines for this kernel instead of judging:
 * tests/vm/budget makes the file of them. A kernel refuses what passes a million; long before that a
 * program that grew by accident takes seconds to load.
 */
#include <dirent.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include <bpf/bpf.h>

#include <loader/guard/self.h>
#include <tests/util/brane.h>

#define BUDGET_FILE "tests/vm/verifier-budget.tsv"
#define PROGS_MAX   160u

struct count {
	char name[64];
	uint32_t insns;
};

static struct tb tb;
static struct count have[PROGS_MAX];
static uint32_t have_n;

static const char *kernel_name(void)
{
	const char *name = getenv("OMEGA_VM");

	return name ? name : "";
}

/* The program behind a pin, which is a link or the program itself; -1 for a map. */
static int prog_of(int pin)
{
	char proc[48], what[48] = "";
	struct bpf_link_info link = {0};
	uint32_t len = sizeof(link);

	snprintf(proc, sizeof(proc), "/proc/self/fd/%d", pin);
	if (readlink(proc, what, sizeof(what) - 1) < 0)
		return -1;
	if (strstr(what, "prog"))
		return dup(pin);
	if (!strstr(what, "link") || bpf_obj_get_info_by_fd(pin, &link, &len))
		return -1;
	return bpf_prog_get_fd_by_id(link.prog_id);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct count *)a)->name, ((const struct count *)b)->name);
}

static int collect(const char *name)
{
	char dir[128], path[400];
	struct dirent *de;
	DIR *d;

	snprintf(dir, sizeof(dir), "%s/%s", tb.bpffs, name);
	d = opendir(dir);
	if (!d)
		return -errno;
	while ((de = readdir(d)) && have_n < PROGS_MAX) {
		struct bpf_prog_info info = {0};
		uint32_t len = sizeof(info);

		if (de->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/%s", dir, de->d_name);
		OM_CLEANUP(om_close_fd) int pin = bpf_obj_get(path);
		OM_CLEANUP(om_close_fd) int prog = pin < 0 ? -1 : prog_of(pin);

		if (prog < 0 || bpf_obj_get_info_by_fd(prog, &info, &len))
			continue;
		snprintf(have[have_n].name, sizeof(have[0].name), "%.63s", de->d_name);
		have[have_n++].insns = info.verified_insns;
	}
	closedir(d);
	qsort(have, have_n, sizeof(have[0]), by_name);
	return 0;
}

/* The policy's programs, and those of the strict self-guard, which are there only when it is asked for. */
static int collect_all(struct om_err *err)
{
	static struct om_loader l;
	uint32_t links = 0;
	char name[16];
	int ret;

	snprintf(l.bpffs, sizeof(l.bpffs), "%s", tb.bpffs);
	snprintf(name, sizeof(name), "v%u", OM_ABI_VERSION);
	ret = collect(name);
	if (ret)
		return ret;
	ret = om_self_load(&l, &links, err);
	if (!ret)
		ret = collect("self-new");
	if (om_self_unload(&l, ret ? NULL : err))
		ret = -EIO;
	return ret;
}

static void close_file(FILE **f)
{
	if (*f)
		fclose(*f);
}

/* What the file allows PROG here; 0: not listed. */
static uint32_t recorded(const char *prog)
{
	FILE *f OM_CLEANUP(close_file) = fopen(BUDGET_FILE, "re");
	char line[160], kernel[24], name[64];
	uint32_t insns;

	assert_non_null(f);
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "%23s %63s %u", kernel, name, &insns) == 3 &&
		    !strcmp(kernel, kernel_name()) && !strcmp(name, prog))
			return insns;
	return 0;
}

static void test_budget(void **state)
{
	uint32_t bad = 0, total = 0;

	assert_true(have_n > 0);
	for (uint32_t i = 0; i < have_n; i++) {
		uint32_t limit = recorded(have[i].name);

		total += have[i].insns;
		assert_true(have[i].insns > 0);
		if (limit && (uint64_t)have[i].insns * 10 <= (uint64_t)limit * 11)
			continue;
		bad++;
		if (limit)
			print_message("# %s: %u instructions, %u recorded for %s\n", have[i].name,
				      have[i].insns, limit, kernel_name());
		else
			print_message("# %s: %u instructions, not listed for %s\n", have[i].name,
				      have[i].insns, kernel_name());
	}
	print_message("# %u programs, %u instructions in all\n", have_n, total);
	if (bad)
		print_message("# if that is meant: tests/vm/budget %s\n", kernel_name());
	assert_int_equal(bad, 0);
}

static int teardown(void **state)
{
	tb_close(&tb);
	return 0;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_budget)};
	struct om_err err = {0};
	int ret;

	if (!kernel_name()[0]) {
		printf("1..0 # SKIP OMEGA_VM does not say which kernel this is\n");
		return 0;
	}
	ret = tb_open(&tb, OM_LAYER_KERNEL | OM_LAYER_NETWORK, &err);
	/* Half a load would pass with half of the programs. */
	if (ret || tb.got != (OM_LAYER_KERNEL | OM_LAYER_NETWORK) || collect_all(&err)) {
		printf("# the programs did not load: %s\n1..1\nnot ok 1 - load\n", err.text);
		tb_close(&tb);
		return 1;
	}
	if (argc > 1 && !strcmp(argv[1], "print")) {
		for (uint32_t i = 0; i < have_n; i++)
			printf("%s\t%s\t%u\n", kernel_name(), have[i].name, have[i].insns);
		return teardown(NULL);
	}
	return cmocka_run_group_tests(tests, NULL, teardown);
}
