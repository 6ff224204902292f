/*
 * Calls to omegad.
 *
 * Comes in: a method and its parameters. Goes out: the reply. Called by: the verbs that need the daemon.
 * Never does: start the daemon, retry a call, or try a more privileged socket than the call needs.
 */
#ifndef OMEGA_CTL_DAEMON_H
#define OMEGA_CTL_DAEMON_H

#include <jansson.h>
#include "agent/ctl/lib/ctl.h"
#include "agent/varlink/client.h"

/*
 * Connects to the socket that METHOD's interface needs (observe.sock, control.sock), in ctl->run_dir.
 * OM_ERR_CTL_UNREACHABLE, OM_ERR_CTL_PERMISSION.
 */
int om_ctl_connect(const struct om_ctl *ctl, const char *method, struct om_vl_client *c,
		   struct om_err *err) OM_MUST_CHECK;

/* One call on a connection of its own. PARAMS is taken over. *REPLY: as om_vl_client_call. */
int om_ctl_call(const struct om_ctl *ctl, const char *method, json_t *params, json_t **reply,
		struct om_err *err) OM_MUST_CHECK;
/* The same with ctl->timeout_ms replaced; -1: for ever. */
int om_ctl_call_for(const struct om_ctl *ctl, const char *method, json_t *params, int timeout_ms,
		    json_t **reply, struct om_err *err) OM_MUST_CHECK;
/* The same for the method's usual parameter {"name": NAME}. */
int om_ctl_call_name(const struct om_ctl *ctl, const char *method, const char *name, json_t **reply,
		     struct om_err *err) OM_MUST_CHECK;

static inline void om_json_put(json_t **v)
{
	json_decref(*v);
}

#endif
