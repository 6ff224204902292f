/*
 * What the writer's files share: the state of one log.
 *
 * Comes in: nothing. Goes out: structs and the functions between log.c (records), log_commit.c
 * (batches), log_segment.c (files) and log_recover.c (start). Called by: those four only.
 *
 * Everything exists twice: as of the last durable commit, and with the batch in memory. A batch
 * becomes durable whole, so a failed write leaves the first state true and the second one waiting.
 */
#ifndef OMEGA_CHAIN_LOG_INT_H
#define OMEGA_CHAIN_LOG_INT_H

#include "agent/chain/format/heads.h"
#include "agent/chain/format/merkle.h"
#include "agent/chain/format/note.h"
#include "agent/chain/format/record.h"
#include "agent/chain/log.h"
#include "agent/chain/seg.h"

#define LOG_NOTES_MAX	  256u /* brane notes in one commit; the others wait for the next */
#define LOG_NOTE_LINE	  1024u
#define LOG_BUF_BYTES	  (OM_BATCH_BYTES_MAX + 65536u + (LOG_NOTES_MAX + 1u) * LOG_NOTE_LINE)
#define LOG_STEP_US	  500000 /* a wall clock that moved by so much gets a clock.step record */
#define LOG_BRANE_NOTE_US 1000000

struct log_brane {
	char id[OM_BRANE_ID_MAX + 1];
	uint32_t id_len;
	uint32_t tag; /* at the signer; 0 for @node or none */
	bool owned;   /* a handle was given out */
	bool closing; /* log.close is in the batch */
	bool keyless; /* closed by an earlier writer: no key of ours can note it */
	bool touched;
	uint8_t pk[32], pk0[32]; /* named in the batch; durable */
	struct om_tree tree;	 /* durable */
	uint8_t prev0[32];
	struct om_tree grown; /* with the batch; valid while touched */
	uint8_t prev[32];
	uint64_t seq;
	uint64_t noted_size;
	int64_t noted_at;
	uint32_t count, from; /* within the batch, while it is grown */
};

struct om_log {
	int audit_fd, stream_fd, seg_fd;
	uint64_t seg_off;   /* end of what is durable in the segment */
	uint64_t seg_alloc; /* end of the zeros written ahead */
	struct om_signer *signer;
	struct om_log_options opt;
	char origin[OM_ORIGIN_MAX + 1];
	char boot[OM_BOOT_ID_LEN + 1], boot0[OM_BOOT_ID_LEN + 1];
	uint8_t sub_pk[32];
	uint8_t sign_pk[32];	  /* signs the batch at hand */
	uint8_t next_pk[32];	  /* the commit record at hand names it */
	uint8_t named_pk[32];	  /* what the last durable commit named */
	struct log_brane **brane; /* by handle; [0] is @node */
	uint32_t n_brane;
	struct om_tree tree, grown;
	uint64_t commits;
	uint64_t drop[OM_DROP_CLASSES]; /* counted; in the batch's commit; durable */
	uint64_t drop_sealed[OM_DROP_CLASSES], drop0[OM_DROP_CLASSES];
	int64_t mono, mono0; /* of the last record: in the batch, durable */
	int64_t offset;	     /* wall clock minus boot clock, us */
	int64_t last_commit_at, drop_at;
	/* The batch. */
	char *buf;
	size_t len, signed_len; /* signed_len: 0 until it is signed */
	uint32_t n;
	uint8_t (*leaf)[32];
	uint32_t *owner;
	int64_t first_at;
	bool urgent;
	bool kept;  /* starts with lines that lie in the segment already */
	bool dead;  /* the signer is gone */
	bool clean; /* recovery: the last @node record before the commit was log.close */
	/* Working space. */
	uint8_t (*work)[32];
	uint32_t *touched, n_touched;
	uint32_t *tags;
	struct om_head *heads;
	uint32_t noting[LOG_NOTES_MAX], n_noting;
	struct om_sign_note notes[LOG_NOTES_MAX];
	char note[OM_NOTE_MAX];
	size_t note_len;
	struct om_log_stat stat;
};

int64_t om_log_now_mono(void);
int64_t om_log_now_real(void);
int om_log_boot_id(char out[OM_BOOT_ID_LEN + 1]);

/* log.c: adds a record to the batch as it is (no commit, no clock check). */
int om_log_put(struct om_log *log, uint32_t handle, const char *kind, struct om_data *data,
	       struct om_err *err) OM_MUST_CHECK;
/* Accounts for the LEN bytes (LF included) that lie at the end of buf as one leaf of HANDLE. */
void om_log_stage(struct om_log *log, uint32_t handle, size_t len);
int om_log_new_brane(struct om_log *log, const char *id, size_t len, uint32_t *handle)
	OM_MUST_CHECK;
void om_log_forget_brane(struct om_log *log, uint32_t handle);
void om_log_check_clock(struct om_log *log);

/* log_commit.c: trees with the batch; then the batch as the durable state. */
void om_log_grow(struct om_log *log);
void om_log_absorb(struct om_log *log);

/* log_segment.c */
int om_log_write_batch(struct om_log *log, struct om_err *err) OM_MUST_CHECK;
void om_log_write_unsigned(struct om_log *log);
void om_log_publish(struct om_log *log);

/* log_recover.c: brings LOG to the end of what is on disk; *torn and *unsig say what was left over. */
struct log_found {
	bool any;
	uint64_t torn;
	uint8_t torn_sha256[32];
	uint64_t unsig;
};
int om_log_recover(struct om_log *log, struct log_found *found, struct om_err *err) OM_MUST_CHECK;

/* Copies a tree, valid levels only. */
void om_log_copy_tree(struct om_tree *to, const struct om_tree *from);

#endif
