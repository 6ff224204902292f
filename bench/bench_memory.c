/*
 * What a brane costs in kernel memory: maps by their own account, and all of it by the memory controller's.
 *
 * Comes in: OMEGA_BENCH_DIR. Goes out: Markdown tables for 1, 100 and 1,000 branes of 100 grants, and for
 * branes of one. Called by: bench/run, in a VM. Each brane has a cgroup, a slot, counters and a policy, and no
 * process: what processes take is in bench_node. The bench itself is in a child of the branes' parent cgroup, whose
 * memory.stat therefore has every map and every cgroup made here. Never does: count what was there before.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include "bench/lib/bench.h"
#include "bench/lib/pins.h"

#define SELF	"self"
#define OBJECTS 60u
#define NETS	40u

static struct pins pins;

static void put(const char *file, const char *text)
{
	OM_CLEANUP(om_close_fd) int fd = open(file, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		bench_die(file, NULL);
}

/* FIELD of the parent's memory.stat, which has its children's. */
static double stat_of(const char *field)
{
	char path[340], line[128], name[64];
	unsigned long long v;

	snprintf(path, sizeof(path), "%s/memory.stat", pins.parent);
	FILE *f = fopen(path, "re");

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "%63s %llu", name, &v) == 2 && !strcmp(name, field)) {
			fclose(f);
			return (double)v;
		}
	bench_die(path, NULL);
}

/* The kernel flushes its statistics every two seconds, and frees what grace periods held. */
static double kernel_bytes(void)
{
	sleep(5);
	return stat_of("kernel");
}

static double map_bytes(const char *name)
{
	char path[160], line[128];
	unsigned long long v = 0;

	snprintf(path, sizeof(path), "%s/v%d/%s", pins.bpffs, OM_ABI_VERSION, name);
	OM_CLEANUP(om_close_fd) int fd = bpf_obj_get(path);

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	FILE *f = fopen(path, "re");

	if (fd < 0 || !f)
		bench_die(name, NULL);
	while (fgets(line, sizeof(line), f) && sscanf(line, "memlock: %llu", &v) != 1)
		;
	fclose(f);
	return (double)v;
}

static const char *const maps[] = {"om_branes", "om_cgroups",  "om_stats",    "om_objects",
				   "om_egress", "om_filter",   "om_folds",    "om_events",
				   "om_listen", "om_patterns", "om_contents", "om_config"};

static void publish(uint32_t number, uint32_t objects, uint32_t nets)
{
	struct om_resolved *objs = calloc(objects, sizeof(*objs));
	struct om_b_egress *e = calloc(nets + 1, sizeof(*e));
	struct pins_parts parts = {.egress = e, .egress_n = nets};
	struct om_slot slot = {.flags = OM_SLOT_KERNEL | OM_SLOT_NETWORK};
	struct om_bundle b;
	uint8_t *data = NULL;
	char name[32];

	if (!objs || !e)
		bench_die("memory", NULL);
	for (uint32_t i = 0; i < objects; i++) {
		objs[i].key = (struct om_object_key){.dev = 7, .ino = 1000 + i};
		objs[i].val.self = objs[i].val.tree = OM_MAY_READ;
	}
	for (uint32_t i = 0; i < nets; i++)
		e[i] = (struct om_b_egress){
			.addr = {[10] = 0xff, [11] = 0xff, [12] = 10, [14] = (uint8_t)i},
			.bits = 120,
			.proto = OM_PROTO_TCP,
			.port = 443};
	snprintf(name, sizeof(name), "b%u", number);
	slot.cgid = pins_cgroup(&pins, name);
	b = pins_bundle(&parts, &data);
	pins_publish(&pins, &slot, &b, objs, objects);
	free(data);
	free(objs);
	free(e);
}

static uint32_t made;

/* BRANES more; what each added. */
static void step(uint32_t branes, uint32_t objects, uint32_t nets)
{
	double before[OM_ARRAY_LEN(maps)], all = kernel_bytes();

	for (size_t i = 0; i < OM_ARRAY_LEN(maps); i++)
		before[i] = map_bytes(maps[i]);
	for (uint32_t i = 0; i < branes; i++)
		publish(made++, objects, nets);
	all = kernel_bytes() - all;
	printf("| %u | %u | %.1f |", branes, objects + nets, all / branes / 1024);
	for (size_t i = 0; i < OM_ARRAY_LEN(maps); i++)
		if (map_bytes(maps[i]) > before[i])
			printf(" %s %.2f", maps[i],
			       (map_bytes(maps[i]) - before[i]) / branes / 1024);
	printf(" |\n");
	fflush(stdout);
}

int main(void)
{
	char path[360];
	double empty;

	pins_prepare(&pins, OM_LAYER_KERNEL | OM_LAYER_NETWORK);
	snprintf(path, sizeof(path), "%.300s/../cgroup.subtree_control", pins.parent);
	put(path, "+memory +pids");
	snprintf(path, sizeof(path), "%.300s/cgroup.subtree_control", pins.parent);
	put(path, "+memory +pids");
	(void)pins_cgroup(&pins, SELF);
	pins_enter(&pins, SELF);
	empty = kernel_bytes();
	pins_open(&pins);
	printf("\n### Kernel memory\n\nThe pins without a brane: %.1f MiB, of it maps:",
	       (kernel_bytes() - empty) / 1024 / 1024);
	for (size_t i = 0; i < OM_ARRAY_LEN(maps); i++)
		printf(" %s %.2f", maps[i], map_bytes(maps[i]) / 1024 / 1024);
	printf(".\n\n| branes added | grants each | KiB each, memory.stat | of it maps, KiB, "
	       "fdinfo "
	       "|\n|---|---|---|---|\n");
	step(1, OBJECTS, NETS);
	step(99, OBJECTS, NETS);
	step(900, OBJECTS, NETS);
	step(1000, 1, 0);
	pins_enter(&pins, "..");
	pins_done(&pins);
	return 0;
}
