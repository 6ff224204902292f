/*
 * Cgroups: the parent of all branes, one child each, limits, kill, freeze, removal.
 *
 * Comes in: OM_SEC_CGROUP. Goes out: a directory descriptor to be born into. Called by: the
 * transaction's steps, adoption. Never does: move a process (8 ms, and a moment outside of the
 * policy); run a brane without a limit its manifest asked for.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <loader/impl.h>

static ssize_t read_file(int dir, const char *file, char *buf, size_t size)
{
	OM_CLEANUP(om_close_fd) int fd = openat(dir, file, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	ssize_t n = fd < 0 ? -errno : read(fd, buf, size - 1);
	if (n < 0 && fd >= 0)
		n = -errno;
	buf[n > 0 ? n : 0] = '\0';
	return n;
}

static int write_file(int dir, const char *file, const char *value)
{
	OM_CLEANUP(om_close_fd) int fd = openat(dir, file, O_WRONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	return write(fd, value, strlen(value)) < 0 ? -errno : 0;
}

/* Mount point and depth of the first cgroup2 mount. */
static int find_mount(char *point, size_t size, uint32_t *depth, struct om_err *err)
{
	OM_CLEANUP(om_free_ptr) char *line = NULL;
	size_t cap = 0;
	int ret = -ENOENT;
	FILE *f = fopen("/proc/self/mountinfo", "re");

	while (f && ret < 0 && getline(&line, &cap, f) > 0) {
		char root[512], at[512];
		const char *dash = strstr(line, " - cgroup2 ");
		if (!dash || sscanf(line, "%*d %*d %*s %511s %511s", root, at) != 2)
			continue;
		if (strstr(root, "..") || strlen(at) >= size)
			continue; /* another namespace's view: levels would be wrong */
		*depth = 0;
		for (const char *p = root; *p; p++)
			*depth += p[0] == '/' && p[1] != '\0';
		(void)snprintf(point, size, "%s", at);
		ret = 0;
	}
	if (f)
		(void)fclose(f);
	return ret < 0 ? om_err_set(err, OM_ERR_CGROUP, ret, "no cgroup2 is mounted") : 0;
}

/* A controller that cannot be had is noticed when a row needs it. */
static void delegate(int dir)
{
	char have[256], one[64], *save = NULL;
	if (read_file(dir, "cgroup.controllers", have, sizeof(have)) <= 0)
		return;
	for (char *c = strtok_r(have, " \n", &save); c; c = strtok_r(NULL, " \n", &save)) {
		(void)snprintf(one, sizeof(one), "+%s", c);
		(void)write_file(dir, "cgroup.subtree_control", one);
	}
}

