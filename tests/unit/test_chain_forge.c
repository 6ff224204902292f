/*
 * Logs made by someone who holds keys: every signature and root is good, and what they say is not.
 * Each is a whole log written from nothing with one lie in it; verify must name its class, the second
 * verifier must agree. The last cases re-sign the end of a real log with every key of the moment.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>
#include <sodium.h>

#include <omega/sha256.h>
#include "agent/chain/format/heads.h"
#include "agent/chain/format/merkle.h"
#include "agent/chain/format/note.h"
#include "agent/chain/format/record.h"
#include "agent/chain/signer/keyfile.h"
#include "tests/util/chain_fixture.h"

#define BRANE "acme/api#k3v9qz"

/* A writer with no scruples: one brane, every key in the open. */
struct forge {
	char *text;
	size_t len, cap;
	struct om_tree node, brane;
	uint64_t seq[2], commits;
	uint8_t prev[2][32];
	int64_t mono, time;
	uint64_t drop;
	uint8_t sub_sk[64], sub_pk[32], cur_sk[64], cur_pk[32], next_sk[64], next_pk[32];
	uint8_t brane_sk[64], brane_pk[32];
	uint32_t n, touched;
	/* the lies */
	int n_off, heads_off, named_other;
	const char *brane_id;
};

static void put(struct forge *f, const char *p, size_t len)
{
	if (f->len + len > f->cap) {
		f->cap = (f->len + len) * 2;
		f->text = realloc(f->text, f->cap);
	}
	memcpy(f->text + f->len, p, len);
	f->len += len;
}

static void record(struct forge *f, int who, const char *kind, struct om_data *d)
{
	char line[4096];
	uint8_t leaf[1][32];
	const char *id = who ? f->brane_id : "@node";
	struct om_record_parts p = {.brane = id,
				    .brane_len = strlen(id),
				    .kind = kind,
				    .kind_len = strlen(kind),
				    .data = d,
				    .mono = f->mono += 10,
				    .seq = f->seq[who]++,
				    .time = f->time += 10,
				    .prev = f->prev[who]};
	struct om_out o;

	om_out_init(&o, line, sizeof(line));
	assert_int_equal(om_record_emit(&p, &o), 0);
	om_sha256_leaf(line, (size_t)(o.p - line), leaf[0]);
	memcpy(f->prev[who], leaf[0], 32);
	om_tree_append(&f->node, leaf, 1);
	if (who) {
		memcpy(leaf[0], f->prev[1], 32);
		om_tree_append(&f->brane, leaf, 1);
		f->touched = 1;
	}
	om_out_lit(&o, "\n");
	put(f, line, (size_t)(o.p - line));
	f->n++;
}

static void sign(struct forge *f, const char *origin, const struct om_tree *t, const char *own,
		 const uint8_t *sk, const uint8_t *pk)
{
	char note[OM_NOTE_MAX], line[2 * OM_NOTE_MAX];
	uint8_t root[32], sig[64];
	size_t body, len;

	om_tree_root(t, root);
	len = body = om_checkpoint_body(origin, t->size, root, note);
	crypto_sign_detached(sig, NULL, (uint8_t *)note, body, sk);
	len = om_note_sign_line(note, len, 1, own, om_key_id(own, strlen(own), 1, pk), sig);
	crypto_sign_detached(sig, NULL, (uint8_t *)note, body, f->sub_sk);
	len = om_note_sign_line(note, len, 0, FIX_ORIGIN,
				om_key_id(FIX_ORIGIN, strlen(FIX_ORIGIN), 1, f->sub_pk), sig);
	put(f, line, om_note_line(note, len, line));
}

static void commit(struct forge *f)
{
	struct om_head head = {f->brane_id, (uint32_t)strlen(f->brane_id), f->brane.size, {0}};
	struct om_commit c = {.drop = {0, 0, f->drop}, .n = f->n + (uint32_t)f->n_off};
	char buf[OM_COMMIT_DROP_MAX], name[128];
	struct om_data d;

	om_tree_root(&f->brane, head.root);
	om_heads_root(FIX_ORIGIN, &head, f->touched, c.heads);
	c.heads[0] ^= (uint8_t)f->heads_off;
	c.nheads = f->touched;
	crypto_sign_keypair(f->next_pk, f->next_sk);
	memcpy(c.next, f->next_pk, 32);
	c.next[0] ^= (uint8_t)f->named_other;
	om_data_init(&d);
	om_commit_fields(&d, &c, buf);
	record(f, 0, "commit", &d);
	snprintf(name, sizeof(name), "%s/c%llu", FIX_ORIGIN, (unsigned long long)f->commits++);
	sign(f, FIX_ORIGIN, &f->node, name, f->cur_sk, f->cur_pk);
	memcpy(f->cur_sk, f->next_sk, 64);
	memcpy(f->cur_pk, f->next_pk, 32);
	f->n = f->touched = 0;
}

