/*
 * The signer as the log sees it: one interface, two makers.
 *
 * Comes in: leaf hashes of one batch, each tagged with its brane, and the bytes of the commit record
 * that closes it. Goes out: two signatures over the node tree, two for each brane note asked for,
 * and the public key that the following commit must name. Called by: the log (agent/chain/log.h).
 * Never does: sign anything that is not unambiguously the next batch; after a refusal over tree
 * contents it refuses everything (the writer is broken or taken over).
 *
 * om_signer_local  in this process (tests, benches, the sign role itself)
 * om_signer_remote over a SOCK_SEQPACKET socket to omegad-sign (signer/wire.h)
 */
#ifndef OMEGA_CHAIN_SIGNER_H
#define OMEGA_CHAIN_SIGNER_H

#include <stdint.h>
#include <omega/compiler.h>
#include <omega/err.h>
#include <omega/limits.h>

/* Names: an origin is a host name, '/', a word; a brane id is tenant/name#instance. */
#define OM_ORIGIN_MAX	128u
#define OM_BRANE_ID_MAX 192u
/* Leaves of one batch: the events, the commit, and what a restart adds. */
#define OM_SIGN_LEAVES_MAX (OM_BATCH_EVENTS_MAX + 16u)

/* Where the tree stands when a log is opened. Frontiers: see format/merkle.h. */
struct om_sign_hello {
	uint64_t size;		  /* leaves under the last valid node note; 0: none */
	uint64_t commits;	  /* commit records so far */
	uint64_t node_seq;	  /* next seq of @node, and the leaf hash of its last line, both */
	uint8_t node_prev[32];	  /* at that note */
	uint8_t frontier[64][32]; /* node tree, largest subtree first; popcount(size) used */
};

struct om_sign_welcome {
	char origin[OM_ORIGIN_MAX + 1];
	uint8_t substrate_pk[32];
	uint8_t cur_pk[32];  /* will sign the next node note */
	uint8_t next_pk[32]; /* the next commit record must name it */
	uint8_t key_lost;    /* 1: cur_pk is new, nothing before names it: write a `boot` record */
};

struct om_sign_batch {
	uint64_t size; /* leaves before this batch */
	uint32_t n;    /* leaves in it, the commit record last; 1..OM_SIGN_LEAVES_MAX */
	const uint8_t (*leaf)[32];
	const uint32_t *brane; /* n tags: 0 for @node, else what brane_open returned */
	const char *commit;    /* the commit record's line, without LF */
	uint32_t commit_len;
	const uint32_t *notes; /* branes that want a note, each once */
	uint32_t n_notes;
};

struct om_sign_note {
	uint64_t size;
	uint8_t root[32];
	uint8_t own_sig[64]; /* one-time log key, or brane key */
	uint8_t sub_sig[64]; /* substrate key */
};

struct om_signer;

struct om_signer_ops {
	int (*hello)(struct om_signer *s, const struct om_sign_hello *in,
		     struct om_sign_welcome *out, struct om_err *err);
	/*
	 * Makes a key pair for brane ID. size and frontier (largest first) describe its tree so far;
	 * 0 and NULL for a new one. The tag is the smallest free number above 0.
	 */
	int (*brane_open)(struct om_signer *s, const char *id, uint64_t size,
			  const uint8_t (*frontier)[32], uint32_t *tag, uint8_t pk[32],
			  struct om_err *err);
	/* Erases its private key and forgets its tree; the tag is free again. */
	int (*brane_close)(struct om_signer *s, uint32_t tag, struct om_err *err);
	/* NOTE receives the node note, NOTES n_notes brane notes, NEXT_PK the key to name next. */
	int (*sign)(struct om_signer *s, const struct om_sign_batch *b, struct om_sign_note *note,
		    struct om_sign_note *notes, uint8_t next_pk[32], struct om_err *err);
	/* The note of SIZE leaves is on disk; from now on an older log is a rollback. */
	int (*confirm)(struct om_signer *s, uint64_t size, struct om_err *err);
	void (*free)(struct om_signer *s);
};

struct om_signer {
	const struct om_signer_ops *ops;
};

/*
 * In-process signer. STATE_FD is the directory that holds substrate.key (0600; made by
 * om_signer_enroll), RUN_FD the tmpfs directory for next.key. Both are borrowed until om_signer_free.
 * Errors: OM_ERR_LOG_KEY.
 */
int om_signer_local(int state_fd, int run_fd, struct om_signer **out, struct om_err *err)
	OM_MUST_CHECK;

/* The client of omegad-sign over SOCK (SOCK_SEQPACKET, owned from now on). */
int om_signer_remote(int sock, struct om_signer **out, struct om_err *err) OM_MUST_CHECK;

/* Takes NULL. A remote signer exits when its socket closes. */
void om_signer_free(struct om_signer *s);

/*
 * Enrolment: makes substrate.key (0600) and substrate.vkey (0644, one line: the public key that
 * verifiers pin) in STATE_FD for ORIGIN, unless they exist; then ORIGIN must be the stored one.
 */
int om_signer_enroll(int state_fd, const char *origin, struct om_err *err) OM_MUST_CHECK;

#endif
