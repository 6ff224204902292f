/*
 * The private root: what is granted is there, under its name, with its rights; nothing else exists.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>
#include "tests/util/live.h"

struct place {
	struct live v;
	char dir[64];
};

static void make(const char *dir, const char *rel, const char *text)
{
	char path[300];
	(void)snprintf(path, sizeof(path), "%s/%s", dir, rel);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	assert_int_equal(fchmod(fd, 0666), 0);
	close(fd);
}

/* A small image: /data/{a,sub/b}, /link -> data/sub, /abs -> /data, /data/up -> ../../../../etc. */
static void place_open(struct place *p)
{
	char path[300];
	live_open(&p->v, OM_LAYER_PROCESS);
	(void)snprintf(p->dir, sizeof(p->dir), "/tmp/omega-view-XXXXXX");
	assert_non_null(mkdtemp(p->dir));
	chmod(p->dir, 0755);
	static const char *const dirs[] = {"data", "data/sub", "etc", "usr", "usr/bin", "empty"};
	for (size_t i = 0; i < OM_ARRAY_LEN(dirs); i++) {
		(void)snprintf(path, sizeof(path), "%s/%s", p->dir, dirs[i]);
		assert_int_equal(mkdir(path, 0777), 0);
		chmod(path, 0777);
	}
	make(p->dir, "data/a", "A");
	make(p->dir, "data/sub/b", "B");
	make(p->dir, "etc/secret", "S");
	static const char *const links[][2] = {
		{"data/sub", "link"}, {"/data", "abs"}, {"../../../../etc", "data/up"},
		{"usr/bin", "bin"},   {"loop", "loop"}, {"/data/a", "file-link"}};
	for (size_t i = 0; i < OM_ARRAY_LEN(links); i++) {
		(void)snprintf(path, sizeof(path), "%s/%s", p->dir, links[i][1]);
		assert_int_equal(symlink(links[i][0], path), 0);
	}
}

static void place_close(struct place *p)
{
	char cmd[128];
	live_close(&p->v);
	(void)snprintf(cmd, sizeof(cmd), "rm -rf %s", p->dir);
	assert_int_equal(system(cmd), 0);
}

/* The image has `inside` at /usr/bin/inside, by a copy. */
static struct live_brane in_image(struct place *p, const char *name, const char *arg)
{
	char cmd[4400];
	(void)snprintf(cmd, sizeof(cmd), "cp %s/inside %s/usr/bin/inside", p->v.helpers, p->dir);
	assert_int_equal(system(cmd), 0);
	struct live_brane b = live_inside(&p->v, name, "open", arg);
	b.image = OM_IMAGE_DIR;
	b.image_dir = p->dir;
	b.argv[0] = "/usr/bin/inside";
	b.mounts[0] = (struct live_mount){"/usr/bin/inside", "/usr/bin/inside", OM_MNT_RO, 0};
	return b;
}

static const char *out(struct place *p, const struct live_brane *b)
{
	struct om_brane_info info;
	struct om_err err;
	if (live_apply(&p->v, b, &info, &err) < 0)
		fail_msg("%s: %s", b->name, err.text);
	live_wait(&p->v, b->name, &info);
	return live_text(&p->v, b->name, "stdout");
}

static void expect(const char *text, const char *key, int e)
{
	char s[16];
	(void)snprintf(s, sizeof(s), "%d", e);
	assert_string_equal(live_fact(text, key), s);
}

/* 1: a directory granted to read: there, read-only; its neighbours are not there. */
static void read_only(void **state)
{
	struct place p;
	(void)state;
	place_open(&p);
	struct live_brane b = in_image(&p, "ro", "/data/a");
	b.mounts[1] = (struct live_mount){"/data", "/data", OM_MNT_RO | OM_MNT_TREE, 0};
	const char *text = out(&p, &b);
	expect(text, "read", 0);
	expect(text, "write", EROFS);
	b = in_image(&p, "ro2", "/etc/secret");
	b.mounts[1] = (struct live_mount){"/data", "/data", OM_MNT_RO | OM_MNT_TREE, 0};
	expect(out(&p, &b), "read", ENOENT);
	b = in_image(&p, "ro3", "/data/new");
	b.mounts[1] = (struct live_mount){"/data", "/data", OM_MNT_RO | OM_MNT_DIR, 0};
	expect(out(&p, &b), "create", EROFS);
	/* Without what is in it: nothing but BPF-LSM could tell the two apart. */
	struct om_brane_info info;
	struct om_err err;
	b = in_image(&p, "self", "/data");
	b.mounts[1] = (struct live_mount){"/data", "/data", OM_MNT_RO, 0};
	assert_true(live_apply(&p.v, &b, &info, &err) < 0);
	assert_non_null(strstr(err.text, "is a directory"));
	place_close(&p);
}

