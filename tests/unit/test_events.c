/*
 * Kernel events: each op's attribution, each body, hostile lengths, and the ring's deferred release.
 *
 * Comes in: nothing. Goes out: TAP. Called by: make check. Never does: need a kernel feature.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <errno.h>
#include <linux/audit.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <omega/request.h>
#include "agent/events/events.h"
#include "agent/events/ring.h"

static struct om_decoded d;

static const char *obj(void)
{
	static char text[OM_OBJ_MAX + 1];

	memcpy(text, d.obj, d.obj_len);
	text[d.obj_len] = 0;
	return text;
}

static void every_op_has_a_row(void **state)
{
	for (uint16_t op = 1; op < OM_OP_COUNT; op++) {
		const struct om_op_row *r = om_op_row(op);

		assert_string_equal(r->op, om_op_name((enum om_op)op));
		assert_true(strlen(r->kind) && strlen(r->kind) <= 31);
		assert_int_equal(strspn(r->kind, "abcdefghijklmnopqrstuvwxyz0123456789._"),
				 strlen(r->kind));
	}
	assert_string_equal(om_op_row(0)->op, "unknown");
	assert_string_equal(om_op_row(OM_OP_COUNT)->kind, "unknown");
	assert_string_equal(om_op_row(0xffff)->rule, "");
	assert_string_equal(om_event_layer(OM_WHERE_LSM), "lsm");
	assert_string_equal(om_event_layer(OM_WHERE_COUNT), "unknown");
}

static int path_event(const char *path, size_t len, uint16_t op, uint16_t flags)
{
	static struct om_event_path e;

	memset(&e, 0, sizeof(e));
	e.head.version = OM_EVENT_VERSION;
	e.head.body = OM_BODY_PATH;
	e.head.where = OM_WHERE_LSM;
	e.head.op = op;
	e.head.flags = flags;
	e.ino = 7;
	e.path_len = (uint32_t)len;
	memcpy(e.path, path, len);
	return om_event_decode(&e, sizeof(e), &d);
}

static void paths_are_reversed(void **state)
{
	static const struct {
		const char *in;
		uint16_t flags;
		const char *out;
	} rows[] = {
		{"passwd/etc/", 0, "/etc/passwd"},
		{"passwd/etc/", OM_EVENT_TRUNCATED, ".../etc/passwd"},
		{"a/", 0, "/a"},
		{"", 0, "/"},
		{"/", 0, "/"},
		{"x/y/z/", 0, "/z/y/x"},
		{"x//z/", 0, "/z/x"},
		{"no-end", 0, "/no-end"},
		{"/etc/shadow", OM_EVENT_ABSOLUTE, "/etc/shadow"},
		{"relative", OM_EVENT_ABSOLUTE, "relative"},
	};

	for (size_t i = 0; i < OM_ARRAY_LEN(rows); i++) {
		assert_int_equal(
			path_event(rows[i].in, strlen(rows[i].in), OM_OP_FILE_READ, rows[i].flags),
			0);
		assert_string_equal(obj(), rows[i].out);
	}
	assert_string_equal(d.row->rule, "filesystem.read");
	assert_int_equal(d.ino, 7);
	/* A NUL inside ends the path. */
	assert_int_equal(path_event("a\0b/", 4, OM_OP_FILE_READ, OM_EVENT_ABSOLUTE), 0);
	assert_string_equal(obj(), "a");
}

static void contents(void **state)
{
	static struct om_event_content e;

	memset(&e, 0, sizeof(e));
	e.path.head.version = OM_EVENT_VERSION;
	e.path.head.body = OM_BODY_CONTENT;
	e.path.head.op = OM_OP_FILE_EXEC;
	e.path.path_len = 4;
	memcpy(e.path.path, "x/y/", 4);
	e.sha256[31] = 9;
	e.why = OM_CONTENT_OTHER;
	assert_int_equal(om_event_decode(&e, sizeof(e), &d), 0);
	assert_string_equal(obj(), "/y/x");
	assert_string_equal(d.why, "other-content");
	assert_true(d.has_sha256 && d.sha256[31] == 9);
	assert_string_equal(d.row->rule, "filesystem.exec");
	e.why = OM_CONTENT_UNREAD;
	assert_int_equal(om_event_decode(&e, sizeof(e), &d), 0);
	assert_false(d.has_sha256);
	assert_true(om_event_decode(&e, sizeof(e) - 1, &d) < 0);
	e.why = 0;
	assert_true(om_event_decode(&e, sizeof(e), &d) < 0);
	e.why = OM_CONTENT_UNREAD + 1;
	assert_true(om_event_decode(&e, sizeof(e), &d) < 0);
	e.why = OM_CONTENT_OTHER;
	e.path.path_len = OM_EVENT_PATH_MAX + 1;
	assert_true(om_event_decode(&e, sizeof(e), &d) < 0);
	/* Nothing of it stays for the next event. */
	assert_int_equal(path_event("a/", 2, OM_OP_FILE_READ, 0), 0);
	assert_null(d.why);
	assert_false(d.has_sha256);
}

