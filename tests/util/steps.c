/* See steps.h. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <cmocka.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include "tests/util/steps.h"

#define WAIT_MS 20000

struct sink {
	struct steps *s;
	struct step *step; /* NULL: between requests */
};

static struct sink sink;

static void take(const void *data, size_t len)
{
	struct steps *s = sink.s;
	struct step *t = sink.step;
	struct om_decoded *d = &s->events[OM_MIN(t->events, STEPS_EVENTS_MAX - 1)];

	if (om_event_decode(data, len, d) < 0)
		fail_msg("an event of %zu bytes makes no sense", len);
	t->events++;
}

static int from_ring(void *ctx, void *data, size_t len)
{
	const struct om_event_head *h = data;

	(void)ctx;
	if (sink.step && len >= sizeof(*h) && h->brane == sink.s->info.brane)
		take(data, len);
	return 0;
}

void steps_open(struct steps *s, struct live *v)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};

	memset(s, 0, sizeof(*s));
	s->v = v;
	s->shim = -1;
	s->events = calloc(STEPS_EVENTS_MAX, sizeof(*s->events));
	assert_non_null(s->events);
	(void)snprintf(a.sun_path, sizeof(a.sun_path), "%.80s/shim.sock", v->run);
	s->server = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	assert_true(s->server >= 0);
	assert_int_equal(bind(s->server, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(s->server, 8), 0);
	if (!om_loader_bpf(v->l))
		return;
	om_bpf_drain_fds(om_loader_bpf(v->l), &s->fds);
	s->ring = ring_buffer__new(s->fds.events, from_ring, NULL, NULL);
	assert_non_null(s->ring);
}

void steps_close(struct steps *s)
{
	char path[128];

	ring_buffer__free(s->ring);
	free(s->events);
	close(s->server);
	(void)snprintf(path, sizeof(path), "%.80s/shim.sock", s->v->run);
	(void)unlink(path);
}

/* Takes over what the shim says: until then the workload waits in its call. */
static void serve(struct steps *s)
{
	struct pollfd p[2] = {{s->server, POLLIN, 0}, {s->shim, POLLIN, 0}};
	struct om_shim_msg m;

	if (poll(p, s->shim < 0 ? 1 : 2, 1) <= 0)
		return;
	if (p[0].revents) {
		int fd = accept4(s->server, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
		if (fd >= 0) {
			om_close_fd(&s->shim);
			s->shim = fd;
		}
		return;
	}
	ssize_t n = recv(s->shim, &m, sizeof(m), 0);
	if (n != (ssize_t)sizeof(m)) {
		om_close_fd(&s->shim);
		return;
	}
	if (m.type == OM_SHIM_COUNTED)
		fail_msg("the shim counted what it should have told");
	if (m.type == OM_SHIM_DENIED && sink.step)
		take(&m.u.denied, sizeof(m.u.denied));
	if (m.type == OM_SHIM_DENIED || m.type == OM_SHIM_EXITED) {
		struct om_shim_msg ack = {
			.version = OM_SHIM_VERSION, .type = OM_SHIM_ACK, .id = m.id};
		assert_int_equal(send(s->shim, &ack, sizeof(ack), MSG_NOSIGNAL),
				 (ssize_t)sizeof(ack));
	}
}

static size_t slurp(const char *path, char *buf, size_t size)
{
	OM_CLEANUP(om_close_fd) int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : read(fd, buf, size - 1);

	buf[n > 0 ? n : 0] = '\0';
	return n > 0 ? (size_t)n : 0;
}

/* "PID (sN=ERRNO) T ...": stopped after request N. */
static bool stopped(int pid, int n, int *err)
{
	char path[64], buf[512], want[32];

	(void)snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	if (!slurp(path, buf, sizeof(buf)))
		return false;
	(void)snprintf(want, sizeof(want), "(s%d=", n);
	const char *p = strstr(buf, want);
	if (!p || !strstr(p, ") T "))
		return false;
	*err = atoi(p + strlen(want));
	return true;
}

static bool find(struct steps *s, int *err)
{
	char path[512], buf[512], *save = NULL;

	if (s->pid)
		return stopped(s->pid, s->at, err);
	(void)snprintf(path, sizeof(path), "%s/%s/cgroup.procs", s->v->cgroup, s->name);
	(void)slurp(path, buf, sizeof(buf));
	for (char *w = strtok_r(buf, "\n", &save); w; w = strtok_r(NULL, "\n", &save))
		if (stopped(atoi(w), s->at, err)) {
			s->pid = atoi(w);
			return true;
		}
	return false;
}

static bool await(struct steps *s, int *err)
{
	for (int i = 0; i < WAIT_MS; i++) {
		serve(s);
		if (find(s, err))
			return true;
		if (s->pid && kill(s->pid, 0) < 0)
			return false;
	}
	return false;
}

static void read_stat(struct steps *s, struct om_stat *out)
{
	memset(out, 0, sizeof(*out));
	if (s->ring)
		(void)!bpf_map_lookup_elem(s->fds.stats, &s->info.brane, out);
}

int steps_start(struct steps *s, const struct om_apply *a, struct om_err *err)
{
	enum om_change change;
	int e = 0;

	sink = (struct sink){s, NULL};
	s->pid = 0;
	s->at = 0;
	int ret = om_txn_apply(s->v->l, a, &change, &s->info, err);
	if (ret < 0)
		return ret;
	(void)snprintf(s->name, sizeof(s->name), "%.63s", s->info.name);
	if (!await(s, &e))
		fail_msg("%s: the workload does not come to its first step", s->name);
	if (s->ring)
		assert_true(ring_buffer__consume(s->ring) >= 0);
	read_stat(s, &s->stat);
	return 0;
}

bool steps_next(struct steps *s, struct step *out)
{
	struct om_stat now;

	memset(out, 0, sizeof(*out));
	sink.step = out;
	s->at++;
	assert_int_equal(kill(s->pid, SIGCONT), 0);
	bool there = await(s, &out->err);
	if (s->ring)
		assert_true(ring_buffer__consume(s->ring) >= 0);
	sink.step = NULL;
	read_stat(s, &now);
	out->folded = (uint32_t)(now.folded - s->stat.folded);
	out->decided = now.seq - s->stat.seq;
	s->stat = now;
	return there;
}

void steps_end(struct steps *s)
{
	struct om_err err = {0};
	struct om_brane_info info;

	if (om_txn_delete(s->v->l, s->name, &info, &err) < 0)
		fail_msg("deleting %s: %s", s->name, err.text);
	om_close_fd(&s->shim);
}
