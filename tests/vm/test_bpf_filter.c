/*
 * om_filter, which says where om_objects need not be asked: it counts every entry, and a lie in it denies.
 *
 * Comes in: nothing; root, a kernel with BPF-LSM. Goes out: TAP. Called by: make check, in the VM. Counters
 * are set to zero behind the loader's back, as a bug or a crash might leave them: a grant then does not count,
 * adoption sees it, and neither a hole, nor an object bound to contents, nor a rename is judged any milder.
 * Pins of another ABI are tried here too: they had no filter.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>
#include <bpf/bpf.h>

#include <omega/abi/filter.h>
#include <loader/bpf_priv.h>
#include <tests/util/brane.h>

#define READ   OM_MAY_READ
#define EXEC   OM_MAY_EXEC
#define NEVER  OM_MAY_NEVER
#define FLAGS  (OM_SLOT_KERNEL | OM_SLOT_NETWORK)
#define DEEP   "tree/1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16/17/18/19/20/21/22"
#define BRANES "om_branes"

static struct tb tb;

static char *at(const char *name)
{
	return tb_at(&tb, name);
}

static int do_map(void *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return 200;
	return mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0) == MAP_FAILED ? errno
											 : 0;
}

static int do_move(void *arg)
{
	char *const *names = arg;

	return rename(names[0], names[1]) ? errno : 0;
}

static int pinned(const char *name)
{
	char path[160];
	int fd;

	snprintf(path, sizeof(path), "%s/" OM_PIN_DIR "/%s", tb.bpffs, name);
	fd = tb_map(path);
	assert_true(fd >= 0);
	return fd;
}

/* Sets the counter of object I of the live policy; returns what it was. */
static uint8_t count_set(uint32_t i, uint8_t count)
{
	struct om_object_key *key = &tb.objs[i].key;
	uint32_t place = om_filter_place(om_filter_base(tb.slot.policy, key->dev), key->ino),
		 word = place >> 3;
	struct om_filter_word w;
	int map = pinned("om_filter");
	uint8_t was;

	assert_int_equal(bpf_map_lookup_elem(map, &word, &w), 0);
	was = w.count[place & 7];
	w.count[place & 7] = count;
	assert_int_equal(tb_map_put(map, &word, &w), 0);
	close(map);
	return was;
}

/* All counters, and how many entries there are: equal as long as none was ever full. */
static void sums(uint64_t *counted, uint64_t *entries)
{
	struct om_object_key key, next;
	struct om_filter_word w;
	void *prev = NULL;
	int filter = pinned("om_filter"), objects = pinned("om_objects");

	*counted = *entries = 0;
	for (uint32_t i = 0; i < OM_FILTER_WORDS; i++) {
		assert_int_equal(bpf_map_lookup_elem(filter, &i, &w), 0);
		for (int k = 0; k < 8; k++)
			*counted += w.count[k];
	}
	while (!bpf_map_get_next_key(objects, prev, &next)) {
		++*entries;
		key = next;
		prev = &key;
	}
	close(filter);
	close(objects);
}

static int verified(void)
{
	struct om_err err;

	return om_bpf_policy_verify(tb.bpf, tb.slot.policy, &tb.bundle, tb.objs, tb.n, &err);
}

static void test_counts(void **state)
{
	uint64_t counted, entries;

	sums(&counted, &entries);
	assert_true(entries > 0);
	assert_int_equal(counted, entries);
	/* Policies come and go, their counts with them. */
	for (int i = 0; i < 5; i++)
		tb_publish(&tb, FLAGS);
	sums(&counted, &entries);
	assert_int_equal(counted, entries);
	assert_true(tb_expect(&tb, "anew", tb_read, at("file"), 0, 0, 0, NULL));
}

static void test_hidden_grant(void **state)
{
	uint8_t was = count_set(0, 0);

	assert_int_equal(was, 1);
	assert_true(tb_expect(&tb, "hidden", tb_read, at("file"), EACCES, 1, OM_OP_FILE_READ,
			      "file_open"));
	assert_int_equal(verified(), -EUCLEAN);
	(void)count_set(0, was);
	assert_int_equal(verified(), 0);
	assert_true(tb_expect(&tb, "counted", tb_read, at("file"), 0, 0, 0, NULL));
}

