/*
 * Walking one segment: reading, splitting into batches, its header, its end.
 *
 * Comes in: a segment file that may be growing or forged. Goes out: the walk's state after it, or a
 * finding. Called by: verify.c. Never does: map the file (a writer that cuts it would kill the
 * reader), hold more than one batch, read a line past its bound.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "agent/chain/verify/walk.h"

uint64_t om_walk_offset(const struct walk *w, const void *p)
{
	return w->base + (uint64_t)((const char *)p - w->buf);
}

/* The batch's pointers follow the buffer when it moves. */
static void shift(struct walk *w, const char *old, size_t by)
{
	if (w->note_line)
		w->note_line = w->buf + (w->note_line - old - by);
	for (uint32_t i = 0; i < w->n; i++) {
		struct om_record *r = &w->rec[i];

		w->line[i] = w->buf + ((const char *)w->line[i] - old - by);
		r->brane = w->buf + (r->brane - old - by);
		r->kind = w->buf + (r->kind - old - by);
		r->prev = w->buf + (r->prev - old - by);
		r->data.p = w->buf + (r->data.p - old - by);
	}
}

/* Drops what lies before the batch, reads more. 0 also at the end of the file (then eof is set). */
static int fill(struct walk *w, struct om_err *err)
{
	const char *old = w->buf;
	size_t by = w->pos;
	ssize_t n;

	if (by) {
		memmove(w->buf, w->buf + by, w->len - by);
		w->base += by;
		w->len -= by;
		w->scan -= by;
		w->pos = 0;
	}
	if (w->len == w->cap) {
		char *grown = w->cap >= WALK_MAX ? NULL : realloc(w->buf, w->cap * 2);

		if (!grown)
			return om_err_set(err, OM_ERR_NOMEM, -ENOMEM, "%s has an endless line",
					  w->name);
		w->buf = grown;
		w->cap *= 2;
	}
	if (by || w->buf != old)
		shift(w, old, by);
	n = pread(w->fd, w->buf + w->len, w->cap - w->len, (off_t)(w->base + w->len));
	if (n < 0)
		return om_err_sys(err, OM_ERR_IO, -errno, "cannot read %s", w->name);
	w->eof = n == 0;
	w->len += (size_t)n;
	return 0;
}

int om_walk_more(struct walk *w)
{
	return w->eof ? 0 : fill(w, NULL);
}

/* The next whole line from SCAN, or NULL at the end of what was written. */
static const char *next_line(struct walk *w, size_t *len, struct om_err *err, int *ret)
{
	for (;;) {
		const char *lf = NULL;

		if (w->scan < w->len && w->buf[w->scan])
			lf = memchr(w->buf + w->scan, '\n', w->len - w->scan);
		if (lf) {
			const char *line = w->buf + w->scan;

			*len = (size_t)(lf - line);
			return line;
		}
		if ((w->scan < w->len && !w->buf[w->scan]) || w->eof)
			return NULL;
		*ret = fill(w, err);
		if (*ret < 0)
			return NULL;
	}
}

static bool is_note(const char *line, size_t len)
{
	return len > 9 && !memcmp(line, "{\"note\":\"", 9);
}

static void new_batch(struct walk *w)
{
	w->pos = w->scan;
	w->note_line = NULL;
	w->n = 0;
	w->bad = -1;
}

static void add_line(struct walk *w, const char *line, size_t len)
{
	struct om_record *r = &w->rec[w->n];

	memset(r, 0, sizeof(*r));
	r->brane = r->kind = r->prev = r->data.p = line;
	w->line[w->n] = line;
	w->line_len[w->n] = len;
	if (w->bad < 0 && om_record_parse(line, len, r) < 0) {
		*r = (struct om_record){
			.brane = line, .kind = line, .prev = line, .data = {line, 0}};
		w->bad = (int)w->n;
	}
	w->n++;
}

static void check_saved(struct walk *w)
{
	const struct om_verify_options *o = w->opt;

	if (!o->saved_size || w->saved_seen || w->tree.size < o->saved_size)
		return;
	w->saved_seen = true;
	if (w->tree.size == o->saved_size && !memcmp(w->root, o->saved_root, 32))
		return;
	om_walk_find(w, OM_FINDING_TAMPERED, "11b", w->tree.size, om_walk_offset(w, w->note_line),
		     "this log never had the head of %llu leaves that was seen",
		     (unsigned long long)o->saved_size);
}

