/*
 * From the plan to a committed execve: forks the builder and follows its reports.
 *
 * Comes in: struct om_birth. Goes out: init's pidfd, the seccomp listener, struct om_ready. Called by:
 * main.c, once. Never does: leave a process of the brane behind when it fails.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "agent/roles/shim/shim.h"

struct progress {
	int64_t listener; /* its number in init, -1 */
	struct om_report failed;
};

static int pipes(struct shim *s)
{
	int report[2], go[2], status[2];
	uint32_t want = s->birth.bundle.meta->stdio;

	if (pipe2(report, O_CLOEXEC) < 0 || pipe2(go, O_CLOEXEC) < 0 ||
	    pipe2(status, O_CLOEXEC) < 0)
		return -errno;
	s->report = report[0];
	s->birth.report = report[1];
	s->go = go[1];
	s->birth.go = go[0];
	s->status = status[0];
	s->birth.status = status[1];
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null < 0)
		return -errno;
	for (int i = 0; i < 3; i++) {
		s->birth.stdio[i] = null;
		if (!(want & (1u << i)))
			continue;
		if (s->birth.plan->stdio_given & (1u << i)) {
			s->birth.stdio[i] = OM_FD_STDIN + i;
		} else if (i > 0) {
			int p[2];
			if (pipe2(p, O_CLOEXEC) < 0)
				return -errno;
			s->out[i - 1].pipe = p[0];
			s->birth.stdio[i] = p[1];
			int ret = shim_output_open(&s->out[i - 1]);
			if (ret < 0)
				return ret;
		}
	}
	return 0;
}

static void close_child_ends(struct shim *s)
{
	int null = -1;
	close(s->birth.report);
	close(s->birth.go);
	close(s->birth.status);
	for (int i = 0; i < 3; i++) {
		int fd = s->birth.stdio[i];
		if (fd != null)
			close(fd);
		if (i == 0)
			null = fd;
	}
	/* Mounts that a shim keeps open would keep the host's file systems busy. */
	close_range(OM_FD_STDIN, OM_FD_MOUNTS + s->birth.plan->mounts - 1, 0);
}

static void take_listener(struct shim *s, struct progress *p)
{
	if (p->listener < 0 || s->init_pidfd < 0 || s->listener >= 0)
		return;
	s->listener = pidfd_getfd(s->init_pidfd, (int)p->listener, 0);
	if (s->listener >= 0 && write(s->go, "", 1) == 1)
		return;
	p->failed.kind = OM_REPORT_FAILED;
	p->failed.stage = OM_STAGE_LISTENER;
	p->failed.err = errno;
	shim_cgroup_kill();
}

static void follow(struct shim *s, struct progress *p)
{
	struct om_report r;
	for (;;) {
		ssize_t n = read(s->report, &r, sizeof(r));
		if (n < 0 && errno == EINTR)
			continue;
		if (n != (ssize_t)sizeof(r))
			return; /* the end: execve closed the last writer, or all of them died */
		switch (r.kind) {
		case OM_REPORT_BORN:
			s->init = (pid_t)r.value;
			s->init_pidfd = pidfd_open(s->init, 0);
			break;
		case OM_REPORT_LISTENER:
			p->listener = r.value;
			break;
		default:
			if (!p->failed.kind)
				p->failed = r;
			break;
		}
		take_listener(s, p);
	}
}

void shim_start(struct shim *s, struct om_ready *r)
{
	struct progress p = {.listener = -1};
	uint32_t n = 0;

	r->version = OM_SHIM_VERSION;
	r->shim_pid = getpid();
	r->stage = OM_STAGE_FORK;
	int ret = pipes(s);
	if (ret < 0) {
		r->err = -ret;
		return;
	}
	pid_t builder = fork();
	if (builder == 0)
		_exit(om_builder_run(&s->birth) < 0 ? 1 : 0);
	r->err = errno;
	if (builder < 0)
		return;
	close_child_ends(s);
	follow(s, &p);
	while (waitpid(builder, NULL, 0) < 0 && errno == EINTR)
		;
	(void)om_bundle_section(&s->birth.bundle, OM_SEC_SECCOMP, &n);
	bool filter = n > 0 && s->birth.plan->layers & OM_LAYER_PROCESS;
	if (!p.failed.kind && (s->init_pidfd < 0 || (filter && s->listener < 0))) {
		p.failed.kind = OM_REPORT_FAILED;
		p.failed.stage = OM_STAGE_BIRTH; /* died without a word, perhaps of its limits */
		p.failed.err = ECHILD;
	}
	if (p.failed.kind) {
		shim_cgroup_kill();
		r->stage = p.failed.stage;
		r->err = p.failed.err;
		r->index = p.failed.index;
		return;
	}
	s->started_mono = shim_now(CLOCK_MONOTONIC);
	s->started_real = shim_now(CLOCK_REALTIME);
	r->stage = OM_STAGE_NONE;
	r->err = 0;
	r->init_pid = s->init;
	r->started_ns = s->started_real;
}
