/*
 * Decoding of one event; the contract is in events.h.
 *
 * Comes in: bytes from the kernel or a shim. Goes out: struct om_decoded. Called by: the drain role, the
 * fuzzer. Never does: read past LEN or write past OM_OBJ_MAX.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/audit.h>
#include <seccomp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include "agent/events/events.h"

static void put(struct om_decoded *d, const char *p, size_t n)
{
	n = OM_MIN(n, sizeof(d->obj) - d->obj_len);
	memcpy(d->obj + d->obj_len, p, n);
	d->obj_len += n;
}

static void put_text(struct om_decoded *d, const char *text)
{
	put(d, text, strlen(text));
}

/* "passwd/etc/" to "/etc/passwd": each component ends with '/', the leaf comes first. */
static void put_reversed(struct om_decoded *d, const char *p, size_t len)
{
	size_t end = len;

	if (end && p[end - 1] == '/')
		end--;
	/* What the walk did not reach: the reader must not take the rest for a path from the root. */
	if (d->cut)
		put_text(d, "...");
	while (end) {
		size_t from = end;

		while (from && p[from - 1] != '/')
			from--;
		/* The root's own name is empty or "/"; neither is a component. */
		if (from < end) {
			put(d, "/", 1);
			put(d, p + from, end - from);
		}
		end = from ? from - 1 : 0;
	}
	if (!d->obj_len)
		put(d, "/", 1);
}

static int decode_path(const void *data, size_t len, struct om_decoded *d)
{
	const struct om_event_path *e = data;
	size_t n;

	if (len < offsetof(struct om_event_path, path) || len > sizeof(*e) ||
	    e->path_len > len - offsetof(struct om_event_path, path))
		return -EBADMSG;
	/* A path that is not there has no inode: the field carries the hash of its name. */
	if (d->head.op == OM_OP_FILE_ABSENT) {
		d->hash = e->ino;
		if (d->head.need & OM_MAY_CREATE)
			d->row = om_op_row(OM_OP_FILE_CREATE);
	} else {
		d->ino = e->ino;
		d->dev = e->dev;
	}
	/* A NUL ends it, whatever the length says: no path holds one. */
	n = strnlen(e->path, e->path_len);
	if (d->head.flags & OM_EVENT_ABSOLUTE) {
		d->as_given = true;
		put(d, e->path, n);
	} else {
		put_reversed(d, e->path, n);
	}
	return 0;
}

static int decode_content(const void *data, size_t len, struct om_decoded *d)
{
	static const char *const words[] = {
		[OM_CONTENT_OTHER] = "other-content",
		[OM_CONTENT_WRITERS] = "open-for-writing",
		[OM_CONTENT_UNREAD] = "content-unknown",
	};
	const struct om_event_content *e = data;

	if (len < sizeof(*e) || e->why >= OM_ARRAY_LEN(words) || !words[e->why])
		return -EBADMSG;
	d->why = words[e->why];
	d->grant = e->grant;
	d->has_sha256 = e->why != OM_CONTENT_UNREAD;
	memcpy(d->sha256, e->sha256, sizeof(d->sha256));
	return decode_path(data, sizeof(e->path), d);
}

static const char *proto_name(const struct om_event_net *n)
{
	if (n->proto == IPPROTO_TCP || (!n->proto && n->type == SOCK_STREAM))
		return "tcp";
	if (n->proto == IPPROTO_UDP || (!n->proto && n->type == SOCK_DGRAM))
		return "udp";
	return NULL;
}

static void decode_net(const struct om_event_net *n, struct om_decoded *d)
{
	static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
	char addr[INET6_ADDRSTRLEN] = "", text[INET6_ADDRSTRLEN + 64];

	d->proto = proto_name(n);
	if (n->family == AF_UNIX && d->head.op == OM_OP_NET_UNIX && n->addr[0]) {
		/* An abstract name, as far as the record holds it. */
		snprintf(text, sizeof(text), "@%.*s", (int)sizeof(n->addr), (const char *)n->addr);
	} else if (d->head.op == OM_OP_NET_SOCKET ||
		   (n->family != AF_INET && n->family != AF_INET6)) {
		snprintf(text, sizeof(text), "family %u type %u protocol %u", n->family, n->type,
			 n->proto);
	} else if (!memcmp(n->addr, mapped, sizeof(mapped))) {
		inet_ntop(AF_INET, n->addr + sizeof(mapped), addr, sizeof(addr));
		snprintf(text, sizeof(text), "%s:%u", addr, n->port);
	} else {
		inet_ntop(AF_INET6, n->addr, addr, sizeof(addr));
		snprintf(text, sizeof(text), "[%s]:%u", addr, n->port);
	}
	put_text(d, text);
}

static void decode_sys(const struct om_event_sys *s, struct om_decoded *d)
{
	char text[48], *name = NULL;

	/* Another architecture's numbers mean other calls: they are not given our names. */
	if (s->arch == AUDIT_ARCH_X86_64)
		name = seccomp_syscall_resolve_num_arch(SCMP_ARCH_X86_64, (int)s->nr);
	if (name) {
		put_text(d, name);
		free(name);
	} else {
		snprintf(text, sizeof(text), "syscall %u arch %08x", s->nr, s->arch);
		put_text(d, text);
	}
	d->n_args = OM_ARRAY_LEN(s->args);
	memcpy(d->args, s->args, sizeof(d->args));
}

static void decode_task(const struct om_event_task *t, struct om_decoded *d)
{
	char text[64];

	snprintf(text, sizeof(text), "pid %u arg %u ", t->pid, t->arg);
	put_text(d, text);
	put(d, t->comm, strnlen(t->comm, sizeof(t->comm)));
}

int om_event_decode(const void *data, size_t len, struct om_decoded *d)
{
	const struct om_event *e = data;

	if (len < sizeof(d->head))
		return -EBADMSG;
	memcpy(&d->head, data, sizeof(d->head));
	if (d->head.version != OM_EVENT_VERSION)
		return -EBADMSG;
	d->row = om_op_row(d->head.op);
	d->layer = om_event_layer(d->head.where);
	d->allowed = d->head.flags & OM_EVENT_ALLOWED;
	d->cut = d->head.flags & OM_EVENT_TRUNCATED;
	d->as_given = false;
	d->obj_len = 0;
	d->n_args = 0;
	d->ino = 0;
	d->hash = 0;
	d->dev = 0;
	d->proto = NULL;
	d->why = NULL;
	d->has_sha256 = false;
	if (d->head.body == OM_BODY_CONTENT)
		return decode_content(data, len, d);
	if (d->head.body == OM_BODY_PATH)
		return decode_path(data, len, d);
	if (len < sizeof(*e))
		return -EBADMSG;
	switch (d->head.body) {
	case OM_BODY_NONE:
		return 0;
	case OM_BODY_NET:
		decode_net(&e->u.net, d);
		return 0;
	case OM_BODY_SYS:
		decode_sys(&e->u.sys, d);
		return 0;
	case OM_BODY_TASK:
		decode_task(&e->u.task, d);
		return 0;
	default:
		return -EBADMSG;
	}
}
