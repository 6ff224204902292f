/*
 * The slow path: a batch did not hold; which class of tampering is it, and where does it start?
 *
 * Comes in: the batch as it lies on disk, the state before it, what follows in the file. Goes out:
 * one finding. Called by: segment.c, once in a log's life. Never does: decide whether the log is
 * tampered with (that is settled), or touch the result's counters.
 */
#include <errno.h>
#include <string.h>

#include <omega/sha256.h>
#include "agent/chain/verify/walk.h"

#define BAD(w, cls, i, ...) om_walk_find_line((w), OM_FINDING_TAMPERED, (cls), (i), __VA_ARGS__)

/* Every brane as it was before the batch. */
static void restore(struct walk *w)
{
	for (uint32_t i = 0; i < w->n_touched; i++) {
		struct walk_brane *b = w->brane[w->touched[i]];

		b->seq = b->seq0;
		b->closed = b->closed0;
		memcpy(b->prev, b->prev0, 32);
		b->used = false;
	}
	w->n_touched = 0;
	w->mono = w->mono0;
	w->offset = w->offset0;
}

static bool prev_is(const struct om_record *r, const uint8_t hash[32])
{
	char text[OM_B64_HASH];

	om_b64_encode(hash, 32, text);
	return !memcmp(text, r->prev, OM_B64_HASH);
}

static bool same_brane(const struct om_record *a, const struct om_record *b)
{
	return a->brane_len == b->brane_len && !memcmp(a->brane, b->brane, a->brane_len);
}

/* Chains the first N lines without looking at clocks or contents; the first that does not fit. */
static uint32_t simulate(struct walk *w, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		const struct om_record *r = &w->rec[i];
		uint32_t index;
		struct walk_brane *b = om_walk_brane(w, r->brane, r->brane_len, &index);

		if (!b && !r->seq && om_record_is(r, "log.open") &&
		    om_walk_add_brane(w, r->brane, r->brane_len, &index) == 0)
			b = w->brane[index];
		if (!b)
			return i;
		w->owner[i] = index;
		if (!b->used) {
			b->used = true;
			b->count = 0;
			b->seq0 = b->seq;
			b->closed0 = b->closed;
			memcpy(b->prev0, b->prev, 32);
			w->touched[w->n_touched++] = index;
		}
		if (b->closed || r->seq != b->seq || !prev_is(r, b->prev))
			return i;
		if (index && om_record_is(r, "log.close"))
			b->closed = true;
		b->count++;
		b->seq++;
		memcpy(b->prev, w->leaf[i], 32);
	}
	return n;
}

/* Index of the next line of the same brane within the batch, or n. */
static uint32_t later(const struct walk *w, uint32_t i)
{
	uint32_t j = i + 1;

	while (j < w->n && !same_brane(&w->rec[i], &w->rec[j]))
		j++;
	return j;
}

/* The next record of R's brane after the batch, as far as the buffer reaches. */
static bool ahead(struct walk *w, const struct om_record *r, struct om_record *out)
{
	size_t at = w->scan;

	while (at < w->len && w->buf[at]) {
		const char *line = w->buf + at, *lf = memchr(line, '\n', w->len - at);

		if (!lf)
			return false;
		if (om_record_parse(line, (size_t)(lf - line), out) == 0 && same_brane(r, out))
			return true;
		at += (size_t)(lf - line) + 1;
	}
	return false;
}

/* 1: the line that follows I in its brane names I's hash as it is; 0: another; -1: none follows. */
static int vouched(struct walk *w, uint32_t i)
{
	uint32_t j = later(w, i);
	struct om_record next;

	if (j < w->n)
		return prev_is(&w->rec[j], w->leaf[i]);
	return ahead(w, &w->rec[i], &next) ? prev_is(&next, w->leaf[i]) : -1;
}

