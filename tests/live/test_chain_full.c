/*
 * A disk that is really full: a small tmpfs. The batch waits in memory, nothing is lost, and what had
 * to be dropped meanwhile is counted in the next commit.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>
#include <cmocka.h>

#include "tests/util/chain_fixture.h"

static struct fix fix;
static char mounted[128];

static int setup(void **state)
{
	fix_make(&fix);
	snprintf(mounted, sizeof(mounted), "%s/audit", fix.dir);
	close(fix.audit_fd);
	if (mount("tmpfs", mounted, "tmpfs", 0, "size=256k") < 0)
		mounted[0] = 0;
	fix.audit_fd = openat(AT_FDCWD, mounted[0] ? mounted : "/tmp", O_RDONLY | O_DIRECTORY);
	return 0;
}

static int teardown(void **state)
{
	if (mounted[0])
		umount2(mounted, MNT_DETACH);
	fix_free(&fix);
	return 0;
}

static uint64_t count(const char *kind)
{
	struct om_reader_filter f = {.kind = kind};
	struct om_reader *rd;
	struct om_record rec;
	uint64_t n = 0;

	assert_int_equal(om_reader_open(fix.audit_fd, &f, &rd, NULL), 0);
	while (om_reader_next(rd, &rec, NULL) == 1)
		n++;
	om_reader_close(rd);
	return n;
}

static void test_full(void **state)
{
	struct om_verify_options o = {.substrate_vkey = fix.vkey};
	struct om_verify_result r;
	struct om_err err = {0};
	uint32_t a;
	int ballast, ret = 0, i = 0, written;
	char block[4096];

	if (!mounted[0]) {
		print_message("a tmpfs cannot be mounted here\n");
		skip();
	}
	memset(block, 'x', sizeof(block));
	fix_open(&fix);
	a = fix_brane(&fix, "acme/api", "k3v9qz");
	fix_commit(&fix);
	/* someone fills the file system, all but a few pages */
	ballast = openat(fix.audit_fd, "ballast", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	while (write(ballast, block, sizeof(block)) == (ssize_t)sizeof(block))
		;
	for (; ret == 0 && i < 2000; i++) {
		fix_event(&fix, a, i);
		ret = om_log_commit(fix.log, &err);
	}
	written = i;
	assert_int_equal(ret, -ENOSPC);
	assert_int_equal(err.id, OM_ERR_LOG_FULL);
	/* still full: the same answer, and no record is taken that could be lost */
	assert_int_equal(om_log_commit(fix.log, &err), -ENOSPC);
	assert_int_equal(om_log_append(fix.log, a, "file.open", NULL, 0, &err), -ENOSPC);
	om_log_drop(fix.log, OM_DROP_FULL, 5);
	fix_verify(&fix, &o, &r);
	assert_true(r.integrity);
	om_verify_done(&r);
	/* room again */
	assert_int_equal(ftruncate(ballast, 0), 0);
	close(ballast);
	fix_commit(&fix);
	assert_int_equal(count("file.open"), (uint64_t)written);
	fix_event(&fix, a, 9999);
	fix_close(&fix);
	fix_verify(&fix, &o, &r);
	assert_true(r.integrity && r.authenticity);
	assert_int_equal(r.drop[OM_DROP_FULL], 5);
	assert_int_equal(r.unclean, 0);
	om_verify_done(&r);
	assert_int_equal(count("file.open"), (uint64_t)written + 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_full)};

	return cmocka_run_group_tests_name("chain_full", tests, setup, teardown);
}