/* 2: granted to write. */
static void writable(void **state)
{
	struct place p;
	(void)state;
	place_open(&p);
	struct live_brane b = in_image(&p, "rw", "/data/new");
	b.mounts[1] = (struct live_mount){"/data", "/data", OM_MNT_NOEXEC | OM_MNT_DIR, 0};
	const char *text = out(&p, &b);
	expect(text, "create", 0);
	char path[128];
	(void)snprintf(path, sizeof(path), "%s/data/new", p.dir);
	assert_int_equal(access(path, F_OK), 0);
	place_close(&p);
}

/* 3: what leads to a granted path can be walked, not listed, and takes nothing new. */
static void root(void **state)
{
	struct place p;
	(void)state;
	place_open(&p);
	struct live_brane b = in_image(&p, "root", "/");
	b.mounts[1] = (struct live_mount){"/data/a", "/data/a", OM_MNT_RO, 0};
	const char *text = out(&p, &b);
	assert_string_equal(live_fact(text, "list"), "errno=13");
	b = in_image(&p, "root2", "/new");
	expect(out(&p, &b), "create", EROFS);
	b = in_image(&p, "root3", "/data");
	b.mounts[1] = (struct live_mount){"/data/a", "/data/a", OM_MNT_RO, 0};
	assert_string_equal(live_fact(out(&p, &b), "list"), "errno=13");
	b = in_image(&p, "root4", "/data/a");
	b.mounts[1] = (struct live_mount){"/data/a", "/data/a", OM_MNT_RO, 0};
	expect(out(&p, &b), "read", 0);
	place_close(&p);
}

/* 4: links on the way are the image's own; links out of a granted tree lead to what is granted. */
static void links(void **state)
{
	struct place p;
	(void)state;
	place_open(&p);
	static const struct {
		const char *grant, *open;
		int e;
	} cases[] = {
		{"/link/b", "/link/b", 0},
		{"/link/b", "/data/sub/b", 0},
		{"/abs/a", "/abs/a", 0},
		{"/abs/sub", "/abs/sub/b", 0},
		{"/file-link", "/file-link", 0},
		{"/file-link", "/data/a", ENOENT},
		{"/data", "/data/up/secret", ENOENT},
		/* Read through the planted link it would be the host's own /etc. */
		{"/data", "/data/up/passwd", ENOENT},
		{"/bin/inside", "/bin/inside", 0},
	};
	for (size_t i = 0; i < OM_ARRAY_LEN(cases); i++) {
		char name[16];
		(void)snprintf(name, sizeof(name), "link%zu", i);
		struct live_brane b = in_image(&p, name, cases[i].open);
		b.mounts[1] = (struct live_mount){cases[i].grant, cases[i].grant,
						  OM_MNT_RO | OM_MNT_TREE, 0};
		const char *text = out(&p, &b);
		char s[16];
		(void)snprintf(s, sizeof(s), "%d", cases[i].e);
		if (strcmp(live_fact(text, "read"), s) != 0)
			fail_msg("%s, granted %s: read %s", cases[i].open, cases[i].grant,
				 live_fact(text, "read"));
	}
	place_close(&p);
}

/* 5: a tmpfs of its own: writable, bounded, empty for the next start. */
static void tmpfs(void **state)
{
	struct place p;
	(void)state;
	place_open(&p);
	struct live_brane b = in_image(&p, "tmp", "/scratch/deep/x");
	b.mounts[1] = (struct live_mount){NULL, "/scratch/deep", OM_MNT_NOEXEC, 1 << 20};
	const char *text = out(&p, &b);
	expect(text, "read", ENOENT);
	expect(text, "create", 0);
	place_close(&p);
}

