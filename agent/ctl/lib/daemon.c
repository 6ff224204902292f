/*
 * Calls to omegad over its varlink sockets.
 *
 * Comes in: methods, parameters. Goes out: replies, errors with the socket's name in them. Called by: the
 * verbs. Never does: wait without a bound unless the caller says so.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "agent/ctl/lib/daemon.h"

int om_ctl_connect(const struct om_ctl *ctl, const char *method, struct om_vl_client *c,
		   struct om_err *err)
{
	const char *sock = strncmp(method, "io.omega.Observe.", 17) == 0 ? "observe"
			   : strncmp(method, "io.omega.Admin.", 15) == 0 ? "admin"
									 : "control";
	OM_CLEANUP(om_free_ptr) char *path = NULL;

	if (asprintf(&path, "%s/%s.sock", ctl->run_dir, sock) < 0) {
		path = NULL;
		return om_err_set(err, OM_ERR_NOMEM, -ENOMEM, "no memory for the socket's name");
	}
	return om_vl_client_open(c, path, err);
}

int om_ctl_call_for(const struct om_ctl *ctl, const char *method, json_t *params, int timeout_ms,
		    json_t **reply, struct om_err *err)
{
	OM_CLEANUP(om_vl_client_done) struct om_vl_client c = {.fd = -1};
	int ret;

	*reply = NULL;
	ret = om_ctl_connect(ctl, method, &c, err);
	if (ret < 0) {
		json_decref(params);
		return ret;
	}
	return om_vl_client_call(&c, method, params, NULL, 0, timeout_ms, reply, err);
}

int om_ctl_call(const struct om_ctl *ctl, const char *method, json_t *params, json_t **reply,
		struct om_err *err)
{
	return om_ctl_call_for(ctl, method, params, ctl->timeout_ms, reply, err);
}

int om_ctl_call_name(const struct om_ctl *ctl, const char *method, const char *name, json_t **reply,
		     struct om_err *err)
{
	json_t *params = json_pack("{s:s}", "name", name);

	*reply = NULL;
	if (!params)
		return om_err_set(err, OM_ERR_USAGE, -EINVAL, "the name is no UTF-8");
	return om_ctl_call(ctl, method, params, reply, err);
}
