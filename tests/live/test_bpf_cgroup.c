/*
 * The network layer by itself, on any kernel with cgroup BPF: sockets, addresses, ports, packets.
 *
 * Each case runs one operation in a child inside a brane and compares its errno and the events. No
 * BPF-LSM is loaded, so what is denied here is denied by the cgroup programs alone.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>
#include <cmocka.h>

#include <tests/util/brane.h>
#include <tests/util/netops.h>

static struct tb tb;
static uint16_t tcp_ok, tcp_no, udp_ok, udp_no, tcp6_ok;
static int udp_ok_fd;
static const uint16_t serve_ok = 48123, serve_no = 48124;

#define TCP4(a, p) \
	(&(struct netop){.family = AF_INET, .type = SOCK_STREAM, .addr = (a), .port = (p)})
#define TCP6(a, p) \
	(&(struct netop){.family = AF_INET6, .type = SOCK_STREAM, .addr = (a), .port = (p)})
#define UDP4(a, p) \
	(&(struct netop){.family = AF_INET, .type = SOCK_DGRAM, .addr = (a), .port = (p)})
#define UDP6(a, p) \
	(&(struct netop){.family = AF_INET6, .type = SOCK_DGRAM, .addr = (a), .port = (p)})

static void test_connect(void **state)
{
	assert_true(
		tb_expect(&tb, "granted", net_connect, TCP4("127.0.0.1", tcp_ok), 0, 0, 0, NULL));
	assert_true(tb_expect(&tb, "other port", net_connect, TCP4("127.0.0.1", tcp_no), EPERM, 1,
			      OM_OP_NET_CONNECT, "cgroup/connect4"));
	assert_int_equal(tb.events[0].head.where, OM_WHERE_CGROUP_BPF);
	assert_true(tb_expect(&tb, "other address", net_connect, TCP4("192.0.2.1", tcp_ok), EPERM,
			      1, OM_OP_NET_CONNECT, "cgroup/connect4"));
	assert_true(tb_expect(&tb, "network", net_connect, TCP4("127.7.7.7", tcp_ok), ECONNREFUSED,
			      0, 0, NULL));
	assert_true(tb_expect(&tb, "unspecified is loopback", net_connect, TCP4("0.0.0.0", tcp_ok),
			      0, 0, 0, NULL));
	assert_true(tb_expect(&tb, "unspecified, other port", net_connect, TCP4("0.0.0.0", tcp_no),
			      EPERM, 1, OM_OP_NET_CONNECT, "cgroup/connect4"));
}

static void test_connect6(void **state)
{
	assert_true(tb_expect(&tb, "granted", net_connect, TCP6("::1", tcp6_ok), 0, 0, 0, NULL));
	assert_true(tb_expect(&tb, "other port", net_connect, TCP6("::1", tcp_no), EPERM, 1,
			      OM_OP_NET_CONNECT, "cgroup/connect6"));
	assert_true(tb_expect(&tb, "mapped", net_connect, TCP6("::ffff:127.0.0.1", tcp_ok), 0, 0, 0,
			      NULL));
	assert_true(tb_expect(&tb, "mapped, other port", net_connect,
			      TCP6("::ffff:127.0.0.1", tcp_no), EPERM, 1, OM_OP_NET_CONNECT,
			      "cgroup/connect6"));
	assert_true(tb_expect(&tb, "unspecified", net_connect, TCP6("::", tcp6_ok), 0, 0, 0, NULL));
	assert_true(tb_expect(&tb, "mapped unspecified, other port", net_connect,
			      TCP6("::ffff:0.0.0.0", tcp_no), EPERM, 1, OM_OP_NET_CONNECT,
			      "cgroup/connect6"));
}

static void test_fastopen(void **state)
{
	assert_true(
		tb_expect(&tb, "granted", net_fastopen, TCP4("127.0.0.1", tcp_ok), 0, 0, 0, NULL));
	assert_true(tb_expect(&tb, "other port", net_fastopen, TCP4("127.0.0.1", tcp_no), EPERM, 1,
			      OM_OP_NET_CONNECT, "cgroup/connect4"));
}

static void test_udp(void **state)
{
	assert_true(
		tb_expect(&tb, "granted", net_sendto, UDP4("127.0.0.1", udp_ok), 0, 0, 0, NULL));
	assert_true(tb_expect(&tb, "other port", net_sendto, UDP4("127.0.0.1", udp_no), EPERM, 1,
			      OM_OP_NET_CONNECT, "cgroup/sendmsg4"));
	assert_true(tb_expect(&tb, "family 0", net_unspec, UDP4("127.0.0.1", udp_no), EPERM, 1,
			      OM_OP_NET_CONNECT, "cgroup/sendmsg4"));
	assert_true(tb_expect(&tb, "mapped", net_sendto, UDP6("::ffff:127.0.0.1", udp_no), EPERM, 1,
			      OM_OP_NET_CONNECT, "cgroup/sendmsg4"));
	assert_true(tb_expect(&tb, "v6", net_sendto, UDP6("::1", udp_no), EPERM, 1,
			      OM_OP_NET_CONNECT, "cgroup/sendmsg6"));
	/* TCP's grant is no grant for UDP. */
	assert_true(tb_expect(&tb, "other protocol", net_sendto, UDP4("127.0.0.1", tcp_ok), EPERM,
			      1, OM_OP_NET_CONNECT, "cgroup/sendmsg4"));
}