/* The batch holds: it becomes the state. */
static void accept_batch(struct walk *w)
{
	w->tree = w->grown;
	w->commits++;
	memcpy(w->drop, w->commit.drop, sizeof(w->drop));
	memcpy(w->expect, w->commit.next, 32);
	memcpy(w->named, w->commit.next, 32);
	w->last_time = w->rec[w->n - 1].time;
	check_saved(w);
}

/* The first record of a log says by whose key it is; the pin says whose it must be. */
static bool check_genesis(struct walk *w)
{
	struct om_json_val v;
	struct om_vkey k;
	char text[OM_VKEY_MAX + 1];
	int n = -1;

	if (w->n && w->bad != 0 && om_record_is(&w->rec[0], "log.open") &&
	    om_json_get(w->rec[0].data, "substrate", &v) == 0)
		n = om_json_str(v, text, sizeof(text));
	if (n < 0 || om_vkey_parse(text, (size_t)n, &k) < 0) {
		if (w->bad == 0)
			return true; /* the slow path names it */
		om_walk_find_line(w, OM_FINDING_TAMPERED, "3", 0,
				  "the log does not start with its opening record");
		return false;
	}
	if (!w->have_pin)
		w->pin = k;
	else if (memcmp(k.pk, w->pin.pk, 32))
		om_walk_find_line(w, OM_FINDING_TAMPERED, "12", 0,
				  "the log was opened under another substrate key");
	return !w->stop;
}

static void take_batch(struct walk *w)
{
	enum walk_fault fault;

	w->note_bad = !om_walk_read_note(w);
	if (!w->tree.size && !check_genesis(w))
		return;
	fault = om_walk_batch(w);
	if (fault)
		om_walk_diagnose(w, fault);
	else if (om_walk_node_note(w))
		accept_batch(w);
}

/* A node note in the lines from SCAN on, as far as the buffer reaches. */
static bool notes_later(const struct walk *w)
{
	size_t at = w->scan;

	while (at < w->len && w->buf[at]) {
		const char *line = w->buf + at, *lf = memchr(line, '\n', w->len - at);

		if (!lf)
			return false;
		if (is_note(line, (size_t)(lf - line)) &&
		    !memmem(line, (size_t)(lf - line), "/brane/", 7))
			return true;
		at += (size_t)(lf - line) + 1;
	}
	return false;
}

/* The newest write of all, with sectors of zeros in it: a crash, not a hand. */
static bool lost_sectors(struct walk *w)
{
	const char *bad = w->bad >= 0 ? w->line[w->bad] : NULL;

	if (!bad || !w->final || om_walk_more(w) < 0)
		return false;
	bad = w->line[w->bad];
	return om_seg_torn(bad, (size_t)(w->buf + w->scan - bad), om_walk_offset(w, bad)) &&
	       !notes_later(w);
}

/* Lines up to the next node note. 1: a batch or brane note was taken; 0: the written part ends. */
static int step(struct walk *w, struct om_err *err)
{
	const char *line;
	size_t len;
	int ret = 0;

	while ((line = next_line(w, &len, err, &ret))) {
		bool note = is_note(line, len);

		w->scan += len + 1;
		if (!note) {
			add_line(w, line, len);
			if (w->n < WALK_LINES)
				continue;
			om_walk_diagnose(w, w->bad >= 0 ? FAULT_PARSE : FAULT_SHAPE);
			return 1;
		}
		w->note_line = line;
		w->note_line_len = len;
		if (w->n && lost_sectors(w)) {
			w->torn = true;
			return 0;
		}
		if (w->n)
			take_batch(w);
		else
			(void)om_walk_brane_note(w);
		new_batch(w);
		w->ended |= w->first > w->snap_first ||
			    (w->first == w->snap_first && w->base + w->scan >= w->snap_end);
		return 1;
	}
	return ret;
}

/* Bytes from SCAN to the last one that is not zero padding. */
static uint64_t rest_bytes(struct walk *w, struct om_err *err, int *ret)
{
	uint64_t from = w->base + w->scan, at = from, last = from;
	char chunk[65536];

	for (;;) {
		ssize_t n = pread(w->fd, chunk, sizeof(chunk), (off_t)at);

		if (n < 0)
			*ret = om_err_sys(err, OM_ERR_IO, -errno, "cannot read %s", w->name);
		if (n <= 0)
			return last - from;
		for (ssize_t i = 0; i < n; i++)
			if (chunk[i])
				last = at + (uint64_t)i + 1;
		at += (uint64_t)n;
	}
}

static void pause_ms(int ms)
{
	struct timespec ts = {0, ms * 1000000L};

	nanosleep(&ts, NULL);
}

