/*
 * omegad-drain: start, event loop, end.
 *
 * Comes in: options of omegad, four sockets. Goes out: exit code. Called by: omegad. Never does: wait for
 * the disk longer than one commit, or leave without closing the log when it is told to end.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <linux/capability.h>
#include <seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <time.h>
#include "agent/role/log.h"
#include "agent/role/sandbox.h"
#include "agent/roles/drain/drain.h"

#define COUNTS_MS 1000u
#define ABSENT_MS 60000u

static const int more[] = {
	SCMP_SYS(openat),
	SCMP_SYS(newfstatat),
	SCMP_SYS(statx),
	SCMP_SYS(fstatfs),
	SCMP_SYS(pread64),
	SCMP_SYS(pwrite64),
	SCMP_SYS(pwritev),
	SCMP_SYS(pwritev2),
	SCMP_SYS(fdatasync),
	SCMP_SYS(fsync),
	SCMP_SYS(fallocate),
	SCMP_SYS(renameat),
	SCMP_SYS(renameat2),
	SCMP_SYS(mkdirat),
	SCMP_SYS(unlinkat),
	SCMP_SYS(linkat),
	SCMP_SYS(getdents64),
	SCMP_SYS(flock),
	SCMP_SYS(fadvise64),
	SCMP_SYS(dup),
	SCMP_SYS(dup3),
	SCMP_SYS(bpf),
	SCMP_SYS(accept4),
	SCMP_SYS(getsockopt),
	SCMP_SYS(rename),
	SCMP_SYS(sync_file_range),
	SCMP_SYS(fchmod),
	SCMP_SYS(copy_file_range),
	SCMP_SYS(clock_nanosleep),
	SCMP_SYS(setsockopt),
	SCMP_SYS(nanosleep),
	-1,
};
static const struct om_role_desc desc = {
	.name = "drain",
	.uid = 0, /* owns the log; without capabilities that is all that 0 means */
	.caps = 1ull << CAP_DAC_READ_SEARCH, /* to see whether the host has an absent path */
	.syscalls = more,
	.no_processes = true,
};

static struct drain drain;

