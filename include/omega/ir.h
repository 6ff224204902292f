/*
 * The intermediate representation: what one brane is and what it is granted.
 *
 * Comes in: from policies/caps (lower). Goes out: to the normaliser, the interpreter and the emitters.
 * Called by: policies/ only. Never does: hold anything that depends on this host (no inode, no
 * resolved address, no clock): the same manifest has the same IR and the same policy id everywhere.
 *
 * All strings are NUL-terminated UTF-8 without an embedded NUL, in the IR's arena.
 */
#ifndef OMEGA_IR_H
#define OMEGA_IR_H

#include <stdbool.h>
#include <stdint.h>
#include <omega/abi/op.h>
#include <omega/diag.h>

struct om_arena;

/* Layers a manifest can require: `layers = [...]`. The default is all three. */
#define OM_LAYER_PROCESS 0x1u /* "process": namespaces, view, seccomp, cgroup limits */
#define OM_LAYER_KERNEL	 0x2u /* "kernel": BPF-LSM */
#define OM_LAYER_NETWORK 0x4u /* "network": cgroup BPF, nftables */
#define OM_LAYER_ALL	 0x7u

enum om_grant_kind {
	OM_GRANT_FILE,	  /* filesystem.read/write/create/exec */
	OM_GRANT_MOUNT,	  /* filesystem.mounts */
	OM_GRANT_EGRESS,  /* network.egress, address form */
	OM_GRANT_LISTEN,  /* network.listen */
	OM_GRANT_LIMIT,	  /* limits.* */
	OM_GRANT_ENV,	  /* environment.* */
	OM_GRANT_STDIO,	  /* stdio.* */
	OM_GRANT_SYSCALL, /* syscalls.allow */
};

#define OM_DIGEST_LEN 32u /* SHA-256 */

/* A place in the brane's own view. */
struct om_grant_file {
	const char *path;   /* absolute, canonical, no trailing slash except "/" itself */
	uint32_t may;	    /* OM_MAY_* */
	bool tree;	    /* the manifest had a trailing slash: everything below, and itself */
	const char *prefix; /* create pattern: path is the directory, prefix*suffix the name; */
	const char *suffix; /* NULL, NULL: no pattern. suffix NULL, prefix set: exact name */
	/*
	 * With OM_MAY_EXEC_BOUND: the contents that may be executed. Only of an object; then they count
	 * whatever a tree around it gives.
	 */
	const uint8_t (*sha256)[OM_DIGEST_LEN];
	uint32_t digests;
};

struct om_grant_mount {
	const char *from; /* source in the image; NULL: tmpfs */
	const char *to;
	uint32_t may;	/* READ, or READ|WRITE|CREATE|REMOVE, EXEC if the manifest says so */
	uint64_t bytes; /* tmpfs size, 0 for binds */
};

struct om_grant_egress {
	uint8_t addr[16]; /* IPv4 as ::ffff:a.b.c.d; host bits are zero */
	uint8_t bits;	  /* 0-128; IPv4 /n is 96 + n */
	uint8_t proto;	  /* OM_PROTO_* */
	uint16_t port_lo; /* 1-65535; lo == hi for one port */
	uint16_t port_hi;
};

struct om_grant_listen {
	uint8_t proto;
	uint16_t port; /* 1-65535 */
};

enum om_limit {
	OM_LIMIT_CPU,	 /* thousandths of a core */
	OM_LIMIT_MEMORY, /* bytes */
	OM_LIMIT_PIDS,	 /* tasks */
	OM_LIMIT_FILES,	 /* open descriptors a process */
	OM_LIMIT_IO,	 /* bytes a second, reading and writing each */
	OM_LIMIT_CORE,	 /* core file bytes */
};

struct om_grant_limit {
	enum om_limit which;
	uint64_t value;
};

struct om_grant_env {
	const char *name;  /* [A-Za-z_][A-Za-z0-9_]* */
	const char *value; /* never a secret: the log and `describe` show it */
};

enum om_stdio {
	OM_STDIO_IN = 0x1, /* otherwise /dev/null */
	OM_STDIO_OUT = 0x2,
	OM_STDIO_ERR = 0x4,
};

struct om_grant_stdio {
	uint32_t which; /* OM_STDIO_* */
};

struct om_grant_syscall {
	const char *name; /* as libseccomp resolves it */
	int nr;		  /* x86_64 number */
};

struct om_grant {
	enum om_grant_kind kind;
	struct om_pos pos; /* where the manifest says so; no part of the digest */
	union {
		struct om_grant_file file;
		struct om_grant_mount mount;
		struct om_grant_egress egress;
		struct om_grant_listen listen;
		struct om_grant_limit limit;
		struct om_grant_env env;
		struct om_grant_stdio stdio;
		struct om_grant_syscall syscall;
	};
};

enum om_image { OM_IMAGE_HOST, OM_IMAGE_DIR }; /* "host:", "dir:/path"; others are refused */
enum om_restart { OM_RESTART_NEVER, OM_RESTART_ON_FAILURE, OM_RESTART_ALWAYS };
enum om_mode { OM_MODE_ENFORCE, OM_MODE_AUDIT };
/* What happens to the brane when the audit log cannot be written. `on-log-full = "..."` */
enum om_on_full { OM_ON_FULL_FREEZE, OM_ON_FULL_KILL, OM_ON_FULL_COUNT };

struct om_ir {
	struct om_arena *arena; /* owned */
	const char *name;	/* OM_NAME_MAX */
	struct om_pos pos;	/* of the brane's table header */
	const char *substrate;	/* NULL: any */
	enum om_image image;
	const char *image_dir; /* for OM_IMAGE_DIR */
	const char **argv;     /* argc entries and a NULL; argc 0: the manifest names no command */
	uint32_t argc;
	const char *workdir; /* "/" by default */
	uint32_t user;	     /* uid and gid, default 65534 */
	enum om_restart restart;
	enum om_mode mode;
	enum om_on_full on_full;
	uint32_t layers; /* OM_LAYER_* */
	bool write_exec; /* filesystem.allow-write-exec */
	struct om_grant *grants;
	uint32_t count;
	uint32_t cap;
	uint8_t policy_id[32]; /* set by om_ir_normalise */
};

#endif
