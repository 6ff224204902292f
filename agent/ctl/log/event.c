/*
 * From records to what a person needs: who, what, why not, and which line would change it.
 *
 * Comes in: records. Goes out: struct om_ctl_event. Called by: the verbs that read the log. Never does:
 * take the rule from a record alone: the suggestion is made by the capability that would grant it, from
 * the same request that the interpreter and the simulators understand.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <omega/sha256.h>
#include <policies/policy.h>
#include "agent/chain/format/b64.h"
#include "agent/ctl/log/event.h"
#include "agent/ctl/lib/out.h"

int om_ctl_audit_open(const struct om_ctl *ctl, const char *dir, int *fd, struct om_err *err)
{
	OM_CLEANUP(om_free_ptr) char *path = NULL;

	if (asprintf(&path, "%s%s", dir ? dir : ctl->state_dir, dir ? "" : "/audit") < 0) {
		path = NULL;
		return om_err_set(err, OM_ERR_NOMEM, -ENOMEM, "no memory");
	}
	*fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (*fd >= 0)
		return 0;
	if (errno == EACCES || errno == EPERM)
		return om_err_sys(err, OM_ERR_CTL_PERMISSION, -errno, "%s", path);
	return om_err_sys(err, OM_ERR_IO, -errno, "no audit log at %s", path);
}

/* Kinds that older records use for operations. */
static const char *op_of_kind(const char *kind)
{
	if (strcmp(kind, "exec") == 0)
		return "file.exec";
	if (strcmp(kind, "seccomp") == 0)
		return "syscall";
	return kind;
}

bool om_ctl_request(const char *op, const char *obj, const char *proto, struct om_request *req)
{
	char text[OM_PATH_MAX + 64];
	int n;

	op = op_of_kind(op);
	if (strcmp(op, "mem.exec") == 0)
		obj = "";
	/* What was bound is an address; what can be granted is its port. */
	if (strcmp(op, "net.listen") == 0 && strrchr(obj, ':'))
		obj = strrchr(obj, ':') + 1;
	if (strncmp(op, "net.", 4) != 0 || strchr(obj, '/'))
		proto = NULL;
	n = snprintf(text, sizeof(text), "%s%s%s%s%s", op, *obj ? " " : "", obj,
		     proto && *obj ? "/" : "", proto && *obj ? proto : "");
	if (n < 0 || (size_t)n >= sizeof(text))
		return false;
	return om_request_parse(text, (size_t)n, req, NULL) == 0;
}

/* The brane's name as the manifest has it: "acme/api#k3v9qz" is api. */
static void short_name(const char *id, char name[static OM_NAME_MAX + 1])
{
	const char *slash = strrchr(id, '/'), *start = slash ? slash + 1 : id;

	snprintf(name, OM_NAME_MAX + 1, "%.*s", (int)OM_MIN(strcspn(start, "#"), OM_NAME_MAX),
		 start);
}

/* KEY's text; base64 under KEY_b64 when it is no UTF-8. Raw, malloc'd; NULL without memory. */
static char *raw_text(const json_t *data, const char *key)
{
	const json_t *v = json_object_get(data, key);
	char b64_key[40];
	const char *b64;
	uint8_t *buf;
	size_t len;
	int n;

	if (json_is_string(v)) {
		len = json_string_length(v);
		buf = malloc(len + 1);
		if (buf) {
			memcpy(buf, json_string_value(v), len);
			buf[len] = 0;
		}
		return (char *)buf;
	}
	snprintf(b64_key, sizeof(b64_key), "%s_b64", key);
	b64 = om_json_text(data, b64_key, "");
	len = strlen(b64);
	buf = malloc(len + 1);
	if (!buf)
		return NULL;
	n = om_b64_decode(b64, len, buf, len);
	buf[n < 0 ? 0 : n] = 0;
	return (char *)buf;
}

/* What a record without an object says: its own fields, in their order. */
static char *summary(const json_t *data)
{
	static const char *const hidden[] = {"t", "act", "layer", "op", "rule", "pol", "key"};
	char *buf = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&buf, &len);
	const char *key;
	json_t *v;

	if (!f)
		return NULL;
	json_object_foreach ((json_t *)(uintptr_t)data, key, v) {
		bool skip = json_is_object(v) || json_is_array(v);

		for (size_t i = 0; i < OM_ARRAY_LEN(hidden); i++)
			skip |= strcmp(key, hidden[i]) == 0;
		if (skip)
			continue;
		fprintf(f, "%s%s=", ftell(f) > 0 ? " " : "", key);
		if (json_is_string(v))
			om_ctl_put(f, json_string_value(v), json_string_length(v));
		else if (json_is_integer(v))
			fprintf(f, "%lld", (long long)json_integer_value(v));
		else
			fprintf(f, "%s", json_is_true(v) ? "true" : "false");
	}
	if (fclose(f) != 0) {
		free(buf);
		return NULL;
	}
	return buf;
}

