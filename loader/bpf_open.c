/*
 * The pins: made once and whole, adopted ever after.
 *
 * Comes in: the directory of pins, the parent cgroup. Goes out: struct om_bpf with open maps. Called by:
 * the load role at its start. A set of pins is built under another name and appears by one
 * rename, so that a crash at any instant leaves either all of it or a directory that was never used.
 * Never does: tear down pins that a brane may depend on; adopt a set with a link missing.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <linux/magic.h>

#include <loader/bpf_priv.h>

int om_map_error(struct om_err *err, enum om_map map, int ret, const char *doing)
{
	return om_err_sys(err, OM_ERR_BPF_MAP, ret, "%s %s", doing, om_map_names[map]);
}

static struct om_bpf *om_bpf_new(void)
{
	struct om_bpf *b = calloc(1, sizeof(*b));

	if (!b)
		return NULL;
	for (int i = 0; i < OM_MAP_COUNT; i++)
		b->maps[i] = -1;
	b->key_prog = -1;
	b->lock = -1;
	return b;
}

void om_bpf_free(struct om_bpf *b)
{
	if (!b)
		return;
	for (int i = 0; i < OM_MAP_COUNT; i++)
		om_close_fd(&b->maps[i]);
	om_close_fd(&b->key_prog);
	om_close_fd(&b->lock);
	free(b);
}

static void om_bpf_freep(struct om_bpf **b)
{
	om_bpf_free(*b);
}

static int om_path_join(char out[static PATH_MAX], const char *dir, const char *name,
			struct om_err *err)
{
	int n = snprintf(out, PATH_MAX, "%s/%s", dir, name);

	if (n < 0 || n >= PATH_MAX)
		return om_err_set(err, OM_ERR_BPF_PIN, -ENAMETOOLONG, "path of pins is too long");
	return 0;
}

/* Opens BPFFS, made with 0700 when it is missing, and takes the lock that one opener holds. */
static int open_bpffs(const char *bpffs, int *out, struct om_err *err)
{
	int fd OM_CLEANUP(om_close_fd) = -1;
	struct statfs fs;

	if (mkdir(bpffs, 0700) && errno != EEXIST)
		return om_err_sys(err, OM_ERR_BPF_PIN, -errno, "cannot make %s", bpffs);
	fd = open(bpffs, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0 || fstatfs(fd, &fs))
		return om_err_sys(err, OM_ERR_BPF_PIN, -errno, "cannot open %s", bpffs);
	if ((unsigned long)fs.f_type != BPF_FS_MAGIC)
		return om_err_set(err, OM_ERR_BPF_PIN, -EINVAL,
				  "%s is not on a BPF file system (mount -t bpf bpf /sys/fs/bpf)",
				  bpffs);
	if (flock(fd, LOCK_EX))
		return om_err_sys(err, OM_ERR_BPF_PIN, -errno, "cannot lock %s", bpffs);
	*out = OM_STEAL_FD(fd);
	return 0;
}

int om_pins_remove(const char *dir)
{
	char path[PATH_MAX];
	struct dirent *de;
	DIR *d = opendir(dir);
	int ret = 0;

	if (!d)
		return errno == ENOENT ? 0 : -errno;
	while ((de = readdir(d))) {
		if (de->d_name[0] == '.')
			continue;
		if (om_path_join(path, dir, de->d_name, NULL) || unlink(path))
			ret = -EIO;
	}
	closedir(d);
	if (!ret && rmdir(dir))
		ret = -errno;
	return ret;
}

/* --- making --- */

int om_prog_attach(const struct om_bpf_opts *opts, struct bpf_program *prog,
		   const struct om_prog *row, struct bpf_link **out, struct om_err *err)
{
	*out = row->flags & OM_PROG_CGROUP ? bpf_program__attach_cgroup(prog, opts->parent_fd)
					   : bpf_program__attach(prog);
	if (!*out)
		return om_err_sys(err, OM_ERR_BPF_LOAD, -errno, "cannot attach %s to %s", row->name,
				  row->hook);
	return 0;
}

