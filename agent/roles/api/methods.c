/*
 * The methods of docs/control.md: one handler each.
 *
 * Comes in: parsed calls. Goes out: questions to the load role, replies. Called by: conn.c. Never does:
 * look at a call that om_vl_judge has not passed.
 */
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <omega/ir.h>
#include <omega/version.h>
#include "agent/roles/api/api.h"

#define LOG_CHUNK_MAX (512u * 1024u)

static int bad_answer(struct om_err *fatal, const struct om_msg *m)
{
	return om_err_set(fatal, OM_ERR_ROLE_PROTOCOL, -EBADMSG, "load: message %u", m->head.type);
}

int api_ask_load(struct api *a, struct conn *c, struct om_wire_load *q, const int *fds,
		 unsigned int nfds, api_step *step, struct om_err *err)
{
	q->peer = c->peer;
	if (c->name[0])
		memcpy(q->name, c->name, sizeof(q->name));
	c->wait_id = a->next_id++;
	c->step = step;
	return om_msg_send(FD_LOAD, OM_MSG_LOAD, c->wait_id, q, sizeof(*q), fds, nfds, err);
}

static int ask(struct api *a, struct conn *c, enum om_verb verb, api_step *step, struct om_err *err)
{
	struct om_wire_load q = {.verb = verb};

	return api_ask_load(a, c, &q, NULL, 0, step, err);
}

/* DONE with an error answers the call. 1: done and well; 0: answered with the error; else fatal. */
static int done(struct conn *c, struct om_msg *m, unsigned int nfds, const struct om_wire_done **d,
		struct om_err *fatal)
{
	struct om_err err = {0};

	*d = om_msg_body(m, OM_MSG_DONE, sizeof(**d), 0, nfds);
	if (!*d)
		return bad_answer(fatal, m);
	if (!om_wire_err_get(&(*d)->err, &err))
		return 1;
	api_error(c, &err, NULL);
	return 0;
}

/* --- Version, Doctor --- */

static void add_host(struct conn *c, const struct om_wire_host *h)
{
	static const char *const names[] = {"process", "kernel", "network"};
	json_t *why = json_object();

	for (unsigned int i = 0; i < OM_ARRAY_LEN(names); i++)
		if (h->why[i][0])
			json_object_set_new(
				why, names[i],
				api_json_text(h->why[i], strnlen(h->why[i], sizeof(h->why[i]))));
	json_object_set_new(c->acc, "layers", api_json_layers(h->layers));
	json_object_set_new(c->acc, "why", why);
	json_object_set_new(c->acc, "self_guard", json_string(h->strict ? "strict" : "brane"));
}

static void add_hook(struct conn *c, const struct om_wire_hook *h)
{
	json_t *list = json_object_get(c->acc, "hooks");
	const char *layer = h->layer == OM_LAYER_KERNEL	   ? "kernel"
			    : h->layer == OM_LAYER_NETWORK ? "network"
							   : "process";

	json_array_append_new(
		list, json_pack("{s:o, s:s, s:b, s:b, s:o}", "name",
				api_json_text(h->name, strnlen(h->name, sizeof(h->name))), "layer",
				layer, "required", (int)h->required, "ok", (int)h->ok, "why",
				api_json_text(h->why, strnlen(h->why, sizeof(h->why)))));
}

static int host_step(struct api *a, struct conn *c, struct om_msg *m, struct om_err *fatal)
{
	const struct om_wire_host *h = om_msg_body(m, OM_MSG_HOST, sizeof(*h), 0, 0);
	const struct om_wire_hook *k = om_msg_body(m, OM_MSG_HOOK, sizeof(*k), 0, 0);
	const struct om_wire_done *d;
	int ret;

	if (h) {
		add_host(c, h);
		return 0;
	}
	if (k) {
		add_hook(c, k);
		return 0;
	}
	ret = done(c, m, 0, &d, fatal);
	if (ret > 0) {
		api_reply(c, OM_STEAL_PTR(c->acc));
		ret = 0;
	}
	return ret;
}

static int m_version(struct api *a, struct conn *c, json_t *params, struct om_err *err)
{
	struct utsname u;

	if (uname(&u) < 0)
		return om_err_sys(err, OM_ERR_INTERNAL, -errno, "uname");
	c->acc = json_pack("{s:s, s:s}", "version", OM_VERSION, "kernel", u.release);
	return ask(a, c, OM_VERB_HOST, host_step, err);
}

static int m_doctor(struct api *a, struct conn *c, json_t *params, struct om_err *err)
{
	c->acc = json_pack("{s:[]}", "hooks");
	return ask(a, c, OM_VERB_DOCTOR, host_step, err);
}

/* --- List --- */

