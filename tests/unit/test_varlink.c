/*
 * varlink: framing in any pieces, its bounds, strict messages, and the client against a small server.
 *
 * Comes in: nothing. Goes out: TAP. Called by: make check. Never does: touch a running omegad.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include "agent/varlink/client.h"

static int push(struct om_frames *f, const char *p, size_t len, size_t step)
{
	while (len) {
		size_t room, n;
		char *to = om_frames_room(f, step, &room), *msg;

		if (!to)
			return -ENOMEM;
		assert_true(room >= 1 && room <= step);
		n = OM_MIN(room, len);
		memcpy(to, p, n);
		om_frames_added(f, n);
		p += n;
		len -= n;
		if (len && om_frames_next(f, &msg, &n) < 0)
			return -EMSGSIZE;
	}
	return 0;
}

static void frames_whole(void **state)
{
	static const char two[] = "{\"a\":1}\0{}"; /* and the array's own NUL */
	struct om_frames f;
	char *msg;
	size_t len;

	om_frames_init(&f, 0);
	assert_int_equal(om_frames_next(&f, &msg, &len), 0);
	assert_int_equal(push(&f, two, sizeof(two), sizeof(two)), 0);
	assert_int_equal(om_frames_next(&f, &msg, &len), 1);
	assert_int_equal(len, 7);
	assert_string_equal(msg, "{\"a\":1}");
	assert_int_equal(om_frames_next(&f, &msg, &len), 1);
	assert_string_equal(msg, "{}");
	assert_int_equal(om_frames_next(&f, &msg, &len), 0);
	om_frames_done(&f);
}

static void frames_byte_by_byte(void **state)
{
	char text[9000];
	struct om_frames f;
	char *msg;
	size_t len;

	memset(text, 'x', sizeof(text));
	text[sizeof(text) - 1] = 0;
	om_frames_init(&f, 0);
	for (int round = 0; round < 3; round++) {
		assert_int_equal(push(&f, text, sizeof(text), 1), 0);
		assert_int_equal(om_frames_next(&f, &msg, &len), 1);
		assert_int_equal(len, sizeof(text) - 1);
		assert_false(memcmp(msg, text, len));
	}
	om_frames_done(&f);
}

static void frames_bound(void **state)
{
	char text[128];
	struct om_frames f;
	char *msg;
	size_t len;

	memset(text, 'x', sizeof(text));
	om_frames_init(&f, 100);
	text[100] = 0;
	assert_int_equal(push(&f, text, 101, 7), 0);
	assert_int_equal(om_frames_next(&f, &msg, &len), 1);
	assert_int_equal(len, 100);
	text[100] = 'x';
	assert_int_equal(push(&f, text, 101, 101), 0);
	assert_int_equal(om_frames_next(&f, &msg, &len), -EMSGSIZE);
	om_frames_done(&f);
	/* A second message's beginning behind a first one leaves room for neither more nor less. */
	om_frames_init(&f, 100);
	text[90] = 0;
	assert_int_equal(push(&f, text, 101, 101), 0);
	assert_int_equal(om_frames_next(&f, &msg, &len), 1);
	assert_int_equal(len, 90);
	text[100] = 0;
	assert_int_equal(push(&f, text + 10, 91, 13), 0);
	om_frames_done(&f);
}

static void calls_strict(void **state)
{
	static const char *const bad[] = {
		"",
		"[]",
		"{}",
		"{\"method\":1}",
		"{\"method\":\"a\",\"method\":\"b\"}",
		"{\"method\":\"a\",\"parameters\":[]}",
		"{\"method\":\"a\",\"parameters\":{\"x\":1,\"x\":2}}",
		"{\"method\":\"a\",\"more\":1}",
		"{\"method\":\"a\",\"extra\":1}",
		"{\"method\":\"a\"}{}",
		"{\"method\":\"a\\u0000b\"}",
		"{\"method\":\"\xff\"}",
		"{\"method\":"
		"\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"}",
	};
	struct om_vl_call c;
	struct om_err err = {0};
	const char *good = "{\"method\":\"io.omega.Observe.List\",\"more\":true}";

	for (size_t i = 0; i < OM_ARRAY_LEN(bad); i++) {
		memset(&err, 0, sizeof(err));
		assert_true(om_vl_call_parse(bad[i], strlen(bad[i]), &c, &err) < 0);
		assert_int_equal(err.id, OM_ERR_CTL_FRAME);
	}
	assert_int_equal(om_vl_call_parse(good, strlen(good), &c, &err), 0);
	assert_string_equal(c.method, "io.omega.Observe.List");
	assert_true(c.more && !c.oneway);
	assert_int_equal(json_object_size(c.params), 0);
	om_vl_call_done(&c);
}

