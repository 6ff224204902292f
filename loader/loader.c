/*
 * Opening the loader, and the questions about branes that change nothing.
 *
 * Comes in: struct om_loader_opts. Goes out: struct om_loader; om_brane_info. Called by: the load role.
 * Never does: touch a brane that is already there (om_loader_adopt does).
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <loader/txn/txn.h>

static int layer_index(uint32_t layer)
{
	return layer == OM_LAYER_PROCESS ? 0 : layer == OM_LAYER_KERNEL ? 1 : 2;
}

static void missing(struct om_loader *l, uint32_t layer, const char *why)
{
	l->layers &= ~layer;
	char *to = l->why[layer_index(layer)];
	if (!*to)
		(void)snprintf(to, sizeof(l->why[0]), "%.*s", (int)sizeof(l->why[0]) - 1, why);
}

const char *om_loader_why(const struct om_loader *l, uint32_t layer)
{
	return l->why[layer_index(layer)];
}

struct om_bpf *om_loader_bpf(struct om_loader *l)
{
	return l->bpf;
}

static int copy(char *to, size_t size, const char *from, const char *what, struct om_err *err)
{
	if (!from || snprintf(to, size, "%s", from) >= (int)size)
		return om_err_set(err, OM_ERR_INVALID, -ENAMETOOLONG, "%s", what);
	return 0;
}

static int open_run_dir(struct om_loader *l, struct om_err *err)
{
	if ((mkdir(l->run_dir, 0755) < 0 && errno != EEXIST))
		return om_err_sys(err, OM_ERR_STATE, -errno, "cannot make %s", l->run_dir);
	OM_CLEANUP(om_close_fd) int run = open(l->run_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (run < 0 || (mkdirat(run, "branes", 0700) < 0 && errno != EEXIST))
		return om_err_sys(err, OM_ERR_STATE, -errno, "%s/branes", l->run_dir);
	l->branes = openat(run, "branes", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return l->branes < 0 ? om_err_sys(err, OM_ERR_STATE, -errno, "%s/branes", l->run_dir) : 0;
}

/* One descriptor per granted mount is held while a brane starts. */
static void raise_nofile(void)
{
	struct rlimit r;
	if (getrlimit(RLIMIT_NOFILE, &r) == 0 && r.rlim_cur < r.rlim_max) {
		r.rlim_cur = r.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &r);
	}
}

static int open_kernel(struct om_loader *l, struct om_err *err)
{
	struct om_bpf_opts o = {
		.bpffs = l->bpffs,
		.parent_fd = l->parent,
		.cgroup_level = l->level,
		.parent_cgid = l->parent_cgid,
		.layers = l->layers & (OM_LAYER_KERNEL | OM_LAYER_NETWORK),
	};
	struct om_err why = {0};
	uint32_t got = 0;

	if (l->layers & OM_LAYER_NETWORK &&
	    om_nft_open(l->nft_table, l->parent_cgid, l->level - 1, &l->nft, &why) < 0)
		missing(l, OM_LAYER_NETWORK, why.text);
	if (!o.layers)
		return 0;
	int ret = om_bpf_open(&o, &l->bpf, &got, &why);
	/* Half a set of pins is not a missing feature: going on would run branes without policy. */
	if (ret < 0 && om_err_exit(why.id) != 9) {
		/*
		 * A missing link is a hook that denies nothing any more. No brane runs on without it:
		 * all are frozen until an agent finds the pins whole.
		 */
		if (why.id == OM_ERR_BPF_PIN)
			(void)!om_cgroup_freeze(l->parent, true, NULL);
		if (err)
			*err = why;
		return ret;
	}
	if (om_cgroup_event(l->parent, "frozen") == 1)
		(void)!om_cgroup_freeze(l->parent, false, NULL);
	for (uint32_t layer = OM_LAYER_KERNEL; layer <= OM_LAYER_NETWORK; layer <<= 1)
		if (o.layers & layer && !(got & layer))
			missing(l, layer,
				why.text[0] ? why.text : "this kernel lacks a hook; see doctor");
	return 0;
}

int om_loader_open(const struct om_loader_opts *opts, struct om_loader **out, uint32_t *got,
		   struct om_err *err)
{
	struct om_loader *l = calloc(1, sizeof(*l));
	if (!l)
		return om_err_set(err, OM_ERR_NOMEM, -ENOMEM, "loader");
	l->branes = l->parent = l->shims = l->epoll = l->inotify = l->kick = -1;
	l->layers = opts->layers & OM_LAYER_ALL;
	raise_nofile();
	int ret = copy(l->run_dir, sizeof(l->run_dir), opts->run_dir, "run directory", err);
	if (ret == 0 && opts->state_dir)
		ret = copy(l->state_dir, sizeof(l->state_dir), opts->state_dir, "state directory",
			   err);
	if (ret == 0)
		ret = copy(l->bpffs, sizeof(l->bpffs), opts->bpffs, "bpffs directory", err);
	if (ret == 0)
		ret = copy(l->shim, sizeof(l->shim), opts->shim, "shim", err);
	if (ret == 0)
		ret = copy(l->nft_table, sizeof(l->nft_table), opts->nft_table, "nft table", err);
	if (ret == 0)
		ret = open_run_dir(l, err);
	if (ret == 0)
		ret = om_cgroup_open(l, opts->cgroup, err);
	if (ret == 0)
		ret = om_watch_open(l, err);
	if (ret == 0)
		ret = open_kernel(l, err);
	if (ret < 0) {
		om_loader_free(l);
		return ret;
	}
	*got = l->layers;
	*out = l;
	return 0;
}

