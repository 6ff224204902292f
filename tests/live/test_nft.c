/*
 * nftables as the brane's lock on the host's network: sets, verdicts, read-back, drops, replacement.
 *
 * Uses a table and cgroups of its own; addresses are loopback, so nothing leaves the machine.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>
#include <loader/impl.h>
#include "tests/util/live.h"

struct net {
	struct live v;
	struct om_nft *n;
	int cg;
	uint64_t cgid;
	int server;
	uint16_t port;
};

/* Listens on every loopback address. */
static void serve(struct net *t)
{
	struct sockaddr_in6 a = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_ANY_INIT};
	socklen_t len = sizeof(a);
	int off = 0;
	t->server = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(t->server >= 0);
	setsockopt(t->server, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
	assert_int_equal(bind(t->server, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(t->server, 64), 0);
	assert_int_equal(getsockname(t->server, (struct sockaddr *)&a, &len), 0);
	t->port = ntohs(a.sin6_port);
}

static void net_open(struct net *t)
{
	struct om_err err = {0};
	memset(t, 0, sizeof(*t));
	live_open(&t->v, OM_LAYER_PROCESS);
	if (om_nft_open(t->v.table, t->v.l->parent_cgid, t->v.l->level - 1, &t->n, &err) < 0) {
		print_message("nftables: %s\n", err.text);
		live_close(&t->v);
		skip();
	}
	assert_int_equal(om_cgroup_make(t->v.l->parent, "net", &t->cg, &t->cgid, &err), 0);
	serve(t);
}

static void net_close(struct net *t)
{
	struct om_err err = {0};
	close(t->server);
	close(t->cg);
	assert_int_equal(om_cgroup_remove(t->v.l->parent, "net", &err), 0);
	assert_int_equal(om_nft_destroy(t->n, &err), 0);
	om_nft_free(t->n);
	live_close(&t->v);
}

static void join(const struct net *t)
{
	int fd = openat(t->cg, "cgroup.procs", O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, "0", 1) != 1)
		_exit(120);
	close(fd);
}

/* In a child inside the cgroup: 0 connected, else an errno. ETIMEDOUT: the packet was dropped. */
static int connect_inside(const struct net *t, const char *addr, uint16_t port, uint16_t sport)
{
	pid_t pid = fork();
	int status = 0;
	if (pid == 0) {
		struct sockaddr_storage ss = {0};
		struct sockaddr_in *a4 = (void *)&ss;
		struct sockaddr_in6 *a6 = (void *)&ss;
		join(t);
		if (inet_pton(AF_INET, addr, &a4->sin_addr) == 1) {
			a4->sin_family = AF_INET;
			a4->sin_port = htons(port);
		} else {
			inet_pton(AF_INET6, addr, &a6->sin6_addr);
			a6->sin6_family = AF_INET6;
			a6->sin6_port = htons(port);
		}
		int fd = socket(ss.ss_family, SOCK_STREAM | SOCK_NONBLOCK, 0), e = 0;
		if (sport) {
			struct sockaddr_in me = {.sin_family = AF_INET, .sin_port = htons(sport)};
			int on = 1;
			setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
			if (bind(fd, (struct sockaddr *)&me, sizeof(me)) < 0)
				_exit(121);
		}
		if (connect(fd, (struct sockaddr *)&ss, sizeof(ss)) < 0 && errno != EINPROGRESS)
			_exit(errno);
		struct pollfd p = {fd, POLLOUT, 0};
		if (poll(&p, 1, 400) <= 0)
			_exit(ETIMEDOUT);
		socklen_t len = sizeof(e);
		getsockopt(fd, SOL_SOCKET, SO_ERROR, &e, &len);
		_exit(e);
	}
	waitpid(pid, &status, 0);
	return WEXITSTATUS(status);
}

static struct om_b_nft row4(const char *lo, const char *hi, uint16_t port, uint8_t proto)
{
	struct om_b_nft r = {.port = port, .proto = proto};
	r.lo[10] = r.lo[11] = r.hi[10] = r.hi[11] = 0xff;
	inet_pton(AF_INET, lo, r.lo + 12);
	inet_pton(AF_INET, hi, r.hi + 12);
	return r;
}

static struct om_b_nft row6(const char *lo, const char *hi, uint16_t port)
{
	struct om_b_nft r = {.port = port, .proto = OM_PROTO_TCP, .v6 = 1};
	inet_pton(AF_INET6, lo, r.lo);
	inet_pton(AF_INET6, hi, r.hi);
	return r;
}

