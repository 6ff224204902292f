/*
 * Programs of another build are replaced under a running brane, and no denial is missed meanwhile.
 *
 * Comes in: nothing; root, a kernel with BPF-LSM. Goes out: TAP. Called by: make check, in the VM. The pins
 * are told to be of another build, which makes the next opener replace every program while a child in the
 * brane tries what it may not, as fast as it can. Every try must fail, and every failure have its number:
 * also when the opener is killed somewhere in the middle.
 *
 * All of it runs on one processor, the child preempted at any point: with two, QEMU 7.2 without KVM was seen
 * to stop the guest once ("Oops: int3" at the entry of do_filp_open, while its programs were replaced), which
 * is taken for the emulator's handling of code that another processor patches. What two processors do at
 * once is not tried here.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include <loader/bpf_priv.h>
#include <tests/util/brane.h>

#define KILLS 2

struct hammer {
	volatile int stop;
	volatile unsigned long tries, through;
};

static struct tb tb;
static struct hammer *hammer;
static int no_lsm;

static int try_open(void)
{
	int fd = open(tb.secret, O_RDONLY | O_CLOEXEC);

	if (fd >= 0)
		close(fd);
	return fd < 0 ? errno : 0;
}

static int try_connect(void)
{
	struct sockaddr_in to = {.sin_family = AF_INET,
				 .sin_port = htons(9),
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), ret;

	ret = connect(fd, (struct sockaddr *)&to, sizeof(to)) ? errno : 0;
	close(fd);
	return ret;
}

/* The opener shares the processor. */
static void breathe(void)
{
	if (hammer->tries % 32 == 0)
		usleep(1000);
}

static int hammer_open(void *arg)
{
	while (!hammer->stop) {
		hammer->tries++;
		hammer->through += try_open() != EACCES;
		breathe();
	}
	return 0;
}

static int hammer_connect(void *arg)
{
	while (!hammer->stop) {
		hammer->tries++;
		hammer->through += try_connect() != EPERM;
		breathe();
	}
	return 0;
}

/* The id of the pinned link NAME, and of its program. */
static void ids(const char *name, uint32_t *link, uint32_t *prog)
{
	struct bpf_link_info info = {0};
	uint32_t len = sizeof(info);
	char path[160];
	int fd;

	snprintf(path, sizeof(path), "%s/" OM_PIN_DIR "/%s", tb.bpffs, name);
	fd = bpf_obj_get(path);
	assert_true(fd >= 0);
	assert_int_equal(bpf_obj_get_info_by_fd(fd, &info, &len), 0);
	*link = info.id;
	*prog = info.prog_id;
	close(fd);
}

static void other_build(void)
{
	const uint32_t zero = 0;
	uint8_t other[32] = {1};
	char path[160];
	int fd;

	snprintf(path, sizeof(path), "%s/" OM_PIN_DIR "/om_build", tb.bpffs);
	fd = bpf_obj_get(path);
	assert_true(fd >= 0);
	assert_int_equal(bpf_map_update_elem(fd, &zero, other, BPF_ANY), 0);
	close(fd);
}

static int reopen(struct om_bpf **b)
{
	struct om_bpf_opts opts = {.bpffs = tb.bpffs,
				   .parent_fd = tb.parent_fd,
				   .cgroup_level = 2,
				   .parent_cgid = tb.parent_cgid,
				   .layers = OM_LAYER_KERNEL | OM_LAYER_NETWORK};
	struct om_err err = {0};
	uint32_t got;
	int ret = om_bpf_open(&opts, b, &got, &err);

	if (ret)
		printf("# open: %s\n", err.text);
	return ret;
}

/* An opener that is killed a random while after it began. */
static void cut_short(void)
{
	int status;
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (!pid) {
		struct om_bpf *b = NULL;

		_exit(reopen(&b) ? 1 : 0);
	}
	usleep((useconds_t)(random() % 6000000));
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
}

static void upgrade(int (*work)(void *arg), uint32_t flags, const char *name, int kills)
{
	uint32_t link, prog, link2, prog2;
	struct om_stat before, after;
	pid_t pid;

	tb_publish(&tb, flags);
	(void)tb_events(&tb);
	tb_stat(&tb, &before);
	memset(hammer, 0, sizeof(*hammer));
	ids(name, &link, &prog);
	pid = tb_spawn(&tb, work, NULL);
	while (hammer->tries < 10)
		usleep(1000);
	om_bpf_free(tb.bpf);
	tb.bpf = NULL;
	for (int i = 0; i < kills; i++) {
		other_build();
		cut_short();
	}
	other_build();
	assert_int_equal(reopen(&tb.bpf), 0);
	hammer->stop = 1;
	assert_int_equal(tb_wait(pid), 0);
	ids(name, &link2, &prog2);
	printf("# %s: %lu tries; the link was %s\n", name, hammer->tries,
	       link == link2 ? "updated in place" : "attached anew, then the old one dropped");
	assert_int_not_equal(prog, prog2);
	assert_int_equal(hammer->through, 0);
	tb_stat(&tb, &after);
	/* Each denial has one number, whichever program gave it. */
	assert_int_equal(after.seq - before.seq, hammer->tries);
	assert_int_equal(after.events - before.events + after.folded - before.folded,
			 hammer->tries);
	assert_int_equal(after.lost, before.lost);
}

static void test_lsm(void **state)
{
	if (no_lsm) {
		printf("# skip: this kernel cannot load BPF-LSM programs\n");
		skip();
	}
	upgrade(hammer_open, OM_SLOT_KERNEL, "om_file_open", 0);
}

static void test_lsm_killed(void **state)
{
	if (no_lsm) {
		printf("# skip: this kernel cannot load BPF-LSM programs\n");
		skip();
	}
	upgrade(hammer_open, OM_SLOT_KERNEL, "om_file_open", KILLS);
}

static void test_cgroup(void **state)
{
	upgrade(hammer_connect, OM_SLOT_NETWORK, "om_connect4", 0);
}

/* The same build again changes nothing. */
static void test_same(void **state)
{
	const char *name = no_lsm ? "om_connect4" : "om_file_open";
	uint32_t link, prog, link2, prog2;

	ids(name, &link, &prog);
	om_bpf_free(tb.bpf);
	tb.bpf = NULL;
	assert_int_equal(reopen(&tb.bpf), 0);
	ids(name, &link2, &prog2);
	assert_int_equal(link, link2);
	assert_int_equal(prog, prog2);
}

static int setup(void **state)
{
	struct om_err err = {0};

	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET(0, &one);
	if (sched_setaffinity(0, sizeof(one), &one))
		return -1;
	srandom((unsigned int)getpid());
	hammer = mmap(NULL, sizeof(*hammer), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	if (hammer == MAP_FAILED)
		return -1;
	if (geteuid() || tb_open(&tb, OM_LAYER_KERNEL | OM_LAYER_NETWORK, &err)) {
		printf("# setup: %s\n", err.text);
		return -1;
	}
	no_lsm = !(tb.got & OM_LAYER_KERNEL);
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
		cmocka_unit_test(test_lsm),
		cmocka_unit_test(test_lsm_killed),
		cmocka_unit_test(test_cgroup),
		cmocka_unit_test(test_same),
	};

	return cmocka_run_group_tests_name("upgrade", tests, setup, teardown);
}
