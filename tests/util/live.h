/*
 * A loader of its own for a live test, and bundles made by hand.
 *
 * Comes in: a short description of a brane. Goes out: om_txn_apply's inputs. Called by: tests/live and
 * tests/fault. Never does: touch the run directory, cgroup or table of an installed agent.
 */
#ifndef OMEGA_TESTS_LIVE_H
#define OMEGA_TESTS_LIVE_H

#include <loader/loader.h>

struct live {
	struct om_loader *l;
	struct om_loader_opts opts;
	uint32_t got;
	char run[96], cgroup[320], table[32], bpffs[64], shim[3100], helpers[3100];
};

/* Skips the running test (cmocka) when this process is not root. Fresh names for every call. */
void live_open(struct live *v, uint32_t layers);
/* The same names again, as a restarted agent would. */
void live_reopen(struct live *v);
/* Removes every brane and everything live_open made. */
void live_close(struct live *v);

struct live_mount {
	const char *from, *to; /* from NULL: tmpfs */
	uint32_t flags;
	uint64_t bytes;
};
struct live_brane {
	const char *name;
	const char *argv[8];
	const char *env[8];
	struct live_mount mounts[16];
	const char *cgroup[8][3]; /* file, value, controller or NULL */
	uint32_t cgroup_flags;
	struct om_b_rlimit rlimits[8];
	uint32_t rlimit_count;
	struct om_b_file files[16]; /* .path unused: see paths */
	const char *paths[16];
	struct om_b_nft nft[16];
	uint32_t nft_count;
	struct om_b_listen listen[8];
	uint32_t listen_count;
	const uint32_t *denied; /* syscall numbers that notify; ends in ~0; NULL: no filter */
	uint32_t user, layers, stdio, netns, image, slot_flags;
	const char *image_dir, *workdir;
};
/* *DATA is malloc'd. Asserts. */
void live_bundle(const struct live_brane *b, uint8_t **data, size_t *len);
/* Bundle and om_txn_apply in one. */
int live_apply(struct live *v, const struct live_brane *b, struct om_brane_info *info,
	       struct om_err *err);
/* As live_apply, with RESTART and what changed. */
int live_apply_x(struct live *v, const struct live_brane *b, bool restart, enum om_change *change,
		 struct om_brane_info *info, struct om_err *err);
/* Waits until the workload has ended (10 s at most, asserts). */
void live_wait(struct live *v, const char *name, struct om_brane_info *info);
/* Content of the stored file, NUL-terminated, static. */
const char *live_text(struct live *v, const char *name, const char *file);
/* The value of "KEY VALUE\n" in TEXT, static; "" when it is not there. */
const char *live_fact(const char *text, const char *key);
/* A brane that runs the helper `inside` with ARGS under the process layer. */
struct live_brane live_inside(const struct live *v, const char *name, const char *arg,
			      const char *arg2);

#endif