static int attach_one(const struct om_bpf_opts *opts, const char *dir, struct bpf_program *prog,
		      const struct om_prog *row, uint32_t *links, struct om_err *err)
{
	char path[PATH_MAX];
	struct bpf_link *link;
	int ret;

	ret = om_path_join(path, dir, row->name, err);
	if (ret)
		return ret;
	if (row->flags & OM_PROG_RUN) {
		ret = bpf_program__pin(prog, path);
		return ret ? om_err_sys(err, OM_ERR_BPF_PIN, ret, "cannot pin %s", row->name) : 0;
	}
	ret = om_prog_attach(opts, prog, row, &link, err);
	if (ret)
		return ret;
	ret = bpf_link__pin(link, path);
	/* Closes our descriptor; the pin keeps the link. */
	bpf_link__destroy(link);
	if (ret)
		return om_err_sys(err, OM_ERR_BPF_PIN, ret, "cannot pin %s", row->name);
	++*links;
	return 0;
}

static int attach_all(const struct om_bpf_opts *opts, const char *dir, struct bpf_object *obj,
		      uint32_t *links, struct om_err *err)
{
	struct bpf_program *prog;

	bpf_object__for_each_program(prog, obj)
	{
		const struct om_prog *row = om_prog_find(bpf_program__name(prog));
		int ret;

		if (!row || !bpf_program__autoload(prog))
			continue;
		ret = attach_one(opts, dir, prog, row, links, err);
		if (ret)
			return ret;
	}
	return 0;
}

/* The configuration is set before anything is attached, and then frozen against user space. */
static int set_config(const struct om_bpf_opts *opts, const char *dir, struct om_err *err)
{
	const struct om_config cfg = {.abi = OM_ABI_VERSION,
				      .cgroup_level = opts->cgroup_level,
				      .parent_cgid = opts->parent_cgid};
	int fd OM_CLEANUP(om_close_fd) = -1;
	const uint32_t zero = 0;
	char path[PATH_MAX];
	int ret;

	ret = om_path_join(path, dir, om_map_names[OM_MAP_CONFIG], err);
	if (ret)
		return ret;
	fd = bpf_obj_get(path);
	if (fd < 0)
		return om_map_error(err, OM_MAP_CONFIG, -errno, "cannot open");
	ret = bpf_map_update_elem(fd, &zero, &cfg, BPF_ANY);
	if (!ret)
		ret = bpf_map_freeze(fd);
	return ret ? om_map_error(err, OM_MAP_CONFIG, ret, "cannot set") : 0;
}

int om_bpf_hash_key(const char *dir, struct om_err *err)
{
	int fd OM_CLEANUP(om_close_fd) = -1;
	const uint32_t zero = 0;
	struct om_hash_key key;
	char path[PATH_MAX];
	int ret;

	ret = om_path_join(path, dir, om_map_names[OM_MAP_HASH_KEY], err);
	if (ret)
		return ret;
	fd = bpf_obj_get(path);
	if (fd < 0)
		return om_map_error(err, OM_MAP_HASH_KEY, -errno, "cannot open");
	ret = bpf_map_lookup_elem(fd, &zero, &key);
	if (ret)
		return om_map_error(err, OM_MAP_HASH_KEY, ret, "cannot read");
	/* Another key would make every repeat that is counted by now a stranger. */
	if (key.k[0] || key.k[1])
		return 0;
	if (getrandom(&key, sizeof(key), 0) != (ssize_t)sizeof(key))
		return om_err_sys(err, OM_ERR_IO, -errno, "no random numbers");
	ret = bpf_map_update_elem(fd, &zero, &key, BPF_ANY);
	if (!ret)
		ret = bpf_map_freeze(fd);
	explicit_bzero(&key, sizeof(key));
	return ret ? om_map_error(err, OM_MAP_HASH_KEY, ret, "cannot set") : 0;
}

static int set_state(const char *dir, uint32_t layers, uint32_t links, bool content,
		     struct om_err *err)
{
	const struct om_state state = {.next_policy = 1,
				       .next_brane = 1,
				       .layers = layers,
				       .links = links,
				       .content = content};
	int fd OM_CLEANUP(om_close_fd) = -1;
	const uint32_t zero = 0;
	char path[PATH_MAX];
	int ret;

