/*
 * Apply: manifest to the compile role, bundles to the load role one by one, results to the client.
 *
 * Comes in: the call. Goes out: findings, or results. Called by: methods.c. Never does: look into the
 * manifest or into a bundle, or log a byte of either.
 */
#include <errno.h>
#include <stdio.h>
#include "agent/roles/api/api.h"

struct apply {
	char *file;
	int manifest;
	int stdio[API_FDS];
	bool has_stdio;
	uint32_t flags; /* OM_LOAD_* */
	uint32_t count, next;
	json_t *findings, *results;
	struct {
		char name[OM_NAME_MAX + 1];
		uint8_t policy_id[32];
		int bundle;
	} branes[OM_MANIFEST_BRANES_MAX];
};

void api_apply_done(struct apply *p)
{
	if (!p)
		return;
	om_close_fd(&p->manifest);
	for (unsigned int i = 0; i < API_FDS; i++)
		om_close_fd(&p->stdio[i]);
	for (uint32_t i = 0; i < p->count; i++)
		om_close_fd(&p->branes[i].bundle);
	json_decref(p->findings);
	json_decref(p->results);
	free(p->file);
	free(p);
}

static int load_next(struct api *a, struct conn *c, struct om_err *fatal);

static const char *change_word(uint32_t change)
{
	static const char *const words[] = {"unknown", "created", "configured", "unchanged"};

	return words[change < OM_ARRAY_LEN(words) ? change : 0];
}

static int loaded_step(struct api *a, struct conn *c, struct om_msg *m, struct om_err *fatal)
{
	const struct om_wire_done *d = om_msg_body(m, OM_MSG_DONE, sizeof(*d), 0, 0);
	struct apply *p = c->apply;
	struct om_err err = {0};

	if (!d)
		return om_err_set(fatal, OM_ERR_ROLE_PROTOCOL, -EBADMSG, "load: message %u",
				  m->head.type);
	if (om_wire_err_get(&d->err, &err) < 0) {
		api_error_with(c, &err, OM_STEAL_PTR(p->findings), OM_STEAL_PTR(p->results));
		return 0;
	}
	json_array_append_new(
		p->results,
		json_pack("{s:s, s:o, s:s, s:o}", "name", p->branes[p->next].name, "instance",
			  api_json_text(d->brane.instance,
					strnlen(d->brane.instance, sizeof(d->brane.instance))),
			  "change", change_word(d->change), "policy_id",
			  api_json_hex(p->branes[p->next].policy_id, 32)));
	p->next++;
	return load_next(a, c, fatal);
}

static int load_next(struct api *a, struct conn *c, struct om_err *fatal)
{
	struct apply *p = c->apply;
	struct om_wire_load q = {.verb = OM_VERB_APPLY, .flags = p->flags};
	int fds[2 + API_FDS] = {-1, p->manifest, p->stdio[0], p->stdio[1], p->stdio[2]};

	if (p->next == p->count) {
		api_reply(c, json_pack("{s:o, s:o}", "results", OM_STEAL_PTR(p->results),
				       "findings", OM_STEAL_PTR(p->findings)));
		return 0;
	}
	fds[0] = p->branes[p->next].bundle;
	memcpy(c->name, p->branes[p->next].name, sizeof(c->name));
	return api_ask_load(a, c, &q, fds, p->has_stdio ? 5 : 2, loaded_step, fatal);
}

static int add_findings(struct apply *p, int fd, const struct om_wire_compiled *done,
			struct om_diag *first, struct om_err *fatal)
{
	OM_CLEANUP(om_map_done) struct om_map map = {0};
	const struct om_diag *d;
	int ret;

	if (!done->findings)
		return 0;
	ret = om_memfd_map(fd, (OM_DIAG_MAX + 1) * sizeof(*d), &map, fatal);
	if (ret < 0)
		return ret;
	if (map.len != done->findings * sizeof(*d))
		return om_err_set(fatal, OM_ERR_ROLE_PROTOCOL, -EBADMSG, "compile: findings");
	d = map.data;
	*first = d[0];
	for (uint32_t i = 0; i < done->findings; i++)
		json_array_append_new(p->findings, api_json_finding(&d[i], p->file));
	return 0;
}

/* That a manifest was refused goes into the log: its id and place, nothing that it says. */
static int record_rejection(struct api *a, struct conn *c, const struct om_err *err,
			    const struct om_diag *first, uint32_t findings, struct om_err *fatal)
{
	struct om_wire_load q = {.verb = OM_VERB_REJECTED, .peer = c->peer};
	char code[8];

	snprintf(q.text, sizeof(q.text), "%s at %u:%u, %u findings", om_err_code(err->id, code),
		 first->pos.line, first->pos.col, findings);
	return om_msg_send(FD_LOAD, OM_MSG_LOAD, a->next_id++, &q, sizeof(q), NULL, 0, fatal);
}

