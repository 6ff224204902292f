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
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <sys/xattr.h>
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

static char *at(const char *name)
{
	return tb_at(&tb, name);
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
	return mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0) == MAP_FAILED ? errno
											 : 0;
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

/* Memory of its own: written, resized, shared with a child. ARG: what of it is to become code. */
static int do_memfd(void *arg)
{
	int prot = *(int *)arg, fd = memfd_create("own", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	char *p;

	if (fd < 0 || ftruncate(fd, 8192) || write(fd, "x", 1) != 1 || ftruncate(fd, 4096))
		return errno;
	p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		return errno;
	p[0] = 'y';
	if (mprotect(p, 4096, PROT_READ) || mprotect(p, 4096, PROT_READ | PROT_WRITE))
		return errno;
	if (prot && mmap(NULL, 4096, prot, MAP_SHARED, fd, 0) == MAP_FAILED)
		return errno;
	return 0;
}

static int do_memfd_protect(void *arg)
{
	int fd = memfd_create("own", MFD_CLOEXEC);
	char *p;

	if (fd < 0 || ftruncate(fd, 4096))
		return errno;
	p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		return 200;
	return mprotect(p, 4096, PROT_READ | PROT_EXEC) ? errno : 0;
}

/* A tmpfs that somebody mounted is no such memory. */
static int do_tmpfs(void *path)
{
	return truncate(path, 1) ? errno : 0;
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

struct two {
	const char *a, *b;
	unsigned int flags;
};

static int do_create(void *path)
{
	int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644);

	if (fd < 0)
		return errno;
	return write(fd, "x", 1) == 1 ? 0 : 200;
}

static int do_mkdir(void *path)
{
	return mkdir(path, 0755) ? errno : 0;
}

static int do_unlink(void *path)
{
	return unlink(path) ? errno : 0;
}

static int do_rmdir(void *path)
{
	return rmdir(path) ? errno : 0;
}

static int do_symlink(void *path)
{
	return symlink("x", path) ? errno : 0;
}

static int do_mknod(void *path)
{
	return mknod(path, S_IFCHR | 0600, makedev(1, 3)) ? errno : 0;
}

static int do_link(void *arg)
{
	struct two *t = arg;

	return link(t->a, t->b) ? errno : 0;
}

static int do_rename(void *arg)
{
	struct two *t = arg;

	return syscall(SYS_renameat2, AT_FDCWD, t->a, AT_FDCWD, t->b, t->flags) ? errno : 0;
}

static int do_chmod(void *path)
{
	return chmod(path, 0600) ? errno : 0;
}

static int do_utimes(void *path)
{
	return utimensat(AT_FDCWD, path, NULL, 0) ? errno : 0;
}

static int do_xattr(void *path)
{
	return setxattr(path, "trusted.x", "1", 1, 0) ? errno : 0;
}

static int do_tmpfile(void *path)
{
	return open(path, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600) < 0 ? errno : 0;
}

static int do_list(void *path)
{
	return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) < 0 ? errno : 0;
}

static int do_bind_mount(void *arg)
{
	struct two *t = arg;

	return mount(t->a, t->b, NULL, MS_BIND, NULL) ? errno : 0;
}

static int do_chroot(void *path)
{
	return chroot(path) ? errno : 0;
}

static int do_shared_map(void *path)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);

	if (fd < 0)
		return errno;
	return mmap(NULL, 4096, PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED ? errno : 0;
}

/* A pipe has no path; its other names below /proc do not need one. /proc itself is granted. */
static int do_pipe_again(void *arg)
{
	char path[64];
	int p[2];

	if (pipe(p))
		return 200;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", p[0]);
	return open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC) < 0 ? errno : 0;
}

