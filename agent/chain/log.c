/*
 * The writer: opening, branes, records.
 *
 * Comes in: calls of the drain role. Goes out: lines in the batch. Called by: see log.h. Never does:
 * touch a file (log_segment.c) or a signature (log_commit.c) itself.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include <omega/sha256.h>
#include "agent/chain/log_int.h"

static int64_t now(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

int64_t om_log_now_mono(void)
{
	return now(CLOCK_BOOTTIME);
}

int64_t om_log_now_real(void)
{
	return now(CLOCK_REALTIME);
}

int om_log_boot_id(char out[OM_BOOT_ID_LEN + 1])
{
	OM_CLEANUP(om_close_fd)
	int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);

	if (fd < 0 || read(fd, out, OM_BOOT_ID_LEN) != (ssize_t)OM_BOOT_ID_LEN)
		return -EIO;
	out[OM_BOOT_ID_LEN] = 0;
	return 0;
}

static int record_error(struct om_err *err, int ret, const char *kind)
{
	return om_err_set(err, OM_ERR_LOG_RECORD, ret, "record of kind %.31s is %s", kind,
			  ret == -E2BIG	   ? "too large"
			  : ret == -EEXIST ? "given one key twice"
					   : "malformed");
}

int om_log_put(struct om_log *log, uint32_t handle, const char *kind, struct om_data *data,
	       struct om_err *err)
{
	struct log_brane *b = log->brane[handle];
	int64_t mono = om_log_now_mono();
	struct om_record_parts p = {
		.brane = b->id,
		.brane_len = b->id_len,
		.kind = kind,
		.kind_len = strnlen(kind, OM_KIND_MAX + 1),
		.data = data,
		.mono = OM_MAX(mono, log->mono),
		.seq = b->seq,
		.time = om_log_now_real(),
		.prev = b->prev,
	};
	struct om_out o;
	int ret;

	if (!om_kind_valid(kind, p.kind_len))
		return record_error(err, -EINVAL, kind);
	om_out_init(&o, log->buf + log->len, LOG_BUF_BYTES - log->len);
	ret = om_record_emit(&p, &o);
	if (ret == 0)
		om_out_lit(&o, "\n");
	if (ret < 0 || o.over)
		return record_error(err, ret < 0 ? ret : -E2BIG, kind);
	log->mono = p.mono;
	if (!log->n)
		log->first_at = mono;
	om_log_stage(log, handle, (size_t)(o.p - log->buf) - log->len);
	return 0;
}

void om_log_stage(struct om_log *log, uint32_t handle, size_t len)
{
	struct log_brane *b = log->brane[handle];

	om_sha256_leaf(log->buf + log->len, len - 1, log->leaf[log->n]);
	memcpy(b->prev, log->leaf[log->n], 32);
	b->seq++;
	log->owner[log->n++] = handle;
	log->len += len;
}

/* A wall clock that jumps makes every later time a claim of its own: the jump itself is a record. */
void om_log_check_clock(struct om_log *log)
{
	int64_t offset = om_log_now_real() - om_log_now_mono();
	int64_t by = offset - log->offset;
	struct om_data d;

	if (by < LOG_STEP_US && by > -LOG_STEP_US)
		return;
	om_data_init(&d);
	om_data_int(&d, "by", by);
	if (om_log_put(log, OM_LOG_NODE, "clock.step", &d, NULL) == 0)
		log->offset = offset;
}

static int refuse_state(struct om_log *log, struct om_err *err)
{
	if (log->dead)
		return om_err_set(err, OM_ERR_LOG_SIGNER, -EPIPE,
				  "the signer is gone; close the log and open it again");
	if (log->signed_len)
		return om_err_set(err, OM_ERR_LOG_FULL, -ENOSPC,
				  "a signed batch waits for room on the disk");
	return 0;
}

static bool handle_ok(const struct om_log *log, uint32_t h)
{
	return h < log->n_brane && log->brane[h] && !log->brane[h]->closing;
}

