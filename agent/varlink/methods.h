/*
 * The methods of docs/control.md: names, the privilege each needs, its parameters and their types.
 *
 * Comes in: a parsed call and the privilege of the socket it came through. Goes out: which method, or
 * why not. Called by: the api role, the fuzzer. Never does: act on a call.
 */
#ifndef OMEGA_VARLINK_METHODS_H
#define OMEGA_VARLINK_METHODS_H

#include "agent/varlink/message.h"

/* What the socket a client came through may be used for; each includes those before it. */
enum om_priv { OM_PRIV_OBSERVE = 1, OM_PRIV_CONTROL, OM_PRIV_ADMIN };

enum om_method {
	OM_METHOD_VERSION,
	OM_METHOD_LIST,
	OM_METHOD_DESCRIBE,
	OM_METHOD_LOGS,
	OM_METHOD_WAIT,
	OM_METHOD_DOCTOR,
	OM_METHOD_APPLY,
	OM_METHOD_DELETE,
	OM_METHOD_FREEZE,
	OM_METHOD_THAW,
	OM_METHOD_RESTART,
	OM_METHOD_STOP,
	OM_METHOD_GUARD_RELEASE,
	OM_METHOD_COUNT
};

/*
 * 0: CALL is *METHOD, may be made with PRIV, has every parameter that is required, none that is not
 * listed, and each of its type. Else OM_ERR_CTL_METHOD, _PERMISSION or _PARAMETER.
 */
int om_vl_judge(const struct om_vl_call *call, enum om_priv priv, enum om_method *method,
		struct om_err *err) OM_MUST_CHECK;

#endif
