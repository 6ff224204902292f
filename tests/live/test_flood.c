/*
 * 64 tasks, one denial after the other, as fast as the machine goes: no verdict is wrong, no denial is
 * missing. Every attempt is a record in the ring or one more in a counter, exactly once.
 *
 * The cgroup programs, natively: connect() to an address that no grant names. OMEGA_FLOOD=10000000 makes
 * it the long one; the rate is printed and never asserted.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#include <tests/util/brane.h>

static struct tb tb;

/* A refused connect leaves the socket as it was: one is enough. */
static uint64_t connects(uint64_t n, void *arg)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(9)};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	uint64_t wrong = 0;

	if (fd < 0)
		return n;
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	for (uint64_t i = 0; i < n; i++)
		wrong += !connect(fd, (const struct sockaddr *)&to, sizeof(to)) || errno != EPERM;
	close(fd);
	return wrong;
}

static void flood(int drain)
{
	struct flood f = {.work = connects,
			  .total = flood_total(500000),
			  .drain = drain,
			  .op = OM_OP_NET_CONNECT};

	flood_run(&tb, &f);
	assert_true(flood_adds_up(&f));
	/* What the reader got room for is what the ring had, no less than once full. */
	assert_true(f.records > 0);
}

static void test_unread(void **state)
{
	flood(0);
}

static void test_read_meanwhile(void **state)
{
	flood(1);
}

static int setup(void **state)
{
	struct om_err err = {0};
	int ret = tb_open(&tb, OM_LAYER_NETWORK, &err);

	if (ret) {
		print_message("# skip: no cgroup BPF here: %s\n", err.text);
		return ret;
	}
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
		cmocka_unit_test(test_unread),
		cmocka_unit_test(test_read_meanwhile),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
