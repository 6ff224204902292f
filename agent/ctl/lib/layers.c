/*
 * Bundles as text, a file for each layer.
 *
 * Comes in: a checked bundle. Goes out: text. Called by: compile. Never does: leave an element out: what
 * is not understood is printed as numbers.
 */
#include <inttypes.h>
#include <string.h>
#include <omega/addr.h>
#include <omega/ir.h>
#include "agent/ctl/lib/layers.h"
#include "agent/ctl/lib/out.h"

void om_ctl_hex(const uint8_t id[static 32], char out[static 65])
{
	for (int i = 0; i < 32; i++)
		snprintf(out + 2 * i, 3, "%02x", id[i]);
}

static void put_str(const struct om_bundle *b, uint32_t off, FILE *f)
{
	const char *s = om_bundle_str(b, off);

	om_ctl_put(f, s, strlen(s));
}

/* The manifest's own words for what made an element. */
static void put_grant(const struct om_bundle *b, uint32_t grant, FILE *f)
{
	uint32_t n;
	const struct om_b_grant *g = om_bundle_section(b, OM_SEC_GRANTS, &n);

	if (grant < n) {
		fprintf(f, "  # line %u: ", g[grant].line);
		put_str(b, g[grant].text, f);
	}
	fprintf(f, "\n");
}

static void put_may(uint32_t may, FILE *f)
{
	static const char *const names[] = {"read",   "write",	"exec",
					    "create", "remove", "exec-bound"};
	bool first = true;

	for (uint32_t i = 0; i < OM_ARRAY_LEN(names); i++) {
		if (!(may & (1u << i)))
			continue;
		fprintf(f, "%s%s", first ? "" : ",", names[i]);
		first = false;
	}
	if (first)
		fprintf(f, "-");
}

/* The contents that row ROW of FILES is bound to. */
static void put_digests(const struct om_bundle *b, uint32_t row, FILE *f)
{
	uint32_t n;
	const struct om_b_digest *d = om_bundle_section(b, OM_SEC_DIGESTS, &n);
	char hex[65];

	for (uint32_t i = 0; i < n; i++) {
		if (d[i].file != row)
			continue;
		om_ctl_hex(d[i].sha256, hex);
		fprintf(f, " sha256=%s", hex);
	}
}

static void put_lsm(const struct om_bundle *b, FILE *f)
{
	uint32_t n;
	const struct om_b_file *e = om_bundle_section(b, OM_SEC_FILES, &n);

	fprintf(f, "# Objects by path in the view: rights on itself, rights on all below it.\n"
		   "# The nearest object above a file decides; what has none is denied.\n");
	for (uint32_t i = 0; i < n; i++) {
		put_str(b, e[i].path, f);
		fprintf(f, "  self=");
		put_may(e[i].self, f);
		fprintf(f, " tree=");
		put_may(e[i].tree, f);
		if (e[i].pattern_may) {
			fprintf(f, " names \"");
			put_str(b, e[i].prefix, f);
			fprintf(f, "%s", e[i].exact ? "" : "*");
			put_str(b, e[i].suffix, f);
			fprintf(f, "\"=");
			put_may(e[i].pattern_may, f);
		}
		put_digests(b, i, f);
		put_grant(b, e[i].grant, f);
	}
}

static void put_view(const struct om_bundle *b, FILE *f)
{
	uint32_t n;
	const struct om_b_mount *e = om_bundle_section(b, OM_SEC_VIEW, &n);

	fprintf(f,
		"# Mounts in order: the brane's root holds nothing else. All are nosuid, nodev.\n");
	for (uint32_t i = 0; i < n; i++) {
		fprintf(f, "%s ", e[i].flags & OM_MNT_TMPFS ? "tmpfs" : "bind");
		if (!(e[i].flags & OM_MNT_TMPFS)) {
			put_str(b, e[i].from, f);
			fprintf(f, " -> ");
		}
		put_str(b, e[i].to, f);
		fprintf(f, "  %s%s%s%s%s", e[i].flags & OM_MNT_RO ? "ro" : "rw",
			e[i].flags & OM_MNT_NOEXEC ? ",noexec" : "",
			e[i].flags & OM_MNT_DEVICE ? ",device" : "",
			e[i].flags & OM_MNT_TREE ? ",tree" : "",
			e[i].flags & OM_MNT_DIR ? ",entries" : "");
		if (e[i].bytes)
			fprintf(f, " %" PRIu64 " bytes", e[i].bytes);
		put_grant(b, e[i].grant, f);
	}
}

static void put_net(const struct om_bundle *b, FILE *f)
{
	char addr[OM_ADDR_TEXT_MAX];
	uint32_t n;
	const struct om_b_egress *e = om_bundle_section(b, OM_SEC_EGRESS, &n);
	const struct om_b_listen *l;

	fprintf(f, "# Destinations by longest prefix, port and protocol; the rest is denied.\n");
	for (uint32_t i = 0; i < n; i++) {
		om_addr_format(e[i].addr, e[i].bits, addr);
		fprintf(f, "egress %s port %u %s", addr, e[i].port, om_proto_name(e[i].proto));
		put_grant(b, e[i].grant, f);
	}
	l = om_bundle_section(b, OM_SEC_LISTEN, &n);
	for (uint32_t i = 0; i < n; i++) {
		fprintf(f, "listen port %u %s", l[i].port, om_proto_name(l[i].proto));
		put_grant(b, l[i].grant, f);
	}
}

