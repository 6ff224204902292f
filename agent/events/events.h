/*
 * Kernel events, decoded: what happened, which layer answered, which rule would have granted it.
 *
 * Comes in: bytes of struct om_event or om_event_path (ring buffer, shim). Goes out: the fields of an
 * audit record. Called by: the drain role. Never does: trust a length or a string in an event (a
 * workload chooses paths and names), guess a grant that the op does not have, or touch the log.
 */
#ifndef OMEGA_EVENTS_H
#define OMEGA_EVENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <omega/abi/event.h>
#include <omega/compiler.h>

/* One row for each op. */
struct om_op_row {
	const char *op;	  /* "file.read", as in requests */
	const char *kind; /* of the audit record */
	const char *rule; /* the manifest key that would have granted it; "": none can */
	bool urgent;	  /* severity high: the batch is committed at once */
};
/* Never NULL: an op that this build does not know has the row "unknown". */
const struct om_op_row *om_op_row(uint16_t op);
/* "lsm", "cgroup-bpf", …; "unknown". */
const char *om_event_layer(uint8_t where);

#define OM_OBJ_MAX (OM_EVENT_PATH_MAX + 64u)

struct om_decoded {
	struct om_event_head head; /* a copy; hook and comm end in NUL only if shorter */
	const struct om_op_row *row;
	const char *layer;
	bool allowed;  /* audit mode: recorded, not denied */
	bool cut;      /* OBJ lacks its beginning */
	bool as_given; /* OBJ is a path as the task wrote it */
	char obj[OM_OBJ_MAX];
	size_t obj_len; /* bytes, not NUL-terminated text: a path can hold anything but NUL */
	uint32_t n_args;
	uint64_t args[4]; /* of a system call */
	uint64_t ino;	  /* of a path event, 0: unknown */
	uint32_t dev;
	uint64_t hash;	   /* of an absent path, as om_folds counts repeats; 0: none */
	const char *proto; /* of a network event, NULL: none */
	const char *why;   /* content did not do: in a word; NULL: not about a content */
	bool has_sha256;
	uint8_t sha256[32]; /* of what is there */
	uint32_t grant;	    /* index of the grant that names others, with WHY */
};

/* DATA is 8-aligned. -EBADMSG when LEN, version or a length inside do not fit. */
int om_event_decode(const void *data, size_t len, struct om_decoded *out) OM_MUST_CHECK;

#endif
