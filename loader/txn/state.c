/*
 * What the loader remembers of a brane across its own death: RUN_DIR/branes/NAME.
 *
 * Comes in: struct om_state, whole files. Goes out: the same, checked against their digests. Called by:
 * the transaction (intent first, result last), adoption. Never does: write in place: every file is
 * replaced by rename after fsync, so a reader finds the old one or the new one.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <omega/sha256.h>
#include <loader/txn/txn.h>

bool om_name_ok(const char *name)
{
	size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-_");
	return n > 0 && n <= OM_NAME_MAX && name[n] == '\0' && name[0] != '-' && name[0] != '_';
}

int om_state_dir(const struct om_loader *l, const char *name, bool create, int *fd,
		 struct om_err *err)
{
	/* The name becomes a path component and a cgroup: nothing that could be ".." or hidden. */
	if (!om_name_ok(name))
		return om_err_set(err, OM_ERR_INVALID, -EINVAL, "not a brane's name");
	if (create && mkdirat(l->branes, name, 0700) < 0 && errno != EEXIST)
		return om_err_sys(err, OM_ERR_STATE, -errno, "cannot make the state of %s", name);
	*fd = openat(l->branes, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (*fd >= 0)
		return 0;
	if (errno == ENOENT)
		return om_err_set(err, OM_ERR_NOT_FOUND, -ENOENT, "%s", name);
	return om_err_sys(err, OM_ERR_STATE, -errno, "state of %s", name);
}

