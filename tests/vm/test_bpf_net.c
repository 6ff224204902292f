/*
 * Sockets under BPF-LSM: addresses, ports, families, unix peers, descriptors from outside.
 *
 * Both layers are on, as in a real brane: the LSM answers first, so each denial must be recorded once
 * and by it. Techniques that pass connect gates (Fast Open, unconnected UDP, handed-in sockets) are here.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include <tests/util/brane.h>
#include <tests/util/netops.h>

static struct tb tb;
static uint16_t tcp_ok, tcp_no, udp_ok, udp_no;
static const uint16_t serve_ok = 48125, serve_no = 48126;
/* Before 6.5, splice reaches a socket without passing socket_sendmsg. */
static const char *splice_hook;

#define TCP4(a, p) \
	(&(struct netop){.family = AF_INET, .type = SOCK_STREAM, .addr = (a), .port = (p)})
#define TCP6(a, p) \
	(&(struct netop){.family = AF_INET6, .type = SOCK_STREAM, .addr = (a), .port = (p)})
#define UDP4(a, p) \
	(&(struct netop){.family = AF_INET, .type = SOCK_DGRAM, .addr = (a), .port = (p)})
#define UDP6(a, p) \
	(&(struct netop){.family = AF_INET6, .type = SOCK_DGRAM, .addr = (a), .port = (p)})
#define SOCK(f, t, p) (&(struct netop){.family = (f), .type = (t), .proto = (p)})

static void test_connect(void **state)
{
	assert_true(
		tb_expect(&tb, "granted", net_connect, TCP4("127.0.0.1", tcp_ok), 0, 0, 0, NULL));
	assert_true(tb_expect(&tb, "other port", net_connect, TCP4("127.0.0.1", tcp_no), EPERM, 1,
			      OM_OP_NET_CONNECT, "socket_connect"));
	assert_true(tb_expect(&tb, "mapped", net_connect, TCP6("::ffff:127.0.0.1", tcp_ok), 0, 0, 0,
			      NULL));
	assert_true(tb_expect(&tb, "mapped, other port", net_connect,
			      TCP6("::ffff:127.0.0.1", tcp_no), EPERM, 1, OM_OP_NET_CONNECT,
			      "socket_connect"));
	assert_true(tb_expect(&tb, "unspecified", net_connect, TCP4("0.0.0.0", tcp_no), EPERM, 1,
			      OM_OP_NET_CONNECT, "socket_connect"));
	assert_true(tb_expect(&tb, "fast open", net_fastopen, TCP4("127.0.0.1", tcp_no), EPERM, 1,
			      OM_OP_NET_CONNECT, "socket_sendmsg"));
	assert_true(tb_expect(&tb, "fast open granted", net_fastopen, TCP4("127.0.0.1", tcp_ok), 0,
			      0, 0, NULL));
}

static void test_udp(void **state)
{
	assert_true(
		tb_expect(&tb, "granted", net_sendto, UDP4("127.0.0.1", udp_ok), 0, 0, 0, NULL));
	assert_true(tb_expect(&tb, "other port", net_sendto, UDP4("127.0.0.1", udp_no), EPERM, 1,
			      OM_OP_NET_CONNECT, "socket_sendmsg"));
	assert_true(tb_expect(&tb, "family 0", net_unspec, UDP4("127.0.0.1", udp_no), EPERM, 1,
			      OM_OP_NET_CONNECT, "socket_sendmsg"));
	assert_true(tb_expect(&tb, "mapped", net_sendto, UDP6("::ffff:127.0.0.1", udp_no), EPERM, 1,
			      OM_OP_NET_CONNECT, "socket_sendmsg"));
	assert_true(tb_expect(&tb, "v4 on a v6 socket", net_sendto, UDP6("127.0.0.1", udp_no),
			      EPERM, 1, OM_OP_NET_CONNECT, "socket_sendmsg"));
}