static void brane_note(struct forge *f)
{
	char name[256];

	snprintf(name, sizeof(name), "%s/brane/%s", FIX_ORIGIN, f->brane_id);
	sign(f, name, &f->brane, name, f->brane_sk, f->brane_pk);
}

static void open_brane(struct forge *f)
{
	struct om_data d;

	om_data_init(&d);
	om_data_word(&d, "instance", "k3v9qz");
	om_data_b64(&d, "key", f->brane_pk, 32);
	record(f, 1, "log.open", &d);
}

/* Header, log.open and the brane, up to its first commit. */
static void start(struct forge *f, struct fix *x)
{
	struct om_seg_head h = {.origin = FIX_ORIGIN};
	struct om_seg_brane node = {.id = "@node"};
	char line[4096], vkey[OM_VKEY_MAX + 1];
	struct om_data d;
	struct om_vkey k;
	struct om_out o;
	uint8_t file[256];
	int fd;

	memset(f, 0, sizeof(*f));
	f->brane_id = BRANE;
	fd = openat(x->state_fd, "substrate.key", O_RDONLY | O_CLOEXEC);
	assert_int_equal(read(fd, file, 240), 240);
	close(fd);
	crypto_sign_seed_keypair(f->sub_pk, f->sub_sk, file + 144);
	assert_int_equal(om_vkey_parse(x->vkey, strlen(x->vkey), &k), 0);
	assert_memory_equal(k.pk, f->sub_pk, 32);
	crypto_sign_keypair(f->cur_pk, f->cur_sk);
	crypto_sign_keypair(f->brane_pk, f->brane_sk);
	f->mono = 1000000;
	f->time = 1795305185000000;
	om_out_init(&o, line, sizeof(line));
	om_seg_head_begin(&o, &h);
	om_seg_head_brane(&o, &node, true);
	om_seg_head_end(&o, &h);
	put(f, line, (size_t)(o.p - line));
	om_vkey_format(FIX_ORIGIN, f->sub_pk, vkey);
	om_data_init(&d);
	om_data_word(&d, "boot_id", "11111111-2222-3333-4444-555555555555");
	om_data_b64(&d, "key", f->cur_pk, 32);
	om_data_word(&d, "origin", FIX_ORIGIN);
	om_data_word(&d, "substrate", vkey);
	record(f, 0, "log.open", &d);
	open_brane(f);
	commit(f);
	brane_note(f);
}

static void events(struct forge *f, int n)
{
	while (n--)
		record(f, 1, "exec", NULL);
}

static int oracle(struct fix *x)
{
	char cmd[512];
	int ret;

	snprintf(cmd, sizeof(cmd),
		 "python3 tests/vectors/verify_oracle.py %s/audit %s/state/substrate.vkey "
		 ">/dev/null",
		 x->dir, x->dir);
	ret = system(cmd);
	assert_true(WIFEXITED(ret));
	return WEXITSTATUS(ret);
}

static void show(char mark, const char *text, void *ctx)
{
	print_message("  %c %s\n", mark, text);
}

/* CLS NULL: intact. */
static void judge(struct fix *x, const char *cls, bool agree)
{
	struct om_verify_options o = {.substrate_vkey = x->vkey};
	struct om_verify_result r;
	int code;
	bool ok;

	fix_verify(x, &o, &r);
	code = om_verify_exit(&r);
	ok = cls ? code == 1 && !strcmp(r.finding[0].cls, cls) : code == 0;
	if (!ok) {
		print_message("wanted class %s\n", cls ? cls : "none");
		om_verify_lines(&r, &o, show, NULL);
	}
	om_verify_done(&r);
	assert_true(ok);
	if (agree)
		assert_int_equal(oracle(x), cls != NULL);
}