/* Leaves room for a clock step, the record itself and the commit. */
static int make_room(struct om_log *log, struct om_err *err)
{
	int ret = refuse_state(log, err);

	if (ret < 0)
		return ret;
	if (log->n + 3 <= OM_BATCH_EVENTS_MAX &&
	    log->len + OM_RECORD_MAX + 2048 <= OM_BATCH_BYTES_MAX)
		return 0;
	return om_log_commit(log, err);
}

int om_log_append(struct om_log *log, uint32_t handle, const char *kind, struct om_data *data,
		  unsigned int flags, struct om_err *err)
{
	int ret;

	if (!handle_ok(log, handle))
		return om_err_set(err, OM_ERR_INVALID, -EINVAL, "no such brane handle");
	ret = make_room(log, err);
	if (ret < 0)
		return ret;
	om_log_check_clock(log);
	ret = om_log_put(log, handle, kind, data, err);
	if (ret == 0 && (flags & OM_LOG_URGENT))
		log->urgent = true;
	return ret;
}

int om_log_new_brane(struct om_log *log, const char *id, size_t len, uint32_t *handle)
{
	struct log_brane *b;
	uint32_t h = 0;

	while (h < log->n_brane && log->brane[h])
		h++;
	if (h == log->n_brane) {
		struct log_brane **grown;

		if (h > OM_BRANES_MAX)
			return -ENOSPC;
		grown = realloc(log->brane, (h + 64) * sizeof(*grown));
		if (!grown)
			return -ENOMEM;
		memset(grown + h, 0, 64 * sizeof(*grown));
		log->brane = grown;
		log->n_brane = h + 64;
	}
	b = calloc(1, sizeof(*b));
	if (!b || len > OM_BRANE_ID_MAX) {
		free(b);
		return b ? -EINVAL : -ENOMEM;
	}
	memcpy(b->id, id, len);
	b->id_len = (uint32_t)len;
	log->brane[h] = b;
	*handle = h;
	return 0;
}

void om_log_forget_brane(struct om_log *log, uint32_t handle)
{
	free(log->brane[handle]);
	log->brane[handle] = NULL;
}

static int find_brane(const struct om_log *log, const char *id, uint32_t *handle)
{
	for (uint32_t i = 1; i < log->n_brane; i++)
		if (log->brane[i] && !strcmp(log->brane[i]->id, id)) {
			*handle = i;
			return 1;
		}
	return 0;
}

/* Asks the signer for a key; the tag and the public half go into the brane. */
static int key_brane(struct om_log *log, struct log_brane *b, struct om_err *err)
{
	uint8_t frontier[OM_TREE_LEVELS][32];

	om_tree_frontier(&b->tree, frontier);
	return log->signer->ops->brane_open(log->signer, b->id, b->tree.size,
					    (const uint8_t(*)[32])frontier, &b->tag, b->pk, err);
}

static int start_brane(struct om_log *log, const char *id, const char *instance,
		       const struct om_data *extra, uint32_t *handle, struct om_err *err)
{
	struct om_data d;
	struct log_brane *b;
	int ret = om_log_new_brane(log, id, strlen(id), handle);

	if (ret < 0)
		return om_err_set(err, OM_ERR_NOMEM, ret, "no room for brane %s", id);
	b = log->brane[*handle];
	ret = key_brane(log, b, err);
	if (ret == 0) {
		om_data_init(&d);
		if (extra)
			d = *extra;
		om_data_word(&d, "instance", instance);
		om_data_b64(&d, "key", b->pk, 32);
		ret = om_log_append(log, *handle, "log.open", &d, 0, err);
		if (ret < 0)
			(void)!log->signer->ops->brane_close(log->signer, b->tag, NULL);
	}
	if (ret < 0)
		om_log_forget_brane(log, *handle);
	else
		b->owned = true;
	return ret;
}

