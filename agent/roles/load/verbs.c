/*
 * What the api role may ask of the load role: one table, one handler for each verb.
 *
 * Comes in: OM_MSG_LOAD. Goes out: OM_MSG_DONE, with what the verb adds before it. Called by: the event
 * loop. Never does: take a name that could be a path, or answer a malformed request at all (the api
 * role that sent it is broken or taken over: the set ends).
 */
#include <errno.h>
#include <stdio.h>
#include "agent/role/log.h"
#include "agent/roles/load/load.h"

struct verb {
	unsigned int fds_lo, fds_hi;
	bool named;
	int (*run)(struct load *l, struct om_msg *m, const struct om_wire_load *q,
		   struct om_wire_done *d, struct om_err *err);
};

void load_wire_brane(const struct load *l, struct om_wire_brane *w, const struct om_brane_info *i)
{
	memset(w, 0, sizeof(*w));
	w->cgid = i->cgid;
	w->started_ns = i->started_ns;
	w->brane = i->brane;
	w->policy = i->policy;
	w->state = i->state;
	w->layers = i->layers;
	w->mode = i->mode;
	w->on_full = i->on_full;
	w->restart = i->restart;
	w->shim_pid = i->shim_pid;
	w->init_pid = i->init_pid;
	w->restarts = i->restarts;
	w->exit_cause = i->exit_cause;
	w->exit_code = i->exit_code;
	memcpy(w->policy_id, i->policy_id, sizeof(w->policy_id));
	snprintf(w->name, sizeof(w->name), "%s", i->name);
	snprintf(w->instance, sizeof(w->instance), "%s", i->instance);
	if (l && w->state == OM_BRANE_EXITED) {
		const struct load_entry *e =
			load_entry((struct load *)(uintptr_t)l, i->name, false);

		/* It will run again: nobody who waits for its end should be told of one. */
		if (e && e->due_ms)
			w->state = OM_BRANE_LOADING;
	}
}

/* [a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?: names become directory names here. */
static bool name_ok(const char *s)
{
	size_t n = strlen(s);

	if (!n || n > OM_NAME_MAX || s[0] == '-' || s[n - 1] == '-')
		return false;
	return strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789-") == n;
}

static int send(const struct om_msg *m, enum om_msg_type type, const void *body, size_t len,
		struct om_err *err)
{
	return om_msg_send(FD_API, (uint16_t)type, m->head.id, body, len, NULL, 0, err);
}

static int v_host(struct load *l, struct om_msg *m, const struct om_wire_load *q,
		  struct om_wire_done *d, struct om_err *err)
{
	struct om_wire_host h = {.layers = l->layers, .strict = l->guard == OM_GUARD_STRICT};

	for (unsigned int i = 0; i < OM_ARRAY_LEN(h.why); i++)
		snprintf(h.why[i], sizeof(h.why[i]), "%s", om_loader_why(l->l, 1u << i));
	return send(m, OM_MSG_HOST, &h, sizeof(h), err);
}

struct listing {
	const struct load *l;
	const struct om_msg *m;
	struct om_err *err;
};

static int list_one(const struct om_brane_info *info, void *ctx)
{
	struct listing *s = ctx;
	struct om_wire_brane w;

	load_wire_brane(s->l, &w, info);
	return send(s->m, OM_MSG_BRANE, &w, sizeof(w), s->err);
}

static int v_list(struct load *l, struct om_msg *m, const struct om_wire_load *q,
		  struct om_wire_done *d, struct om_err *err)
{
	struct listing s = {l, m, err};

	return om_loader_each(l->l, list_one, &s, err);
}

static int get(struct load *l, const char *name, struct om_wire_done *d, struct om_err *err)
{
	struct om_brane_info info = {0};
	int ret = om_loader_get(l->l, name, &info, err);

	if (ret < 0)
		return ret;
	load_settle(l, &info);
	load_wire_brane(l, &d->brane, &info);
	return 0;
}

static int v_get(struct load *l, struct om_msg *m, const struct om_wire_load *q,
		 struct om_wire_done *d, struct om_err *err)
{
	return get(l, q->name, d, err);
}

static int v_doctor(struct load *l, struct om_msg *m, const struct om_wire_load *q,
		    struct om_wire_done *d, struct om_err *err)
{
	struct om_bpf_probe *probe = calloc(1, sizeof(*probe));
	int ret =
		probe ? om_bpf_probe(probe, err) : om_err_set(err, OM_ERR_NOMEM, -ENOMEM, "doctor");

	if (!ret)
		ret = v_host(l, m, q, d, err);
	for (uint32_t i = 0; !ret && i < OM_MIN(probe->count, OM_ARRAY_LEN(probe->hooks)); i++) {
		const struct om_bpf_hook *k = &probe->hooks[i];
		struct om_wire_hook h = {
			.layer = k->layer, .required = k->required != 0, .ok = !k->ret};

		memcpy(h.name, k->name, sizeof(h.name));
		memcpy(h.why, k->why, sizeof(h.why));
		ret = send(m, OM_MSG_HOOK, &h, sizeof(h), err);
	}
	free(probe);
	return ret;
}

