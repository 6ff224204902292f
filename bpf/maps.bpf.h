/*
 * The maps: all policy, all state, shared by every program through pins of the same name.
 *
 * Comes in: entries from the loader (om_config, om_branes, om_cgroups, om_objects, om_filter,
 * om_patterns, om_contents, om_egress, om_listen). Goes out: om_events, om_stats, om_folds to the drain role. Each .bpf.c
 * includes this file once; libbpf makes a map at its first object and reuses the pin for the others,
 * refusing one whose shape differs. Never does: let a program write policy (BPF_F_RDONLY_PROG).
 *
 * Policy maps and om_stats are not preallocated: their limits are the product's, their use is a brane's.
 * The one hash that programs insert into, om_folds, is, so that an insertion in any context needs no memory.
 */
#ifndef OMEGA_BPF_MAPS_H
#define OMEGA_BPF_MAPS_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <omega/abi/event.h>
#include <omega/abi/filter.h>
#include <omega/abi/policy.h>
#include <omega/abi/siphash.h>
#include <omega/limits.h>
#include "bpf/lib/fault.bpf.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_RDONLY_PROG);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, __u32);
	__type(value, struct om_config);
} om_config SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, OM_BRANES_MAX);
	__uint(map_flags, BPF_F_RDONLY_PROG | BPF_F_NO_PREALLOC);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, __u32);
	__type(value, struct om_slot);
} om_branes SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, OM_BRANES_MAX);
	__uint(map_flags, BPF_F_RDONLY_PROG | BPF_F_NO_PREALLOC);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, __u64);
	__type(value, __u32);
} om_cgroups SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, OM_EGRESS_MAX);
	__uint(map_flags, BPF_F_RDONLY_PROG | BPF_F_NO_PREALLOC);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, struct om_egress_key);
	__type(value, __u32);
} om_egress SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, OM_LISTEN_MAX);
	__uint(map_flags, BPF_F_RDONLY_PROG | BPF_F_NO_PREALLOC);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, struct om_listen_key);
	__type(value, __u32);
} om_listen SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, OM_RING_BYTES);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} om_events SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	/* Those of withdrawn branes stay until the log has them. */
	__uint(max_entries, 2 * OM_BRANES_MAX);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, __u32);
	__type(value, struct om_stat);
} om_stats SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, OM_FOLD_MAX);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, struct om_fold_key);
	__type(value, struct om_fold);
} om_folds SEC(".maps");

/* Written once, before anything is attached, and frozen; no program writes it, no role but the loader opens it. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_RDONLY_PROG);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, __u32);
	__type(value, struct om_hash_key);
} om_hash_key SEC(".maps");

/* Only for programs that run with kernel types: a host without BPF-LSM never makes these. */
#ifdef OM_KERNEL_LAYER
struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, int);
	__type(value, struct om_label);
} om_tasks SEC(".maps");

/* Whose socket it is. Cloned to the sockets that a listener accepts. */
struct om_sock_label {
	__u32 brane;
	__u32 policy; /* under which its peer was last checked; 0: not yet */
};
struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC | BPF_F_CLONE);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, int);
	__type(value, struct om_sock_label);
} om_socks SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, OM_OBJECTS_MAX);
	__uint(map_flags, BPF_F_RDONLY_PROG | BPF_F_NO_PREALLOC);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, struct om_object_key);
	__type(value, struct om_object_val);
} om_objects SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, OM_FILTER_WORDS);
	__uint(map_flags, BPF_F_RDONLY_PROG);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, __u32);
	__type(value, struct om_filter_word);
} om_filter SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, OM_PATTERN_ENTRIES_MAX);
	__uint(map_flags, BPF_F_RDONLY_PROG | BPF_F_NO_PREALLOC);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, struct om_pattern_key);
	__type(value, struct om_pattern);
} om_patterns SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, OM_CONTENTS_MAX);
	__uint(map_flags, BPF_F_RDONLY_PROG | BPF_F_NO_PREALLOC);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, struct om_content_key);
	__type(value, __u32);
} om_contents SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, int);
	__type(value, struct om_seen);
} om_seen SEC(".maps");
#endif

#endif