static void test_serve(void **state)
{
	assert_true(
		tb_expect(&tb, "granted", net_listen, TCP4("127.0.0.1", serve_ok), 0, 0, 0, NULL));
	assert_true(tb_expect(&tb, "other port", net_listen, TCP4("127.0.0.1", serve_no), EPERM, 1,
			      OM_OP_NET_LISTEN, "cgroup/bind4"));
	assert_true(tb_expect(&tb, "v6", net_bind, TCP6("::", serve_no), EPERM, 1, OM_OP_NET_LISTEN,
			      "cgroup/bind6"));
	assert_true(tb_expect(&tb, "client port", net_bind, TCP4("127.0.0.1", 0), 0, 0, 0, NULL));
	assert_true(tb_expect(&tb, "udp", net_bind, UDP4("127.0.0.1", serve_ok), EPERM, 1,
			      OM_OP_NET_LISTEN, "cgroup/bind4"));
}

static void test_types(void **state)
{
	struct netop op = {.family = AF_INET, .type = SOCK_RAW, .proto = 1};

	assert_true(tb_expect(&tb, "raw", net_socket, &op, EPERM, 1, OM_OP_NET_SOCKET,
			      "cgroup/sock_create"));
	op = (struct netop){.family = AF_INET6, .type = SOCK_RAW, .proto = 58};
	assert_true(tb_expect(&tb, "raw v6", net_socket, &op, EPERM, 1, OM_OP_NET_SOCKET,
			      "cgroup/sock_create"));
	op = (struct netop){.family = AF_INET, .type = SOCK_STREAM};
	assert_true(tb_expect(&tb, "tcp", net_socket, &op, 0, 0, 0, NULL));
}

static int open_device(void *path)
{
	return open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK) < 0 ? errno : 0;
}

static void test_device(void **state)
{
	char path[64];
	int made;

	assert_true(tb_expect(&tb, "null", open_device, (char[]){"/dev/null"}, 0, 0, 0, NULL));
	assert_true(
		tb_expect(&tb, "urandom", open_device, (char[]){"/dev/urandom"}, 0, 0, 0, NULL));
	snprintf(path, sizeof(path), "/dev/omt-%d", getpid());
	made = mknod(path, S_IFCHR | 0600, makedev(1, 11)); /* kmsg */
	if (made) {
		print_message("# skip: no device node can be made below /dev\n");
		skip();
	}
	made = tb_expect(&tb, "kmsg", open_device, path, EPERM, 1, OM_OP_DEVICE, "cgroup/dev");
	unlink(path);
	assert_true(made);
}