	ret = om_path_join(path, dir, om_map_names[OM_MAP_STATE], err);
	if (ret)
		return ret;
	fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, om_map_names[OM_MAP_STATE], sizeof(zero),
			    sizeof(state), 1, NULL);
	if (fd < 0)
		return om_map_error(err, OM_MAP_STATE, fd, "cannot make");
	ret = bpf_map_update_elem(fd, &zero, &state, BPF_ANY);
	if (!ret)
		ret = bpf_obj_pin(fd, path);
	return ret ? om_map_error(err, OM_MAP_STATE, ret, "cannot set") : 0;
}

/* Loads and attaches the objects of LAYER. */
static int make_layer(const struct om_bpf_opts *opts, const char *dir, uint32_t layer,
		      uint32_t *links, bool *content, struct om_err *err)
{
	struct bpf_object *objs[OM_OBJECTS_DEFS_MAX] = {NULL};
	int ret = 0;

	if (om_objects_count > OM_ARRAY_LEN(objs))
		return om_err_set(err, OM_ERR_INTERNAL, -E2BIG, "objects");
	if (layer == OM_LAYER_KERNEL)
		ret = om_bpf_canary(err);
	/* A kernel that cannot tell contents has the layer; only branes with sha256 grants are refused. */
	if (layer == OM_LAYER_KERNEL && !ret)
		*content = !om_bpf_content_probe(NULL);
	/* All are loaded before the first is attached: a refusal then has touched nothing. */
	for (size_t i = 0; i < om_objects_count && !ret; i++)
		if (om_objects_defs[i].layer == layer && (!om_objects_defs[i].content || *content))
			ret = om_object_load(&om_objects_defs[i], dir, NULL, &objs[i], err);
	if (!ret)
		ret = set_config(opts, dir, err);
	/* A second layer finds the configuration frozen, and the same. */
	if (ret == -EPERM && err->id == OM_ERR_BPF_MAP)
		ret = 0;
	if (!ret)
		ret = om_bpf_hash_key(dir, err);
	for (size_t i = 0; i < om_objects_count && !ret; i++)
		if (objs[i])
			ret = attach_all(opts, dir, objs[i], links, err);
	for (size_t i = 0; i < om_objects_count; i++)
		om_object_close(&objs[i]);
	return ret;
}

/*
 * A layer that cannot be had is left out when the other one can: the caller compares *got with what
 * the manifest requires and refuses the brane. Only what no kernel lacks by design is fatal here.
 */
static int make_pins(const struct om_bpf_opts *opts, const char *dir, struct om_err *err)
{
	static const uint32_t order[] = {OM_LAYER_NETWORK, OM_LAYER_KERNEL};
	uint32_t layers = 0, links = 0;
	bool content = false;
	int ret;

	if (mkdir(dir, 0700))
		return om_err_sys(err, OM_ERR_BPF_PIN, -errno, "cannot make %s", dir);
	for (size_t i = 0; i < OM_ARRAY_LEN(order); i++) {
		if (!(opts->layers & order[i]))
			continue;
		ret = make_layer(opts, dir, order[i], &links, &content, err);
		if (!ret)
			layers |= order[i];
		else if (err->id != OM_ERR_BPF_UNSUPPORTED && err->id != OM_ERR_CGBPF_UNSUPPORTED &&
			 err->id != OM_ERR_BPF_HOOK)
			return ret;
	}
	if (!layers)
		return err->ret; /* the last refusal says why */
	ret = om_bpf_build_set(dir, err);
	return ret ? ret : set_state(dir, layers, links, content, err);
}

/* --- adopting --- */

static int open_map(struct om_bpf *b, const char *dir, enum om_map map, struct om_err *err)
{
	char path[PATH_MAX];
	int ret = om_path_join(path, dir, om_map_names[map], err);

	if (ret)
		return ret;
	b->maps[map] = bpf_obj_get(path);
	if (b->maps[map] < 0)
		return om_err_sys(err, OM_ERR_BPF_PIN, -errno, "pin %s", path);
	/* An exec'ed child must never inherit the policy maps. */
	if (fcntl(b->maps[map], F_SETFD, FD_CLOEXEC))
		return om_err_sys(err, OM_ERR_BPF_PIN, -errno, "pin %s", path);
	return 0;
}