/* A whole value that runs on into something else is no torn write: those end in zeros or nothing. */
static bool runs_on(const struct walk *w)
{
	size_t len = w->len - w->scan;
	long n;

	if (w->scan >= w->len || w->buf[w->scan] != '{')
		return false;
	n = om_json_scan(w->buf + w->scan, OM_MIN(len, (size_t)OM_RECORD_MAX + 1),
			 OM_JSON_DEPTH_MAX);
	return n > 0 && (size_t)n < len && w->buf[w->scan + (size_t)n];
}

/* What is left after the last note of the last segment: a crash, a writer at work, or a forgery. */
static void judge_tail(struct walk *w, uint64_t rest)
{
	enum walk_fault fault;

	if (!w->torn && runs_on(w)) {
		om_walk_find(w, OM_FINDING_TAMPERED,
			     is_note(w->buf + w->scan, w->len - w->scan) ? "2" : "1",
			     w->tree.size + w->n, w->base + w->scan,
			     "bytes follow where a line ends");
		return;
	}
	if (w->bad >= 0 && (w->torn || om_seg_torn(w->line[w->bad], w->line_len[w->bad],
						   om_walk_offset(w, w->line[w->bad])))) {
		rest += w->scan - (size_t)((const char *)w->line[w->bad] - w->buf);
		w->n = (uint32_t)w->bad;
		w->bad = -1;
	}
	fault = w->n || w->bad >= 0 ? om_walk_tail(w) : FAULT_NONE;
	if (fault) {
		om_walk_diagnose(w, fault);
		return;
	}
	w->res->tail_lines = w->n;
	w->res->tail_bytes = rest;
	om_walk_find(w, OM_FINDING_WARNING, "10", w->tree.size, w->base + w->pos,
		     "%u lines and %llu more bytes after the last note are not signed", w->n,
		     (unsigned long long)rest);
}

/* Gives a live writer time to finish its write: true when there is more to read now. */
static bool wait_for_more(struct walk *w, int *tries)
{
	if (!w->final || ++*tries > 10)
		return false;
	w->ended = true;
	pause_ms(20);
	/* Read the open end again: it may have been half written. */
	w->len = w->scan = w->pos;
	w->eof = w->torn = false;
	new_batch(w);
	return true;
}

static int walk_end(struct walk *w, int *tries, bool *again, struct om_err *err)
{
	uint64_t rest;
	int ret = 0;

	*again = false;
	rest = rest_bytes(w, err, &ret);
	if (ret < 0 || (!rest && !w->n))
		return ret;
	*again = wait_for_more(w, tries);
	if (*again)
		return 0;
	if (w->final)
		judge_tail(w, rest);
	else if (w->n)
		om_walk_diagnose(w, w->bad >= 0 ? FAULT_PARSE : FAULT_SHAPE);
	else
		om_walk_find(w, OM_FINDING_TAMPERED, "31", w->tree.size, w->base + w->pos,
			     "bytes that are no line end this segment");
	return 0;
}

static bool same_tree(const struct om_tree *a, const struct om_tree *b)
{
	uint8_t ra[32], rb[32];

	om_tree_root(a, ra);
	om_tree_root(b, rb);
	return a->size == b->size && !memcmp(ra, rb, 32);
}

/* Every open brane of the walk must be in the header as it stands, and nothing else. */
static bool branes_match(struct walk *w, const struct om_seg_head *h)
{
	struct om_json_val key, val;
	struct om_json_iter it;
	struct om_seg_brane s;
	uint32_t want = 0, got = 0, index;
	int ret = om_json_iter_init(&it, h->branes);

	for (uint32_t i = 0; i < w->n_brane; i++)
		want += !w->brane[i]->closed;
	while (ret >= 0 && (ret = om_json_iter_next(&it, &key, &val)) > 0) {
		struct walk_brane *b;

		if (om_seg_brane_parse(key, val, &s) < 0)
			return false;
		b = om_walk_brane(w, s.id, strlen(s.id), &index);
		if (!b || b->closed || !same_tree(&s.tree, b->tree) ||
		    memcmp(s.prev, b->prev, 32) || (index && memcmp(s.key, b->key, 32)))
			return false;
		got++;
	}
	return ret == 0 && got == want;
}

