/*
 * The reader: see reader.h.
 *
 * Comes in: segment files, perhaps being written. Goes out: records under a note. Called by:
 * omegactl, the api role. Never does: map a file (its writer may cut it).
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "agent/chain/reader.h"
#include "agent/chain/seg.h"

#define READ_STEP (256u << 10)
#define READ_MAX  (64u << 20)

struct om_reader {
	int stream_fd, fd;
	struct om_reader_filter f;
	bool open;	/* a segment is open */
	uint64_t first; /* its first leaf */
	uint64_t leaf;	/* of the next record line */
	uint64_t damaged;
	char *buf;
	size_t cap, len, pos;
	size_t avail; /* end of the last note line found: what lies before may be shown */
	size_t scan;
	uint64_t base;
	bool headed; /* the header line was passed */
	struct om_json_val line;
};

bool om_brane_matches(const char *id, size_t len, const char *want)
{
	const char *hash = memchr(id, '#', len), *slash = memchr(id, '/', len);
	size_t n = strlen(want);

	if (len == n && !memcmp(id, want, n))
		return true;
	if (!hash)
		return false;
	if ((size_t)(hash - id) == n && !memcmp(id, want, n))
		return true;
	return slash && slash < hash && (size_t)(hash - slash - 1) == n &&
	       !memcmp(slash + 1, want, n);
}

