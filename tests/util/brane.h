/*
 * A brane for tests of the BPF half: a cgroup, a policy made by hand, children that run inside it.
 *
 * Comes in: paths and rights to grant. Goes out: the errno that an operation inside ended with, and the
 * events that it left. Used by: tests/vm/test_bpf_*.c and tests/live/test_bpf_*.c. It knows nothing of
 * manifests: what it grants is what reaches the maps.
 */
#ifndef OMEGA_TESTS_BRANE_H
#define OMEGA_TESTS_BRANE_H

#include <stdint.h>
#include <sys/types.h>

#include <loader/bpf.h>

#define TB_EVENTS_MAX  512u
#define TB_OBJECTS_MAX 64u

struct tb {
	struct om_bpf *bpf;
	uint32_t got; /* OM_LAYER_* */
	char bpffs[64], parent[128], cgroup[160];
	char dir[64];	 /* empty but for the next one; removed by tb_close */
	char secret[80]; /* a file, mode 0644, for what nobody grants */
	int parent_fd;
	__u64 parent_cgid;
	struct om_slot slot;
	struct om_resolved *objs;
	uint32_t n;
	struct om_b_egress egress[32];
	struct om_b_listen listen[32];
	uint32_t egress_n, listen_n;
	uint8_t *bundle_data;
	struct om_bundle bundle;
	void *ring;
	/* Everything read from the ring since tb_events was last called. */
	uint32_t events_n;
	struct om_event_path events[TB_EVENTS_MAX];
};

/* Opens the layers wanted. 0, or -errno with the reason in *err. */
int tb_open(struct tb *tb, uint32_t layers, struct om_err *err);
/* Kills and removes everything that tb_open and later calls made. */
void tb_close(struct tb *tb);

/* A path below the directory; eight may be in use at once. */
char *tb_at(const struct tb *tb, const char *name);
/* Makes the file NAME there. Aborts the test on failure. */
void tb_put(const struct tb *tb, const char *name, const char *text, mode_t mode);
/* For tb_run: opens the path ARG and reads a byte; errno, or 200 when there is none. */
int tb_read(void *arg);

/* Grants, before tb_publish. NET is "10.0.0.0/8" or an IPv6 network. Abort the test on failure. */
void tb_grant(struct tb *tb, const char *path, uint32_t self, uint32_t tree);
void tb_pattern(struct tb *tb, const char *dir, const char *prefix, const char *suffix, int exact,
		uint32_t may);
void tb_egress(struct tb *tb, const char *net, uint8_t bits, uint8_t proto, uint16_t port);
void tb_listen(struct tb *tb, uint8_t proto, uint16_t port);
/* Fills, verifies and publishes all grants so far under a new policy number; drops the old one. */
void tb_publish(struct tb *tb, uint32_t flags);

/* Runs FN in a child inside the brane; returns what FN returned (0-255), or -1 if it was killed. */
int tb_run(struct tb *tb, int (*fn)(void *arg), void *arg);
/* As tb_run, without waiting. */
pid_t tb_spawn(struct tb *tb, int (*fn)(void *arg), void *arg);
int tb_wait(pid_t pid);
void tb_enter(const char *cgroup); /* moves the calling process */

/* Takes what the ring holds; returns how many events, kept in tb->events until the next call. */
uint32_t tb_events(struct tb *tb);
void tb_stat(struct tb *tb, struct om_stat *out);
/* The path of a path event, "/etc/passwd", in a static buffer. */
const char *tb_event_path(const struct om_event_path *e);

/* Tampering: a pinned map by path, an entry put and dropped behind the loader's back. */
int tb_map(const char *path);
int tb_map_get(int map, const void *key, void *value);
int tb_map_put(int map, const void *key, const void *value);
int tb_map_drop(int map, const void *key);

/*
 * Runs FN and compares: its result, exactly COUNT events, the first of them with OP and HOOK (NULL: any; when
 * COUNT is not 0). Prints what it found and returns 0 on a difference.
 */
int tb_expect(struct tb *tb, const char *what, int (*fn)(void *arg), void *arg, int result,
	      uint32_t count, uint16_t op, const char *hook);

/*
 * --- a flood of denials from many tasks of one brane, and the sum that must come out ---
 *
 * Comes in: what one task does over and over. Goes out: how many attempts were made, how many did not
 * end as they had to, and where the kernel says each one went. Prints the rate and asserts none.
 */
#define FLOOD_TASKS 64u

struct flood {
	/* N attempts; returns how many did not end with the right errno. */
	uint64_t (*work)(uint64_t n, void *arg);
	void *arg;
	uint64_t total; /* attempts in all, rounded down to whole ones for each task */
	int drain;	/* read the ring meanwhile, not only afterwards */
	uint16_t op;	/* of every record */

	uint64_t made, wrong;	 /* attempts; those that did not end as they had to */
	uint64_t records, twice; /* read from the ring; with a number that came before */
	uint64_t strange;	 /* records of another operation or with a number out of range */
	struct om_stat before, after;
	double seconds;
};

/* Runs it and fills in the rest. Aborts the test if it cannot be run. */
void flood_run(struct tb *tb, struct flood *f);
/* 1: every attempt was denied, and is a record or counted, exactly once. Prints what it found. */
int flood_adds_up(const struct flood *f);
/* Attempts to make: OMEGA_FLOOD, else N. */
uint64_t flood_total(uint64_t n);

#endif
