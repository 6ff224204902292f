/*
 * An agent with other BPF objects takes over pins: every program is replaced, no moment is without one.
 *
 * Comes in: a directory of pins, the objects of this build. Goes out: the same directory with this build's
 * programs. Called by: om_bpf_open when it adopts. Never does: detach before its successor is attached;
 * make a map anew that holds policy or counters (libbpf refuses to reuse one of another shape, and then
 * nothing is touched: the old programs go on, and this agent does not serve).
 *
 * A link that the kernel can update is updated (cgroup links). BPF-LSM and fexit links cannot be, as far as
 * any kernel has been seen to say: there the new one is attached and pinned beside, then renamed over the
 * old pin, which releases the old link. In between both decide, by the same maps: the first denial ends the
 * chain, so it is counted once. The fexit programs only report, and may report one absent path twice.
 * Cut short at any point, the next start does all of it again.
 *
 * Pins of another ABI lie in another directory, and nothing in them can be taken over: without branes they
 * are removed, with branes they go on deciding and this agent does not serve.
 */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <omega/sha256.h>
#include <loader/bpf_priv.h>

#define BUILD_PIN "om_build"
#define NEW_TAIL  "-new"

static int join(char out[static PATH_MAX], const char *dir, const char *name, const char *tail,
		struct om_err *err)
{
	int n = snprintf(out, PATH_MAX, "%s/%s%s", dir, name, tail);

	if (n < 0 || n >= PATH_MAX)
		return om_err_set(err, OM_ERR_BPF_PIN, -ENAMETOOLONG, "path of pins is too long");
	return 0;
}

/* Which objects this build has: a digest of digests, in the table's order. */
static void own_build(uint8_t out[static 32])
{
	uint8_t all[OM_OBJECTS_DEFS_MAX][32];

	for (size_t i = 0; i < om_objects_count && i < OM_OBJECTS_DEFS_MAX; i++) {
		size_t len;
		const void *bytes = om_objects_defs[i].bytes(&len);

		om_sha256(bytes, len, all[i]);
	}
	om_sha256(all, om_objects_count * sizeof(all[0]), out);
}

int om_bpf_build_set(const char *dir, struct om_err *err)
{
	int fd OM_CLEANUP(om_close_fd) = -1;
	const uint32_t zero = 0;
	uint8_t own[32];
	char path[PATH_MAX];
	int ret = join(path, dir, BUILD_PIN, "", err);

	if (ret)
		return ret;
	own_build(own);
	fd = bpf_obj_get(path);
	if (fd < 0) {
		fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, BUILD_PIN, sizeof(zero), sizeof(own), 1,
				    NULL);
		if (fd < 0 || bpf_obj_pin(fd, path))
			return om_err_sys(err, OM_ERR_BPF_MAP, -errno, "cannot make %s", BUILD_PIN);
	}
	ret = bpf_map_update_elem(fd, &zero, own, BPF_ANY);
	return ret ? om_err_sys(err, OM_ERR_BPF_MAP, ret, "cannot write %s", BUILD_PIN) : 0;
}

static bool same_build(const char *dir)
{
	int fd OM_CLEANUP(om_close_fd) = -1;
	const uint32_t zero = 0;
	uint8_t own[32], have[32];
	char path[PATH_MAX];

	if (join(path, dir, BUILD_PIN, "", NULL))
		return false;
	fd = bpf_obj_get(path);
	/* Pins without a build are of an agent before there was one. */
	if (fd < 0 || bpf_map_lookup_elem(fd, &zero, have))
		return false;
	own_build(own);
	return !memcmp(own, have, sizeof(own));
}

static bool in_table(const char *name)
{
	if (!strcmp(name, BUILD_PIN) || om_prog_find(name))
		return true;
	for (int i = 0; i < OM_MAP_COUNT; i++)
		if (!strcmp(name, om_map_names[i]))
			return true;
	return false;
}

/*
 * Removes what an upgrade that was cut short left behind; with OLD also pins that this build's table does
 * not know, once everything that it does know is attached.
 */
static int sweep(const char *dir, bool old, struct om_err *err)
{
	char path[PATH_MAX];
	struct dirent *de;
	DIR *d = opendir(dir);
	int ret = 0;

	if (!d)
		return om_err_sys(err, OM_ERR_BPF_PIN, -errno, "cannot list %s", dir);
	while (!ret && (de = readdir(d))) {
		size_t n = strlen(de->d_name), t = strlen(NEW_TAIL);
		bool tail = n > t && !strcmp(de->d_name + n - t, NEW_TAIL);

		if (de->d_name[0] == '.' || (!tail && (!old || in_table(de->d_name))))
			continue;
		ret = join(path, dir, de->d_name, "", err);
		if (!ret && unlink(path))
			ret = om_err_sys(err, OM_ERR_BPF_PIN, -errno, "cannot remove %s", path);
	}
	closedir(d);
	return ret;
}