static void test_create(void **state)
{
	struct two t;

	assert_true(
		tb_expect(&tb, "create in a granted tree", do_create, at("rw/new"), 0, 0, 0, NULL));
	assert_true(tb_expect(&tb, "create elsewhere", do_create, at("tree/new"), EACCES, 1,
			      OM_OP_FILE_CREATE, "path_mknod"));
	assert_string_equal(tb_event_path(&tb.events[0]), at("tree/new"));
	assert_true(tb_expect(&tb, "mkdir", do_mkdir, at("tree/newdir"), EACCES, 1,
			      OM_OP_FILE_CREATE, "path_mkdir"));
	assert_true(tb_expect(&tb, "mkdir granted", do_mkdir, at("rw/newdir"), 0, 0, 0, NULL));
	assert_true(tb_expect(&tb, "create deeper", do_create, at("rw/newdir/f"), 0, 0, 0, NULL));
	assert_true(tb_expect(&tb, "symlink", do_symlink, at("tree/s"), EACCES, 1,
			      OM_OP_FILE_CREATE, "path_symlink"));
	assert_true(tb_expect(&tb, "mknod", do_mknod, at("rw/null"), EPERM, 1, OM_OP_DEVICE,
			      "path_mknod"));
	assert_true(tb_expect(&tb, "O_TMPFILE", do_tmpfile, at("rw"), 0, 0, 0, NULL));
	assert_true(tb_expect(&tb, "O_TMPFILE elsewhere", do_tmpfile, at("tree"), EACCES, 1,
			      OM_OP_FILE_CREATE, "file_open"));
	t = (struct two){at("tree/a/b/c/deep"), at("rw/linked"), 0};
	assert_true(tb_expect(&tb, "link read-only into writable", do_link, &t, EACCES, 1,
			      OM_OP_FILE_WRITE, "path_link"));
	t = (struct two){at("secret"), at("rw/linked"), 0};
	assert_true(tb_expect(&tb, "link secret", do_link, &t, EACCES, 1, OM_OP_FILE_WRITE,
			      "path_link"));
	t = (struct two){at("rw/file"), at("rw/linked"), 0};
	assert_true(tb_expect(&tb, "link granted", do_link, &t, 0, 0, 0, NULL));
}

static void test_remove(void **state)
{
	struct two t;

	assert_true(tb_expect(&tb, "unlink", do_unlink, at("tree/hard"), EACCES, 1,
			      OM_OP_FILE_REMOVE, "path_unlink"));
	assert_true(tb_expect(&tb, "unlink granted", do_unlink, at("rw/linked"), 0, 0, 0, NULL));
	assert_true(tb_expect(&tb, "rmdir", do_rmdir, at("tree/a/b/c"), EACCES, 1,
			      OM_OP_FILE_REMOVE, "path_rmdir"));
	t = (struct two){at("tree/a"), at("rw/a"), 0};
	assert_true(tb_expect(&tb, "rename out", do_rename, &t, EACCES, 1, OM_OP_FILE_REMOVE,
			      "path_rename"));
	t = (struct two){at("rw/file"), at("tree/stolen"), 0};
	assert_true(tb_expect(&tb, "rename in", do_rename, &t, EACCES, 1, OM_OP_FILE_CREATE,
			      "path_rename"));
	t = (struct two){at("mv/x"), at("rw/x"), 0};
	assert_true(tb_expect(&tb, "rename gains rights", do_rename, &t, EACCES, 1,
			      OM_OP_FILE_WRITE, "path_rename"));
	t = (struct two){at("rw/new"), at("rw/newdir/new"), 0};
	assert_true(tb_expect(&tb, "rename granted", do_rename, &t, 0, 0, 0, NULL));
	t = (struct two){at("rw/newdir/new"), at("secret"), RENAME_EXCHANGE};
	assert_true(tb_expect(&tb, "exchange", do_rename, &t, EACCES, 1, OM_OP_FILE_CREATE,
			      "path_rename"));
}

struct question {
	const char *path;
	unsigned long cmd;
};

/* By a descriptor open for reading. ENOTTY: the file system was asked, and knows no such thing. */
static int do_ioctl(void *arg)
{
	const struct question *q = arg;
	int fd = open(q->path, O_RDONLY | O_CLOEXEC);
	char buf[256] = "";

	return ioctl(fd, q->cmd, buf) < 0 ? errno : 0;
}

/* 'f' 4: ext4's old SETVERSION; 'f' 133: FS_IOC_ENABLE_VERITY; 0x94 14: btrfs makes a subvolume. */
static void test_ioctl(void **state)
{
	static const unsigned long changes[] = {0x6602, 0x5820, 0x6604, 0x6685, 0x940e, 0xffff};
	static const unsigned long asks[] = {0x660b, 0x9431, 0x5401};
	struct question q;

	for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
		q = (struct question){at("file"), 0x40080000 | changes[i]};
		assert_true(tb_expect(&tb, "changes a file", do_ioctl, &q, EACCES, 1,
				      OM_OP_FILE_WRITE, "file_ioctl"));
	}
	q = (struct question){at("tree/a"), 0x5000940e};
	assert_true(tb_expect(&tb, "changes a directory", do_ioctl, &q, EACCES, 1, OM_OP_FILE_WRITE,
			      "file_ioctl"));
	for (size_t i = 0; i < sizeof(asks) / sizeof(asks[0]); i++) {
		q = (struct question){at("file"), asks[i]};
		assert_true(tb_expect(&tb, "asks", do_ioctl, &q, ENOTTY, 0, 0, NULL));
	}
	q = (struct question){at("rw/file"), 0x40086604};
	assert_true(tb_expect(&tb, "granted", do_ioctl, &q, ENOTTY, 0, 0, NULL));
}

