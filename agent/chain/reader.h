/*
 * Reading the log: records one by one, from a time on, following a log that grows.
 *
 * Comes in: an audit directory and a filter. Goes out: records. Called by: omegactl (events, security
 * audit, explain --event), the api role. Never does: verify (that is verify.h), show a record that no
 * note follows yet, trust an index, or write. Values are raw: whoever prints them to a terminal must
 * neutralise control and bidirectional characters.
 */
#ifndef OMEGA_CHAIN_READER_H
#define OMEGA_CHAIN_READER_H

#include "agent/chain/format/json.h"
#include "agent/chain/format/record.h"

struct om_reader;

struct om_reader_filter {
	const char
		*brane; /* id (tenant/name#instance), tenant/name, or name; NULL: all, @node too */
	const char *kind; /* a whole kind, or a prefix that ends in '.': "net."; NULL: all */
	int64_t since;	  /* CLOCK_REALTIME us; 0: from the beginning */
};

/* Whether brane ID is what the user's word WANT means (see om_reader_filter.brane). */
bool om_brane_matches(const char *id, size_t len, const char *want);

/* AUDIT_FD is duplicated, the filter's strings are borrowed. Errors: OM_ERR_IO, OM_ERR_NOMEM. */
int om_reader_open(int audit_fd, const struct om_reader_filter *f, struct om_reader **out,
		   struct om_err *err) OM_MUST_CHECK;
void om_reader_close(struct om_reader *r);

/*
 * 1: *rec is the next record that passes the filter, valid until the next call. 0: nothing more now;
 * calling again later goes on from here. Negative: OM_ERR_IO, OM_ERR_NOMEM.
 */
int om_reader_next(struct om_reader *r, struct om_record *rec, struct om_err *err) OM_MUST_CHECK;

/* Leaf index in the node tree of the record last returned: the stable id of an event. */
uint64_t om_reader_leaf(const struct om_reader *r);
/* The whole line (without LF) of that record. */
struct om_json_val om_reader_line(const struct om_reader *r);
/* Lines that were no records and were passed over: run verify-chain when it is not 0. */
uint64_t om_reader_damaged(const struct om_reader *r);

#endif