static void longest_path(void **state)
{
	char path[OM_EVENT_PATH_MAX];

	memset(path, 'x', sizeof(path));
	assert_int_equal(path_event(path, sizeof(path), OM_OP_FILE_WRITE, 0), 0);
	assert_int_equal(d.obj_len, sizeof(path) + 1);
	for (size_t i = 1; i < sizeof(path); i += 2)
		path[i] = '/';
	assert_int_equal(path_event(path, sizeof(path), OM_OP_FILE_WRITE, OM_EVENT_TRUNCATED), 0);
	assert_true(d.obj_len <= OM_OBJ_MAX);
}

static void bodies(void **state)
{
	struct om_event e = {.head = {.version = OM_EVENT_VERSION,
				      .body = OM_BODY_NET,
				      .where = OM_WHERE_CGROUP_BPF,
				      .op = OM_OP_NET_CONNECT}};

	e.u.net.family = AF_INET;
	e.u.net.proto = 6;
	e.u.net.port = 443;
	memcpy(e.u.net.addr, "\0\0\0\0\0\0\0\0\0\0\xff\xff\xcb\0\x71\7", 16);
	assert_int_equal(om_event_decode(&e, sizeof(e), &d), 0);
	assert_string_equal(obj(), "203.0.113.7:443");
	assert_string_equal(d.proto, "tcp");
	assert_string_equal(d.layer, "cgroup-bpf");
	memset(e.u.net.addr, 0, 16);
	e.u.net.addr[15] = 1;
	e.u.net.family = AF_INET6;
	assert_int_equal(om_event_decode(&e, sizeof(e), &d), 0);
	assert_string_equal(obj(), "[::1]:443");
	e.head.op = OM_OP_NET_SOCKET;
	e.u.net.family = 16;
	e.u.net.type = 3;
	e.u.net.proto = 15;
	assert_int_equal(om_event_decode(&e, sizeof(e), &d), 0);
	assert_string_equal(obj(), "family 16 type 3 protocol 15");

	memset(&e.u, 0, sizeof(e.u));
	e.head.op = OM_OP_SYSCALL;
	e.head.body = OM_BODY_SYS;
	e.u.sys.nr = 272;
	e.u.sys.arch = AUDIT_ARCH_X86_64;
	e.u.sys.args[0] = 42;
	assert_int_equal(om_event_decode(&e, sizeof(e), &d), 0);
	assert_string_equal(obj(), "unshare");
	assert_int_equal(d.n_args, 4);
	assert_int_equal(d.args[0], 42);
	/* The same number of another architecture is another call. */
	e.u.sys.arch = AUDIT_ARCH_I386;
	assert_int_equal(om_event_decode(&e, sizeof(e), &d), 0);
	assert_null(strstr(obj(), "unshare"));

	memset(&e.u, 0, sizeof(e.u));
	e.head.op = OM_OP_PTRACE;
	e.head.body = OM_BODY_TASK;
	e.u.task.pid = 1;
	e.u.task.arg = 2;
	memset(e.u.task.comm, 'c', sizeof(e.u.task.comm));
	e.head.flags = OM_EVENT_ALLOWED;
	assert_int_equal(om_event_decode(&e, sizeof(e), &d), 0);
	assert_string_equal(obj(), "pid 1 arg 2 cccccccccccccccc");
	assert_true(d.allowed && d.row->urgent);
	e.head.body = OM_BODY_NONE;
	assert_int_equal(om_event_decode(&e, sizeof(e), &d), 0);
	assert_int_equal(d.obj_len, 0);
}

