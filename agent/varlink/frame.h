/*
 * varlink's framing: messages that end in a NUL byte, cut out of a byte stream.
 *
 * Comes in: bytes as they arrive, in any pieces. Goes out: whole messages, one at a time. Called by:
 * the api role and the client half. Never does: look into a message, hold more than OM_FRAME_MAX bytes
 * of an unfinished one, or scan a byte twice (a peer that sends one byte at a time costs linear time).
 */
#ifndef OMEGA_VARLINK_FRAME_H
#define OMEGA_VARLINK_FRAME_H

#include <stddef.h>
#include <omega/compiler.h>
#include <omega/limits.h>

struct om_frames {
	char *buf;
	size_t cap;
	size_t start; /* first byte of the unfinished message */
	size_t scan;  /* no NUL between start and here */
	size_t end;   /* bytes in use */
	size_t max;   /* longest message, NUL not counted */
};

/* MAX 0 means OM_FRAME_MAX. No memory is taken before the first byte. */
void om_frames_init(struct om_frames *f, size_t max);
void om_frames_done(struct om_frames *f);

/*
 * Room for at least one byte and at most WANT; write there, then call om_frames_added. Pointers from
 * om_frames_next are invalid afterwards. NULL: no memory.
 */
char *om_frames_room(struct om_frames *f, size_t want, size_t *room) OM_MUST_CHECK;
void om_frames_added(struct om_frames *f, size_t n);

/*
 * 1: *MSG is a message of *LEN bytes (NUL-terminated, writable, valid until om_frames_room); 0: none is
 * complete; -EMSGSIZE: longer than MAX. The caller ends the connection on an error: there is no way to
 * find the next message.
 */
int om_frames_next(struct om_frames *f, char **msg, size_t *len) OM_MUST_CHECK;

#endif
