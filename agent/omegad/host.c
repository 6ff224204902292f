/*
 * What omegad holds on the host: the lock, the directories, the listening sockets.
 *
 * Comes in: paths. Goes out: descriptors that outlive every restart of the roles, so that a client that
 * connects meanwhile waits instead of failing. Called by: main. Never does: accept a connection.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <string.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <omega/limits.h>
#include "agent/omegad/omegad.h"

/* Makes PATH with its parents; the last component 0700 unless it is the run directory. */
static int make_dir(const char *path, mode_t mode, struct om_err *err)
{
	char part[OM_PATH_MAX];
	size_t n = strlen(path);

	if (n >= sizeof(part))
		return om_err_set(err, OM_ERR_INVALID, -ENAMETOOLONG, "%s", path);
	for (size_t i = 1; i <= n; i++) {
		if (path[i] && path[i] != '/')
			continue;
		memcpy(part, path, i);
		part[i] = 0;
		if (mkdir(part, path[i] ? 0755 : mode) < 0 && errno != EEXIST)
			return om_err_sys(err, OM_ERR_IO, -errno, "cannot make %s", part);
	}
	return 0;
}

static int lock(const char *run_dir, int *out, struct om_err *err)
{
	char path[OM_PATH_MAX];
	OM_CLEANUP(om_close_fd) int fd = -1;

	snprintf(path, sizeof(path), "%s/lock", run_dir);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return om_err_sys(err, OM_ERR_IO, -errno, "%s", path);
	if (flock(fd, LOCK_EX | LOCK_NB) < 0)
		return om_err_set(err, OM_ERR_ALREADY_RUNNING, -errno, "%s is held", path);
	*out = OM_STEAL_FD(fd);
	return 0;
}

static int listen_at(const char *dir, const char *name, int type, mode_t mode, gid_t gid, int *out,
		     struct om_err *err)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	OM_CLEANUP(om_close_fd) int fd = -1;
	int n = snprintf(sa.sun_path, sizeof(sa.sun_path), "%s/%s", dir, name);

	if (n < 0 || (size_t)n >= sizeof(sa.sun_path))
		return om_err_set(err, OM_ERR_INVALID, -ENAMETOOLONG, "%s/%s", dir, name);
	fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return om_err_sys(err, OM_ERR_IO, -errno, "socket");
	/* We hold the lock: whatever lies there was left by a daemon that is gone. */
	if (unlink(sa.sun_path) < 0 && errno != ENOENT)
		return om_err_sys(err, OM_ERR_IO, -errno, "%s", sa.sun_path);
	/* Nobody can connect before listen(), so the mode is in place before it matters. */
	if (bind(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0 || chown(sa.sun_path, 0, gid) < 0 ||
	    chmod(sa.sun_path, mode) < 0 || listen(fd, OM_CLIENTS_MAX) < 0)
		return om_err_sys(err, OM_ERR_IO, -errno, "%s", sa.sun_path);
	*out = OM_STEAL_FD(fd);
	return 0;
}

/* The group "omega" may observe, where there is one; only root may otherwise. */
static int open_observe(const char *dir, int *out, struct om_err *err)
{
	const struct group *g = getgrnam("omega");

	return listen_at(dir, "observe.sock", SOCK_STREAM, g ? 0660 : 0600, g ? g->gr_gid : 0, out,
			 err);
}

int omegad_host_open(const struct omegad_opts *o, struct omegad_host *h, struct om_err *err)
{
	char signer[OM_PATH_MAX];
	int ret;

	h->lock = h->observe = h->control = h->admin = h->shim = -1;
	ret = make_dir(o->run_dir, 0755, err);
	if (!ret)
		ret = make_dir(o->state_dir, 0700, err);
	if (!ret)
		ret = lock(o->run_dir, &h->lock, err);
	if (!ret) {
		snprintf(signer, sizeof(signer), "%s/signer", o->run_dir);
		ret = make_dir(signer, 0700, err);
	}
	if (!ret)
		ret = open_observe(o->run_dir, &h->observe, err);
	if (!ret)
		ret = listen_at(o->run_dir, "control.sock", SOCK_STREAM, 0600, 0, &h->control, err);
	if (!ret)
		ret = listen_at(o->run_dir, "admin.sock", SOCK_STREAM, 0600, 0, &h->admin, err);
	if (!ret)
		ret = listen_at(o->run_dir, "shim.sock", SOCK_SEQPACKET, 0600, 0, &h->shim, err);
	if (ret < 0)
		omegad_host_done(h);
	return ret;
}

void omegad_host_done(struct omegad_host *h)
{
	om_close_fd(&h->observe);
	om_close_fd(&h->control);
	om_close_fd(&h->admin);
	om_close_fd(&h->shim);
	om_close_fd(&h->lock);
}
