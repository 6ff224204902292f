/*
 * The signer itself: keys, its own copy of both trees, and the rules for what it signs.
 *
 * Comes in: requests of struct om_signer_ops. Goes out: signatures. Called by: tests and benches in
 * their own process, and by the sign role's loop (signer/serve.c). Never does: see an event (only
 * leaf hashes and the commit record), or sign two trees of one size: the writer may be taken over,
 * and must not be able to make this process say two things.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sodium.h>

#include <omega/sha256.h>
#include "agent/chain/format/heads.h"
#include "agent/chain/format/merkle.h"
#include "agent/chain/format/note.h"
#include "agent/chain/format/record.h"
#include "agent/chain/signer/keyfile.h"

/* Everything secret, in sodium_malloc memory: locked, guarded, not dumped, wiped on free. */
struct secrets {
	uint8_t substrate_sk[64];
	uint8_t cur_sk[64];
	uint8_t next_sk[64];
	struct om_next_file file; /* as it stands on the tmpfs */
	struct om_substrate_file sub;
};

struct sign_brane {
	char id[OM_BRANE_ID_MAX + 1];
	uint8_t *sk; /* 64 bytes of sodium_malloc; NULL: the tag is free */
	struct om_tree tree;
	uint32_t count; /* leaves in the batch at hand */
	uint32_t from;
};

struct local {
	struct om_signer base;
	struct secrets *k;
	int next_fd;
	bool greeted;
	bool found;    /* next.key held a key at start */
	bool poisoned; /* contents were refused once: nothing more is signed */
	char origin[OM_ORIGIN_MAX + 1];
	uint8_t substrate_pk[32];
	uint8_t next_pk[32];
	struct om_tree tree;
	uint64_t node_seq;
	uint8_t node_prev[32];
	struct sign_brane **brane; /* by tag; [0] is unused */
	uint32_t n_brane;
	/* Working space for one batch. */
	uint8_t (*leaf)[32];
	uint32_t *touched;
	struct om_head *heads;
};

static int refuse(struct local *s, bool poison, struct om_err *err, const char *why)
{
	s->poisoned |= poison;
	return om_err_set(err, OM_ERR_LOG_SIGNER, -EPERM, "the signer refuses: %s", why);
}

static void fresh_next(struct local *s)
{
	crypto_sign_keypair(s->next_pk, s->k->next_sk);
}

/* A new one-time key that no commit named: its first use must follow a boot record. */
static void fresh_current(struct local *s)
{
	randombytes_buf(s->k->file.seed, 32);
	crypto_sign_seed_keypair(s->k->file.pk, s->k->cur_sk, s->k->file.seed);
}

/*
 * Which of the signer's own memories the log on disk matches. The newest issued note: go on. The
 * newest confirmed one: the batch after it was signed and never became durable, so its key is spent
 * and a fresh one needs a boot record. Anything else is a fork or an old copy of the directory.
 */
static int match_state(struct local *s, const struct om_sign_hello *in, bool *lost,
		       struct om_err *err)
{
	struct om_next_file *f = &s->k->file;
	uint8_t root[32];

	om_tree_root(&s->tree, root);
	if (!s->found) {
		*lost = in->size > 0;
		f->commits = in->commits;
	} else if (in->size == f->issued_size && !memcmp(root, f->issued_root, 32)) {
		*lost = f->unnamed;
		if (in->commits != f->commits)
			return refuse(s, true, err, "the commit count does not match its own");
		crypto_sign_seed_keypair(f->pk, s->k->cur_sk, f->seed);
	} else if (in->size == f->confirmed_size && !memcmp(root, f->confirmed_root, 32)) {
		*lost = in->size > 0;
		f->commits = in->commits;
		s->found = false;
	} else if (in->size < f->confirmed_size) {
		return refuse(s, true, err, "the log is older than what it has signed (rollback)");
	} else {
		return refuse(s, true, err, "the log is not the one it has signed (fork)");
	}
	if (!s->found)
		fresh_current(s);
	/* Stored with the key: a kill before its first note must not make it pass for a named one. */
	f->unnamed = *lost;
	f->issued_size = f->confirmed_size = in->size;
	memcpy(f->issued_root, root, 32);
	memcpy(f->confirmed_root, root, 32);
	return 0;
}

static int local_hello(struct om_signer *base, const struct om_sign_hello *in,
		       struct om_sign_welcome *out, struct om_err *err)
{
	struct local *s = (struct local *)base;
	bool lost = false;
	int ret;

