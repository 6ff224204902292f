/*
 * Ends of workloads, as events: one descriptor that becomes readable when a brane may have exited.
 *
 * Comes in: exit files appearing in state directories, shims ending. Goes out: one call per ended
 * brane. Called by: the load role's event loop. Never does: block; wait for a shim that is not ours
 * (one adopted from an earlier agent is watched by pidfd and not reaped).
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/wait.h>
#include <loader/txn/txn.h>

static int poll_add(struct om_loader *l, int fd, uint64_t tag)
{
	struct epoll_event e = {.events = EPOLLIN, .data.u64 = tag};
	return epoll_ctl(l->epoll, EPOLL_CTL_ADD, fd, &e) < 0 ? -errno : 0;
}

int om_watch_open(struct om_loader *l, struct om_err *err)
{
	l->epoll = epoll_create1(EPOLL_CLOEXEC);
	l->inotify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	l->kick = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	int ret =
		l->epoll < 0 || l->inotify < 0 || l->kick < 0 ? -errno : poll_add(l, l->inotify, 0);
	if (ret == 0)
		ret = poll_add(l, l->kick, 2);
	return ret < 0 ? om_err_sys(err, OM_ERR_IO, ret, "cannot watch for exits") : 0;
}

static void drop(struct om_loader *l, struct om_watch *w)
{
	if (w->wd >= 0)
		(void)inotify_rm_watch(l->inotify, w->wd);
	w->wd = -1;
	if (w->shim_pidfd >= 0) {
		struct pollfd p = {w->shim_pidfd, POLLIN, 0};
		siginfo_t si;
		(void)epoll_ctl(l->epoll, EPOLL_CTL_DEL, w->shim_pidfd, NULL);
		/* Its cgroup is empty by now; being reapable follows at once. */
		(void)poll(&p, 1, 1000);
		(void)waitid(P_PIDFD, (id_t)w->shim_pidfd, &si, WEXITED | WNOHANG);
	}
	om_close_fd(&w->shim_pidfd);
}

void om_watch_close(struct om_loader *l)
{
	for (uint32_t i = 0; i < l->watch_count; i++)
		om_close_fd(&l->watches[i].shim_pidfd);
	free(l->watches);
	om_close_fd(&l->epoll);
	om_close_fd(&l->inotify);
	om_close_fd(&l->kick);
}

static struct om_watch *find(struct om_loader *l, const char *name)
{
	for (uint32_t i = 0; i < l->watch_count; i++)
		if (strcmp(l->watches[i].name, name) == 0)
			return &l->watches[i];
	return NULL;
}

int om_watch_add(struct om_loader *l, const char *name, int shim_pidfd, bool told,
		 struct om_err *err)
{
	OM_CLEANUP(om_close_fd) int pidfd = shim_pidfd, dir = -1;
	char path[64];
	struct om_watch *w = find(l, name);

	if (w) {
		drop(l, w);
	} else {
		if (l->watch_count == l->watch_cap) {
			uint32_t cap = l->watch_cap ? l->watch_cap * 2 : 16;
			void *p = reallocarray(l->watches, cap, sizeof(*w));
			if (!p)
				return om_err_set(err, OM_ERR_NOMEM, -ENOMEM, "%u branes", cap);
			l->watches = p;
			l->watch_cap = cap;
		}
		w = &l->watches[l->watch_count++];
	}
	*w = (struct om_watch){.wd = -1, .shim_pidfd = -1, .told = told, .look = true};
	memcpy(w->name, name, strlen(name) + 1);
	int ret = om_state_dir(l, name, false, &dir, err);
	if (ret < 0)
		return ret;
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", dir);
	w->wd = inotify_add_watch(l->inotify, path, IN_MOVED_TO);
	if (w->wd < 0)
		return om_err_sys(err, OM_ERR_IO, -errno, "cannot watch %s", name);
	if (pidfd >= 0 && poll_add(l, pidfd, 1) == 0)
		w->shim_pidfd = OM_STEAL_FD(pidfd);
	/* A short workload may have ended before the watch was there. */
	(void)eventfd_write(l->kick, 1);
	return 0;
}

void om_watch_del(struct om_loader *l, const char *name)
{
	struct om_watch *w = find(l, name);
	if (!w)
		return;
	drop(l, w);
	*w = l->watches[--l->watch_count];
}

int om_loader_event_fd(const struct om_loader *l)
{
	return l->epoll;
}

/* WD -1: all of them, because the queue overflowed. */
static void mark(struct om_loader *l, int wd)
{
	for (uint32_t i = 0; i < l->watch_count; i++)
		if (wd < 0 || l->watches[i].wd == wd)
			l->watches[i].look = true;
}

/*
 * Only those that something happened to are looked at, or an apply on a node with many branes would
 * pay for reading the state of each.
 */
static void drain_inotify(struct om_loader *l)
{
	char buf[4096] __attribute__((aligned(8)));
	ssize_t n;

	while ((n = read(l->inotify, buf, sizeof(buf))) > 0) {
		const struct inotify_event *e;

		for (ssize_t at = 0; at < n; at += (ssize_t)(sizeof(*e) + e->len)) {
			e = (const void *)(buf + at);
			if (e->mask & IN_Q_OVERFLOW || (e->len && strcmp(e->name, "exit") == 0))
				mark(l, e->wd);
		}
	}
}

static void reap_shim(struct om_loader *l, struct om_watch *w)
{
	struct pollfd p = {w->shim_pidfd, POLLIN, 0};
	siginfo_t si;
	if (w->shim_pidfd < 0 || poll(&p, 1, 0) <= 0)
		return;
	/* ECHILD for a shim that an earlier agent started: somebody else reaps it. */
	(void)waitid(P_PIDFD, (id_t)w->shim_pidfd, &si, WEXITED | WNOHANG);
	(void)epoll_ctl(l->epoll, EPOLL_CTL_DEL, w->shim_pidfd, NULL);
	om_close_fd(&w->shim_pidfd);
	w->look = true;
}

int om_loader_poll(struct om_loader *l, void (*fn)(const struct om_brane_info *info, void *ctx),
		   void *ctx, struct om_err *err)
{
	eventfd_t kicks;
	(void)eventfd_read(l->kick, &kicks);
	drain_inotify(l);
	/* What fails stays in the list; the apply that finds the list full tries again and says so. */
	(void)!om_txn_collect(l, NULL);
	for (uint32_t i = 0; i < l->watch_count; i++) {
		struct om_watch *w = &l->watches[i];
		struct om_brane_info info;
		reap_shim(l, w);
		/* Nobody says anything of a workload whose shim is gone: it is always looked at. */
		if (w->told || (!w->look && w->shim_pidfd >= 0))
			continue;
		w->look = false;
		int ret = om_loader_get(l, w->name, &info, err);
		if (ret < 0 && err && err->id != OM_ERR_NOT_FOUND)
			return ret;
		if (ret < 0 || info.state != OM_BRANE_EXITED)
			continue;
		w->told = true;
		fn(&info, ctx);
	}
	return 0;
}