/* Whether line I is what some other brane waits for. */
static bool fits_another(const struct walk *w, uint32_t i)
{
	const struct om_record *r = &w->rec[i];

	for (uint32_t k = 0; k < w->n_brane; k++) {
		const struct walk_brane *b = w->brane[k];

		if (b->id_len == r->brane_len && !memcmp(b->id, r->brane, b->id_len))
			continue;
		if (!b->closed && b->seq == r->seq && r->seq && prev_is(r, b->prev))
			return true;
	}
	return false;
}

static bool seq_later(const struct walk *w, uint32_t i, uint64_t seq)
{
	for (uint32_t j = later(w, i); j < w->n; j = later(w, j))
		if (w->rec[j].seq == seq)
			return true;
	return false;
}

static bool seen_before(const struct walk *w, uint32_t i, const struct walk_brane *b)
{
	if (!memcmp(w->leaf[i], b->prev, 32))
		return true;
	for (uint32_t j = 0; j < i; j++)
		if (!memcmp(w->leaf[i], w->leaf[j], 32))
			return true;
	return false;
}

static bool nearly(const struct om_record *r, const uint8_t hash[32])
{
	char text[OM_B64_HASH];
	int differ = 0;

	om_b64_encode(hash, 32, text);
	for (size_t i = 0; i < OM_B64_HASH; i++)
		differ += text[i] != r->prev[i];
	return differ <= 2;
}

/* The number is right, the link is not. */
static void broken_link(struct walk *w, uint32_t i, const struct walk_brane *b)
{
	uint32_t p = i;

	for (uint32_t j = later(w, i); j < w->n; j = later(w, j))
		if (w->rec[j].seq == b->seq && prev_is(&w->rec[j], b->prev)) {
			BAD(w, "7", i, "a record that the chain does not know stands here");
			return;
		}
	if (fits_another(w, i)) {
		BAD(w, "18", i, "this record belongs to the chain of another brane");
		return;
	}
	for (uint32_t j = 0; j < i; j++)
		if (same_brane(&w->rec[j], &w->rec[i]))
			p = j;
	/*
	 * Its successor vouches for it: then it is the line before that was altered. When none
	 * follows, a link that is right but for a character or two was itself hit.
	 */
	if (p != i && (vouched(w, i) == 1 || (vouched(w, i) < 0 && !nearly(&w->rec[i], b->prev))))
		BAD(w, "1", p, "the next record of its brane names another hash");
	else
		BAD(w, "1", i, "its link does not name the record before it");
}

static void gap(struct walk *w, uint32_t i, const struct walk_brane *b)
{
	const struct om_record *r = &w->rec[i];
	uint64_t before = w->point.size - w->n;

	if (fits_another(w, i))
		BAD(w, "18", i, "this record belongs to the chain of another brane");
	else if (seq_later(w, i, b->seq))
		BAD(w, "5", i, "seq %llu stands before seq %llu", (unsigned long long)r->seq,
		    (unsigned long long)b->seq);
	else if (!w->note_bad && w->point.size > w->n && before > w->tree.size &&
		 om_record_is(&w->rec[w->n - 1], "commit") &&
		 om_commit_parse(w->rec[w->n - 1].data, &w->commit) == 0 && w->commit.n + 1 == w->n)
		BAD(w, "4", i, "%llu leaves up to here are gone with their commits",
		    (unsigned long long)(before - w->tree.size));
	else
		BAD(w, "3", i, "seq %llu is due, %llu stands here", (unsigned long long)b->seq,
		    (unsigned long long)r->seq);
}

/* Two lines claim one number: the one that the chain goes on from is the true one. */
static void twice(struct walk *w, uint32_t i, const struct walk_brane *b)
{
	uint32_t bad = i;

	for (uint32_t j = 0; j < i; j++)
		if (same_brane(&w->rec[j], &w->rec[i]) && w->rec[j].seq == w->rec[i].seq &&
		    memcmp(w->leaf[j], w->leaf[i], 32) && vouched(w, i) == 1)
			bad = j;
	BAD(w, seen_before(w, i, b) ? "8" : "7", bad, "seq %llu is there twice",
	    (unsigned long long)w->rec[i].seq);
}

