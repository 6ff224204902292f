/*
 * The api role: control connections in, requests to the compile and load roles out.
 *
 * Comes in: connections on three inherited sockets. Goes out: replies. Called by: omegad. Never does:
 * hold a privilege, open a path, decide what a manifest means, or let a client wait for another one:
 * each connection has one call under way, bounded buffers, and nobody blocks.
 */
#ifndef OMEGA_ROLES_API_H
#define OMEGA_ROLES_API_H

#include <stdbool.h>
#include <stdint.h>
#include "agent/role/wire.h"
#include "agent/varlink/frame.h"
#include "agent/varlink/methods.h"

enum { FD_PARENT = 3, FD_COMPILE = 4, FD_LOAD = 5, FD_OBSERVE = 6, FD_CONTROL = 7, FD_ADMIN = 8 };

#define API_FDS 3u

struct api;
struct conn;
struct apply;

/* Takes one message that belongs to C's call; fds left in M are closed by the caller. */
typedef int api_step(struct api *a, struct conn *c, struct om_msg *m, struct om_err *fatal);

struct conn {
	int fd; /* -1: this place is free */
	enum om_priv priv;
	struct om_wire_peer peer;
	uint64_t last_ms; /* of the last byte in or out */
	struct om_frames in;
	int fds[API_FDS]; /* came with the bytes of the call being received */
	unsigned int nfds;
	char *out;
	size_t out_len, out_off;
	bool bad; /* close once OUT is sent */
	/* The call under way; busy until it is answered. */
	bool busy, oneway;
	uint64_t wait_id;
	api_step *step;
	char name[OM_NAME_MAX + 1]; /* of the brane the call is about */
	bool waiting;		    /* Wait: until the workload ends */
	uint64_t offset;
	json_t *acc; /* the reply as far as it is known */
	struct apply *apply;
};

struct api {
	struct conn conns[OM_CLIENTS_MAX];
	uint64_t next_id;
};

/* --- conn.c --- */
uint64_t api_now_ms(void);
void api_accept(struct api *a, int listener, enum om_priv priv);
/* Reads what is there and starts a call if one is complete. */
void api_read(struct api *a, struct conn *c);
/* Starts the calls that are already here, until one takes time. */
void api_pump(struct api *a, struct conn *c);
void api_write(struct conn *c);
void api_close(struct conn *c);
/* Ends the call. PARAMS is taken over. */
void api_reply(struct conn *c, json_t *params);
void api_error(struct conn *c, const struct om_err *err, json_t *findings);
void api_error_with(struct conn *c, const struct om_err *err, json_t *findings, json_t *results);

/* --- methods.c --- */
void api_dispatch(struct api *a, struct conn *c, const struct om_vl_call *call);
/* A message of the load role that no call waits for. */
int api_unasked(struct api *a, struct om_msg *m, struct om_err *fatal) OM_MUST_CHECK;

/* Sends Q for C's call; STEP takes the answers. */
int api_ask_load(struct api *a, struct conn *c, struct om_wire_load *q, const int *fds,
		 unsigned int nfds, api_step *step, struct om_err *err) OM_MUST_CHECK;

/* --- apply.c --- */
int api_apply(struct api *a, struct conn *c, json_t *params, struct om_err *err) OM_MUST_CHECK;
void api_apply_done(struct apply *p); /* takes NULL */

/* --- json.c --- */
json_t *api_json_brane(const struct om_wire_brane *b);
json_t *api_json_layers(uint32_t layers);
json_t *api_json_finding(const struct om_diag *d, const char *file);
json_t *api_json_hex(const uint8_t *p, size_t n);
json_t *api_json_bytes(const char *p, size_t n); /* base64 */
json_t *api_json_u64(uint64_t v);		 /* a decimal string */
/* A string; what is no UTF-8 becomes "". */
json_t *api_json_text(const char *p, size_t n);

#endif
