/*
 * Segment files: preallocation, writing a batch, starting the next segment, `checkpoint`.
 *
 * Comes in: a signed batch in memory. Goes out: the same on disk. Called by: log_commit.c. Never
 * does: report a batch as written before fdatasync returned 0, write again into a file whose
 * fdatasync failed (the kernel may have dropped the dirty pages and would report success), or lose
 * the batch: it stays in memory until it is durable.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include "agent/chain/log_int.h"

static int by_id(const void *a, const void *b)
{
	const struct log_brane *const *x = a, *const *y = b;

	return strcmp((*x)->id, (*y)->id);
}

static void put_brane(struct om_out *o, const struct log_brane *b, bool first)
{
	struct om_seg_brane s;

	memcpy(s.id, b->id, sizeof(s.id));
	om_log_copy_tree(&s.tree, &b->tree);
	memcpy(s.prev, b->prev0, 32);
	memcpy(s.key, b->pk0, 32);
	om_seg_head_brane(o, &s, first);
}

/* The header line of a segment that starts at the durable end. malloc'd. */
static int make_header(struct om_log *log, char **out, size_t *len)
{
	OM_CLEANUP(om_free_ptr) struct log_brane **sorted = calloc(log->n_brane, sizeof(*sorted));
	struct om_seg_head h = {.commits = log->commits, .mono = log->mono0};
	size_t n = 0, cap = 4096 + OM_TREE_LEVELS * 64;
	struct om_out o;
	char *buf;

	for (uint32_t i = 0; sorted && i < log->n_brane; i++) {
		struct log_brane *b = log->brane[i];

		/* A brane whose first line is in this batch is not part of the state before it. */
		if (!b || (i && !b->tree.size))
			continue;
		sorted[n++] = b;
		cap += 512 + (size_t)__builtin_popcountll(b->tree.size) * 64;
	}
	buf = sorted ? malloc(cap) : NULL;
	if (!buf)
		return -ENOMEM;
	qsort(sorted, n, sizeof(struct log_brane *), by_id);
	memcpy(h.boot, log->boot0, sizeof(h.boot));
	memcpy(h.origin, log->origin, sizeof(h.origin));
	memcpy(h.drop, log->drop0, sizeof(h.drop));
	memcpy(h.next, log->named_pk, 32);
	om_log_copy_tree(&h.tree, &log->tree);
	om_out_init(&o, buf, cap);
	om_seg_head_begin(&o, &h);
	for (size_t i = 0; i < n; i++)
		put_brane(&o, sorted[i], i == 0);
	om_seg_head_end(&o, &h);
	if (o.over) {
		free(buf);
		return -E2BIG;
	}
	*out = buf;
	*len = (size_t)(o.p - buf);
	return 0;
}

/* Zeros ahead of use: a sync into written blocks needs no metadata. Best effort. */
static void preallocate(struct om_log *log, uint64_t need)
{
	static const char zeros[65536];
	uint64_t end = log->seg_off + need;

	if (end <= log->seg_alloc)
		return;
	end = OM_MIN(log->seg_off + OM_MAX(need, log->opt.prealloc_bytes),
		     OM_MAX(end, log->opt.segment_bytes));
	if (log->seg_alloc < log->seg_off)
		log->seg_alloc = log->seg_off;
	while (log->seg_alloc < end) {
		size_t step = (size_t)OM_MIN(end - log->seg_alloc, (uint64_t)sizeof(zeros));
		ssize_t n = pwrite(log->seg_fd, zeros, step, (off_t)log->seg_alloc);

		if (n <= 0)
			return;
		log->seg_alloc += (uint64_t)n;
	}
}

static int write_all(struct om_log *log, struct iovec *iov, int n)
{
	uint64_t at = log->seg_off;

	while (n) {
		ssize_t done = pwritev(log->seg_fd, iov, n, (off_t)at);

		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			return done ? -errno : -EIO;
		at += (uint64_t)done;
		while (n && (size_t)done >= iov->iov_len) {
			done -= (ssize_t)iov->iov_len;
			iov++;
			n--;
		}
		if (n) {
			iov->iov_base = (char *)iov->iov_base + done;
			iov->iov_len -= (size_t)done;
		}
	}
	return 0;
}