static int v_counts(struct load *l, struct om_msg *m, const struct om_wire_load *q,
		    struct om_wire_done *d, struct om_err *err)
{
	struct om_wire_counts c = {0};
	int ret;

	memcpy(c.name, q->name, sizeof(c.name));
	ret = get(l, q->name, d, err);
	if (!ret)
		ret = load_counts(l, &c, err);
	return ret < 0 ? ret : send(m, OM_MSG_COUNTS, &c, sizeof(c), err);
}

static int v_apply(struct load *l, struct om_msg *m, const struct om_wire_load *q,
		   struct om_wire_done *d, struct om_err *err)
{
	OM_CLEANUP(om_map_done) struct om_map bundle = {0}, manifest = {0};
	struct load_apply a = {.stdio = {-1, -1, -1},
			       .peer = &q->peer,
			       .restart = q->flags & OM_LOAD_RESTART,
			       .dry_run = q->flags & OM_LOAD_DRY_RUN};
	struct om_brane_info info = {0};
	enum om_change change = 0;
	int ret;

	if (m->nfds != 2 && m->nfds != 5)
		return om_err_set(err, OM_ERR_ROLE_PROTOCOL, -EBADMSG, "apply with %u descriptors",
				  m->nfds);
	ret = om_memfd_map(m->fds[0], OM_BUNDLE_MAX, &bundle, err);
	if (!ret)
		ret = om_memfd_map(m->fds[1], OM_FRAME_MAX, &manifest, err);
	if (ret < 0)
		return ret;
	for (unsigned int i = 0; i < 3 && m->nfds == 5; i++)
		a.stdio[i] = m->fds[2 + i];
	a.bundle = bundle.data;
	a.bundle_len = bundle.len;
	a.manifest = manifest.data;
	a.manifest_len = manifest.len;
	ret = load_apply(l, &a, q->name, &change, &info, err);
	d->change = change;
	if (!ret)
		load_wire_brane(l, &d->brane, &info);
	return ret;
}

static int note(struct load *l, enum om_note what, const struct om_wire_load *q,
		const struct om_brane_info *info, struct om_err *err)
{
	struct om_wire_note n;

	load_note_init(&n, what, info, &q->peer);
	memcpy(n.text, q->text, sizeof(q->text));
	if (!info)
		memcpy(n.brane.name, q->name, sizeof(n.brane.name));
	return load_note_send(l, &n, false, err);
}

static int v_delete(struct load *l, struct om_msg *m, const struct om_wire_load *q,
		    struct om_wire_done *d, struct om_err *err)
{
	struct om_brane_info info = {0};
	int ret;

	load_entry_drop(l, q->name);
	ret = om_txn_delete(l->l, q->name, &info, err);
	if (ret < 0)
		return ret;
	load_wire_brane(NULL, &d->brane, &info);
	om_slog(OM_INFO, "deleted", "name", q->name, NULL);
	/* Whoever waits for its end has it now. */
	ret = om_msg_send(FD_API, OM_MSG_ENDED, 0, &d->brane, sizeof(d->brane), NULL, 0, err);
	return ret < 0 ? ret : note(l, OM_NOTE_DELETED, q, &info, err);
}

static int freeze(struct load *l, const struct om_wire_load *q, struct om_wire_done *d, bool on,
		  struct om_err *err)
{
	struct load_entry *e = load_entry(l, q->name, false);
	struct om_brane_info info = {0};
	int ret;

	if (!on && e && e->frozen_for_log && l->log_state == OM_LOG_STUCK)
		return om_err_set(err, OM_ERR_LOG_FULL, -ENOSPC,
				  "'%s' stays frozen until the log can be written", q->name);
	ret = om_loader_freeze(l->l, q->name, on, err);
	if (!ret)
		ret = om_loader_get(l->l, q->name, &info, err);
	if (ret < 0)
		return ret;
	load_wire_brane(l, &d->brane, &info);
	return note(l, on ? OM_NOTE_FROZEN : OM_NOTE_THAWED, q, &info, err);
}

static int v_freeze(struct load *l, struct om_msg *m, const struct om_wire_load *q,
		    struct om_wire_done *d, struct om_err *err)
{
	return freeze(l, q, d, true, err);
}

static int v_thaw(struct load *l, struct om_msg *m, const struct om_wire_load *q,
		  struct om_wire_done *d, struct om_err *err)
{
	return freeze(l, q, d, false, err);
}

