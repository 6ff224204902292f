/*
 * Start: from the files back to the state of the last durable commit.
 *
 * Comes in: the stream directory. Goes out: the writer's state, the lines after the last note (kept
 * as leaves of the first new batch, byte for byte where they lie), and a torn end moved aside to
 * stream/N.torn. Called by: om_log_open. Never does: delete a byte, sign anything, or repair a log
 * whose signed part does not fold to its notes: that is for verify-chain to name, not to paper over.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <omega/sha256.h>
#include "agent/chain/log_int.h"

/* One segment mapped for reading. */
struct view {
	const char *p;
	size_t len;
};

static void unmap(struct view *v)
{
	if (v->p)
		munmap((void *)(uintptr_t)v->p, v->len);
}

static int map_file(int fd, struct view *v)
{
	struct stat st;
	void *p;

	if (fstat(fd, &st) < 0)
		return -errno;
	v->len = (size_t)st.st_size;
	if (!v->len)
		return 0;
	p = mmap(NULL, v->len, PROT_READ, MAP_PRIVATE, fd, 0);
	if (p == MAP_FAILED)
		return -errno;
	v->p = p;
	return 0;
}

/* Length of the line at AT without LF, or -1 when there is no whole one. */
static long line_at(const struct view *v, size_t at)
{
	const char *lf = at < v->len ? memchr(v->p + at, '\n', v->len - at) : NULL;

	return lf ? lf - (v->p + at) : -1;
}

static int load_header(struct om_log *log, const struct om_seg_head *h)
{
	struct om_json_val key, val;
	struct om_json_iter it;
	int ret = om_json_iter_init(&it, h->branes);

	memcpy(log->origin, h->origin, sizeof(log->origin));
	memcpy(log->boot0, h->boot, sizeof(log->boot0));
	memcpy(log->boot, h->boot, sizeof(log->boot));
	memcpy(log->named_pk, h->next, 32);
	memcpy(log->drop, h->drop, sizeof(log->drop));
	memcpy(log->drop0, h->drop, sizeof(log->drop0));
	log->commits = h->commits;
	log->mono = log->mono0 = h->mono;
	om_log_copy_tree(&log->tree, &h->tree);
	while (ret >= 0 && (ret = om_json_iter_next(&it, &key, &val)) > 0) {
		struct om_seg_brane s;
		struct log_brane *b;
		uint32_t handle = 0;

		ret = om_seg_brane_parse(key, val, &s);
		if (ret == 0 && strcmp(s.id, OM_NODE_NAME))
			ret = om_log_new_brane(log, s.id, strlen(s.id), &handle);
		if (ret < 0)
			break;
		b = log->brane[handle];
		om_log_copy_tree(&b->tree, &s.tree);
		memcpy(b->prev0, s.prev, 32);
		memcpy(b->prev, s.prev, 32);
		memcpy(b->pk, s.key, 32);
		memcpy(b->pk0, s.key, 32);
		b->seq = s.tree.size;
	}
	return ret;
}

/* What a replay remembers between a commit record and the note that must follow it. */
struct replay {
	struct om_commit commit;
	bool committed; /* the last staged line is a commit record */
	size_t commit_len;
	uint64_t node_seq; /* @node before that line, to take it back */
	uint8_t node_prev[32];
	int64_t mono;
	size_t good; /* end of the last valid note */
	size_t kept; /* end of the whole, chained lines */
};

static int find_owner(struct om_log *log, const struct om_record *r, uint32_t *handle)
{
	for (uint32_t i = 0; i < log->n_brane; i++) {
		const struct log_brane *b = log->brane[i];

		if (b && b->id_len == r->brane_len && !memcmp(b->id, r->brane, r->brane_len)) {
			*handle = i;
			return 0;
		}
	}
	if (!om_record_is(r, "log.open") || r->seq)
		return -EBADMSG;
	return om_log_new_brane(log, r->brane, r->brane_len, handle);
}