int om_log_brane_open(struct om_log *log, const char *name, const char *instance,
		      const struct om_data *extra, uint32_t *handle, struct om_err *err)
{
	char id[OM_BRANE_ID_MAX + 2];
	int len = snprintf(id, sizeof(id), "%s#%s", name, instance);
	int ret = refuse_state(log, err);

	if (ret < 0)
		return ret;
	if (len < 0 || len > (int)OM_BRANE_ID_MAX || name[0] == '@' ||
	    !om_brane_id_valid(id, (size_t)len))
		return om_err_set(err, OM_ERR_INVALID, -EINVAL, "invalid brane name or instance");
	if (find_brane(log, id, handle)) {
		struct log_brane *b = log->brane[*handle];

		/* Two lives under one id could be spliced into each other. */
		if (b->owned || b->closing)
			return om_err_set(err, OM_ERR_EXISTS, -EEXIST, "brane %s is open", id);
		b->owned = true;
		return 0;
	}
	return start_brane(log, id, instance, extra, handle, err);
}

bool om_log_brane_is_open(const struct om_log *log, const char *name, const char *instance)
{
	char id[OM_BRANE_ID_MAX + 2];
	int len = snprintf(id, sizeof(id), "%s#%s", name, instance);
	uint32_t handle;

	return len > 0 && len < (int)sizeof(id) && find_brane(log, id, &handle) &&
	       !log->brane[handle]->closing;
}

int om_log_brane_close(struct om_log *log, uint32_t handle, struct om_data *data,
		       struct om_err *err)
{
	int ret;

	if (handle == OM_LOG_NODE)
		return om_err_set(err, OM_ERR_INVALID, -EINVAL, "@node closes with the log");
	ret = om_log_append(log, handle, "log.close", data, 0, err);
	if (ret == 0)
		log->brane[handle]->closing = true;
	return ret;
}

void om_log_each_orphan(struct om_log *log, void (*fn)(const char *id, void *ctx), void *ctx)
{
	for (uint32_t i = 1; i < log->n_brane; i++)
		if (log->brane[i] && !log->brane[i]->owned && !log->brane[i]->closing)
			fn(log->brane[i]->id, ctx);
}

void om_log_drop(struct om_log *log, enum om_log_drop cls, uint64_t n)
{
	if (!n)
		return;
	log->drop[cls] += n;
	if (!log->drop_at)
		log->drop_at = om_log_now_mono();
}

uint64_t om_log_deadline(const struct om_log *log)
{
	int64_t first = log->n ? log->first_at : 0;

	if (log->urgent)
		return 0;
	if (log->drop_at && (!first || log->drop_at < first))
		first = log->drop_at;
	if (first)
		return (uint64_t)first + OM_BATCH_MS_MAX * 1000u;
	return (uint64_t)log->last_commit_at + OM_HEARTBEAT_S * 1000000u;
}

void om_log_stat(const struct om_log *log, struct om_log_stat *st)
{
	*st = log->stat;
	st->size = log->tree.size;
	st->commits = log->commits;
	st->pending = log->n;
	memcpy(st->drop, log->drop, sizeof(st->drop));
	om_tree_root(&log->tree, st->root);
	st->branes = 0;
	for (uint32_t i = 1; i < log->n_brane; i++)
		st->branes += log->brane[i] != NULL;
}

static void log_free(struct om_log *log)
{
	for (uint32_t i = 0; i < log->n_brane; i++)
		free(log->brane[i]);
	free(log->brane);
	free(log->buf);
	free(log->leaf);
	free(log->owner);
	free(log->work);
	free(log->touched);
	free(log->tags);
	free(log->heads);
	om_close_fd(&log->seg_fd);
	om_close_fd(&log->stream_fd);
	om_close_fd(&log->audit_fd);
	free(log);
}

void om_log_abort(struct om_log *log)
{
	if (log)
		log_free(log);
}

