/*
 * The bundle reader's second half: what is inside the sections.
 *
 * Comes in: a block whose layout holds. Goes out: 0, or the first element that is not as the writer
 * makes it. Called by: om_bundle_open. Never does: decide policy; it refuses what would make the
 * privileged loader act outside its contract (a name that climbs out of a directory, a mask with
 * bits that no hook knows, a jump out of the filter).
 */
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <string.h>

#include <base/bundle_sec.h>
#include <omega/abi/policy.h>
#include <omega/ir.h>

#define MAY_ALL (OM_MAY_READ | OM_MAY_WRITE | OM_MAY_EXEC | OM_MAY_CREATE | OM_MAY_REMOVE)
#define SLOT_KEEP                                                                               \
	(OM_SLOT_AUDIT | OM_SLOT_WRITE_EXEC | OM_SLOT_KERNEL | OM_SLOT_NETWORK | OM_SLOT_VIEW | \
	 OM_SLOT_OWN_NET)
#define MNT_ALL \
	(OM_MNT_TMPFS | OM_MNT_RO | OM_MNT_NOEXEC | OM_MNT_DEVICE | OM_MNT_TREE | OM_MNT_DIR)
#define STDIO_ALL (OM_STDIO_IN | OM_STDIO_OUT | OM_STDIO_ERR)
#define RLIMITS	  16u /* RLIM_NLIMITS */

/* Which element and what of it; the block's own bytes are never printed. */
static int bad(struct om_err *err, enum om_section sec, uint32_t i, const char *what)
{
	return om_err_set(err, OM_ERR_BUNDLE_FORMAT, -EINVAL, "%s[%u]: %s",
			  om_bundle_sec(sec)->name, i, what);
}

/*
 * A string of less than MAX bytes that starts where a string starts. The bound also keeps the whole
 * check linear: a million elements cannot each walk the same megabyte.
 */
static const char *str_at(const struct om_bundle *b, uint32_t off, size_t max)
{
	uint32_t n;
	const char *s = om_bundle_section(b, OM_SEC_STRINGS, &n);

	if (off >= n || (off && s[off - 1]))
		return NULL;
	return strnlen(s + off, OM_MIN(max, (size_t)(n - off))) < max ? s + off : NULL;
}

/* Absolute, no "", "." or "..": the loader joins it to a root it holds open. */
static bool path_ok(const char *p)
{
	if (!p || *p != '/')
		return false;
	if (!p[1])
		return true;
	while (*p) {
		size_t n = strcspn(++p, "/");

		if (n == 0 || n > OM_COMPONENT_MAX)
			return false;
		if (p[0] == '.' && (n == 1 || (n == 2 && p[1] == '.')))
			return false;
		p += n;
	}
	return true;
}

/* Lists of what is allowed: a list of what is forbidden always misses one. */
static bool charset_ok(const char *s, const char *set)
{
	return s && *s && s[strspn(s, set)] == '\0';
}

/* The name becomes a directory in cgroupfs and a host name. */
static bool name_ok(const char *s)
{
	return charset_ok(s, "abcdefghijklmnopqrstuvwxyz0123456789-") && s[0] != '-' &&
	       s[strlen(s) - 1] != '-';
}

/* An index past the grants would be read by whoever explains a denial. */
static bool grant_ok(const struct om_bundle *b, uint32_t grant)
{
	return grant == UINT32_MAX || grant < b->head->sec[OM_SEC_GRANTS].count;
}

