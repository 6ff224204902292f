/*
 * Kernel events: one record per denial, written by BPF to the pinned ring buffer om_events, and by
 * the shim (seccomp) to the drain role in the same shape. Shared with BPF.
 *
 * seq numbers the brane's denials from 0 without a gap, whether or not the event found room: a reader
 * that sees 7 after 5 knows that one was folded, and om_stat says how many in all.
 */
#ifndef OMEGA_ABI_EVENT_H
#define OMEGA_ABI_EVENT_H

#include <linux/types.h>
#include <omega/abi/op.h>

#define OM_EVENT_VERSION 2
#define OM_EVENT_PATH_MAX \
	1024 /* bytes of path kept for the report; longer ones are cut at the root side */

enum om_event_body {
	OM_BODY_NONE = 0,
	OM_BODY_PATH = 1,    /* struct om_event_path */
	OM_BODY_NET = 2,     /* struct om_event: u.net */
	OM_BODY_SYS = 3,     /* u.sys */
	OM_BODY_TASK = 4,    /* u.task */
	OM_BODY_CONTENT = 5, /* struct om_event_content */
};

#define OM_EVENT_ALLOWED   0x01u /* audit mode: recorded, not denied */
#define OM_EVENT_TRUNCATED 0x02u /* the path is longer than what is kept */
#define OM_EVENT_ABSOLUTE \
	0x04u /* path is a plain string as the task gave it, not reversed components */

struct om_event_head {
	__u16 version; /* OM_EVENT_VERSION */
	__u8 body;     /* enum om_event_body */
	__u8 where;    /* enum om_where */
	__u16 op;      /* enum om_op */
	__u16 flags;   /* OM_EVENT_* */
	__u32 brane;
	__u32 policy;
	__u64 seq;
	__u64 time_ns; /* CLOCK_BOOTTIME */
	__u32 pid;     /* tgid in the initial pid namespace */
	__u32 tid;
	__u32 uid;
	__u32 need;    /* OM_MAY_* still missing, for file operations */
	char hook[24]; /* name of the hook that denied, NUL-padded: "file_open" */
	char comm[16];
};

struct om_event_net {
	__u16 family; /* AF_* */
	__u8 proto;   /* IPPROTO_*, 0 unknown */
	__u8 type;    /* SOCK_*, 0 unknown */
	__u16 port;   /* host order */
	__u16 pad;
	__u8 addr[16]; /* IPv4 as ::ffff:a.b.c.d */
};

struct om_event_sys {
	__u32 nr;
	__u32 arch; /* AUDIT_ARCH_* */
	__u64 args[4];
};

struct om_event_task {
	__u32 pid; /* the other task, initial pid namespace */
	__u32 arg; /* signal number, ptrace mode */
	char comm[16];
};

struct om_event {
	struct om_event_head head;
	union {
		struct om_event_net net;
		struct om_event_sys sys;
		struct om_event_task task;
		__u8 raw[40];
	} u;
};

struct om_event_path {
	struct om_event_head head;
	__u64 ino; /* OM_OP_FILE_ABSENT: the hash that om_folds counts repeats of this path under */
	__u32 dev;
	__u32 gen;
	__u32 path_len; /* bytes used in path */
	__u32 pad;
	/*
	 * Components from the leaf to the root, each followed by '/': "passwd/etc/". A reader
	 * reverses them. With OM_EVENT_ABSOLUTE: the string as given, "/etc/passwd".
	 */
	char path[OM_EVENT_PATH_MAX];
};

/* Why a content did not do. */
enum om_content_why {
	OM_CONTENT_OTHER = 1,	/* sha256 is none of those that the grant names */
	OM_CONTENT_WRITERS = 2, /* open for writing: it could change after it was looked at */
	OM_CONTENT_UNREAD = 3,	/* the kernel could not say what it is; sha256 is zero */
};

/* The object is granted, its content is not. */
struct om_event_content {
	struct om_event_path path;
	__u8 sha256[32]; /* of what is there */
	__u32 grant;	 /* om_object_val.grant */
	__u32 why;	 /* enum om_content_why */
};

#ifndef __bpf__
_Static_assert(sizeof(struct om_event_head) == 88, "om_event_head");
_Static_assert(sizeof(struct om_event_net) == 24, "om_event_net");
_Static_assert(sizeof(struct om_event_sys) == 40, "om_event_sys");
_Static_assert(sizeof(struct om_event_task) == 24, "om_event_task");
_Static_assert(sizeof(struct om_event) == 128, "om_event");
_Static_assert(sizeof(struct om_event_path) == 88 + 24 + OM_EVENT_PATH_MAX, "om_event_path");
_Static_assert(sizeof(struct om_event_content) == sizeof(struct om_event_path) + 40,
	       "om_event_content");
#endif

#endif
