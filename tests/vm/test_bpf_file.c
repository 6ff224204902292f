/*
 * Files and programs under BPF-LSM: what is granted works, what is not is denied and recorded once.
 *
 * Each case runs one operation in a child inside a brane and compares its errno and the events.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include <tests/util/brane.h>

#define READ   OM_MAY_READ
#define WRITE  OM_MAY_WRITE
#define EXEC   OM_MAY_EXEC
#define CREATE OM_MAY_CREATE
#define REMOVE OM_MAY_REMOVE
#define ALL    (READ | WRITE | CREATE | REMOVE)

static struct tb tb;
static char dir[64];
static char path_buf[8][256];

/* A path below the test's directory; eight may be in use at once. */
static char *at(const char *name)
{
	static int turn;
	char *out = path_buf[turn++ & 7];

	snprintf(out, sizeof(path_buf[0]), "%s/%s", dir, name);
	return out;
}

static void put_file(const char *name, const char *text, mode_t mode)
{
	int fd = open(at(name), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

static int do_read(void *path)
{
	char c;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	return fd < 0 ? errno : read(fd, &c, 1) == 1 ? 0 : 200;
}

static int do_write(void *path)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	return fd < 0 ? errno : write(fd, "x", 1) == 1 ? 0 : errno;
}

static int do_trunc(void *path)
{
	return open(path, O_RDONLY | O_TRUNC | O_CLOEXEC) < 0 ? errno : 0;
}

static int do_truncate(void *path)
{
	return truncate(path, 0) ? errno : 0;
}

static int do_exec(void *path)
{
	pid_t pid = fork();
	int st;

	if (!pid) {
		execl(path, path, NULL);
		_exit(errno);
	}
	waitpid(pid, &st, 0);
	return WEXITSTATUS(st);
}

static int do_mmap_exec(void *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return 200;
	return mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0) == MAP_FAILED ? errno : 0;
}

static int do_anon_exec(void *arg)
{
	void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		return 200;
	return mprotect(p, 4096, PROT_READ | PROT_EXEC) ? errno : 0;
}

/* Copy on write first, then executable: the page is the task's, not the file's. */
static int do_patched_exec(void *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	char *p;

	if (fd < 0)
		return 200;
	p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	if (p == MAP_FAILED)
		return 201;
	p[0] = 'x';
	return mprotect(p, 4096, PROT_READ | PROT_EXEC) ? errno : 0;
}

static int do_memfd_exec(void *arg)
{
	char name[] = "m", *argv[] = {name, NULL}, *envp[] = {NULL};
	int fd = memfd_create("m", MFD_CLOEXEC);

	if (fd < 0 || write(fd, "#!/bin/true\n", 12) != 12)
		return 200;
	syscall(SYS_execveat, fd, "", argv, envp, AT_EMPTY_PATH);
	return errno;
}

static void test_read(void **state)
{
	assert_true(tb_expect(&tb, "granted file", do_read, at("file"), 0, 0, 0, NULL));
	assert_true(tb_expect(&tb, "file in a granted tree", do_read, at("tree/a/b/c/deep"), 0, 0, 0,
			      NULL));
	assert_true(tb_expect(&tb, "secret", do_read, at("secret"), EACCES, 1, OM_OP_FILE_READ,
			      "file_open"));
	assert_string_equal(tb_event_path(&tb.events[0]), at("secret"));
	assert_int_equal(tb.events[0].head.need, READ);
	assert_int_equal(tb.events[0].head.where, OM_WHERE_LSM);
	assert_true(tb_expect(&tb, "symlink", do_read, at("tree/link"), EACCES, 1, OM_OP_FILE_READ,
			      "file_open"));
	assert_true(tb_expect(&tb, "hard link", do_read, at("tree/hard"), 0, 0, 0, NULL));
}

static void test_write(void **state)
{
	assert_true(tb_expect(&tb, "read-only file", do_write, at("file"), EACCES, 1,
			      OM_OP_FILE_WRITE, "file_open"));
	assert_true(tb_expect(&tb, "writable file", do_write, at("rw/file"), 0, 0, 0, NULL));
	assert_true(tb_expect(&tb, "O_TRUNC", do_trunc, at("file"), EACCES, 1, OM_OP_FILE_WRITE,
			      "file_open"));
	assert_true(tb_expect(&tb, "truncate", do_truncate, at("file"), EACCES, 1, OM_OP_FILE_WRITE,
			      "path_truncate"));
	assert_true(tb_expect(&tb, "truncate granted", do_truncate, at("rw/file"), 0, 0, 0, NULL));
}

static void test_exec(void **state)
{
	assert_true(tb_expect(&tb, "granted program", do_exec, at("prog"), 0, 0, 0, NULL));
	assert_true(tb_expect(&tb, "other program", do_exec, at("tree/prog2"), EACCES, 1,
			      OM_OP_FILE_EXEC, "file_open"));
	assert_true(tb_expect(&tb, "mmap", do_mmap_exec, at("tree/prog2"), EACCES, 1,
			      OM_OP_FILE_EXEC, "mmap_file"));
	assert_true(tb_expect(&tb, "mmap granted", do_mmap_exec, at("prog"), 0, 0, 0, NULL));
	assert_true(tb_expect(&tb, "anonymous", do_anon_exec, NULL, EACCES, 1, OM_OP_MEM_EXEC,
			      "file_mprotect"));
	assert_true(tb_expect(&tb, "patched", do_patched_exec, at("prog"), EACCES, 1, OM_OP_MEM_EXEC,
			      "file_mprotect"));
	assert_true(tb_expect(&tb, "memfd", do_memfd_exec, NULL, EACCES, 1, OM_OP_FILE_EXEC,
			      "file_open"));
}

static int setup(void **state)
{
	struct om_err err = {0};
	char cmd[512];
	int ret = tb_open(&tb, OM_LAYER_KERNEL | OM_LAYER_NETWORK, &err);

	if (ret || !(tb.got & OM_LAYER_KERNEL)) {
		print_message("# skip: no BPF-LSM here: %s\n", err.text);
		return ret ? ret : -1;
	}
	snprintf(dir, sizeof(dir), "/tmp/omt-%d", getpid());
	snprintf(cmd, sizeof(cmd), "mkdir -p %s/tree/a/b/c %s/rw %s/pat", dir, dir, dir);
	assert_int_equal(system(cmd), 0);
	put_file("file", "granted", 0644);
	put_file("secret", "secret", 0644);
	put_file("tree/a/b/c/deep", "deep", 0644);
	put_file("rw/file", "rw", 0644);
	snprintf(cmd, sizeof(cmd),
		 "printf 'int main(void){return 0;}' | gcc -static -x c -o %s/prog - && cp %s/prog %s/tree/prog2",
		 dir, dir, dir);
	assert_int_equal(system(cmd), 0);
	assert_int_equal(symlink("../secret", at("tree/link")), 0);
	assert_int_equal(link(at("file"), at("tree/hard")), 0);
	tb_grant(&tb, at("file"), READ, 0);
	tb_grant(&tb, at("tree"), READ, READ);
	tb_grant(&tb, at("rw"), ALL, ALL);
	tb_grant(&tb, at("prog"), READ | EXEC, 0);
	tb_publish(&tb, OM_SLOT_KERNEL | OM_SLOT_NETWORK);
	return 0;
}

static int teardown(void **state)
{
	char cmd[128];

	tb_close(&tb);
	snprintf(cmd, sizeof(cmd), "rm -rf %s", dir);
	return dir[0] ? system(cmd) : 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_read),
		cmocka_unit_test(test_write),
		cmocka_unit_test(test_exec),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
