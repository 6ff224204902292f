/*
 * A grant is on an object: it holds whatever name, mount, chroot or cache leads there, and no name, mount
 * or recycled number makes another object of it.
 *
 * Each case runs on tmpfs, ext4, xfs and, by test_identity_overlay.c, on two kinds of overlay (layers on
 * one file system, and on two);
 * "host" is this program, outside the brane. What a kernel or a host lacks is skipped with its reason.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <linux/mount.h>
#include <cmocka.h>

#include <tests/util/brane.h>

#define READ  OM_MAY_READ
#define WRITE OM_MAY_WRITE
#define ALL   (READ | WRITE | OM_MAY_CREATE | OM_MAY_REMOVE)

/* Set by test_identity_overlay.c: each half has time enough in an emulated machine. */
#ifndef IDENTITY_OVERLAY
#define IDENTITY_OVERLAY 0
#endif

static struct tb tb;
static char base[64];

/* One file system to try everything on. */
struct site {
	const char *name;
	const char *make; /* shell: makes it and mounts it at "$D" */
	const char
		*again;	 /* shell: unmounts and mounts the same objects; NULL: they would be gone */
	int press;	 /* with little memory left, too: it takes seconds */
	int reuses;	 /* inode numbers come again soon */
	const char *why; /* why it is not there */
	char dir[80];
};

#define LOOP "modprobe loop; truncate -s 400M $D.img && "

/* A kernel may let go of a detached mount a moment later than asked. */
#define UMOUNT "for i in 1 2 3 4 5 6 7 8 9; do umount $D && break; sleep 0.3; done; "
#define OVER1  "cd $B/layers && mount -t overlay -o lowerdir=l,upperdir=u,workdir=w o $D"
#define OVER2                           \
	"cd $B && mount -t overlay -o " \
	"xino=off,lowerdir=layers/l2,upperdir=tmpfs/u,workdir=tmpfs/w o $D"

static struct site sites[] = {
	{.name = "tmpfs", .make = "mount -t tmpfs t $D"},
	{.name = "ext4",
	 .make = "command -v mkfs.ext4 || exit 90; " LOOP
		 "mkfs.ext4 -q $D.img && mount $(losetup -f --show $D.img) $D",
	 .again = "L=$(findmnt -no SOURCE $D); " UMOUNT "mount $L $D",
	 .reuses = 1,
	 .press = 1},
	{.name = "xfs",
	 .make = "command -v mkfs.xfs || exit 90; modprobe xfs || exit 91; " LOOP
		 "mkfs.xfs -q $D.img && mount -t xfs $(losetup -f --show $D.img) $D",
	 .again = "L=$(findmnt -no SOURCE $D); " UMOUNT "mount -t xfs $L $D",
	 .reuses = 1},
	/* The layers of the overlays lie here; itself it is not tried. */
	{.name = "layers",
	 .make = "command -v mkfs.ext4 || exit 90; " LOOP
		 "mkfs.ext4 -q $D.img && mount $(losetup -f --show $D.img) $D"},
	{.name = "overlay",
	 .make = "modprobe overlay || exit 91; mkdir $B/layers/l $B/layers/u $B/layers/w && " OVER1,
	 .again = UMOUNT OVER1,
	 .reuses = 1},
	{.name = "overlay-two",
	 .make = "modprobe overlay || exit 91; mkdir $B/layers/l2 $B/tmpfs/u $B/tmpfs/w && " OVER2,
	 .again = UMOUNT OVER2},
};

/* Runs a shell command with $B (all sites) and $D (this one). */
static int sh(const struct site *s, const char *cmd)
{
	char full[1024];
	int st;

	snprintf(full, sizeof(full), "B=%s; D=%s; { %s ; } >/dev/null 2>&1", base, s ? s->dir : "",
		 cmd);
	st = system(full);
	return WIFEXITED(st) ? WEXITSTATUS(st) : 255;
}

static const struct site *site; /* of the running case */
static int held[3] = {-1, -1, -1};
static char bufs[8][512];

/* A path below the case's directory; eight may be in use at once. */
static char *at(const char *name)
{
	static int turn;
	char *out = bufs[turn++ & 7];

	snprintf(out, sizeof(bufs[0]), "%s/c/%s", site->dir, name);
	return out;
}

