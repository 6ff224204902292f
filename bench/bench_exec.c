/*
 * What it costs to execute a file that is bound to contents (sha256), beside the same file granted plainly.
 *
 * Comes in: OMEGA_BENCH_RUNS rounds (7), OMEGA_BENCH_DIR. Goes out: one Markdown table, from vfork to the end
 * of the process. Called by: bench/run, in a VM. The program is the smallest that ends itself; what follows
 * it in the file is never mapped, but is content: the kernel reads all of it, at execve and as it is mapped.
 * Never does: compare with a figure of another run: the three ways take turns.
 */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <omega/sha256.h>
#include "bench/lib/bench.h"
#include "bench/lib/pins.h"

#define LOAD_AT 0x400000ull
#define BRANE	"b"

enum way { OUTSIDE, PLAIN, BOUND, WAYS };
static const char *const way_names[WAYS] = {"outside every brane", "granted", "granted, sha256"};

static struct pins pins;
static struct om_slot slot = {.flags = OM_SLOT_KERNEL};
static double *shared; /* what the child in the brane measured */

/* SIZE bytes: an ELF program of one page that calls exit(0), then what no zero page can stand for. */
static double make_program(const char *path, size_t size, uint8_t sha256[static 32])
{
	/* mov eax, 60; xor edi, edi; syscall */
	static const uint8_t code[] = {0xb8, 60, 0, 0, 0, 0x31, 0xff, 0x0f, 0x05};
	struct {
		Elf64_Ehdr e;
		Elf64_Phdr p;
		uint8_t code[sizeof(code)];
	} head = {
		.e = {.e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB,
				  EV_CURRENT},
		      .e_type = ET_EXEC,
		      .e_machine = EM_X86_64,
		      .e_version = EV_CURRENT,
		      .e_entry = LOAD_AT + sizeof(Elf64_Ehdr) + sizeof(Elf64_Phdr),
		      .e_phoff = sizeof(Elf64_Ehdr),
		      .e_ehsize = sizeof(Elf64_Ehdr),
		      .e_phentsize = sizeof(Elf64_Phdr),
		      .e_phnum = 1},
		.p = {.p_type = PT_LOAD,
		      .p_flags = PF_R | PF_X,
		      .p_vaddr = LOAD_AT,
		      .p_filesz = 4096,
		      .p_memsz = 4096,
		      .p_align = 4096},
	};
	OM_CLEANUP(om_close_fd)
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0755);
	uint8_t *map;
	double t;

	if (fd < 0 || ftruncate(fd, (off_t)size))
		bench_die(path, NULL);
	map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED)
		bench_die(path, NULL);
	memcpy(head.code, code, sizeof(code));
	for (size_t i = 0; i < size; i++)
		map[i] = (uint8_t)(i * 31 + i / 4096);
	memcpy(map, &head, sizeof(head));
	t = bench_now();
	om_sha256(map, size, sha256);
	t = bench_now() - t;
	munmap(map, size);
	return t;
}

static double once(char *path)
{
	char *const argv[] = {path, NULL}, *const env[] = {NULL};
	double t = bench_now();
	int status = 1;
	pid_t pid = vfork();

	if (!pid) {
		execve(path, argv, env);
		_exit(127);
	}
	if (pid < 0 || waitpid(pid, &status, 0) < 0 || status)
		bench_die("a program did not run", NULL);
	return bench_now() - t;
}

/* A label cannot be taken off again, so each try has a child of its own. */
static double run(char *path, enum way way)
{
	int status = 1;
	pid_t pid = fork();

	if (!pid) {
		if (way != OUTSIDE)
			pins_enter(&pins, BRANE);
		(void)once(path);
		*shared = once(path);
		_exit(0);
	}
	if (pid < 0 || waitpid(pid, &status, 0) < 0 || status)
		bench_die("a try", NULL);
	return *shared;
}

static void grant(const char *path, const uint8_t *sha256)
{
	struct pins_parts parts = {.sha256 = sha256};
	struct om_resolved *obj = calloc(1, sizeof(*obj));
	OM_CLEANUP(om_close_fd) int fd = open(path, O_PATH | O_CLOEXEC);
	struct om_err err = {0};
	uint8_t *data = NULL;
	struct om_bundle b = pins_bundle(&parts, &data);

	if (!obj || om_bpf_object_key(pins.bpf, fd, &obj->key, &err))
		bench_die(path, &err);
	obj->val.self = OM_MAY_READ | (sha256 ? OM_MAY_EXEC_BOUND : OM_MAY_EXEC);
	pins_publish(&pins, &slot, &b, obj, 1);
	free(data);
	free(obj);
}

static void size_rows(const char *name, size_t size, unsigned long runs)
{
	static struct bench_samples s[WAYS], hashed;
	uint8_t sha256[32];
	char path[96];
	double base;

	snprintf(path, sizeof(path), "%s/program", pins.dir);
	hashed.n = 0;
	for (int w = 0; w < WAYS; w++)
		s[w].n = 0;
	for (unsigned long i = 0; i < runs; i++) {
		bench_add(&hashed, make_program(path, size, sha256));
		for (int w = 0; w < WAYS; w++) {
			if (w != OUTSIDE)
				grant(path, w == BOUND ? sha256 : NULL);
			bench_add(&s[w], run(path, (enum way)w));
		}
	}
	base = bench_at(&s[PLAIN], 0.5);
	for (int w = 0; w < WAYS; w++)
		printf("| %s | %s | %.2f | %.2f | %.2f | %.1f |\n", name, way_names[w],
		       bench_at(&s[w], 0.5) * 1e3, bench_at(&s[w], 0.1) * 1e3,
		       bench_at(&s[w], 0.9) * 1e3, bench_at(&s[w], 0.5) / base);
	printf("| %s | only hashed, in user space | %.2f | %.2f | %.2f | %.1f |\n", name,
	       bench_at(&hashed, 0.5) * 1e3, bench_at(&hashed, 0.1) * 1e3,
	       bench_at(&hashed, 0.9) * 1e3, bench_at(&hashed, 0.5) / base);
	fflush(stdout);
	unlink(path);
}

int main(void)
{
	unsigned long runs = bench_env("OMEGA_BENCH_RUNS", 7);
	const char *why;

	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	if (shared == MAP_FAILED)
		bench_die("memory", NULL);
	pins_prepare(&pins, OM_LAYER_KERNEL);
	slot.cgid = pins_cgroup(&pins, BRANE);
	pins_open(&pins);
	if (!om_bpf_content(pins.bpf, &why))
		bench_die(why, NULL);
	printf("\n### execve of a program, %lu rounds\n\n"
	       "| file | how | median, ms | p10 | p90 | to granted |\n|---|---|---|---|---|---|\n",
	       runs);
	size_rows("100 KiB", 100u << 10, runs);
	size_rows("1 MiB", 1u << 20, runs);
	size_rows("10 MiB", 10u << 20, runs);
	size_rows("100 MiB", 100u << 20, runs);
	pins_done(&pins);
	return 0;
}
