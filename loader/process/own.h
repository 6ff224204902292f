/*
 * What belongs to the agent itself, and whether a grant reaches it.
 *
 * Comes in: the agent's directories, an open object, the rights that a grant gives on it. Goes out: yes, no,
 * or "the kernel must leave a hole in it". Called by: resolve.c only. Never does: read a name inside the
 * agent's directories; believe a path that the mount table does not confirm.
 */
#ifndef OMEGA_LOADER_OWN_H
#define OMEGA_LOADER_OWN_H

#include <stdbool.h>
#include <stdint.h>
#include <loader/process/view.h>

#define OM_OWN_DIRS_MAX 8

struct om_mount_row {
	uint64_t id;
	char *dev;  /* "0:31", as the mount table writes it */
	char *root; /* of the mount, inside its file system */
	char *at;   /* mount point on the host */
};

struct om_own {
	struct om_mount_row *mounts;
	uint32_t mount_count;
	struct om_own_dir {
		int fd;
		const char *dev; /* of a row of MOUNTS */
		char *path;	 /* inside that file system */
		const char *name;
		bool programs; /* may be read and executed, never changed */
	} dirs[OM_OWN_DIRS_MAX];
	uint32_t count;
	uint32_t above; /* bit I: a granted tree holds dirs[I] and BPF-LSM must carve it out */
};

/* Undoes the octal escapes of a field of mountinfo in place. */
void om_mount_unescape(char *s);
/* NAMES may name directories that do not exist: nothing of them can be granted. */
int om_own_open(const struct om_own_names *names, struct om_own *out, struct om_err *err)
	OM_MUST_CHECK;
void om_own_done(struct om_own *o);
/* What a grant gives on one object. */
struct om_own_rights {
	uint32_t self, tree; /* OM_MAY_* */
	uint32_t names;	     /* by a pattern, on names in this directory */
	bool holes;	     /* BPF-LSM decides: a readable tree can have holes */
	bool submount;	     /* nobody named it: it is mounted below a granted tree */
};
/*
 * 0: may be granted, with the carve-outs of O->above. 1: a submount of the agent's, to be left out.
 * OM_ERR_OWN names the directory that the grant reaches.
 */
int om_own_judge(struct om_own *o, int fd, const struct om_own_rights *r, struct om_err *err)
	OM_MUST_CHECK;

#endif