/* Sends on a socket that was connected while its port was granted: packets are the last lock. */
struct later {
	struct sockaddr_in peer;
	int go;
};

static int send_later(void *arg)
{
	const struct later *l = arg;
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), first;
	char c;

	if (fd < 0 || connect(fd, (const struct sockaddr *)&l->peer, sizeof(l->peer)))
		return 201;
	if (send(fd, "a", 1, 0) != 1)
		return 202;
	/* The parent takes the grant away meanwhile. */
	if (read(l->go, &c, 1) != 1)
		return 203;
	if (send(fd, "b", 1, 0) == 1)
		return 0;
	first = errno;
	return send(fd, "c", 1, 0) == 1 ? 0 : first;
}

static struct om_b_egress *egress_of(uint16_t port)
{
	for (uint32_t i = 0; i < tb.egress_n; i++)
		if (tb.egress[i].port == port)
			return &tb.egress[i];
	return NULL;
}

static void test_packets(void **state)
{
	struct om_stat before, after;
	struct later l = {.peer = {.sin_family = AF_INET, .sin_port = htons(udp_ok)}};
	int p[2], sent;
	pid_t pid;

	assert_int_equal(pipe(p), 0);
	l.peer.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	l.go = p[0];
	tb_stat(&tb, &before);
	while (recv(udp_ok_fd, &sent, 1, MSG_DONTWAIT) >= 0)
		;
	pid = tb_spawn(&tb, send_later, &l);
	/* Its first datagram arrives, so it is connected. */
	assert_int_equal(recv(udp_ok_fd, &sent, 1, 0), 1);
	egress_of(udp_ok)->port = 1;
	tb_publish(&tb, tb.slot.flags);
	assert_int_equal(write(p[1], "x", 1), 1);
	assert_int_equal(tb_wait(pid), EPERM);
	egress_of(1)->port = udp_ok;
	tb_publish(&tb, tb.slot.flags);
	tb_stat(&tb, &after);
	/* Both sends are counted; one event, one repeat of the same flow. */
	assert_int_equal(after.seq - before.seq, 2);
	assert_int_equal(after.events - before.events, 1);
	assert_int_equal(after.folded - before.folded, 1);
	assert_int_equal(after.lost, 0);
	close(p[0]);
	close(p[1]);
}

/*
 * Two peers whose flows had one hash before it was keyed: what the second sends is no repeat of the first's.
 * The receiver is a client, which nobody may write to.
 */
struct client {
	int port, go;
};

static int client_waits(void *arg)
{
	const struct client *cl = arg;
	int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct sockaddr_in6 a = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
	socklen_t len = sizeof(a);
	char c;

	if (fd < 0 || bind(fd, (struct sockaddr *)&a, len) ||
	    getsockname(fd, (struct sockaddr *)&a, &len))
		return 201;
	if (write(cl->port, &a.sin6_port, 2) != 2 || read(cl->go, &c, 1) != 1)
		return 202;
	return recv(fd, &c, 1, MSG_DONTWAIT) < 0 ? errno : 0;
}

static uint64_t old_mix(uint64_t h, uint64_t v)
{
	h = (h ^ v) * 0x9e3779b97f4a7c15ull;
	return h ^ h >> 29;
}

/* The three words that a UDP flow from A is told by. */
static void flow_words(const struct sockaddr_in6 *a, uint64_t w[static 3])
{
	struct om_event_net n = {
		.family = AF_INET6, .proto = IPPROTO_UDP, .port = ntohs(a->sin6_port)};

	memcpy(n.addr, &a->sin6_addr, 16);
	memcpy(w, &n, sizeof(n));
}

