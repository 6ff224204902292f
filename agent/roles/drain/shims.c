/*
 * The shims: denied system calls and ends of workloads.
 *
 * Comes in: struct om_shim_msg. Goes out: records; an OM_SHIM_ACK for each once it is durable. Called by:
 * the event loop. Never does: believe a connection that is not root's, or a HELLO whose brane the load
 * role has not announced.
 */
#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include "agent/role/log.h"
#include "agent/roles/drain/drain.h"

#define READ_AT_ONCE 64u

int drain_shims_init(struct drain *d, struct om_err *err)
{
	d->shims = calloc(DRAIN_SHIMS, sizeof(*d->shims));
	if (!d->shims)
		return om_err_set(err, OM_ERR_NOMEM, -ENOMEM, "shims");
	for (uint32_t i = 0; i < DRAIN_SHIMS; i++)
		d->shims[i].fd = -1;
	return 0;
}

void drain_shim_accept(struct drain *d)
{
	OM_CLEANUP(om_close_fd) int fd = accept4(FD_SHIM, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct epoll_event ev = {.events = EPOLLIN};
	struct ucred peer;
	socklen_t len = sizeof(peer);

	if (fd < 0 || getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0)
		return;
	/* A brane's own root could otherwise flood the log with denials that never happened. */
	if (peer.uid != 0)
		return;
	for (uint32_t i = 0; i < DRAIN_SHIMS; i++) {
		if (d->shims[i].fd >= 0)
			continue;
		ev.data.u64 = (uint64_t)1 << 32 | i;
		if (epoll_ctl(d->ep, EPOLL_CTL_ADD, fd, &ev) < 0)
			return;
		d->shims[i] = (struct shim){.fd = OM_STEAL_FD(fd), .pid = (uint32_t)peer.pid};
		return;
	}
}

static void hang_up(struct drain *d, uint32_t index, const char *why)
{
	struct shim *s = &d->shims[index];
	uint32_t n = 0;

	if (why)
		om_slog(OM_WARN, "shim_refused", "reason", why, "pid", om_slog_num(s->pid), NULL);
	om_close_fd(&s->fd);
	s->brane = 0;
	/* A later connection in this place must not get the acknowledgements of this one. */
	for (uint32_t i = 0; i < d->n_acks; i++)
		if (d->acks[i].shim != index)
			d->acks[n++] = d->acks[i];
	d->n_acks = n;
}

static bool hello(struct drain *d, struct shim *s, const struct om_shim_msg *m)
{
	struct brane *b = drain_brane(d, m->brane);

	if (!b || strncmp(m->u.hello.name, b->name, sizeof(m->u.hello.name)) != 0 ||
	    strncmp(m->u.hello.instance, b->instance, sizeof(m->u.hello.instance)) != 0)
		return false;
	/* The kernel says who speaks; the message must agree. */
	if (m->u.hello.shim_pid != s->pid)
		return false;
	s->brane = m->brane;
	if (b->shim_pid != s->pid) {
		b->shim_pid = s->pid;
		b->shim_id = 0;
	}
	return true;
}

static int counted(struct drain *d, struct brane *b, const struct om_shim_msg *m,
		   struct om_err *err)
{
	const struct om_op_row *row = om_op_row(OM_OP_SYSCALL);
	struct om_data data;
	int ret;

	om_data_init(&data);
	om_data_word(&data, "act", "deny");
	om_data_word(&data, "layer", om_event_layer(OM_WHERE_SECCOMP));
	om_data_word(&data, "op", row->op);
	om_data_word(&data, "rule", row->rule);
	om_data_id(&data, "count", m->u.counted.count);
	om_data_int(&data, "last_nr", m->u.counted.nr);
	om_data_word(&data, "why", "nobody-listened");
	om_data_int(&data, "t", (int64_t)(m->u.counted.first_ns / 1000));
	om_data_int(&data, "until", (int64_t)(m->u.counted.last_ns / 1000));
	ret = drain_put(d, b, row->kind, &data, 0, err);
	if (!ret)
		b->denied += m->u.counted.count;
	return ret;
}

static int denied(struct drain *d, struct brane *b, const struct om_shim_msg *m, struct om_err *err)
{
	static struct om_decoded e;
	struct om_event ev = m->u.denied;
	int ret;

	if (om_event_decode(&ev, sizeof(ev), &e) < 0 || e.head.op != OM_OP_SYSCALL)
		return -EBADMSG;
	ret = drain_denial(d, b, &e, false, err);
	if (!ret)
		b->denied++;
	return ret;
}

static int exited(struct drain *d, struct brane *b, uint32_t cause, int32_t code, uint64_t run_ns,
		  struct om_err *err)
{
	int ret = drain_exit(d, b, cause, code, run_ns, err);

	/* Its last word: what the ring still holds of this life is taken first. */
	if (!ret)
		ret = drain_ring(d, err);
	if (!ret)
		b->close_ms = drain_now_ms();
	return ret;
}

int drain_shim_early_exit(struct drain *d, struct brane *b, struct om_err *err)
{
	int ret;

	if (!b->early_exit.here)
		return 0;
	ret = exited(d, b, b->early_exit.cause, b->early_exit.code, b->early_exit.run_ns, err);
	if (ret < 0)
		return ret;
	b->early_exit.here = false;
	if (d->shims[b->early_exit.shim].brane == b->num && d->n_acks < DRAIN_ACKS)
		d->acks[d->n_acks++] =
			(struct ack){.shim = b->early_exit.shim, .id = b->early_exit.id};
	return 0;
}

/* 0: taken; 1: taken, to be acknowledged later; -EBADMSG: hang up; else as drain_put. */
static int take(struct drain *d, struct brane *b, uint32_t index, const struct om_shim_msg *m,
		struct om_err *err)
{
	switch (m->type) {
	case OM_SHIM_DENIED:
		return denied(d, b, m, err);
	case OM_SHIM_COUNTED:
		return counted(d, b, m, err);
	case OM_SHIM_EXITED:
		/*
		 * A workload can end before the load role's transaction has: its shim waits, so that
		 * the transaction finds it alive and the log has the start before the end.
		 */
		if (!b->started && b->open) {
			b->early_exit.here = true;
			b->early_exit.cause = m->u.exited.cause;
			b->early_exit.code = m->u.exited.code;
			b->early_exit.run_ns = m->u.exited.run_ns;
			b->early_exit.id = m->id;
			b->early_exit.shim = index;
			return 1;
		}
		return exited(d, b, m->u.exited.cause, m->u.exited.code, m->u.exited.run_ns, err);
	default:
		return -EBADMSG;
	}
}

/* 1: go on reading; 0: stop for now; negative: end the role. */
static int one(struct drain *d, uint32_t index, struct om_err *err)
{
	struct shim *s = &d->shims[index];
	struct om_shim_msg m;
	struct brane *b;
	/* Looked at first, taken off the queue only when the record was: -EAGAIN leaves it there. */
	ssize_t n = recv(s->fd, &m, sizeof(m), MSG_DONTWAIT | MSG_PEEK | MSG_TRUNC);
	int ret = 0;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n != (ssize_t)sizeof(m) || m.version != OM_SHIM_VERSION) {
		hang_up(d, index, n > 0 ? "malformed message" : NULL);
		return 0;
	}
	b = drain_brane(d, s->brane);
	if (!s->brane || m.type == OM_SHIM_HELLO) {
		if (m.type != OM_SHIM_HELLO || s->brane || !hello(d, s, &m)) {
			hang_up(d, index, "unknown brane");
			return 0;
		}
		return recv(s->fd, &m, sizeof(m), MSG_DONTWAIT) == (ssize_t)sizeof(m);
	}
	if (!b || m.brane != s->brane || d->n_acks == DRAIN_ACKS) {
		if (d->n_acks == DRAIN_ACKS)
			return 0;
		hang_up(d, index, "another brane");
		return 0;
	}
	/* Offered again after a lost connection: it is in the log already. */
	if (m.id > b->shim_id || !b->shim_id)
		ret = take(d, b, index, &m, err);
	if (ret == -EBADMSG) {
		hang_up(d, index, "malformed message");
		return 0;
	}
	if (ret < 0)
		return ret;
	b->shim_id = OM_MAX(b->shim_id, m.id);
	if (!ret)
		d->acks[d->n_acks++] = (struct ack){.shim = index, .id = m.id};
	return recv(s->fd, &m, sizeof(m), MSG_DONTWAIT) == (ssize_t)sizeof(m);
}

int drain_shim_read(struct drain *d, uint32_t index, struct om_err *err)
{
	int ret = 1;

	if (index >= DRAIN_SHIMS || d->shims[index].fd < 0 || d->stuck)
		return d->stuck ? -EAGAIN : 0;
	for (unsigned int i = 0; i < READ_AT_ONCE && ret > 0; i++)
		ret = d->shims[index].fd < 0 ? 0 : one(d, index, err);
	return ret < 0 ? ret : 0;
}

void drain_shims_ack(struct drain *d)
{
	struct om_shim_msg m = {.version = OM_SHIM_VERSION, .type = OM_SHIM_ACK};

	for (uint32_t i = 0; i < d->n_acks; i++) {
		struct shim *s = &d->shims[d->acks[i].shim];

		m.brane = s->brane;
		m.id = d->acks[i].id;
		/* A shim that does not read loses nothing: it offers the message again. */
		if (s->fd >= 0 && send(s->fd, &m, sizeof(m), MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
			om_slog(OM_WARN, "shim_deaf", "pid", om_slog_num(s->pid), NULL);
	}
	d->n_acks = 0;
}
