/*
 * varlink's messages; the contract is in message.h.
 *
 * Comes in: frames and JSON values. Goes out: the other. Called by: the api role, the client half, the
 * fuzzer. Never does: read or write a socket.
 */
#include <errno.h>
#include <string.h>
#include <omega/limits.h>
#include "agent/varlink/message.h"

static json_t *parse_object(const char *msg, size_t len, struct om_err *err)
{
	json_error_t why;
	json_t *root;

	if (len > OM_FRAME_MAX) {
		om_err_set(err, OM_ERR_CTL_FRAME, -EMSGSIZE, "message of %zu bytes", len);
		return NULL;
	}
	/*
	 * Duplicate keys are refused: two readers that pick different ones would disagree about what
	 * was asked, and the one that checks must be the one that acts.
	 */
	root = json_loadb(msg, len, JSON_REJECT_DUPLICATES, &why);
	if (!root) {
		om_err_set(err, OM_ERR_CTL_FRAME, -EBADMSG, "not JSON at byte %d: %s", why.position,
			   why.text);
		return NULL;
	}
	if (!json_is_object(root)) {
		json_decref(root);
		om_err_set(err, OM_ERR_CTL_FRAME, -EBADMSG, "the message is not an object");
		return NULL;
	}
	return root;
}

static int bad(struct om_err *err, const char *what)
{
	return om_err_set(err, OM_ERR_CTL_FRAME, -EBADMSG, "%s", what);
}

static int read_flag(const json_t *v, bool *flag, struct om_err *err)
{
	if (!json_is_boolean(v))
		return bad(err, "\"more\" and \"oneway\" are true or false");
	*flag = json_is_true(v);
	return 0;
}

static int read_envelope(struct om_vl_call *c, struct om_err *err)
{
	const char *key;
	json_t *v;
	int ret = 0;

	json_object_foreach (c->root, key, v) {
		if (!strcmp(key, "method")) {
			c->method = json_string_value(v);
			if (!c->method || json_string_length(v) > OM_VL_METHOD_MAX)
				return bad(err, "\"method\" is not a short string");
		} else if (!strcmp(key, "parameters")) {
			if (!json_is_object(v))
				return bad(err, "\"parameters\" is not an object");
			c->params = v;
		} else if (!strcmp(key, "more")) {
			ret = read_flag(v, &c->more, err);
		} else if (!strcmp(key, "oneway")) {
			ret = read_flag(v, &c->oneway, err);
		} else {
			return bad(err, "unknown key in the message's envelope");
		}
		if (ret < 0)
			return ret;
	}
	if (!c->method)
		return bad(err, "\"method\" is missing");
	return 0;
}

int om_vl_call_parse(const char *msg, size_t len, struct om_vl_call *out, struct om_err *err)
{
	int ret;

	memset(out, 0, sizeof(*out));
	out->root = parse_object(msg, len, err);
	if (!out->root)
		return -EBADMSG;
	ret = read_envelope(out, err);
	if (!ret && !out->params) {
		out->params = json_object();
		if (!out->params || json_object_set_new(out->root, "parameters", out->params))
			ret = om_err_set(err, OM_ERR_NOMEM, -ENOMEM, "control message");
	}
	if (ret < 0)
		om_vl_call_done(out);
	return ret;
}

void om_vl_call_done(struct om_vl_call *c)
{
	json_decref(c->root);
	memset(c, 0, sizeof(*c));
}

/* "OM2006" to 2006; an id that this build does not know stays a plain failure. */
static enum om_err_id error_id(const char *code)
{
	unsigned long n;
	char *end;

	if (!code || strncmp(code, "OM", 2) || strlen(code) != 6)
		return OM_ERR_INTERNAL;
	n = strtoul(code + 2, &end, 10);
	return *end || n < 1000 || n > 9999 ? OM_ERR_INTERNAL : (enum om_err_id)n;
}

int om_vl_reply_parse(const char *msg, size_t len, json_t **params, bool *continues,
		      struct om_err *err)
{
	json_t *root = parse_object(msg, len, err), *p, *e;
	const char *text;

	*params = NULL;
	if (!root)
		return -EBADMSG;
	if (continues)
		*continues = json_is_true(json_object_get(root, "continues"));
	p = json_object_get(root, "parameters");
	e = json_object_get(root, "error");
	if ((p && !json_is_object(p)) || (e && !json_is_string(e)) || (!p && !e)) {
		json_decref(root);
		return bad(err, "the reply has neither parameters nor an error");
	}
	*params = p ? json_incref(p) : json_object();
	if (!e) {
		json_decref(root);
		return 0;
	}
	text = json_string_value(json_object_get(p, "text"));
	om_err_set(err, error_id(json_string_value(json_object_get(p, "id"))), -EREMOTEIO, "%s",
		   text ? text : json_string_value(e));
	json_decref(root);
	return -EREMOTEIO;
}

/* {KEY: VALUE} around PARAMS, which is taken over whatever happens. */
static json_t *envelope(const char *key, json_t *value, json_t *params)
{
	json_t *root = json_object();

	if (!params)
		params = json_object();
	if (!root || !params || (key && (!value || json_object_set(root, key, value))) ||
	    json_object_set(root, "parameters", params)) {
		json_decref(root);
		root = NULL;
	}
	json_decref(value);
	json_decref(params);
	return root;
}

json_t *om_vl_call_new(const char *method, json_t *params)
{
	return envelope("method", json_string(method), params);
}

json_t *om_vl_reply_new(json_t *params)
{
	return envelope(NULL, NULL, params);
}

json_t *om_vl_error_new(const struct om_err *err, json_t *findings)
{
	char code[8];
	const char *text = err->text[0] ? err->text : om_err_text(err->id);
	/* Texts may quote bytes that are no UTF-8 (paths): then only the table's text is sent. */
	json_t *s = json_string(text);

	if (!s)
		s = json_string(om_err_text(err->id));
	if (!findings)
		findings = json_array();
	return envelope("error", json_string(OM_VL_ERROR),
			json_pack("{s:s, s:i, s:o, s:o}", "id", om_err_code(err->id, code), "exit",
				  om_err_exit(err->id), "text", s, "findings", findings));
}

int om_vl_encode(const json_t *msg, char **out, size_t *len, struct om_err *err)
{
	char *text = msg ? json_dumps(msg, JSON_COMPACT) : NULL;

	*out = NULL;
	*len = 0;
	if (!text)
		return om_err_set(err, OM_ERR_NOMEM, -ENOMEM, "control message");
	*len = strlen(text) + 1;
	if (*len - 1 > OM_FRAME_MAX) {
		free(text);
		return om_err_set(err, OM_ERR_CTL_FRAME, -EMSGSIZE, "message of %zu bytes",
				  *len - 1);
	}
	*out = text;
	return 0;
}