static void put(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	if (fd < 0 || write(fd, "x", 1) != 1)
		fail_msg("%s: %s", path, strerror(errno));
	close(fd);
}

static void move(const char *from, const char *to)
{
	if (rename(from, to))
		fail_msg("rename %s %s: %s", from, to, strerror(errno));
}

static void let_go(void)
{
	for (size_t i = 0; i < OM_ARRAY_LEN(held); i++)
		om_close_fd(&held[i]);
}

/* A fresh tree: g granted, s not; t/ granted whole, u/ not; w/ granted for everything. */
static void begin(void **state)
{
	site = *state;
	if (site->why) {
		print_message("# skip: %s: %s\n", site->name, site->why);
		skip();
	}
	assert_int_equal(sh(site, "cd $D && rm -rf c && mkdir -p c/t/a/b c/u/a/b c/w"), 0);
	put(at("g"));
	put(at("s"));
	put(at("t/f"));
	put(at("t/a/b/f"));
	put(at("u/f"));
	put(at("u/a/b/f"));
	put(at("w/f"));
	let_go();
	memset(tb.objs, 0, TB_OBJECTS_MAX * sizeof(*tb.objs));
	tb.n = 0;
}

static void hold(int i, const char *path)
{
	held[i] = open(path, O_PATH | O_CLOEXEC);
	assert_true(held[i] >= 0);
}

static void publish(void)
{
	/*
	 * An overlay's objects have no generation, and directories may come back under another number: what
	 * is granted is the same object for as long as somebody holds it. A mount does for its root.
	 */
	if (!strncmp(site->name, "overlay", 7)) {
		hold(0, at("g"));
		hold(1, at("t"));
		hold(2, at("w"));
	}
	tb_grant(&tb, at("g"), READ, 0);
	tb_grant(&tb, at("t"), READ, READ);
	tb_grant(&tb, at("w"), ALL, ALL);
	tb_publish(&tb, OM_SLOT_KERNEL);
}

/* --- what a brane does --- */

static int do_read(void *path)
{
	char c;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	return fd < 0 ? errno : read(fd, &c, 1) == 1 || errno == EISDIR ? 0 : 200;
}

#define GRANTED(path) assert_true(tb_expect(&tb, path, do_read, at(path), 0, 0, 0, NULL))
#define DENIED(path) \
	assert_true( \
		tb_expect(&tb, path, do_read, at(path), EACCES, 1, OM_OP_FILE_READ, "file_open"))

/* A task that does things before it is in the brane. */
struct prepared {
	int (*prepare)(struct prepared *p);
	int fd;
	const char *path, *inside;
};

