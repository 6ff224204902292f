/*
 * Self-guard at load: no grant reaches the agent's own directories, programs, pins or cgroups.
 *
 * Comes in: descriptors that resolve.c opened. Goes out: a refusal that names what would have been reached.
 * Called by: resolve.c. Never does: decide at run time; what it leaves open under a readable tree is denied
 * by OM_MAY_NEVER entries (bpf/lib/walk.bpf.h).
 *
 * An object is found by file system and place in it, from the mount table: the same directory under
 * another name (a bind mount of the audit log, say) is the same place. A tree that would let its holder
 * rename what leads to the agent's files is refused too: after that the next start would find a log
 * and keys of the attacker's making.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/stat.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <loader/process/own.h>

#define MAY_CHANGE (OM_MAY_WRITE | OM_MAY_CREATE | OM_MAY_REMOVE)

void om_mount_unescape(char *s)
{
	char *w = s;
	for (; *s; s++) {
		if (s[0] == '\\' && s[1] >= '0' && s[1] <= '3' && s[2] && s[3]) {
			*w++ = (char)((s[1] - '0') * 64 + (s[2] - '0') * 8 + (s[3] - '0'));
			s += 3;
		} else {
			*w++ = *s;
		}
	}
	*w = '\0';
}

static int add_mount(struct om_own *o, uint32_t *cap, char *line)
{
	char *save = NULL, *field[5];

	for (int i = 0; i < 5; i++) {
		field[i] = strtok_r(i ? NULL : line, " ", &save);
		if (!field[i])
			return 0; /* not a row of this table's form: whoever lies on it is not found, and refused */
	}
	if (o->mount_count == *cap) {
		uint32_t n = *cap ? *cap * 2 : 64;
		void *p = reallocarray(o->mounts, n, sizeof(*o->mounts));
		if (!p)
			return -ENOMEM;
		o->mounts = p;
		*cap = n;
	}
	struct om_mount_row *m = &o->mounts[o->mount_count];
	om_mount_unescape(field[3]);
	om_mount_unescape(field[4]);
	*m = (struct om_mount_row){.id = strtoull(field[0], NULL, 10),
				   .dev = strdup(field[2]),
				   .root = strdup(field[3]),
				   .at = strdup(field[4])};
	o->mount_count++;
	return m->dev && m->root && m->at ? 0 : -ENOMEM;
}

static int read_mounts(struct om_own *o, struct om_err *err)
{
	uint32_t cap = 0;
	char *line = NULL;
	size_t size = 0;
	int ret = 0;
	FILE *f = fopen("/proc/self/mountinfo", "re");

	if (!f)
		return om_err_sys(err, OM_ERR_IO, -errno, "cannot read the mount table");
	while (ret == 0 && getline(&line, &size, f) > 0)
		ret = add_mount(o, &cap, line);
	free(line);
	(void)fclose(f);
	return ret < 0 ? om_err_set(err, OM_ERR_NOMEM, ret, "mount table") : 0;
}

/* Where REST of PATH is below DIR: its tail with a leading slash, "" for DIR itself, NULL elsewhere. */
static const char *below(const char *dir, const char *path)
{
	size_t n = strlen(dir);

	if (n == 1)
		return path[1] ? path : "";
	if (strncmp(dir, path, n) != 0 || (path[n] != '/' && path[n] != '\0'))
		return NULL;
	return path + n;
}

