/*
 * The client half of the control protocol (docs/control.md).
 *
 * Comes in: a socket path, a method, parameters. Goes out: the reply's parameters. Called by:
 * omegactl, tests. Never does: retry a call (it may have been carried out), or wait without a bound
 * unless the caller says so.
 */
#ifndef OMEGA_VARLINK_CLIENT_H
#define OMEGA_VARLINK_CLIENT_H

#include "agent/varlink/frame.h"
#include "agent/varlink/message.h"

#define OM_VL_FDS_MAX 3u

struct om_vl_client {
	int fd;
	struct om_frames in;
};

/*
 * Connects to the socket at PATH. OM_ERR_CTL_UNREACHABLE when nobody listens there,
 * OM_ERR_CTL_PERMISSION when this user may not. Release with om_vl_client_done.
 */
int om_vl_client_open(struct om_vl_client *c, const char *path, struct om_err *err) OM_MUST_CHECK;
void om_vl_client_done(struct om_vl_client *c);

/*
 * Calls METHOD and waits for one reply. PARAMS is taken over (NULL: none). FDS (NFDS of them, at most
 * OM_VL_FDS_MAX) travel with the call and stay open here. TIMEOUT_MS -1: wait for ever.
 *
 * 0: *REPLY is the reply's parameters, a new reference. Negative: ERR says why; when the daemon itself
 * answered with an error, *REPLY is that error's parameters {id, exit, text, findings}, else NULL.
 * After OM_ERR_CTL_TIMEOUT, _FRAME or _UNREACHABLE the connection is of no more use.
 */
int om_vl_client_call(struct om_vl_client *c, const char *method, json_t *params, const int *fds,
		      unsigned int nfds, int timeout_ms, json_t **reply, struct om_err *err)
	OM_MUST_CHECK;

/* The same in two halves, for a caller with an event loop of its own (c->fd is readable). */
int om_vl_client_send(struct om_vl_client *c, const char *method, json_t *params, const int *fds,
		      unsigned int nfds, struct om_err *err) OM_MUST_CHECK;
int om_vl_client_recv(struct om_vl_client *c, int timeout_ms, json_t **reply, struct om_err *err)
	OM_MUST_CHECK;

#endif