void om_loader_free(struct om_loader *l)
{
	if (!l)
		return;
	om_watch_close(l);
	if (l->bpf) {
		(void)!om_txn_collect(l, NULL);
		om_bpf_free(l->bpf);
	}
	om_nft_free(l->nft);
	om_close_fd(&l->branes);
	om_close_fd(&l->parent);
	om_close_fd(&l->shims);
	free(l);
}

int om_loader_get(struct om_loader *l, const char *name, struct om_brane_info *out,
		  struct om_err *err)
{
	OM_CLEANUP(om_close_fd) int dir = -1;
	struct om_state st;

	int ret = om_state_dir(l, name, false, &dir, err);
	if (ret == 0)
		ret = om_state_read(dir, &st, err);
	if (ret < 0)
		return ret;
	om_state_refresh(l, dir, &st.info);
	*out = st.info;
	return 0;
}

int om_loader_each(struct om_loader *l, int (*fn)(const struct om_brane_info *info, void *ctx),
		   void *ctx, struct om_err *err)
{
	int copy_fd = openat(l->branes, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = copy_fd < 0 ? NULL : fdopendir(copy_fd);
	struct dirent *e;
	int ret = 0;

	if (!d)
		return om_err_sys(err, OM_ERR_STATE, -errno, "cannot list branes");
	while (ret == 0 && (e = readdir(d))) {
		struct om_brane_info info;
		struct om_err ignored;
		/* One damaged directory must not hide the others; adoption deals with it. */
		if (om_name_ok(e->d_name) && om_loader_get(l, e->d_name, &info, &ignored) == 0)
			ret = fn(&info, ctx);
	}
	closedir(d);
	return ret < 0 ? ret : 0;
}

int om_loader_open_file(struct om_loader *l, const char *name, const char *file, int *fd,
			struct om_err *err)
{
	static const char *const files[] = {"manifest", "bundle", "stdout", "stderr"};
	OM_CLEANUP(om_close_fd) int dir = -1;
	int ret = om_state_dir(l, name, false, &dir, err);
	if (ret < 0)
		return ret;
	for (size_t i = 0; i < OM_ARRAY_LEN(files); i++) {
		if (strcmp(file, files[i]) != 0)
			continue;
		*fd = openat(dir, file, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
		if (*fd >= 0)
			return 0;
		return om_err_sys(err, errno == ENOENT ? OM_ERR_NOT_FOUND : OM_ERR_STATE, -errno,
				  "%s of %s", file, name);
	}
	return om_err_set(err, OM_ERR_INVALID, -EINVAL, "no file %s", file);
}

static int open_cgroup(struct om_loader *l, const char *name, int *cg, struct om_err *err)
{
	if (!om_name_ok(name))
		return om_err_set(err, OM_ERR_INVALID, -EINVAL, "not a brane's name");
	*cg = om_cgroup_child(l->parent, name);
	if (*cg >= 0)
		return 0;
	return om_err_sys(err, *cg == -ENOENT ? OM_ERR_NOT_FOUND : OM_ERR_CGROUP, *cg, "%s", name);
}

int om_loader_freeze(struct om_loader *l, const char *name, bool freeze, struct om_err *err)
{
	OM_CLEANUP(om_close_fd) int cg = -1;
	int ret = open_cgroup(l, name, &cg, err);
	return ret < 0 ? ret : om_cgroup_freeze(cg, freeze, err);
}

int om_loader_kill(struct om_loader *l, const char *name, struct om_err *err)
{
	OM_CLEANUP(om_close_fd) int cg = -1;
	OM_CLEANUP(om_close_fd) int dir = -1;
	int ret = open_cgroup(l, name, &cg, err);
	if (ret == 0)
		ret = om_state_dir(l, name, false, &dir, err);
	/* Tells the shim that the end was the operator's wish. */
	if (ret == 0)
		ret = om_state_put(dir, "killed", "", 0, err);
	if (ret == 0 && (ret = om_cgroup_end(cg)) < 0)
		ret = om_err_sys(err, OM_ERR_CGROUP, ret, "cannot kill %s", name);
	return ret == 0 ? om_cgroup_wait_empty(cg, OM_EMPTY_WAIT_MS, err) : ret;
}
