/* The writer, the signer's rules, recovery in process, the reader; every log is judged at the end. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <cmocka.h>

#include "agent/chain/format/merkle.h"
#include "tests/util/chain_fixture.h"

static int setup(void **state)
{
	struct fix *f = calloc(1, sizeof(*f));

	fix_make(f);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	fix_free(*state);
	free(*state);
	return 0;
}

static void test_write_and_verify(void **state)
{
	struct fix *f = *state;
	struct om_verify_options o = {.substrate_vkey = f->vkey, .brane = "api"};
	struct om_verify_result r;
	uint32_t a, b;

	fix_open(f);
	a = fix_brane(f, "acme/api", "k3v9qz");
	b = fix_brane(f, "acme/web", "aaaaaa");
	for (int i = 0; i < 100; i++) {
		fix_event(f, i % 3 ? a : b, i);
		if (i % 10 == 9)
			fix_commit(f);
	}
	fix_close(f);
	fix_expect_exit(f, 0);
	fix_verify(f, &o, &r);
	assert_int_equal(r.filter_events, 67);
	assert_int_equal(r.brane_events, 102);
	assert_true(r.integrity && r.authenticity && r.closed);
	assert_int_equal(r.unclean, 0);
	om_verify_done(&r);
	o.substrate_vkey = NULL;
	fix_verify(f, &o, &r);
	assert_int_equal(om_verify_exit(&r), 12);
	om_verify_done(&r);
}

static void test_segments_and_restart(void **state)
{
	struct fix *f = *state;
	struct fix_text t;
	uint32_t a;

	f->opt.segment_bytes = 6000;
	fix_open(f);
	a = fix_brane(f, "acme/api", "k3v9qz");
	for (int i = 0; i < 60; i++) {
		fix_event(f, a, i);
		if (i % 4 == 3)
			fix_commit(f);
	}
	fix_close(f);
	fix_open(f); /* a brane that was left open is taken up again */
	a = fix_brane(f, "acme/api", "k3v9qz");
	for (int i = 0; i < 20; i++)
		fix_event(f, a, i);
	assert_int_equal(om_log_brane_close(f->log, a, NULL, NULL), 0);
	fix_close(f);
	fix_load(f, &t);
	assert_true(t.n_seg > 3);
	fix_text_free(&t);
	fix_expect_exit(f, 0);
}

static void test_crash_is_a_warning(void **state)
{
	struct fix *f = *state;
	struct om_log_stat st;
	uint32_t a;

	fix_open(f);
	a = fix_brane(f, "acme/api", "k3v9qz");
	fix_event(f, a, 1);
	fix_commit(f);
	fix_event(f, a, 2); /* never committed: lost with the process, never acknowledged */
	fix_crash(f);
	fix_open(f);
	om_log_stat(f->log, &st);
	assert_int_equal(st.reopened, 1);
	fix_close(f);
	fix_expect_exit(f, 11);
}

/* The signer dies: the batch reaches the disk unsigned and becomes part of the next one. */
static int no_sign(struct om_signer *s, const struct om_sign_batch *b, struct om_sign_note *n,
		   struct om_sign_note *notes, uint8_t next[32], struct om_err *err)
{
	return om_err_set(err, OM_ERR_LOG_SIGNER, -EPIPE, "gone");
}

static void test_signer_dies(void **state)
{
	struct fix *f = *state;
	struct om_signer_ops ops;
	const struct om_signer_ops *real;
	struct om_reader *rd;
	struct om_record rec;
	struct om_log_stat st;
	struct om_err err = {0};
	uint32_t a;
	int seen = 0;

	fix_open(f);
	a = fix_brane(f, "acme/api", "k3v9qz");
	fix_commit(f);
	for (int i = 0; i < 5; i++)
		fix_event(f, a, i);
	real = f->signer->ops;
	ops = *real;
	ops.sign = no_sign;
	f->signer->ops = &ops;
	assert_int_equal(om_log_commit(f->log, &err), -EPIPE);
	assert_int_equal(err.id, OM_ERR_LOG_SIGNER);
	assert_int_equal(om_log_close(f->log, &err), -EPIPE);
	f->signer->ops = real;
	om_signer_free(f->signer);
	fix_open(f);
	om_log_stat(f->log, &st);
	assert_int_equal(st.recovered_unsigned, 5);
	fix_close(f);
	fix_expect_exit(f, 11);
	assert_int_equal(om_reader_open(f->audit_fd,
					&(struct om_reader_filter){.brane = "api", .kind = "file."},
					&rd, &err),
			 0);
	while (om_reader_next(rd, &rec, &err) == 1)
		seen++;
	assert_int_equal(seen, 5);
	om_reader_close(rd);
}