static void note_kind(struct om_log *log, const struct om_record *r, uint32_t handle)
{
	struct om_json_val v;

	if (handle) {
		if (om_record_is(r, "log.close"))
			log->brane[handle]->closing = true;
		if (om_record_is(r, "log.open") || om_record_is(r, "key.brane"))
			if (om_json_get(r->data, "key", &v) == 0)
				(void)!om_json_b64(v, log->brane[handle]->pk, 32);
		return;
	}
	if (!om_record_is(r, "commit"))
		log->clean = om_record_is(r, "log.close");
	if ((om_record_is(r, "log.open") || om_record_is(r, "boot")) &&
	    om_json_get(r->data, "boot_id", &v) == 0)
		(void)!om_json_str(v, log->boot, sizeof(log->boot));
}

/* Adds one whole line to the batch if it chains on. */
static int stage_line(struct om_log *log, struct replay *rp, const char *line, size_t len)
{
	struct om_record r;
	char prev[OM_B64_HASH];
	struct log_brane *b;
	uint32_t handle;

	if (rp->committed || log->n + 32 > OM_SIGN_LEAVES_MAX ||
	    log->len + len + 1 > OM_BATCH_BYTES_MAX || om_record_parse(line, len, &r) < 0 ||
	    find_owner(log, &r, &handle) < 0)
		return -EBADMSG;
	b = log->brane[handle];
	om_b64_encode(b->prev, 32, prev);
	if (r.seq != b->seq || memcmp(prev, r.prev, OM_B64_HASH) || b->closing)
		return -EBADMSG;
	if (!handle && om_record_is(&r, "commit")) {
		if (om_commit_parse(r.data, &rp->commit) < 0)
			return -EBADMSG;
		rp->committed = true;
		rp->commit_len = len + 1;
		rp->node_seq = b->seq;
		rp->mono = log->mono;
		memcpy(rp->node_prev, b->prev, 32);
	}
	note_kind(log, &r, handle);
	memcpy(log->buf + log->len, line, len);
	log->buf[log->len + len] = '\n';
	om_log_stage(log, handle, len + 1);
	log->mono = r.mono;
	return 0;
}

/* A commit record without its note was never released; it names a key and is moved aside. */
static void unstage_commit(struct om_log *log, struct replay *rp)
{
	struct log_brane *node = log->brane[OM_LOG_NODE];

	if (!rp->committed)
		return;
	log->n--;
	log->len -= rp->commit_len;
	log->mono = rp->mono;
	node->seq = rp->node_seq;
	memcpy(node->prev, rp->node_prev, 32);
	rp->kept -= rp->commit_len;
	rp->committed = false;
}

static void forget_closed(struct om_log *log)
{
	for (uint32_t i = 1; i < log->n_brane; i++)
		if (log->brane[i] && log->brane[i]->closing)
			om_log_forget_brane(log, i);
}

/* A note line: the node's closes the batch, a brane's is passed over. -EBADMSG when it fits neither. */
static int take_note(struct om_log *log, struct replay *rp, const char *line, size_t len)
{
	char text[OM_NOTE_MAX];
	struct om_checkpoint c;
	struct om_note n;
	uint8_t root[32];
	int ret = om_note_from_line(line, len, text);

	if (ret < 0 || om_note_parse(text, (size_t)ret, &n) < 0 ||
	    om_checkpoint_parse(n.body, n.body_len, &c) < 0)
		return -EBADMSG;
	if (c.origin_len != strlen(log->origin))
		return rp->committed || log->n ? -EBADMSG : 0;
	if (!rp->committed)
		return -EBADMSG;
	om_log_grow(log);
	om_tree_root(&log->grown, root);
	if (c.size != log->grown.size || memcmp(root, c.root, 32))
		return -EBADMSG;
	memcpy(log->drop, rp->commit.drop, sizeof(log->drop));
	memcpy(log->drop_sealed, rp->commit.drop, sizeof(log->drop));
	memcpy(log->named_pk, rp->commit.next, 32);
	om_log_absorb(log);
	forget_closed(log);
	rp->committed = false;
	return 0;
}