static void finish(struct forge *f, struct fix *x, const char *cls, bool agree)
{
	int fd;

	mkdirat(x->audit_fd, "stream", 0700);
	fd = openat(x->audit_fd, "stream/000000000000.log",
		    O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_int_equal(write(fd, f->text, f->len), (ssize_t)f->len);
	close(fd);
	free(f->text);
	judge(x, cls, agree);
}

static void test_honest(void **state)
{
	struct forge f;

	start(&f, *state);
	for (int i = 0; i < 5; i++) {
		events(&f, i);
		commit(&f);
	}
	events(&f, 3);
	record(&f, 1, "log.close", NULL);
	commit(&f);
	brane_note(&f);
	finish(&f, *state, NULL, true);
}

static void test_13_brane_key(void **state)
{
	struct forge f;

	start(&f, *state);
	events(&f, 3);
	commit(&f);
	crypto_sign_keypair(f.brane_pk, f.brane_sk);
	brane_note(&f);
	finish(&f, *state, "13", true);
}

static void test_14_mono(void **state)
{
	struct forge f;

	start(&f, *state);
	events(&f, 3);
	f.mono -= 500;
	f.time -= 500;
	events(&f, 3);
	commit(&f);
	finish(&f, *state, "14", true);
}

static void test_15_wall(void **state)
{
	struct forge f;
	struct om_data d;

	start(&f, *state);
	events(&f, 3);
	f.time -= 3600LL * 1000000;
	events(&f, 3);
	commit(&f);
	finish(&f, *state, "15", false); /* the second verifier reads no wall clock */
	start(&f, *state);
	events(&f, 3);
	f.time -= 3600LL * 1000000;
	om_data_init(&d);
	om_data_int(&d, "by", -3600LL * 1000000);
	record(&f, 0, "clock.step", &d);
	events(&f, 3);
	commit(&f);
	finish(&f, *state, NULL, true);
}

static void test_19_resigned(void **state)
{
	struct forge f;

	start(&f, *state);
	events(&f, 3);
	f.named_other = 1;
	commit(&f);
	f.named_other = 0;
	events(&f, 3);
	commit(&f);
	finish(&f, *state, "19", true);
}

static void test_23_drop(void **state)
{
	struct forge f;

	start(&f, *state);
	f.drop = 9;
	events(&f, 1);
	commit(&f);
	f.drop = 8;
	events(&f, 1);
	commit(&f);
	finish(&f, *state, "23", true);
}

static void test_25_final_note(void **state)
{
	struct forge f;

	start(&f, *state);
	record(&f, 1, "log.close", NULL);
	commit(&f); /* and no note for the brane that closed */
	commit(&f);
	finish(&f, *state, "25", true);
}

static void test_35_instance(void **state)
{
	struct forge f;

	start(&f, *state);
	record(&f, 1, "log.close", NULL);
	commit(&f);
	brane_note(&f);
	f.seq[1] = 0;
	memset(f.prev[1], 0, 32);
	om_tree_init(&f.brane);
	open_brane(&f);
	commit(&f);
	finish(&f, *state, "35", true);
}

static void test_36_commit(void **state)
{
	struct forge f;

	start(&f, *state);
	f.n_off = 1;
	events(&f, 2);
	commit(&f);
	finish(&f, *state, "36", true);
	start(&f, *state);
	f.heads_off = 1;
	events(&f, 2);
	commit(&f);
	finish(&f, *state, "36", true);
}

/* 26a, 26d: a live root with the signer's files cuts the last commit off and goes on from there. */
static void test_26_live_root(void **state)
{
	struct fix *x = *state;
	struct fix_text t;
	struct om_next_file key;
	size_t cut;
	uint32_t a;
	int fd;

	fix_open(x);
	a = fix_brane(x, "acme/api", "k3v9qz");
	fix_commit(x);
	fix_event(x, a, 1);
	fix_commit(x);
	fix_crash(x);
	fix_load(x, &t);
	/* the newest key, and a state that claims the older head: what root can put there */
	fd = openat(x->run_fd, "next.key", O_RDWR | O_CLOEXEC);
	assert_int_equal(read(fd, &key, sizeof(key)), (ssize_t)sizeof(key));
	cut = fix_find(&t, FIX_RECORD, "secret-1\"", 0);
	t.seg[0].len = t.line[cut].off;
	{
		struct om_tree tree;
		uint8_t leaf[1][32];

		om_tree_init(&tree);
		for (size_t i = 0; i < cut; i++)
			if (t.line[i].kind == FIX_RECORD) {
				om_sha256_leaf(fix_at(&t, i), t.line[i].len - 1, leaf[0]);
				om_tree_append(&tree, leaf, 1);
			}
		key.commits = 2;
		key.issued_size = key.confirmed_size = tree.size;
		om_tree_root(&tree, key.issued_root);
		memcpy(key.confirmed_root, key.issued_root, 32);
		om_sha256(&key, offsetof(struct om_next_file, check), key.check);
	}
	assert_int_equal(pwrite(fd, &key, sizeof(key), 0), (ssize_t)sizeof(key));
	close(fd);
	fix_store(x, &t);
	fix_text_free(&t);
	unlinkat(x->audit_fd, "checkpoint", 0);
	fix_open(x); /* the signer believes it */
	fix_close(x);
	judge(x, "19", true);
}

static int setup(void **state)
{
	struct fix *x = calloc(1, sizeof(*x));

	fix_make(x);
	*state = x;
	return 0;
}

static int teardown(void **state)
{
	fix_free(*state);
	free(*state);
	return 0;
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_honest),	       T(test_13_brane_key), T(test_14_mono),
		T(test_15_wall),       T(test_19_resigned),  T(test_23_drop),
		T(test_25_final_note), T(test_35_instance),  T(test_36_commit),
		T(test_26_live_root),
	};

	return cmocka_run_group_tests_name("chain_forge", tests, NULL, NULL);
}