/* Every link that the layers need is there, and as many in all as were pinned. */
static int check_links(const char *dir, const struct om_state *state, struct om_err *err)
{
	uint32_t links = 0;
	char path[PATH_MAX];

	for (size_t i = 0; i < om_progs_count; i++) {
		const struct om_prog *row = &om_progs[i];
		int fd OM_CLEANUP(om_close_fd) = -1;
		bool must = row->flags & OM_PROG_REQUIRED ||
			    (row->flags & OM_PROG_CONTENT && state->content);
		int ret;

		if (!(state->layers & row->layer))
			continue;
		ret = om_path_join(path, dir, row->name, err);
		if (ret)
			return ret;
		fd = bpf_obj_get(path);
		if (fd < 0 && (errno != ENOENT || must))
			return om_err_sys(err, OM_ERR_BPF_PIN, -errno, "pin %s", path);
		if (fd >= 0 && !(row->flags & OM_PROG_RUN))
			links++;
	}
	if (links != state->links)
		return om_err_set(err, OM_ERR_BPF_PIN, -ENOENT, "%s holds %u links, %u were made",
				  dir, links, state->links);
	return 0;
}

static int check_config(const struct om_bpf *b, const struct om_bpf_opts *opts, struct om_err *err)
{
	const uint32_t zero = 0;
	struct om_config cfg;
	int ret = bpf_map_lookup_elem(b->maps[OM_MAP_CONFIG], &zero, &cfg);

	if (ret)
		return om_map_error(err, OM_MAP_CONFIG, ret, "cannot read");
	/* Programs that look at another level or parent would take every brane for outside. */
	if (cfg.abi != OM_ABI_VERSION || cfg.cgroup_level != opts->cgroup_level ||
	    cfg.parent_cgid != opts->parent_cgid)
		return om_err_set(err, OM_ERR_BPF_PIN, -EINVAL,
				  "pins were made for another parent cgroup (id %llu, level %u)",
				  (unsigned long long)cfg.parent_cgid, cfg.cgroup_level);
	return 0;
}

/* A set without a key is none that this agent made: what repeats could be foretold. */
static int check_hash_key(const struct om_bpf *b, struct om_err *err)
{
	struct om_hash_key key;
	const uint32_t zero = 0;
	int ret = bpf_map_lookup_elem(b->maps[OM_MAP_HASH_KEY], &zero, &key);

	if (!ret && !key.k[0] && !key.k[1])
		ret = om_err_set(err, OM_ERR_BPF_PIN, -EINVAL, "om_hash_key was never set");
	else if (ret)
		ret = om_map_error(err, OM_MAP_HASH_KEY, ret, "cannot read");
	explicit_bzero(&key, sizeof(key));
	return ret;
}

/* Before the first brane is published: from then on no denial is without a counter. */
static int make_left(const struct om_bpf *b, struct om_err *err)
{
	const uint32_t left = OM_BRANE_LEFT;
	const struct om_stat zero = {0};
	int ret = bpf_map_update_elem(b->maps[OM_MAP_STATS], &left, &zero, BPF_NOEXIST);

	return ret && ret != -EEXIST ? om_map_error(err, OM_MAP_STATS, ret, "cannot write") : 0;
}

/* Asked at every start, like the canary; a kernel that answers no is told to those who need it. */
static int adopt_content(struct om_bpf *b, const struct om_state *state)
{
	struct om_err why = {0};

	b->content = om_bpf_content_probe(&why) == 0 && state->content;
	if (!b->content)
		(void)snprintf(b->why_content, sizeof(b->why_content), "%.159s",
			       why.text[0] ? why.text : "the pinned programs were made without it");
	return 0;
}

static int adopt(struct om_bpf *b, const struct om_bpf_opts *opts, const char *dir,
		 struct om_err *err)
{
	const uint32_t zero = 0;
	struct om_state state;
	char path[PATH_MAX];
	int ret;

