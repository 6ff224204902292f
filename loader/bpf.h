/*
 * The loader's BPF half: global programs attached once, policy in pinned maps.
 *
 * Comes in: a resolved bundle. Goes out: map entries, links, pins. Called by: the transaction's steps
 * and by adoption. Never does: detach a program while a brane runs; publish a policy that was not
 * read back; take a version number as proof of a feature (it tries).
 */
#ifndef OMEGA_LOADER_BPF_H
#define OMEGA_LOADER_BPF_H

#include <stdbool.h>
#include <stdint.h>
#include <omega/abi/event.h>
#include <omega/abi/policy.h>
#include <omega/abi/siphash.h>
#include <omega/bundle.h>
#include <omega/err.h>
#include <omega/ir.h>

struct om_bpf; /* the maps and links of one agent */

/* What this kernel can do, found by trying. One row per hook, for `omegactl doctor`. */
struct om_bpf_hook {
	char name[32];	/* "file_open", "cgroup/connect4", "fexit/do_filp_open" */
	uint32_t layer; /* OM_LAYER_* */
	int required;	/* 1: a brane that wants the layer cannot start without it */
	int ret;	/* 0, or the -errno of the refusal */
	char why[160];	/* one line, empty when it loads */
};
struct om_bpf_probe {
	uint32_t layers; /* OM_LAYER_* that can be enforced completely */
	uint32_t count;
	struct om_bpf_hook hooks[128];
};

/* Loads every program once, without attaching, and unloads it again. Takes 0.1 to 1 s. */
int om_bpf_probe(struct om_bpf_probe *out, struct om_err *err) OM_MUST_CHECK;

struct om_bpf_opts {
	const char *bpffs;     /* "/sys/fs/bpf/omega": directory for pins, made with 0700 */
	int parent_fd;	       /* cgroup directory whose children are the branes */
	uint32_t cgroup_level; /* level of those children, the root is 0 */
	uint64_t parent_cgid;
	uint32_t layers; /* layers wanted; those that cannot be had are reported in *got */
};

/*
 * Adopts the pins when they are there and whole, loads, attaches and pins otherwise. *GOT is the set
 * of layers now enforced. Fails with OM_ERR_BPF_PIN on half a set of pins (it never tears them down).
 */
int om_bpf_open(const struct om_bpf_opts *opts, struct om_bpf **out, uint32_t *got,
		struct om_err *err) OM_MUST_CHECK;
/* Closes the descriptors; pins, programs and policy stay. */
void om_bpf_free(struct om_bpf *b);
/* Removes every pin: enforcement ends. Only for uninstalling and for tests. */
int om_bpf_unload(const char *bpffs, struct om_err *err) OM_MUST_CHECK;

/* 1: objects can be bound to contents (sha256); 0: *WHY, borrowed, says what the kernel lacks. */
bool om_bpf_content(const struct om_bpf *b, const char **why);

/* The kernel's own key of the object behind FD (O_PATH is enough); .policy is left 0. */
int om_bpf_object_key(struct om_bpf *b, int fd, struct om_object_key *out, struct om_err *err)
	OM_MUST_CHECK;

/* One object to grant: its key, and what the bundle gives. Built by loader/process/resolve.c. */
struct om_resolved {
	struct om_object_key key; /* .policy ignored */
	struct om_object_val val; /* .patterns = how many of PATTERNS are used */
	struct om_pattern patterns[OM_PATTERNS_MAX];
};

/*
 * Before TO takes over the rights of FROM, another value for the same object: the grant that binds it to
 * contents becomes TO's. OM_ERR_CONTENT when two grants do.
 */
int om_bpf_merge_bound(struct om_object_val *to, const struct om_object_val *from,
		       struct om_err *err) OM_MUST_CHECK;

/*
 * A fresh policy number, never used before under these pins, for the N objects OBJS: with OM_POLICY_EXACT
 * when one of them takes rights away.
 */
int om_bpf_policy_new(struct om_bpf *b, const struct om_resolved *objs, uint32_t n,
		      uint32_t *policy, struct om_err *err) OM_MUST_CHECK;
/* Writes objects, patterns, egress and listen entries under POLICY, made for OBJS. Not live yet. */
int om_bpf_policy_fill(struct om_bpf *b, uint32_t policy, const struct om_bundle *bundle,
		       const struct om_resolved *objs, uint32_t n, struct om_err *err)
	OM_MUST_CHECK;
/* Reads all of it back and compares, both ways. OM_ERR_BPF_VERIFY names the first difference. */
int om_bpf_policy_verify(struct om_bpf *b, uint32_t policy, const struct om_bundle *bundle,
			 const struct om_resolved *objs, uint32_t n, struct om_err *err)
	OM_MUST_CHECK;
/*
 * Reads back every entry that was to be written, without a search for others: for a number fresh from
 * om_bpf_policy_new, under which nobody else has written. Its cost does not depend on other policies.
 */
int om_bpf_policy_written(struct om_bpf *b, uint32_t policy, const struct om_bundle *bundle,
			  const struct om_resolved *objs, uint32_t n, struct om_err *err)
	OM_MUST_CHECK;
/* Removes the entries of POLICY, which no slot names any more (waits for a grace period first). */
int om_bpf_policy_drop(struct om_bpf *b, uint32_t policy, struct om_err *err) OM_MUST_CHECK;

/*
 * Removes every entry whose policy no slot names: what an agent that was killed between a swap and its
 * clearing up left behind. Before requests are served, while no policy is being filled.
 */
int om_bpf_policy_sweep(struct om_bpf *b, struct om_err *err) OM_MUST_CHECK;

/* A fresh brane number, never used before under these pins. */
int om_bpf_brane_new(struct om_bpf *b, uint32_t *brane, struct om_err *err) OM_MUST_CHECK;
/* Makes SLOT live for its brane and cgroup: slot first, then the cgroup entry. One update each. */
int om_bpf_brane_publish(struct om_bpf *b, const struct om_slot *slot, struct om_err *err)
	OM_MUST_CHECK;
int om_bpf_brane_get(struct om_bpf *b, uint32_t brane, struct om_slot *out, struct om_err *err)
	OM_MUST_CHECK;
/* OM_ERR_BPF_VERIFY unless the cgroup CGID leads to BRANE: without that its network is not filtered. */
int om_bpf_brane_led(struct om_bpf *b, uint64_t cgid, uint32_t brane, struct om_err *err)
	OM_MUST_CHECK;
/* Takes the brane out of the maps. Only when its cgroup is gone or empty. */
int om_bpf_brane_withdraw(struct om_bpf *b, uint32_t brane, struct om_err *err) OM_MUST_CHECK;
/*
 * Clears the counters and folds of a withdrawn BRANE, once the log has them. OM_ERR_EXISTS while it
 * is published. Without this call om_stats keeps one entry for every brane that ever was.
 */
int om_bpf_brane_forget(struct om_bpf *b, uint32_t brane, struct om_err *err) OM_MUST_CHECK;
/* Every brane in the slots; FN returns non-zero to stop. */
int om_bpf_brane_each(struct om_bpf *b, int (*fn)(const struct om_slot *slot, void *ctx), void *ctx,
		      struct om_err *err) OM_MUST_CHECK;

/* Borrowed descriptors for the drain role: ring buffer om_events, hashes om_stats and om_folds. */
struct om_bpf_drain_fds {
	int events, stats, folds;
};
void om_bpf_drain_fds(const struct om_bpf *b, struct om_bpf_drain_fds *out);

#endif