static int check_meta(const struct om_bundle *b, struct om_err *err)
{
	const struct om_b_meta *m = b->meta;
	const char *dir;

	if (!name_ok(str_at(b, m->name, OM_NAME_MAX + 1)))
		return bad(err, OM_SEC_META, 0, "name");
	if (!str_at(b, m->substrate, 256))
		return bad(err, OM_SEC_META, 0, "substrate");
	dir = str_at(b, m->image_dir, OM_PATH_MAX);
	if (!dir || (m->image == OM_IMAGE_DIR && !path_ok(dir)) ||
	    (m->image == OM_IMAGE_HOST && *dir) || m->image > OM_IMAGE_DIR)
		return bad(err, OM_SEC_META, 0, "image");
	if (!path_ok(str_at(b, m->workdir, OM_PATH_MAX)))
		return bad(err, OM_SEC_META, 0, "workdir");
	if (m->user == UINT32_MAX)
		return bad(err, OM_SEC_META, 0, "user");
	if (m->restart > OM_RESTART_ALWAYS || m->mode > OM_MODE_AUDIT ||
	    m->on_full > OM_ON_FULL_COUNT || m->netns > 1 || m->pad)
		return bad(err, OM_SEC_META, 0, "unknown value");
	if ((m->layers & ~OM_LAYER_ALL) || (m->slot_flags & ~SLOT_KEEP) || (m->stdio & ~STDIO_ALL))
		return bad(err, OM_SEC_META, 0, "unknown bits");
	/* Set without such a namespace, the flag would open the host's abstract names. */
	if (m->slot_flags & OM_SLOT_OWN_NET && !m->netns)
		return bad(err, OM_SEC_META, 0, "network namespace");
	return 0;
}

/* argv and env go to execve as they are; a variable without a name would hide the next one. */
static int check_words(const struct om_bundle *b, enum om_section sec, struct om_err *err)
{
	uint32_t n;
	const uint32_t *w = om_bundle_section(b, sec, &n);

	for (uint32_t i = 0; i < n; i++) {
		const char *s = str_at(b, w[i], OM_MANIFEST_BYTES_MAX);

		if (!s)
			return bad(err, sec, i, "string");
		if (sec == OM_SEC_ENV && (!strchr(s, '=') || s[0] == '='))
			return bad(err, sec, i, "not NAME=value");
	}
	return 0;
}

/* What BPF-LSM will grant. Unknown bits are refused: a newer writer means something by them. */
static int check_files(const struct om_bundle *b, struct om_err *err)
{
	uint32_t n;
	const struct om_b_file *f = om_bundle_section(b, OM_SEC_FILES, &n);

	for (uint32_t i = 0; i < n; i++, f++) {
		const char *prefix = str_at(b, f->prefix, OM_PATTERN_PART_MAX + 1);
		const char *suffix = str_at(b, f->suffix, OM_PATTERN_PART_MAX + 1);

		if (!path_ok(str_at(b, f->path, OM_PATH_MAX)))
			return bad(err, OM_SEC_FILES, i, "path");
		if (!prefix || !suffix || strchr(prefix, '/') || strchr(suffix, '/'))
			return bad(err, OM_SEC_FILES, i, "pattern");
		if ((f->self & ~(MAY_ALL | OM_MAY_EXEC_BOUND)) ||
		    ((f->tree | f->pattern_may) & ~MAY_ALL))
			return bad(err, OM_SEC_FILES, i, "unknown bits");
		if (f->exact > 1 || (f->exact && (!*prefix || *suffix)))
			return bad(err, OM_SEC_FILES, i, "exact");
		/* A stray prefix without a mask would be a rule that a reader overlooks. */
		if (!f->pattern_may && (f->prefix || f->suffix || f->exact))
			return bad(err, OM_SEC_FILES, i, "pattern without rights");
		if (!grant_ok(b, f->grant))
			return bad(err, OM_SEC_FILES, i, "grant");
	}
	return 0;
}

/* What a row is bound to: of every bound row something, of others nothing, each once. */
static int check_digests(const struct om_bundle *b, struct om_err *err)
{
	uint32_t n, files, at = 0;
	const struct om_b_digest *d = om_bundle_section(b, OM_SEC_DIGESTS, &n);
	const struct om_b_file *f = om_bundle_section(b, OM_SEC_FILES, &files);

	for (uint32_t i = 0; i < n; i++) {
		if (d[i].file >= files || !(f[d[i].file].self & OM_MAY_EXEC_BOUND))
			return bad(err, OM_SEC_DIGESTS, i, "file");
		if (i && (d[i].file < d[i - 1].file ||
			  (d[i].file == d[i - 1].file &&
			   memcmp(d[i - 1].sha256, d[i].sha256, sizeof(d->sha256)) >= 0)))
			return bad(err, OM_SEC_DIGESTS, i, "not sorted");
	}
	for (uint32_t i = 0; i < files; i++) {
		if (!(f[i].self & OM_MAY_EXEC_BOUND))
			continue;
		/* The map finds contents by the grant: a row without one would share them with others. */
		if (f[i].grant == UINT32_MAX)
			return bad(err, OM_SEC_FILES, i, "contents without a grant");
		while (at < n && d[at].file < i)
			at++;
		if (at == n || d[at].file != i)
			return bad(err, OM_SEC_FILES, i, "bound to no content");
	}
	return 0;
}