/* The place of FD inside its file system, into PATH of OM_PATH_MAX. */
static int locate(const struct om_own *o, int fd, const char **dev, char *path)
{
	char link[64], host[OM_PATH_MAX];
	const struct om_mount_row *m = NULL;
	struct statx st;

	if (statx(fd, "", AT_EMPTY_PATH, STATX_MNT_ID, &st) < 0)
		return -errno;
	for (uint32_t i = 0; i < o->mount_count && !m; i++)
		if (o->mounts[i].id == st.stx_mnt_id)
			m = &o->mounts[i];
	(void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	ssize_t n = readlink(link, host, sizeof(host) - 1);
	if (n < 0)
		return -errno;
	host[n] = '\0';
	const char *rest = m ? below(m->at, host) : NULL;
	if (!rest || !(st.stx_mask & STATX_MNT_ID))
		return -ESTALE;
	*dev = m->dev;
	n = snprintf(path, OM_PATH_MAX, "%s%s", m->root[1] || !*rest ? m->root : "", rest);
	return n < 0 || n >= (ssize_t)OM_PATH_MAX ? -ENAMETOOLONG : 0;
}

static int add_dir(struct om_own *o, const char *name, bool programs, struct om_err *err)
{
	OM_CLEANUP(om_close_fd) int fd = -1;
	char path[OM_PATH_MAX];

	if (!name || !name[0])
		return 0;
	fd = open(name, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? 0 : om_err_sys(err, OM_ERR_OWN, -errno, "%s", name);
	struct om_own_dir *d = &o->dirs[o->count];
	int ret = locate(o, fd, &d->dev, path);
	if (ret < 0)
		return om_err_sys(err, OM_ERR_OWN, ret, "cannot locate %s", name);
	d->path = strdup(path);
	if (!d->path)
		return om_err_set(err, OM_ERR_NOMEM, -ENOMEM, "%s", name);
	d->name = name;
	d->programs = programs;
	d->fd = OM_STEAL_FD(fd);
	o->count++;
	return 0;
}

int om_own_open(const struct om_own_names *names, struct om_own *o, struct om_err *err)
{
	*o = (struct om_own){0};
	int ret = read_mounts(o, err);
	if (ret == 0)
		ret = add_dir(o, names->run_dir, false, err);
	if (ret == 0)
		ret = add_dir(o, names->state_dir, false, err);
	if (ret == 0)
		ret = add_dir(o, names->bpffs, false, err);
	if (ret == 0)
		ret = add_dir(o, names->libexec, true, err);
	return ret;
}

void om_own_done(struct om_own *o)
{
	for (uint32_t i = 0; i < o->count; i++) {
		om_close_fd(&o->dirs[i].fd);
		free(o->dirs[i].path);
	}
	for (uint32_t i = 0; i < o->mount_count; i++) {
		free(o->mounts[i].dev);
		free(o->mounts[i].root);
		free(o->mounts[i].at);
	}
	free(o->mounts);
	*o = (struct om_own){0};
}

/*
 * The kernel's own file systems steer every process: cgroup.kill and cgroup.procs end or move the agent,
 * /proc/PID/oom_score_adj offers it to the OOM killer.
 */
static int judge_kernel(int fd, uint32_t may, struct om_err *err)
{
	struct statfs fs;

	if (!(may & MAY_CHANGE))
		return 0;
	if (fstatfs(fd, &fs) < 0)
		return om_err_sys(err, OM_ERR_OWN, -errno, "cannot tell the file system");
	if (fs.f_type == CGROUP2_SUPER_MAGIC || fs.f_type == CGROUP_SUPER_MAGIC)
		return om_err_set(err, OM_ERR_OWN, -EPERM,
				  "the cgroup file system steers omegad's processes");
	if ((unsigned long)fs.f_type == PROC_SUPER_MAGIC)
		return om_err_set(err, OM_ERR_OWN, -EPERM, "/proc steers omegad's processes");
	return 0;
}

/* What R gives on the object at PATH, against one directory of the agent. */
static int judge_dir(struct om_own *o, uint32_t index, const char *path,
		     const struct om_own_rights *r, struct om_err *err)
{
	const struct om_own_dir *d = &o->dirs[index];
	bool change = (r->self | r->tree | r->names) & MAY_CHANGE;

	if (below(d->path, path)) {
		if (d->programs && !change)
			return 0;
		if (r->submount && r->holes && !change)
			return 1;
		return om_err_set(err, OM_ERR_OWN, -EPERM, "it lies in %s", d->name);
	}
	if (!(r->tree | r->names) || !below(path, d->path))
		return 0;
	if (r->tree & MAY_CHANGE)
		return om_err_set(err, OM_ERR_OWN, -EPERM, "it may be changed and holds %s",
				  d->name);
	if (d->programs)
		return 0;
	if (!r->holes)
		return om_err_set(err, OM_ERR_OWN, -EPERM,
				  "it holds %s, which only the layer \"kernel\" can leave out",
				  d->name);
	o->above |= 1u << index;
	return 0;
}

int om_own_judge(struct om_own *o, int fd, const struct om_own_rights *r, struct om_err *err)
{
	char path[OM_PATH_MAX];
	const char *dev = "";
	int ret = judge_kernel(fd, r->self | r->tree | r->names, err);

	if (ret == 0 && o->count > 0) {
		ret = locate(o, fd, &dev, path);
		/* A place that cannot be told might be ours. */
		if (ret < 0)
			return om_err_sys(err, OM_ERR_OWN, ret, "cannot tell where this lies");
	}
	for (uint32_t i = 0; i < o->count && ret == 0; i++)
		if (strcmp(o->dirs[i].dev, dev) == 0)
			ret = judge_dir(o, i, path, r, err);
	return ret;
}