/* A, made to hash like B once did: its last eight bytes are free. */
static void twin_of(struct sockaddr_in6 *a, const struct sockaddr_in6 *b)
{
	uint64_t x[3], y[3];

	flow_words(a, x);
	flow_words(b, y);
	x[2] = old_mix(old_mix(2, x[0]), x[1]) ^ old_mix(old_mix(2, y[0]), y[1]) ^ y[2];
	memcpy((uint8_t *)&a->sin6_addr + 8, &x[2], 8);
}

static int send_from(struct sockaddr_in6 *from, in_port_t port)
{
	struct sockaddr_in6 to = {
		.sin6_family = AF_INET6, .sin6_port = port, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
	int one = 1, fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0), ret = 0;

	if (fd < 0 || setsockopt(fd, IPPROTO_IPV6, IPV6_FREEBIND, &one, sizeof(one)) ||
	    bind(fd, (struct sockaddr *)from, sizeof(*from)) ||
	    sendto(fd, "x", 1, 0, (struct sockaddr *)&to, sizeof(to)) != 1)
		ret = errno;
	close(fd);
	return ret;
}

static void test_flow_twins(void **state)
{
	struct sockaddr_in6 peer = {.sin6_family = AF_INET6,
				    .sin6_port = htons(40123),
				    .sin6_addr = IN6ADDR_LOOPBACK_INIT};
	struct sockaddr_in6 twin = {.sin6_family = AF_INET6, .sin6_port = htons(40124)};
	struct om_stat before, after;
	int up[2], down[2];
	in_port_t port;
	pid_t pid;

	assert_int_equal(inet_pton(AF_INET6, "2001:db8::", &twin.sin6_addr), 1);
	twin_of(&twin, &peer);
	assert_int_equal(pipe(up), 0);
	assert_int_equal(pipe(down), 0);
	pid = tb_spawn(&tb, client_waits, &((struct client){.port = up[1], .go = down[0]}));
	assert_int_equal(read(up[0], &port, 2), 2);
	(void)tb_events(&tb);
	tb_stat(&tb, &before);
	assert_int_equal(send_from(&twin, port), 0);
	assert_int_equal(send_from(&peer, port), 0);
	assert_int_equal(send_from(&peer, port), 0);
	assert_int_equal(write(down[1], "x", 1), 1);
	assert_int_equal(tb_wait(pid), EAGAIN);
	tb_stat(&tb, &after);
	assert_int_equal(after.seq - before.seq, 3);
	assert_int_equal(after.events - before.events, 2);
	assert_int_equal(after.folded - before.folded, 1);
	for (int i = 0; i < 2; i++) {
		close(up[i]);
		close(down[i]);
	}
}

static void test_audit(void **state)
{
	tb_publish(&tb, OM_SLOT_NETWORK | OM_SLOT_AUDIT);
	assert_true(tb_expect(&tb, "audit", net_socket,
			      &((struct netop){.family = AF_INET, .type = SOCK_RAW, .proto = 1}), 0,
			      1, OM_OP_NET_SOCKET, "cgroup/sock_create"));
	assert_true(tb.events[0].head.flags & OM_EVENT_ALLOWED);
	tb_publish(&tb, OM_SLOT_NETWORK | OM_SLOT_DENY_ALL);
	assert_true(tb_expect(&tb, "deny all", net_socket, TCP4(NULL, 0), EPERM, 1,
			      OM_OP_NET_SOCKET, "cgroup/sock_create"));
	tb_publish(&tb, OM_SLOT_NETWORK);
}

static void test_outside(void **state)
{
	/* This process is in no brane: everything works, nothing is recorded. */
	(void)tb_events(&tb);
	assert_int_equal(net_connect(TCP4("127.0.0.1", tcp_no)), 0);
	assert_int_equal(
		net_socket(&((struct netop){.family = AF_INET, .type = SOCK_RAW, .proto = 1})), 0);
	assert_int_equal(tb_events(&tb), 0);
}

