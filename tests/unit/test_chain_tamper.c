/*
 * Every class of tampering that the formats allow, done to a real log: verify must name the class,
 * the first bad leaf and its byte offset, and the second verifier (tests/vectors/verify_oracle.py,
 * no shared code) must agree on intact or tampered.
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

#include "tests/util/chain_fixture.h"

static struct fix fix;
static struct fix_text clean;
static char checkpoint[4096];
static ssize_t checkpoint_len;

/* What a case expects: the line that is named first. */
struct want {
	const char *cls;
	uint64_t leaf;
	uint32_t seg;
	size_t off;
	bool anywhere; /* the class alone is checked */
};

static void build(void)
{
	uint32_t a, b, c;
	int fd;

	fix_make(&fix);
	fix.opt.segment_bytes = 40000;
	fix_open(&fix);
	a = fix_brane(&fix, "acme/api", "k3v9qz");
	b = fix_brane(&fix, "acme/web", "aaaaaa");
	c = fix_brane(&fix, "solo", "bbbbbb");
	for (int i = 0; i < 400; i++) {
		fix_event(&fix, i % 5 == 0 ? b : a, i);
		if (i == 100)
			assert_int_equal(om_log_brane_close(fix.log, c, NULL, NULL), 0);
		if (i % 12 == 11)
			fix_commit(&fix);
	}
	fix_close(&fix);
	fix_load(&fix, &clean);
	assert_true(clean.n_seg >= 3);
	fd = openat(fix.audit_fd, "checkpoint", O_RDONLY | O_CLOEXEC);
	checkpoint_len = read(fd, checkpoint, sizeof(checkpoint));
	close(fd);
}

static void copy(struct fix_text *t)
{
	*t = clean;
	t->line = NULL;
	t->n = 0;
	for (uint32_t i = 0; i < t->n_seg; i++) {
		t->seg[i].p = malloc(clean.seg[i].len + 1);
		memcpy(t->seg[i].p, clean.seg[i].p, clean.seg[i].len);
	}
	fix_splice(t, 0, 0, 0, "", 0); /* splits it */
}

static int oracle(void)
{
	char cmd[512];
	int ret;

	snprintf(cmd, sizeof(cmd),
		 "python3 tests/vectors/verify_oracle.py %s/audit %s/state/substrate.vkey "
		 ">/dev/null",
		 fix.dir, fix.dir);
	ret = system(cmd);
	assert_true(WIFEXITED(ret));
	return WEXITSTATUS(ret);
}

static void show(char mark, const char *text, void *ctx)
{
	print_message("  %c %s\n", mark, text);
}

static void judge(const struct fix_text *t, const struct want *want, const char *what, bool agree)
{
	struct om_verify_options o = {.substrate_vkey = fix.vkey};
	struct om_verify_result r;
	int exit_code;
	bool ok;

	fix_store(&fix, t);
	unlinkat(fix.audit_fd, "checkpoint", 0); /* it would give some of these away too early */
	fix_verify(&fix, &o, &r);
	exit_code = om_verify_exit(&r);
	if (!want) {
		ok = exit_code == 0;
	} else {
		const struct om_finding *f = &r.finding[0];

		ok = r.n_findings && exit_code == 1 && !strcmp(f->cls, want->cls) &&
		     (want->anywhere || (f->leaf == want->leaf && f->offset == want->off &&
					 !strcmp(f->segment, t->seg[want->seg].name)));
	}
	if (!ok) {
		print_message("%s: want class %s leaf %llu byte %zu\n", what,
			      want ? want->cls : "none", want ? (unsigned long long)want->leaf : 0,
			      want ? want->off : 0);
		om_verify_lines(&r, &o, show, NULL);
	}
	om_verify_done(&r);
	assert_true(ok);
	if (agree)
		assert_int_equal(oracle(), exit_code ? 1 : 0);
}

static struct want at_line(const struct fix_text *t, size_t i, const char *cls)
{
	return (struct want){cls, t->line[i].leaf, t->line[i].seg, t->line[i].off, false};
}

