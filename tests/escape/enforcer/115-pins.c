/*
 * Row 115: take the enforcement itself away: its pins, links, maps and programs, by name or by number,
 * or the file system that holds them.
 */
#include <linux/bpf.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "tests/escape/lib/escape.h"

static int call(int cmd, union bpf_attr *attr)
{
	int fd = (int)syscall(SYS_bpf, cmd, attr, sizeof(*attr));

	return fd < 0 ? errno : 0;
}

static int object_get(void)
{
	char path[256];
	union bpf_attr attr = {0};

	snprintf(path, sizeof(path), "%s/om_branes", esc_arg("pins"));
	attr.pathname = (uintptr_t)path;
	return call(BPF_OBJ_GET, &attr);
}

static int next_id(int cmd)
{
	union bpf_attr attr = {0};

	return call(cmd, &attr);
}

static int programs(void)
{
	return next_id(BPF_PROG_GET_NEXT_ID);
}

static int links(void)
{
	return next_id(BPF_LINK_GET_NEXT_ID);
}

static int map_by_id(void)
{
	union bpf_attr attr = {0};

	if (syscall(SYS_bpf, BPF_MAP_GET_NEXT_ID, &attr, sizeof(attr)) < 0)
		return errno;
	attr.map_id = attr.next_id;
	attr.next_id = 0;
	return call(BPF_MAP_GET_FD_BY_ID, &attr);
}

static int listed(void)
{
	int fd = open(esc_arg("pins"), O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return errno;
	close(fd);
	return 0;
}

static int looked_at(void)
{
	struct stat st;

	return esc_errno(stat(esc_in("bpffs", "."), &st));
}

/* Outside: a name beside the pins, made and removed. Inside: the pins themselves. */
static int removed(void)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/om_branes", esc_arg("pins"));
	if (!strcmp(esc_arg("mode"), "outside")) {
		snprintf(path, sizeof(path), "%s/esc115", esc_arg("bpffs"));
		if (mkdir(path, 0700) < 0)
			return errno;
		return esc_errno(rmdir(path));
	}
	return esc_errno(unlink(path));
}

static int mounted(void)
{
	return esc_errno(mount("none", esc_arg("write"), "bpf", 0, NULL));
}

static int unmounted(void)
{
	return esc_errno(umount2("/sys/fs/bpf", MNT_DETACH));
}

static int mounted_apart(void)
{
	int fd = (int)syscall(SYS_fsopen, "bpf", 0);

	return fd < 0 ? errno : 0;
}

static const struct esc_try tries[] = {
	{"obj-get", object_get, "syscall", 1, ESC_OUTSIDE, NULL},
	{"prog-ids", programs, "syscall", 1, ESC_OUTSIDE, NULL},
	{"link-ids", links, "syscall", 1, ESC_OUTSIDE, NULL},
	{"map-by-id", map_by_id, "syscall", 1, ESC_OUTSIDE, NULL},
	{"list", listed, "file.absent", 1, ESC_OUTSIDE, NULL},
	{"stat", looked_at, "file.absent", 1, ESC_OUTSIDE, NULL},
	{"unlink", removed, "file.create", 1, ESC_OUTSIDE, NULL},
	{"mount", mounted, "syscall", 1, ESC_OUTSIDE, NULL},
	{"umount", unmounted, "syscall", 1, ESC_OUTSIDE, NULL},
	{"fsopen", mounted_apart, "syscall", 1, ESC_OUTSIDE, NULL},
};

ESC_ROW(115, "remove pins, detach links, edit maps", "the view, seccomp on bpf() and mount", tries);
