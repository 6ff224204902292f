/* Helpers for tests of the audit log: see chain_fixture.h. */
#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <cmocka.h>

#include "tests/util/chain_fixture.h"

#define OK(x)                                                        \
	do {                                                         \
		struct om_err err = {0};                             \
		int ok_ret = (x);                                    \
		if (ok_ret < 0)                                      \
			fail_msg("%s: %d %s", #x, ok_ret, err.text); \
	} while (0)

static int sub(struct fix *f, const char *name)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", f->dir, name);
	mkdir(path, 0700);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(fd >= 0);
	return fd;
}

void fix_make(struct fix *f)
{
	int fd;
	ssize_t n;

	memset(f, 0, sizeof(*f));
	strcpy(f->dir, "/tmp/omega-chain-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	f->state_fd = sub(f, "state");
	f->run_fd = sub(f, "run");
	f->audit_fd = sub(f, "audit");
	f->opt.prealloc_bytes = 16384;
	OK(om_signer_enroll(f->state_fd, FIX_ORIGIN, &err));
	fd = openat(f->state_fd, "substrate.vkey", O_RDONLY | O_CLOEXEC);
	n = read(fd, f->vkey, sizeof(f->vkey) - 1);
	assert_true(n > 0);
	close(fd);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	return remove(path);
}

void fix_free(struct fix *f)
{
	close(f->state_fd);
	close(f->run_fd);
	close(f->audit_fd);
	nftw(f->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

void fix_open(struct fix *f)
{
	OK(om_signer_local(f->state_fd, f->run_fd, &f->signer, &err));
	OK(om_log_open(f->audit_fd, f->signer, &f->opt, &f->log, &err));
}

void fix_close(struct fix *f)
{
	OK(om_log_close(f->log, &err));
	om_signer_free(f->signer);
	f->log = NULL;
	f->signer = NULL;
}

void fix_crash(struct fix *f)
{
	om_log_abort(f->log);
	f->log = NULL;
	om_signer_free(f->signer);
	f->signer = NULL;
}

uint32_t fix_brane(struct fix *f, const char *name, const char *instance)
{
	uint32_t h = 0;

	OK(om_log_brane_open(f->log, name, instance, NULL, &h, &err));
	return h;
}

void fix_event(struct fix *f, uint32_t brane, int i)
{
	char path[64];
	struct om_data d;

	snprintf(path, sizeof(path), "/etc/secret-%d", i);
	om_data_init(&d);
	om_data_word(&d, "act", "deny");
	om_data_word(&d, "layer", "lsm");
	om_data_word(&d, "obj", path);
	om_data_int(&d, "pid", 1000 + i);
	om_data_word(&d, "rule", "filesystem.read");
	OK(om_log_append(f->log, brane, "file.open", &d, 0, &err));
}

void fix_commit(struct fix *f)
{
	OK(om_log_commit(f->log, &err));
}

void fix_verify(struct fix *f, const struct om_verify_options *opt, struct om_verify_result *res)
{
	OK(om_verify(f->audit_fd, opt, res, &err));
}

static void print_line(char mark, const char *text, void *ctx)
{
	print_message("  %c %s\n", mark, text);
}

void fix_expect_exit(struct fix *f, int expect)
{
	struct om_verify_options o = {.substrate_vkey = f->vkey};
	struct om_verify_result r;
	int got;

	fix_verify(f, &o, &r);
	got = om_verify_exit(&r);
	if (got != expect)
		om_verify_lines(&r, &o, print_line, NULL);
	om_verify_done(&r);
	assert_int_equal(got, expect);
}

static void add_line(struct fix_text *t, const struct fix_line *l)
{
	t->line = realloc(t->line, (t->n + 1) * sizeof(*t->line));
	assert_non_null(t->line);
	t->line[t->n++] = *l;
}

static enum fix_kind kind_of(const char *p, size_t len)
{
	if (len > 7 && !memcmp(p, "{\"seg\":", 7))
		return FIX_HEADER;
	if (len > 8 && !memcmp(p, "{\"note\":", 8))
		return memmem(p, len, "/brane/", 7) ? FIX_BRANE_NOTE : FIX_NOTE;
	return FIX_RECORD;
}

static void split(struct fix_text *t)
{
	uint64_t leaf = 0;

	free(t->line);
	t->line = NULL;
	t->n = 0;
	for (uint32_t s = 0; s < t->n_seg; s++) {
		const struct fix_seg *g = &t->seg[s];

		for (size_t at = 0; at < g->len && g->p[at];) {
			const char *lf = memchr(g->p + at, '\n', g->len - at);
			size_t len = lf ? (size_t)(lf - (g->p + at)) + 1 : g->len - at;
			struct fix_line l = {s, kind_of(g->p + at, len), at, len, leaf};

			if (l.kind == FIX_RECORD)
				leaf++;
			add_line(t, &l);
			at += len;
		}
	}
}

void fix_load(struct fix *f, struct fix_text *t)
{
	int stream = openat(f->audit_fd, "stream", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	uint64_t *firsts;
	size_t n;

	memset(t, 0, sizeof(*t));
	assert_int_equal(om_seg_list(stream, &firsts, &n), 0);
	assert_true(n <= OM_ARRAY_LEN(t->seg));
	for (size_t i = 0; i < n; i++) {
		struct fix_seg *g = &t->seg[t->n_seg++];
		struct stat st;
		int fd;

		om_seg_name(firsts[i], g->name);
		fd = openat(stream, g->name, O_RDONLY | O_CLOEXEC);
		assert_int_equal(fstat(fd, &st), 0);
		g->len = (size_t)st.st_size;
		g->p = malloc(g->len + 1);
		assert_int_equal(read(fd, g->p, g->len), (ssize_t)g->len);
		close(fd);
	}
	free(firsts);
	close(stream);
	split(t);
}

void fix_store(struct fix *f, const struct fix_text *t)
{
	int stream = openat(f->audit_fd, "stream", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	uint64_t *firsts;
	char name[24];
	size_t n;

	assert_int_equal(om_seg_list(stream, &firsts, &n), 0);
	for (size_t i = 0; i < n; i++) {
		om_seg_name(firsts[i], name);
		unlinkat(stream, name, 0);
	}
	free(firsts);
	for (uint32_t i = 0; i < t->n_seg; i++) {
		const struct fix_seg *g = &t->seg[i];
		int fd = openat(stream, g->name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

		assert_int_equal(write(fd, g->p, g->len), (ssize_t)g->len);
		close(fd);
	}
	close(stream);
}

void fix_text_free(struct fix_text *t)
{
	for (uint32_t i = 0; i < t->n_seg; i++)
		free(t->seg[i].p);
	free(t->line);
	memset(t, 0, sizeof(*t));
}

void fix_splice(struct fix_text *t, uint32_t seg, size_t off, size_t del, const void *p, size_t len)
{
	struct fix_seg *g = &t->seg[seg];
	char *n = malloc(g->len - del + len + 1);

	assert_non_null(n);
	memcpy(n, g->p, off);
	if (len)
		memcpy(n + off, p, len);
	memcpy(n + off + len, g->p + off + del, g->len - off - del);
	free(g->p);
	g->p = n;
	g->len = g->len - del + len;
	split(t);
}

const char *fix_at(const struct fix_text *t, size_t i)
{
	return t->seg[t->line[i].seg].p + t->line[i].off;
}

size_t fix_find(const struct fix_text *t, enum fix_kind kind, const char *needle, int n)
{
	for (size_t i = 0; i < t->n; i++)
		if (t->line[i].kind == kind &&
		    memmem(fix_at(t, i), t->line[i].len, needle, strlen(needle)) && !n--)
			return i;
	fail_msg("no such line: %s", needle);
	return 0;
}