static int do_prepared(void *arg)
{
	struct prepared *p = arg;
	char path[256];
	int procs, fd, ret;
	char c;

	snprintf(path, sizeof(path), "%s/cgroup.procs", tb.cgroup);
	procs = open(path, O_WRONLY | O_CLOEXEC);
	ret = p->prepare ? p->prepare(p) : 0;
	if (procs < 0 || ret || write(procs, "0", 1) != 1)
		return ret ? ret : 201;
	fd = openat(p->fd, p->inside, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? errno : read(fd, &c, 1) == 1 ? 0 : 202;
}

/* The same from FD: 0, or the errno. Not by tb_expect, whose child is inside already. */
static int reads(int (*prepare)(struct prepared *), int fd, const char *path, const char *inside)
{
	struct prepared p = {prepare, fd, path, inside};
	pid_t pid;

	(void)tb_events(&tb);
	fflush(stdout);
	pid = fork();
	if (!pid)
		_exit(do_prepared(&p));
	return tb_wait(pid);
}

/* --- cases --- */

static void test_names(void **state)
{
	begin(state);
	publish();
	GRANTED("g");
	GRANTED("t/a/b/f");
	GRANTED("t");
	DENIED("s");
	DENIED("u/a/b/f");
	/* Links: the object, not the name. */
	assert_int_equal(link(at("g"), at("u/g")), 0);
	GRANTED("u/g");
	assert_int_equal(unlink(at("g")), 0);
	GRANTED("u/g");
	assert_int_equal(link(at("s"), at("g")), 0);
	DENIED("g");
	assert_int_equal(symlink("../s", at("t/link")), 0);
	DENIED("t/link");
	/* Renames, of files: the grant goes with the object. */
	move(at("u/g"), at("u/h"));
	GRANTED("u/h");
	move(at("s"), at("u/g"));
	DENIED("u/g");
	/* Out of a granted tree and into one. */
	move(at("t/f"), at("u/gone"));
	DENIED("u/gone");
	move(at("u/gone"), at("t/a/back"));
	GRANTED("t/a/back");
}

static void test_directories(void **state)
{
	begin(state);
	publish();
	GRANTED("t/a/b/f");
	/* The granted directory elsewhere, another in its place. */
	move(at("t"), at("u/moved"));
	move(at("u/a"), at("t"));
	GRANTED("u/moved/a/b/f");
	DENIED("t/b/f");
	/* A directory out of the granted one and back. */
	move(at("u/moved/a"), at("u/a"));
	DENIED("u/a/b/f");
	move(at("u/a"), at("u/moved/c"));
	GRANTED("u/moved/c/b/f");
	/* And exchanged. */
	assert_int_equal(syscall(SYS_renameat2, AT_FDCWD, at("u/moved/c"), AT_FDCWD, at("t"),
				 RENAME_EXCHANGE),
			 0);
	DENIED("t/b/f");
	GRANTED("u/moved/c/b/f");
}

static void test_binds(void **state)
{
	char dir[512];
	int fd;

	begin(state);
	publish();
	assert_int_equal(sh(site, "cd $D/c && mount --bind s g && mount --bind u t"), 0);
	DENIED("g");
	DENIED("t/f");
	assert_int_equal(sh(site, "cd $D/c && umount g && umount t"), 0);
	assert_int_equal(sh(site, "cd $D/c && mount --bind g s && mount --bind t u"), 0);
	GRANTED("s");
	GRANTED("u/a/b/f");
	assert_int_equal(sh(site, "cd $D/c && umount s && umount u"), 0);
	/* A mount that is gone lazily, still held: a path of its files starts nowhere. */
	snprintf(dir, sizeof(dir), "%s/lazy", base);
	assert_int_equal(sh(site, "mkdir -p $B/lazy && mount --bind $D/c $B/lazy"), 0);
	fd = open(dir, O_PATH | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(sh(site, "umount -l $B/lazy"), 0);
	assert_int_equal(reads(NULL, fd, NULL, "t/a/b/f"), 0);
	assert_int_equal(reads(NULL, fd, NULL, "g"), 0);
	assert_int_equal(reads(NULL, fd, NULL, "s"), EACCES);
	assert_int_equal(tb_events(&tb), 1);
	assert_int_equal(reads(NULL, fd, NULL, "u/f"), EACCES);
	close(fd);
}

static void test_detached(void **state)
{
	int fd, fs;

	begin(state);
	publish();
	/* A clone in no namespace, of the whole and of a part that hides what is above it. */
	fd = (int)syscall(SYS_open_tree, AT_FDCWD, at("."), OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(reads(NULL, fd, NULL, "g"), 0);
	assert_int_equal(reads(NULL, fd, NULL, "t/a/b/f"), 0);
	assert_int_equal(reads(NULL, fd, NULL, "s"), EACCES);
	assert_int_equal(tb_events(&tb), 1);
	close(fd);
	fd = (int)syscall(SYS_open_tree, AT_FDCWD, at("t/a"), OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	assert_int_equal(reads(NULL, fd, NULL, "b/f"), 0);
	close(fd);
	fd = (int)syscall(SYS_open_tree, AT_FDCWD, at("u/a"), OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	assert_int_equal(reads(NULL, fd, NULL, "b/f"), EACCES);
	close(fd);
	/* A file system that was never mounted anywhere: none of its objects is granted. */
	fs = (int)syscall(SYS_fsopen, "tmpfs", FSOPEN_CLOEXEC);
	assert_true(fs >= 0);
	assert_int_equal(syscall(SYS_fsconfig, fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0), 0);
	fd = (int)syscall(SYS_fsmount, fs, FSMOUNT_CLOEXEC, 0);
	assert_true(fd >= 0);
	close(openat(fd, "g", O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
	assert_int_equal(reads(NULL, fd, NULL, "g"), EACCES);
	assert_int_equal(tb_events(&tb), 1);
	close(fd);
	close(fs);
}

static int prepare_chroot(struct prepared *p)
{
	return chroot(p->path) || chdir("/") ? 210 : 0;
}

static int prepare_namespace(struct prepared *p)
{
	if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL))
		return 211;
	return mount(at("."), p->path, NULL, MS_BIND, NULL) ? 212 : 0;
}

static void test_roots(void **state)
{
	char dir[128];

	begin(state);
	publish();
	assert_int_equal(reads(prepare_chroot, AT_FDCWD, at("."), "/g"), 0);
	assert_int_equal(reads(prepare_chroot, AT_FDCWD, at("."), "/t/a/b/f"), 0);
	assert_int_equal(reads(prepare_chroot, AT_FDCWD, at("."), "/s"), EACCES);
	assert_int_equal(tb_events(&tb), 1);
	assert_string_equal(tb_event_path(&tb.events[0]), "/s");
	assert_int_equal(reads(prepare_chroot, AT_FDCWD, at("t/a"), "/b/f"), 0);
	assert_int_equal(reads(prepare_chroot, AT_FDCWD, at("u/a"), "/b/f"), EACCES);
	/* The brane's own mount namespace puts another tree at a known name. */
	snprintf(dir, sizeof(dir), "%s/lazy", base);
	(void)mkdir(dir, 0755);
	snprintf(bufs[0], sizeof(bufs[0]), "%s/g", dir);
	assert_int_equal(reads(prepare_namespace, AT_FDCWD, dir, bufs[0]), 0);
	snprintf(bufs[0], sizeof(bufs[0]), "%s/u/f", dir);
	assert_int_equal(reads(prepare_namespace, AT_FDCWD, dir, bufs[0]), EACCES);
}

/* A chain of N directories with names of LEN characters below TOP, and a file; *END: the last one. */
static void chain(const char *top, int n, int len, int *end)
{
	int fd = open(top, O_PATH | O_CLOEXEC), next;
	char name[256];

	assert_true(fd >= 0);
	memset(name, 'n', sizeof(name));
	name[len] = '\0';
	for (int i = 0; i < n; i++) {
		if (mkdirat(fd, name, 0755) && errno != EEXIST)
			fail_msg("mkdirat: %s", strerror(errno));
		next = openat(fd, name, O_PATH | O_CLOEXEC);
		assert_true(next >= 0);
		close(fd);
		fd = next;
	}
	close(openat(fd, "f", O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
	next = openat(fd, "f", O_WRONLY | O_CLOEXEC);
	assert_int_equal(write(next, "x", 1), 1);
	close(next);
	*end = fd;
}

static void test_long(void **state)
{
	static const struct {
		int n, len;
	} shapes[] = {{60, 3}, {25, 200}, {250, 2}};
	int granted, denied;

	begin(state);
	publish();
	for (size_t i = 0; i < OM_ARRAY_LEN(shapes); i++) {
		chain(at("t"), shapes[i].n, shapes[i].len, &granted);
		chain(at("u"), shapes[i].n, shapes[i].len, &denied);
		assert_int_equal(reads(NULL, granted, NULL, "f"), 0);
		assert_int_equal(tb_events(&tb), 0);
		assert_int_equal(reads(NULL, denied, NULL, "f"), EACCES);
		assert_int_equal(tb_events(&tb), 1);
		/* Longer than what a record holds: said so. */
		assert_true(tb.events[0].path_len <= OM_EVENT_PATH_MAX);
		if (shapes[i].len == 200)
			assert_true(tb.events[0].head.flags & OM_EVENT_TRUNCATED);
		close(granted);
		close(denied);
	}
	/* Deeper than the bound: no, also where it is granted. */
	chain(at("t"), OM_WALK_MAX + 10, 1, &granted);
	assert_int_equal(reads(NULL, granted, NULL, "f"), EACCES);
	assert_int_equal(tb_events(&tb), 1);
	close(granted);
	assert_int_equal(sh(site, "rm -rf $D/c/t $D/c/u"), 0);
}

static ino_t number(const char *path)
{
	struct stat st;

	if (stat(path, &st))
		fail_msg("%s: %s", path, strerror(errno));
	return st.st_ino;
}

/* New files in place of a removed one until the number comes again. 1: it did, PATH has it. */
static int again(ino_t want, int dirs, char *path, size_t size)
{
	for (int i = 0; i < 400; i++) {
		snprintf(path, size, "%s/c/new%d", site->dir, i);
		if (dirs)
			assert_int_equal(mkdir(path, 0755), 0);
		else
			put(path);
		if (number(path) == want)
			return 1;
	}
	return 0;
}

static void test_reuse(void **state)
{
	char path[512], below[600];
	ino_t file, dir;
	int came;

	begin(state);
	publish();
	GRANTED("g");
	GRANTED("t");
	file = number(at("g"));
	dir = number(at("t"));
	assert_int_equal(sh(site, "rm -rf $D/c/g $D/c/t; sync; echo 2 >/proc/sys/vm/drop_caches"),
			 0);
	came = again(dir, 1, path, sizeof(path));
	if (came) {
		snprintf(below, sizeof(below), "%s/f", path);
		put(below);
		assert_true(tb_expect(&tb, "reused directory", do_read, below, EACCES, 1,
				      OM_OP_FILE_READ, "file_open"));
	}
	(void)sh(site, "rm -rf $D/c/new*; sync");
	came += again(file, 0, path, sizeof(path));
	assert_true(
		tb_expect(&tb, "new file", do_read, path, EACCES, 1, OM_OP_FILE_READ, "file_open"));
	if (came < 2)
		print_message("# %s: %d of 2 numbers came again\n", site->name, came);
	if (site->reuses && held[0] < 0)
		assert_true(came > 0);
	/* Held, a number cannot come again. */
	if (held[0] >= 0)
		assert_int_equal(came, 0);
}

/* Memory until little is left, by a child, so that the kernel gives up what it can. */
static void press(void)
{
	pid_t pid = fork();
	size_t left = 0;

	if (!pid) {
		FILE *f = fopen("/proc/meminfo", "re");
		char line[128];

		while (f && fgets(line, sizeof(line), f))
			(void)sscanf(line, "MemAvailable: %zu", &left);
		left = left > (160u << 10) ? (left << 10) - (160u << 20) : 0;
		char *p = mmap(NULL, left, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
		_exit(p == MAP_FAILED);
	}
	assert_int_equal(tb_wait(pid), 0);
}

static void test_evicted(void **state)
{
	begin(state);
	publish();
	assert_int_equal(sh(site, "sync; echo 3 >/proc/sys/vm/drop_caches; echo 3 "
				  ">/proc/sys/vm/drop_caches"),
			 0);
	GRANTED("g");
	GRANTED("t/a/b/f");
	GRANTED("w/f");
	DENIED("s");
	DENIED("u/a/b/f");
	if (site->press) {
		press();
		GRANTED("g");
		GRANTED("t/a/b/f");
		DENIED("u/a/b/f");
	}
	/* A new overlay is another file system, whatever its layers: nothing of it is granted. */
	if (!site->again || held[0] >= 0)
		return;
	/* Unmounted, nothing of it is in memory; mounted again, the objects are the same. */
	assert_int_equal(sh(site, site->again), 0);
	GRANTED("g");
	GRANTED("t/a/b/f");
	DENIED("s");
	DENIED("u/a/b/f");
}

static int do_write(void *path)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	return fd < 0 ? errno : write(fd, "y", 1) == 1 ? 0 : 200;
}

/* What lies in a lower layer is written to, and becomes a file of the upper one: by host, by brane. */
static void test_copy_up(void **state)
{
	begin(state);
	if (strncmp(site->name, "overlay", 7)) {
		print_message("# skip: %s has no layers\n", site->name);
		skip();
	}
	/* Down into the lower layer with it, and a mount that knows nothing yet. */
	assert_int_equal(sh(site, "rm -rf $B/low && mv $D/c $B/low"), 0);
	assert_int_equal(sh(site, "umount $D"), 0);
	assert_int_equal(
		sh(site, strcmp(site->name, "overlay")
				 ? "rm -rf $B/tmpfs/u/* $B/layers/l2/c && mv $B/low $B/layers/l2/c"
				 : "rm -rf $B/layers/u/* $B/layers/l/c && mv $B/low $B/layers/l/c"),
		0);
	assert_int_equal(sh(site, site->again), 0);
	publish();
	GRANTED("g");
	GRANTED("t/a/b/f");
	GRANTED("w");
	DENIED("s");
	put(at("g"));
	put(at("t/a/b/f"));
	put(at("s"));
	GRANTED("g");
	GRANTED("t/a/b/f");
	DENIED("s");
	assert_true(tb_expect(&tb, "copy-up", do_write, at("w/f"), 0, 0, 0, NULL));
	GRANTED("w/f");
	assert_true(tb_expect(&tb, "no copy-up", do_write, at("t/f"), EACCES, 1, OM_OP_FILE_WRITE,
			      "file_open"));
	assert_int_equal(sh(site, "sync; echo 3 >/proc/sys/vm/drop_caches"), 0);
	GRANTED("g");
	GRANTED("t/a/b/f");
	GRANTED("w/f");
	DENIED("s");
}

/* 1: this program runs the cases on it. */
static int tried(const struct site *s)
{
	return (strncmp(s->name, "overlay", 7) == 0) == IDENTITY_OVERLAY &&
	       strcmp(s->name, "layers");
}

/* 1: it is mounted: tried, or below an overlay. */
static int wanted(const struct site *s)
{
	return tried(s) ||
	       (IDENTITY_OVERLAY && (!strcmp(s->name, "layers") || !strcmp(s->name, "tmpfs")));
}

static int setup(void **state)
{
	struct om_err err = {0};
	int ret = tb_open(&tb, OM_LAYER_KERNEL, &err);

	if (ret || !(tb.got & OM_LAYER_KERNEL)) {
		print_message("# skip: no BPF-LSM here: %s\n", err.text);
		return ret ? ret : -1;
	}
	snprintf(base, sizeof(base), "/tmp/omi-%d", getpid());
	for (size_t i = 0; i < OM_ARRAY_LEN(sites); i++) {
		struct site *s = &sites[i];

		snprintf(s->dir, sizeof(s->dir), "%s/%s", base, s->name);
		if (!wanted(s))
			continue;
		(void)sh(s, "mkdir -p $D");
		ret = sh(s, s->make);
		if (ret)
			s->why = ret == 90   ? "its mkfs is not installed"
				 : ret == 91 ? "the kernel does not have it"
					     : "it cannot be mounted";
	}
	return 0;
}

static int teardown(void **state)
{
	tb_close(&tb);
	for (size_t i = OM_ARRAY_LEN(sites); i-- > 0;)
		if (wanted(&sites[i]))
			(void)sh(&sites[i],
				 "L=$(findmnt -no SOURCE $D); umount -l $D; losetup -d $L");
	return base[0] ? sh(NULL, "rm -rf $B") : 0;
}

/* An argument, "long_*", chooses. */
int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		CMUnitTestFunction fn;
	} cases[] = {
		{"names", test_names},	   {"directories", test_directories},
		{"binds", test_binds},	   {"detached", test_detached},
		{"roots", test_roots},	   {"long", test_long},
		{"copyup", test_copy_up},  {"reuse", test_reuse},
		{"evicted", test_evicted},
	};
	static struct CMUnitTest tests[OM_ARRAY_LEN(sites) * OM_ARRAY_LEN(cases)];
	static char names[OM_ARRAY_LEN(tests)][40];
	size_t n = 0;

	for (size_t i = 0; i < OM_ARRAY_LEN(sites); i++)
		for (size_t k = 0; tried(&sites[i]) && k < OM_ARRAY_LEN(cases); k++, n++) {
			snprintf(names[n], sizeof(names[n]), "%s_%s", cases[k].name, sites[i].name);
			tests[n] = (struct CMUnitTest){.name = names[n],
						       .test_func = cases[k].fn,
						       .initial_state = &sites[i]};
		}
	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return _cmocka_run_group_tests("identity", tests, n, setup, teardown);
}
