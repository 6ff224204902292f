/*
 * The operations that Omega decides about, and the layers that decide. Shared with BPF.
 *
 * An op is the same number in a request (request.h), in a kernel event (abi/event.h) and in the audit
 * log's attribution, so that "what was denied" and "what would have granted it" cannot drift apart.
 * Numbers are stable: they are stored in maps that outlive the agent. New ones go at the end.
 */
#ifndef OMEGA_ABI_OP_H
#define OMEGA_ABI_OP_H

enum om_op {
	OM_OP_NONE = 0,
	OM_OP_FILE_READ = 1,   /* open for reading, list a directory */
	OM_OP_FILE_WRITE = 2,  /* change content or metadata, map shared writable */
	OM_OP_FILE_CREATE = 3, /* make an entry in a directory (file, dir, link target side) */
	OM_OP_FILE_REMOVE = 4, /* unlink, rmdir, rename away */
	OM_OP_FILE_EXEC = 5,   /* execve, or map executable */
	OM_OP_FILE_ABSENT = 6, /* the path is not in the brane's view (ENOENT before any hook) */
	OM_OP_MEM_EXEC = 7,    /* executable memory that no granted file backs */
	OM_OP_NET_CONNECT = 8, /* connect or send to an address */
	OM_OP_NET_LISTEN = 9,  /* bind or listen on a port */
	OM_OP_NET_SOCKET = 10, /* a socket of a family, type or protocol no grant can name */
	OM_OP_NET_UNIX = 11,   /* a unix socket outside the brane */
	OM_OP_NET_RECV = 12,   /* a packet from outside that answers nothing */
	OM_OP_SYSCALL = 13,    /* a system call outside the profile */
	OM_OP_PTRACE = 14,     /* look into or steer another process */
	OM_OP_SIGNAL = 15,     /* signal a process outside the brane */
	OM_OP_MOUNT = 16,      /* mount, umount, pivot_root, move_mount, chroot */
	OM_OP_NAMESPACE = 17,  /* a new user namespace */
	OM_OP_BPF = 18,	       /* bpf() */
	OM_OP_PERF = 19,       /* perf_event_open */
	OM_OP_MODULE = 20,     /* load code or firmware into the kernel */
	OM_OP_KEY = 21,	       /* keyrings */
	OM_OP_DEVICE = 22,     /* open, make or steer a device */
	OM_OP_SYSTEM = 23,     /* time, syslog, quota and other machine-wide settings */
	OM_OP_SCOPE = 24,      /* label and cgroup name different branes */
	OM_OP_ENV = 25,	       /* an environment variable (process setup, never a kernel event) */
	OM_OP_STDIO = 26,      /* stdin, stdout, stderr (process setup, never a kernel event) */
	OM_OP_LIMIT = 27,      /* a resource limit that was hit */
	OM_OP_COUNT
};

/* The layer that answered first. */
enum om_where {
	OM_WHERE_NONE = 0,
	OM_WHERE_LSM = 1,	 /* BPF-LSM */
	OM_WHERE_CGROUP_BPF = 2, /* sock_addr, sock_create, cgroup_skb, device */
	OM_WHERE_NFT = 3,
	OM_WHERE_SECCOMP = 4,
	OM_WHERE_VIEW = 5,    /* the mount namespace */
	OM_WHERE_CGROUP = 6,  /* limits */
	OM_WHERE_PROCESS = 7, /* process setup */
	OM_WHERE_COUNT
};

/* What a file operation needs, and what a grant gives. Bits of om_object_val.self and .tree. */
#define OM_MAY_READ   0x01u
#define OM_MAY_WRITE  0x02u
#define OM_MAY_EXEC   0x04u
#define OM_MAY_CREATE 0x08u
#define OM_MAY_REMOVE 0x10u
/*
 * Executed or mapped executable only with one of the contents that the grant names. Of one object, never
 * of a tree; where it stands beside OM_MAY_EXEC, or below a tree that gives that, it is the one that counts.
 */
#define OM_MAY_EXEC_BOUND 0x20u
/* Only the loader writes it: the agent's own directory, out of which no grant above it gives anything. */
#define OM_MAY_NEVER 0x80u

#define OM_PROTO_TCP 6
#define OM_PROTO_UDP 17

#endif
