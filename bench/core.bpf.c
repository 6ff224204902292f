/*
 * The decision's own code, and the shapes of other agents' look-ups, in programs that any kernel loads.
 *
 * A kernel without BPF-LSM still runs raw tracepoint programs on demand, which may read the same structs
 * and call the same helpers. So om_scope and om_missing, included here from bpf/lib/ unchanged, decide about
 * the working directory of whoever runs the program, N times in a row, and say how long that took. What
 * this leaves out is what the kernel adds around an LSM program: the trampoline, which the empty program
 * of bench_decision shows. Loaded by bench/bench_core.c with maps of its own. Never attached.
 *
 * The shapes re-create what a decision by path string has to do, each at its least: no event, no
 * conditions, the string given instead of made with bpf_d_path.
 */
#define OM_KERNEL_LAYER 1
#include "bpf/lib/core.bpf.h"
#include "bpf/lib/scope.bpf.h"
#include "bpf/lib/walk.bpf.h"
#include "bpf/lib/path.bpf.h"
#include "bench/lib/core.h"

char LICENSE[] SEC("license") = "GPL";

struct fs_struct___bench {
	struct path pwd;
} __attribute__((preserve_access_index));

static __always_inline struct dentry *here(void)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct fs_struct___bench *fs = (void *)task->fs;

	return fs->pwd.dentry;
}

struct core_args core_args; /* shared with user space by mmap */

/* One program: BODY runs n times and adds to a->sum, so that nothing of it can be left out. */
#define BENCH(name, body)                                     \
	static long name##_step(__u32 i, struct core_args *a) \
	{                                                     \
		body;                                         \
		return 0;                                     \
	}                                                     \
	SEC("raw_tp") int name(void *ctx)                     \
	{                                                     \
		struct core_args a = core_args;               \
		__u64 t = bpf_ktime_get_ns();                 \
                                                              \
		bpf_loop(a.n, name##_step, &a, 0);            \
		core_args.ns = bpf_ktime_get_ns() - t;        \
		core_args.sum = a.sum;                        \
		return 0;                                     \
	}

SEC("raw_tp") int where(void *ctx)
{
	struct dentry *d = here();

	core_args.ino = d->d_inode->i_ino;
	core_args.gen = d->d_inode->i_generation;
	core_args.dev = d->d_sb->s_dev;
	return 0;
}

BENCH(empty, a->sum++)
/* What a step pays to find its directory, which a hook is given. */
BENCH(found, a->sum += here() != 0)

BENCH(scope, {
	struct om_ctx c;

	a->sum += om_scope(&c);
})

/* What om_file_open does: scope, need, walk; a denial is recorded. */
BENCH(decide, {
	struct om_ctx c;

	if (om_scope(&c)) {
		struct dentry *d = here();

		OM_HOOK(&c, "bench");
		c.need = om_file_missing(&c, d, OM_MAY_READ);
		if (c.need)
			a->sum += om_deny_path(&c, d, 0);
	}
})

/* --- other shapes --- */

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct core_path);
} core_path SEC(".maps");

struct core_scratch {
	char key[CORE_KEY];
	struct core_trie_key trie;
};
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct core_scratch);
} core_scratch SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, CORE_ENTRIES);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(key_size, CORE_KEY);
	__uint(value_size, 8);
} core_paths SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, CORE_RULES);
	__type(key, __u32);
	__type(value, struct core_rule);
} core_rules SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, CORE_ENTRIES);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(key_size, sizeof(struct core_trie_key));
	__uint(value_size, 8);
} core_trie SEC(".maps");

/* A hash of whole paths, asked once for each component: "is this directory granted?" */
static __always_inline __u32 by_component(void)
{
	__u32 zero = 0, found = 0;
	struct core_path *p = bpf_map_lookup_elem(&core_path, &zero);
	struct core_scratch *s = bpf_map_lookup_elem(&core_scratch, &zero);

	if (!p || !s)
		return 0;
	for (int i = 0; i < CORE_PARTS; i++) {
		__u32 len = p->ends[i];

		if (!len || len > sizeof(p->text))
			break;
		__builtin_memset(s->key, 0, sizeof(s->key));
		bpf_probe_read_kernel(s->key, len, p->text);
		if (bpf_map_lookup_elem(&core_paths, s->key))
			found++;
	}
	return found;
}
BENCH(path_hash, a->sum += by_component())

struct scan {
	__u32 found;
};
static long scan_step(__u32 i, struct scan *s)
{
	__u32 zero = 0;
	struct core_path *p = bpf_map_lookup_elem(&core_path, &zero);
	struct core_rule *r = bpf_map_lookup_elem(&core_rules, &i);

	if (!p || !r)
		return 1;
	for (int k = 0; k < CORE_PREFIX; k++) {
		if (!r->prefix[k]) {
			s->found++;
			return 1;
		}
		if (r->prefix[k] != p->text[k])
			return 0;
	}
	return 0;
}
BENCH(linear, {
	struct scan s = {};

	bpf_loop(CORE_RULES, scan_step, &s, 0);
	a->sum += s.found;
})

static __always_inline __u32 by_prefix(void)
{
	__u32 zero = 0;
	struct core_path *p = bpf_map_lookup_elem(&core_path, &zero);
	struct core_scratch *s = bpf_map_lookup_elem(&core_scratch, &zero);

	if (!p || !s)
		return 0;
	__builtin_memcpy(s->trie.text, p->text, sizeof(s->trie.text));
	s->trie.bits = p->len * 8;
	return bpf_map_lookup_elem(&core_trie, &s->trie) != 0;
}
BENCH(trie, a->sum += by_prefix())