static void check_header(struct walk *w, const char *line, size_t len)
{
	struct om_seg_head h;
	bool ok = om_seg_head_parse(line, len, &h) == 0;

	if (!ok) {
		om_walk_find(w, OM_FINDING_TAMPERED, "1", w->tree.size, 0,
			     "the segment header is damaged");
		return;
	}
	if (!w->origin[0])
		memcpy(w->origin, h.origin, sizeof(w->origin));
	if (w->have_pin && strcmp(h.origin, w->pin.name)) {
		om_walk_find(w, OM_FINDING_TAMPERED, "1", w->tree.size, 0,
			     "the segment header names another origin than the pinned key");
		return;
	}
	if (h.tree.size != w->first) {
		om_walk_find(w, OM_FINDING_TAMPERED, "16", w->tree.size, 0,
			     "the header is of the segment of leaf %llu",
			     (unsigned long long)h.tree.size);
		return;
	}
	ok = same_tree(&h.tree, &w->tree) && !strcmp(h.origin, w->origin) &&
	     h.commits == w->commits && !memcmp(h.drop, w->drop, sizeof(h.drop)) &&
	     h.mono == w->mono && !memcmp(h.next, w->named, 32) && !strcmp(h.boot, w->boot) &&
	     branes_match(w, &h);
	if (!ok)
		om_walk_find(w, OM_FINDING_TAMPERED, same_tree(&h.tree, &w->tree) ? "1" : "16",
			     w->tree.size, 0,
			     "the segment header does not continue the segment before");
}

int om_walk_snapshot(struct walk *w, int stream_fd, uint64_t first, struct om_err *err)
{
	char name[OM_SEG_NAME_LEN + 1], chunk[65536];
	OM_CLEANUP(om_close_fd) int fd = -1;
	off_t at;

	om_seg_name(first, name);
	fd = openat(stream_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	at = fd < 0 ? -1 : lseek(fd, 0, SEEK_END);
	if (at < 0)
		return om_err_sys(err, OM_ERR_IO, -errno, "cannot open %s", name);
	w->snap_first = first;
	w->snap_end = 0;
	/* Back over the zeros written ahead. */
	while (at > 0 && !w->snap_end) {
		off_t from = at > (off_t)sizeof(chunk) ? at - (off_t)sizeof(chunk) : 0;
		ssize_t n = pread(fd, chunk, (size_t)(at - from), from);

		if (n < 0)
			return om_err_sys(err, OM_ERR_IO, -errno, "cannot read %s", name);
		while (n > 0 && !chunk[n - 1])
			n--;
		if (n > 0)
			w->snap_end = (uint64_t)from + (uint64_t)n;
		at = from;
	}
	return 0;
}

/* A last segment whose first write tore: nothing in it was ever released. */
static int torn_header(struct walk *w, struct om_err *err)
{
	int ret = 0;
	uint64_t rest = rest_bytes(w, err, &ret);

	if (ret < 0 || !rest)
		return ret;
	if (w->final)
		om_walk_find(w, OM_FINDING_WARNING, "10", w->tree.size, 0,
			     "the newest segment's first write is torn");
	else
		om_walk_find(w, OM_FINDING_TAMPERED, "1", w->tree.size, 0,
			     "the segment header is damaged");
	return 0;
}

int om_walk_segment(struct walk *w, int stream_fd, struct om_err *err)
{
	const char *line;
	size_t len;
	int ret = 0, tries = 0;
	bool again;

	om_seg_name(w->first, w->name);
	om_close_fd(&w->fd);
	w->fd = openat(stream_fd, w->name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (w->fd < 0)
		return om_err_sys(err, OM_ERR_IO, -errno, "cannot open %s", w->name);
	w->len = w->pos = w->scan = 0;
	w->base = 0;
	w->eof = w->torn = false;
	new_batch(w);
	if (w->first != w->tree.size) {
		om_walk_find(w, OM_FINDING_TAMPERED, w->first > w->tree.size ? "17" : "16",
			     w->tree.size, 0, "leaf %llu is due, this segment starts with %llu",
			     (unsigned long long)w->tree.size, (unsigned long long)w->first);
		return 0;
	}
	line = next_line(w, &len, err, &ret);
	if (!line)
		return ret < 0 ? ret : torn_header(w, err);
	w->scan += len + 1;
	check_header(w, line, len);
	new_batch(w);
	do {
		/* A writer that never rests must not keep its judge walking for ever: the first
		 * note at or past the end as it was at the start is where it stops. */
		while (!w->stop && (ret = step(w, err)) > 0)
			if (w->ended)
				return 0;
		again = false;
		if (ret == 0 && !w->stop)
			ret = walk_end(w, &tries, &again, err);
	} while (again && ret == 0);
	return ret;
}
