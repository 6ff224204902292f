/*
 * Messages between the roles: fixed, versioned structs over SOCK_SEQPACKET pairs.
 *
 * Comes in: a type, a body of exactly that type's size, descriptors. Goes out: the same at the other
 * end. Called by: omegad and its roles. Never does: carry a pointer or a length that the receiver
 * must believe (large things travel as sealed memfds), or accept what does not fit exactly: a role
 * that speaks out of turn is broken or taken over, and the whole set is started anew.
 */
#ifndef OMEGA_ROLE_MSG_H
#define OMEGA_ROLE_MSG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <omega/err.h>

#define OM_MSG_VERSION	1
#define OM_MSG_BODY_MAX 2048u
#define OM_MSG_FDS_MAX	5u

struct om_msg_head {
	uint16_t version; /* OM_MSG_VERSION */
	uint16_t type;	  /* enum om_msg_type */
	uint32_t len;	  /* of the body */
	uint64_t id;	  /* of the request, echoed in its replies; 0: no reply is wanted */
};
_Static_assert(sizeof(struct om_msg_head) == 16, "om_msg_head");

struct om_msg {
	struct om_msg_head head;
	union {
		uint64_t align;
		uint8_t bytes[OM_MSG_BODY_MAX];
	} body;
	int fds[OM_MSG_FDS_MAX]; /* owned by the message until taken with OM_STEAL_FD */
	unsigned int nfds;
};

/* BODY may be NULL when LEN is 0. FDS stay open here. Blocks while the peer's queue is full. */
int om_msg_send(int sock, uint16_t type, uint64_t id, const void *body, size_t len, const int *fds,
		unsigned int nfds, struct om_err *err) OM_MUST_CHECK;

/*
 * Receives one message, waiting at most TIMEOUT_MS (0: not at all, -1: for ever). 1: one arrived, and
 * om_msg_done is due; 0: none in time; -ECONNRESET: the peer is gone; -EBADMSG: OM_ERR_ROLE_PROTOCOL.
 */
int om_msg_recv(int sock, int timeout_ms, struct om_msg *m, struct om_err *err) OM_MUST_CHECK;

/* Closes the descriptors that were not taken. */
void om_msg_done(struct om_msg *m);

/* The body when the message has this TYPE, exactly LEN bytes and NFDS_LO to NFDS_HI fds; else NULL. */
const void *om_msg_body(const struct om_msg *m, uint16_t type, size_t len, unsigned int nfds_lo,
			unsigned int nfds_hi);

/* True when the N bytes at S hold a NUL: every string in a body is checked with it before use. */
bool om_msg_str_ok(const char *s, size_t n);

/* --- memory that travels --- */

/* A sealed memfd with LEN bytes of DATA. */
int om_memfd_new(const char *name, const void *data, size_t len, int *fd, struct om_err *err)
	OM_MUST_CHECK;

struct om_map {
	void *data; /* page-aligned; NULL when len is 0 */
	size_t len;
};
/*
 * Maps a memfd of at most MAX bytes read-only, after checking that it is sealed against writing,
 * shrinking and growing: without the seals the sender could change it between check and use, or cut
 * it and kill the reader with SIGBUS. OM_ERR_ROLE_PROTOCOL.
 */
int om_memfd_map(int fd, size_t max, struct om_map *out, struct om_err *err) OM_MUST_CHECK;
void om_map_done(struct om_map *m);

#endif