static void test_lost_key_is_counted(void **state)
{
	struct fix *f = *state;
	struct om_verify_options o = {.substrate_vkey = f->vkey};
	struct om_verify_result r;

	fix_open(f);
	fix_close(f);
	assert_int_equal(unlinkat(f->run_fd, "next.key", 0), 0);
	fix_open(f);
	fix_close(f);
	fix_verify(f, &o, &r);
	assert_int_equal(om_verify_exit(&r), 11);
	assert_int_equal(r.key_breaks, 1);
	assert_int_equal(r.unclean, 0);
	om_verify_done(&r);
}

/*
 * Killed between the signer's first word after a lost key and the first note under the new one: the key
 * was stored, and no commit ever named it. The next start must say `boot` again (class 19 otherwise).
 */
static void test_lost_key_then_killed(void **state)
{
	struct fix *f = *state;
	const struct om_signer_ops *real;
	struct om_signer_ops ops;
	struct om_signer *s;
	struct om_log *log;
	struct om_err err = {0};

	fix_open(f);
	fix_brane(f, "acme/api", "k3v9qz");
	fix_commit(f);
	fix_close(f);
	for (int round = 0; round < 3; round++) {
		assert_int_equal(unlinkat(f->run_fd, "next.key", 0), 0);
		for (int again = 0; again <= round; again++) {
			assert_int_equal(om_signer_local(f->state_fd, f->run_fd, &s, &err), 0);
			real = s->ops;
			ops = *real;
			ops.sign = no_sign; /* it greets, then dies */
			s->ops = &ops;
			assert_int_equal(om_log_open(f->audit_fd, s, &f->opt, &log, &err), -EPIPE);
			s->ops = real;
			om_signer_free(s);
		}
		fix_open(f);
		fix_close(f);
		fix_expect_exit(f, 11);
	}
}

/* An older copy of the directory is put back while the signer remembers (class 37). */
static void test_rollback_is_refused(void **state)
{
	struct fix *f = *state;
	struct om_err err = {0};
	struct fix_text old;
	struct om_signer *s;
	struct om_log *log;

	fix_open(f);
	fix_commit(f);
	fix_close(f);
	fix_load(f, &old);
	fix_open(f);
	fix_commit(f);
	fix_close(f);
	fix_store(f, &old);
	fix_text_free(&old);
	assert_int_equal(om_signer_local(f->state_fd, f->run_fd, &s, &err), 0);
	assert_int_equal(om_log_open(f->audit_fd, s, NULL, &log, &err), -EPERM);
	assert_int_equal(err.id, OM_ERR_LOG_SIGNER);
	om_signer_free(s);
	/* The derived `checkpoint` still bears the newer head: the cut shows. */
	fix_expect_exit(f, 1);
}

static void test_sync_failure_moves_on(void **state)
{
	struct fix *f = *state;
	struct fix_text t;
	int failures = 0;
	uint32_t a;

	f->opt.test_fail_sync = &failures;
	fix_open(f);
	a = fix_brane(f, "acme/api", "k3v9qz");
	fix_commit(f);
	fix_event(f, a, 1);
	failures = 1;
	fix_commit(f);
	fix_event(f, a, 2);
	fix_close(f);
	fix_load(f, &t);
	assert_int_equal(t.n_seg, 2);
	fix_text_free(&t);
	fix_expect_exit(f, 0);
	/* Twice in a row: fail closed, and nothing is lost once the disk is back. */
	fix_open(f);
	a = fix_brane(f, "acme/api", "k3v9qz");
	fix_event(f, a, 3);
	failures = 2;
	assert_int_equal(om_log_commit(f->log, NULL), -EIO);
	assert_int_equal(om_log_append(f->log, a, "file.open", NULL, 0, NULL), -ENOSPC);
	fix_commit(f);
	fix_close(f);
	fix_expect_exit(f, 0);
}

static void test_drops_are_chained(void **state)
{
	struct fix *f = *state;
	struct om_verify_options o = {.substrate_vkey = f->vkey};
	struct om_verify_result r;

	fix_open(f);
	om_log_drop(f->log, OM_DROP_RINGBUF, 7);
	assert_true(om_log_deadline(f->log) > 0);
	fix_commit(f);
	om_log_drop(f->log, OM_DROP_FULL, 2);
	fix_close(f);
	fix_open(f);
	fix_close(f);
	fix_verify(f, &o, &r);
	assert_int_equal(r.drop[OM_DROP_RINGBUF], 7);
	assert_int_equal(r.drop[OM_DROP_FULL], 2);
	assert_int_equal(om_verify_exit(&r), 11);
	om_verify_done(&r);
}