	ret = open_map(b, dir, OM_MAP_STATE, err);
	if (ret)
		return ret;
	ret = bpf_map_lookup_elem(b->maps[OM_MAP_STATE], &zero, &state);
	if (ret)
		return om_map_error(err, OM_MAP_STATE, ret, "cannot read");
	b->layers = state.layers;
	/* Before anything is attached: pins of another parent are not ours to change. */
	ret = open_map(b, dir, OM_MAP_CONFIG, err);
	if (!ret)
		ret = check_config(b, opts, err);
	if (!ret)
		ret = om_bpf_upgrade(opts, dir, &state, b->maps[OM_MAP_STATE], err);
	for (int i = 0; i < OM_MAP_COUNT && !ret; i++) {
		if (i == OM_MAP_STATE || i == OM_MAP_CONFIG ||
		    (i >= OM_MAP_KERNEL && !(state.layers & OM_LAYER_KERNEL)))
			continue;
		ret = open_map(b, dir, (enum om_map)i, err);
	}
	if (!ret)
		ret = check_links(dir, &state, err);
	if (!ret)
		ret = check_hash_key(b, err);
	if (!ret)
		ret = make_left(b, err);
	if (ret || !(state.layers & OM_LAYER_KERNEL))
		return ret;
	ret = om_bpf_canary(err);
	if (!ret)
		ret = om_path_join(path, dir, "om_object_key", err);
	if (ret)
		return ret;
	b->key_prog = bpf_obj_get(path);
	if (b->key_prog < 0)
		return om_err_sys(err, OM_ERR_BPF_PIN, -errno, "pin %s", path);
	return adopt_content(b, &state);
}

int om_bpf_open(const struct om_bpf_opts *opts, struct om_bpf **out, uint32_t *got,
		struct om_err *err)
{
	struct om_bpf *b OM_CLEANUP(om_bpf_freep) = om_bpf_new();
	char dir[PATH_MAX], fresh[PATH_MAX];
	struct om_err local = {0};
	int ret;

	if (!err)
		err = &local; /* the steps below decide by its id */
	if (!b)
		return om_err_set(err, OM_ERR_NOMEM, -ENOMEM, "BPF state");
	ret = om_path_join(dir, opts->bpffs, OM_PIN_DIR, err);
	if (!ret)
		ret = om_path_join(fresh, opts->bpffs, OM_PIN_DIR_NEW, err);
	if (!ret)
		ret = open_bpffs(opts->bpffs, &b->lock, err);
	if (ret)
		return ret;
	ret = om_bpf_other_abi(opts->bpffs, err);
	if (ret)
		return ret;
	/* Never renamed into place, so no brane was ever published in it. */
	if (om_pins_remove(fresh))
		return om_err_set(err, OM_ERR_BPF_PIN, -EIO, "cannot clear %s", fresh);
	if (access(dir, F_OK)) {
		ret = make_pins(opts, fresh, err);
		if (!ret && rename(fresh, dir))
			ret = om_err_sys(err, OM_ERR_BPF_PIN, -errno, "cannot publish %s", dir);
		if (ret) {
			(void)!om_pins_remove(fresh);
			return ret;
		}
	}
	ret = adopt(b, opts, dir, err);
	if (ret)
		return ret;
	if (flock(b->lock, LOCK_UN))
		return om_err_sys(err, OM_ERR_BPF_PIN, -errno, "cannot unlock %s", opts->bpffs);
	*got = b->layers & opts->layers;
	*out = OM_STEAL_PTR(b);
	return 0;
}

int om_bpf_unload(const char *bpffs, struct om_err *err)
{
	char path[PATH_MAX];
	int ret;

	ret = om_path_join(path, bpffs, OM_PIN_DIR_NEW, err);
	if (ret)
		return ret;
	ret = om_pins_remove(path);
	if (ret)
		return om_err_sys(err, OM_ERR_BPF_PIN, ret, "cannot remove %s", path);
	ret = om_path_join(path, bpffs, OM_PIN_DIR, err);
	if (ret)
		return ret;
	ret = om_pins_remove(path);
	if (ret)
		return om_err_sys(err, OM_ERR_BPF_PIN, ret, "cannot remove %s", path);
	if (rmdir(bpffs) && errno != ENOENT)
		return om_err_sys(err, OM_ERR_BPF_PIN, -errno, "cannot remove %s", bpffs);
	return 0;
}

bool om_bpf_content(const struct om_bpf *b, const char **why)
{
	*why = b->why_content;
	return b->content;
}

void om_bpf_drain_fds(const struct om_bpf *b, struct om_bpf_drain_fds *out)
{
	out->events = b->maps[OM_MAP_EVENTS];
	out->stats = b->maps[OM_MAP_STATS];
	out->folds = b->maps[OM_MAP_FOLDS];
}