	if (s->greeted || s->poisoned)
		return refuse(s, true, err, "it has been greeted before");
	if (in->size > OM_INT_MAX || in->node_seq > in->size)
		return refuse(s, true, err, "impossible tree size");
	om_tree_load(&s->tree, in->size, in->frontier);
	ret = match_state(s, in, &lost, err);
	if (ret < 0)
		return ret;
	fresh_next(s);
	ret = om_keyfile_store_next(s->next_fd, &s->k->file, err);
	if (ret < 0)
		return ret;
	s->node_seq = in->node_seq;
	memcpy(s->node_prev, in->node_prev, 32);
	s->greeted = true;
	memset(out, 0, sizeof(*out));
	memcpy(out->origin, s->origin, sizeof(out->origin));
	memcpy(out->substrate_pk, s->substrate_pk, 32);
	memcpy(out->cur_pk, s->k->file.pk, 32);
	memcpy(out->next_pk, s->next_pk, 32);
	out->key_lost = lost;
	return 0;
}

static int free_tag(struct local *s, uint32_t *tag)
{
	struct sign_brane **grown;

	for (uint32_t i = 1; i < s->n_brane; i++)
		if (!s->brane[i]) {
			*tag = i;
			return 0;
		}
	if (s->n_brane > OM_BRANES_MAX)
		return -ENOSPC;
	grown = realloc(s->brane, (s->n_brane + 64) * sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	memset(grown + s->n_brane, 0, 64 * sizeof(*grown));
	s->brane = grown;
	*tag = s->n_brane ? s->n_brane : 1;
	s->n_brane += 64;
	return 0;
}

static int local_brane_open(struct om_signer *base, const char *id, uint64_t size,
			    const uint8_t (*frontier)[32], uint32_t *tag, uint8_t pk[32],
			    struct om_err *err)
{
	struct local *s = (struct local *)base;
	size_t len = strnlen(id, OM_BRANE_ID_MAX + 1);
	struct sign_brane *b;

	if (!s->greeted || s->poisoned || id[0] == '@' || !om_brane_id_valid(id, len) ||
	    size > s->tree.size)
		return refuse(s, false, err, "no such brane can be opened");
	for (uint32_t i = 1; i < s->n_brane; i++)
		if (s->brane[i] && !strcmp(s->brane[i]->id, id))
			return refuse(s, false, err, "the brane is open already");
	if (free_tag(s, tag) < 0)
		return refuse(s, false, err, "too many branes");
	b = calloc(1, sizeof(*b));
	if (b)
		b->sk = sodium_malloc(64);
	if (!b || !b->sk) {
		free(b);
		return om_err_set(err, OM_ERR_NOMEM, -ENOMEM, "no memory for a brane key");
	}
	memcpy(b->id, id, len);
	om_tree_load(&b->tree, size, frontier);
	crypto_sign_keypair(pk, b->sk);
	s->brane[*tag] = b;
	return 0;
}

static struct sign_brane *by_tag(struct local *s, uint32_t tag)
{
	return tag && tag < s->n_brane ? s->brane[tag] : NULL;
}

static void drop_brane(struct local *s, uint32_t tag)
{
	struct sign_brane *b = by_tag(s, tag);

	if (!b)
		return;
	sodium_free(b->sk); /* wipes it */
	free(b);
	s->brane[tag] = NULL;
}

static int local_brane_close(struct om_signer *base, uint32_t tag, struct om_err *err)
{
	struct local *s = (struct local *)base;

	if (!by_tag(s, tag))
		return refuse(s, false, err, "no such brane to close");
	drop_brane(s, tag);
	return 0;
}

/* The rules that need no tree. What is refused here leaves no trace. */
static int check_batch(struct local *s, const struct om_sign_batch *b, struct om_commit *c,
		       struct om_err *err)
{
	const uint8_t *prev = s->node_prev;
	uint8_t hash[32];
	char text[OM_B64_HASH];
	uint64_t seq = s->node_seq;
	struct om_record r;

	if (!s->greeted || s->poisoned)
		return refuse(s, false, err, "it has refused before, or was not greeted");
	if (!b->n || b->n > OM_SIGN_LEAVES_MAX || b->n_notes > OM_BRANES_MAX)
		return refuse(s, false, err, "a batch of that size is not possible");
	if (b->size != s->tree.size)
		return refuse(s, false, err, "the batch does not start where the tree ends");
	for (uint32_t i = 0; i + 1 < b->n; i++) {
		if (b->brane[i] && !by_tag(s, b->brane[i]))
			return refuse(s, false, err, "a leaf belongs to no open brane");
		if (!b->brane[i]) {
			prev = b->leaf[i];
			seq++;
		}
	}
	om_sha256_leaf(b->commit, b->commit_len, hash);
	if (b->brane[b->n - 1] || memcmp(hash, b->leaf[b->n - 1], 32))
		return refuse(s, false, err, "the last leaf is not the commit record");
	if (om_record_parse(b->commit, b->commit_len, &r) < 0 || !om_record_is(&r, "commit") ||
	    r.brane[0] != '@' || om_commit_parse(r.data, c) < 0)
		return refuse(s, false, err, "the commit record is malformed");
	om_b64_encode(prev, 32, text);
	if (r.seq != seq || memcmp(text, r.prev, OM_B64_HASH))
		return refuse(s, false, err, "the commit record does not follow @node's last");
	if (c->n != b->n - 1 || memcmp(c->next, s->next_pk, 32))
		return refuse(s, false, err, "the commit record names another batch or key");
	for (uint32_t i = 0; i < b->n_notes; i++)
		if (!by_tag(s, b->notes[i]))
			return refuse(s, false, err, "a note is wanted for no open brane");
	return 0;
}

/* Groups the leaves by brane and grows each touched tree; returns how many were touched. */
static uint32_t grow_branes(struct local *s, const struct om_sign_batch *b)
{
	uint32_t n = 0, at = 0;

	for (uint32_t i = 0; i < b->n; i++) {
		struct sign_brane *br = by_tag(s, b->brane[i]);

		if (br && !br->count++)
			s->touched[n++] = b->brane[i];
	}
	for (uint32_t i = 0; i < n; i++) {
		struct sign_brane *br = s->brane[s->touched[i]];

		br->from = at;
		at += br->count;
		br->count = 0;
	}
	for (uint32_t i = 0; i < b->n; i++) {
		struct sign_brane *br = by_tag(s, b->brane[i]);

		if (br)
			memcpy(s->leaf[br->from + br->count++], b->leaf[i], 32);
	}
	for (uint32_t i = 0; i < n; i++) {
		struct sign_brane *br = s->brane[s->touched[i]];
		struct om_head *h = &s->heads[i];

		om_tree_append(&br->tree, s->leaf + br->from, br->count);
		br->count = 0;
		h->id = br->id;
		h->id_len = (uint32_t)strlen(br->id);
		h->size = br->tree.size;
		om_tree_root(&br->tree, h->root);
	}
	return n;
}

static void sign_both(struct local *s, const char *origin, const uint8_t *own_sk,
		      const struct om_tree *t, struct om_sign_note *out)
{
	char body[OM_NOTE_MAX];
	size_t len;

	out->size = t->size;
	om_tree_root(t, out->root);
	len = om_checkpoint_body(origin, out->size, out->root, body);
	crypto_sign_detached(out->own_sig, NULL, (const uint8_t *)body, len, own_sk);
	crypto_sign_detached(out->sub_sig, NULL, (const uint8_t *)body, len, s->k->substrate_sk);
}

/* The used key is overwritten in memory and on the tmpfs before the signature leaves this process. */
static int rotate(struct local *s, const struct om_sign_note *note, struct om_err *err)
{
	struct om_next_file *f = &s->k->file;

	memcpy(s->k->cur_sk, s->k->next_sk, 64);
	memcpy(f->seed, s->k->next_sk, 32); /* libsodium: the seed is the first half */
	memcpy(f->pk, s->next_pk, 32);
	fresh_next(s);
	f->unnamed = 0; /* the commit record just signed names it */
	f->commits++;
	f->issued_size = note->size;
	memcpy(f->issued_root, note->root, 32);
	return om_keyfile_store_next(s->next_fd, f, err);
}

static int local_sign(struct om_signer *base, const struct om_sign_batch *b,
		      struct om_sign_note *note, struct om_sign_note *notes, uint8_t next_pk[32],
		      struct om_err *err)
{
	struct local *s = (struct local *)base;
	char name[OM_KEY_NAME_MAX + 1];
	struct om_commit c;
	uint8_t heads[32];
	uint32_t touched;
	int ret = check_batch(s, b, &c, err);

	if (ret < 0)
		return ret;
	for (uint32_t i = 0; i < b->n; i++)
		if (!b->brane[i]) {
			memcpy(s->node_prev, b->leaf[i], 32);
			s->node_seq++;
		}
	touched = grow_branes(s, b);
	om_heads_root(s->origin, s->heads, touched, heads);
	if (c.nheads != touched || memcmp(heads, c.heads, 32))
		return refuse(s, true, err, "the commit's heads are not those of its leaves");
	memcpy(s->leaf, b->leaf, (size_t)b->n * 32);
	om_tree_append(&s->tree, s->leaf, b->n);
	sign_both(s, s->origin, s->k->cur_sk, &s->tree, note);
	for (uint32_t i = 0; i < b->n_notes; i++) {
		struct sign_brane *br = s->brane[b->notes[i]];

		om_brane_origin(s->origin, br->id, strlen(br->id), name);
		sign_both(s, name, br->sk, &br->tree, &notes[i]);
	}
	ret = rotate(s, note, err);
	if (ret < 0) {
		s->poisoned = true;
		sodium_memzero(note, sizeof(*note));
		return ret;
	}
	memcpy(next_pk, s->next_pk, 32);
	return 0;
}

static int local_confirm(struct om_signer *base, uint64_t size, struct om_err *err)
{
	struct local *s = (struct local *)base;
	struct om_next_file *f = &s->k->file;

	if (s->poisoned || !s->greeted || size != f->issued_size)
		return refuse(s, false, err, "that size was not signed last");
	f->confirmed_size = size;
	memcpy(f->confirmed_root, f->issued_root, 32);
	return om_keyfile_store_next(s->next_fd, f, err);
}

static void local_free(struct om_signer *base)
{
	struct local *s = (struct local *)base;

	for (uint32_t i = 1; i < s->n_brane; i++)
		drop_brane(s, i);
	free(s->brane);
	free(s->leaf);
	free(s->touched);
	free(s->heads);
	sodium_free(s->k);
	om_close_fd(&s->next_fd);
	free(s);
}

static const struct om_signer_ops local_ops = {
	.hello = local_hello,
	.brane_open = local_brane_open,
	.brane_close = local_brane_close,
	.sign = local_sign,
	.confirm = local_confirm,
	.free = local_free,
};

static int load_keys(struct local *s, int state_fd, int run_fd, struct om_err *err)
{
	int ret = om_keyfile_load_substrate(state_fd, &s->k->sub, err);

	if (ret < 0)
		return ret;
	memcpy(s->origin, s->k->sub.origin, OM_ORIGIN_MAX);
	crypto_sign_seed_keypair(s->substrate_pk, s->k->substrate_sk, s->k->sub.seed);
	if (memcmp(s->substrate_pk, s->k->sub.pk, 32))
		return om_err_set(err, OM_ERR_LOG_KEY, -EBADMSG, "substrate.key is damaged");
	sodium_memzero(s->k->sub.seed, 32);
	return om_keyfile_open_next(run_fd, &s->next_fd, &s->k->file, &s->found, err);
}

int om_signer_local(int state_fd, int run_fd, struct om_signer **out, struct om_err *err)
{
	struct local *s;
	int ret;

	if (sodium_init() < 0)
		return om_err_set(err, OM_ERR_LOG_KEY, -EIO, "libsodium does not start");
	s = calloc(1, sizeof(*s));
	if (!s)
		return om_err_set(err, OM_ERR_NOMEM, -ENOMEM, "no memory for the signer");
	s->base.ops = &local_ops;
	s->next_fd = -1;
	s->k = sodium_malloc(sizeof(*s->k));
	s->leaf = calloc(OM_SIGN_LEAVES_MAX, 32);
	s->touched = calloc(OM_SIGN_LEAVES_MAX, sizeof(*s->touched));
	s->heads = calloc(OM_SIGN_LEAVES_MAX, sizeof(*s->heads));
	if (!s->k || !s->leaf || !s->touched || !s->heads) {
		local_free(&s->base);
		return om_err_set(err, OM_ERR_NOMEM, -ENOMEM, "no memory for the signer");
	}
	memset(s->k, 0, sizeof(*s->k));
	ret = load_keys(s, state_fd, run_fd, err);
	if (ret < 0) {
		local_free(&s->base);
		return ret;
	}
	*out = &s->base;
	return 0;
}

void om_signer_free(struct om_signer *s)
{
	if (s)
		s->ops->free(s);
}