static void put_nft(const struct om_bundle *b, FILE *f)
{
	char lo[OM_ADDR_TEXT_MAX], hi[OM_ADDR_TEXT_MAX];
	uint32_t n;
	const struct om_b_nft *e = om_bundle_section(b, OM_SEC_NFT, &n);

	fprintf(f, "# Elements of the brane's sets: address intervals, port, protocol.\n");
	for (uint32_t i = 0; i < n; i++) {
		om_addr_format(e[i].lo, 128, lo);
		om_addr_format(e[i].hi, 128, hi);
		fprintf(f, "%s %s-%s . %u . %s", e[i].v6 ? "ip6" : "ip", lo, hi, e[i].port,
			om_proto_name(e[i].proto));
		put_grant(b, e[i].grant, f);
	}
}

static void put_seccomp(const struct om_bundle *b, FILE *f)
{
	uint32_t n;
	const struct om_b_insn *e = om_bundle_section(b, OM_SEC_SECCOMP, &n);

	fprintf(f, "# Classic BPF over struct seccomp_data: line, code, jt, jf, k.\n");
	for (uint32_t i = 0; i < n; i++)
		fprintf(f, "%4u: 0x%02x %3u %3u 0x%08x\n", i, e[i].code, e[i].jt, e[i].jf, e[i].k);
}

static void put_limits(const struct om_bundle *b, FILE *f)
{
	uint32_t n;
	const struct om_b_cgroup *c = om_bundle_section(b, OM_SEC_CGROUP, &n);
	const struct om_b_rlimit *r;

	fprintf(f, "# cgroup files, then resource limits of each process.\n");
	for (uint32_t i = 0; i < n; i++) {
		put_str(b, c[i].file, f);
		fprintf(f, " = ");
		put_str(b, c[i].value, f);
		fprintf(f, "%s\n", c[i].flags & OM_CGROUP_DEFAULT ? "  # a default of ours" : "");
	}
	r = om_bundle_section(b, OM_SEC_RLIMIT, &n);
	for (uint32_t i = 0; i < n; i++)
		fprintf(f, "rlimit %u = %" PRIu64 "\n", r[i].resource, r[i].value);
}

static void put_process(const struct om_bundle *b, FILE *f)
{
	const struct om_b_meta *m = b->meta;
	uint32_t n;
	const uint32_t *s;

	fprintf(f, "name ");
	put_str(b, m->name, f);
	fprintf(f, "\nimage %s", m->image == OM_IMAGE_HOST ? "host:" : "dir:");
	put_str(b, m->image_dir, f);
	fprintf(f, "\nworkdir ");
	put_str(b, m->workdir, f);
	fprintf(f, "\nuser %u\nrestart %u\nmode %s\nstdio %s%s%s\nnetwork namespace %s\n", m->user,
		m->restart, m->mode == OM_MODE_AUDIT ? "audit" : "enforce",
		m->stdio & OM_STDIO_IN ? "in " : "", m->stdio & OM_STDIO_OUT ? "out " : "",
		m->stdio & OM_STDIO_ERR ? "err" : "", m->netns ? "its own, empty" : "the host's");
	fprintf(f, "layers%s%s%s\n", m->layers & OM_LAYER_PROCESS ? " process" : "",
		m->layers & OM_LAYER_KERNEL ? " kernel" : "",
		m->layers & OM_LAYER_NETWORK ? " network" : "");
	s = om_bundle_section(b, OM_SEC_ARGV, &n);
	for (uint32_t i = 0; i < n; i++) {
		fprintf(f, "argv[%u] ", i);
		put_str(b, s[i], f);
		fprintf(f, "\n");
	}
	s = om_bundle_section(b, OM_SEC_ENV, &n);
	for (uint32_t i = 0; i < n; i++) {
		fprintf(f, "env ");
		put_str(b, s[i], f);
		fprintf(f, "\n");
	}
}

static void put_grants(const struct om_bundle *b, FILE *f)
{
	uint32_t n;
	const struct om_b_grant *g = om_bundle_section(b, OM_SEC_GRANTS, &n);

	fprintf(f, "# Every grant of the normal form, with the manifest's line.\n");
	for (uint32_t i = 0; i < n; i++) {
		put_str(b, g[i].text, f);
		fprintf(f, "  # line %u\n", g[i].line);
	}
}

const struct om_layer_text om_layer_texts[] = {
	{"grants.txt", put_grants},  {"bpf-lsm.txt", put_lsm},	   {"view.txt", put_view},
	{"cgroup-bpf.txt", put_net}, {"nftables.txt", put_nft},	   {"seccomp.txt", put_seccomp},
	{"limits.txt", put_limits},  {"process.txt", put_process}, {NULL, NULL},
};