static bool is_note(const char *line, size_t len)
{
	return len > 9 && !memcmp(line, "{\"note\":\"", 9);
}

/* Walks one segment from AT to its last note, and on through the lines that still chain. */
static void replay(struct om_log *log, const struct view *v, size_t at, struct replay *rp)
{
	long len;

	rp->good = rp->kept = at;
	while ((len = line_at(v, at)) >= 0) {
		const char *line = v->p + at;
		bool note = is_note(line, (size_t)len);
		int ret = note ? take_note(log, rp, line, (size_t)len)
			       : stage_line(log, rp, line, (size_t)len);

		if (ret < 0)
			break;
		at += (size_t)len + 1;
		rp->kept = at;
		if (note)
			rp->good = at;
	}
	unstage_commit(log, rp);
}

/* Node notes in whole lines from AT on. */
static unsigned int count_notes(const struct om_log *log, const struct view *v, size_t at)
{
	unsigned int count = 0;
	long len;

	for (; (len = line_at(v, at)) >= 0; at += (size_t)len + 1) {
		const char *line = v->p + at;
		char text[OM_NOTE_MAX];
		struct om_checkpoint c;
		struct om_note n;
		int m;

		if (!is_note(line, (size_t)len))
			continue;
		m = om_note_from_line(line, (size_t)len, text);
		if (m > 0 && om_note_parse(text, (size_t)m, &n) == 0 &&
		    om_checkpoint_parse(n.body, n.body_len, &c) == 0 &&
		    c.origin_len == strlen(log->origin))
			count++;
	}
	return count;
}

/*
 * A crash can only have torn the last write, and leaves zeros where sectors are missing. Whole text
 * that does not fold to its note, or two notes past the break, is no crash: someone altered it.
 */
static bool altered(const struct om_log *log, const struct view *v, size_t kept)
{
	unsigned int notes = count_notes(log, v, kept);
	size_t end = v->len;

	while (end > kept && !v->p[end - 1])
		end--;
	return notes > 1 || (notes == 1 && !om_seg_torn(v->p + kept, end - kept, kept));
}

static int put_torn(struct om_log *log, const char *p, size_t len, struct om_err *err)
{
	OM_CLEANUP(om_close_fd) int fd = -1;
	char name[48];

	for (int i = 0; fd < 0 && i < 1000; i++) {
		snprintf(name, sizeof(name), i ? "%012llu.%d.torn" : "%012llu.torn",
			 (unsigned long long)(log->tree.size + log->n), i);
		fd = openat(log->stream_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0640);
		if (fd < 0 && errno != EEXIST)
			break;
	}
	while (fd >= 0 && len) {
		ssize_t n = write(fd, p, len);

		if (n <= 0)
			return om_err_sys(err, OM_ERR_LOG_IO, errno ? -errno : -EIO,
					  "cannot keep the torn end in %s", name);
		p += n;
		len -= (size_t)n;
	}
	if (fd < 0 || fsync(fd) < 0 || fsync(log->stream_fd) < 0)
		return om_err_sys(err, OM_ERR_LOG_IO, -errno, "cannot keep the torn end in %s",
				  name);
	return 0;
}

/* Keeps what follows the good lines, without the zeros of the preallocation, then cuts it off. */
static int cut_tail(struct om_log *log, int fd, const struct view *v, size_t kept,
		    struct log_found *found, struct om_err *err)
{
	size_t end = v->len;

	while (end > kept && !v->p[end - 1])
		end--;
	if (end > kept) {
		int ret = put_torn(log, v->p + kept, end - kept, err);

		if (ret < 0)
			return ret;
		found->torn += end - kept;
		om_sha256(v->p + kept, end - kept, found->torn_sha256);
	}
	if (ftruncate(fd, (off_t)kept) < 0 || fsync(fd) < 0)
		return om_err_sys(err, OM_ERR_LOG_IO, -errno, "cannot cut the torn end");
	return 0;
}

