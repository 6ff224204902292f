/*
 * Denied system calls: from the kernel's listener to the drain role, and the kernel's answer.
 *
 * Comes in: seccomp notifications; acknowledgements. Goes out: OM_SHIM_DENIED and OM_SHIM_COUNTED;
 * EPERM to the task. Called by: the supervisor's loop. Never does: allow a call. The answer is always
 * a denial; what varies is only how it is recorded: one event, or one more in a count.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>
#include "agent/roles/shim/shim.h"

/* The kernel writes its own struct size; room for what later kernels append. */
union notif {
	struct seccomp_notif n;
	uint8_t room[512];
};

static void hang_up(struct shim *s, uint64_t now_ms)
{
	close(s->drain);
	s->drain = -1;
	s->retry_ms = now_ms + SHIM_RETRY_MS;
	s->gone_ms = now_ms;
	/* Not acknowledged is not recorded: offered again under the same id, which the drain knows. */
	for (int i = 0; i < SHIM_PENDING_MAX; i++)
		s->pending[i].sent = false;
	s->counted.sent_id = s->counted.sent_count = 0;
}

static bool send_msg(struct shim *s, struct om_shim_msg *m)
{
	m->version = OM_SHIM_VERSION;
	m->brane = s->birth.plan->brane;
	if (s->drain < 0)
		return false;
	ssize_t n = send(s->drain, m, sizeof(*m), MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n == (ssize_t)sizeof(*m))
		return true;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	hang_up(s, shim_ms(shim_now(CLOCK_MONOTONIC)));
	return false;
}

static void send_counted(struct shim *s)
{
	if (!s->counted.count || s->counted.sent_id)
		return;
	struct om_shim_msg m = {.type = OM_SHIM_COUNTED, .id = s->next_id};
	m.u.counted.count = s->counted.count;
	m.u.counted.first_ns = s->counted.first_ns;
	m.u.counted.last_ns = s->counted.last_ns;
	m.u.counted.nr = s->counted.nr;
	if (!send_msg(s, &m))
		return;
	s->counted.sent_id = s->next_id++;
	s->counted.sent_count = s->counted.count;
}

void shim_send_exit(struct shim *s)
{
	if (!s->ended || s->exit_acked)
		return;
	if (!s->exit_id)
		s->exit_id = s->next_id++;
	struct om_shim_msg m = {.type = OM_SHIM_EXITED, .id = s->exit_id};
	m.u.exited.cause = s->exit.cause;
	m.u.exited.code = s->exit.code;
	m.u.exited.time_ns = s->exit.time_ns;
	m.u.exited.run_ns = s->exit.run_ns;
	(void)send_msg(s, &m);
}

static void send_all(struct shim *s)
{
	for (int i = 0; i < SHIM_PENDING_MAX; i++) {
		struct shim_pending *p = &s->pending[i];
		if (p->used && !p->sent)
			p->sent = send_msg(s, &p->msg);
	}
	send_counted(s);
	shim_send_exit(s);
}

void shim_drain_connect(struct shim *s, uint64_t now_ms)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	if (s->drain >= 0 || now_ms < s->retry_ms)
		return;
	s->retry_ms = now_ms + SHIM_RETRY_MS;
	if (snprintf(a.sun_path, sizeof(a.sun_path), "%s/shim.sock", s->birth.plan->run_dir) >=
	    (int)sizeof(a.sun_path))
		return;
	OM_CLEANUP(om_close_fd)
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0)
		return;
	s->drain = OM_STEAL_FD(fd);
	struct om_shim_msg m = {.type = OM_SHIM_HELLO};
	memcpy(m.u.hello.name, s->birth.plan->name, sizeof(m.u.hello.name));
	memcpy(m.u.hello.instance, s->birth.plan->instance, sizeof(m.u.hello.instance));
	m.u.hello.shim_pid = (uint32_t)getpid();
	m.u.hello.init_pid = (uint32_t)s->init;
	if (send_msg(s, &m))
		send_all(s);
}

/* Fails when the task died meanwhile: then nobody waits for the answer. */
static void answer(struct shim *s, uint64_t cookie)
{
	struct seccomp_notif_resp r = {.id = cookie, .error = -EPERM};
	if (s->listener >= 0)
		(void)ioctl(s->listener, SECCOMP_IOCTL_NOTIF_SEND, &r);
}

static void count_one(struct shim *s, const struct om_event *e)
{
	if (!s->counted.count)
		s->counted.first_ns = e->head.time_ns;
	s->counted.count++;
	s->counted.last_ns = e->head.time_ns;
	s->counted.nr = e->u.sys.nr;
}

void shim_drain_read(struct shim *s)
{
	struct om_shim_msg m;
	ssize_t n = recv(s->drain, &m, sizeof(m), MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n != (ssize_t)sizeof(m) || m.version != OM_SHIM_VERSION || m.type != OM_SHIM_ACK) {
		hang_up(s, shim_ms(shim_now(CLOCK_MONOTONIC)));
		return;
	}
	if (s->ended && m.id == s->exit_id)
		s->exit_acked = true;
	if (s->counted.sent_id && m.id == s->counted.sent_id) {
		s->counted.count -= s->counted.sent_count;
		s->counted.first_ns = s->counted.last_ns;
		s->counted.sent_id = s->counted.sent_count = 0;
	}
	for (int i = 0; i < SHIM_PENDING_MAX; i++) {
		struct shim_pending *p = &s->pending[i];
		if (!p->used || p->msg.id != m.id)
			continue;
		p->used = false;
		answer(s, p->cookie);
	}
	send_all(s); /* what did not fit into the socket before */
}

