/*
 * What the strict self-guard lists: the agent's directories, programs, libraries, cgroups and processes.
 *
 * Comes in: the loader's paths, /proc. Goes out: entries of om_self_objects, labels in om_self_tasks. Called
 * by: self.c, before the guard decides anything and when an agent takes it over. Never does: trust a path
 * later: what is listed is the kernel's own key of the object that was open here.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <linux/stat.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <bpf/bpf.h>

#include <loader/guard/self.h>
#include <omega/abi/self.h>

/* Adds FLAGS to what is listed for the object behind FD. */
static int put(struct om_loader *l, const struct om_self_maps *m, int fd, uint32_t flags,
	       struct om_err *err)
{
	struct om_object_key obj;
	struct om_self_key key = {0};
	uint32_t have = 0;
	int ret = om_bpf_object_key(l->bpf, fd, &obj, err);

	if (ret)
		return ret;
	key.dev = obj.dev;
	key.gen = obj.gen;
	key.ino = obj.ino;
	if (bpf_map_lookup_elem(m->objects, &key, &have))
		have = 0;
	flags |= have;
	ret = bpf_map_update_elem(m->objects, &key, &flags, BPF_ANY);
	return ret ? om_err_sys(err, OM_ERR_BPF_MAP, ret, "cannot write om_self_objects") : 0;
}

int om_self_put(struct om_loader *l, const struct om_self_maps *m, const char *path, uint32_t flags,
		struct om_err *err)
{
	int fd OM_CLEANUP(om_close_fd) = open(path, O_PATH | O_CLOEXEC);
	struct statx st;
	int ret;

	if (fd < 0 || statx(fd, "", AT_EMPTY_PATH, STATX_MNT_ID, &st))
		return om_err_sys(err, OM_ERR_GUARD, -errno, "cannot list %s", path);
	ret = put(l, m, fd, flags, err);
	/* What only lies on the way, or is a directory of the agent's, is on a mount that must stay. */
	if (!ret && flags & (OM_SELF_TREE | OM_SELF_ABOVE))
		ret = om_self_put_id(m, OM_SELF_MNT, (uint32_t)st.stx_mnt_id, err);
	return ret;
}

/* All that leads to PATH, which would be lost from view if one of them were renamed or mounted over. */
static int put_above(struct om_loader *l, const struct om_self_maps *m, const char *path,
		     struct om_err *err)
{
	OM_CLEANUP(om_free_ptr) char *real = realpath(path, NULL);
	int ret = 0;

	if (!real)
		return om_err_sys(err, OM_ERR_GUARD, -errno, "cannot list %s", path);
	for (char *slash = strrchr(real, '/'); slash && !ret; slash = strrchr(real, '/')) {
		*slash = 0;
		ret = om_self_put(l, m, *real ? real : "/", OM_SELF_ABOVE, err);
	}
	return ret;
}

/*
 * No file below PATH may have a second name: it could lie outside, where nothing is guarded. And what file system
 * it is on.
 */
static int one_name(struct om_loader *l, const struct om_self_maps *m, const char *path, int depth,
		    struct om_err *err)
{
	struct om_object_key key;
	int fd OM_CLEANUP(om_close_fd) =
		open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	DIR *d = fd < 0 ? NULL : opendir(path);
	struct dirent *de;
	struct stat st;
	int ret = 0;