static void unknown_brane(struct walk *w, uint32_t i)
{
	if (fits_another(w, i))
		BAD(w, "18", i, "this record belongs to the chain of another brane");
	else if (w->rec[i].seq)
		BAD(w, "3", i, "the brane was never opened in this log");
	else
		BAD(w, "7", i, "a brane starts without its log.open");
}

static void chain_fault(struct walk *w, uint32_t i)
{
	const struct om_record *r = &w->rec[i];
	uint32_t index;
	const struct walk_brane *b = om_walk_brane(w, r->brane, r->brane_len, &index);

	if (!b)
		unknown_brane(w, i);
	else if (b->closed)
		BAD(w, "35", i, "a record of a brane that was closed");
	else if (r->seq != b->seq && prev_is(r, b->prev))
		BAD(w, "1", i, "its number does not fit its own link");
	else if (r->seq == b->seq)
		broken_link(w, i, b);
	else if (r->seq > b->seq)
		gap(w, i, b);
	else if (!r->seq && om_record_is(r, "log.open") && !seen_before(w, i, b))
		BAD(w, "35", i, "a brane is opened a second time under one instance");
	else if (fits_another(w, i))
		BAD(w, "18", i, "this record belongs to the chain of another brane");
	else
		twice(w, i, b);
}

/* The commit record holds its brane trees' heads: which of the two does not fit the other? */
static bool heads_fit(struct walk *w)
{
	return om_commit_parse(w->rec[w->n - 1].data, &w->commit) == 0 && om_walk_heads_ok(w);
}

static uint32_t first_inversion(const struct walk *w)
{
	int64_t mono = w->mono0;

	for (uint32_t i = 0; i < w->n; i++) {
		if (w->rec[i].mono < mono)
			return i;
		mono = w->rec[i].mono;
	}
	return w->n;
}

/* The last line of a brane in the batch that its successor does not vouch for, or n. */
static uint32_t unvouched(struct walk *w)
{
	for (uint32_t i = 0; i + 1 < w->n; i++)
		if (later(w, i) == w->n && w->owner[i] && vouched(w, i) == 0)
			return i;
	for (uint32_t i = 0; i + 1 < w->n; i++)
		if (later(w, i) == w->n && w->owner[i] && vouched(w, i) < 0)
			return i;
	return w->n;
}

/* Every chain fits, the signed root does not: the trees are grown. */
static void root_fault(struct walk *w)
{
	uint32_t commit = w->n - 1, bad = first_inversion(w);
	int good = vouched(w, commit);
	bool heads = heads_fit(w);

	if (!om_walk_node_note(w))
		return; /* the note itself is bad */
	w->res->node_notes--;
	if (w->point.size != w->grown.size) {
		BAD(w, w->point.size > w->grown.size ? "3" : "7", commit,
		    "the note certifies %llu leaves, %llu are here",
		    (unsigned long long)w->point.size, (unsigned long long)w->grown.size);
	} else if (heads && (good == 1 || (good < 0 && bad < w->n))) {
		BAD(w, "6", bad < w->n ? bad : 0, "the branes' chains fit, their order does not");
	} else if (heads || good == 0) {
		BAD(w, "1", commit, "the commit record is not the one that was signed");
	} else {
		bad = unvouched(w);
		BAD(w, "1", bad < w->n ? bad : commit,
		    "this record is not the one that was signed");
	}
}

/* Chain first, then root; when both hold, the content itself is at fault. True: nothing found yet. */
static bool structure_holds(struct walk *w)
{
	uint32_t bad;

	restore(w);
	bad = simulate(w, w->n);
	if (bad < w->n) {
		chain_fault(w, bad);
		return false;
	}
	if (w->note_bad || !w->note_line)
		return true;
	om_walk_grow(w);
	if (w->point.size != w->grown.size || memcmp(w->point.root, w->root, 32)) {
		root_fault(w);
		return false;
	}
	return om_walk_node_note(w);
}

