/*
 * The strict self-guard's programs: attached while they decide nothing, switched on by one word.
 *
 * Comes in: the agent's open loader. Goes out: the directory "self" beside the policy's pins. Called by: the
 * load role. Never does: switch the word on before everything that it protects is listed and every process
 * of the agent is labelled; leave half a guard: it is built as "self-new" and renamed, and one whose
 * word is off is removed at the next start.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <linux/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <loader/bpf_priv.h>
#include <loader/guard/self.h>
#include <omega/abi/self.h>

#include "self/lsm_self.skel.h"
#include "self/lsm_self_file.skel.h"
#include "self/lsm_self_side.skel.h"

#define DIR_SELF     "self"
#define DIR_SELF_NEW "self-new"
#define CLAIM	     "om_self_claim"
#define PREFIX	     "om_self_"
#define OTHER_PINS   7u /* beside the links: six maps and the claim */

static const struct {
	const char *name;
	const void *(*bytes)(size_t *len);
} objects[] = {
	{"lsm_self", lsm_self_bpf__elf_bytes},
	{"lsm_self_file", lsm_self_file_bpf__elf_bytes},
	{"lsm_self_side", lsm_self_side_bpf__elf_bytes},
};

/* Programs that a kernel may be without: another stands in (see docs/kernel.md), or their form differs. */
static const struct {
	const char *prog;
	uint32_t args; /* 0: any */
} optional[] = {
	{"om_self_setattr2", 2},   {"om_self_setattr3", 3},	{"om_self_set_acl", 0},
	{"om_self_remove_acl", 0}, {"om_self_ioctl_compat", 0},
};

static int join(char out[static PATH_MAX], const struct om_loader *l, const char *dir,
		const char *name, struct om_err *err)
{
	int n = snprintf(out, PATH_MAX, "%s/%s%s%s", l->bpffs, dir, name ? "/" : "",
			 name ? name : "");

	if (n < 0 || n >= PATH_MAX)
		return om_err_set(err, OM_ERR_BPF_PIN, -ENAMETOOLONG, "path of pins is too long");
	return 0;
}

static int remove_dir(const struct om_loader *l, const char *name, struct om_err *err)
{
	char dir[PATH_MAX], path[PATH_MAX];
	struct dirent *de;
	int ret = join(dir, l, name, NULL, err);
	DIR *d = ret ? NULL : opendir(dir);

	if (ret || !d)
		return ret || errno == ENOENT
			       ? ret
			       : om_err_sys(err, OM_ERR_BPF_PIN, -errno, "cannot list %s", dir);
	while ((de = readdir(d)) && !ret) {
		if (de->d_name[0] == '.')
			continue;
		ret = join(path, l, name, de->d_name, err);
		if (!ret && unlink(path))
			ret = om_err_sys(err, OM_ERR_BPF_PIN, -errno, "cannot remove %s", path);
	}
	closedir(d);
	if (!ret && rmdir(dir))
		ret = om_err_sys(err, OM_ERR_BPF_PIN, -errno, "cannot remove %s", dir);
	return ret;
}

/* --- making --- */

/* Whether the kernel has what PROG attaches to. OM_ERR_BPF_GUARD: it must have, and has not. */
static int choose(struct bpf_program *prog, struct om_err *err)
{
	const char *sec = bpf_program__section_name(prog), *name = bpf_program__name(prog);
	char target[80];
	struct om_prog row = {.target = target};
	bool may_lack = false;

	if (strncmp(sec, "lsm/", 4) != 0)
		return 0;
	(void)snprintf(target, sizeof(target), "bpf_lsm_%s", sec + 4);
	for (size_t i = 0; i < OM_ARRAY_LEN(optional); i++) {
		if (strcmp(optional[i].prog, name) != 0)
			continue;
		may_lack = true;
		row.args = optional[i].args;
	}
	if (om_prog_fits(&row))
		return 0;
	if (!may_lack)
		return om_err_set(err, OM_ERR_BPF_GUARD, -ENOENT,
				  "this kernel's hook %s is missing", sec + 4);
	return bpf_program__set_autoload(prog, false);
}

