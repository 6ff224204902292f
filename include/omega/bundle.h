/*
 * The policy bundle: everything the loader needs to enforce one brane, as one flat, self-contained,
 * position-independent block of bytes.
 *
 * Comes in: from policies/emit, one section per layer. Goes out: to the loader, to the stored copy
 * that a restarted agent adopts and verifies against, to the simulators. Called by: the compile role
 * (writes), loader and simulators (read). Never does: hold a pointer, a file descriptor or a secret.
 *
 * The reader trusts nothing: the bundle crosses from the unprivileged compile role into the
 * privileged load role, so every offset, count and string is checked once by om_bundle_open and only
 * then handed out. Integers are in host order (a bundle never leaves its host).
 */
#ifndef OMEGA_BUNDLE_H
#define OMEGA_BUNDLE_H

#include <stddef.h>
#include <stdint.h>
#include <omega/err.h>
#include <omega/limits.h>

#define OM_BUNDLE_MAGIC	  "OMEGAPB1"
#define OM_BUNDLE_VERSION 2

enum om_section {
	OM_SEC_META = 1, /* one struct om_b_meta */
	OM_SEC_STRINGS,	 /* bytes; offset 0 is the empty string; every string ends in NUL */
	OM_SEC_ARGV,	 /* uint32_t string offsets */
	OM_SEC_ENV,	 /* uint32_t string offsets of "NAME=value" */
	OM_SEC_FILES,	 /* struct om_b_file: BPF-LSM objects, by path in the view */
	OM_SEC_VIEW,	 /* struct om_b_mount: in the order to be mounted */
	OM_SEC_EGRESS,	 /* struct om_b_egress: cgroup BPF and BPF-LSM */
	OM_SEC_LISTEN,	 /* struct om_b_listen */
	OM_SEC_NFT,	 /* struct om_b_nft: set elements */
	OM_SEC_SECCOMP,	 /* struct om_b_insn: the filter, as struct sock_filter */
	OM_SEC_CGROUP,	 /* struct om_b_cgroup: files to write */
	OM_SEC_RLIMIT,	 /* struct om_b_rlimit */
	OM_SEC_GRANTS,	 /* struct om_b_grant: text and position of each grant, for reports */
	OM_SEC_DIGESTS,	 /* struct om_b_digest: contents that rows of FILES are bound to */
	OM_SEC_COUNT
};

struct om_b_head {
	char magic[8];
	uint32_t version;
	uint32_t total; /* bytes, this header included */
	uint8_t policy_id[32];
	struct {
		uint32_t off; /* from the start, 8-aligned; 0 if count is 0 */
		uint32_t count;
	} sec[OM_SEC_COUNT];
	uint8_t digest[32]; /* SHA-256 of the whole block with this field zero */
};

struct om_b_meta {
	uint32_t name, substrate, image_dir, workdir; /* string offsets */
	uint32_t image;				      /* enum om_image */
	uint32_t user;
	uint32_t restart;    /* enum om_restart */
	uint32_t mode;	     /* enum om_mode */
	uint32_t on_full;    /* enum om_on_full */
	uint32_t layers;     /* OM_LAYER_* */
	uint32_t slot_flags; /* OM_SLOT_* to publish */
	uint32_t stdio;	     /* OM_STDIO_* */
	uint32_t netns;	     /* 1: an empty network namespace of its own; 0: the host's */
	uint32_t pad;
};

struct om_b_file {
	uint32_t path;		 /* absolute, in the view */
	uint32_t self;		 /* OM_MAY_* */
	uint32_t tree;		 /* OM_MAY_* */
	uint32_t prefix, suffix; /* pattern on names in this directory; both 0: none */
	uint32_t pattern_may;	 /* OM_MAY_* for names that match; 0: no pattern */
	uint32_t exact;		 /* pattern without a star: the name is prefix */
	uint32_t grant;		 /* index into OM_SEC_GRANTS */
};

/*
 * A row of FILES with OM_MAY_EXEC_BOUND in self has at least one. Sorted by file, then sha256; no
 * duplicates.
 */
struct om_b_digest {
	uint32_t file; /* index into OM_SEC_FILES */
	uint8_t sha256[32];
};