static void test_metadata(void **state)
{
	assert_true(tb_expect(&tb, "chmod", do_chmod, at("file"), EACCES, 1, OM_OP_FILE_WRITE,
			      "path_chmod"));
	assert_true(tb_expect(&tb, "chmod granted", do_chmod, at("rw/file"), 0, 0, 0, NULL));
	assert_true(tb_expect(&tb, "utimes", do_utimes, at("file"), EACCES, 1, OM_OP_FILE_WRITE,
			      "inode_setattr"));
	assert_true(tb_expect(&tb, "utimes granted", do_utimes, at("rw/file"), 0, 0, 0, NULL));
	assert_true(tb_expect(&tb, "xattr", do_xattr, at("file"), EACCES, 1, OM_OP_FILE_WRITE,
			      "inode_setxattr"));
	assert_true(tb_expect(&tb, "list", do_list, at("tree/a"), 0, 0, 0, NULL));
	assert_true(tb_expect(&tb, "list elsewhere", do_list, at("pat"), EACCES, 1, OM_OP_FILE_READ,
			      "file_open"));
	assert_true(tb_expect(&tb, "shared map", do_shared_map, at("rw/file"), 0, 0, 0, NULL));
	assert_true(tb_expect(&tb, "pipe", do_pipe_again, NULL, 0, 0, 0, NULL));
}

static void test_mount(void **state)
{
	struct two t = {at("secret"), at("file"), 0};

	assert_true(
		tb_expect(&tb, "bind mount", do_bind_mount, &t, EPERM, 1, OM_OP_MOUNT, "sb_mount"));
	assert_true(tb_expect(&tb, "chroot", do_chroot, at("tree"), EPERM, 1, OM_OP_MOUNT,
			      "path_chroot"));
}

static void test_patterns(void **state)
{
	assert_true(tb_expect(&tb, "matching", do_create, at("pat/log-1.txt"), 0, 0, 0, NULL));
	assert_true(tb_expect(&tb, "zero bytes", do_create, at("pat/log-.txt"), 0, 0, 0, NULL));
	assert_true(tb_expect(&tb, "read back", tb_read, at("pat/log-1.txt"), 0, 0, 0, NULL));
	assert_true(tb_expect(&tb, "wrong suffix", do_create, at("pat/log-1.tx"), EACCES, 1,
			      OM_OP_FILE_CREATE, "path_mknod"));
	assert_true(tb_expect(&tb, "overlapping", do_create, at("pat/log-txt"), EACCES, 1,
			      OM_OP_FILE_CREATE, "path_mknod"));
	assert_true(tb_expect(&tb, "exact", do_create, at("pat/only"), 0, 0, 0, NULL));
	assert_true(tb_expect(&tb, "longer than exact", do_create, at("pat/only2"), EACCES, 1,
			      OM_OP_FILE_CREATE, "path_mknod"));
	assert_true(tb_expect(&tb, "unlink matching", do_unlink, at("pat/log-1.txt"), EACCES, 1,
			      OM_OP_FILE_REMOVE, "path_unlink"));
	assert_true(tb_expect(&tb, "not below", do_mkdir, at("pat/log-d.txt"), 0, 0, 0, NULL));
	assert_true(tb_expect(&tb, "deeper", do_create, at("pat/log-d.txt/log-.txt"), EACCES, 1,
			      OM_OP_FILE_CREATE, "path_mknod"));
}