static int descend(struct om_loader *l, const char *point, struct om_err *err)
{
	char rest[4096];
	char *save = NULL;
	OM_CLEANUP(om_close_fd) int at = open(point, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (at < 0)
		return om_err_sys(err, OM_ERR_CGROUP, -errno, "%s", point);
	(void)snprintf(rest, sizeof(rest), "%s", l->cgroup + strlen(point));
	char *c = strtok_r(rest, "/", &save);
	if (!c)
		return om_err_set(err, OM_ERR_CGROUP, -EINVAL, "%s is the root", l->cgroup);
	while (c) {
		char *following = strtok_r(NULL, "/", &save), shims[300];
		delegate(at);
		(void)snprintf(shims, sizeof(shims), "%s.shims", c);
		/* Beside the parent, not in it: a cgroup that delegates controllers holds no process. */
		if (!following && mkdirat(at, shims, 0755) < 0 && errno != EEXIST)
			return om_err_sys(err, OM_ERR_CGROUP, -errno, "cannot make %s", shims);
		if (!following)
			l->shims =
				openat(at, shims, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (mkdirat(at, c, 0755) < 0 && errno != EEXIST)
			return om_err_sys(err, OM_ERR_CGROUP, -errno, "cannot make %s", l->cgroup);
		int fd = openat(at, c, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (fd < 0)
			return om_err_sys(err, OM_ERR_CGROUP, -errno, "%s", l->cgroup);
		om_close_fd(&at);
		at = fd;
		l->level++;
		c = following;
	}
	delegate(at);
	l->parent = OM_STEAL_FD(at);
	return l->shims < 0 ? om_err_sys(err, OM_ERR_CGROUP, -EIO, "%s.shims", l->cgroup) : 0;
}

int om_cgroup_open(struct om_loader *l, const char *path, struct om_err *err)
{
	char point[512];
	struct stat st;

	int ret = find_mount(point, sizeof(point), &l->level, err);
	if (ret < 0)
		return ret;
	if (path)
		(void)snprintf(l->cgroup, sizeof(l->cgroup), "%s", path);
	else
		(void)snprintf(l->cgroup, sizeof(l->cgroup), "%s/omega", point);
	if (strncmp(l->cgroup, point, strlen(point)) != 0 || strstr(l->cgroup, ".."))
		return om_err_set(err, OM_ERR_CGROUP, -EINVAL, "%s is not below %s", l->cgroup,
				  point);
	ret = descend(l, point, err);
	if (ret < 0)
		return ret;
	l->level++; /* of its children */
	if (fstat(l->parent, &st) < 0)
		return om_err_sys(err, OM_ERR_CGROUP, -errno, "%s", l->cgroup);
	l->parent_cgid = st.st_ino;
	if (read_file(l->parent, "cgroup.subtree_control", l->controllers, sizeof(l->controllers)) <
	    0)
		return om_err_set(err, OM_ERR_CGROUP, -EIO, "cannot read controllers");
	return 0;
}

static bool word_in(const char *list, const char *word)
{
	size_t n = strlen(word);
	for (const char *p = list; (p = strstr(p, word)); p += n)
		if ((p == list || p[-1] == ' ') && (p[n] == ' ' || p[n] == '\n' || p[n] == '\0'))
			return true;
	return false;
}

int om_cgroup_check(const struct om_loader *l, const struct om_bundle *b, struct om_err *err)
{
	uint32_t n = 0;
	const struct om_b_cgroup *c = om_bundle_section(b, OM_SEC_CGROUP, &n);
	for (uint32_t i = 0; i < n; i++) {
		const char *ctl = om_bundle_str(b, c[i].controller);
		/* Ours, not the manifest's: a host without the controller may still run the brane. */
		if (c[i].flags & OM_CGROUP_DEFAULT)
			continue;
		if (*ctl && !word_in(l->controllers, ctl))
			return om_err_set(err, OM_ERR_CGROUP_CONTROLLER, -EOPNOTSUPP,
					  "%s needs the controller %s, which %s does not give to "
					  "its children",
					  om_bundle_str(b, c[i].file), ctl, l->cgroup);
	}
	return 0;
}

int om_cgroup_child(int parent, const char *name)
{
	int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* kernfs: the inode number is the cgroup id on 64-bit. */
uint64_t om_cgroup_id(int cg)
{
	struct stat st;
	return fstat(cg, &st) < 0 ? 0 : st.st_ino;
}

int om_cgroup_make(int parent, const char *name, int *fd, uint64_t *cgid, struct om_err *err)
{
	if (mkdirat(parent, name, 0755) < 0)
		return om_err_sys(err, OM_ERR_CGROUP, -errno, "cannot make the cgroup %s", name);
	*fd = om_cgroup_child(parent, name);
	if (*fd < 0)
		return om_err_sys(err, OM_ERR_CGROUP, *fd, "cgroup %s", name);
	if (cgid)
		*cgid = om_cgroup_id(*fd);
	return 0;
}

static bool has_row(const struct om_bundle *b, const char *file)
{
	uint32_t n = 0;
	const struct om_b_cgroup *c = om_bundle_section(b, OM_SEC_CGROUP, &n);
	for (uint32_t i = 0; i < n; i++)
		if (strcmp(om_bundle_str(b, c[i].file), file) == 0)
			return true;
	return false;
}

int om_cgroup_limits(int cg, const struct om_bundle *b, const struct om_bundle *old,
		     struct om_err *err)
{
	uint32_t n = 0;
	const struct om_b_cgroup *c;

	for (c = old ? om_bundle_section(old, OM_SEC_CGROUP, &n) : NULL; n > 0; c++, n--) {
		const char *file = om_bundle_str(old, c->file);
		size_t len = strlen(file);
		if (has_row(b, file) || len < 4 || strcmp(file + len - 4, ".max") != 0)
			continue;
		int ret = write_file(cg, file, "max");
		if (ret == -ENOENT && c->flags & OM_CGROUP_DEFAULT)
			continue;
		if (ret < 0)
			return om_err_sys(err, OM_ERR_CGROUP, ret, "cannot lift %s", file);
	}
	for (c = om_bundle_section(b, OM_SEC_CGROUP, &n); n > 0; c++, n--) {
		const char *file = om_bundle_str(b, c->file), *value = om_bundle_str(b, c->value);
		/* The compile role is not trusted with a path out of the cgroup. */
		if (strchr(file, '/') || *file == '.')
			return om_err_set(err, OM_ERR_CGROUP, -EINVAL, "no cgroup file: %s", file);
		int ret = write_file(cg, file, value);
		if (ret == -ENOENT && c->flags & OM_CGROUP_DEFAULT)
			continue;
		if (ret < 0)
			return om_err_sys(err, OM_ERR_CGROUP, ret, "cannot write %s to %s", value,
					  file);
	}
	return 0;
}

int om_cgroup_kill(int cg)
{
	return write_file(cg, "cgroup.kill", "1");
}

static int event_in(const char *events, const char *key)
{
	const char *p = strstr(events, key);
	return p && p[strlen(key)] == ' ' ? p[strlen(key) + 1] == '1' : -EBADMSG;
}

int om_cgroup_event(int cg, const char *key)
{
	char buf[256];
	ssize_t n = read_file(cg, "cgroup.events", buf, sizeof(buf));
	return n < 0 ? (int)n : event_in(buf, key);
}

/*
 * The kernel makes cgroup.events readable (POLLPRI) at every change since it was read through the same
 * descriptor: what is read here is what is compared, so no change falls between the two.
 */
static int wait_event(int cg, const char *key, int want, int ms)
{
	char buf[256];
	struct timespec start, now;
	OM_CLEANUP(om_close_fd) int fd = openat(cg, "cgroup.events", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENODEV || errno == ENOENT ? 0 : -errno;
	clock_gettime(CLOCK_MONOTONIC, &start);
	for (;;) {
		ssize_t n = pread(fd, buf, sizeof(buf) - 1, 0);
		if (n < 0)
			return errno == ENODEV || errno == ENOENT ? 0 : -errno;
		buf[n] = '\0';
		if (event_in(buf, key) == want)
			return 0;
		clock_gettime(CLOCK_MONOTONIC, &now);
		long left = ms - ((now.tv_sec - start.tv_sec) * 1000 +
				  (now.tv_nsec - start.tv_nsec) / 1000000);
		if (left <= 0)
			return -ETIMEDOUT;
		struct pollfd p = {fd, POLLPRI, 0};
		(void)poll(&p, 1, (int)OM_MIN(left, 20L));
	}
}

int om_cgroup_wait_empty(int cg, int ms, struct om_err *err)
{
	int ret = wait_event(cg, "populated", 0, ms);
	return ret < 0 ? om_err_sys(err, OM_ERR_CGROUP, ret, "processes are still alive") : 0;
}

int om_cgroup_freeze(int cg, bool freeze, struct om_err *err)
{
	int ret = write_file(cg, "cgroup.freeze", freeze ? "1" : "0");
	if (ret == 0)
		ret = wait_event(cg, "frozen", freeze, OM_EMPTY_WAIT_MS);
	return ret < 0 ? om_err_sys(err, OM_ERR_CGROUP, ret, "cannot %s",
				    freeze ? "freeze" : "thaw")
		       : 0;
}

static int remove_tree(int parent, const char *name, int depth)
{
	if (unlinkat(parent, name, AT_REMOVEDIR) == 0 || errno == ENOENT)
		return 0;
	if (errno != EBUSY || depth > 32)
		return -errno;
	int fd = om_cgroup_child(parent, name);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;
	while (d && (e = readdir(d)))
		if (e->d_type == DT_DIR && e->d_name[0] != '.')
			(void)remove_tree(dirfd(d), e->d_name, depth + 1);
	if (d)
		closedir(d);
	else
		om_close_fd(&fd);
	return unlinkat(parent, name, AT_REMOVEDIR) == 0 || errno == ENOENT ? 0 : -errno;
}

int om_cgroup_remove(int parent, const char *name, struct om_err *err)
{
	const struct timespec ms = {.tv_nsec = 2000000};
	int ret = 0;

	/* A shim that was about to give birth can do so once more after a kill. */
	for (int i = 0; i < 50; i++) {
		OM_CLEANUP(om_close_fd) int cg = om_cgroup_child(parent, name);
		if (cg == -ENOENT)
			return 0;
		if (cg < 0)
			return om_err_sys(err, OM_ERR_CGROUP, cg, "%s", name);
		/* A frozen task dies all the same, but a frozen cgroup counts as busy on old kernels. */
		(void)write_file(cg, "cgroup.freeze", "0");
		ret = om_cgroup_kill(cg);
		if (ret == 0)
			ret = om_cgroup_wait_empty(cg, OM_EMPTY_WAIT_MS, err);
		if (ret < 0)
			return om_err_sys(err, OM_ERR_CGROUP, ret, "cannot empty %s", name);
		ret = remove_tree(parent, name, 0);
		if (ret == 0)
			return 0;
		nanosleep(&ms, NULL);
	}
	return om_err_sys(err, OM_ERR_CGROUP, ret, "cannot remove %s", name);
}
