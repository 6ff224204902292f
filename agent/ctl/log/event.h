/*
 * Records of the audit log as omegactl shows them.
 *
 * Comes in: records (agent/chain/reader.h). Goes out: their parts, the manifest line that would have
 * granted what was denied, text and JSON. Called by: events, explain --event, security audit. Never
 * does: judge the log (verify-chain does), or believe that a text in it is fit for a terminal.
 */
#ifndef OMEGA_CTL_EVENT_H
#define OMEGA_CTL_EVENT_H

#include <jansson.h>
#include "agent/chain/reader.h"
#include <omega/limits.h>
#include "agent/ctl/lib/ctl.h"

struct om_request; /* not included: verify.h has another om_verdict */

struct om_ctl_event {
	uint64_t leaf; /* the event's id */
	uint64_t seq;
	int64_t time; /* us */
	char brane[OM_BRANE_ID_MAX + 1];
	char name[OM_NAME_MAX + 1]; /* of the brane, without tenant and instance */
	char kind[OM_KIND_MAX + 1];
	json_t *data;	     /* owned */
	bool denied;	     /* refused */
	bool would;	     /* audit mode: done, though not granted */
	const char *op;	     /* "file.read"; the kind where the record names none */
	const char *layer;   /* "" unknown */
	const char *proc;    /* "" unknown */
	int64_t pid;	     /* 0 unknown */
	uint64_t count;	     /* how many the record stands for */
	const char *content; /* SHA-256 of what was there, 64 digits; "" not told */
	const char *why;     /* what was wrong with the content: "other-content"; "" nothing */
	char *obj;	     /* malloc'd; safe to print; "" none */
	char rule[64];	     /* "" none */
	char grant[512];     /* the manifest line; "" none can */
};

/* Opens STATE_DIR/audit, or DIR instead. OM_ERR_IO, OM_ERR_CTL_PERMISSION. */
int om_ctl_audit_open(const struct om_ctl *ctl, const char *dir, int *fd, struct om_err *err)
	OM_MUST_CHECK;

/* Reads the record that R returned last. OM_ERR_LOG_FORMAT; released with om_ctl_event_done. */
int om_ctl_event_read(const struct om_reader *r, const struct om_record *rec,
		      struct om_ctl_event *out, struct om_err *err) OM_MUST_CHECK;
void om_ctl_event_done(struct om_ctl_event *e);

/* Two lines for a denial, one for anything else. */
void om_ctl_event_print(const struct om_ctl *ctl, const struct om_ctl_event *e);
void om_ctl_event_heads(const struct om_ctl *ctl);
json_t *om_ctl_event_json(const struct om_ctl_event *e);

/*
 * The request that a record with operation OP (as in requests, or a kind), object OBJ and protocol PROTO
 * (may be NULL) is about. False when no request says it.
 */
bool om_ctl_request(const char *op, const char *obj, const char *proto, struct om_request *req);

#endif