#define OM_MNT_TMPFS  0x01u
#define OM_MNT_RO     0x02u
#define OM_MNT_NOEXEC 0x04u /* nosuid and nodev are always set, except nodev on OM_MNT_DEVICE */
#define OM_MNT_DEVICE 0x08u /* one of the harmless character devices, named by the manifest */
#define OM_MNT_TREE   0x10u /* a directory with all below it; submounts of the source come along */
/*
 * A directory whose own entries come along, without submounts (a pattern in it is granted). With
 * neither TREE nor DIR only the object itself is granted: where BPF-LSM does not decide, the loader
 * must refuse a source that is a directory.
 */
#define OM_MNT_DIR 0x20u
struct om_b_mount {
	uint32_t from; /* path in the image; 0 for tmpfs */
	uint32_t to;   /* path in the view */
	uint32_t flags;
	uint32_t grant; /* index into OM_SEC_GRANTS; here and below, ~0: none made it */
	uint64_t bytes; /* tmpfs size */
};

struct om_b_egress { /* ranges of ports are expanded; sorted by memcmp; no duplicates */
	uint8_t addr[16];
	uint8_t bits;
	uint8_t proto;
	uint16_t port;
	uint32_t grant;
};

struct om_b_listen {
	uint16_t port;
	uint8_t proto;
	uint8_t pad;
	uint32_t grant;
};

struct om_b_nft { /* one interval of addresses, inclusive; IPv4 as ::ffff: form */
	uint8_t lo[16], hi[16];
	uint16_t port;
	uint8_t proto;
	uint8_t v6;
	uint32_t grant;
};

struct om_b_insn { /* the layout of struct sock_filter */
	uint16_t code;
	uint8_t jt, jf;
	uint32_t k;
};

/* Not named by the manifest but a default of ours: may be left out, and said so, without controller. */
#define OM_CGROUP_DEFAULT 0x1u
struct om_b_cgroup {
	uint32_t file;	     /* "memory.max" */
	uint32_t value;	     /* "134217728" */
	uint32_t controller; /* "memory": the file name's first part */
	uint32_t flags;	     /* OM_CGROUP_* */
};

struct om_b_rlimit {
	uint32_t resource; /* RLIMIT_* */
	uint32_t pad;
	uint64_t value; /* soft and hard */
};

struct om_b_grant {
	uint32_t text; /* `filesystem.read "/etc/api/"` */
	uint32_t line; /* of the manifest */
};

/* --- reading --- */

struct om_bundle {
	const uint8_t *data; /* borrowed */
	size_t len;
	const struct om_b_head *head;
	const struct om_b_meta *meta;
};

/*
 * Checks LEN bytes at DATA (8-aligned) completely: bounds, alignment, counts against limits.h, every
 * string offset of every element, the digest. OM_ERR_BUNDLE_FORMAT or OM_ERR_BUNDLE_DIGEST. Borrows
 * DATA for the life of *out.
 */
int om_bundle_open(const void *data, size_t len, struct om_bundle *out, struct om_err *err)
	OM_MUST_CHECK;

/* The elements of a section and how many; NULL and 0 when it is empty. */
const void *om_bundle_section(const struct om_bundle *b, enum om_section sec, uint32_t *count);
/* A string by offset; never NULL after a successful open. */
const char *om_bundle_str(const struct om_bundle *b, uint32_t off);

/* --- writing --- */

struct om_bundle_w;

int om_bundle_w_new(struct om_bundle_w **out, struct om_err *err) OM_MUST_CHECK;
void om_bundle_w_free(struct om_bundle_w *w); /* takes NULL */
/* Interns S; returns its offset through OFF. */
int om_bundle_w_str(struct om_bundle_w *w, const char *s, uint32_t *off, struct om_err *err)
	OM_MUST_CHECK;
/* Appends COUNT elements (of the section's own size) to SEC. */
int om_bundle_w_add(struct om_bundle_w *w, enum om_section sec, const void *elems, uint32_t count,
		    struct om_err *err) OM_MUST_CHECK;
/* Lays the block out, computes the digest. *DATA is malloc'd (8-aligned), the caller frees it. */
int om_bundle_w_finish(struct om_bundle_w *w, const uint8_t policy_id[static 32], uint8_t **data,
		       size_t *len, struct om_err *err) OM_MUST_CHECK;

#endif
