/*
 * Closing a batch: trees, commit record, signatures, and the state that follows.
 *
 * Comes in: the lines in the batch. Goes out: the same with a commit record and notes, then a new
 * durable state. Called by: the drain role through om_log_commit, and log.c. Never does: tell anyone
 * of a note before it is on disk: a reader could act on a commit that a crash takes back.
 */
#include <errno.h>
#include <string.h>

#include "agent/chain/log_int.h"

void om_log_copy_tree(struct om_tree *to, const struct om_tree *from)
{
	to->size = from->size;
	for (uint64_t left = from->size; left; left &= left - 1) {
		int k = __builtin_ctzll(left);

		memcpy(to->level[k], from->level[k], 32);
	}
}

/* Counting sort of the leaves by brane, then one append for each brane touched. */
static void grow_branes(struct om_log *log)
{
	uint32_t at = 0;

	log->n_touched = 0;
	for (uint32_t i = 0; i < log->n; i++) {
		struct log_brane *b = log->brane[log->owner[i]];

		if (!b->touched) {
			b->touched = true;
			b->count = 0;
			log->touched[log->n_touched++] = log->owner[i];
		}
		b->count++;
	}
	for (uint32_t i = 0; i < log->n_touched; i++) {
		struct log_brane *b = log->brane[log->touched[i]];

		b->from = at;
		at += b->count;
		b->count = 0;
	}
	for (uint32_t i = 0; i < log->n; i++) {
		struct log_brane *b = log->brane[log->owner[i]];

		memcpy(log->work[b->from + b->count++], log->leaf[i], 32);
	}
	for (uint32_t i = 0; i < log->n_touched; i++) {
		struct log_brane *b = log->brane[log->touched[i]];

		om_log_copy_tree(&b->grown, &b->tree);
		om_tree_append(&b->grown, log->work + b->from, b->count);
		b->touched = false;
	}
}

static void grow_tree(struct om_log *log)
{
	memcpy(log->work, log->leaf, (size_t)log->n * 32);
	om_log_copy_tree(&log->grown, &log->tree);
	om_tree_append(&log->grown, log->work, log->n);
}

/* The commit record itself: one more leaf of @node, whose tree may be untouched so far. */
static void grow_commit(struct om_log *log)
{
	struct log_brane *node = log->brane[OM_LOG_NODE];
	bool touched = false;

	for (uint32_t i = 0; i < log->n_touched; i++)
		touched |= log->touched[i] == OM_LOG_NODE;
	if (!touched) {
		log->touched[log->n_touched++] = OM_LOG_NODE;
		om_log_copy_tree(&node->grown, &node->tree);
	}
	memcpy(log->work[0], log->leaf[log->n - 1], 32);
	om_tree_append(&node->grown, log->work, 1);
	grow_tree(log);
}

void om_log_grow(struct om_log *log)
{
	grow_branes(log);
	grow_tree(log);
}

static uint32_t make_heads(struct om_log *log, uint8_t root[32])
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < log->n_touched; i++) {
		struct log_brane *b = log->brane[log->touched[i]];
		struct om_head *h = &log->heads[n];

		if (log->touched[i] == OM_LOG_NODE)
			continue;
		h->id = b->id;
		h->id_len = b->id_len;
		h->size = b->grown.size;
		om_tree_root(&b->grown, h->root);
		n++;
	}
	om_heads_root(log->origin, log->heads, n, root);
	return n;
}

static int put_commit(struct om_log *log, struct om_err *err)
{
	struct om_commit c = {.n = log->n};
	char dropbuf[OM_COMMIT_DROP_MAX];
	struct om_data d;

	grow_branes(log);
	c.nheads = make_heads(log, c.heads);
	memcpy(c.next, log->next_pk, 32);
	for (int k = 0; k < OM_DROP_CLASSES; k++)
		log->drop_sealed[k] = c.drop[k] = log->drop[k];
	om_data_init(&d);
	om_commit_fields(&d, &c, dropbuf);
	return om_log_put(log, OM_LOG_NODE, "commit", &d, err);
}

static bool wants_note(const struct log_brane *b, int64_t now)
{
	uint64_t size = b->seq;

	if (!b->tag || b->keyless || size == b->noted_size)
		return false;
	return b->closing || !b->noted_at || now - b->noted_at >= LOG_BRANE_NOTE_US;
}

/* Closing branes first: their key is erased after this commit. */
static void choose_notes(struct om_log *log)
{
	int64_t now = om_log_now_mono();

	log->n_noting = 0;
	for (int closing = 1; closing >= 0; closing--)
		for (uint32_t i = 1; i < log->n_brane && log->n_noting < LOG_NOTES_MAX; i++) {
			const struct log_brane *b = log->brane[i];

			if (b && b->closing == (bool)closing && wants_note(b, now))
				log->noting[log->n_noting++] = i;
		}
}

static size_t make_note(struct om_log *log, const char *origin, const struct om_sign_note *n,
			const char *own_name, const uint8_t own_pk[32], char *buf)
{
	size_t len = om_checkpoint_body(origin, n->size, n->root, buf);
	uint32_t own = om_key_id(own_name, strlen(own_name), OM_SIG_ED25519, own_pk);
	uint32_t sub = om_key_id(log->origin, strlen(log->origin), OM_SIG_ED25519, log->sub_pk);

	len = om_note_sign_line(buf, len, 1, own_name, own, n->own_sig);
	return om_note_sign_line(buf, len, 0, log->origin, sub, n->sub_sig);
}

