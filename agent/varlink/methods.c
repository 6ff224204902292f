/*
 * The table of methods; the contract is in methods.h.
 *
 * Comes in: calls. Goes out: verdicts. Called by: the api role, the fuzzer. Never does: accept a
 * parameter that a method's row does not list.
 */
#include <errno.h>
#include <string.h>
#include "agent/varlink/methods.h"

#define PARAMS_MAX 8u

struct param {
	const char *name;
	char type; /* s string, b boolean, a array of strings */
	bool required;
};
struct method {
	const char *name;
	enum om_priv priv;
	struct param params[PARAMS_MAX];
};

#define NAME                      \
	{                         \
		"name", 's', true \
	}
static const struct method methods[OM_METHOD_COUNT] = {
	[OM_METHOD_VERSION] = {"io.omega.Observe.Version", OM_PRIV_OBSERVE, {{0}}},
	[OM_METHOD_LIST] = {"io.omega.Observe.List", OM_PRIV_OBSERVE, {{0}}},
	[OM_METHOD_DESCRIBE] = {"io.omega.Observe.Describe", OM_PRIV_OBSERVE, {NAME}},
	[OM_METHOD_LOGS] = {"io.omega.Observe.Logs",
			    OM_PRIV_OBSERVE,
			    {NAME, {"stream", 's', false}, {"offset", 's', false}}},
	[OM_METHOD_WAIT] = {"io.omega.Observe.Wait", OM_PRIV_OBSERVE, {NAME}},
	[OM_METHOD_DOCTOR] = {"io.omega.Observe.Doctor", OM_PRIV_OBSERVE, {{0}}},
	[OM_METHOD_APPLY] = {"io.omega.Control.Apply",
			     OM_PRIV_CONTROL,
			     {{"manifest", 's', true},
			      {"file", 's', false},
			      {"dry_run", 'b', false},
			      {"only", 's', false},
			      {"command", 'a', false},
			      {"restart", 'b', false},
			      {"stdio", 'b', false}}},
	[OM_METHOD_DELETE] = {"io.omega.Control.Delete", OM_PRIV_CONTROL, {NAME}},
	[OM_METHOD_FREEZE] = {"io.omega.Control.Freeze", OM_PRIV_CONTROL, {NAME}},
	[OM_METHOD_THAW] = {"io.omega.Control.Thaw", OM_PRIV_CONTROL, {NAME}},
	[OM_METHOD_RESTART] = {"io.omega.Control.Restart", OM_PRIV_CONTROL, {NAME}},
	[OM_METHOD_STOP] = {"io.omega.Admin.Stop", OM_PRIV_ADMIN, {{0}}},
	[OM_METHOD_GUARD_RELEASE] = {"io.omega.Admin.GuardRelease", OM_PRIV_ADMIN, {{0}}},
};

static bool typed(const json_t *v, char type)
{
	size_t i;
	json_t *e;

	if (type == 's')
		return json_is_string(v);
	if (type == 'b')
		return json_is_boolean(v);
	if (!json_is_array(v))
		return false;
	json_array_foreach (v, i, e)
		if (!json_is_string(e))
			return false;
	return true;
}

static int judge_params(const struct method *m, json_t *params, struct om_err *err)
{
	const char *key;
	json_t *v;

	json_object_foreach (params, key, v) {
		const struct param *p = m->params;

		while (p < m->params + PARAMS_MAX && p->name && strcmp(p->name, key) != 0)
			p++;
		if (p == m->params + PARAMS_MAX || !p->name)
			return om_err_set(err, OM_ERR_CTL_PARAMETER, -EINVAL,
					  "%s has no parameter '%.64s'", m->name, key);
		if (!typed(v, p->type))
			return om_err_set(err, OM_ERR_CTL_PARAMETER, -EINVAL,
					  "parameter '%s' of %s has the wrong type", p->name,
					  m->name);
	}
	for (const struct param *p = m->params; p < m->params + PARAMS_MAX && p->name; p++)
		if (p->required && !json_object_get(params, p->name))
			return om_err_set(err, OM_ERR_CTL_PARAMETER, -EINVAL,
					  "%s needs the parameter '%s'", m->name, p->name);
	return 0;
}

int om_vl_judge(const struct om_vl_call *call, enum om_priv priv, enum om_method *method,
		struct om_err *err)
{
	for (unsigned int i = 0; i < OM_METHOD_COUNT; i++) {
		if (strcmp(methods[i].name, call->method) != 0)
			continue;
		*method = (enum om_method)i;
		if (methods[i].priv > priv)
			return om_err_set(err, OM_ERR_CTL_PERMISSION, -EPERM,
					  "%s is not served on this socket", methods[i].name);
		return judge_params(&methods[i], call->params, err);
	}
	return om_err_set(err, OM_ERR_CTL_METHOD, -ENOSYS, "%.64s", call->method);
}