/* The guard's own maps lie in DIR_SELF_NEW, all others are those of the policy's pins. */
static int place_map(const struct om_loader *l, struct bpf_map *map, struct om_err *err)
{
	const char *name = bpf_map__name(map);
	char path[PATH_MAX];
	int ret;

	if (!strncmp(name, PREFIX, strlen(PREFIX)))
		ret = join(path, l, DIR_SELF_NEW, name, err);
	else if (bpf_map__pin_path(map))
		ret = join(path, l, OM_PIN_DIR, name, err);
	else
		return 0; /* constants of the object's own */
	return ret ? ret : bpf_map__set_pin_path(map, path);
}

static int attach(const struct om_loader *l, struct bpf_program *prog, uint32_t *links,
		  struct om_err *err)
{
	const char *name = bpf_program__name(prog);
	char path[PATH_MAX];
	struct bpf_link *link;
	int ret = join(path, l, DIR_SELF_NEW, name, err);

	if (ret || !bpf_program__autoload(prog))
		return ret;
	if (!strcmp(name, CLAIM)) {
		ret = bpf_program__pin(prog, path);
		return ret ? om_err_sys(err, OM_ERR_BPF_PIN, ret, "cannot pin %s", name) : 0;
	}
	link = bpf_program__attach(prog);
	if (!link)
		return om_err_sys(err, OM_ERR_BPF_GUARD, -errno, "cannot attach %s", name);
	ret = bpf_link__pin(link, path);
	bpf_link__destroy(link);
	++*links;
	return ret ? om_err_sys(err, OM_ERR_BPF_PIN, ret, "cannot pin %s", name) : 0;
}

static int load_object(const struct om_loader *l, size_t which, uint32_t *links, struct om_err *err)
{
	LIBBPF_OPTS(bpf_object_open_opts, opts, .object_name = objects[which].name,
		    .pin_root_path = l->bpffs);
	struct bpf_object *obj OM_CLEANUP(om_object_close) = NULL;
	struct bpf_program *prog;
	struct bpf_map *map;
	size_t len;
	const void *bytes = objects[which].bytes(&len);
	int ret = 0;

	om_bpf_quiet();
	om_bpf_said_forget();
	obj = bpf_object__open_mem(bytes, len, &opts);
	if (!obj)
		return om_err_sys(err, OM_ERR_BPF_GUARD, errno ? -errno : -EINVAL, "object %s",
				  objects[which].name);
	bpf_object__for_each_program(prog, obj) if (!ret) ret = choose(prog, err);
	bpf_object__for_each_map(map, obj) if (!ret) ret = place_map(l, map, err);
	if (ret)
		return ret;
	ret = bpf_object__load(obj);
	if (ret)
		return om_err_sys(err, OM_ERR_BPF_GUARD, ret, "object %s: %s", objects[which].name,
				  om_bpf_said_text());
	bpf_object__for_each_program(prog, obj) if (!ret) ret = attach(l, prog, links, err);
	return ret;
}

static void maps_close(struct om_self_maps *m)
{
	om_close_fd(&m->state);
	om_close_fd(&m->tasks);
	om_close_fd(&m->objects);
	om_close_fd(&m->ids);
	om_close_fd(&m->pids);
}

static int maps_open(const struct om_loader *l, const char *dir, struct om_self_maps *m,
		     struct om_err *err)
{
	const struct {
		const char *name;
		int *fd;
	} all[] = {{"om_self_state", &m->state},
		   {"om_self_tasks", &m->tasks},
		   {"om_self_objects", &m->objects},
		   {"om_self_ids", &m->ids},
		   {"om_self_pids", &m->pids}};
	char path[PATH_MAX];

	for (size_t i = 0; i < OM_ARRAY_LEN(all); i++) {
		int ret = join(path, l, dir, all[i].name, err);

		if (ret)
			return ret;
		*all[i].fd = bpf_obj_get(path);
		if (*all[i].fd < 0)
			return om_err_sys(err, OM_ERR_BPF_PIN, -errno, "pin %s", path);
		(void)fcntl(*all[i].fd, F_SETFD, FD_CLOEXEC);
	}
	return 0;
}

