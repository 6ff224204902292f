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
#include "lsm_dir.skel.h"
#include "lsm_exec.skel.h"
#include "lsm_file.skel.h"
#include "lsm_guard.skel.h"
#include "lsm_hash.skel.h"
#include "lsm_net.skel.h"
#include "view.skel.h"

const char *const om_map_names[OM_MAP_COUNT] = {
	[OM_MAP_CONFIG] = "om_config",	   [OM_MAP_BRANES] = "om_branes",
	[OM_MAP_CGROUPS] = "om_cgroups",   [OM_MAP_EGRESS] = "om_egress",
	[OM_MAP_LISTEN] = "om_listen",	   [OM_MAP_EVENTS] = "om_events",
	[OM_MAP_STATS] = "om_stats",	   [OM_MAP_FOLDS] = "om_folds",
	[OM_MAP_HASH_KEY] = "om_hash_key", [OM_MAP_STATE] = "om_state",
	[OM_MAP_TASKS] = "om_tasks",	   [OM_MAP_SOCKS] = "om_socks",
	[OM_MAP_OBJECTS] = "om_objects",   [OM_MAP_PATTERNS] = "om_patterns",
	[OM_MAP_CONTENTS] = "om_contents", [OM_MAP_SEEN] = "om_seen",
	[OM_MAP_FILTER] = "om_filter",
};

#define OM_REQ OM_PROG_REQUIRED
#define OM_LSM(object, prog, hook, required, args)                        \
	{                                                                 \
#prog, #object, #hook, "bpf_lsm_" #hook, OM_LAYER_KERNEL, \
			OM_PROG_LSM | (required), (args)                  \
	}
/* What the other program of the hook needs to know, for sha256 grants only. */
#define OM_HASH(prog, hook)                                                             \
	{                                                                               \
#prog, "lsm_hash", "content/" #hook, "bpf_lsm_" #hook, OM_LAYER_KERNEL, \
			OM_PROG_LSM | OM_PROG_CONTENT, 0                                \
	}
#define OM_CG(object, prog, hook)                                                        \
	{                                                                                \
#prog, #object, hook, NULL, OM_LAYER_NETWORK, OM_PROG_CGROUP | OM_REQ, 0 \
	}
#define OM_FEXIT_UNLESS(object, prog, func, other)                                              \
	{                                                                                       \
#prog, #object, "fexit/" #func, #func, OM_LAYER_KERNEL, OM_PROG_FEXIT, 0, other \
	}
#define OM_FEXIT(object, prog, func) OM_FEXIT_UNLESS(object, prog, func, NULL)

/*
 * Optional are only hooks that a supported kernel lacks, each with what stands in: file_truncate
 * (6.2+; before, path_truncate sees ftruncate too), the two forms of inode_setattr (one must fit),
 * file_permission (before 6.5; after, splice
 * passes socket_sendmsg), ACL hooks (6.2+; before, xattr hooks), file_ioctl_compat (6.8+), uring_cmd and uring_allowed
 * (inode_init_security_anon denies every ring), and the view's programs, which decide nothing.
 */