static void test_hostile_values(void **state)
{
	struct fix *f = *state;
	struct om_err err = {0};
	static char big[60000];
	struct om_data d;
	uint32_t a;

	fix_open(f);
	a = fix_brane(f, "acme/api", "k3v9qz");
	for (int fill = 0; fill < 256; fill += 5) {
		memset(big, fill, sizeof(big));
		om_data_init(&d);
		om_data_bytes(&d, "zz", big, sizeof(big));
		om_data_bytes(&d, "obj", big, 5000);
		om_data_bytes(&d, "arg", big, 4097);
		om_data_bytes(&d, "aa", big, 300);
		assert_int_equal(om_log_append(f->log, a, "exec", &d, 0, &err), 0);
	}
	om_data_init(&d);
	om_data_int(&d, "twice", 1);
	om_data_int(&d, "twice", 1);
	assert_int_equal(om_log_append(f->log, a, "exec", &d, 0, &err), -EEXIST);
	assert_int_equal(err.id, OM_ERR_LOG_RECORD);
	om_data_init(&d);
	om_data_int(&d, "Bad Key", 1);
	assert_true(om_log_append(f->log, a, "exec", &d, 0, &err) < 0);
	om_data_init(&d);
	om_data_int(&d, "n", INT64_MAX);
	assert_true(om_log_append(f->log, a, "exec", &d, 0, &err) < 0);
	om_data_init(&d);
	om_data_json(&d, "j", "{\"b\":1,\"a\":2}", 13);
	assert_true(om_log_append(f->log, a, "exec", &d, 0, &err) < 0);
	assert_true(om_log_append(f->log, a, "no kind", NULL, 0, &err) < 0);
	assert_true(om_log_append(f->log, 77, "exec", NULL, 0, &err) < 0);
	fix_close(f);
	fix_expect_exit(f, 0);
}

static void test_names(void **state)
{
	struct fix *f = *state;
	uint32_t h;

	fix_open(f);
	assert_true(om_log_brane_open(f->log, "@node", "x", NULL, &h, NULL) < 0);
	assert_true(om_log_brane_open(f->log, "a/b/c", "x", NULL, &h, NULL) < 0);
	assert_true(om_log_brane_open(f->log, "a#b", "x", NULL, &h, NULL) < 0);
	assert_true(om_log_brane_open(f->log, "a\"b", "x", NULL, &h, NULL) < 0);
	assert_true(om_log_brane_open(f->log, "", "x", NULL, &h, NULL) < 0);
	assert_int_equal(om_log_brane_open(f->log, "a", "x", NULL, &h, NULL), 0);
	assert_int_equal(om_log_brane_open(f->log, "a", "x", NULL, &h, NULL), -EEXIST);
	fix_close(f);
	fix_expect_exit(f, 0);
}

static int no_confirm(struct om_signer *s, uint64_t size, struct om_err *err)
{
	return 0;
}

/* Puts segment 0 back with LEN bytes (then zeros up to FULL, a hole of zeros at HOLE), and the key. */
static void put_back(struct fix *f, const struct fix_text *t, size_t len, size_t full, size_t hole,
		     const char *key, size_t key_len)
{
	int fd = openat(f->audit_fd, "stream/000000000000.log", O_RDWR | O_TRUNC | O_CLOEXEC);
	char zeros[512] = {0};

	unlinkat(f->audit_fd, "checkpoint", 0); /* not published before the write was whole */
	assert_int_equal(write(fd, t->seg[0].p, len), (ssize_t)len);
	assert_int_equal(ftruncate(fd, (off_t)full), 0);
	if (hole)
		assert_int_equal(pwrite(fd, zeros, sizeof(zeros), (off_t)hole), 512);
	close(fd);
	fd = openat(f->run_fd, "next.key", O_WRONLY | O_TRUNC | O_CLOEXEC);
	assert_int_equal(write(fd, key, key_len), (ssize_t)key_len);
	close(fd);
}