int om_self_put_id(const struct om_self_maps *m, uint32_t kind, uint32_t id, struct om_err *err)
{
	const struct om_self_id key = {.kind = kind, .id = id};
	const uint32_t one = 1;
	int ret = bpf_map_update_elem(m->ids, &key, &one, BPF_ANY);

	return ret ? om_err_sys(err, OM_ERR_BPF_MAP, ret, "cannot write om_self_ids") : 0;
}

/* PROG and the maps that it uses. */
static int put_prog(const struct om_self_maps *m, int prog, struct om_err *err)
{
	uint32_t maps[64];
	struct bpf_prog_info info = {.nr_map_ids = OM_ARRAY_LEN(maps),
				     .map_ids = (uint64_t)(uintptr_t)maps};
	uint32_t len = sizeof(info);
	int ret;

	if (bpf_obj_get_info_by_fd(prog, &info, &len))
		return om_err_sys(err, OM_ERR_BPF_MAP, -errno, "cannot ask about a program");
	ret = om_self_put_id(m, OM_SELF_PROG, info.id, err);
	for (uint32_t i = 0; i < info.nr_map_ids && i < OM_ARRAY_LEN(maps) && !ret; i++)
		ret = om_self_put_id(m, OM_SELF_MAP, maps[i], err);
	return ret;
}

/* One pin, whatever it is. */
static int put_pin(struct om_loader *l, const struct om_self_maps *m, const char *path,
		   struct om_err *err)
{
	int fd OM_CLEANUP(om_close_fd) = bpf_obj_get(path), prog OM_CLEANUP(om_close_fd) = -1;
	struct bpf_link_info link = {0};
	struct bpf_map_info map = {0};
	uint32_t len = sizeof(link);
	char proc[48], what[48] = "";
	int ret;

	if (fd < 0)
		return om_err_sys(err, OM_ERR_BPF_PIN, -errno, "pin %s", path);
	(void)snprintf(proc, sizeof(proc), "/proc/self/fd/%d", fd);
	if (readlink(proc, what, sizeof(what) - 1) < 0)
		return om_err_sys(err, OM_ERR_BPF_PIN, -errno, "pin %s", path);
	ret = om_self_put(l, m, path, OM_SELF_FILE, err);
	if (ret)
		return ret;
	if (strstr(what, "prog"))
		return put_prog(m, fd, err);
	if (!strstr(what, "link")) {
		len = sizeof(map);
		if (bpf_obj_get_info_by_fd(fd, &map, &len))
			return om_err_sys(err, OM_ERR_BPF_PIN, -errno, "pin %s", path);
		return om_self_put_id(m, OM_SELF_MAP, map.id, err);
	}
	if (bpf_obj_get_info_by_fd(fd, &link, &len))
		return om_err_sys(err, OM_ERR_BPF_PIN, -errno, "pin %s", path);
	ret = om_self_put_id(m, OM_SELF_LINK, link.id, err);
	prog = ret ? -1 : bpf_prog_get_fd_by_id(link.prog_id);
	if (!ret && prog < 0)
		ret = om_err_sys(err, OM_ERR_BPF_PIN, -errno, "program of %s", path);
	return ret ? ret : put_prog(m, prog, err);
}

static int list_pins(struct om_loader *l, const struct om_self_maps *m, const char *name,
		     struct om_err *err)
{
	char dir[PATH_MAX], path[PATH_MAX];
	struct dirent *de;
	int ret = join(dir, l, name, NULL, err);
	DIR *d = ret ? NULL : opendir(dir);

	if (!d)
		return ret ? ret : om_err_sys(err, OM_ERR_BPF_PIN, -errno, "cannot list %s", dir);
	while ((de = readdir(d)) && !ret) {
		if (de->d_name[0] == '.')
			continue;
		ret = join(path, l, name, de->d_name, err);
		/* A candidate must get hold of this program; its maps are no less guarded. */
		if (!ret && strcmp(de->d_name, CLAIM) != 0)
			ret = put_pin(l, m, path, err);
	}
	closedir(d);
	return ret;
}