const struct om_prog om_progs[] = {
	OM_LSM(lsm_guard, om_task_alloc, task_alloc, OM_REQ, 0),
	OM_LSM(lsm_file, om_file_open, file_open, OM_REQ, 0),
	OM_LSM(lsm_file, om_file_truncate, file_truncate, 0, 0),
	OM_LSM(lsm_file, om_path_truncate, path_truncate, OM_REQ, 0),
	OM_LSM(lsm_file, om_path_chmod, path_chmod, OM_REQ, 0),
	OM_LSM(lsm_file, om_path_chown, path_chown, OM_REQ, 0),
	OM_LSM(lsm_file, om_path_notify, path_notify, OM_REQ, 0),
	OM_LSM(lsm_file, om_inode_setattr2, inode_setattr, 0, 2),
	OM_LSM(lsm_file, om_inode_setattr3, inode_setattr, 0, 3),
	OM_LSM(lsm_file, om_inode_setxattr, inode_setxattr, OM_REQ, 0),
	OM_LSM(lsm_file, om_inode_removexattr, inode_removexattr, OM_REQ, 0),
	OM_LSM(lsm_file, om_inode_set_acl, inode_set_acl, 0, 0),
	OM_LSM(lsm_file, om_inode_remove_acl, inode_remove_acl, 0, 0),
	OM_LSM(lsm_file, om_file_ioctl, file_ioctl, OM_REQ, 0),
	OM_LSM(lsm_file, om_file_ioctl_compat, file_ioctl_compat, 0, 0),
	OM_LSM(lsm_file, om_file_lock, file_lock, OM_REQ, 0),
	OM_LSM(lsm_file, om_file_lease, file_fcntl, OM_REQ, 0),
	OM_LSM(lsm_dir, om_path_mknod, path_mknod, OM_REQ, 0),
	OM_LSM(lsm_dir, om_path_mkdir, path_mkdir, OM_REQ, 0),
	OM_LSM(lsm_dir, om_path_symlink, path_symlink, OM_REQ, 0),
	OM_LSM(lsm_dir, om_path_unlink, path_unlink, OM_REQ, 0),
	OM_LSM(lsm_dir, om_path_rmdir, path_rmdir, OM_REQ, 0),
	OM_LSM(lsm_dir, om_path_link, path_link, OM_REQ, 0),
	OM_LSM(lsm_dir, om_path_rename, path_rename, OM_REQ, 0),
	OM_LSM(lsm_dir, om_sb_mount, sb_mount, OM_REQ, 0),
	OM_LSM(lsm_dir, om_move_mount, move_mount, OM_REQ, 0),
	OM_LSM(lsm_dir, om_sb_pivotroot, sb_pivotroot, OM_REQ, 0),
	OM_LSM(lsm_dir, om_path_chroot, path_chroot, OM_REQ, 0),
	OM_LSM(lsm_dir, om_sb_umount, sb_umount, OM_REQ, 0),
	OM_LSM(lsm_dir, om_sb_remount, sb_remount, OM_REQ, 0),
	OM_LSM(lsm_exec, om_bprm_check, bprm_check_security, OM_REQ, 0),
	OM_LSM(lsm_exec, om_mmap_file, mmap_file, OM_REQ, 0),
	OM_LSM(lsm_exec, om_file_mprotect, file_mprotect, OM_REQ, 0),
	OM_HASH(om_hash_bprm, bprm_check_security),
	OM_HASH(om_hash_mmap, mmap_file),
	OM_LSM(lsm_net, om_socket_create, socket_create, OM_REQ, 0),
	OM_LSM(lsm_net, om_socket_post_create, socket_post_create, OM_REQ, 0),
	OM_LSM(lsm_net, om_socket_connect, socket_connect, OM_REQ, 0),
	OM_LSM(lsm_net, om_socket_sendmsg, socket_sendmsg, OM_REQ, 0),
	OM_LSM(lsm_net, om_socket_bind, socket_bind, OM_REQ, 0),
	OM_LSM(lsm_net, om_socket_listen, socket_listen, OM_REQ, 0),
	OM_LSM(lsm_net, om_socket_accept, socket_accept, OM_REQ, 0),
	OM_LSM(lsm_net, om_socket_setsockopt, socket_setsockopt, OM_REQ, 0),
	OM_LSM(lsm_net, om_unix_stream_connect, unix_stream_connect, OM_REQ, 0),
	OM_LSM(lsm_net, om_unix_may_send, unix_may_send, OM_REQ, 0),
	OM_LSM(lsm_net, om_file_receive, file_receive, OM_REQ, 0),
	OM_LSM(lsm_net, om_file_permission, file_permission, OM_PROG_SENDPAGE, 0),
	OM_LSM(lsm_guard, om_ptrace_access, ptrace_access_check, OM_REQ, 0),
	OM_LSM(lsm_guard, om_ptrace_traceme, ptrace_traceme, OM_REQ, 0),
	OM_LSM(lsm_guard, om_task_kill, task_kill, OM_REQ, 0),
	OM_LSM(lsm_guard, om_task_setnice, task_setnice, OM_REQ, 0),
	OM_LSM(lsm_guard, om_task_setscheduler, task_setscheduler, OM_REQ, 0),
	OM_LSM(lsm_guard, om_task_setioprio, task_setioprio, OM_REQ, 0),
	OM_LSM(lsm_guard, om_task_setrlimit, task_setrlimit, OM_REQ, 0),
	OM_LSM(lsm_guard, om_task_movememory, task_movememory, OM_REQ, 0),
	OM_LSM(lsm_guard, om_bpf, bpf, OM_REQ, 0),
	OM_LSM(lsm_guard, om_perf_event_open, perf_event_open, OM_REQ, 0),
	OM_LSM(lsm_guard, om_kernel_read_file, kernel_read_file, OM_REQ, 0),
	OM_LSM(lsm_guard, om_kernel_load_data, kernel_load_data, OM_REQ, 0),
	OM_LSM(lsm_guard, om_kernel_module_request, kernel_module_request, OM_REQ, 0),
	OM_LSM(lsm_guard, om_userns_create, userns_create, OM_REQ, 0),
	OM_LSM(lsm_guard, om_key_alloc, key_alloc, OM_REQ, 0),
	OM_LSM(lsm_guard, om_key_permission, key_permission, OM_REQ, 0),
	OM_LSM(lsm_guard, om_syslog, syslog, OM_REQ, 0),
	OM_LSM(lsm_guard, om_settime, settime, OM_REQ, 0),
	OM_LSM(lsm_guard, om_quotactl, quotactl, OM_REQ, 0),
	OM_LSM(lsm_guard, om_tun_dev_create, tun_dev_create, OM_REQ, 0),
	OM_LSM(lsm_guard, om_uring_override_creds, uring_override_creds, OM_REQ, 0),
	OM_LSM(lsm_guard, om_uring_sqpoll, uring_sqpoll, OM_REQ, 0),
	OM_LSM(lsm_guard, om_uring_cmd, uring_cmd, 0, 0),
	OM_LSM(lsm_guard, om_uring_allowed, uring_allowed, 0, 0),
	OM_LSM(lsm_guard, om_shm_shmat, shm_shmat, OM_REQ, 0),
	OM_LSM(lsm_guard, om_file_fcntl, file_fcntl, OM_REQ, 0),
	OM_LSM(lsm_guard, om_ipc_permission, ipc_permission, OM_REQ, 0),
	OM_LSM(lsm_guard, om_shm_alloc_security, shm_alloc_security, OM_REQ, 0),
	OM_LSM(lsm_guard, om_msg_queue_alloc_security, msg_queue_alloc_security, OM_REQ, 0),
	OM_LSM(lsm_guard, om_sem_alloc_security, sem_alloc_security, OM_REQ, 0),
	OM_LSM(lsm_guard, om_shm_shmctl, shm_shmctl, OM_REQ, 0),
	OM_LSM(lsm_guard, om_msg_queue_msgctl, msg_queue_msgctl, OM_REQ, 0),
	OM_LSM(lsm_guard, om_sem_semctl, sem_semctl, OM_REQ, 0),
	OM_LSM(lsm_guard, om_inode_create, inode_create, OM_REQ, 0),
	OM_LSM(lsm_guard, om_inode_unlink, inode_unlink, OM_REQ, 0),
	OM_LSM(lsm_guard, om_anon_inode, inode_init_security_anon, OM_REQ, 0),
	OM_FEXIT(view, om_view_open, do_filp_open),
	OM_FEXIT(view, om_view_file_open, do_file_open), /* its name from 7.0 on */
	OM_FEXIT(view, om_view_lookup, filename_lookup),
	OM_FEXIT(view, om_view_parent, path_parentat),
	OM_FEXIT_UNLESS(view, om_view_parentat, __filename_parentat, "path_parentat"),
	OM_FEXIT(view, om_view_change, mnt_want_write),
	OM_FEXIT(view, om_view_change_file, mnt_want_write_file),
	OM_CG(cg_sock, om_connect4, "cgroup/connect4"),
	OM_CG(cg_sock, om_connect6, "cgroup/connect6"),
	OM_CG(cg_sock, om_sendmsg4, "cgroup/sendmsg4"),
	OM_CG(cg_sock, om_sendmsg6, "cgroup/sendmsg6"),
	OM_CG(cg_sock, om_bind4, "cgroup/bind4"),
	OM_CG(cg_sock, om_bind6, "cgroup/bind6"),
	OM_CG(cg_sock, om_sock_create, "cgroup/sock_create"),
	OM_CG(cg_sock, om_device, "cgroup/dev"),
	OM_CG(cg_skb, om_egress_skb, "cgroup_skb/egress"),
	OM_CG(cg_skb, om_ingress_skb, "cgroup_skb/ingress"),
	{"om_object_key", "key", "syscall", NULL, OM_LAYER_KERNEL, OM_PROG_RUN | OM_REQ, 0},
};
const size_t om_progs_count = OM_ARRAY_LEN(om_progs);

