/*
 * What the files loader/bpf_*.c share: the table of programs, the open maps, small helpers.
 *
 * Comes in and goes out: nothing beyond these files. Never included by another folder.
 */
#ifndef OMEGA_LOADER_BPF_PRIV_H
#define OMEGA_LOADER_BPF_PRIV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <loader/bpf.h>

/* The directory below opts.bpffs; its name carries the ABI, so two versions never share a map. */
#define OM_PIN_DIR     "v3"
#define OM_PIN_DIR_NEW "v3-new" /* bpffs refuses a dot in names */
OM_STATIC_ASSERT(OM_ABI_VERSION == 3);

/* Maps, in one order everywhere. The kernel layer's come last: a network-only host has none. */
enum om_map {
	OM_MAP_CONFIG,
	OM_MAP_BRANES,
	OM_MAP_CGROUPS,
	OM_MAP_EGRESS,
	OM_MAP_LISTEN,
	OM_MAP_EVENTS,
	OM_MAP_STATS,
	OM_MAP_FOLDS,
	OM_MAP_HASH_KEY,
	OM_MAP_STATE,
	OM_MAP_KERNEL, /* first of the kernel layer */
	OM_MAP_TASKS = OM_MAP_KERNEL,
	OM_MAP_SOCKS,
	OM_MAP_OBJECTS,
	OM_MAP_FILTER,
	OM_MAP_PATTERNS,
	OM_MAP_CONTENTS,
	OM_MAP_SEEN,
	OM_MAP_COUNT
};
extern const char *const om_map_names[OM_MAP_COUNT];

/*
 * om_state, array of one, user space only: numbers never to be used again, and what the pins must
 * consist of. Programs do not see it.
 */
struct om_state {
	uint32_t next_policy;
	uint32_t next_brane;
	uint32_t layers;  /* OM_LAYER_* that were loaded whole */
	uint32_t links;	  /* how many links are pinned */
	uint32_t content; /* 1: the programs of OM_PROG_CONTENT are among them */
	uint32_t pad;
};

/* One program. The name is unique over all objects and is the link's pin name as well. */
#define OM_PROG_REQUIRED 0x1u /* the layer is refused without it */
#define OM_PROG_LSM	 0x2u
#define OM_PROG_FEXIT	 0x4u
#define OM_PROG_CGROUP	 0x8u
#define OM_PROG_RUN	 0x10u /* run on demand, never attached: pinned itself */
#define OM_PROG_CONTENT	 0x40u /* looks at contents: sha256 grants are refused without it */
#define OM_PROG_SENDPAGE 0x20u /* only where sockets have sendpage (before 6.5) */
struct om_prog {
	const char *name;   /* in the object */
	const char *object; /* "lsm_file" */
	const char *hook;   /* as reported: "file_open", "cgroup/connect4", "fexit/do_filp_open" */
	const char *target; /* kernel function whose BTF must exist; NULL: none */
	uint32_t layer;	    /* OM_LAYER_* */
	uint32_t flags;	    /* OM_PROG_* */
	uint32_t args;	    /* arguments of the target that this flavour is for; 0: any */
	const char
		*unless; /* kernel function that another row watches where it exists; NULL: none */
};
extern const struct om_prog om_progs[];
extern const size_t om_progs_count;
const struct om_prog *om_prog_find(const char *name);

struct om_bpf_object_def {
	const char *name;
	uint32_t layer;
	const void *(*bytes)(size_t *len);
	bool content; /* OM_PROG_CONTENT: left out where the kernel cannot */
};
#define OM_OBJECTS_DEFS_MAX 16
extern const struct om_bpf_object_def om_objects_defs[];
extern const size_t om_objects_count;

struct om_bpf {
	int maps[OM_MAP_COUNT]; /* -1: not there */
	int key_prog;		/* -1: no kernel layer */
	int lock;		/* the bpffs directory, for flock around numbers */
	uint32_t layers;
	bool content;
	char why_content[160]; /* why not */
};

/* 1: this kernel has ROW's target, with the arguments that ROW is written for. */
bool om_prog_fits(const struct om_prog *row);
/* 1: ROW's hook is there, but no row of the table is written for its arguments. */
bool om_prog_drifted(const struct om_prog *row);

/*
 * Opens and loads one object. Maps are taken from PIN_DIR, or made and pinned there; NULL: private
 * maps (probe). Programs whose target is absent are left out; a required one that is absent is
 * OM_ERR_BPF_HOOK. ONLY, when not NULL, is the one program to load.
 */