static void test_serve(void **state)
{
	assert_true(
		tb_expect(&tb, "granted", net_listen, TCP4("127.0.0.1", serve_ok), 0, 0, 0, NULL));
	assert_true(tb_expect(&tb, "bind", net_bind, TCP4("127.0.0.1", serve_no), EPERM, 1,
			      OM_OP_NET_LISTEN, "socket_bind"));
	assert_true(tb_expect(&tb, "no bind", net_listen, SOCK(AF_INET, SOCK_STREAM, 0), EPERM, 1,
			      OM_OP_NET_LISTEN, "socket_listen"));
	assert_true(tb_expect(&tb, "port 0", net_listen, TCP4("127.0.0.1", 0), EPERM, 1,
			      OM_OP_NET_LISTEN, "socket_listen"));
}

static void test_families(void **state)
{
	static const int refused[][3] = {{AF_INET, SOCK_RAW, 1},      {AF_INET, SOCK_DGRAM, 1},
					 {AF_INET, SOCK_STREAM, 262}, {AF_INET, SOCK_DGRAM, 136},
					 {AF_NETLINK, SOCK_RAW, 0},   {AF_PACKET, SOCK_RAW, 768},
					 {AF_VSOCK, SOCK_STREAM, 0},  {38, SOCK_SEQPACKET, 0},
					 {44, SOCK_RAW, 0},	      {AF_INET, SOCK_STREAM, 132}};

	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
		assert_true(tb_expect(&tb, "family", net_socket,
				      SOCK(refused[i][0], refused[i][1], refused[i][2]), EPERM, 1,
				      OM_OP_NET_SOCKET, "socket_create"));
	assert_true(
		tb_expect(&tb, "unix", net_socket, SOCK(AF_UNIX, SOCK_DGRAM, 0), 0, 0, 0, NULL));
}

static int set_mark(void *arg)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), one = 1;

	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)))
		return 200;
	return setsockopt(fd, SOL_SOCKET, SO_MARK, &one, sizeof(one)) ? errno : 0;
}

static void test_options(void **state)
{
	assert_true(tb_expect(&tb, "SO_MARK", set_mark, NULL, EPERM, 1, OM_OP_NET_SOCKET,
			      "socket_setsockopt"));
}

/* --- unix --- */

static socklen_t unix_addr(struct sockaddr_un *un, const char *name)
{
	memset(un, 0, sizeof(*un));
	un->sun_family = AF_UNIX;
	memcpy(un->sun_path + (*name == '@'), name + (*name == '@'), strlen(name) - (*name == '@'));
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name));
}

static int unix_server(const char *name, int type)
{
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
	struct sockaddr_un un;
	socklen_t len = unix_addr(&un, name);

	if (fd < 0 || bind(fd, (struct sockaddr *)&un, len) ||
	    (type == SOCK_STREAM && listen(fd, 8)))
		return -1;
	return fd;
}

static int unix_connect(void *name)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_un un;
	socklen_t len = unix_addr(&un, name);

	return connect(fd, (struct sockaddr *)&un, len) ? errno : 0;
}

static int unix_sendto(void *name)
{
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct sockaddr_un un;
	socklen_t len = unix_addr(&un, name);

	return sendto(fd, "x", 1, 0, (struct sockaddr *)&un, len) == 1 ? 0 : errno;
}

static int unix_within(void *arg)
{
	int fd = unix_server("@omt-inside", SOCK_STREAM);

	if (fd < 0)
		return errno;
	return unix_connect((char[]){"@omt-inside"});
}

/* The kernel chooses the name: nobody outside looks for it. */
static int unix_autobind(void *arg)
{
	sa_family_t family = AF_UNIX;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	return bind(fd, (struct sockaddr *)&family, sizeof(family)) ? errno : 0;
}