static void suggest(struct om_ctl_event *e, const char *raw_obj)
{
	static struct om_request req;
	struct om_verdict v = {0};

	snprintf(e->rule, sizeof(e->rule), "%s", om_json_text(e->data, "rule", ""));
	/* Nobody's manifest: a process outside every brane reached for what is the agent's. */
	if (strcmp(e->rule, "self-guard") == 0) {
		snprintf(e->grant, sizeof(e->grant), "no manifest line; 'omegactl guard release'");
		return;
	}
	if (!om_ctl_request(e->op, raw_obj, om_json_text(e->data, "proto", NULL), &req))
		return;
	if (*e->content)
		req.has_sha256 = om_sha256_parse(e->content, req.sha256);
	om_suggest(e->name, &req, &v);
	/* Granted as it is: no line helps against what could change, or could not be read. */
	if (*e->why && strcmp(e->why, "other-content") != 0)
		v.suggestion[0] = 0;
	snprintf(e->grant, sizeof(e->grant), "%s", v.suggestion);
	if (v.rule[0])
		snprintf(e->rule, sizeof(e->rule), "%s", v.rule);
}

static int copy_envelope(const struct om_record *rec, struct om_ctl_event *e, struct om_err *err)
{
	if (rec->brane_len > OM_BRANE_ID_MAX || rec->kind_len > OM_KIND_MAX)
		return om_err_set(err, OM_ERR_LOG_FORMAT, -EBADMSG, "leaf %llu",
				  (unsigned long long)e->leaf);
	memcpy(e->brane, rec->brane, rec->brane_len);
	memcpy(e->kind, rec->kind, rec->kind_len);
	e->seq = rec->seq;
	e->time = rec->time;
	return 0;
}

int om_ctl_event_read(const struct om_reader *r, const struct om_record *rec,
		      struct om_ctl_event *e, struct om_err *err)
{
	OM_CLEANUP(om_free_ptr) char *raw = NULL;
	const char *act;
	int ret;

	*e = (struct om_ctl_event){.leaf = om_reader_leaf(r)};
	ret = copy_envelope(rec, e, err);
	if (ret < 0)
		return ret;
	e->data = json_loadb(rec->data.p, rec->data.len, JSON_ALLOW_NUL, NULL);
	if (!json_is_object(e->data)) {
		om_ctl_event_done(e);
		return om_err_set(err, OM_ERR_LOG_FORMAT, -EBADMSG, "leaf %llu: its data",
				  (unsigned long long)om_reader_leaf(r));
	}
	/* Records about a brane whose stream is closed stand in @node and name it. */
	short_name(om_json_text(e->data, "of", e->brane), e->name);
	act = om_json_text(e->data, "act", "");
	e->denied = strcmp(act, "deny") == 0;
	e->would = strcmp(act, "allow") == 0;
	e->op = om_json_text(e->data, "op", op_of_kind(e->kind));
	e->layer = om_json_text(e->data, "layer", "");
	e->proc = om_json_text(e->data, "proc", "");
	e->pid = om_json_number(e->data, "pid", 0);
	e->count = (uint64_t)OM_MAX(om_json_number(e->data, "count", 1), 1);
	e->content = om_json_text(e->data, "sha256", "");
	if (strlen(e->content) != 64)
		e->content = "";
	e->why = strcmp(e->op, "file.exec") == 0 ? om_json_text(e->data, "why", "") : "";
	raw = raw_text(e->data, "obj");
	if (raw && (e->denied || e->would || strcmp(act, "absent") == 0))
		suggest(e, raw);
	e->obj = raw && *raw ? om_ctl_clean(raw) : *act ? strdup("") : summary(e->data);
	if (!raw || !e->obj) {
		om_ctl_event_done(e);
		return om_err_set(err, OM_ERR_NOMEM, -ENOMEM, "no memory for an event");
	}
	return 0;
}

void om_ctl_event_done(struct om_ctl_event *e)
{
	json_decref(e->data);
	free(e->obj);
	e->data = NULL;
	e->obj = NULL;
}