int om_object_load(const struct om_bpf_object_def *def, const char *pin_dir, const char *only,
		   struct bpf_object **out, struct om_err *err) OM_MUST_CHECK;
void om_object_close(struct bpf_object **obj);
void om_bpf_quiet(void); /* libbpf's messages go to error texts, never to stderr */
/* What libbpf or the verifier said of the last refusal in this thread, since it was last forgotten. */
const char *om_bpf_said_text(void);
void om_bpf_said_forget(void);

/* 0: the kernel calls BPF-LSM programs. OM_ERR_BPF_UNSUPPORTED: it does not, whatever it loads. */
int om_bpf_canary(struct om_err *err) OM_MUST_CHECK;

/* Attaches PROG as ROW says. *OUT is the caller's. */
int om_prog_attach(const struct om_bpf_opts *opts, struct bpf_program *prog,
		   const struct om_prog *row, struct bpf_link **out, struct om_err *err)
	OM_MUST_CHECK;

/* Draws and freezes the key that DIR's programs hash with, unless it is set. Before they are attached. */
int om_bpf_hash_key(const char *dir, struct om_err *err) OM_MUST_CHECK;

/* guard/upgrade.c: records in DIR which build's programs are attached; replaces those of another. */
int om_bpf_build_set(const char *dir, struct om_err *err) OM_MUST_CHECK;
int om_bpf_upgrade(const struct om_bpf_opts *opts, const char *dir, struct om_state *state,
		   int state_map, struct om_err *err) OM_MUST_CHECK;

/*
 * guard/upgrade.c: removes pins of another ABI below BPFFS that hold no brane; OM_ERR_BPF_MAP if they
 * hold one, which they go on confining. The caller holds the lock.
 */
int om_bpf_other_abi(const char *bpffs, struct om_err *err) OM_MUST_CHECK;
/* Removes one flat directory of pins. Missing is fine. */
int om_pins_remove(const char *dir) OM_MUST_CHECK;

/* 0: the kernel tells the SHA-256 of an open file. OM_ERR_BPF_CONTENT: it does not. */
int om_bpf_content_probe(struct om_err *err) OM_MUST_CHECK;

int om_map_error(struct om_err *err, enum om_map map, int ret, const char *doing);

/* Entries of one policy, merged: two granted paths may lead to one object. */
struct om_merged {
	struct om_object_key key;
	struct om_object_val val;
	struct om_pattern patterns[OM_PATTERNS_MAX];
};
/* *OUT is malloc'd: objects sorted by key, each once, .policy set, rights united. */
int om_merge_objects(uint32_t policy, const struct om_resolved *objs, uint32_t n,
		     struct om_merged **out, uint32_t *count, struct om_err *err) OM_MUST_CHECK;
/* 1: POLICY has OM_POLICY_EXACT if, and only if, one of OBJS takes rights away. */
bool om_policy_fits(uint32_t policy, const struct om_resolved *objs, uint32_t n);
/*
 * Counts KEY in om_filter, before its entry is written; uncounts it, after its entry was removed. What a
 * crash leaves between the two is one count too many, which costs look-ups and grants nothing. The caller
 * holds b->lock: a counter is read and written back.
 */
int om_filter_add(struct om_bpf *b, const struct om_object_key *key, int by, struct om_err *err)
	OM_MUST_CHECK;
/* 1: programs will look for KEY. */
bool om_filter_has(const struct om_bpf *b, const struct om_object_key *key);
void om_egress_key_of(uint32_t policy, const struct om_b_egress *e, struct om_egress_key *key);
void om_listen_key_of(uint32_t policy, const struct om_b_listen *l, struct om_listen_key *key);
void om_content_key_of(uint32_t policy, const struct om_bundle *bundle, const struct om_b_digest *d,
		       struct om_content_key *key);
void om_pattern_key_of(const struct om_object_key *dir, uint32_t index, struct om_pattern_key *key);

/*
 * Calls FN for every key of MAP whose policy is POLICY (0: any). KEY_SIZE and OFF say where it lies.
 * FN must not change the map. A map that other policies change meanwhile may yield a key twice.
 */
int om_policy_keys(int map, size_t key_size, size_t off, uint32_t policy,
		   int (*fn)(const void *key, void *ctx), void *ctx) OM_MUST_CHECK;

#endif
