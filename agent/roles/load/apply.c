/*
 * The load role applies a bundle.
 *
 * Comes in: bytes that the compile role made and the api role passed on. Goes out: a running brane, or
 * what was there before. Called by: verbs.c (apply, restart), watch.c (restart policy). Never does:
 * believe either of the two: the bundle is checked here again, as if from a stranger.
 */
#include <errno.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include "agent/role/log.h"
#include "agent/roles/load/load.h"

/* Far below OM_BRANES_MAX, and seldom enough to cost an apply nothing. */
#define LIVES_BETWEEN_SWEEPS 64u

struct attempt {
	struct load *l;
	const struct om_wire_peer *peer;
	bool recorded;
	struct om_brane_info info;
};

static int record_first(const struct om_brane_info *info, enum om_change change, void *ctx,
			struct om_err *err)
{
	struct attempt *a = ctx;
	struct om_wire_note n;
	int ret;

	load_note_init(&n, OM_NOTE_APPLY, info, a->peer);
	n.change = change;
	ret = load_note_send(a->l, &n, true, err);
	a->recorded = !ret;
	a->info = *info;
	if (!ret && ++a->l->lives >= LIVES_BETWEEN_SWEEPS)
		load_sweep(a->l);
	return ret;
}

static int check(const struct load *l, const struct load_apply *a, const char *name,
		 const struct om_bundle *b, struct om_err *err)
{
	uint32_t missing = b->meta->layers & ~l->layers;

	if (strcmp(om_bundle_str(b, b->meta->name), name) != 0)
		return om_err_set(err, OM_ERR_ROLE_PROTOCOL, -EBADMSG,
				  "bundle is of another brane than '%s'", name);
	for (uint32_t bit = 1; bit <= OM_LAYER_NETWORK; bit <<= 1) {
		if (!(missing & bit))
			continue;
		return om_err_set(err,
				  bit == OM_LAYER_KERNEL    ? OM_ERR_BPF_UNSUPPORTED
				  : bit == OM_LAYER_NETWORK ? OM_ERR_CGBPF_UNSUPPORTED
							    : OM_ERR_NAMESPACE,
				  -EOPNOTSUPP,
				  "%s: %s; `layers = [...]` in the manifest can do without it",
				  name, om_loader_why(l->l, bit));
	}
	/* A log that cannot be written would make this start unrecorded: only "count" allows that. */
	if (l->log_state == OM_LOG_STUCK && b->meta->on_full != OM_ON_FULL_COUNT && !a->dry_run)
		return om_err_set(err, OM_ERR_LOG_FULL, -ENOSPC, "nothing is started meanwhile");
	return 0;
}

/* What apply would do, without doing it. */
static void foresee(const struct om_bundle *b, const struct om_brane_info *before, bool restart,
		    enum om_change *change, struct om_brane_info *info)
{
	if (!before->name[0])
		*change = OM_CHANGE_CREATED;
	else if (restart || memcmp(before->policy_id, b->head->policy_id, 32) != 0)
		*change = OM_CHANGE_CONFIGURED;
	else
		*change = OM_CHANGE_UNCHANGED;
	*info = *before;
	snprintf(info->name, sizeof(info->name), "%s", om_bundle_str(b, b->meta->name));
	memcpy(info->policy_id, b->head->policy_id, 32);
}

static int tell(struct load *l, enum om_note what, const struct om_brane_info *info,
		const struct om_wire_peer *peer, const struct om_err *why, struct om_err *err)
{
	struct om_wire_note n;

	load_note_init(&n, what, info, peer);
	if (why) {
		n.err_id = (uint32_t)why->id;
		snprintf(n.text, sizeof(n.text), "%.*s", (int)sizeof(n.text) - 1, why->text);
	}
	return load_note_send(l, &n, false, err);
}

int load_apply(struct load *l, const struct load_apply *a, const char *name, enum om_change *change,
	       struct om_brane_info *info, struct om_err *err)
{
	struct attempt at = {.l = l, .peer = a->peer};
	struct om_apply what = {.bundle = a->bundle,
				.bundle_len = a->bundle_len,
				.manifest = a->manifest,
				.manifest_len = a->manifest_len,
				.stdio = {a->stdio[0], a->stdio[1], a->stdio[2]},
				.restart = a->restart,
				.before_start = record_first,
				.ctx = &at};
	struct om_brane_info before = {0};
	struct om_err none, late = {0};
	struct om_bundle b;
	int ret = om_bundle_open(a->bundle, a->bundle_len, &b, err);

	if (!ret)
		ret = check(l, a, name, &b, err);
	if (ret < 0)
		return ret;
	if (om_loader_get(l->l, name, &before, &none) < 0)
		memset(&before, 0, sizeof(before));
	if (a->dry_run) {
		foresee(&b, &before, a->restart, change, info);
		return 0;
	}
	ret = om_txn_apply(l->l, &what, change, info, err);
	if (ret < 0) {
		om_slog_err(OM_WARN, "apply_failed", name, err);
		if (at.recorded && tell(l, OM_NOTE_ROLLED_BACK, &at.info, a->peer, err, &late) < 0)
			*err = late;
		return ret;
	}
	om_slog(OM_INFO, "applied", "name", name, "instance", info->instance, "change",
		*change == OM_CHANGE_CREATED	  ? "created"
		: *change == OM_CHANGE_CONFIGURED ? "configured"
						  : "unchanged",
		NULL);
	if (strncmp(before.instance, info->instance, sizeof(before.instance)) != 0)
		ret = tell(l, OM_NOTE_STARTED, info, a->peer, NULL, err);
	return ret;
}

/* Maps a file that the loader stored; it is the loader's own and cannot be sealed. */
static int map_stored(struct load *l, const char *name, const char *file, size_t max,
		      struct om_map *out, struct om_err *err)
{
	OM_CLEANUP(om_close_fd) int fd = -1;
	struct stat st;
	int ret = om_loader_open_file(l->l, name, file, &fd, err);

	if (ret < 0)
		return ret;
	if (fstat(fd, &st) < 0 || st.st_size < 0 || (uint64_t)st.st_size > max)
		return om_err_set(err, OM_ERR_STATE, -EBADMSG, "%s: stored %s", name, file);
	if (!st.st_size)
		return 0;
	out->data = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (out->data == MAP_FAILED) {
		out->data = NULL;
		return om_err_sys(err, OM_ERR_IO, -errno, "%s: stored %s", name, file);
	}
	out->len = (size_t)st.st_size;
	return 0;
}

int load_again(struct load *l, const char *name, const struct om_wire_peer *peer,
	       struct om_brane_info *info, struct om_err *err)
{
	OM_CLEANUP(om_map_done) struct om_map bundle = {0}, manifest = {0};
	struct load_apply a = {.stdio = {-1, -1, -1}, .peer = peer, .restart = true};
	enum om_change change;
	struct om_err none;
	int ret = map_stored(l, name, "bundle", OM_BUNDLE_MAX, &bundle, err);

	if (ret < 0)
		return ret;
	if (map_stored(l, name, "manifest", OM_FRAME_MAX, &manifest, &none) < 0)
		memset(&manifest, 0, sizeof(manifest)); /* kept for describe only */
	a.bundle = bundle.data;
	a.bundle_len = bundle.len;
	a.manifest = manifest.data;
	a.manifest_len = manifest.len;
	return load_apply(l, &a, name, &change, info, err);
}