static void test_unix(void **state)
{
	char granted[96], other[96];
	int fds[4];

	snprintf(granted, sizeof(granted), "%s/w/sock", tb.dir);
	snprintf(other, sizeof(other), "%s/r/sock", tb.dir);
	fds[0] = unix_server("@omt-outside", SOCK_STREAM);
	fds[1] = unix_server(granted, SOCK_STREAM);
	fds[2] = unix_server(other, SOCK_STREAM);
	fds[3] = unix_server("@omt-dgram", SOCK_DGRAM);
	for (int i = 0; i < 4; i++)
		assert_true(fds[i] >= 0);
	assert_true(tb_expect(&tb, "abstract", unix_connect, (char[]){"@omt-outside"}, EPERM, 1,
			      OM_OP_NET_UNIX, "unix_stream_connect"));
	assert_true(tb_expect(&tb, "abstract dgram", unix_sendto, (char[]){"@omt-dgram"}, EPERM, 1,
			      OM_OP_NET_UNIX, "unix_may_send"));
	assert_true(tb_expect(&tb, "read-only path", unix_connect, other, EPERM, 1, OM_OP_NET_UNIX,
			      "unix_stream_connect"));
	assert_string_equal(tb_event_path(&tb.events[0]), other);
	assert_true(tb_expect(&tb, "granted path", unix_connect, granted, 0, 0, 0, NULL));
	assert_true(tb_expect(&tb, "a name of the host's", unix_within, NULL, EPERM, 1,
			      OM_OP_NET_UNIX, "socket_bind"));
	assert_true(tb_expect(&tb, "no name", unix_autobind, NULL, 0, 0, 0, NULL));
	tb_publish(&tb, OM_SLOT_KERNEL | OM_SLOT_NETWORK | OM_SLOT_OWN_NET);
	assert_true(tb_expect(&tb, "within", unix_within, NULL, 0, 0, 0, NULL));
	tb_publish(&tb, OM_SLOT_KERNEL | OM_SLOT_NETWORK);
	for (int i = 0; i < 4; i++)
		close(fds[i]);
}

/* --- descriptors from outside --- */

static void send_fd(int sock, int fd)
{
	char buf[CMSG_SPACE(sizeof(int))] = {0}, c = 0;
	struct iovec iov = {&c, 1};
	struct msghdr m = {.msg_iov = &iov,
			   .msg_iovlen = 1,
			   .msg_control = buf,
			   .msg_controllen = sizeof(buf)};
	struct cmsghdr *cm = CMSG_FIRSTHDR(&m);

	cm->cmsg_level = SOL_SOCKET;
	cm->cmsg_type = SCM_RIGHTS;
	cm->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(cm), &fd, sizeof(fd));
	assert_int_equal(sendmsg(sock, &m, 0), 1);
}

/* 0 and *FD, or the errno that stands for "no descriptor came". */
static int take_fd(int sock, int *fd)
{
	char buf[CMSG_SPACE(sizeof(int))] = {0}, c;
	struct iovec iov = {&c, 1};
	struct msghdr m = {.msg_iov = &iov,
			   .msg_iovlen = 1,
			   .msg_control = buf,
			   .msg_controllen = sizeof(buf)};
	struct cmsghdr *cm;

	if (recvmsg(sock, &m, MSG_CMSG_CLOEXEC) < 0)
		return errno;
	cm = CMSG_FIRSTHDR(&m);
	if (!cm || cm->cmsg_len < CMSG_LEN(sizeof(int)))
		return ENOENT;
	memcpy(fd, CMSG_DATA(cm), sizeof(*fd));
	return 0;
}

static int pair[2];

static int receive_only(void *arg)
{
	int fd;

	return take_fd(pair[1], &fd);
}

static int receive_and_send(void *arg)
{
	int fd, ret = take_fd(pair[1], &fd);

	if (ret)
		return 200;
	return send(fd, "x", 1, MSG_NOSIGNAL) == 1 ? 0 : errno;
}

static int receive_and_splice(void *arg)
{
	int fd, ret = take_fd(pair[1], &fd), file;

	if (ret)
		return 200;
	file = open(arg, O_RDONLY | O_CLOEXEC);
	if (file < 0)
		return 201;
	return sendfile(fd, file, NULL, 1) < 0 ? errno : 0;
}

