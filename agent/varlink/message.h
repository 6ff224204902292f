/*
 * varlink's messages: calls and replies as JSON, parsed strictly.
 *
 * Comes in: one frame. Goes out: a call (method, parameters) or a reply, and the other way round.
 * Called by: the api role and omegactl; the only users of jansson. Never does: accept a duplicate key,
 * an unknown envelope key, a NUL inside a string, or invalid UTF-8.
 */
#ifndef OMEGA_VARLINK_MESSAGE_H
#define OMEGA_VARLINK_MESSAGE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <omega/err.h>

#define OM_VL_METHOD_MAX 64u
#define OM_VL_ERROR	 "io.omega.Error"

struct om_vl_call {
	json_t *root;	    /* owned */
	const char *method; /* borrowed from root */
	json_t *params;	    /* borrowed; an object, empty when the call had none */
	bool more, oneway;
};

/* OM_ERR_CTL_FRAME with the reason. On success *out is released with om_vl_call_done. */
int om_vl_call_parse(const char *msg, size_t len, struct om_vl_call *out, struct om_err *err)
	OM_MUST_CHECK;
void om_vl_call_done(struct om_vl_call *c);

/*
 * Reads a reply. 0: *PARAMS is its parameters (a new reference). An error reply: its -errno, ERR has
 * the id and text the daemon gave, *PARAMS its parameters (findings). A malformed reply:
 * OM_ERR_CTL_FRAME, *PARAMS NULL. *CONTINUES may be NULL.
 */
int om_vl_reply_parse(const char *msg, size_t len, json_t **params, bool *continues,
		      struct om_err *err) OM_MUST_CHECK;

/* Each makes a new message and takes over PARAMS (NULL: an empty object); NULL without memory. */
json_t *om_vl_call_new(const char *method, json_t *params);
json_t *om_vl_reply_new(json_t *params);
/* FINDINGS (may be NULL) is taken over. The text is the table's text and ERR's own. */
json_t *om_vl_error_new(const struct om_err *err, json_t *findings);

/* MSG as compact JSON with its NUL, malloc'd, at most OM_FRAME_MAX bytes before the NUL. */
int om_vl_encode(const json_t *msg, char **out, size_t *len, struct om_err *err) OM_MUST_CHECK;

#endif
