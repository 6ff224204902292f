/*
 * The one table of programs, objects and maps: what is loaded, where it attaches, what is required.
 *
 * Comes in: the objects, as bytes made by the build. Goes out: rows. Called by: the other loader/bpf_*.c.
 * Never does: ask the kernel anything; what it lacks is found out by trying.
 */
#include <string.h>

#include <loader/bpf_priv.h>

#include "cg_skb.skel.h"
#include "cg_sock.skel.h"
#include "key.skel.h"
#include "lsm_exec.skel.h"
#include "lsm_file.skel.h"

const char *const om_map_names[OM_MAP_COUNT] = {
	[OM_MAP_CONFIG] = "om_config",	   [OM_MAP_BRANES] = "om_branes",
	[OM_MAP_CGROUPS] = "om_cgroups",   [OM_MAP_EGRESS] = "om_egress",
	[OM_MAP_LISTEN] = "om_listen",	   [OM_MAP_EVENTS] = "om_events",
	[OM_MAP_STATS] = "om_stats",	   [OM_MAP_FOLDS] = "om_folds",
	[OM_MAP_STATE] = "om_state",	   [OM_MAP_TASKS] = "om_tasks",
	[OM_MAP_SOCKS] = "om_socks",	   [OM_MAP_OBJECTS] = "om_objects",
	[OM_MAP_PATTERNS] = "om_patterns",
};

#define OM_LSM(name, object, hook, required)                                                   \
	{                                                                                      \
		name, object, hook, "bpf_lsm_" hook, OM_LAYER_KERNEL, OM_PROG_LSM | (required) \
	}
#define OM_CG(name, object, hook)                                                             \
	{                                                                                     \
		name, object, hook, NULL, OM_LAYER_NETWORK, OM_PROG_CGROUP | OM_PROG_REQUIRED \
	}
#define OM_REQ OM_PROG_REQUIRED

/*
 * Optional are only hooks that a supported kernel lacks, and for each of them the one that stands in:
 * file_truncate (6.2+; before, path_truncate sees ftruncate and O_TRUNC too).
 */
const struct om_prog om_progs[] = {
	OM_LSM("om_file_open", "lsm_file", "file_open", OM_REQ),
	OM_LSM("om_file_truncate", "lsm_file", "file_truncate", 0),
	OM_LSM("om_path_truncate", "lsm_file", "path_truncate", OM_REQ),
	OM_LSM("om_bprm_check", "lsm_exec", "bprm_check_security", OM_REQ),
	OM_LSM("om_mmap_file", "lsm_exec", "mmap_file", OM_REQ),
	OM_LSM("om_file_mprotect", "lsm_exec", "file_mprotect", OM_REQ),
	OM_CG("om_connect4", "cg_sock", "cgroup/connect4"),
	OM_CG("om_connect6", "cg_sock", "cgroup/connect6"),
	OM_CG("om_sendmsg4", "cg_sock", "cgroup/sendmsg4"),
	OM_CG("om_sendmsg6", "cg_sock", "cgroup/sendmsg6"),
	OM_CG("om_bind4", "cg_sock", "cgroup/bind4"),
	OM_CG("om_bind6", "cg_sock", "cgroup/bind6"),
	OM_CG("om_sock_create", "cg_sock", "cgroup/sock_create"),
	OM_CG("om_device", "cg_sock", "cgroup/dev"),
	OM_CG("om_egress_skb", "cg_skb", "cgroup_skb/egress"),
	OM_CG("om_ingress_skb", "cg_skb", "cgroup_skb/ingress"),
	{"om_object_key", "key", "syscall", NULL, OM_LAYER_KERNEL, OM_PROG_RUN | OM_PROG_REQUIRED},
};
const size_t om_progs_count = OM_ARRAY_LEN(om_progs);

const struct om_prog *om_prog_find(const char *name)
{
	for (size_t i = 0; i < om_progs_count; i++)
		if (!strcmp(om_progs[i].name, name))
			return &om_progs[i];
	return NULL;
}

/* The network objects come first: they make the maps that every host has. */
const struct om_bpf_object_def om_objects_defs[] = {
	{"cg_sock", OM_LAYER_NETWORK, cg_sock_bpf__elf_bytes},
	{"cg_skb", OM_LAYER_NETWORK, cg_skb_bpf__elf_bytes},
	{"lsm_file", OM_LAYER_KERNEL, lsm_file_bpf__elf_bytes},
	{"lsm_exec", OM_LAYER_KERNEL, lsm_exec_bpf__elf_bytes},
	{"key", OM_LAYER_KERNEL, key_bpf__elf_bytes},
};
const size_t om_objects_count = OM_ARRAY_LEN(om_objects_defs);