/* What will be mounted, as root, from a path and to a path. */
static int check_view(const struct om_bundle *b, struct om_err *err)
{
	uint32_t n;
	const struct om_b_mount *m = om_bundle_section(b, OM_SEC_VIEW, &n);

	for (uint32_t i = 0; i < n; i++, m++) {
		bool tmpfs = m->flags & OM_MNT_TMPFS;

		if (!path_ok(str_at(b, m->to, OM_PATH_MAX)))
			return bad(err, OM_SEC_VIEW, i, "target");
		if (tmpfs ? m->from != 0 : !path_ok(str_at(b, m->from, OM_PATH_MAX)))
			return bad(err, OM_SEC_VIEW, i, "source");
		if ((m->flags & ~MNT_ALL) || (tmpfs && (m->flags & (OM_MNT_DEVICE | OM_MNT_TREE))))
			return bad(err, OM_SEC_VIEW, i, "flags");
		if (m->bytes && !tmpfs)
			return bad(err, OM_SEC_VIEW, i, "size without tmpfs");
		if (!grant_ok(b, m->grant))
			return bad(err, OM_SEC_VIEW, i, "grant");
	}
	return 0;
}

static bool proto_ok(uint8_t proto)
{
	return proto == OM_PROTO_TCP || proto == OM_PROTO_UDP;
}

/* Bits past the prefix must be zero: two spellings of one network would be two map entries. */
static bool host_bits_zero(const uint8_t addr[16], uint8_t bits)
{
	for (unsigned int i = bits; i < 128; i++)
		if (addr[i / 8] & (0x80u >> (i % 8)))
			return false;
	return true;
}

/*
 * Addresses, ports and protocols as the maps take them. The order of the egress rows is part of the
 * format: equal policies are equal bytes, and a duplicate key would fail the loader's read-back.
 */
static int check_net(const struct om_bundle *b, struct om_err *err)
{
	static const uint8_t v4[12] = {[10] = 0xff, [11] = 0xff};
	uint32_t n;
	const struct om_b_egress *e = om_bundle_section(b, OM_SEC_EGRESS, &n);
	const struct om_b_listen *l;
	const struct om_b_nft *t;

	for (uint32_t i = 0; i < n; i++, e++) {
		if (e->bits > 128 || !proto_ok(e->proto) || !e->port || !grant_ok(b, e->grant) ||
		    !host_bits_zero(e->addr, e->bits))
			return bad(err, OM_SEC_EGRESS, i, "value out of range");
		if (i && memcmp(e - 1, e, offsetof(struct om_b_egress, grant)) >= 0)
			return bad(err, OM_SEC_EGRESS, i, "not sorted");
	}
	l = om_bundle_section(b, OM_SEC_LISTEN, &n);
	for (uint32_t i = 0; i < n; i++, l++)
		if (!l->port || !proto_ok(l->proto) || l->pad || !grant_ok(b, l->grant))
			return bad(err, OM_SEC_LISTEN, i, "value out of range");
	t = om_bundle_section(b, OM_SEC_NFT, &n);
	for (uint32_t i = 0; i < n; i++, t++) {
		if (!t->port || !proto_ok(t->proto) || t->v6 > 1 || !grant_ok(b, t->grant) ||
		    memcmp(t->lo, t->hi, 16) > 0)
			return bad(err, OM_SEC_NFT, i, "value out of range");
		if (!t->v6 && (memcmp(t->lo, v4, 12) != 0 || memcmp(t->hi, v4, 12) != 0))
			return bad(err, OM_SEC_NFT, i, "not an IPv4 interval");
	}
	return 0;
}

/*
 * Only what our generator emits, every jump inside, every path ending in a return. The kernel checks
 * again; this is for the simulator and for a filter that is read back.
 */
