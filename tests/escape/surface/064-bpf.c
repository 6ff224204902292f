/*
 * Row 64: bpf(): maps and programs of one's own, and everybody's by number: the agent's maps are the
 * policy. Its pins are files, too.
 */
#include <dirent.h>
#include <linux/bpf.h>
#include <sys/stat.h>

#include "tests/escape/lib/escape.h"

static int call(int cmd, union bpf_attr *attr)
{
	long ret = syscall(SYS_bpf, cmd, attr, sizeof(*attr));

	return ret < 0 ? errno : 0;
}

static int map_create(void)
{
	union bpf_attr a = {.map_type = BPF_MAP_TYPE_ARRAY};

	a.key_size = a.value_size = 4;
	a.max_entries = 1;
	return call(BPF_MAP_CREATE, &a);
}

static int prog_load(void)
{
	struct bpf_insn code[] = {{.code = 0xb7, .imm = 0}, {.code = 0x95}};
	union bpf_attr a = {.prog_type = BPF_PROG_TYPE_SOCKET_FILTER};

	a.insns = (uint64_t)(uintptr_t)code;
	a.insn_cnt = 2;
	a.license = (uint64_t)(uintptr_t) "GPL";
	return call(BPF_PROG_LOAD, &a);
}

/* Numbers are small: a loop finds the agent's maps. */
static int next_id(int cmd)
{
	union bpf_attr a = {.start_id = 0};

	return call(cmd, &a);
}

static int map_next(void)
{
	return next_id(BPF_MAP_GET_NEXT_ID);
}

static int prog_next(void)
{
	return next_id(BPF_PROG_GET_NEXT_ID);
}

static int link_next(void)
{
	return next_id(BPF_LINK_GET_NEXT_ID);
}

static int map_by_id(void)
{
	union bpf_attr a = {.start_id = 0};

	if (!strcmp(esc_arg("mode"), "outside")) {
		if (call(BPF_MAP_GET_NEXT_ID, &a))
			return errno;
		a.map_id = a.next_id;
	} else {
		a.map_id = 1;
	}
	a.next_id = 0;
	return call(BPF_MAP_GET_FD_BY_ID, &a);
}

/* The first pin below `bpffs`; what stands there inside is not known, so any name will do. */
static const char *pin(void)
{
	static char path[1024];
	struct dirent *e;
	struct stat st;
	DIR *d;

	snprintf(path, sizeof(path), "%s/om_branes", esc_arg("bpffs"));
	if (strcmp(esc_arg("mode"), "outside") || !(d = opendir(esc_arg("bpffs"))))
		return path;
	while ((e = readdir(d))) {
		snprintf(path, sizeof(path), "%s/%s/om_branes", esc_arg("bpffs"), e->d_name);
		if (e->d_name[0] != '.' && stat(path, &st) == 0)
			break;
	}
	closedir(d);
	return path;
}

static int pinned(void)
{
	union bpf_attr a = {0};

	a.pathname = (uint64_t)(uintptr_t)pin();
	return call(BPF_OBJ_GET, &a);
}

static int pins_listed(void)
{
	int fd = open(esc_arg("bpffs"), O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 ? errno : 0;
}

static const struct esc_try tries[] = {
	{"map-create", map_create, "syscall", 1, ESC_OUTSIDE, NULL},
	{"prog-load", prog_load, "syscall", 1, ESC_OUTSIDE, NULL},
	{"map-next-id", map_next, "syscall", 1, ESC_OUTSIDE, NULL},
	{"prog-next-id", prog_next, "syscall", 1, ESC_OUTSIDE, NULL},
	{"link-next-id", link_next, "syscall", 1, ESC_OUTSIDE, NULL},
	{"map-by-id", map_by_id, "syscall", 1, ESC_OUTSIDE, NULL},
	{"obj-get", pinned, "syscall", 1, ESC_OUTSIDE, NULL},
	{"pins", pins_listed, "file.absent", 1, ESC_OUTSIDE, NULL},
};

ESC_ROW(64, "bpf(): maps, programs, others' by number, pins", "filter, bpf hook, the view", tries);
