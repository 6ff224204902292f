/*
 * The audit log's writer: records in, signed and durable commits out.
 *
 * Comes in: branes and records. Goes out: segments under audit/stream, audit/checkpoint. Called by:
 * the drain role. One log has one writer; nothing here is thread-safe. Never does: release a record
 * before its commit is on disk, overwrite or delete a signed record, sleep (the caller owns the
 * event loop: wait until om_log_deadline, then om_log_commit).
 *
 * When something fails
 *   OM_ERR_LOG_RECORD  this record is unfit (too large, bad key); the log is fine. Count it.
 *   OM_ERR_LOG_FULL    -ENOSPC: the batch stays in memory, signed. Freeze (or kill) the branes as the
 *                      policy's on_full says and call om_log_commit again; appends are refused with
 *                      the same error until it returns 0. With on_full = count, stop appending and
 *                      call om_log_drop(OM_DROP_FULL): the next commit chains the count.
 *   OM_ERR_LOG_SIGNER  the signer refused or died. The batch is unsigned. Close the log
 *                      (om_log_close writes the lines without a note), start a new signer, open
 *                      again: the lines are kept as leaves and a `recover` record says so.
 *   OM_ERR_LOG_IO      the disk failed twice (a new segment was tried): fail closed.
 */
#ifndef OMEGA_CHAIN_LOG_H
#define OMEGA_CHAIN_LOG_H

#include <stdbool.h>
#include <stdint.h>
#include <omega/compiler.h>
#include <omega/err.h>
#include "agent/chain/format/data.h"
#include "agent/chain/signer.h"

#define OM_LOG_NODE 0u /* handle of @node, the substrate's own records */

enum om_log_drop {
	OM_DROP_FULL = 0, /* the disk was full and the policy said count */
	OM_DROP_RATE,	  /* over a rate limit */
	OM_DROP_RINGBUF,  /* the kernel's ring buffer had no room */
	OM_DROP_CLASSES,
};

enum om_log_flags {
	OM_LOG_URGENT = 1, /* severity high: the batch is due at once */
};

struct om_log_options {
	uint64_t segment_bytes; /* 0: 256 MiB. A batch is never split: small values make one each */
	uint64_t prealloc_bytes; /* 0: 4 MiB of zeros written ahead of use */
	bool no_sync;		 /* benches only: skip fdatasync */
	int *test_fail_sync;	 /* tests only: so many of the next fdatasync calls fail with EIO */
};

struct om_log_stat {
	uint64_t size;	  /* durable leaves */
	uint64_t commits; /* durable commits */
	uint64_t pending; /* leaves in memory */
	uint64_t drop[OM_DROP_CLASSES];
	uint8_t root[32];	     /* of the durable tree */
	uint32_t branes;	     /* open ones */
	uint32_t reopened;	     /* 1: this open found an earlier log */
	uint64_t recovered_unsigned; /* at this open */
	uint64_t recovered_torn;
};

struct om_log;

/*
 * Opens or makes the log in AUDIT_FD (a directory; stream/ is made in it), repairs its end, greets
 * the signer and commits log.open / recover / boot. AUDIT_FD is duplicated; SIGNER is borrowed until
 * om_log_close. OPT may be NULL.
 * Errors: OM_ERR_LOG_SIGNER when the signer knows a newer log than this directory holds (rollback);
 * OM_ERR_LOG_FORMAT when the signed part does not fold to its notes (run verify-chain).
 */
int om_log_open(int audit_fd, struct om_signer *signer, const struct om_log_options *opt,
		struct om_log **out, struct om_err *err) OM_MUST_CHECK;

/*
 * Clean stop: log.close, final commit, notes for all branes; open branes stay open in the log (the
 * next om_log_open adopts them through om_log_brane_open). Frees LOG in every case; takes NULL. When
 * the signer is gone the pending lines are written unsigned. 0, or the error of the final commit.
 */
int om_log_close(struct om_log *log, struct om_err *err);

/*
 * Frees LOG and writes nothing, as a killed process would: what was not committed is gone. For
 * tests, and for a caller that must end at once. Takes NULL.
 */
void om_log_abort(struct om_log *log);

/*
 * Starts the log of one life of a brane. NAME is tenant/name, INSTANCE a random suffix of its own;
 * [a-z0-9._-] each, one '/' in NAME at most. EXTRA (may be NULL) adds fields to log.open (the keys
 * "key" and "instance" are taken). A brane that an earlier writer left open is taken up again with a
 * key.brane record naming a fresh key. HANDLE stays valid until om_log_brane_close.
 */
int om_log_brane_open(struct om_log *log, const char *name, const char *instance,
		      const struct om_data *extra, uint32_t *handle, struct om_err *err)
	OM_MUST_CHECK;

/* Whether an earlier writer left that life's stream open, or this one opened it and has not closed it. */
bool om_log_brane_is_open(const struct om_log *log, const char *name, const char *instance);

/* Writes log.close with the fields of DATA (may be NULL); the next commit notes and erases its key. */
int om_log_brane_close(struct om_log *log, uint32_t handle, struct om_data *data,
		       struct om_err *err) OM_MUST_CHECK;

/* Branes that the log holds open without a handle: the caller adopts or closes each. */
void om_log_each_orphan(struct om_log *log, void (*fn)(const char *id, void *ctx), void *ctx);

/*
 * Adds one record. KIND is a word such as "net.connect" ([a-z0-9._], at most 31). DATA may be NULL
 * for {}; give the kernel's event time as om_data_int(d, "t", us). 0, or as above; -EAGAIN never:
 * when the batch is full it is committed here. The record is not durable before om_log_commit is 0.
 */
int om_log_append(struct om_log *log, uint32_t handle, const char *kind, struct om_data *data,
		  unsigned int flags, struct om_err *err) OM_MUST_CHECK;

/* Counts N events that were lost; chained in the next commit, which becomes due. */
void om_log_drop(struct om_log *log, enum om_log_drop cls, uint64_t n);

/*
 * CLOCK_BOOTTIME microseconds at which om_log_commit is due: 0 for at once, else the first event's
 * time + OM_BATCH_MS_MAX, or the last commit + OM_HEARTBEAT_S when nothing waits.
 */
uint64_t om_log_deadline(const struct om_log *log);

/* Closes the batch: commit record, signatures, write, fdatasync, checkpoint. An empty batch makes a
 * heartbeat. 0 when everything appended so far is durable. */
int om_log_commit(struct om_log *log, struct om_err *err) OM_MUST_CHECK;

void om_log_stat(const struct om_log *log, struct om_log_stat *st);

#endif