const struct om_prog *om_prog_find(const char *name)
{
	for (size_t i = 0; i < om_progs_count; i++)
		if (!strcmp(om_progs[i].name, name))
			return &om_progs[i];
	return NULL;
}

/*
 * The network objects come first: they make the maps that every host has. The guard is the first of
 * the kernel layer, so that labels are inherited before anything else asks for them.
 */
const struct om_bpf_object_def om_objects_defs[] = {
	{"cg_sock", OM_LAYER_NETWORK, cg_sock_bpf__elf_bytes},
	{"cg_skb", OM_LAYER_NETWORK, cg_skb_bpf__elf_bytes},
	{"lsm_guard", OM_LAYER_KERNEL, lsm_guard_bpf__elf_bytes},
	{"lsm_file", OM_LAYER_KERNEL, lsm_file_bpf__elf_bytes},
	{"lsm_dir", OM_LAYER_KERNEL, lsm_dir_bpf__elf_bytes},
	{"lsm_exec", OM_LAYER_KERNEL, lsm_exec_bpf__elf_bytes},
	/* After lsm_exec: what is attached last is called first, and lsm_exec needs what this one finds. */
	{"lsm_hash", OM_LAYER_KERNEL, lsm_hash_bpf__elf_bytes, true},
	{"lsm_net", OM_LAYER_KERNEL, lsm_net_bpf__elf_bytes},
	{"view", OM_LAYER_KERNEL, view_bpf__elf_bytes},
	{"key", OM_LAYER_KERNEL, key_bpf__elf_bytes},
};
const size_t om_objects_count = OM_ARRAY_LEN(om_objects_defs);