/* Deeper than plain loads reach, and deeper than the walk may go. */
static void test_depth(void **state)
{
	char path[8192];
	size_t n;
	int fd = open(tb.dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	assert_true(fd >= 0);
	for (int i = 0; i < 300; i++) {
		const char *name = i ? "d" : "tree";
		int next;

		(void)mkdirat(fd, name, 0755);
		next = openat(fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		assert_true(next >= 0);
		close(fd);
		fd = next;
		if (i == 50 || i == 299) {
			int leaf = openat(fd, "leaf", O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

			assert_int_equal(write(leaf, "x", 1), 1);
			close(leaf);
		}
	}
	close(fd);
	n = (size_t)snprintf(path, sizeof(path), "%s/tree", tb.dir);
	for (int i = 0; i < 50; i++, n += 2)
		memcpy(path + n, "/d", 3);
	memcpy(path + n, "/leaf", 6);
	assert_true(tb_expect(&tb, "51 deep", tb_read, path, 0, 0, 0, NULL));
	for (int i = 50; i < 299; i++, n += 2)
		memcpy(path + n, "/d", 3);
	memcpy(path + n, "/leaf", 6);
	assert_true(
		tb_expect(&tb, "300 deep", tb_read, path, EACCES, 1, OM_OP_FILE_READ, "file_open"));
	assert_true(tb.events[0].head.flags & OM_EVENT_TRUNCATED);
}

static void test_read(void **state)
{
	assert_true(tb_expect(&tb, "granted file", tb_read, at("file"), 0, 0, 0, NULL));
	assert_true(tb_expect(&tb, "file in a granted tree", tb_read, at("tree/a/b/c/deep"), 0, 0,
			      0, NULL));
	assert_true(tb_expect(&tb, "secret", tb_read, at("secret"), EACCES, 1, OM_OP_FILE_READ,
			      "file_open"));
	assert_string_equal(tb_event_path(&tb.events[0]), at("secret"));
	assert_int_equal(tb.events[0].head.need, READ);
	assert_int_equal(tb.events[0].head.where, OM_WHERE_LSM);
	assert_true(tb_expect(&tb, "symlink", tb_read, at("tree/link"), EACCES, 1, OM_OP_FILE_READ,
			      "file_open"));
	assert_true(tb_expect(&tb, "hard link", tb_read, at("tree/hard"), 0, 0, 0, NULL));
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
	assert_true(tb_expect(&tb, "patched", do_patched_exec, at("prog"), EACCES, 1,
			      OM_OP_MEM_EXEC, "file_mprotect"));
	close(open("/run/omt-tmpfs", O_WRONLY | O_CREAT | O_CLOEXEC, 0666));
	int none = 0, code = PROT_READ | PROT_EXEC;

	assert_true(tb_expect(&tb, "own memory", do_memfd, &none, 0, 0, 0, NULL));
	assert_true(tb_expect(&tb, "own memory as code", do_memfd, &code, EACCES, 1,
			      OM_OP_FILE_EXEC, "mmap_file"));
	assert_true(tb_expect(&tb, "own memory made code", do_memfd_protect, NULL, EACCES, 1,
			      OM_OP_FILE_EXEC, "file_mprotect"));
	assert_true(tb_expect(&tb, "another tmpfs", do_tmpfs, (void *)"/run/omt-tmpfs", EACCES, 1,
			      OM_OP_FILE_WRITE, NULL));
	tb_publish(&tb, tb.slot.flags | OM_SLOT_DENY_ALL);
	assert_int_equal(tb_run(&tb, do_memfd, &none), EACCES);
	(void)tb_events(&tb);
	tb_publish(&tb, tb.slot.flags & ~OM_SLOT_DENY_ALL);
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
	snprintf(cmd, sizeof(cmd), "mkdir -p %s/tree/a/b/c %s/rw %s/pat %s/mv", tb.dir, tb.dir,
		 tb.dir, tb.dir);
	assert_int_equal(system(cmd), 0);
	tb_put(&tb, "file", "granted", 0644);
	tb_put(&tb, "secret", "secret", 0644);
	tb_put(&tb, "tree/a/b/c/deep", "deep", 0644);
	tb_put(&tb, "rw/file", "rw", 0644);
	tb_put(&tb, "mv/x", "x", 0644);
	snprintf(cmd, sizeof(cmd),
		 "printf 'int main(void){return 0;}' | gcc -static -x c -o %s/prog - && cp %s/prog "
		 "%s/tree/prog2",
		 tb.dir, tb.dir, tb.dir);
	assert_int_equal(system(cmd), 0);
	assert_int_equal(symlink("../secret", at("tree/link")), 0);
	assert_int_equal(link(at("file"), at("tree/hard")), 0);
	tb_grant(&tb, at("file"), READ, 0);
	tb_grant(&tb, at("tree"), READ, READ);
	tb_grant(&tb, at("rw"), ALL, ALL);
	tb_grant(&tb, at("prog"), READ | EXEC, 0);
	tb_grant(&tb, "/proc", READ, READ);
	tb_grant(&tb, at("mv"), READ | REMOVE, READ | REMOVE);
	tb_pattern(&tb, at("pat"), "log-", ".txt", 0, READ | WRITE | CREATE);
	tb_pattern(&tb, at("pat"), "only", "", 1, READ | WRITE | CREATE);
	tb_publish(&tb, OM_SLOT_KERNEL | OM_SLOT_NETWORK);
	return 0;
}

static int teardown(void **state)
{
	tb_close(&tb);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_read),	 cmocka_unit_test(test_write),
		cmocka_unit_test(test_exec),	 cmocka_unit_test(test_create),
		cmocka_unit_test(test_remove),	 cmocka_unit_test(test_metadata),
		cmocka_unit_test(test_ioctl),	 cmocka_unit_test(test_mount),
		cmocka_unit_test(test_patterns), cmocka_unit_test(test_depth),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