static int open_dir(const char *base, const char *name, int *fd, struct om_err *err)
{
	char path[OM_PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s", base, name);
	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return om_err_sys(err, OM_ERR_IO, -errno, "%s", path);
	*fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	return *fd < 0 ? om_err_sys(err, OM_ERR_IO, -errno, "%s", path) : 0;
}

static int watch(struct drain *d, int fd, struct om_err *err)
{
	struct epoll_event ev = {.events = EPOLLIN, .data.u64 = (uint32_t)fd};

	if (epoll_ctl(d->ep, EPOLL_CTL_ADD, fd, &ev) < 0)
		return om_err_sys(err, OM_ERR_IO, -errno, "epoll");
	return 0;
}

static int begin(struct drain *d, int argc, char **argv, struct om_err *err)
{
	static const struct option longs[] = {{"run-dir", required_argument, NULL, 'r'},
					      {"state-dir", required_argument, NULL, 's'},
					      {NULL, 0, NULL, 0}};
	const char *run = "/run/omega", *state = "/var/lib/omega";
	OM_CLEANUP(om_close_fd) int audit = -1;
	int c, ret;

	while ((c = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		if (c == 'r')
			run = optarg;
		else if (c == 's')
			state = optarg;
	}
	ret = open_dir(state, "audit", &audit, err);
	if (!ret)
		ret = open_dir(run, "drain", &d->state_dir, err);
	if (!ret)
		ret = drain_shims_init(d, err);
	if (!ret)
		ret = om_role_enter(&desc, FD_PARENT, err);
	if (ret < 0)
		return ret;
	d->ep = epoll_create1(EPOLL_CLOEXEC);
	if (d->ep < 0)
		return om_err_sys(err, OM_ERR_IO, -errno, "epoll");
	drain_counts_load(d);
	ret = om_signer_remote(FD_SIGN, &d->signer, err);
	if (!ret)
		ret = om_log_open(audit, d->signer, NULL, &d->log, err);
	if (!ret)
		ret = watch(d, FD_PARENT, err);
	if (!ret)
		ret = watch(d, FD_LOAD, err);
	return ret < 0 ? ret : om_msg_send(FD_PARENT, OM_MSG_READY, 0, NULL, 0, NULL, 0, err);
}

static int load_message(struct drain *d, struct om_err *err)
{
	struct om_msg m;
	bool was_ready = d->ready;
	int ret;

	/* Full: the load role waits, and its transactions time out, which is what must happen. */
	if (d->n_pending == DRAIN_PENDING)
		return 0;
	ret = om_msg_recv(FD_LOAD, 0, &m, err);
	if (ret == -ECONNRESET) {
		/*
		 * In an orderly stop the load role ends first; the parent's word comes next. If it died,
		 * the parent's word is SIGKILL.
		 */
		epoll_ctl(d->ep, EPOLL_CTL_DEL, FD_LOAD, NULL);
		d->load_gone = true;
		return 0;
	}
	if (ret <= 0)
		return ret;
	ret = drain_from_load(d, &m, err);
	om_msg_done(&m);
	/* Shims are heard from when their branes are known. */
	if (!ret && !was_ready && d->ready)
		ret = watch(d, FD_SHIM, err);
	return ret;
}

static uint64_t boot_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_BOOTTIME, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

/* Milliseconds until something is due. */
static int wait_ms(const struct drain *d)
{
	uint64_t now = drain_now_ms(), next = d->counted_ms + COUNTS_MS, due, us;
	int wait = next <= now ? 0 : (int)(next - now);

	if (d->stuck)
		return d->retry_ms <= now ? 0 : (int)(d->retry_ms - now);
	/* Somebody waits for each of these: a task in a denied call. */
	if (d->n_acks)
		return 0;
	due = om_log_deadline(d->log);
	us = boot_us();
	if (due <= us)
		return 0;
	return (int)OM_MIN((uint64_t)wait, (due - us) / 1000 + 1);
}

static int report_absent(struct drain *d, struct om_err *err)
{
	int ret = 0;

	d->absent_ms = drain_now_ms();
	for (uint32_t i = 0; i < OM_BRANES_MAX && !ret; i++)
		for (struct brane *b = d->buckets[i]; b && !ret; b = b->next)
			ret = drain_absent_report(d, b, err);
	return ret;
}

/* What time demands: counters, ends of streams, the commit. */
static int tick(struct drain *d, struct om_err *err)
{
	uint64_t now = drain_now_ms();
	int ret = 0;

	if (d->stuck)
		return d->retry_ms <= now ? drain_commit(d, err) : 0;
	if (now - d->counted_ms >= COUNTS_MS) {
		d->counted_ms = now;
		ret = drain_counts(d, err);
		if (!ret)
			ret = drain_branes_due(d, err);
	}
	if (!ret && now - d->absent_ms >= ABSENT_MS)
		ret = report_absent(d, err);
	if (!ret && (d->n_acks || om_log_deadline(d->log) <= boot_us()))
		ret = drain_commit(d, err);
	if (!ret)
		drain_ring_arm(d);
	return ret;
}

static int dispatch(struct drain *d, uint64_t what, struct om_err *err)
{
	if (what >> 32)
		return drain_shim_read(d, (uint32_t)what, err);
	if (what == FD_LOAD)
		return load_message(d, err);
	if (what == FD_SHIM) {
		drain_shim_accept(d);
		return 0;
	}
	d->ring_armed = false;
	return drain_ring(d, err);
}

static int serve(struct drain *d, struct om_err *err)
{
	for (;;) {
		struct epoll_event ev[64];
		int n = epoll_wait(d->ep, ev, OM_ARRAY_LEN(ev), wait_ms(d)), ret = 0;

		if (n < 0 && errno != EINTR)
			return om_err_sys(err, OM_ERR_IO, -errno, "epoll");
		for (int i = 0; i < n && (!ret || ret == -EAGAIN); i++) {
			if (ev[i].data.u64 == FD_PARENT)
				return 0;
			ret = dispatch(d, ev[i].data.u64, err);
		}
		if (!ret)
			ret = tick(d, err);
		/* -EAGAIN: the log is stuck. Nothing was lost; what was not taken is still there. */
		if (ret == -EAGAIN) {
			struct timespec nap = {0, 20000000};

			nanosleep(&nap, NULL);
			ret = tick(d, err);
		}
		if (ret < 0 && ret != -EAGAIN)
			return ret;
	}
}

/* The last words of the kernel and the load role, then log.close. */
static int end(struct drain *d, struct om_err *err)
{
	struct om_msg m;
	int ret = 0;

	while (!ret && !d->load_gone && om_msg_recv(FD_LOAD, 0, &m, err) == 1) {
		ret = drain_from_load(d, &m, err);
		om_msg_done(&m);
	}
	if (!ret)
		ret = drain_ring(d, err);
	if (!ret)
		ret = drain_counts(d, err);
	if (!ret)
		ret = report_absent(d, err);
	if (!ret)
		ret = drain_commit(d, err);
	if (ret < 0)
		om_slog_err(OM_FAIL, "last_commit", NULL, err);
	ret = om_log_close(d->log, err);
	d->log = NULL;
	om_signer_free(d->signer);
	return ret;
}

int main(int argc, char **argv)
{
	struct om_err err = {0};
	int ret;

	signal(SIGPIPE, SIG_IGN);
	om_slog_role(desc.name);
	ret = begin(&drain, argc, argv, &err);
	if (!ret)
		ret = serve(&drain, &err);
	if (ret < 0)
		om_slog_err(OM_FAIL, "role_failed", NULL, &err);
	if (ret < 0 && drain.log) {
		struct om_err late = {0};

		/* What is in memory goes to disk unsigned; the next start keeps it and says so. */
		if (om_log_close(drain.log, &late) < 0)
			om_slog_err(OM_FAIL, "log_close", NULL, &late);
	} else if (!ret) {
		ret = end(&drain, &err);
		if (ret < 0)
			om_slog_err(OM_FAIL, "log_close", NULL, &err);
	}
	return ret < 0 ? 1 : 0;
}