static void put(struct net *t, const struct live_brane *lb)
{
	uint8_t *data = NULL;
	size_t len = 0;
	struct om_bundle b;
	struct om_err err = {0};
	live_bundle(lb, &data, &len);
	assert_int_equal(om_bundle_open(data, len, &b, &err), 0);
	if (om_nft_put(t->n, "net", t->cgid, &b, &err) < 0)
		fail_msg("put: %s", err.text);
	free(data);
}

static struct live_brane brane(void)
{
	return (struct live_brane){.name = "net", .argv = {"/x"}, .layers = OM_LAYER_ALL};
}

/* 1: only what is named passes; the rest is dropped and counted. */
static void egress(void **state)
{
	struct net t;
	struct om_err err = {0};
	uint64_t drops = 0;
	(void)state;
	net_open(&t);
	struct live_brane b = brane();
	b.nft[0] = row4("127.0.0.2", "127.0.0.4", t.port, OM_PROTO_TCP);
	b.nft[1] = row6("::1", "::1", t.port);
	b.nft_count = 2;
	/* A brane nobody has entered yet: dropped by the parent's last rule. */
	assert_int_equal(connect_inside(&t, "127.0.0.2", t.port, 0), ETIMEDOUT);
	put(&t, &b);
	assert_int_equal(connect_inside(&t, "127.0.0.2", t.port, 0), 0);
	assert_int_equal(connect_inside(&t, "127.0.0.4", t.port, 0), 0);
	assert_int_equal(connect_inside(&t, "127.0.0.5", t.port, 0), ETIMEDOUT);
	assert_int_equal(connect_inside(&t, "127.0.0.1", t.port, 0), ETIMEDOUT);
	/* Another port of a granted address. */
	assert_int_equal(connect_inside(&t, "127.0.0.2", (uint16_t)(t.port + 1), 0), ETIMEDOUT);
	assert_int_equal(connect_inside(&t, "::1", t.port, 0), 0);
	assert_int_equal(connect_inside(&t, "::ffff:127.0.0.1", t.port, 0), ETIMEDOUT);
	assert_int_equal(connect_inside(&t, "::ffff:127.0.0.3", t.port, 0), 0);
	assert_int_equal(om_nft_drops(t.n, "net", &drops, &err), 0);
	assert_true(drops >= 4);
	assert_int_equal(om_nft_remove(t.n, "net", t.cgid, &err), 0);
	assert_int_equal(om_nft_remove(t.n, "net", t.cgid, &err), 0);
	assert_int_equal(connect_inside(&t, "127.0.0.2", t.port, 0), ETIMEDOUT);
	net_close(&t);
}

/* 2: processes outside of every brane are not touched. */
static void others(void **state)
{
	struct net t;
	(void)state;
	net_open(&t);
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(t.port)};
	inet_pton(AF_INET, "127.0.0.1", &a.sin_addr);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	close(fd);
	net_close(&t);
}

/* 3: what is not as it was put is found. */
static void verify(void **state)
{
	struct net t;
	struct om_err err = {0};
	uint8_t *data = NULL;
	size_t len = 0;
	struct om_bundle other;
	(void)state;
	net_open(&t);
	struct live_brane b = brane();
	b.nft[0] = row4("127.0.0.2", "127.0.0.2", 80, OM_PROTO_TCP);
	b.nft_count = 1;
	put(&t, &b);
	b.nft[0] = row4("127.0.0.2", "127.0.0.2", 81, OM_PROTO_TCP);
	live_bundle(&b, &data, &len);
	assert_int_equal(om_bundle_open(data, len, &other, &err), 0);
	assert_true(om_nft_verify(t.n, "net", t.cgid, &other, &err) < 0);
	assert_int_equal(err.id, OM_ERR_NFT_VERIFY);
	assert_true(om_nft_verify(t.n, "net", t.cgid + 1, &other, &err) < 0);
	assert_true(om_nft_verify(t.n, "absent", t.cgid, &other, &err) < 0);
	free(data);
	net_close(&t);
}

