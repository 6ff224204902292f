/*
 * The load role's half of the view: granted objects opened, mounts prepared but attached nowhere.
 *
 * Comes in: a bundle, the image's root. Goes out: detached mounts for the shim, object keys for BPF.
 * Called by: the transaction's steps. Never does: attach a mount anywhere in the host's namespace, so
 * that closing the descriptors undoes everything.
 */
#ifndef OMEGA_LOADER_VIEW_H
#define OMEGA_LOADER_VIEW_H

#include <stdint.h>
#include <loader/bpf.h>
#include <omega/bundle.h>
#include <omega/err.h>

/* One row of OM_SEC_VIEW. */
struct om_source {
	int fd;	  /* O_PATH; -1: tmpfs */
	char *to; /* canonical path in the view, malloc'd; NULL until the skeleton is made */
};

/* Directories of the agent itself; NULL or "": none. No grant reaches them (own.h). */
struct om_own_names {
	const char *run_dir, *state_dir, *bpffs, *libexec;
};

struct om_objects {
	struct om_resolved *v;
	uint32_t count, cap;
};

struct om_resolution {
	int root; /* of the image, O_PATH */
	struct om_source *sources;
	uint32_t count;
	struct om_objects objs;
};

struct om_view {
	int root;    /* detached private tmpfs, -1 */
	int *mounts; /* detached, in the order of OM_SEC_VIEW */
	char **to;   /* canonical targets, owned */
	uint32_t count;
};

/*
 * Opens what FILES and VIEW name. B may be NULL: without BPF no keys are made. With VIEW false (no
 * process layer) paths are the host's own. OM_ERR_RESOLVE names path and manifest line, OM_ERR_OWN
 * also the agent's directory that the grant would reach.
 */
int om_resolve(struct om_bpf *b, const struct om_bundle *bundle, bool view,
	       const struct om_own_names *own, struct om_resolution *out, struct om_err *err)
	OM_MUST_CHECK;
void om_resolution_done(struct om_resolution *r);

/* Makes the private root with its skeleton, and one detached mount per row. Adds the keys of what it made. */
int om_view_prepare(struct om_bpf *b, const struct om_bundle *bundle, struct om_resolution *res,
		    struct om_view *out, struct om_err *err) OM_MUST_CHECK;
void om_view_done(struct om_view *v);

/* Adds one object; later sorted and merged by om_objects_merge. PATTERN may be NULL. */
int om_objects_add(struct om_bpf *b, struct om_objects *o, int fd, uint32_t self, uint32_t tree,
		   const struct om_pattern *pattern, uint32_t grant, struct om_err *err)
	OM_MUST_CHECK;
/* One entry per object: masks are united, patterns collected. */
int om_objects_merge(struct om_objects *o, struct om_err *err) OM_MUST_CHECK;

/* skeleton.c: a private root in the making. DIR and CANON remember the last way that was walked. */
struct om_skeleton {
	int skel;  /* a detached tmpfs */
	int image; /* whose names and links are followed */
	mode_t mode;
	char dir[OM_PATH_MAX];	 /* as granted; "": none */
	char canon[OM_PATH_MAX]; /* where it is in SKEL, without a leading slash */
};

/*
 * Makes in S->skel the directories and symbolic links that lead to PATH as in S->image, and a place to
 * mount a directory or a file on. CANON (of OM_PATH_MAX) gets where that is. Returns 0 or -errno.
 */
int om_skeleton_add(struct om_skeleton *s, const char *path, bool dir, char *canon) OM_MUST_CHECK;
/* The links /bin, /sbin, /lib… of a merged /usr. */
int om_skeleton_usr(int skel, int image) OM_MUST_CHECK;

#endif