/* The last write torn at any byte, or with zeros in it: opened again, judged, nothing confirmed lost. */
static void test_torn_everywhere(void **state)
{
	struct fix *f = *state;
	struct om_signer_ops ops;
	const struct om_signer_ops *real;
	struct fix_text t;
	char key[512];
	size_t good, end;
	ssize_t n;
	uint32_t a;
	int fd;

	fix_open(f);
	a = fix_brane(f, "acme/api", "k3v9qz");
	fix_event(f, a, 1);
	fix_commit(f);
	fix_load(f, &t);
	good = t.line[t.n - 1].off + t.line[t.n - 1].len;
	fix_text_free(&t);
	real = f->signer->ops;
	ops = *real;
	ops.confirm = no_confirm;
	f->signer->ops = &ops;
	for (int i = 2; i < 9; i++)
		fix_event(f, a, i);
	fix_commit(f);
	f->signer->ops = real;
	fix_crash(f);
	fix_load(f, &t);
	end = t.line[t.n - 1].off + t.line[t.n - 1].len;
	fd = openat(f->run_fd, "next.key", O_RDONLY | O_CLOEXEC);
	n = read(fd, key, sizeof(key));
	close(fd);
	for (size_t cut = good; cut <= end; cut += 23) {
		int how = (int)(cut % 3);
		size_t sector = (cut + 511) & ~(size_t)511;
		bool hole = how == 2 && sector + 512 < end;
		bool whole = how == 2 ? !hole : cut == good;

		put_back(f, &t, how == 2 ? end : cut, how ? t.seg[0].len : cut, hole ? sector : 0,
			 key, (size_t)n);
		fix_expect_exit(f, whole ? 0 : 11);
		fix_open(f);
		fix_close(f);
		fix_expect_exit(f, 11);
	}
	fix_text_free(&t);
}

/* What the signer must refuse, asked directly. */
static void test_signer_refuses(void **state)
{
	struct fix *f = *state;
	struct om_sign_hello hello = {0};
	struct om_sign_welcome w;
	struct om_sign_note note;
	struct om_signer *s;
	uint8_t leaf[1][32] = {{1}}, next[32];
	uint32_t tag = 0;
	struct om_sign_batch b = {.n = 1,
				  .leaf = (const uint8_t(*)[32])leaf,
				  .brane = &tag,
				  .commit = "{}",
				  .commit_len = 2};

	assert_int_equal(om_signer_local(f->state_fd, f->run_fd, &s, NULL), 0);
	assert_true(s->ops->sign(s, &b, &note, NULL, next, NULL) < 0); /* before hello */
	assert_int_equal(s->ops->hello(s, &hello, &w, NULL), 0);
	assert_true(s->ops->sign(s, &b, &note, NULL, next, NULL) < 0); /* no commit record */
	b.size = 5;
	assert_true(s->ops->sign(s, &b, &note, NULL, next, NULL) < 0); /* not the next */
	b.size = 0;
	b.n = OM_SIGN_LEAVES_MAX + 1;
	assert_true(s->ops->sign(s, &b, &note, NULL, next, NULL) < 0); /* too many */
	b.n = 1;
	tag = 9;
	assert_true(s->ops->sign(s, &b, &note, NULL, next, NULL) < 0); /* no such brane */
	assert_true(s->ops->confirm(s, 1, NULL) < 0);
	assert_true(s->ops->brane_open(s, "@node", 0, NULL, &tag, next, NULL) < 0);
	om_signer_free(s);
}

static void test_reader_follows(void **state)
{
	struct fix *f = *state;
	struct om_reader *rd;
	struct om_record rec;
	struct om_err err = {0};
	uint32_t a;
	int seen = 0;

	f->opt.segment_bytes = 6000;
	fix_open(f);
	a = fix_brane(f, "acme/api", "k3v9qz");
	assert_int_equal(om_reader_open(f->audit_fd,
					&(struct om_reader_filter){.kind = "file.open"}, &rd, &err),
			 0);
	assert_int_equal(om_reader_next(rd, &rec, &err), 0);
	for (int i = 0; i < 60; i++) {
		fix_event(f, a, i);
		assert_int_equal(om_reader_next(rd, &rec, &err), 0); /* not under a note yet */
		fix_commit(f);
		assert_int_equal(om_reader_next(rd, &rec, &err), 1);
		assert_non_null(memmem(rec.data.p, rec.data.len, "secret-", 7));
		seen++;
	}
	assert_int_equal(om_reader_next(rd, &rec, &err), 0);
	assert_int_equal(om_reader_damaged(rd), 0);
	om_reader_close(rd);
	fix_close(f);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_write_and_verify),
		T(test_segments_and_restart),
		T(test_crash_is_a_warning),
		T(test_signer_dies),
		T(test_lost_key_then_killed),
		T(test_lost_key_is_counted),
		T(test_rollback_is_refused),
		T(test_sync_failure_moves_on),
		T(test_drops_are_chained),
		T(test_hostile_values),
		T(test_names),
		T(test_signer_refuses),
		T(test_torn_everywhere),
		T(test_reader_follows),
	};

	return cmocka_run_group_tests_name("chain", tests, NULL, NULL);
}