/* The key that repeats are told apart by: it is set, and nobody can set another. */
static void read_hash_key(struct om_hash_key *key)
{
	const struct om_hash_key other = {{1, 2}};
	const uint32_t zero = 0;
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "%s/v%d/om_hash_key", tb.bpffs, OM_ABI_VERSION);
	fd = tb_map(path);
	assert_int_equal(tb_map_get(fd, &zero, key), 0);
	assert_true(key->k[0] && key->k[1]);
	assert_int_not_equal(tb_map_put(fd, &zero, &other), 0);
	close(fd);
}

static void test_hash_key(void **state)
{
	struct om_bpf_opts opts = {.bpffs = tb.bpffs,
				   .parent_fd = tb.parent_fd,
				   .cgroup_level = 2,
				   .parent_cgid = tb.parent_cgid,
				   .layers = OM_LAYER_NETWORK};
	struct om_hash_key key, again;
	struct om_bpf *b = NULL;
	struct om_err err;
	char path[128];
	uint32_t got;

	read_hash_key(&key);
	assert_int_equal(om_bpf_open(&opts, &b, &got, &err), 0);
	om_bpf_free(b);
	read_hash_key(&again);
	assert_memory_equal(&key, &again, sizeof(key));
	/* Another build takes over and keeps it; pins of a build that had none get one. */
	snprintf(path, sizeof(path), "%s/v%d/om_build", tb.bpffs, OM_ABI_VERSION);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(om_bpf_open(&opts, &b, &got, &err), 0);
	om_bpf_free(b);
	read_hash_key(&again);
	assert_memory_equal(&key, &again, sizeof(key));
	assert_int_equal(unlink(path), 0);
	snprintf(path, sizeof(path), "%s/v%d/om_hash_key", tb.bpffs, OM_ABI_VERSION);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(om_bpf_open(&opts, &b, &got, &err), 0);
	om_bpf_free(b);
	read_hash_key(&again);
	assert_memory_not_equal(&key, &again, sizeof(key));
}

static void test_adopt(void **state)
{
	struct om_bpf_opts opts = {.bpffs = tb.bpffs,
				   .parent_fd = tb.parent_fd,
				   .cgroup_level = 2,
				   .parent_cgid = tb.parent_cgid,
				   .layers = OM_LAYER_NETWORK};
	struct om_bpf *b = NULL;
	struct om_slot slot;
	struct om_err err;
	char path[128];
	uint32_t got;

	assert_int_equal(om_bpf_open(&opts, &b, &got, &err), 0);
	assert_int_equal(got, OM_LAYER_NETWORK);
	assert_int_equal(om_bpf_brane_get(b, tb.slot.brane, &slot, &err), 0);
	assert_memory_equal(&slot, &tb.slot, sizeof(slot));
	assert_int_equal(om_bpf_policy_verify(b, slot.policy, &tb.bundle, NULL, 0, &err), 0);
	om_bpf_free(b);
	/* Another parent's pins are not ours. */
	opts.parent_cgid++;
	assert_true(om_bpf_open(&opts, &b, &got, &err) < 0);
	assert_int_equal(err.id, OM_ERR_BPF_PIN);
	opts.parent_cgid--;
	/* Half a set is refused, and left alone. */
	snprintf(path, sizeof(path), "%s/v%d/om_bind6", tb.bpffs, OM_ABI_VERSION);
	assert_int_equal(unlink(path), 0);
	assert_true(om_bpf_open(&opts, &b, &got, &err) < 0);
	assert_int_equal(err.id, OM_ERR_BPF_PIN);
	snprintf(path, sizeof(path), "%s/v%d/om_connect4", tb.bpffs, OM_ABI_VERSION);
	assert_int_equal(access(path, F_OK), 0);
}