static void expect_hole(const char *what, const char *file)
{
	assert_true(
		tb_expect(&tb, what, tb_read, at(file), EACCES, 1, OM_OP_FILE_READ, "file_open"));
}

/* Near and beyond what is walked by plain loads; and the object itself. */
static void test_hidden_hole(void **state)
{
	static const char *const holes[] = {"tree/1", "tree/1/2/3/4/5/6", DEEP, DEEP "/x"};
	uint32_t n = tb.n;

	assert_true(tb_expect(&tb, "no hole yet", tb_read, at(DEEP "/x"), 0, 0, 0, NULL));
	assert_false(tb.slot.policy & OM_POLICY_EXACT);
	for (size_t i = 0; i < OM_ARRAY_LEN(holes); i++) {
		tb_grant(&tb, at(holes[i]), NEVER, NEVER);
		tb_publish(&tb, FLAGS);
		assert_true(tb.slot.policy & OM_POLICY_EXACT);
		expect_hole("hole", DEEP "/x");
		(void)count_set(n, 0);
		expect_hole("hole, hidden", DEEP "/x");
		assert_int_equal(verified(), -EUCLEAN);
		(void)count_set(n, 1);
		tb.n = n;
		tb_publish(&tb, FLAGS);
	}
	assert_true(tb_expect(&tb, "no hole left", tb_read, at(DEEP "/x"), 0, 0, 0, NULL));
}

/* Executable by the tree around it, bound by its own entry. */
static void test_hidden_bound(void **state)
{
	uint32_t n = tb.n;

	tb_grant(&tb, at("tree"), EXEC, EXEC);
	tb_grant(&tb, at(DEEP "/x"), READ | OM_MAY_EXEC_BOUND, 0);
	tb_publish(&tb, FLAGS);
	assert_true(tb.slot.policy & OM_POLICY_EXACT);
	assert_true(tb_expect(&tb, "not bound", do_map, at("tree/1/x"), 0, 0, 0, NULL));
	for (int count = 1; count >= 0; count--) {
		(void)count_set(n + 1, (uint8_t)count);
		assert_true(tb_expect(&tb, "bound", do_map, at(DEEP "/x"), EACCES, 1,
				      OM_OP_FILE_EXEC, "mmap_file"));
	}
	(void)count_set(n + 1, 1);
	tb.n = n;
	tb_publish(&tb, FLAGS);
}

/* What a move would give is not hidden: found again later, it would have been gained. */
static void test_hidden_gain(void **state)
{
	char *gains[] = {at("from/x"), at("to/in/x")}, *plain[] = {at("from/x"), at("to/x")};
	uint32_t n = tb.n;

	tb_grant(&tb, at("from"), READ | OM_MAY_REMOVE, READ | OM_MAY_REMOVE);
	tb_grant(&tb, at("to"), READ | OM_MAY_CREATE, READ | OM_MAY_CREATE);
	tb_grant(&tb, at("to/in"), OM_MAY_WRITE, OM_MAY_WRITE);
	tb_publish(&tb, FLAGS);
	assert_false(tb.slot.policy & OM_POLICY_EXACT);
	for (int count = 1; count >= 0; count--) {
		(void)count_set(n + 2, (uint8_t)count);
		assert_true(tb_expect(&tb, "gains", do_move, gains, EACCES, 1, OM_OP_FILE_WRITE,
				      "path_rename"));
	}
	(void)count_set(n + 2, 1);
	assert_true(tb_expect(&tb, "gains nothing", do_move, plain, 0, 0, 0, NULL));
	tb.n = n;
	tb_publish(&tb, FLAGS);
}