/* Where denials of tasks outside every brane are counted. */
static int make_stat(struct om_loader *l, struct om_err *err)
{
	const uint32_t host = OM_BRANE_HOST;
	const struct om_stat zero = {0};
	struct om_bpf_drain_fds f;
	int ret;

	om_bpf_drain_fds(l->bpf, &f);
	ret = bpf_map_update_elem(f.stats, &host, &zero, BPF_NOEXIST);
	return ret && ret != -EEXIST ? om_err_sys(err, OM_ERR_BPF_MAP, ret, "om_stats") : 0;
}

static int set_level(const struct om_self_maps *m, uint32_t level, struct om_self_state *s,
		     struct om_err *err)
{
	const uint32_t zero = 0;
	int ret;

	s->level = level;
	ret = bpf_map_update_elem(m->state, &zero, s, BPF_ANY);
	return ret ? om_err_sys(err, OM_ERR_BPF_MAP, ret, "cannot write om_self_state") : 0;
}

int om_self_load(struct om_loader *l, uint32_t *links, struct om_err *err)
{
	char fresh[PATH_MAX];
	int ret = join(fresh, l, DIR_SELF_NEW, NULL, err);

	if (!ret && mkdir(fresh, 0700))
		ret = om_err_sys(err, OM_ERR_BPF_PIN, -errno, "cannot make %s", fresh);
	for (size_t i = 0; i < OM_ARRAY_LEN(objects) && !ret; i++)
		ret = load_object(l, i, links, err);
	return ret;
}

int om_self_unload(struct om_loader *l, struct om_err *err)
{
	return remove_dir(l, DIR_SELF_NEW, err);
}

static int make(struct om_loader *l, const char *opts, struct om_err *err)
{
	struct om_self_maps m OM_CLEANUP(maps_close) = {-1, -1, -1, -1, -1};
	struct om_self_state s = {0};
	struct stat ns;
	struct statx root;
	char fresh[PATH_MAX], dir[PATH_MAX];
	int ret = join(fresh, l, DIR_SELF_NEW, NULL, err);

	if (!ret)
		ret = join(dir, l, DIR_SELF, NULL, err);
	if (!ret && (!*opts || strlen(opts) >= sizeof(s.opts)))
		ret = om_err_set(err, OM_ERR_GUARD, -ENAMETOOLONG,
				 "omegad's options are too long for a strict self-guard");
	if (!ret)
		ret = om_self_load(l, &s.links, err);
	if (!ret)
		ret = maps_open(l, DIR_SELF_NEW, &m, err);
	if (!ret)
		ret = list_pins(l, &m, OM_PIN_DIR, err);
	if (!ret)
		ret = list_pins(l, &m, DIR_SELF_NEW, err);
	if (!ret)
		ret = make_stat(l, err);
	if (!ret)
		ret = om_self_list(l, &m, err);
	if (!ret)
		ret = om_self_list_cgroup(l, &m, err);
	if (!ret)
		ret = om_self_label(l, &m, err);
	if (!ret && rename(fresh, dir))
		ret = om_err_sys(err, OM_ERR_BPF_PIN, -errno, "cannot publish %s", dir);
	if (ret)
		return ret;
	memcpy(s.opts, opts, strlen(opts));
	if (stat("/proc/self/ns/mnt", &ns) || statx(AT_FDCWD, "/", 0, STATX_MNT_ID, &root) ||
	    !(root.stx_mask & STATX_MNT_ID))
		return om_err_sys(err, OM_ERR_GUARD, errno ? -errno : -EOPNOTSUPP,
				  "cannot tell this process's mounts");
	s.mnt_ns = (uint32_t)ns.st_ino;
	s.root_mnt = (uint32_t)root.stx_mnt_id;
	return set_level(&m, OM_SELF_STRICT, &s, err);
}

/* --- taking over --- */