static int compiled(struct api *a, struct conn *c, struct om_msg *m,
		    const struct om_wire_compiled *done, struct om_err *fatal)
{
	struct apply *p = c->apply;
	struct om_diag first = {0};
	struct om_err err = {0};
	int ret;

	if ((done->findings > 0) != (m->nfds == 1) || done->branes != p->count)
		return om_err_set(fatal, OM_ERR_ROLE_PROTOCOL, -EBADMSG, "compile: answer");
	ret = add_findings(p, m->nfds ? m->fds[0] : -1, done, &first, fatal);
	if (ret < 0)
		return ret;
	if (om_wire_err_get(&done->err, &err) < 0) {
		ret = p->flags & OM_LOAD_DRY_RUN
			      ? 0
			      : record_rejection(a, c, &err, &first, done->findings, fatal);
		api_error(c, &err, OM_STEAL_PTR(p->findings));
		return ret;
	}
	return load_next(a, c, fatal);
}

static int compile_step(struct api *a, struct conn *c, struct om_msg *m, struct om_err *fatal)
{
	const struct om_wire_compiled_brane *b =
		om_msg_body(m, OM_MSG_COMPILED_BRANE, sizeof(*b), 1, 1);
	const struct om_wire_compiled *done = om_msg_body(m, OM_MSG_COMPILED, sizeof(*done), 0, 1);
	struct apply *p = c->apply;

	if (done)
		return compiled(a, c, m, done, fatal);
	if (!b || p->count == OM_MANIFEST_BRANES_MAX || !om_msg_str_ok(b->name, sizeof(b->name)))
		return om_err_set(fatal, OM_ERR_ROLE_PROTOCOL, -EBADMSG, "compile: message %u",
				  m->head.type);
	memcpy(p->branes[p->count].name, b->name, sizeof(b->name));
	memcpy(p->branes[p->count].policy_id, b->policy_id, sizeof(b->policy_id));
	p->branes[p->count].bundle = OM_STEAL_FD(m->fds[0]);
	p->count++;
	return 0;
}

/* The command's strings, each with its NUL, in a sealed memfd. */
static int command(json_t *list, int *fd, uint32_t *argc, struct om_err *err)
{
	OM_CLEANUP(om_free_ptr) char *buf = NULL;
	size_t i, len = 0, at = 0;
	json_t *s;

	*argc = (uint32_t)json_array_size(list);
	if (!*argc)
		return 0;
	json_array_foreach (list, i, s)
		len += json_string_length(s) + 1;
	if (*argc > OM_ARGV_MAX || len > OM_MANIFEST_BYTES_MAX)
		return om_err_set(err, OM_ERR_CTL_PARAMETER, -E2BIG, "the command is too long");
	buf = malloc(len);
	if (!buf)
		return om_err_set(err, OM_ERR_NOMEM, -ENOMEM, "command");
	json_array_foreach (list, i, s) {
		memcpy(buf + at, json_string_value(s), json_string_length(s) + 1);
		at += json_string_length(s) + 1;
	}
	return om_memfd_new("command", buf, len, fd, err);
}

static int prepare(struct conn *c, json_t *params, struct om_err *err)
{
	const char *file = json_string_value(json_object_get(params, "file"));
	json_t *text = json_object_get(params, "manifest");
	struct apply *p = calloc(1, sizeof(*p));

	if (!p)
		return om_err_set(err, OM_ERR_NOMEM, -ENOMEM, "apply");
	p->manifest = -1;
	for (unsigned int i = 0; i < API_FDS; i++)
		p->stdio[i] = -1;
	c->apply = p; /* owned by the call from here on, whatever fails below */
	p->file = strdup(file ? file : "-");
	p->findings = json_array();
	p->results = json_array();
	if (!p->file || !p->findings || !p->results)
		return om_err_set(err, OM_ERR_NOMEM, -ENOMEM, "apply");
	if (json_is_true(json_object_get(params, "dry_run")))
		p->flags |= OM_LOAD_DRY_RUN;
	if (json_is_true(json_object_get(params, "restart")))
		p->flags |= OM_LOAD_RESTART;
	if (json_is_true(json_object_get(params, "stdio"))) {
		if (c->nfds != API_FDS)
			return om_err_set(err, OM_ERR_CTL_PARAMETER, -EINVAL,
					  "stdio needs three descriptors with the call, got %u",
					  c->nfds);
		for (unsigned int i = 0; i < API_FDS; i++)
			p->stdio[i] = c->fds[i];
		c->nfds = 0;
		p->has_stdio = true;
	}
	return om_memfd_new("manifest", json_string_value(text), json_string_length(text),
			    &p->manifest, err);
}

int api_apply(struct api *a, struct conn *c, json_t *params, struct om_err *err)
{
	const char *only = json_string_value(json_object_get(params, "only"));
	OM_CLEANUP(om_close_fd) int cmd = -1;
	struct om_wire_compile q = {0};
	int ret;

	if (only && strlen(only) > OM_NAME_MAX)
		return om_err_set(err, OM_ERR_CTL_PARAMETER, -EINVAL, "only: no brane's name");
	if (only)
		memcpy(q.only, only, strlen(only) + 1);
	ret = prepare(c, params, err);
	if (!ret)
		ret = command(json_object_get(params, "command"), &cmd, &q.argc, err);
	if (ret < 0)
		return ret;
	c->wait_id = a->next_id++;
	c->step = compile_step;
	return om_msg_send(FD_COMPILE, OM_MSG_COMPILE, c->wait_id, &q, sizeof(q),
			   (int[]){c->apply->manifest, cmd}, cmd >= 0 ? 2 : 1, err);
}