	if (!d)
		return om_err_sys(err, OM_ERR_GUARD, -errno, "cannot list %s", path);
	if (!depth) {
		ret = om_bpf_object_key(l->bpf, fd, &key, err);
		if (!ret)
			ret = om_self_put_id(m, OM_SELF_DEV, key.dev, err);
	}
	while (!ret && (de = readdir(d))) {
		char sub[PATH_MAX];

		if (!strcmp(de->d_name, ".") || !strcmp(de->d_name, "..") ||
		    fstatat(fd, de->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		if (!S_ISDIR(st.st_mode)) {
			if (st.st_nlink > 1)
				ret = om_err_set(err, OM_ERR_GUARD, -EMLINK,
						 "%s/%s has another name somewhere", path,
						 de->d_name);
			continue;
		}
		if (depth >= OM_SELF_DEPTH ||
		    snprintf(sub, sizeof(sub), "%s/%s", path, de->d_name) >= (int)sizeof(sub))
			ret = om_err_set(err, OM_ERR_GUARD, -ENAMETOOLONG, "%s/%s", path,
					 de->d_name);
		else
			ret = one_name(l, m, sub, depth + 1, err);
	}
	closedir(d);
	return ret;
}

static int put_tree(struct om_loader *l, const struct om_self_maps *m, const char *path,
		    uint32_t flags, struct om_err *err)
{
	int ret = om_self_put(l, m, path, OM_SELF_TREE | flags, err);

	if (!ret)
		ret = put_above(l, m, path, err);
	return ret ? ret : one_name(l, m, path, 0, err);
}

/* A file in DIR; one that is not there now cannot be made later, for the directory is guarded. */
static int put_in(struct om_loader *l, const struct om_self_maps *m, const char *dir,
		  const char *name, uint32_t flags, struct om_err *err)
{
	char path[PATH_MAX];
	int n = snprintf(path, sizeof(path), "%s/%s", dir, name);

	if (n < 0 || n >= (int)sizeof(path))
		return om_err_set(err, OM_ERR_GUARD, -ENAMETOOLONG, "%s/%s", dir, name);
	return om_self_put(l, m, path, flags, err);
}

static int put_programs(struct om_loader *l, const struct om_self_maps *m, struct om_err *err)
{
	static const char *const roles[] = {"omegad-sign",    "omegad-drain", "omegad-load",
					    "omegad-compile", "omegad-api",   "omegad-shim"};
	const uint32_t flags = OM_SELF_FILE | OM_SELF_CODE;
	char dir[PATH_MAX], *slash, main[48];
	int ret;

	(void)snprintf(dir, sizeof(dir), "%.*s", (int)sizeof(dir) - 1, l->shim);
	slash = strrchr(dir, '/');
	if (!slash)
		return om_err_set(err, OM_ERR_GUARD, -EINVAL, "%s", l->shim);
	*slash = 0;
	ret = put_above(l, m, l->shim, err);
	for (size_t i = 0; i < OM_ARRAY_LEN(roles) && !ret; i++)
		ret = put_in(l, m, dir, roles[i], flags | OM_SELF_ROLE, err);
	(void)snprintf(main, sizeof(main), "/proc/%d/exe", getppid());
	return ret ? ret : om_self_put(l, m, main, flags | OM_SELF_MAIN, err);
}

/* Mounts elsewhere that pass on to this namespace what is mounted on them; peers are found by the programs. */
static int put_peers(const struct om_self_maps *m, struct om_err *err)
{
	FILE *f = fopen("/proc/self/mountinfo", "re");
	size_t size = 0;
	char *line = NULL, *at;
	unsigned int group;
	int ret = 0;

	if (!f)
		return om_err_sys(err, OM_ERR_GUARD, -errno, "cannot read the mount table");
	while (!ret && getline(&line, &size, f) > 0)
		if ((at = strstr(line, " master:")) && sscanf(at, " master:%u", &group) == 1)
			ret = om_self_put_id(m, OM_SELF_PEER, group, err);
	free(line);
	(void)fclose(f);
	return ret;
}

int om_self_list(struct om_loader *l, const struct om_self_maps *m, struct om_err *err)
{
	char signer[PATH_MAX];
	int ret = put_tree(l, m, l->run_dir, OM_SELF_RUN, err);

	(void)snprintf(signer, sizeof(signer), "%s/signer", l->run_dir);
	if (!ret)
		ret = om_self_put(l, m, signer, OM_SELF_TREE | OM_SELF_SECRET, err);
	if (!ret)
		ret = put_tree(l, m, l->state_dir, OM_SELF_STATE, err);
	if (!ret)
		ret = put_in(l, m, l->state_dir, "substrate.key", OM_SELF_FILE | OM_SELF_SECRET,
			     err);
	if (!ret)
		ret = put_tree(l, m, l->bpffs, OM_SELF_PINS, err);
	if (!ret)
		ret = put(l, m, l->parent, OM_SELF_TREE, err);
	if (!ret)
		ret = put(l, m, l->shims, OM_SELF_TREE, err);
	if (!ret)
		ret = om_self_put(l, m, "/", OM_SELF_ROOT, err);
	if (!ret)
		ret = put_peers(m, err);
	return ret ? ret : put_programs(l, m, err);
}

/* The cgroup OWN ("/a/b"), from the root that the parent of the branes is below. */
static int open_cgroup(const struct om_loader *l, const char *own)
{
	char path[PATH_MAX];
	size_t n = 0;
	int fd;

	for (uint32_t i = 1; i < l->level && n + 4 < sizeof(path); i++, n += 3)
		memcpy(path + n, "../", 4);
	(void)snprintf(path + n, sizeof(path) - n, "%s", own + 1);
	fd = openat(l->parent, path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

int om_self_list_cgroup(struct om_loader *l, const struct om_self_maps *m, struct om_err *err)
{
	OM_CLEANUP(om_free_ptr) char *own = NULL;
	char line[PATH_MAX];
	FILE *f = fopen("/proc/self/cgroup", "re");
	int ret = 0;

	if (!f)
		return om_err_sys(err, OM_ERR_GUARD, -errno, "cannot read /proc/self/cgroup");
	while (!own && fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\n")] = 0;
		if (!strncmp(line, "0::/", 4))
			own = strdup(line + 3);
	}
	(void)fclose(f);
	if (!own)
		return om_err_set(err, OM_ERR_GUARD, -ENOENT, "this process is in no cgroup");
	/* The root has no control files. */
	while (own[1] && !ret) {
		int up OM_CLEANUP(om_close_fd) = open_cgroup(l, own);
		char *slash = strrchr(own, '/');

		ret = up < 0 ? om_err_sys(err, OM_ERR_GUARD, up, "cgroup %s", own)
			     : put(l, m, up, OM_SELF_STEER, err);
		slash[slash == own] = 0;
	}
	return ret;
}

/* --- processes --- */

/* What PID runs, by the kernel's mappings: programs and libraries. */
static int put_code(struct om_loader *l, const struct om_self_maps *m, int pid, struct om_err *err)
{
	char name[64], line[PATH_MAX + 128];
	int ret = 0;
	FILE *f;

	(void)snprintf(name, sizeof(name), "/proc/%d/maps", pid);
	f = fopen(name, "re");
	if (!f)
		return om_err_sys(err, OM_ERR_GUARD, -errno, "cannot read %s", name);
	while (!ret && fgets(line, sizeof(line), f)) {
		unsigned long from, to, ino;
		char perm[8];

		if (sscanf(line, "%lx-%lx %7s %*s %*s %lu", &from, &to, perm, &ino) != 4 ||
		    perm[2] != 'x' || !ino)
			continue;
		(void)snprintf(name, sizeof(name), "/proc/%d/map_files/%lx-%lx", pid, from, to);
		ret = om_self_put(l, m, name, OM_SELF_FILE | OM_SELF_CODE, err);
	}
	(void)fclose(f);
	return ret;
}

static int label(struct om_loader *l, const struct om_self_maps *m, int pid, struct om_err *err)
{
	int pidfd OM_CLEANUP(om_close_fd) = (int)syscall(SYS_pidfd_open, pid, 0);
	const struct om_self_task agent = {.who = OM_SELF_AGENT};
	const uint32_t key = (uint32_t)pid, one = 1;
	int ret;

	if (pidfd < 0)
		return om_err_sys(err, OM_ERR_GUARD, -errno, "cannot label process %d", pid);
	ret = bpf_map_update_elem(m->tasks, &pidfd, &agent, BPF_ANY);
	if (!ret)
		ret = bpf_map_update_elem(m->pids, &key, &one, BPF_ANY);
	if (ret)
		return om_err_sys(err, OM_ERR_GUARD, ret, "cannot label process %d", pid);
	return put_code(l, m, pid, err);
}

/* The parent of PID; 0 when it is gone. */
static int parent_of(const char *pid)
{
	char path[64], line[512], *close;
	int parent = 0;
	FILE *f;

	(void)snprintf(path, sizeof(path), "/proc/%.20s/stat", pid);
	f = fopen(path, "re");
	if (!f)
		return 0;
	if (fgets(line, sizeof(line), f) && (close = strrchr(line, ')')) != NULL &&
	    sscanf(close + 1, " %*c %d", &parent) != 1)
		parent = 0;
	(void)fclose(f);
	return parent;
}

static int label_roles(struct om_loader *l, const struct om_self_maps *m, struct om_err *err)
{
	int ret = label(l, m, getppid(), err);
	DIR *d = ret ? NULL : opendir("/proc");
	struct dirent *de;

	if (!ret && !d)
		return om_err_sys(err, OM_ERR_GUARD, -errno, "/proc");
	while (!ret && (de = readdir(d)))
		if (isdigit((unsigned char)de->d_name[0]) && parent_of(de->d_name) == getppid())
			ret = label(l, m, (int)strtol(de->d_name, NULL, 10), err);
	if (d)
		closedir(d);
	return ret;
}

static int label_shim(struct om_loader *l, const struct om_self_maps *m, const char *name,
		      struct om_err *err)
{
	int cg OM_CLEANUP(om_close_fd) = -1, fd;
	int pid, ret = 0;
	FILE *f;

	cg = om_cgroup_child(l->shims, name);
	if (cg < 0)
		return 0; /* it ended meanwhile */
	fd = openat(cg, "cgroup.procs", O_RDONLY | O_CLOEXEC);
	f = fd < 0 ? NULL : fdopen(fd, "r");
	if (!f)
		return om_err_sys(err, OM_ERR_GUARD, -errno, "shims of %s", name);
	while (!ret && fscanf(f, "%d", &pid) == 1)
		ret = label(l, m, pid, err);
	(void)fclose(f);
	return ret;
}

int om_self_label(struct om_loader *l, const struct om_self_maps *m, struct om_err *err)
{
	int copy = openat(l->shims, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = copy < 0 ? NULL : fdopendir(copy);
	struct dirent *de;
	int ret = 0;

	if (!d)
		return om_err_sys(err, OM_ERR_GUARD, -errno, "cannot list the shims");
	while (!ret && (de = readdir(d)))
		if (de->d_type == DT_DIR && de->d_name[0] != '.')
			ret = label_shim(l, m, de->d_name, err);
	closedir(d);
	return ret ? ret : label_roles(l, m, err);
}