static int count_links(const struct om_loader *l, uint32_t want, struct om_err *err)
{
	char dir[PATH_MAX];
	struct dirent *de;
	uint32_t n = 0;
	int ret = join(dir, l, DIR_SELF, NULL, err);
	DIR *d = ret ? NULL : opendir(dir);

	if (!d)
		return ret ? ret : om_err_sys(err, OM_ERR_GUARD, -errno, "cannot list %s", dir);
	/* Nobody else can add or remove a pin here. */
	while ((de = readdir(d)))
		n += de->d_name[0] != '.';
	closedir(d);
	if (n != want + OTHER_PINS)
		return om_err_set(err, OM_ERR_GUARD, -ENOENT, "%s holds %u pins, %u were made", dir,
				  n, want + OTHER_PINS);
	return 0;
}

static int own_label(const struct om_self_maps *m, struct om_err *err)
{
	int pidfd OM_CLEANUP(om_close_fd) = (int)syscall(SYS_pidfd_open, getpid(), 0);
	struct om_self_task t = {0};

	if (pidfd < 0 || bpf_map_lookup_elem(m->tasks, &pidfd, &t) || t.who != OM_SELF_AGENT)
		return om_err_set(err, OM_ERR_GUARD, -EPERM,
				  "this process does not carry the agent's label");
	return 0;
}

int om_loader_guard(struct om_loader *l, enum om_guard want, const char *opts, enum om_guard *guard,
		    bool *fresh, struct om_err *err)
{
	struct om_self_maps m OM_CLEANUP(maps_close) = {-1, -1, -1, -1, -1};
	struct om_self_state s = {0};
	const uint32_t zero = 0;
	char dir[PATH_MAX];
	int ret = join(dir, l, DIR_SELF, NULL, err);

	*fresh = false;
	*guard = OM_GUARD_BRANE;
	if (ret || !l->bpf || !(l->layers & OM_LAYER_KERNEL)) {
		if (!ret && want == OM_GUARD_STRICT)
			ret = om_err_set(err, OM_ERR_BPF_GUARD, -EOPNOTSUPP,
					 "it needs the layer \"kernel\"");
		return ret;
	}
	if (!access(dir, F_OK)) {
		ret = maps_open(l, DIR_SELF, &m, err);
		if (!ret && bpf_map_lookup_elem(m.state, &zero, &s))
			ret = om_err_sys(err, OM_ERR_BPF_MAP, -errno, "om_self_state");
		if (ret)
			return ret;
		if (s.level == OM_SELF_STRICT) {
			*guard = OM_GUARD_STRICT;
			ret = own_label(&m, err);
			if (!ret)
				ret = count_links(l, s.links, err);
			return ret ? ret : om_self_list_cgroup(l, &m, err);
		}
		/* Its making was cut short: it never held. */
		ret = remove_dir(l, DIR_SELF, err);
	}
	if (!ret)
		ret = remove_dir(l, DIR_SELF_NEW, err);
	if (ret || want != OM_GUARD_STRICT)
		return ret;
	ret = make(l, opts, err);
	if (ret) {
		struct om_err ignored;

		(void)!remove_dir(l, DIR_SELF_NEW, &ignored);
		return ret;
	}
	*guard = OM_GUARD_STRICT;
	*fresh = true;
	return 0;
}

int om_loader_guard_release(struct om_loader *l, struct om_err *err)
{
	struct om_self_maps m OM_CLEANUP(maps_close) = {-1, -1, -1, -1, -1};
	struct om_self_state s = {0};
	const uint32_t zero = 0;
	int ret = maps_open(l, DIR_SELF, &m, err);

	if (!ret && bpf_map_lookup_elem(m.state, &zero, &s))
		ret = om_err_sys(err, OM_ERR_BPF_MAP, -errno, "om_self_state");
	/* The word first: from then on nothing is decided, whatever becomes of the pins. */
	if (!ret)
		ret = set_level(&m, OM_SELF_OFF, &s, err);
	return ret ? ret : remove_dir(l, DIR_SELF, err);
}
