/*
 * varlink's framing; the contract is in frame.h.
 *
 * Comes in: bytes. Goes out: NUL-terminated messages. Called by: the api role, the client half, the
 * fuzzer. Never does: parse JSON (this file links without jansson, so that it can be fuzzed alone).
 */
#include <errno.h>
#include <string.h>
#include "agent/varlink/frame.h"

#define FIRST_ROOM 4096u

void om_frames_init(struct om_frames *f, size_t max)
{
	memset(f, 0, sizeof(*f));
	f->max = max ? max : OM_FRAME_MAX;
}

void om_frames_done(struct om_frames *f)
{
	free(f->buf);
	f->buf = NULL;
	f->cap = f->start = f->scan = f->end = 0;
}

char *om_frames_room(struct om_frames *f, size_t want, size_t *room)
{
	/* One byte past the longest message: its NUL. A longer one never gets more memory than this. */
	size_t most = f->max + 1;

	if (f->start == f->end) {
		f->start = f->scan = f->end = 0;
	} else if (f->start && f->end == f->cap) {
		memmove(f->buf, f->buf + f->start, f->end - f->start);
		f->end -= f->start;
		f->scan -= f->start;
		f->start = 0;
	}
	if (f->end == f->cap) {
		size_t cap = f->cap ? f->cap * 2 : FIRST_ROOM;
		char *p;

		cap = OM_MIN(cap, most);
		if (cap <= f->end)
			return NULL; /* om_frames_next was not asked: it says -EMSGSIZE here */
		p = realloc(f->buf, cap);
		if (!p)
			return NULL;
		f->buf = p;
		f->cap = cap;
	}
	*room = OM_MIN(f->cap - f->end, want ? want : 1);
	return f->buf + f->end;
}

void om_frames_added(struct om_frames *f, size_t n)
{
	f->end += OM_MIN(n, f->cap - f->end);
}

int om_frames_next(struct om_frames *f, char **msg, size_t *len)
{
	char *nul;

	*msg = NULL;
	*len = 0;
	if (f->scan == f->end)
		nul = NULL;
	else
		nul = memchr(f->buf + f->scan, 0, f->end - f->scan);
	if (!nul) {
		f->scan = f->end;
		return f->end - f->start > f->max ? -EMSGSIZE : 0;
	}
	*msg = f->buf + f->start;
	*len = (size_t)(nul - *msg);
	f->start = f->scan = (size_t)(nul - f->buf) + 1;
	return *len > f->max ? -EMSGSIZE : 1;
}