static int check_seccomp(const struct om_bundle *b, struct om_err *err)
{
	uint32_t n;
	const struct om_b_insn *p = om_bundle_section(b, OM_SEC_SECCOMP, &n);

	for (uint32_t i = 0; i < n; i++) {
		uint32_t left = n - 1 - i; /* instructions after this one */

		switch (p[i].code) {
		case BPF_LD | BPF_W | BPF_ABS:
			if (p[i].k % 4 || p[i].k > 60 || !left)
				return bad(err, OM_SEC_SECCOMP, i, "load");
			break;
		case BPF_ALU | BPF_AND | BPF_K:
			if (!left)
				return bad(err, OM_SEC_SECCOMP, i, "falls off the end");
			break;
		case BPF_JMP | BPF_JA:
			if (p[i].k >= left)
				return bad(err, OM_SEC_SECCOMP, i, "jump");
			break;
		case BPF_JMP | BPF_JEQ | BPF_K:
		case BPF_JMP | BPF_JGT | BPF_K:
		case BPF_JMP | BPF_JGE | BPF_K:
		case BPF_JMP | BPF_JSET | BPF_K:
			if (p[i].jt >= left || p[i].jf >= left)
				return bad(err, OM_SEC_SECCOMP, i, "jump");
			break;
		case BPF_RET | BPF_K:
			break;
		default:
			return bad(err, OM_SEC_SECCOMP, i, "instruction");
		}
	}
	return 0;
}

static int check_limits(const struct om_bundle *b, struct om_err *err)
{
	uint32_t n;
	const struct om_b_cgroup *c = om_bundle_section(b, OM_SEC_CGROUP, &n);
	const struct om_b_rlimit *r;

	for (uint32_t i = 0; i < n; i++, c++) {
		const char *file = str_at(b, c->file, 64);
		const char *ctl = str_at(b, c->controller, 32);
		size_t k = ctl ? strlen(ctl) : 0;

		/*
		 * "memory.max" below controller "memory" and nothing else: a file named
		 * "cgroup.procs" or "../x" would let the compile role move processes.
		 */
		if (!charset_ok(file, "abcdefghijklmnopqrstuvwxyz._") || !k ||
		    !charset_ok(ctl, "abcdefghijklmnopqrstuvwxyz") || strcmp(ctl, "cgroup") == 0 ||
		    strncmp(file, ctl, k) != 0 || file[k] != '.')
			return bad(err, OM_SEC_CGROUP, i, "file");
		if (!charset_ok(str_at(b, c->value, 64), "abcdefghijklmnopqrstuvwxyz0123456789 :="))
			return bad(err, OM_SEC_CGROUP, i, "value");
		if (c->flags & ~OM_CGROUP_DEFAULT)
			return bad(err, OM_SEC_CGROUP, i, "unknown bits");
	}
	r = om_bundle_section(b, OM_SEC_RLIMIT, &n);
	for (uint32_t i = 0; i < n; i++, r++)
		if (r->resource >= RLIMITS || r->pad)
			return bad(err, OM_SEC_RLIMIT, i, "resource");
	return 0;
}

/* Texts for people; bounded like every string. */
static int check_grants(const struct om_bundle *b, struct om_err *err)
{
	uint32_t n;
	const struct om_b_grant *g = om_bundle_section(b, OM_SEC_GRANTS, &n);

	for (uint32_t i = 0; i < n; i++)
		if (!str_at(b, g[i].text, 2 * OM_PATH_MAX + 64))
			return bad(err, OM_SEC_GRANTS, i, "text");
	return 0;
}

int om_bundle_check(const struct om_bundle *b, struct om_err *err)
{
	int ret = check_meta(b, err);

	if (!ret)
		ret = check_words(b, OM_SEC_ARGV, err);
	if (!ret)
		ret = check_words(b, OM_SEC_ENV, err);
	if (!ret)
		ret = check_files(b, err);
	if (!ret)
		ret = check_digests(b, err);
	if (!ret)
		ret = check_view(b, err);
	if (!ret)
		ret = check_net(b, err);
	if (!ret)
		ret = check_seccomp(b, err);
	if (!ret)
		ret = check_limits(b, err);
	if (!ret)
		ret = check_grants(b, err);
	return ret;
}