static int list_step(struct api *a, struct conn *c, struct om_msg *m, struct om_err *fatal)
{
	const struct om_wire_brane *b = om_msg_body(m, OM_MSG_BRANE, sizeof(*b), 0, 0);
	const struct om_wire_done *d;
	int ret;

	if (b) {
		json_array_append_new(c->acc, api_json_brane(b));
		return 0;
	}
	ret = done(c, m, 0, &d, fatal);
	if (ret > 0) {
		api_reply(c, json_pack("{s:o}", "branes", OM_STEAL_PTR(c->acc)));
		ret = 0;
	}
	return ret;
}

static int m_list(struct api *a, struct conn *c, json_t *params, struct om_err *err)
{
	c->acc = json_array();
	return ask(a, c, OM_VERB_LIST, list_step, err);
}

/* --- Delete, Freeze, Thaw, Restart: {brane} --- */

static int brane_step(struct api *a, struct conn *c, struct om_msg *m, struct om_err *fatal)
{
	const struct om_wire_done *d;
	int ret = done(c, m, 0, &d, fatal);

	if (ret > 0) {
		api_reply(c, json_pack("{s:o}", "brane", api_json_brane(&d->brane)));
		ret = 0;
	}
	return ret;
}

static int m_delete(struct api *a, struct conn *c, json_t *params, struct om_err *err)
{
	return ask(a, c, OM_VERB_DELETE, brane_step, err);
}

static int m_freeze(struct api *a, struct conn *c, json_t *params, struct om_err *err)
{
	return ask(a, c, OM_VERB_FREEZE, brane_step, err);
}

static int m_thaw(struct api *a, struct conn *c, json_t *params, struct om_err *err)
{
	return ask(a, c, OM_VERB_THAW, brane_step, err);
}

static int m_restart(struct api *a, struct conn *c, json_t *params, struct om_err *err)
{
	return ask(a, c, OM_VERB_RESTART, brane_step, err);
}

/* --- Wait --- */

static int wait_step(struct api *a, struct conn *c, struct om_msg *m, struct om_err *fatal)
{
	const struct om_wire_done *d;
	int ret = done(c, m, 0, &d, fatal);

	if (ret <= 0)
		return ret;
	if (d->brane.state == 3 /* exited */)
		api_reply(c, json_pack("{s:o}", "brane", api_json_brane(&d->brane)));
	else
		c->waiting =
			true; /* the load role tells of its end after this answer, never before */
	return 0;
}

static int m_wait(struct api *a, struct conn *c, json_t *params, struct om_err *err)
{
	return ask(a, c, OM_VERB_GET, wait_step, err);
}

int api_unasked(struct api *a, struct om_msg *m, struct om_err *fatal)
{
	const struct om_wire_brane *b = om_msg_body(m, OM_MSG_ENDED, sizeof(*b), 0, 0);

	if (!b)
		return bad_answer(fatal, m);
	for (unsigned int i = 0; i < OM_CLIENTS_MAX; i++) {
		struct conn *c = &a->conns[i];

		if (c->fd >= 0 && c->waiting && !strncmp(c->name, b->name, sizeof(b->name)))
			api_reply(c, json_pack("{s:o}", "brane", api_json_brane(b)));
	}
	return 0;
}

/* --- Describe --- */

/* Up to MAX bytes of FD from OFFSET; NULL without memory. *END: there was no more. */
static char *slurp(int fd, uint64_t offset, size_t max, size_t *len, bool *end)
{
	char *buf = malloc(max);

	*len = 0;
	while (buf && *len < max) {
		ssize_t n = pread(fd, buf + *len, max - *len, (off_t)(offset + *len));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		*len += (size_t)n;
	}
	*end = *len < max;
	return buf;
}

static int manifest_step(struct api *a, struct conn *c, struct om_msg *m, struct om_err *fatal)
{
	const struct om_wire_done *d = om_msg_body(m, OM_MSG_DONE, sizeof(*d), 0, 1);
	OM_CLEANUP(om_free_ptr) char *text = NULL;
	size_t len = 0;
	bool end;

	if (!d)
		return bad_answer(fatal, m);
	if (m->nfds)
		text = slurp(m->fds[0], 0, OM_MANIFEST_BYTES_MAX, &len, &end);
	json_object_set_new(c->acc, "manifest", api_json_text(text ? text : "", len));
	api_reply(c, OM_STEAL_PTR(c->acc));
	return 0;
}

static int describe_step(struct api *a, struct conn *c, struct om_msg *m, struct om_err *fatal)
{
	const struct om_wire_counts *n = om_msg_body(m, OM_MSG_COUNTS, sizeof(*n), 0, 0);
	struct om_wire_load q = {.verb = OM_VERB_OPEN, .file = "manifest"};
	const struct om_wire_done *d;
	int ret;

	if (n) {
		c->acc =
			json_pack("{s:{s:o, s:o, s:o, s:o}}", "counts", "denied",
				  api_json_u64(n->denied), "events", api_json_u64(n->events),
				  "folded", api_json_u64(n->folded), "lost", api_json_u64(n->lost));
		return 0;
	}
	ret = done(c, m, 0, &d, fatal);
	if (ret <= 0)
		return ret;
	json_object_set_new(c->acc, "brane", api_json_brane(&d->brane));
	return api_ask_load(a, c, &q, NULL, 0, manifest_step, fatal);
}