/* A number of the other kind is refused, written or read back. */
static void test_number(void **state)
{
	uint32_t n = tb.n, plain, exact;
	struct om_err err = {0};

	assert_int_equal(om_bpf_policy_new(tb.bpf, tb.objs, tb.n, &plain, &err), 0);
	tb_grant(&tb, at("tree/1"), NEVER, NEVER);
	assert_int_equal(om_bpf_policy_new(tb.bpf, tb.objs, tb.n, &exact, &err), 0);
	assert_false(plain & OM_POLICY_EXACT);
	assert_true(exact & OM_POLICY_EXACT);
	assert_int_equal(om_bpf_policy_fill(tb.bpf, plain, &tb.bundle, tb.objs, tb.n, &err),
			 -EINVAL);
	assert_int_equal(
		om_bpf_policy_verify(tb.bpf, tb.slot.policy, &tb.bundle, tb.objs, tb.n, &err),
		-EUCLEAN);
	assert_non_null(strstr(err.text, "not for these objects"));
	tb.n = n;
	assert_int_equal(om_bpf_policy_fill(tb.bpf, exact, &tb.bundle, tb.objs, tb.n, &err),
			 -EINVAL);
	assert_int_equal(verified(), 0);
}

/* Opens the same pins once more, as an agent that starts. */
static int reopen(struct om_err *err)
{
	struct om_bpf_opts opts = {.bpffs = tb.bpffs,
				   .parent_fd = tb.parent_fd,
				   .cgroup_level = 2,
				   .parent_cgid = tb.parent_cgid,
				   .layers = OM_LAYER_KERNEL | OM_LAYER_NETWORK};
	struct om_bpf *b = NULL;
	uint32_t got;
	int ret = om_bpf_open(&opts, &b, &got, err);

	om_bpf_free(b);
	return ret;
}

static void test_other_abi(void **state)
{
	char old[96], pin[128], odd[128];
	uint32_t key = 7;
	struct om_slot slot = {.brane = key, .policy = 1};
	struct om_err err = {0};
	int fd = bpf_map_create(BPF_MAP_TYPE_HASH, BRANES, sizeof(key), sizeof(slot), 4, NULL);

	assert_true(fd >= 0);
	snprintf(old, sizeof(old), "%s/v%d", tb.bpffs, OM_ABI_VERSION - 1);
	snprintf(pin, sizeof(pin), "%s/" BRANES, old);
	snprintf(odd, sizeof(odd), "%s/v", tb.bpffs);
	assert_int_equal(mkdir(odd, 0700), 0);
	assert_int_equal(mkdir(old, 0700), 0);
	/* Nothing that says what it holds: it may hold a brane. */
	assert_int_equal(reopen(&err), -EBUSY);
	assert_int_equal(err.id, OM_ERR_BPF_MAP);
	assert_int_equal(bpf_obj_pin(fd, pin), 0);
	assert_int_equal(bpf_map_update_elem(fd, &key, &slot, BPF_ANY), 0);
	assert_int_equal(reopen(&err), -EBUSY);
	assert_int_equal(access(pin, F_OK), 0);
	assert_int_equal(bpf_map_delete_elem(fd, &key), 0);
	assert_int_equal(reopen(&err), 0);
	assert_int_equal(access(old, F_OK), -1);
	assert_int_equal(rmdir(odd), 0);
	assert_int_equal(verified(), 0);
	close(fd);
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
	snprintf(cmd, sizeof(cmd), "cd /tmp && mkdir -p %s/" DEEP " %s/from %s/to/in", tb.dir,
		 tb.dir, tb.dir);
	assert_int_equal(system(cmd), 0);
	tb_put(&tb, "file", "x", 0755);
	tb_put(&tb, "tree/1/x", "x", 0755);
	tb_put(&tb, DEEP "/x", "x", 0755);
	tb_put(&tb, "from/x", "x", 0755);
	tb_grant(&tb, at("file"), READ, 0);
	tb_grant(&tb, at("tree"), READ, READ);
	tb_publish(&tb, FLAGS);
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
		cmocka_unit_test(test_counts),	    cmocka_unit_test(test_hidden_grant),
		cmocka_unit_test(test_hidden_hole), cmocka_unit_test(test_hidden_bound),
		cmocka_unit_test(test_hidden_gain), cmocka_unit_test(test_number),
		cmocka_unit_test(test_other_abi),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