static void delete_line(struct fix_text *t, size_t i)
{
	struct fix_line l = t->line[i];

	fix_splice(t, l.seg, l.off, l.len, NULL, 0);
}

static void insert_line(struct fix_text *t, size_t before, const char *p, size_t len)
{
	struct fix_line l = t->line[before];
	char *own = malloc(len);

	memcpy(own, p, len);
	fix_splice(t, l.seg, l.off, 0, own, len);
	free(own);
}

static void swap_lines(struct fix_text *t, size_t i, size_t j)
{
	struct fix_line a = t->line[i];
	char *p = malloc(a.len);

	memcpy(p, fix_at(t, i), a.len);
	delete_line(t, i);
	/* j has moved down by one; put the old i behind it */
	fix_splice(t, t->line[j - 1].seg, t->line[j - 1].off + t->line[j - 1].len, 0, p, a.len);
	free(p);
}

/* Replaces the first FROM in line I by TO. */
static void edit(struct fix_text *t, size_t i, const char *from, const char *to)
{
	const char *hit = memmem(fix_at(t, i), t->line[i].len, from, strlen(from));

	assert_non_null(hit);
	fix_splice(t, t->line[i].seg, (size_t)(hit - t->seg[t->line[i].seg].p), strlen(from), to,
		   strlen(to));
}