/* 6: what cannot be resolved is named, before anything is touched. */
static void unresolved(void **state)
{
	struct place p;
	struct om_brane_info info;
	struct om_err err;
	(void)state;
	place_open(&p);
	static const char *const paths[] = {"/absent", "/loop", "/data/a/x"};
	for (size_t i = 0; i < OM_ARRAY_LEN(paths); i++) {
		struct live_brane b = in_image(&p, "absent", "/");
		b.mounts[1] = (struct live_mount){paths[i], paths[i], OM_MNT_RO, 0};
		assert_true(live_apply(&p.v, &b, &info, &err) < 0);
		assert_int_equal(err.id, OM_ERR_RESOLVE);
		assert_non_null(strstr(err.text, "line 7"));
		assert_non_null(strstr(err.text, paths[i]));
		b = in_image(&p, "absent", "/");
		b.paths[0] = paths[i];
		b.files[0].self = OM_MAY_READ;
		assert_true(live_apply(&p.v, &b, &info, &err) < 0);
		assert_int_equal(err.id, OM_ERR_RESOLVE);
	}
	assert_true(om_loader_get(p.v.l, "absent", &info, &err) < 0);
	place_close(&p);
}

/* 7: harmless devices work where named, others are refused, none works without the flag. */
static void devices(void **state)
{
	struct place p;
	struct om_brane_info info;
	struct om_err err;
	(void)state;
	place_open(&p);
	struct live_brane b = live_inside(&p.v, "null", "open", "/dev/null");
	b.mounts[1] = (struct live_mount){"/dev/null", "/dev/null", OM_MNT_DEVICE, 0};
	const char *text = out(&p, &b);
	expect(text, "read", 0);
	expect(text, "write", 0);
	b = live_inside(&p.v, "nodev", "open", "/dev/null");
	b.mounts[1] = (struct live_mount){"/dev/null", "/dev/null", OM_MNT_RO, 0};
	expect(out(&p, &b), "read", EACCES);
	/* CVE-2025-31133: what is called a device must be that device. */
	b = live_inside(&p.v, "kmsg", "open", "/dev/null");
	b.mounts[1] = (struct live_mount){"/dev/kmsg", "/dev/null", OM_MNT_DEVICE, 0};
	assert_true(live_apply(&p.v, &b, &info, &err) < 0);
	assert_non_null(strstr(err.text, "harmless"));
	place_close(&p);
}

/* 8: neither the host's /proc nor a mount made later comes in. */
static void host_mounts(void **state)
{
	struct place p;
	struct om_brane_info info;
	struct om_err err;
	char path[128];
	(void)state;
	place_open(&p);
	struct live_brane b = live_inside(&p.v, "proc", "open", "/proc/1/status");
	b.mounts[1] = (struct live_mount){"/proc", "/proc", OM_MNT_RO | OM_MNT_TREE, 0};
	assert_true(live_apply(&p.v, &b, &info, &err) < 0);
	assert_int_equal(err.id, OM_ERR_NOT_BUILT);
	/* Propagation: the granted tree lies on a shared mount, then gets a mount. */
	(void)snprintf(path, sizeof(path), "%s/data", p.dir);
	assert_int_equal(mount(path, path, NULL, MS_BIND, NULL), 0);
	assert_int_equal(mount(NULL, path, NULL, MS_SHARED, NULL), 0);
	b = in_image(&p, "later", "/data/sub/planted");
	b.argv[1] = "late";
	b.mounts[1] = (struct live_mount){"/data", "/data", OM_MNT_TREE, 0};
	if (live_apply(&p.v, &b, &info, &err) < 0)
		fail_msg("%s", err.text);
	(void)snprintf(path, sizeof(path), "%s/data/sub", p.dir);
	assert_int_equal(mount("none", path, "tmpfs", 0, NULL), 0);
	(void)snprintf(path, sizeof(path), "%s/data/sub/planted", p.dir);
	make(p.dir, "data/sub/planted", "x");
	(void)snprintf(path, sizeof(path), "%s/data/go", p.dir);
	make(p.dir, "data/go", "x");
	live_wait(&p.v, "later", &info);
	expect(live_text(&p.v, "later", "stdout"), "read", ENOENT);
	(void)snprintf(path, sizeof(path), "%s/data/sub", p.dir);
	assert_int_equal(umount2(path, MNT_DETACH), 0);
	(void)snprintf(path, sizeof(path), "%s/data", p.dir);
	assert_int_equal(umount2(path, MNT_DETACH), 0);
	place_close(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(read_only), cmocka_unit_test(writable),
		cmocka_unit_test(root),	     cmocka_unit_test(links),
		cmocka_unit_test(tmpfs),     cmocka_unit_test(unresolved),
		cmocka_unit_test(devices),   cmocka_unit_test(host_mounts),
	};
	return cmocka_run_group_tests_name("view", tests, NULL, NULL);
}