static void add_notes(struct om_log *log, const struct om_sign_note *node,
		      const struct om_sign_note *branes)
{
	char name[OM_KEY_NAME_MAX + 1], text[OM_NOTE_MAX];
	struct om_out o;

	om_out_init(&o, name, sizeof(name) - 1);
	om_out_raw(&o, log->origin, strlen(log->origin));
	om_out_lit(&o, "/c");
	om_out_int(&o, (int64_t)log->commits);
	*o.p = 0;
	log->note_len = make_note(log, log->origin, node, name, log->sign_pk, log->note);
	log->len += om_note_line(log->note, log->note_len, log->buf + log->len);
	for (uint32_t i = 0; i < log->n_noting; i++) {
		struct log_brane *b = log->brane[log->noting[i]];
		size_t len;

		om_brane_origin(log->origin, b->id, b->id_len, name);
		len = make_note(log, name, &branes[i], name, b->pk, text);
		log->len += om_note_line(text, len, log->buf + log->len);
	}
}

static int sign_batch(struct om_log *log, size_t commit_at, struct om_err *err)
{
	struct om_sign_note *notes = log->notes;
	uint32_t wanted[LOG_NOTES_MAX];
	struct om_sign_note node;
	uint8_t next[32], root[32];
	struct om_sign_batch b = {
		.size = log->tree.size,
		.n = log->n,
		.leaf = (const uint8_t(*)[32])log->leaf,
		.brane = log->tags,
		.commit = log->buf + commit_at,
		.commit_len = (uint32_t)(log->len - commit_at - 1),
		.notes = wanted,
	};
	int ret;

	grow_commit(log);
	choose_notes(log);
	for (uint32_t i = 0; i < log->n; i++)
		log->tags[i] = log->brane[log->owner[i]]->tag;
	for (uint32_t i = 0; i < log->n_noting; i++)
		wanted[i] = log->brane[log->noting[i]]->tag;
	b.n_notes = log->n_noting;
	ret = log->signer->ops->sign(log->signer, &b, &node, notes, next, err);
	if (ret < 0)
		return ret;
	om_tree_root(&log->grown, root);
	if (node.size != log->grown.size || memcmp(node.root, root, 32))
		return om_err_set(err, OM_ERR_LOG_SIGNER, -EPROTO,
				  "the signer signed another tree");
	add_notes(log, &node, notes);
	/* The key that was named signs next; NEXT is named by the commit after this one. */
	log->signed_len = log->len;
	memcpy(log->sign_pk, log->next_pk, 32);
	memcpy(log->next_pk, next, 32);
	return 0;
}

static int seal_batch(struct om_log *log, struct om_err *err)
{
	struct log_brane *node = log->brane[0];
	size_t len;
	uint32_t n;
	uint64_t seq;
	uint8_t prev[32];
	int ret;

	om_log_check_clock(log);
	len = log->len;
	n = log->n;
	seq = node->seq;
	memcpy(prev, node->prev, 32);
	ret = put_commit(log, err);
	if (ret == 0)
		ret = sign_batch(log, len, err);
	if (ret < 0) {
		/* A commit that is not signed must not reach the disk: it names a key. */
		log->len = len;
		log->n = n;
		node->seq = seq;
		memcpy(node->prev, prev, 32);
		log->dead = true;
	}
	return ret;
}

static void close_branes(struct om_log *log)
{
	for (uint32_t i = 1; i < log->n_brane; i++) {
		struct log_brane *b = log->brane[i];

		if (!b || !b->closing)
			continue;
		if (b->tag && log->signer->ops->brane_close(log->signer, b->tag, NULL) < 0)
			log->dead = true;
		om_log_forget_brane(log, i);
	}
}

void om_log_absorb(struct om_log *log)
{
	for (uint32_t i = 0; i < log->n_touched; i++) {
		struct log_brane *b = log->brane[log->touched[i]];

		om_log_copy_tree(&b->tree, &b->grown);
		memcpy(b->prev0, b->prev, 32);
		memcpy(b->pk0, b->pk, 32);
	}
	om_log_copy_tree(&log->tree, &log->grown);
	memcpy(log->boot0, log->boot, sizeof(log->boot0));
	memcpy(log->drop0, log->drop_sealed, sizeof(log->drop0));
	log->mono0 = log->mono;
	log->commits++;
	log->len = log->signed_len = 0;
	log->n = 0;
	log->urgent = log->kept = false;
	/* Losses counted while the batch waited for the disk belong to the next commit. */
	if (!memcmp(log->drop, log->drop0, sizeof(log->drop)))
		log->drop_at = 0;
}

int om_log_commit(struct om_log *log, struct om_err *err)
{
	int64_t now;
	int ret;

	if (log->dead)
		return om_err_set(err, OM_ERR_LOG_SIGNER, -EPIPE,
				  "the signer is gone; close the log and open it again");
	ret = log->signed_len ? 0 : seal_batch(log, err);
	if (ret == 0)
		ret = om_log_write_batch(log, err);
	if (ret < 0)
		return ret;
	now = om_log_now_mono();
	for (uint32_t i = 0; i < log->n_noting; i++) {
		struct log_brane *b = log->brane[log->noting[i]];

		b->noted_size = b->seq;
		b->noted_at = now;
	}
	om_log_absorb(log);
	memcpy(log->named_pk, log->sign_pk, 32);
	log->last_commit_at = now;
	/* Durable either way; a signer that cannot confirm is found out at the next batch. */
	if (log->signer->ops->confirm(log->signer, log->tree.size, NULL) < 0)
		log->dead = true;
	close_branes(log);
	om_log_publish(log);
	return 0;
}