int om_log_close(struct om_log *log, struct om_err *err)
{
	int ret;

	if (!log)
		return 0;
	ret = log->signed_len ? om_log_commit(log, err) : 0;
	if (ret == 0 && !log->dead) {
		om_log_check_clock(log);
		for (uint32_t i = 1; i < log->n_brane; i++)
			if (log->brane[i])
				log->brane[i]->noted_at = 0; /* all heads get their note now */
		ret = om_log_put(log, OM_LOG_NODE, "log.close", NULL, err);
		if (ret == 0)
			ret = om_log_commit(log, err);
	}
	if (log->dead && log->n) {
		om_log_write_unsigned(log);
		if (ret == 0)
			ret = om_err_set(err, OM_ERR_LOG_SIGNER, -EPIPE,
					 "the last batch was written without a signature");
	}
	log_free(log);
	return ret;
}

static int greet(struct om_log *log, struct om_sign_welcome *w, struct om_err *err)
{
	struct om_sign_hello h = {.size = log->tree.size, .commits = log->commits};
	int ret;

	h.node_seq = log->brane[0]->tree.size;
	memcpy(h.node_prev, log->brane[0]->prev0, 32);
	om_tree_frontier(&log->tree, h.frontier);
	ret = log->signer->ops->hello(log->signer, &h, w, err);
	if (ret < 0)
		return ret;
	if (log->origin[0] && strcmp(log->origin, w->origin))
		return om_err_set(err, OM_ERR_LOG_KEY, -EINVAL,
				  "the log is of %s, the signer's key of %s", log->origin,
				  w->origin);
	memcpy(log->origin, w->origin, sizeof(log->origin));
	memcpy(log->sub_pk, w->substrate_pk, 32);
	memcpy(log->sign_pk, w->cur_pk, 32);
	memcpy(log->next_pk, w->next_pk, 32);
	return 0;
}

static int put_recover(struct om_log *log, const struct log_found *f, struct om_err *err)
{
	struct om_data d;

	om_data_init(&d);
	om_data_int(&d, "torn", (int64_t)f->torn);
	if (f->torn)
		om_data_b64(&d, "torn_sha256", f->torn_sha256, 32);
	om_data_int(&d, "unsigned", (int64_t)f->unsig);
	return om_log_put(log, OM_LOG_NODE, "recover", &d, err);
}

/* Says who signs from here on: the first record of a log, of a boot, or of a restart. */
static int put_opening(struct om_log *log, bool genesis, bool lost, struct om_err *err)
{
	char vkey[OM_VKEY_MAX + 1];
	uint8_t root[32];
	struct om_data d;
	bool boot = lost || strcmp(log->boot, log->boot0);

	om_data_init(&d);
	om_data_word(&d, "boot_id", log->boot);
	om_data_b64(&d, "key", log->sign_pk, 32);
	if (genesis) {
		om_vkey_format(log->origin, log->sub_pk, vkey);
		om_data_word(&d, "origin", log->origin);
		om_data_word(&d, "substrate", vkey);
	} else {
		om_tree_root(&log->tree, root);
		om_data_b64(&d, "root", root, 32);
		om_data_int(&d, "size", (int64_t)log->tree.size);
	}
	if (!genesis && boot)
		log->mono = 0; /* the boot clock may have started over; `boot` records say so */
	return om_log_put(log, OM_LOG_NODE, !genesis && boot ? "boot" : "log.open", &d, err);
}

/* Branes that were open keep their chain under a fresh key: the old one died with its signer. */
static int rekey_branes(struct om_log *log, struct om_err *err)
{
	for (uint32_t i = 1; i < log->n_brane; i++) {
		struct log_brane *b = log->brane[i];
		struct om_data d;
		int ret;

		if (!b)
			continue;
		ret = key_brane(log, b, err);
		if (ret < 0)
			return ret;
		b->keyless = b->closing;
		if (b->closing)
			continue;
		om_data_init(&d);
		om_data_b64(&d, "key", b->pk, 32);
		ret = om_log_append(log, i, "key.brane", &d, 0, err);
		if (ret < 0)
			return ret;
	}
	return 0;
}