static int m_describe(struct api *a, struct conn *c, json_t *params, struct om_err *err)
{
	return ask(a, c, OM_VERB_COUNTS, describe_step, err);
}

/* --- Logs --- */

static int logs_step(struct api *a, struct conn *c, struct om_msg *m, struct om_err *fatal)
{
	OM_CLEANUP(om_free_ptr) char *text = NULL;
	const struct om_wire_done *d;
	size_t len;
	bool end;
	int ret = done(c, m, 1, &d, fatal);

	if (ret <= 0)
		return ret;
	if (!m->nfds)
		return bad_answer(fatal, m);
	text = slurp(m->fds[0], c->offset, LOG_CHUNK_MAX, &len, &end);
	if (!text) {
		struct om_err err;

		om_err_set(&err, OM_ERR_NOMEM, -ENOMEM, "logs");
		api_error(c, &err, NULL);
		return 0;
	}
	/* Only the end of the workload ends its output. */
	api_reply(c, json_pack("{s:o, s:o, s:b}", "data", api_json_bytes(text, len), "next",
			       api_json_u64(c->offset + len), "end", end && d->brane.state == 3));
	return 0;
}

static int m_logs(struct api *a, struct conn *c, json_t *params, struct om_err *err)
{
	struct om_wire_load q = {.verb = OM_VERB_OPEN};
	const char *stream = json_string_value(json_object_get(params, "stream"));
	const char *offset = json_string_value(json_object_get(params, "offset"));
	char *end = NULL;

	if (!stream)
		stream = "stdout";
	if (strcmp(stream, "stdout") != 0 && strcmp(stream, "stderr") != 0)
		return om_err_set(err, OM_ERR_CTL_PARAMETER, -EINVAL,
				  "stream is \"stdout\" or \"stderr\"");
	errno = 0;
	c->offset = offset ? strtoull(offset, &end, 10) : 0;
	if (errno || (offset && (*offset < '0' || *offset > '9' || *end)) ||
	    c->offset > INT64_MAX / 2)
		return om_err_set(err, OM_ERR_CTL_PARAMETER, -EINVAL,
				  "offset is a decimal number in a string");
	memcpy(q.file, stream, strlen(stream) + 1);
	return api_ask_load(a, c, &q, NULL, 0, logs_step, err);
}

/* --- Stop --- */

static int stop_step(struct api *a, struct conn *c, struct om_msg *m, struct om_err *fatal)
{
	const struct om_wire_done *d;
	int ret = done(c, m, 0, &d, fatal);

	if (ret > 0) {
		api_reply(c, json_object());
		ret = 0;
	}
	return ret;
}

static int m_stop(struct api *a, struct conn *c, json_t *params, struct om_err *err)
{
	return ask(a, c, OM_VERB_STOP, stop_step, err);
}

static int m_guard_release(struct api *a, struct conn *c, json_t *params, struct om_err *err)
{
	return ask(a, c, OM_VERB_GUARD, stop_step, err);
}

static int (*const handlers[OM_METHOD_COUNT])(struct api *a, struct conn *c, json_t *params,
					      struct om_err *err) = {
	[OM_METHOD_VERSION] = m_version,
	[OM_METHOD_LIST] = m_list,
	[OM_METHOD_DESCRIBE] = m_describe,
	[OM_METHOD_LOGS] = m_logs,
	[OM_METHOD_WAIT] = m_wait,
	[OM_METHOD_DOCTOR] = m_doctor,
	[OM_METHOD_APPLY] = api_apply,
	[OM_METHOD_DELETE] = m_delete,
	[OM_METHOD_FREEZE] = m_freeze,
	[OM_METHOD_THAW] = m_thaw,
	[OM_METHOD_RESTART] = m_restart,
	[OM_METHOD_STOP] = m_stop,
	[OM_METHOD_GUARD_RELEASE] = m_guard_release,
};

void api_dispatch(struct api *a, struct conn *c, const struct om_vl_call *call)
{
	struct om_err err = {0};
	const char *name;
	enum om_method method;
	int ret = om_vl_judge(call, c->priv, &method, &err);

	if (ret < 0) {
		api_error(c, &err, NULL);
		return;
	}
	name = json_string_value(json_object_get(call->params, "name"));
	if (name && strlen(name) > OM_NAME_MAX) {
		om_err_set(&err, OM_ERR_NOT_FOUND, -ENOENT, "that is no brane's name");
		api_error(c, &err, NULL);
		return;
	}
	if (name)
		memcpy(c->name, name, strlen(name) + 1);
	ret = handlers[method](a, c, call->params, &err);
	if (ret < 0)
		api_error(c, &err, NULL);
}