/* 4: replacing the sets is one step; nested and equal networks are united. */
static void replace(void **state)
{
	struct net t;
	(void)state;
	net_open(&t);
	struct live_brane b = brane();
	b.nft[0] = row4("127.0.0.0", "127.0.255.255", t.port, OM_PROTO_TCP);
	b.nft[1] = row4("127.0.0.0", "127.0.0.255", t.port, OM_PROTO_TCP);
	b.nft[2] = row4("127.0.0.0", "127.0.0.255", t.port, OM_PROTO_TCP);
	b.nft[3] = row4("127.0.0.0", "127.0.0.255", t.port, OM_PROTO_UDP);
	b.nft_count = 4;
	put(&t, &b);
	assert_int_equal(connect_inside(&t, "127.0.7.7", t.port, 0), 0);
	b.nft[0] = row4("127.0.9.9", "127.0.9.9", t.port, OM_PROTO_TCP);
	b.nft_count = 1;
	put(&t, &b);
	assert_int_equal(connect_inside(&t, "127.0.7.7", t.port, 0), ETIMEDOUT);
	assert_int_equal(connect_inside(&t, "127.0.9.9", t.port, 0), 0);
	b.nft_count = 0;
	put(&t, &b);
	assert_int_equal(connect_inside(&t, "127.0.9.9", t.port, 0), ETIMEDOUT);
	net_close(&t);
}

/* A port that nobody has at this moment. */
static uint16_t free_port(void)
{
	struct sockaddr_in a = {.sin_family = AF_INET};
	socklen_t len = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
	close(fd);
	return ntohs(a.sin_port);
}

/* 5: a port it may listen on answers, and is no way out. */
static void listening(void **state)
{
	struct net t;
	int ready[2];
	char c;
	(void)state;
	net_open(&t);
	struct live_brane b = brane();
	uint16_t port = free_port();
	b.listen[0] = (struct om_b_listen){.port = port, .proto = OM_PROTO_TCP};
	b.listen_count = 1;
	put(&t, &b);
	assert_int_equal(connect_inside(&t, "127.0.0.1", t.port, port), ETIMEDOUT);
	assert_int_equal(pipe(ready), 0);
	pid_t pid = fork();
	if (pid == 0) {
		struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};
		int on = 1;
		join(&t);
		int fd = socket(AF_INET, SOCK_STREAM, 0);
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
		if (bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0 || listen(fd, 1) < 0 ||
		    write(ready[1], "x", 1) != 1)
			_exit(1);
		int s = accept(fd, NULL, NULL);
		_exit(s >= 0 && write(s, "hello", 5) == 5 ? 0 : 1);
	}
	assert_int_equal(read(ready[0], &c, 1), 1);
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};
	inet_pton(AF_INET, "127.0.0.1", &a.sin_addr);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char buf[8];
	int status = 0;
	assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(read(fd, buf, sizeof(buf)), 5);
	waitpid(pid, &status, 0);
	assert_int_equal(status, 0);
	close(fd);
	close(ready[0]);
	close(ready[1]);
	net_close(&t);
}

/* 6: as many elements as one message does not hold. */
static void many(void **state)
{
	struct net t;
	struct om_err err = {0};
	struct om_bundle_w *w = NULL;
	static const uint8_t id[32] = {1};
	uint8_t *data = NULL;
	size_t len = 0;
	uint32_t off = 0;
	struct om_bundle b;
	(void)state;
	net_open(&t);
	assert_int_equal(om_bundle_w_new(&w, &err), 0);
	assert_int_equal(om_bundle_w_str(w, "net", &off, &err), 0);
	struct om_b_meta m = {.name = off, .layers = OM_LAYER_ALL};
	assert_int_equal(om_bundle_w_str(w, "/", &m.workdir, &err), 0);
	assert_int_equal(om_bundle_w_add(w, OM_SEC_META, &m, 1, &err), 0);
	struct om_b_grant g = {0};
	assert_int_equal(om_bundle_w_add(w, OM_SEC_GRANTS, &g, 1, &err), 0);
	for (int i = 0; i < 3000; i++) {
		char addr[32];
		(void)snprintf(addr, sizeof(addr), "127.%d.%d.9", 1 + i / 250, i % 250);
		struct om_b_nft r = row4(addr, addr, t.port, OM_PROTO_TCP);
		assert_int_equal(om_bundle_w_add(w, OM_SEC_NFT, &r, 1, &err), 0);
	}
	assert_int_equal(om_bundle_w_finish(w, id, &data, &len, &err), 0);
	om_bundle_w_free(w);
	if (om_bundle_open(data, len, &b, &err) < 0)
		fail_msg("%s", err.text);
	if (om_nft_put(t.n, "net", t.cgid, &b, &err) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(connect_inside(&t, "127.12.249.9", t.port, 0), 0);
	assert_int_equal(connect_inside(&t, "127.12.249.10", t.port, 0), ETIMEDOUT);
	free(data);
	net_close(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(egress),  cmocka_unit_test(others),	cmocka_unit_test(verify),
		cmocka_unit_test(replace), cmocka_unit_test(listening), cmocka_unit_test(many),
	};
	return cmocka_run_group_tests_name("nft", tests, NULL, NULL);
}