static int replace_one(const struct om_bpf_opts *opts, const char *dir, struct bpf_program *prog,
		       const struct om_prog *row, struct om_err *err)
{
	int old OM_CLEANUP(om_close_fd) = -1;
	char path[PATH_MAX], fresh[PATH_MAX];
	struct bpf_link *link;
	int ret = join(path, dir, row->name, "", err);

	if (!ret)
		ret = join(fresh, dir, row->name, NEW_TAIL, err);
	if (ret)
		return ret;
	if (row->flags & OM_PROG_RUN) {
		ret = bpf_program__pin(prog, fresh);
	} else {
		old = bpf_obj_get(path);
		if (old >= 0 && !bpf_link_update(old, bpf_program__fd(prog), NULL))
			return 0;
		ret = om_prog_attach(opts, prog, row, &link, err);
		if (ret)
			return ret;
		ret = bpf_link__pin(link, fresh);
		bpf_link__destroy(link);
	}
	if (ret)
		return om_err_sys(err, OM_ERR_BPF_PIN, ret, "cannot pin %s", row->name);
	if (rename(fresh, path))
		return om_err_sys(err, OM_ERR_BPF_PIN, -errno, "cannot replace %s", path);
	return 0;
}

static int replace_layer(const struct om_bpf_opts *opts, const char *dir, uint32_t layer,
			 bool content, uint32_t *links, struct om_err *err)
{
	struct bpf_object *objs[OM_OBJECTS_DEFS_MAX] = {NULL};
	int ret = 0;

	/* All are loaded before the first is attached: a refusal then has touched nothing. */
	for (size_t i = 0; i < om_objects_count && !ret; i++)
		if (om_objects_defs[i].layer == layer && (content || !om_objects_defs[i].content))
			ret = om_object_load(&om_objects_defs[i], dir, NULL, &objs[i], err);
	/* Pins of a build that had none get theirs. */
	if (!ret)
		ret = om_bpf_hash_key(dir, err);
	for (size_t i = 0; i < om_objects_count && !ret; i++) {
		struct bpf_program *prog;

		if (!objs[i])
			continue;
		bpf_object__for_each_program(prog, objs[i])
		{
			const struct om_prog *row = om_prog_find(bpf_program__name(prog));

			if (!row || !bpf_program__autoload(prog))
				continue;
			ret = replace_one(opts, dir, prog, row, err);
			if (ret)
				break;
			*links += !(row->flags & OM_PROG_RUN);
		}
	}
	for (size_t i = 0; i < om_objects_count; i++)
		om_object_close(&objs[i]);
	return ret;
}

/* "v2", not "v3" or "v3-new". */
static bool other_abi(const char *name)
{
	size_t digits = strspn(name + (*name == 'v'), "0123456789");

	return *name == 'v' && digits && !name[1 + digits] && strcmp(name, OM_PIN_DIR) != 0;
}

/* 1: no brane is published in DIR. Whatever cannot be read may hold one. */
static bool without_branes(const char *dir)
{
	int fd OM_CLEANUP(om_close_fd) = -1;
	struct bpf_map_info info = {0};
	uint32_t len = sizeof(info);
	uint8_t key[64];
	char path[PATH_MAX];

	if (join(path, dir, om_map_names[OM_MAP_BRANES], "", NULL))
		return false;
	fd = bpf_obj_get(path);
	return fd >= 0 && !bpf_obj_get_info_by_fd(fd, &info, &len) &&
	       info.key_size <= sizeof(key) && bpf_map_get_next_key(fd, NULL, key) == -ENOENT;
}

int om_bpf_other_abi(const char *bpffs, struct om_err *err)
{
	char path[PATH_MAX];
	struct dirent *de;
	DIR *d = opendir(bpffs);
	int ret = 0;

	if (!d)
		return om_err_sys(err, OM_ERR_BPF_PIN, -errno, "cannot list %s", bpffs);
	while (!ret && (de = readdir(d))) {
		if (!other_abi(de->d_name))
			continue;
		ret = join(path, bpffs, de->d_name, "", err);
		/* Beside programs that this agent does not know, its branes would have two masters. */
		if (!ret && (!without_branes(path) || om_pins_remove(path)))
			ret = om_err_set(
				err, OM_ERR_BPF_MAP, -EBUSY,
				"%s holds branes of an agent with another ABI than " OM_PIN_DIR
				": delete them with that agent",
				path);
	}
	closedir(d);
	return ret;
}

int om_bpf_upgrade(const struct om_bpf_opts *opts, const char *dir, struct om_state *state,
		   int state_map, struct om_err *err)
{
	static const uint32_t order[] = {OM_LAYER_NETWORK, OM_LAYER_KERNEL};
	const uint32_t zero = 0;
	uint32_t links = 0;
	int ret;

	if (same_build(dir))
		return 0;
	state->content = om_bpf_content_probe(NULL) == 0;
	ret = sweep(dir, false, err);
	for (size_t i = 0; i < OM_ARRAY_LEN(order) && !ret; i++)
		if (state->layers & order[i])
			ret = replace_layer(opts, dir, order[i], state->content, &links, err);
	if (!ret)
		ret = sweep(dir, true, err);
	if (ret) {
		/* An id of "unsupported" would read as a layer that was never there. */
		if (err->id != OM_ERR_BPF_PIN)
			err->id = OM_ERR_BPF_MAP;
		om_err_prefix(err, "cannot take over the pins of another build");
		return ret;
	}
	state->links = links;
	ret = bpf_map_update_elem(state_map, &zero, state, BPF_ANY);
	if (ret)
		return om_map_error(err, OM_MAP_STATE, ret, "cannot write");
	return om_bpf_build_set(dir, err);
}