#define CASE(cls_, line_, ...)                     \
	do {                                       \
		struct fix_text t;                 \
		struct want w;                     \
		size_t i;                          \
		copy(&t);                          \
		i = (line_);                       \
		(void)i;                           \
		w = at_line(&t, i, cls_);          \
		__VA_ARGS__;                       \
		judge(&t, &w, #__VA_ARGS__, true); \
		fix_text_free(&t);                 \
	} while (0)

static void test_intact(void **state)
{
	judge(&clean, NULL, "intact", true);
}

static void test_1_record_bits(void **state)
{
	CASE("1", fix_find(&t, FIX_RECORD, "secret-150\"", 0),
	     edit(&t, i, "secret-150", "secret-151"));
}

/* One byte at a time, all over the log: always detected, and named at the line that was hit. */
static void test_1_2_every_byte(void **state)
{
	uint64_t x = 88172645463325252ULL;
	int missed = 0;

	for (int round = 0; round < 400; round++) {
		struct om_verify_options o = {.substrate_vkey = fix.vkey};
		struct om_verify_result r;
		struct fix_text t;
		struct fix_line l;
		size_t i, at;
		int code;

		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		copy(&t);
		i = x % t.n;
		l = t.line[i];
		at = l.off + (x >> 32) % l.len;
		t.seg[l.seg].p[at] ^= (char)(1 << (x >> 20) % 8);
		fix_store(&fix, &t);
		unlinkat(fix.audit_fd, "checkpoint", 0);
		fix_verify(&fix, &o, &r);
		code = om_verify_exit(&r);
		/* The very last LF cannot be told from a write that was cut there. */
		if (code != 1 && !(code == 11 && i == t.n - 1))
			print_message("line %zu of %zu kind %d byte %zu of %zu\n", i, t.n, l.kind,
				      at - l.off, l.len);
		assert_true(code == 1 || (code == 11 && i == t.n - 1));
		if (code == 1 && (r.finding[0].offset != l.off ||
				  (l.kind != FIX_HEADER && r.finding[0].leaf != l.leaf)))
			missed++,
				print_message(
					"# kind %d hit at %zu+%zu leaf %llu, named %llu leaf %llu "
					"class %s\n",
					l.kind, l.off, at - l.off, (unsigned long long)l.leaf,
					(unsigned long long)r.finding[0].offset,
					(unsigned long long)r.finding[0].leaf, r.finding[0].cls);
		om_verify_done(&r);
		fix_text_free(&t);
	}
	/* An altered name in a brane's first record shows at its second only; few others may. */
	assert_in_range(missed, 0, 20);
}

static void test_2_note_bits(void **state)
{
	CASE("2", fix_find(&t, FIX_NOTE, "omega/c9 ", 0), {
		char *p = memmem(fix_at(&t, i), t.line[i].len, "omega/c9 ", 9);

		p[30] = p[30] == 'A' ? 'B' : 'A';
	});
}

static void test_3_4_deletions(void **state)
{
	/* The line that follows in its brane is the first that does not fit. */
	CASE("3", fix_find(&t, FIX_RECORD, "secret-151\"", 0), {
		delete_line(&t, i);
		i = fix_find(&t, FIX_RECORD, "secret-152\"", 0);
		w = at_line(&t, i, "3");
	});
	CASE("4", fix_find(&t, FIX_RECORD, "secret-156\"", 0), {
		size_t end = fix_find(&t, FIX_RECORD, "secret-168\"", 0);

		/* from one batch's first line to the next one's */
		for (size_t n = end - i; n; n--)
			delete_line(&t, i);
		w = at_line(&t, i, "4");
	});
}

static void test_5_6_order(void **state)
{
	CASE("5", fix_find(&t, FIX_RECORD, "secret-151\"", 0), swap_lines(&t, i, i + 1));
	CASE("6", fix_find(&t, FIX_RECORD, "secret-154\"", 0), {
		swap_lines(&t, i, i + 1);
		w.anywhere = true; /* equal microseconds leave no trace of where */
	});
}

static void test_7_8_insertions(void **state)
{
	CASE("8", fix_find(&t, FIX_RECORD, "secret-152\"", 0),
	     insert_line(&t, i + 1, fix_at(&t, i), t.line[i].len), w = at_line(&t, i + 1, "8"));
	CASE("7", fix_find(&t, FIX_RECORD, "secret-152\"", 0), {
		insert_line(&t, i, fix_at(&t, i), t.line[i].len);
		edit(&t, i, "secret-152", "secret-xxx");
		w = at_line(&t, i, "7");
	});
}

static void test_16_17_segments(void **state)
{
	struct fix_text t;
	struct fix_seg s;
	struct want w = {.cls = "17", .anywhere = true};

	copy(&t);
	free(t.seg[1].p);
	memmove(&t.seg[1], &t.seg[2], (t.n_seg - 2) * sizeof(t.seg[0]));
	t.n_seg--;
	judge(&t, &w, "segment removed", true);
	fix_text_free(&t);
	copy(&t);
	free(t.seg[0].p);
	memmove(&t.seg[0], &t.seg[1], (t.n_seg - 1) * sizeof(t.seg[0]));
	t.n_seg--;
	judge(&t, &w, "first segment removed", true);
	fix_text_free(&t);
	copy(&t);
	s = t.seg[1];
	t.seg[1].p = t.seg[2].p;
	t.seg[1].len = t.seg[2].len;
	t.seg[2].p = s.p;
	t.seg[2].len = s.len;
	w.cls = "16";
	judge(&t, &w, "segments swapped", true);
	fix_text_free(&t);
}

static void test_18_moved(void **state)
{
	/* A line of web relabelled as api: it stands where api's chain waits for another. */
	CASE("18", fix_find(&t, FIX_RECORD, "secret-155\"", 0),
	     edit(&t, i, "acme/web#aaaaaa", "acme/api#k3v9qz"));
}

static void test_20_stripped(void **state)
{
	CASE("20", fix_find(&t, FIX_NOTE, "omega/c9 ", 0), {
		const char *p = fix_at(&t, i);
		const char *from =
			memmem(p, t.line[i].len, "\xE2\x80\x94 node7.example/omega/c9", 25);
		const char *to = (const char *)memmem(from, 400, "\\n", 2) + 2;

		fix_splice(&t, t.line[i].seg, (size_t)(from - t.seg[t.line[i].seg].p),
			   (size_t)(to - from), NULL, 0);
	});
	CASE("20", fix_find(&t, FIX_NOTE, "omega/c9 ", 0), {
		const char *p = fix_at(&t, i);
		const char *from =
			memmem(p, t.line[i].len, "\xE2\x80\x94 node7.example/omega ", 24);
		const char *to = (const char *)memmem(from, 400, "\\n", 2) + 2;

		fix_splice(&t, t.line[i].seg, (size_t)(from - t.seg[t.line[i].seg].p),
			   (size_t)(to - from), NULL, 0);
	});
}

static void test_21_22_31_bytes(void **state)
{
	CASE("21", fix_find(&t, FIX_RECORD, "secret-152\"", 0),
	     edit(&t, i, "\"kind\":", "\"kind\": "));
	CASE("21", fix_find(&t, FIX_RECORD, "secret-152\"", 0),
	     edit(&t, i, "secret-152", "secret\\u002d152"));
	CASE("22", fix_find(&t, FIX_RECORD, "secret-152\"", 0),
	     edit(&t, i, "\"act\":\"deny\"", "\"act\":\"deny\",\"act\":\"deny\""));
	CASE("31", fix_find(&t, FIX_RECORD, "secret-152\"", 0), edit(&t, i, "}\n", "}\r\n"));
	CASE("31", fix_find(&t, FIX_RECORD, "secret-152\"", 0), edit(&t, i, "}\n", "} x\n"));
	CASE("31", fix_find(&t, FIX_RECORD, "secret-152\"", 0), {
		static char big[20001];

		memset(big, 'a', 20000);
		edit(&t, i, "secret-152", big);
	});
}

static void test_24_25_notes(void **state)
{
	/* An older note in the place of a newer one. */
	CASE("24", fix_find(&t, FIX_NOTE, "omega/c9 ", 0), {
		size_t old = fix_find(&t, FIX_NOTE, "omega/c8 ", 0), len = t.line[old].len;
		char *p = malloc(len);

		memcpy(p, fix_at(&t, old), len);
		delete_line(&t, i);
		insert_line(&t, i, p, len);
		free(p);
	});
	CASE("25", fix_find(&t, FIX_NOTE, "omega/c9 ", 0), {
		size_t commit = i - 1;

		while (t.line[i].kind == FIX_NOTE || t.line[i].kind == FIX_BRANE_NOTE)
			delete_line(&t, i);
		w = at_line(&t, commit, "25");
	});
}

static void test_29_signature_spelling(void **state)
{
	CASE("29", fix_find(&t, FIX_NOTE, "omega/c9 ", 0), {
		char *p = memmem(fix_at(&t, i), t.line[i].len, "=\\n", 3);

		p[-1]++; /* bits under the padding */
	});
}

/* A cut at a note leaves a good log: said as "complete through", seen with a head or a clock. */
static void test_9_10_cuts(void **state)
{
	struct om_verify_options o = {.substrate_vkey = fix.vkey};
	struct om_verify_result r;
	struct fix_text t;
	size_t i;

	fix_store(&fix, &clean);
	fix_verify(&fix, &o, &r);
	o.saved_size = r.size;
	memcpy(o.saved_root, r.root, 32);
	om_verify_done(&r);
	copy(&t);
	i = fix_find(&t, FIX_NOTE, "omega/c4 ", 0);
	while (t.line[i + 1].kind == FIX_BRANE_NOTE)
		i++;
	t.n_seg = t.line[i].seg + 1;
	t.seg[t.line[i].seg].len = t.line[i].off + t.line[i].len;
	fix_store(&fix, &t);
	fix_verify(&fix, &o, &r);
	assert_int_equal(om_verify_exit(&r), 1);
	assert_string_equal(r.finding[0].cls, "9c");
	om_verify_done(&r);
	o.saved_size = 0;
	fix_verify(&fix, &o, &r);
	assert_int_equal(om_verify_exit(&r), 0); /* 9a: nothing offline can see it */
	assert_true(r.complete_through > 0);
	o.max_age = 1000000;
	o.now = r.complete_through + 2000000;
	om_verify_done(&r);
	fix_verify(&fix, &o, &r);
	assert_int_equal(om_verify_exit(&r), 11);
	assert_string_equal(r.finding[0].cls, "9b");
	om_verify_done(&r);
	/* `checkpoint` still bears the newer head */
	assert_int_equal(close(openat(fix.audit_fd, "checkpoint", O_WRONLY | O_CREAT, 0644)), 0);
	o.max_age = 0;
	{
		int fd = openat(fix.audit_fd, "checkpoint", O_WRONLY | O_TRUNC | O_CLOEXEC);

		assert_int_equal(write(fd, checkpoint, (size_t)checkpoint_len), checkpoint_len);
		close(fd);
	}
	fix_verify(&fix, &o, &r);
	assert_int_equal(om_verify_exit(&r), 1);
	assert_string_equal(r.finding[0].cls, "9c");
	om_verify_done(&r);
	/* 10: in the middle of the next batch, in the middle of a line */
	unlinkat(fix.audit_fd, "checkpoint", 0);
	t.seg[t.line[i].seg].len += 700;
	fix_store(&fix, &t);
	fix_verify(&fix, &o, &r);
	assert_int_equal(om_verify_exit(&r), 11);
	assert_string_equal(r.finding[0].cls, "10");
	om_verify_done(&r);
	for (uint32_t k = t.n_seg; k < clean.n_seg; k++)
		free(t.seg[k].p);
	fix_text_free(&t);
}

static void test_11b_fork(void **state)
{
	struct om_verify_options o = {.substrate_vkey = fix.vkey, .saved_size = 14};
	struct om_verify_result r;

	fix_store(&fix, &clean);
	memset(o.saved_root, 7, 32);
	fix_verify(&fix, &o, &r);
	assert_int_equal(om_verify_exit(&r), 1);
	assert_string_equal(r.finding[0].cls, "11b");
	om_verify_done(&r);
}

static void test_12_other_substrate(void **state)
{
	struct om_verify_options o = {0};
	struct om_verify_result r;
	struct fix other;

	fix_make(&other);
	fix_store(&fix, &clean);
	o.substrate_vkey = other.vkey;
	fix_verify(&fix, &o, &r);
	assert_int_equal(om_verify_exit(&r), 1);
	assert_string_equal(r.finding[0].cls, "12");
	om_verify_done(&r);
	fix_free(&other);
}

static void test_33_34_checkpoint(void **state)
{
	struct om_verify_options o = {.substrate_vkey = fix.vkey};
	struct om_verify_result r;
	int fd;

	fix_store(&fix, &clean);
	fd = openat(fix.audit_fd, "checkpoint", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	assert_int_equal(write(fd, "junk\n", 5), 5);
	close(fd);
	fix_verify(&fix, &o, &r);
	assert_int_equal(om_verify_exit(&r), 0); /* derived: reported, not judged */
	assert_string_equal(r.finding[0].cls, "33");
	om_verify_done(&r);
	unlinkat(fix.audit_fd, "checkpoint", 0);
}

static int setup(void **state)
{
	build();
	return 0;
}

static int teardown(void **state)
{
	fix_text_free(&clean);
	fix_free(&fix);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_intact),
		cmocka_unit_test(test_1_record_bits),
		cmocka_unit_test(test_1_2_every_byte),
		cmocka_unit_test(test_2_note_bits),
		cmocka_unit_test(test_3_4_deletions),
		cmocka_unit_test(test_5_6_order),
		cmocka_unit_test(test_7_8_insertions),
		cmocka_unit_test(test_9_10_cuts),
		cmocka_unit_test(test_11b_fork),
		cmocka_unit_test(test_12_other_substrate),
		cmocka_unit_test(test_16_17_segments),
		cmocka_unit_test(test_18_moved),
		cmocka_unit_test(test_20_stripped),
		cmocka_unit_test(test_21_22_31_bytes),
		cmocka_unit_test(test_24_25_notes),
		cmocka_unit_test(test_29_signature_spelling),
		cmocka_unit_test(test_33_34_checkpoint),
	};

	return cmocka_run_group_tests_name("chain_tamper", tests, setup, teardown);
}