int om_state_put(int dir, const char *file, const void *data, size_t len, struct om_err *err)
{
	char tmp[64];
	const uint8_t *p = data;

	(void)snprintf(tmp, sizeof(tmp), "%s.tmp", file);
	OM_CLEANUP(om_close_fd)
	int fd = openat(dir, tmp, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	while (fd >= 0 && len > 0) {
		ssize_t n = write(fd, p, len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return om_err_sys(err, OM_ERR_STATE, n < 0 ? -errno : -ENOSPC,
					  "cannot write %s", file);
		p += n;
		len -= (size_t)n;
	}
	if (fd < 0 || fsync(fd) < 0 || renameat(dir, tmp, dir, file) < 0 || fsync(dir) < 0)
		return om_err_sys(err, OM_ERR_STATE, -errno, "cannot write %s", file);
	return 0;
}

int om_state_get(int dir, const char *file, size_t max, void **data, size_t *len,
		 struct om_err *err)
{
	struct stat st;
	OM_CLEANUP(om_close_fd) int fd = openat(dir, file, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return om_err_sys(err, OM_ERR_STATE, -errno, "cannot open %s", file);
	if (!S_ISREG(st.st_mode) || st.st_size < 0 || (size_t)st.st_size > max)
		return om_err_set(err, OM_ERR_STATE, -EFBIG, "%s has an impossible size", file);
	size_t want = (size_t)st.st_size, have = 0;
	OM_CLEANUP(om_free_ptr) uint8_t *buf = malloc(want + 1);
	if (!buf)
		return om_err_set(err, OM_ERR_NOMEM, -ENOMEM, "%s", file);
	while (have < want) {
		ssize_t n = read(fd, buf + have, want - have);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return om_err_set(err, OM_ERR_STATE, -EIO, "%s ends early", file);
		have += (size_t)n;
	}
	*data = OM_STEAL_PTR(buf);
	*len = want;
	return 0;
}

static void digest(const struct om_state *st, uint8_t out[static 32])
{
	om_sha256(st, offsetof(struct om_state, digest), out);
}

int om_state_write(int dir, struct om_state *st, struct om_err *err)
{
	return om_state_write_as(dir, "state", st, err);
}

int om_state_write_as(int dir, const char *file, struct om_state *st, struct om_err *err)
{
	memcpy(st->magic, OM_STATE_MAGIC, sizeof(st->magic));
	st->size = sizeof(*st);
	digest(st, st->digest);
	return om_state_put(dir, file, st, sizeof(*st), err);
}

int om_state_read(int dir, struct om_state *st, struct om_err *err)
{
	return om_state_read_as(dir, "state", st, err);
}

int om_state_read_as(int dir, const char *file, struct om_state *st, struct om_err *err)
{
	OM_CLEANUP(om_free_ptr) void *data = NULL;
	size_t len = 0;
	uint8_t want[32];

	int ret = om_state_get(dir, file, sizeof(*st), &data, &len, err);
	if (ret < 0)
		return ret;
	if (len != sizeof(*st))
		return om_err_set(err, OM_ERR_STATE, -EBADMSG, "state has %zu bytes", len);
	memcpy(st, data, sizeof(*st));
	digest(st, want);
	if (memcmp(st->magic, OM_STATE_MAGIC, 8) != 0 || st->size != sizeof(*st) ||
	    memcmp(want, st->digest, 32) != 0 || !memchr(st->info.name, 0, sizeof(st->info.name)) ||
	    !memchr(st->info.instance, 0, sizeof(st->info.instance)))
		return om_err_set(err, OM_ERR_STATE, -EBADMSG, "state is damaged");
	return 0;
}

static const struct {
	const char *next, *now;
} versions[] = {
	{"bundle.next", "bundle"},
	{"objects.next", "objects"},
	{"manifest.next", "manifest"},
	{"state.next", "state"}, /* last: while it is there, the promotion is not complete */
};

int om_state_promote(int dir, struct om_err *err)
{
	for (size_t i = 0; i < OM_ARRAY_LEN(versions); i++)
		if (renameat(dir, versions[i].next, dir, versions[i].now) < 0 && errno != ENOENT)
			return om_err_sys(err, OM_ERR_STATE, -errno, "cannot replace %s",
					  versions[i].now);
	return fsync(dir) < 0 ? om_err_sys(err, OM_ERR_STATE, -errno, "cannot sync") : 0;
}

void om_state_discard(int dir)
{
	/* The state first: without it the others are nothing. */
	for (size_t i = OM_ARRAY_LEN(versions); i-- > 0;)
		(void)unlinkat(dir, versions[i].next, 0);
}

void om_state_forget_exit(int dir)
{
	(void)unlinkat(dir, "exit", 0);
	(void)unlinkat(dir, "killed", 0);
}

int om_state_remove(const struct om_loader *l, const char *name, struct om_err *err)
{
	OM_CLEANUP(om_close_fd)
	int dir = openat(l->branes, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (dir < 0)
		return errno == ENOENT ? 0 : om_err_sys(err, OM_ERR_STATE, -errno, "%s", name);
	/* The shim may still be writing its last file. */
	for (int i = 0; i < 100; i++) {
		int copy = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		DIR *d = copy < 0 ? NULL : fdopendir(copy);
		struct dirent *e;
		while (d && (e = readdir(d)))
			if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
				(void)unlinkat(dir, e->d_name, 0);
		if (d)
			closedir(d);
		if (unlinkat(l->branes, name, AT_REMOVEDIR) == 0 || errno == ENOENT)
			return fsync(l->branes) < 0
				       ? om_err_sys(err, OM_ERR_STATE, -errno, "cannot sync")
				       : 0;
		if (errno != ENOTEMPTY && errno != EEXIST)
			break;
	}
	return om_err_sys(err, OM_ERR_STATE, -errno, "cannot remove the state of %s", name);
}

static bool read_exit(int dir, struct om_brane_info *info)
{
	struct om_exit_file e;
	OM_CLEANUP(om_close_fd) int fd = openat(dir, "exit", O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || read(fd, &e, sizeof(e)) != (ssize_t)sizeof(e) ||
	    memcmp(e.magic, OM_EXIT_MAGIC, 8) != 0 ||
	    memcmp(e.instance, info->instance, sizeof(e.instance)) != 0)
		return false;
	info->exit_cause = e.cause;
	info->exit_code = e.code;
	return true;
}

void om_state_refresh(const struct om_loader *l, int dir, struct om_brane_info *info)
{
	bool have = read_exit(dir, info);
	if (info->state == OM_BRANE_LOADING)
		return;
	OM_CLEANUP(om_close_fd) int cg = om_cgroup_child(l->parent, info->name);
	OM_CLEANUP(om_close_fd) int shim = om_cgroup_child(l->shims, info->name);
	info->state = OM_BRANE_RUNNING;
	if (cg >= 0 && om_cgroup_event(cg, "populated") == 1) {
		if (om_cgroup_event(cg, "frozen") == 1)
			info->state = OM_BRANE_FROZEN;
		return;
	}
	/* Its shim is about to say how it ended: until then the end is not told. */
	if (!have && shim >= 0 && om_cgroup_event(shim, "populated") == 1)
		return;
	info->state = OM_BRANE_EXITED;
	if (!have && !read_exit(dir, info) && info->exit_cause == OM_EXIT_NONE) {
		/* The supervisor itself was killed, and its brane with it. */
		info->exit_cause = OM_EXIT_SIGNAL;
		info->exit_code = 9;
	}
}