/* Numbers and names of the task, for the report. Read before the id is checked to be still valid. */
static void describe(struct om_event_head *h, uint32_t tid)
{
	char path[64], buf[2048];
	h->tid = h->pid = tid;
	(void)snprintf(path, sizeof(path), "/proc/%u/status", tid);
	OM_CLEANUP(om_close_fd) int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, buf, sizeof(buf) - 1);
	if (n <= 0)
		return;
	buf[n] = '\0';
	const char *p = strstr(buf, "\nTgid:");
	if (p)
		h->pid = (uint32_t)strtoul(p + 6, NULL, 10);
	p = strstr(buf, "\nUid:");
	if (p)
		h->uid = (uint32_t)strtoul(p + 5, NULL, 10);
	/* "Name:\tx": escaped by the kernel, so a newline in it cannot pose as a field. */
	if (strncmp(buf, "Name:\t", 6) == 0)
		for (size_t i = 0; i < sizeof(h->comm) - 1 && buf[6 + i] && buf[6 + i] != '\n'; i++)
			h->comm[i] = buf[6 + i];
}

bool shim_has_room(const struct shim *s)
{
	for (int i = 0; i < SHIM_PENDING_MAX; i++)
		if (!s->pending[i].used)
			return true;
	return false;
}

void shim_notif_recv(struct shim *s, uint64_t now_ms)
{
	union notif req;
	struct shim_pending *p = NULL;

	for (int i = 0; i < SHIM_PENDING_MAX && !p; i++)
		if (!s->pending[i].used)
			p = &s->pending[i];
	if (!p)
		return;
	memset(&req, 0, sizeof(req));
	if (ioctl(s->listener, SECCOMP_IOCTL_NOTIF_RECV, &req) < 0) {
		if (errno == ENOENT || errno == EINTR)
			return; /* the task died */
		close(s->listener);
		s->listener = -1;
		return;
	}
	memset(p, 0, sizeof(*p));
	p->used = true;
	p->cookie = req.n.id;
	/*
	 * An agent that is gone is waited for once, not once a call: what is denied after that is counted at
	 * once, or a workload that keeps trying would stand still for as long as the agent is away.
	 */
	p->deadline_ms = (s->drain < 0 ? s->gone_ms : now_ms) + OM_NOTIFY_WAIT_MS;
	p->msg.type = OM_SHIM_DENIED;
	p->msg.id = s->next_id++;
	struct om_event *e = &p->msg.u.denied;
	e->head.version = OM_EVENT_VERSION;
	e->head.body = OM_BODY_SYS;
	e->head.where = OM_WHERE_SECCOMP;
	e->head.op = OM_OP_SYSCALL;
	e->head.brane = s->birth.plan->brane;
	e->head.policy = s->birth.plan->policy;
	e->head.seq = s->seq++;
	e->head.time_ns = shim_now(CLOCK_BOOTTIME);
	memcpy(e->head.hook, "seccomp", sizeof("seccomp"));
	describe(&e->head, req.n.pid);
	/* The pid may have been reused while we read: then those fields describe a stranger. */
	if (ioctl(s->listener, SECCOMP_IOCTL_NOTIF_ID_VALID, &p->cookie) < 0) {
		memset(e->head.comm, 0, sizeof(e->head.comm));
		e->head.uid = (uint32_t)-1;
	}
	e->u.sys.nr = (uint32_t)req.n.data.nr;
	e->u.sys.arch = req.n.data.arch;
	for (int i = 0; i < 4; i++)
		e->u.sys.args[i] = req.n.data.args[i];
	p->sent = send_msg(s, &p->msg);
}

void shim_notif_expire(struct shim *s, uint64_t now_ms)
{
	for (int i = 0; i < SHIM_PENDING_MAX; i++) {
		struct shim_pending *p = &s->pending[i];
		if (!p->used || now_ms < p->deadline_ms)
			continue;
		p->used = false;
		count_one(s, &p->msg.u.denied);
		answer(s, p->cookie);
	}
	send_counted(s);
}

int shim_timeout(const struct shim *s, uint64_t now_ms)
{
	uint64_t due = UINT64_MAX;
	for (int i = 0; i < SHIM_PENDING_MAX; i++)
		if (s->pending[i].used)
			due = OM_MIN(due, s->pending[i].deadline_ms);
	if (s->drain < 0)
		due = OM_MIN(due, s->retry_ms);
	if (s->ended)
		due = OM_MIN(due, now_ms + 50); /* has the loader removed the cgroup? */
	if (due == UINT64_MAX)
		return -1;
	return due <= now_ms ? 0 : (int)OM_MIN(due - now_ms, (uint64_t)60000);
}