static void clock_fault(struct walk *w)
{
	uint32_t i = first_inversion(w);
	int64_t offset = w->offset0;

	if (i < w->n && !om_record_is(&w->rec[i], "boot")) {
		BAD(w, "14", i, "the boot clock runs back");
		return;
	}
	for (i = 0; i < w->n; i++) {
		int64_t now = w->rec[i].time - w->rec[i].mono;

		if (now - offset > WALK_STEP || offset - now > WALK_STEP)
			break;
		offset = now;
	}
	BAD(w, "15", i < w->n ? i : 0, "the wall clock jumps and no clock.step says so");
}

static void kind_fault(struct walk *w)
{
	for (uint32_t i = 0; i < w->n; i++) {
		const struct om_record *r = &w->rec[i];

		if (!w->owner[i] && (om_record_is(r, "log.open") || om_record_is(r, "boot"))) {
			BAD(w, "19", i, "names another key than the commit before");
			return;
		}
	}
	BAD(w, "36", 0, "a record's content contradicts the log");
}

static void shape_fault(struct walk *w)
{
	const struct om_record *last = &w->rec[w->n - 1];

	for (uint32_t i = 0; i + 1 < w->n; i++)
		if (w->rec[i].brane[0] == '@' && om_record_is(&w->rec[i], "commit")) {
			BAD(w, "25", i, "a commit record without its note");
			return;
		}
	if (!w->note_line && last->brane[0] == '@' && om_record_is(last, "commit")) {
		BAD(w, "25", w->n - 1, "a commit record without its note");
		return;
	}
	if (last->brane[0] != '@' || !om_record_is(last, "commit")) {
		BAD(w, w->n == WALK_LINES ? "25" : "3", w->n - 1,
		    "the batch does not end with a commit record");
		return;
	}
	if (!structure_holds(w))
		return;
	for (int k = 0; k < 3; k++)
		if (w->commit.drop[k] < w->drop[k]) {
			BAD(w, "23", w->n - 1, "a count of lost events is lower than before");
			return;
		}
	BAD(w, "36", w->n - 1, "the commit record is not that of its batch");
}

static bool has_control(const char *p, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)p[i] < 0x20)
			return true;
	return false;
}

static void parse_fault(struct walk *w)
{
	uint32_t i = (uint32_t)w->bad;
	const char *p = w->line[i];
	size_t len = w->line_len[i], same = 0;
	uint32_t bad;

	restore(w);
	om_sha256_leaves(w->line, w->line_len, i, w->leaf);
	bad = simulate(w, i);
	if (bad < i) {
		chain_fault(w, bad);
		return;
	}
	while (same < 9 && same < len && p[same] == "{\"note\":\""[same])
		same++;
	if (same < 9 && len > 9 && (!memcmp(p + same + 1, "{\"note\":\"" + same + 1, 8 - same)))
		BAD(w, "2", i, "the note line is malformed");
	else if (len > OM_RECORD_MAX || has_control(p, len))
		BAD(w, "31", i, "a line of %zu bytes that no record can be", len);
	else
		BAD(w, om_walk_lenient(p, len), i, "the line is no canonical record");
}

void om_walk_diagnose(struct walk *w, enum walk_fault fault)
{
	(void)!om_walk_more(w); /* so that successors can vouch */
	switch (fault) {
	case FAULT_PARSE:
		parse_fault(w);
		break;
	case FAULT_CHAIN:
		(void)structure_holds(w);
		break;
	case FAULT_CLOCK:
		if (structure_holds(w))
			clock_fault(w);
		break;
	case FAULT_KIND:
		if (structure_holds(w))
			kind_fault(w);
		break;
	case FAULT_SHAPE:
		shape_fault(w);
		break;
	case FAULT_ROOT:
		root_fault(w);
		break;
	case FAULT_NOTE:
		om_walk_note_fault(w);
		break;
	case FAULT_FINAL:
		om_walk_find_line(w, OM_FINDING_TAMPERED, "25", 0,
				  "a closed brane's last note is missing before this record");
		break;
	case FAULT_NONE:
		break;
	}
	if (!w->stop)
		om_walk_find_line(w, OM_FINDING_TAMPERED, "1", 0, "the batch does not hold");
}