static int connect_to(uint16_t port)
{
	struct sockaddr_in in = {.sin_family = AF_INET,
				 .sin_port = htons(port),
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(connect(fd, (struct sockaddr *)&in, sizeof(in)), 0);
	return fd;
}

static void test_passed(void **state)
{
	char path[96];
	int no = connect_to(tcp_no), ok = connect_to(tcp_ok), file;

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
	snprintf(path, sizeof(path), "%s/secret", tb.dir);
	file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_true(file >= 0);
	send_fd(pair[0], file);
	/* The kernel delivers the message and drops the descriptor. */
	assert_true(tb_expect(&tb, "file", receive_only, NULL, ENOENT, 1, OM_OP_FILE_WRITE,
			      "file_receive"));
	send_fd(pair[0], no);
	assert_true(tb_expect(&tb, "socket", receive_and_send, NULL, EPERM, 1, OM_OP_NET_CONNECT,
			      "socket_sendmsg"));
	send_fd(pair[0], ok);
	assert_true(tb_expect(&tb, "granted socket", receive_and_send, NULL, 0, 0, 0, NULL));
	snprintf(path, sizeof(path), "%s/r/file", tb.dir);
	file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(write(file, "x", 1), 1);
	send_fd(pair[0], no);
	assert_true(tb_expect(&tb, "splice", receive_and_splice, path, EPERM, 1, OM_OP_NET_CONNECT,
			      splice_hook));
	send_fd(pair[0], eventfd(0, EFD_CLOEXEC));
	assert_true(tb_expect(&tb, "eventfd", receive_only, NULL, 0, 0, 0, NULL));
}

static int setup(void **state)
{
	struct om_err err = {0};
	char cmd[256];
	int ret = tb_open(&tb, OM_LAYER_KERNEL | OM_LAYER_NETWORK, &err);

	if (ret || !(tb.got & OM_LAYER_KERNEL)) {
		print_message("# skip: no BPF-LSM here: %s\n", err.text);
		return ret ? ret : -1;
	}
	snprintf(cmd, sizeof(cmd), "%s/v%d/om_file_permission", tb.bpffs, OM_ABI_VERSION);
	splice_hook = access(cmd, F_OK) ? "socket_sendmsg" : "file_permission";
	snprintf(cmd, sizeof(cmd), "mkdir -p %s/w %s/r", tb.dir, tb.dir);
	assert_int_equal(system(cmd), 0);
	assert_true(net_server(AF_INET, SOCK_STREAM, &tcp_ok) >= 0);
	assert_true(net_server(AF_INET, SOCK_STREAM, &tcp_no) >= 0);
	assert_true(net_server(AF_INET, SOCK_DGRAM, &udp_ok) >= 0);
	assert_true(net_server(AF_INET, SOCK_DGRAM, &udp_no) >= 0);
	tb_egress(&tb, "127.0.0.1", 32, OM_PROTO_TCP, tcp_ok);
	tb_egress(&tb, "127.0.0.1", 32, OM_PROTO_UDP, udp_ok);
	tb_listen(&tb, OM_PROTO_TCP, serve_ok);
	snprintf(cmd, sizeof(cmd), "%s/w", tb.dir);
	tb_grant(&tb, cmd, OM_MAY_READ | OM_MAY_WRITE, OM_MAY_READ | OM_MAY_WRITE);
	snprintf(cmd, sizeof(cmd), "%s/r", tb.dir);
	tb_grant(&tb, cmd, OM_MAY_READ, OM_MAY_READ);
	tb_grant(&tb, "/proc", OM_MAY_READ, OM_MAY_READ);
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
		cmocka_unit_test(test_connect), cmocka_unit_test(test_udp),
		cmocka_unit_test(test_serve),	cmocka_unit_test(test_families),
		cmocka_unit_test(test_options), cmocka_unit_test(test_unix),
		cmocka_unit_test(test_passed),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