static void hostile_lengths(void **state)
{
	static struct om_event_path p;
	struct om_event e = {.head = {.version = OM_EVENT_VERSION, .body = OM_BODY_NET}};

	for (size_t n = 0; n < sizeof(e); n++)
		assert_int_equal(om_event_decode(&e, n, &d), -EBADMSG);
	e.head.version++;
	assert_int_equal(om_event_decode(&e, sizeof(e), &d), -EBADMSG);
	e.head.version--;
	e.head.body = 99;
	assert_int_equal(om_event_decode(&e, sizeof(e), &d), -EBADMSG);
	p.head.version = OM_EVENT_VERSION;
	p.head.body = OM_BODY_PATH;
	for (size_t n = 0; n < offsetof(struct om_event_path, path); n++)
		assert_int_equal(om_event_decode(&p, n, &d), -EBADMSG);
	p.path_len = OM_EVENT_PATH_MAX + 1;
	assert_int_equal(om_event_decode(&p, sizeof(p), &d), -EBADMSG);
	p.path_len = 5;
	assert_int_equal(om_event_decode(&p, offsetof(struct om_event_path, path) + 4, &d),
			 -EBADMSG);
	assert_int_equal(om_event_decode(&p, sizeof(p) + 8, &d), -EBADMSG);
	p.path_len = ~0u;
	assert_int_equal(om_event_decode(&p, sizeof(p), &d), -EBADMSG);
}

/* A ring in plain memory, its data twice in a row as the kernel maps it. */
struct fake {
	uint64_t consumer, producer;
	uint64_t data[2 * 8]; /* 64 bytes, twice */
};

static void put(struct fake *f, const void *p, uint32_t len, uint32_t flags)
{
	uint8_t *ring = (uint8_t *)f->data;
	uint8_t sample[64] = {0};
	uint32_t head = len | flags;
	uint64_t n = (len + 8 + 7) & ~7ull;

	memcpy(sample, &head, 4);
	memcpy(sample + 8, p, len);
	for (uint64_t i = 0; i < n; i++) {
		uint64_t at = (f->producer + i) % 64;

		ring[at] = ring[at + 64] = sample[i];
	}
	f->producer += n;
}

static void ring_holds_until_released(void **state)
{
	struct fake f = {0};
	struct om_ring r = {.consumer = &f.consumer,
			    .producer = &f.producer,
			    .data = (const uint8_t *)f.data,
			    .size = 64};
	const void *p;
	size_t len;

	assert_int_equal(om_ring_next(&r, &p, &len), 0);
	put(&f, "one", 4, 0);
	put(&f, "gone", 5, 0x40000000u); /* discarded */
	put(&f, "two", 4, 0);
	assert_int_equal(om_ring_next(&r, &p, &len), 1);
	assert_int_equal(len, 4);
	assert_string_equal(p, "one");
	assert_int_equal(om_ring_next(&r, &p, &len), 1);
	assert_string_equal(p, "two");
	assert_int_equal(om_ring_next(&r, &p, &len), 0);
	/* The kernel must still see all of it as unread. */
	assert_int_equal(f.consumer, 0);
	om_ring_release(&r);
	assert_int_equal(f.consumer, f.producer);
	/* Over the end: in one piece, thanks to the second mapping. */
	put(&f, "0123456789abcdef0123456", 24, 0);
	assert_int_equal(om_ring_next(&r, &p, &len), 1);
	assert_string_equal(p, "0123456789abcdef0123456");
	om_ring_release(&r);
	/* Still being written: nothing behind it may be taken either. */
	put(&f, "busy", 5, 0x80000000u);
	put(&f, "later", 6, 0);
	assert_int_equal(om_ring_next(&r, &p, &len), 0);
}

static void ring_refuses_nonsense(void **state)
{
	struct fake f = {0};
	struct om_ring r = {.consumer = &f.consumer,
			    .producer = &f.producer,
			    .data = (const uint8_t *)f.data,
			    .size = 64};
	const void *p;
	size_t len;
	struct om_err err;

	f.producer = 4096;
	assert_int_equal(om_ring_next(&r, &p, &len), -EBADMSG);
	f.producer = 16;
	f.data[0] = 0x3fffffff; /* longer than the ring */
	assert_int_equal(om_ring_next(&r, &p, &len), -EBADMSG);
	r.at = 32; /* the producer went back */
	assert_int_equal(om_ring_next(&r, &p, &len), -EBADMSG);
	assert_true(om_ring_open(-1, 4096, &r, &err) < 0);
	assert_true(om_ring_open(0, 4095, &r, &err) < 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_op_has_a_row),
		cmocka_unit_test(paths_are_reversed),
		cmocka_unit_test(contents),
		cmocka_unit_test(longest_path),
		cmocka_unit_test(bodies),
		cmocka_unit_test(hostile_lengths),
		cmocka_unit_test(ring_holds_until_released),
		cmocka_unit_test(ring_refuses_nonsense),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