static int open_segment(struct om_reader *r, uint64_t first, struct om_err *err)
{
	char name[OM_SEG_NAME_LEN + 1];

	om_seg_name(first, name);
	om_close_fd(&r->fd);
	r->fd = openat(r->stream_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (r->fd < 0)
		return om_err_sys(err, OM_ERR_IO, -errno, "cannot open %s", name);
	r->open = true;
	r->first = r->leaf = first;
	r->base = 0;
	r->len = r->pos = r->avail = r->scan = 0;
	r->headed = false;
	return 0;
}

/* Reads on behind what is in the buffer; *got says whether there was anything. */
static int fill(struct om_reader *r, bool *got, struct om_err *err)
{
	ssize_t n;

	if (r->pos) {
		memmove(r->buf, r->buf + r->pos, r->len - r->pos);
		r->base += r->pos;
		r->len -= r->pos;
		r->avail -= r->pos;
		r->scan -= r->pos;
		r->pos = 0;
	}
	if (r->cap - r->len < READ_STEP) {
		size_t cap = r->cap + OM_MAX(r->cap, (size_t)READ_STEP);
		char *grown = cap > READ_MAX ? NULL : realloc(r->buf, cap);

		if (!grown)
			return om_err_set(err, OM_ERR_NOMEM, -ENOMEM, "a batch without end");
		r->buf = grown;
		r->cap = cap;
	}
	n = pread(r->fd, r->buf + r->len, READ_STEP, (off_t)(r->base + r->len));
	if (n < 0)
		return om_err_sys(err, OM_ERR_IO, -errno, "cannot read the audit stream");
	*got = n > 0;
	r->len += (size_t)n;
	return 0;
}

/* Moves AVAIL over the next note line. 1, or 0 when the written part ends first. */
static int find_note(struct om_reader *r, struct om_err *err)
{
	bool got = true;

	for (;;) {
		const char *line = r->buf + r->scan, *lf = NULL;

		if (r->scan < r->len && *line)
			lf = memchr(line, '\n', r->len - r->scan);
		if (lf) {
			size_t len = (size_t)(lf - line);
			bool note = len > 9 && !memcmp(line, "{\"note\":\"", 9);

			r->scan += len + 1;
			if (!r->headed) {
				r->headed = true;
				r->pos = r->avail = r->scan;
			} else if (note) {
				r->avail = r->scan;
				return 1;
			}
			continue;
		}
		if (!got || (r->scan < r->len && !*line))
			break;
		if (fill(r, &got, err) < 0)
			return -EIO;
	}
	/* What was read past the last note may be half written: it is read again next time. */
	r->scan = r->len = r->avail;
	return 0;
}

/* The number of the segment after the open one, or of the first to read. 1 when there is one. */
static int later_segment(struct om_reader *r, uint64_t *next, struct om_err *err)
{
	OM_CLEANUP(om_free_ptr) uint64_t *firsts = NULL;
	size_t n;
	int ret = om_seg_list(r->stream_fd, &firsts, &n);

	if (ret < 0)
		return om_err_sys(err, OM_ERR_IO, ret, "cannot list the segments");
	for (size_t i = 0; i < n; i++)
		if (!r->open || firsts[i] > r->first) {
			*next = firsts[i];
			return 1;
		}
	return 0;
}

/* Makes lines available: 1, or 0 when there are none now. */
static int advance(struct om_reader *r, struct om_err *err)
{
	uint64_t next = 0;
	int more, ret;

	for (;;) {
		/* Listed before the last look into the open one: a segment that has a successor is
		 * complete, so that an empty look afterwards really is its end. */
		more = later_segment(r, &next, err);
		if (more < 0)
			return more;
		ret = r->open ? find_note(r, err) : 0;
		if (ret)
			return ret;
		if (!more)
			return 0;
		ret = open_segment(r, next, err);
		if (ret < 0)
			return ret;
	}
}

static bool wanted(const struct om_reader *r, const struct om_record *rec)
{
	const struct om_reader_filter *f = &r->f;
	size_t n = f->kind ? strlen(f->kind) : 0;

	if (rec->time < f->since)
		return false;
	if (f->brane && !om_brane_matches(rec->brane, rec->brane_len, f->brane))
		return false;
	if (!n)
		return true;
	if (f->kind[n - 1] == '.')
		return rec->kind_len > n && !memcmp(rec->kind, f->kind, n);
	return rec->kind_len == n && !memcmp(rec->kind, f->kind, n);
}

int om_reader_next(struct om_reader *r, struct om_record *rec, struct om_err *err)
{
	for (;;) {
		const char *line, *lf;
		size_t len;
		int ret;

		if (r->pos >= r->avail) {
			ret = advance(r, err);
			if (ret <= 0)
				return ret;
		}
		line = r->buf + r->pos;
		lf = memchr(line, '\n', r->avail - r->pos);
		len = lf ? (size_t)(lf - line) : r->avail - r->pos;
		r->pos += len + 1;
		if (len > 9 && !memcmp(line, "{\"note\":\"", 9))
			continue;
		r->leaf++;
		if (om_record_parse(line, len, rec) < 0) {
			r->damaged++;
			continue;
		}
		r->line = (struct om_json_val){line, len};
		if (wanted(r, rec))
			return 1;
	}
}

uint64_t om_reader_leaf(const struct om_reader *r)
{
	return r->leaf - 1;
}

struct om_json_val om_reader_line(const struct om_reader *r)
{
	return r->line;
}

uint64_t om_reader_damaged(const struct om_reader *r)
{
	return r->damaged;
}

/* Time of the first record of segment FIRST; far in the future when it has none. */
static int64_t start_time(struct om_reader *r, uint64_t first)
{
	struct om_reader_filter all = {0}, mine = r->f;
	struct om_record rec;
	int64_t t = INT64_MAX;

	r->f = all;
	if (open_segment(r, first, NULL) == 0 && find_note(r, NULL) > 0 &&
	    om_reader_next(r, &rec, NULL) > 0)
		t = rec.time;
	r->f = mine;
	return t;
}

/* Opens the last segment that starts before SINCE: what came before it cannot be wanted. */
static int seek(struct om_reader *r, struct om_err *err)
{
	OM_CLEANUP(om_free_ptr) uint64_t *firsts = NULL;
	size_t n;
	int ret = om_seg_list(r->stream_fd, &firsts, &n);

	if (ret < 0)
		return om_err_sys(err, OM_ERR_IO, ret, "cannot list the segments");
	if (!n)
		return 0;
	while (n > 1 && start_time(r, firsts[n - 1]) >= r->f.since)
		n--;
	return open_segment(r, firsts[n - 1], err);
}

int om_reader_open(int audit_fd, const struct om_reader_filter *f, struct om_reader **out,
		   struct om_err *err)
{
	struct om_reader *r = calloc(1, sizeof(*r));
	int ret;

	if (!r)
		return om_err_set(err, OM_ERR_NOMEM, -ENOMEM, "no memory to read the log");
	r->fd = -1;
	if (f)
		r->f = *f;
	r->cap = READ_STEP;
	r->buf = malloc(r->cap);
	r->stream_fd = openat(audit_fd, "stream", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (!r->buf)
		ret = om_err_set(err, OM_ERR_NOMEM, -ENOMEM, "no memory to read the log");
	else if (r->stream_fd < 0)
		ret = om_err_sys(err, OM_ERR_IO, -errno, "there is no audit stream");
	else
		ret = r->f.since ? seek(r, err) : 0;
	if (ret < 0) {
		om_reader_close(r);
		return ret;
	}
	*out = r;
	return 0;
}

void om_reader_close(struct om_reader *r)
{
	if (!r)
		return;
	om_close_fd(&r->fd);
	om_close_fd(&r->stream_fd);
	free(r->buf);
	free(r);
}