static int sync_data(struct om_log *log)
{
	if (log->opt.test_fail_sync && *log->opt.test_fail_sync > 0) {
		(*log->opt.test_fail_sync)--;
		return -EIO;
	}
	return !log->opt.no_sync && fdatasync(log->seg_fd) < 0 ? -errno : 0;
}

/* Cuts the old segment at its durable end; what lies behind is this batch, which is in memory. */
static int seal_segment(struct om_log *log)
{
	if (log->seg_fd < 0)
		return 0;
	if (ftruncate(log->seg_fd, (off_t)log->seg_off) < 0)
		return -errno;
	if (!log->opt.no_sync)
		(void)!fdatasync(log->seg_fd); /* an old segment's zeros are all this could lose */
	om_close_fd(&log->seg_fd);
	return 0;
}

static int new_segment(struct om_log *log)
{
	char name[OM_SEG_NAME_LEN + 1];
	int ret = seal_segment(log);

	if (ret < 0)
		return ret;
	om_seg_name(log->tree.size, name);
	/* A file of this name holds nothing durable: an earlier try to start this very segment. */
	log->seg_fd = openat(log->stream_fd, name,
			     O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0640);
	if (log->seg_fd < 0)
		return -errno;
	log->seg_off = log->seg_alloc = 0;
	return fsync(log->stream_fd) < 0 ? -errno : 0;
}

/* One try: header when the segment is empty, then the batch, then fdatasync. */
static int try_write(struct om_log *log)
{
	OM_CLEANUP(om_free_ptr) char *head = NULL;
	struct iovec iov[2];
	size_t head_len = 0;
	int n = 0, ret;

	if (!log->seg_off) {
		ret = make_header(log, &head, &head_len);
		if (ret < 0)
			return ret;
		iov[n++] = (struct iovec){head, head_len};
	}
	iov[n++] = (struct iovec){log->buf, log->len};
	preallocate(log, head_len + log->len);
	ret = write_all(log, iov, n);
	if (ret == 0)
		ret = sync_data(log);
	if (ret == 0) {
		log->seg_off += head_len + log->len;
		log->seg_alloc = OM_MAX(log->seg_alloc, log->seg_off);
	}
	return ret;
}

static bool is_full(int ret)
{
	return ret == -ENOSPC || ret == -EDQUOT;
}

static int full(struct om_err *err)
{
	return om_err_set(err, OM_ERR_LOG_FULL, -ENOSPC,
			  "no room for the audit log; the batch waits in memory");
}

int om_log_write_batch(struct om_log *log, struct om_err *err)
{
	bool roll = log->seg_fd < 0 || (log->seg_off && !log->kept &&
					log->seg_off + log->len > log->opt.segment_bytes);
	int ret = roll ? new_segment(log) : 0;

	if (ret == 0)
		ret = try_write(log);
	if (ret == 0)
		return 0;
	if (is_full(ret))
		return full(err);
	/* The file is not to be trusted after a failed sync: once more in a new one. */
	ret = new_segment(log);
	if (ret == 0)
		ret = try_write(log);
	if (ret == 0)
		return 0;
	return is_full(ret) ? full(err)
			    : om_err_sys(err, OM_ERR_LOG_IO, ret, "cannot write the audit log");
}

/* The signer is gone: the lines go to disk as they are, and the next start keeps them as leaves. */
void om_log_write_unsigned(struct om_log *log)
{
	if (log->seg_fd < 0 && new_segment(log) < 0)
		return;
	(void)!try_write(log);
}

/* Derived and replaceable, so a failure is no error: readers that need the truth walk the stream. */
void om_log_publish(struct om_log *log)
{
	OM_CLEANUP(om_close_fd)
	int fd = openat(log->audit_fd, "checkpoint.new",
			O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);

	if (fd < 0 || write(fd, log->note, log->note_len) != (ssize_t)log->note_len)
		return;
	(void)!renameat(log->audit_fd, "checkpoint.new", log->audit_fd, "checkpoint");
}
