/*
 * What the verifier's files share.
 *
 * Comes in: nothing. Goes out: the walk's state. Called by: the files of verify/ only.
 */
#ifndef OMEGA_CHAIN_WALK_H
#define OMEGA_CHAIN_WALK_H

#include "agent/chain/format/heads.h"
#include "agent/chain/format/merkle.h"
#include "agent/chain/format/note.h"
#include "agent/chain/format/record.h"
#include "agent/chain/verify.h"

#define WALK_BUF   (4u << 20)
#define WALK_MAX   (64u << 20) /* a header line of the most branes; more is no line of ours */
#define WALK_STEP  1000000     /* us that wall and boot clock may part between two records */
#define WALK_LINES OM_SIGN_LEAVES_MAX

struct walk_brane {
	char *id;
	uint32_t id_len;
	uint32_t hash;
	bool closed, keyed, used, wants_final; /* wants_final: closed, its last note is due */
	struct om_tree *tree;		       /* NULL once closed and noted */
	uint64_t seq, seq0;		       /* now, and before the batch at hand */
	uint8_t prev[32], prev0[32];
	uint8_t key[32];
	bool closed0;
	uint64_t notes, events;
	int64_t first_time, last_time;
	uint32_t count, from;
};

/* What a record or header says next, checked later by whoever is named. */
struct walk {
	struct om_verify_result *res;
	const struct om_verify_options *opt;
	struct om_vkey pin;
	bool have_pin;
	bool stop; /* tampering was found: nothing after it can be judged */
	char origin[OM_ORIGIN_MAX + 1];
	char boot[OM_BOOT_ID_LEN + 1];
	struct om_tree tree;
	uint64_t commits;
	uint64_t drop[3];
	int64_t mono, mono0, offset, offset0;
	bool rebase; /* the next record sets the clock offset anew */
	bool have_key;
	uint8_t expect[32];	       /* signs the next node note */
	uint8_t named[32];	       /* as the last commit named it (segment headers) */
	bool last_close;	       /* @node's last record but the commit was log.close */
	bool recovered;		       /* a recover record is in this batch */
	uint64_t snap_first, snap_end; /* where the log ended when the walk began */
	bool ended; /* the live end was reached once: the next good note is where the walk stops */
	bool torn;  /* the last batch lost sectors: it is judged as a tail */
	bool note_bad;	 /* the note line is no checkpoint */
	uint32_t finals; /* closed branes whose last note is due in this batch's tail */
	bool saved_seen;
	int64_t last_time;
	struct walk_brane **brane; /* [0] is @node */
	uint32_t n_brane, cap_brane;
	uint32_t *table; /* hash to index + 1 */
	uint32_t table_size;
	uint32_t last; /* brane found last */
	/* The segment. */
	int fd;
	uint64_t first;
	bool final;
	char name[OM_SEG_NAME_LEN + 1];
	char *buf;
	size_t cap, len;
	size_t pos;    /* first byte of the batch at hand */
	size_t scan;   /* first byte not split into lines yet */
	uint64_t base; /* file offset of buf[0] */
	bool eof;
	char early[OM_NOTE_MAX]; /* `checkpoint` as it was before the walk */
	size_t early_len;
	/* The batch. */
	uint32_t n;
	int bad; /* first line that is no record, or -1 */
	struct om_record rec[WALK_LINES];
	const void *line[WALK_LINES];
	size_t line_len[WALK_LINES];
	uint8_t leaf[WALK_LINES][32];
	uint8_t work[WALK_LINES][32];
	uint32_t owner[WALK_LINES];
	uint32_t touched[WALK_LINES];
	uint32_t n_touched;
	struct om_head heads[WALK_LINES];
	struct om_commit commit;
	struct om_tree grown;
	uint8_t root[32];
	const char *note_line;
	size_t note_line_len;
	char note_text[OM_NOTE_MAX];
	struct om_note note;
	struct om_checkpoint point;
};

/* What a check found wrong, before the slow path looks closer. */
enum walk_fault {
	FAULT_NONE = 0,
	FAULT_PARSE,
	FAULT_CHAIN, /* brane, seq or prev */
	FAULT_CLOCK, /* mono or time */
	FAULT_SHAPE, /* commit missing, misplaced, wrong */
	FAULT_KIND,  /* a record's content contradicts the log */
	FAULT_ROOT,
	FAULT_NOTE,
	FAULT_FINAL, /* the batch before owes a closed brane's note */
};

/* batch.c */
enum walk_fault om_walk_batch(struct walk *w);
enum walk_fault om_walk_tail(struct walk *w); /* the same for lines that have no note */
struct walk_brane *om_walk_brane(struct walk *w, const char *id, size_t len, uint32_t *index);
int om_walk_add_brane(struct walk *w, const char *id, size_t len, uint32_t *index) OM_MUST_CHECK;
void om_walk_grow(struct walk *w);

/* notes.c: true when all is well; else a finding was added and the walk stops. */
bool om_walk_node_note(struct walk *w);
bool om_walk_brane_note(struct walk *w);
/* Reads the line at w->note_line into text, note and point; false when it is no checkpoint. */
bool om_walk_read_note(struct walk *w);
/* Why a note of whole form does not verify: findings 12, 19, 20, 24 or 2. */
void om_walk_note_fault(struct walk *w);
/*
 * `checkpoint`, read before the walk (what it certifies must then be in the log) and compared after
 * it; a live writer may have replaced it meanwhile.
 */
void om_walk_checkpoint_load(struct walk *w, int audit_fd);
void om_walk_checkpoint(struct walk *w, int audit_fd);

/* lenient.c: any JSON at all (21), with a duplicate key (22), or neither (1). */
const char *om_walk_lenient(const char *p, size_t len);

/* diagnose.c: names class, leaf and offset of what om_walk_batch stumbled over. */
void om_walk_diagnose(struct walk *w, enum walk_fault fault);

/* segment.c */
int om_walk_segment(struct walk *w, int stream_fd, struct om_err *err) OM_MUST_CHECK;
/* Notes where segment FIRST, the newest, ends now: a walk judges at least up to there. */
int om_walk_snapshot(struct walk *w, int stream_fd, uint64_t first, struct om_err *err)
	OM_MUST_CHECK;
/* Reads on, keeping the batch at hand; for the slow path's look ahead. */
int om_walk_more(struct walk *w);
uint64_t om_walk_offset(const struct walk *w, const void *p);

/* result.c */
void om_walk_find(struct walk *w, enum om_finding_level level, const char *cls, uint64_t leaf,
		  uint64_t offset, const char *fmt, ...) OM_PRINTF(6, 7);
/* A finding about line I of the batch. */
#define om_walk_find_line(w, level, cls, i, ...)                \
	om_walk_find((w), (level), (cls), (w)->tree.size + (i), \
		     om_walk_offset((w), (w)->line[(i)]), __VA_ARGS__)

/* batch.c: whether w->commit names the heads of the branes touched in this batch. */
bool om_walk_heads_ok(struct walk *w);

#endif
