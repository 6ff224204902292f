/*
 * verify-chain: walks a whole audit log and judges it.
 *
 * Comes in: an audit directory and the public keys and facts that the judge trusts. Goes out: a
 * result in numbers, findings with class, leaf and byte offset, sentences. Called by: omegactl, tests,
 * the bench. Never does: write, trust an index, a header or `checkpoint`, or read a private key.
 *
 * Classes are the numbers of the design page's table of tampering. No witnesses exist yet: a log
 * without one is judged intact all the same, and every result says in words that nothing anchors it.
 */
#ifndef OMEGA_CHAIN_VERIFY_H
#define OMEGA_CHAIN_VERIFY_H

#include <stdbool.h>
#include <stdint.h>
#include <omega/compiler.h>
#include <omega/err.h>
#include "agent/chain/seg.h"

#define OM_FINDINGS_MAX 16u

enum om_verdict {
	OM_VERDICT_INTACT = 0, /* intact, and complete and fresh as far as it was asked: exit 0 */
	OM_VERDICT_INCOMPLETE, /* intact; a warning stands: exit 11 */
	OM_VERDICT_TAMPERED,   /* exit 1 */
	OM_VERDICT_NO_KEYS,    /* the chain holds, but nobody's key was given: exit 12 */
};

enum om_finding_level {
	OM_FINDING_TAMPERED = 0,
	OM_FINDING_WARNING, /* counts towards exit 11 */
	OM_FINDING_NOTE,    /* worth a sentence, changes nothing */
};

struct om_finding {
	enum om_finding_level level;
	const char *cls;		   /* "1", "9b", ... as in the table */
	const char *name;		   /* "bit flip in record" */
	uint64_t leaf;			   /* first bad leaf of the node tree */
	uint64_t offset;		   /* of its line in the segment file */
	char segment[OM_SEG_NAME_LEN + 1]; /* empty: not in a segment */
	char text[160];
};

struct om_verify_options {
	const char *substrate_vkey; /* what to pin; NULL: no keys */
	const char *brane;	    /* tenant/name, name or id to count separately; NULL: none */
	int64_t now;		    /* CLOCK_REALTIME us; with max_age it bounds freshness */
	int64_t max_age;	    /* us; 0: do not ask */
	uint64_t saved_size;	    /* a head seen earlier; 0: none */
	uint8_t saved_root[32];
};

struct om_verify_brane {
	char id[OM_BRANE_ID_MAX + 1];
	uint64_t events;
	uint64_t notes; /* brane checkpoints whose two signatures hold */
	int64_t first_time, last_time;
	bool open;
};

struct om_verify_result {
	enum om_verdict verdict;
	bool integrity;	   /* chain, trees, order: as far as they were walked */
	bool authenticity; /* every note bears both signatures, each by the key named for it */
	int fresh;	   /* 1 yes, 0 stale, -1 was not asked */
	bool closed;	   /* the last writer stopped cleanly */
	uint64_t size;	   /* leaves under the last good note */
	uint8_t root[32];
	uint64_t commits;
	uint64_t node_notes, brane_notes;
	uint64_t brane_events;	/* of all branes */
	uint64_t filter_events; /* of those that options.brane names */
	uint64_t filter_branes;
	int64_t complete_through; /* CLOCK_REALTIME us of the last commit; 0: none */
	uint64_t drop[3];	  /* full, rate, ringbuf */
	uint64_t unclean;	  /* restarts that were not after a clean stop */
	uint64_t key_breaks;	  /* boot records with a key that nothing before names */
	uint64_t clock_steps;
	uint64_t kept_unsigned;		 /* lines that a recovery took over */
	uint64_t torn;			 /* bytes that a recovery moved aside */
	uint64_t tail_lines, tail_bytes; /* after the last note, not judged */
	struct om_finding finding[OM_FINDINGS_MAX];
	uint32_t n_findings;
	struct om_verify_brane *brane; /* malloc'd */
	uint32_t n_branes;
};

/*
 * Walks everything under AUDIT_FD. 0 whenever a verdict could be given, tampered ones included;
 * negative when the files could not be read (OM_ERR_IO, OM_ERR_NOMEM) or the vkey is malformed
 * (OM_ERR_INVALID). A log that is being written is judged up to its last note. RES is filled in every
 * case and released with om_verify_done.
 */
int om_verify(int audit_fd, const struct om_verify_options *opt, struct om_verify_result *res,
	      struct om_err *err) OM_MUST_CHECK;
void om_verify_done(struct om_verify_result *res);

/* 0, 1, 11 or 12. */
int om_verify_exit(const struct om_verify_result *res);

/* The verdict in sentences, one call a line: MARK is '+' good, '!' warning, 'x' bad, ' ' plain. */
void om_verify_lines(const struct om_verify_result *res, const struct om_verify_options *opt,
		     void (*fn)(char mark, const char *text, void *ctx), void *ctx);

#endif