static int v_restart(struct load *l, struct om_msg *m, const struct om_wire_load *q,
		     struct om_wire_done *d, struct om_err *err)
{
	struct om_brane_info info = {0};
	int ret = om_loader_get(l->l, q->name, &info, err);

	if (!ret)
		ret = note(l, OM_NOTE_RESTARTED, q, &info, err);
	if (!ret)
		ret = load_again(l, q->name, &q->peer, &info, err);
	if (ret < 0)
		return ret;
	load_entry_drop(l, q->name);
	load_wire_brane(l, &d->brane, &info);
	return 0;
}

static int v_open(struct load *l, struct om_msg *m, const struct om_wire_load *q,
		  struct om_wire_done *d, struct om_err *err)
{
	int ret;

	if (strcmp(q->file, "manifest") != 0 && strcmp(q->file, "stdout") != 0 &&
	    strcmp(q->file, "stderr") != 0)
		return om_err_set(err, OM_ERR_ROLE_PROTOCOL, -EBADMSG, "no such file to open");
	ret = get(l, q->name, d, err);
	if (!ret)
		ret = om_loader_open_file(l->l, q->name, q->file, &m->fds[0], err);
	m->nfds = !ret;
	return ret;
}

static int v_rejected(struct load *l, struct om_msg *m, const struct om_wire_load *q,
		      struct om_wire_done *d, struct om_err *err)
{
	return note(l, OM_NOTE_REJECTED, q, NULL, err);
}

static int v_stop(struct load *l, struct om_msg *m, const struct om_wire_load *q,
		  struct om_wire_done *d, struct om_err *err)
{
	l->stop_asked = true; /* told to the parent once the client has its answer */
	return note(l, OM_NOTE_STOP, q, NULL, err);
}

static int v_guard(struct load *l, struct om_msg *m, const struct om_wire_load *q,
		   struct om_wire_done *d, struct om_err *err)
{
	return load_guard_release(l, &q->peer, err);
}

static const struct verb verbs[OM_VERB_COUNT] = {
	[OM_VERB_HOST] = {0, 0, false, v_host},	     [OM_VERB_LIST] = {0, 0, false, v_list},
	[OM_VERB_GET] = {0, 0, true, v_get},	     [OM_VERB_DOCTOR] = {0, 0, false, v_doctor},
	[OM_VERB_OPEN] = {0, 0, true, v_open},	     [OM_VERB_COUNTS] = {0, 0, true, v_counts},
	[OM_VERB_APPLY] = {2, 5, true, v_apply},     [OM_VERB_DELETE] = {0, 0, true, v_delete},
	[OM_VERB_FREEZE] = {0, 0, true, v_freeze},   [OM_VERB_THAW] = {0, 0, true, v_thaw},
	[OM_VERB_RESTART] = {0, 0, true, v_restart}, [OM_VERB_REJECTED] = {0, 0, false, v_rejected},
	[OM_VERB_STOP] = {0, 0, false, v_stop},	     [OM_VERB_GUARD] = {0, 0, false, v_guard},
};

static const struct verb *check(const struct om_msg *m, const struct om_wire_load *q)
{
	const struct verb *v;

	if (m->head.type != OM_MSG_LOAD || m->head.len != sizeof(*q) || !m->head.id)
		return NULL;
	v = q->verb < OM_VERB_COUNT ? &verbs[q->verb] : NULL;
	if (!v || !v->run || m->nfds < v->fds_lo || m->nfds > v->fds_hi)
		return NULL;
	if (!om_msg_str_ok(q->name, sizeof(q->name)) || !om_msg_str_ok(q->file, sizeof(q->file)) ||
	    !om_msg_str_ok(q->text, sizeof(q->text)))
		return NULL;
	return v;
}

int load_from_api(struct load *l, struct om_msg *m, struct om_err *fatal)
{
	struct om_wire_load q;
	struct om_wire_done d = {0};
	struct om_err err = {0};
	const struct verb *v = check(m, (const struct om_wire_load *)m->body.bytes);
	int ret;

	if (!v)
		return om_err_set(fatal, OM_ERR_ROLE_PROTOCOL, -EBADMSG, "api: message %u",
				  m->head.type);
	memcpy(&q, m->body.bytes, sizeof(q));
	if (v->named && !name_ok(q.name))
		ret = om_err_set(&err, OM_ERR_NOT_FOUND, -ENOENT, "that is no brane's name");
	else
		ret = v->run(l, m, &q, &d, &err);
	if (err.id == OM_ERR_ROLE_PROTOCOL || err.id == OM_ERR_ROLE_DIED) {
		*fatal = err;
		return ret;
	}
	if (ret < 0)
		om_wire_err_put(&d.err, &err);
	return om_msg_send(FD_API, OM_MSG_DONE, m->head.id, &d, sizeof(d), m->fds,
			   q.verb == OM_VERB_OPEN ? m->nfds : 0, fatal);
}