static int begin(struct om_log *log, struct om_err *err)
{
	struct log_found found = {0};
	struct om_sign_welcome w;
	int ret = om_log_recover(log, &found, err);
	bool genesis = log->tree.size == 0, unclean;

	if (ret < 0)
		return ret;
	ret = greet(log, &w, err);
	if (ret < 0)
		return ret;
	if (om_log_boot_id(log->boot) < 0)
		return om_err_set(err, OM_ERR_LOG_IO, -EIO, "cannot read the boot id");
	log->offset = om_log_now_real() - om_log_now_mono();
	log->stat.reopened = found.any;
	log->stat.recovered_torn = found.torn;
	log->stat.recovered_unsigned = found.unsig;
	unclean = found.any && (!log->clean || found.torn || found.unsig);
	/* The first record of a log names its key; otherwise what was kept comes before all else. */
	if (unclean && !genesis)
		ret = put_recover(log, &found, err);
	if (ret == 0)
		ret = put_opening(log, genesis, w.key_lost, err);
	if (ret == 0 && unclean && genesis)
		ret = put_recover(log, &found, err);
	if (ret == 0)
		ret = rekey_branes(log, err);
	return ret < 0 ? ret : om_log_commit(log, err);
}

static int alloc(struct om_log *log)
{
	uint32_t node;

	log->buf = malloc(LOG_BUF_BYTES);
	log->leaf = calloc(OM_SIGN_LEAVES_MAX, 32);
	log->owner = calloc(OM_SIGN_LEAVES_MAX, sizeof(*log->owner));
	log->work = calloc(OM_SIGN_LEAVES_MAX, 32);
	log->touched = calloc(OM_SIGN_LEAVES_MAX, sizeof(*log->touched));
	log->tags = calloc(OM_SIGN_LEAVES_MAX, sizeof(*log->tags));
	log->heads = calloc(OM_SIGN_LEAVES_MAX, sizeof(*log->heads));
	if (!log->buf || !log->leaf || !log->owner || !log->work || !log->touched || !log->tags ||
	    !log->heads)
		return -ENOMEM;
	return om_log_new_brane(log, OM_NODE_NAME, sizeof(OM_NODE_NAME) - 1, &node);
}

int om_log_open(int audit_fd, struct om_signer *signer, const struct om_log_options *opt,
		struct om_log **out, struct om_err *err)
{
	struct om_log *log = calloc(1, sizeof(*log));
	int ret;

	if (!log)
		return om_err_set(err, OM_ERR_NOMEM, -ENOMEM, "no memory for the log");
	log->seg_fd = log->stream_fd = -1;
	log->signer = signer;
	if (opt)
		log->opt = *opt;
	if (!log->opt.segment_bytes)
		log->opt.segment_bytes = 256u << 20;
	if (!log->opt.prealloc_bytes)
		log->opt.prealloc_bytes = 4u << 20;
	log->audit_fd = fcntl(audit_fd, F_DUPFD_CLOEXEC, 3);
	if (log->audit_fd < 0 || (mkdirat(audit_fd, "stream", 0750) < 0 && errno != EEXIST))
		ret = om_err_sys(err, OM_ERR_LOG_IO, -errno, "cannot make the stream directory");
	else if (alloc(log) < 0)
		ret = om_err_set(err, OM_ERR_NOMEM, -ENOMEM, "no memory for the log");
	else
		ret = 0;
	if (ret == 0) {
		log->stream_fd = openat(log->audit_fd, "stream",
					O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
		ret = log->stream_fd < 0 ? om_err_sys(err, OM_ERR_LOG_IO, -errno,
						      "cannot open the stream directory")
					 : begin(log, err);
	}
	if (ret < 0) {
		log_free(log);
		return ret;
	}
	*out = log;
	return 0;
}