/* A segment whose header never became whole holds nothing durable: aside with it, and one back. */
static int set_aside(struct om_log *log, const char *name, const struct view *v,
		     struct log_found *found, struct om_err *err)
{
	size_t end = v->len;
	int ret = 0;

	while (end && !v->p[end - 1])
		end--;
	if (end) {
		ret = put_torn(log, v->p, end, err);
		found->torn += end;
		om_sha256(v->p, end, found->torn_sha256);
	}
	if (ret == 0 && (unlinkat(log->stream_fd, name, 0) < 0 || fsync(log->stream_fd) < 0))
		ret = om_err_sys(err, OM_ERR_LOG_IO, -errno, "cannot set %s aside", name);
	return ret;
}

static void reset(struct om_log *log)
{
	struct log_brane *node = log->brane[OM_LOG_NODE];

	for (uint32_t i = 1; i < log->n_brane; i++)
		om_log_forget_brane(log, i);
	memset(node->prev, 0, 32);
	memset(node->prev0, 0, 32);
	node->seq = 0;
	log->n = 0;
	log->len = 0;
	log->mono = 0;
	log->boot[0] = log->boot0[0] = 0;
}

/* 1: state loaded. 0: the segment was set aside. */
static int recover_segment(struct om_log *log, uint64_t first, struct log_found *found,
			   struct om_err *err)
{
	OM_CLEANUP(om_close_fd) int fd = -1;
	OM_CLEANUP(unmap) struct view v = {0};
	char name[OM_SEG_NAME_LEN + 1];
	struct om_seg_head h;
	struct replay rp = {0};
	long len;
	int ret;

	om_seg_name(first, name);
	fd = openat(log->stream_fd, name, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	ret = fd < 0 ? -errno : map_file(fd, &v);
	if (ret < 0)
		return om_err_sys(err, OM_ERR_LOG_IO, ret, "cannot read %s", name);
	len = line_at(&v, 0);
	if (len < 0 || om_seg_head_parse(v.p, (size_t)len, &h) < 0)
		return set_aside(log, name, &v, found, err);
	if (h.tree.size != first || load_header(log, &h) < 0)
		return om_err_set(err, OM_ERR_LOG_FORMAT, -EBADMSG,
				  "the header of %s is damaged; run verify-chain", name);
	replay(log, &v, (size_t)len + 1, &rp);
	if (altered(log, &v, rp.kept))
		return om_err_set(err, OM_ERR_LOG_FORMAT, -EBADMSG,
				  "%s is damaged at byte %zu; run verify-chain", name, rp.kept);
	if (!log->tree.size) {
		/* Nothing was ever committed: the log starts anew, the remains go aside. */
		reset(log);
		return set_aside(log, name, &v, found, err);
	}
	ret = cut_tail(log, fd, &v, rp.kept, found, err);
	if (ret < 0)
		return ret;
	found->unsig = log->n;
	log->kept = log->n > 0;
	log->seg_off = rp.good;
	log->seg_alloc = rp.kept;
	log->seg_fd = OM_STEAL_FD(fd);
	return 1;
}

int om_log_recover(struct om_log *log, struct log_found *found, struct om_err *err)
{
	OM_CLEANUP(om_free_ptr) uint64_t *firsts = NULL;
	size_t n;
	int ret = om_seg_list(log->stream_fd, &firsts, &n);

	if (ret < 0)
		return om_err_sys(err, OM_ERR_LOG_IO, ret, "cannot list the segments");
	found->any = n > 0;
	for (ret = 0; n && !ret; n--)
		ret = recover_segment(log, firsts[n - 1], found, err);
	return ret < 0 ? ret : 0;
}