static void replies(void **state)
{
	struct om_err in = {.id = OM_ERR_NOT_FOUND, .ret = -ENOENT, .text = "no brane 'x'"};
	struct om_err err = {0};
	json_t *msg = om_vl_error_new(&in, NULL), *params;
	char *text;
	size_t len;

	assert_int_equal(om_vl_encode(msg, &text, &len, &err), 0);
	assert_int_equal(len, strlen(text) + 1);
	assert_true(om_vl_reply_parse(text, len - 1, &params, NULL, &err) < 0);
	assert_int_equal(err.id, OM_ERR_NOT_FOUND);
	assert_string_equal(err.text, "no brane 'x'");
	assert_int_equal(json_integer_value(json_object_get(params, "exit")), 4);
	json_decref(params);
	json_decref(msg);
	free(text);
	/* Text that is no UTF-8 must not make the error itself disappear. */
	strcpy(in.text, "path \xff");
	msg = om_vl_error_new(&in, NULL);
	assert_non_null(msg);
	json_decref(msg);
}

/* The other end of a socket pair: answers one call, having read one byte from the passed pipe. */
static void serve(int sock)
{
	char buf[512], byte = 0, space[CMSG_SPACE(sizeof(int))];
	struct iovec iov = {buf, sizeof(buf)};
	struct msghdr mh = {.msg_iov = &iov,
			    .msg_iovlen = 1,
			    .msg_control = space,
			    .msg_controllen = sizeof(space)};
	ssize_t n = recvmsg(sock, &mh, 0);
	int fd;

	if (n <= 0 || buf[n - 1] || !CMSG_FIRSTHDR(&mh))
		_exit(1);
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&mh)), sizeof(fd));
	if (read(fd, &byte, 1) != 1 || byte != 'q')
		_exit(2);
	for (const char *p = "{\"parameters\":{\"ok\":true}}";; p++) {
		if (write(sock, p, 1) != 1)
			_exit(3);
		if (!*p)
			_exit(0);
	}
}

static void client_calls(void **state)
{
	int pair[2], p[2], status;
	struct om_vl_client c = {0};
	struct om_err err = {0};
	json_t *reply;
	pid_t pid;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	assert_int_equal(pipe(p), 0);
	assert_int_equal(write(p[1], "q", 1), 1);
	pid = fork();
	if (!pid) {
		close(pair[0]);
		serve(pair[1]);
	}
	close(pair[1]);
	c.fd = pair[0];
	om_frames_init(&c.in, 0);
	assert_int_equal(om_vl_client_call(&c, "io.omega.Test", NULL, p, 1, 20000, &reply, &err),
			 0);
	assert_true(json_is_true(json_object_get(reply, "ok")));
	json_decref(reply);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	/* The server is gone: an answer that never comes is an error, not a hang. */
	assert_true(om_vl_client_recv(&c, 20000, &reply, &err) < 0);
	assert_int_equal(err.id, OM_ERR_CTL_UNREACHABLE);
	om_vl_client_done(&c);
	close(p[0]);
	close(p[1]);
	assert_true(om_vl_client_open(&c, "/nonexistent/observe.sock", &err) < 0);
	assert_int_equal(err.id, OM_ERR_CTL_UNREACHABLE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(frames_whole), cmocka_unit_test(frames_byte_by_byte),
		cmocka_unit_test(frames_bound), cmocka_unit_test(calls_strict),
		cmocka_unit_test(replies),	cmocka_unit_test(client_calls),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
