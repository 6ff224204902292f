/*
 * Pins, a parent cgroup and branes of a bench's own; the contract is in pins.h.
 *
 * Comes in: layers, policies made by hand. Goes out: the real maps and programs of the agent, filled by its own
 * loader. Called by: bench/bench_*.c. Never does: end a process; leave a pin behind.
 */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>
#include "bench/lib/bench.h"
#include "bench/lib/pins.h"

static uint64_t make_cgroup(const char *path)
{
	struct stat st;

	if (mkdir(path, 0755) < 0 || stat(path, &st) < 0)
		bench_die(path, NULL);
	return st.st_ino;
}

uint64_t pins_cgroup(const struct pins *p, const char *name)
{
	char path[340];

	snprintf(path, sizeof(path), "%s/%s", p->parent, name);
	return make_cgroup(path);
}

void pins_prepare(struct pins *p, uint32_t layers)
{
	const char *base = getenv("OMEGA_BENCH_DIR");
	struct stat st;
	const char *root = stat("/sys/fs/cgroup/unified", &st) == 0 ? "/sys/fs/cgroup/unified"
								    : "/sys/fs/cgroup";

	*p = (struct pins){.layers = layers};
	snprintf(p->dir, sizeof(p->dir), "%.40s/omega-bench-XXXXXX", base ? base : "/tmp");
	if (!mkdtemp(p->dir) || chmod(p->dir, 0755) < 0)
		bench_die(p->dir, NULL);
	(void)mount("bpf", "/sys/fs/bpf", "bpf", 0, "mode=0700");
	snprintf(p->bpffs, sizeof(p->bpffs), "/sys/fs/bpf/omega-bench-%d", getpid());
	snprintf(p->parent, sizeof(p->parent), "%s/omega-bench-%d", root, getpid());
	p->parent_id = make_cgroup(p->parent);
	p->parent_fd = open(p->parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

void pins_open(struct pins *p)
{
	struct om_bpf_opts o = {.bpffs = p->bpffs,
				.cgroup_level = 2,
				.parent_cgid = p->parent_id,
				.parent_fd = p->parent_fd,
				.layers = p->layers};
	struct om_err err = {0};
	uint32_t got;

	if (om_bpf_open(&o, &p->bpf, &got, &err) < 0 || got != p->layers)
		bench_die("loading", &err);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	return remove(path);
}

static int remove_cgroup(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	if (type == FTW_DP)
		(void)rmdir(path);
	return 0;
}

void pins_done(struct pins *p)
{
	struct om_err err;

	om_bpf_free(p->bpf);
	if (om_bpf_unload(p->bpffs, &err) < 0)
		fprintf(stderr, "%s\n", err.text);
	close(p->parent_fd);
	nftw(p->parent, remove_cgroup, 16, FTW_DEPTH | FTW_PHYS);
	nftw(p->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

void pins_enter(const struct pins *p, const char *name)
{
	char path[340];

	snprintf(path, sizeof(path), "%s/%s/cgroup.procs", p->parent, name);
	OM_CLEANUP(om_close_fd) int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, "0", 1) != 1)
		bench_die(path, NULL);
}

void pins_publish(struct pins *p, struct om_slot *s, const struct om_bundle *b,
		  const struct om_resolved *objs, uint32_t n)
{
	uint32_t old = s->policy;
	struct om_err err = {0};

	if ((!s->brane && om_bpf_brane_new(p->bpf, &s->brane, &err)) ||
	    om_bpf_policy_new(p->bpf, objs, n, &s->policy, &err) ||
	    om_bpf_policy_fill(p->bpf, s->policy, b, objs, n, &err) ||
	    om_bpf_brane_publish(p->bpf, s, &err) || (old && om_bpf_policy_drop(p->bpf, old, &err)))
		bench_die("policy", &err);
}

struct om_bundle pins_bundle(const struct pins_parts *parts, uint8_t **data)
{
	struct om_b_grant g = {.line = 1};
	struct om_b_meta meta = {0};
	struct om_b_file f = {.self = OM_MAY_READ | OM_MAY_EXEC_BOUND};
	struct om_b_digest d = {0};
	static const uint8_t id[32];
	struct om_bundle_w *w;
	struct om_bundle b;
	struct om_err err = {0};
	size_t len;
	int ret = om_bundle_w_new(&w, &err);

	if (ret || om_bundle_w_str(w, "t", &meta.name, &err) ||
	    om_bundle_w_str(w, "/", &meta.workdir, &err) ||
	    om_bundle_w_str(w, "g", &g.text, &err) || om_bundle_w_str(w, "/x", &f.path, &err) ||
	    om_bundle_w_add(w, OM_SEC_META, &meta, 1, &err) ||
	    om_bundle_w_add(w, OM_SEC_GRANTS, &g, 1, &err) ||
	    om_bundle_w_add(w, OM_SEC_EGRESS, parts->egress, parts->egress_n, &err))
		bench_die("bundle", &err);
	if (parts->sha256) {
		memcpy(d.sha256, parts->sha256, sizeof(d.sha256));
		if (om_bundle_w_add(w, OM_SEC_FILES, &f, 1, &err) ||
		    om_bundle_w_add(w, OM_SEC_DIGESTS, &d, 1, &err))
			bench_die("bundle", &err);
	}
	if (om_bundle_w_finish(w, id, data, &len, &err) || om_bundle_open(*data, len, &b, &err))
		bench_die("bundle", &err);
	om_bundle_w_free(w);
	return b;
}