static void test_verify(void **state)
{
	struct om_egress_key key = {
		.prefixlen = 64 + 128, .policy = tb.slot.policy, .port = 9, .proto = 6};
	struct om_err err;
	uint32_t grant = 1;
	char path[128];
	int fd;

	assert_int_equal(om_bpf_policy_verify(tb.bpf, tb.slot.policy, &tb.bundle, NULL, 0, &err),
			 0);
	snprintf(path, sizeof(path), "%s/v%d/om_egress", tb.bpffs, OM_ABI_VERSION);
	fd = tb_map(path);
	assert_int_equal(tb_map_put(fd, &key, &grant), 0);
	assert_true(om_bpf_policy_verify(tb.bpf, tb.slot.policy, &tb.bundle, NULL, 0, &err) < 0);
	assert_int_equal(err.id, OM_ERR_BPF_VERIFY);
	assert_int_equal(tb_map_drop(fd, &key), 0);
	assert_int_equal(om_bpf_policy_verify(tb.bpf, tb.slot.policy, &tb.bundle, NULL, 0, &err),
			 0);
	close(fd);
}

/* A policy that was filled and never published, or replaced and never cleared up, goes; a live one stays. */
static void test_sweep(void **state)
{
	struct om_err err = {0};
	uint32_t dead;

	assert_int_equal(om_bpf_policy_new(tb.bpf, NULL, 0, &dead, &err), 0);
	assert_int_equal(om_bpf_policy_fill(tb.bpf, dead, &tb.bundle, NULL, 0, &err), 0);
	assert_int_equal(om_bpf_policy_verify(tb.bpf, dead, &tb.bundle, NULL, 0, &err), 0);
	assert_int_equal(om_bpf_policy_sweep(tb.bpf, &err), 0);
	assert_true(om_bpf_policy_verify(tb.bpf, dead, &tb.bundle, NULL, 0, &err) < 0);
	assert_int_equal(om_bpf_policy_fill(tb.bpf, dead, &tb.bundle, NULL, 0, &err), 0);
	assert_int_equal(om_bpf_policy_drop(tb.bpf, dead, &err), 0);
	assert_int_equal(om_bpf_policy_verify(tb.bpf, tb.slot.policy, &tb.bundle, NULL, 0, &err),
			 0);
}

static int setup(void **state)
{
	struct om_err err = {0};
	int ret = tb_open(&tb, OM_LAYER_NETWORK, &err);

	if (ret) {
		print_message("# skip: no cgroup BPF here: %s\n", err.text);
		return ret;
	}
	assert_true(net_server(AF_INET, SOCK_STREAM, &tcp_ok) >= 0);
	assert_true(net_server(AF_INET, SOCK_STREAM, &tcp_no) >= 0);
	udp_ok_fd = net_server(AF_INET, SOCK_DGRAM, &udp_ok);
	assert_true(udp_ok_fd >= 0);
	assert_true(net_server(AF_INET, SOCK_DGRAM, &udp_no) >= 0);
	assert_true(net_server(AF_INET6, SOCK_STREAM, &tcp6_ok) >= 0);
	/* Sorted, as a bundle's are. */
	tb_egress(&tb, "::1", 128, OM_PROTO_TCP, tcp6_ok);
	tb_egress(&tb, "127.0.0.1", 32, OM_PROTO_UDP, udp_ok);
	tb_egress(&tb, "127.0.0.0", 8, OM_PROTO_TCP, tcp_ok);
	tb_listen(&tb, OM_PROTO_TCP, serve_ok);
	tb_publish(&tb, OM_SLOT_NETWORK);
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
		cmocka_unit_test(test_connect),	   cmocka_unit_test(test_connect6),
		cmocka_unit_test(test_fastopen),   cmocka_unit_test(test_udp),
		cmocka_unit_test(test_serve),	   cmocka_unit_test(test_types),
		cmocka_unit_test(test_device),	   cmocka_unit_test(test_packets),
		cmocka_unit_test(test_flow_twins), cmocka_unit_test(test_audit),
		cmocka_unit_test(test_outside),	   cmocka_unit_test(test_verify),
		cmocka_unit_test(test_sweep),	   cmocka_unit_test(test_hash_key),
		cmocka_unit_test(test_adopt),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
