/*
 * Paths that are not in a brane's view.
 *
 * Comes in: file.absent events. Goes out: "this is a denial" when the host has the path, one folded
 * record per path otherwise. Called by: events.c, brane.c. Never does: open anything: a look at the
 * host's names, without following links or mounting what is not mounted.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include "agent/roles/drain/drain.h"

/* FNV-1a, 64 bits: a key in a table that is ours alone and bounded, not a defence. */
static uint64_t hash(const char *p, size_t n)
{
	uint64_t h = 0xcbf29ce484222325u;

	for (size_t i = 0; i < n; i++)
		h = (h ^ (uint8_t)p[i]) * 0x100000001b3u;
	return h ? h : 1;
}

static bool host_has(const struct om_decoded *e)
{
	char path[OM_OBJ_MAX + 1];
	struct stat st;

	/* A relative path, or one that was cut, cannot be looked up from here. */
	if (!e->obj_len || e->obj[0] != '/' || e->cut)
		return false;
	memcpy(path, e->obj, e->obj_len);
	path[e->obj_len] = 0;
	if (!fstatat(AT_FDCWD, path, &st, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT))
		return true;
	/* Anything but a plain "no": it may be there, so it counts as denied. */
	return errno != ENOENT && errno != ENOTDIR && errno != ENAMETOOLONG;
}

bool drain_absent(struct brane *b, const struct om_decoded *e)
{
	uint64_t h = hash(e->obj, e->obj_len);
	bool denied = host_has(e);
	struct absent *a;
	size_t keep;

	drain_name_keep(b, e->hash, e->obj, e->obj_len, denied);
	if (denied)
		return true;
	if (!b->absent)
		b->absent = calloc(DRAIN_ABSENT, sizeof(*b->absent));
	if (!b->absent) {
		b->absent_more++;
		return false;
	}
	for (uint32_t i = 0; i < DRAIN_ABSENT; i++) {
		a = &b->absent[(h + i) % DRAIN_ABSENT];
		if (a->hash && a->hash != h)
			continue;
		if (!a->hash) {
			keep = OM_MIN(e->obj_len, sizeof(a->path));
			a->hash = h;
			a->first_ns = e->head.time_ns;
			a->len = (uint32_t)keep;
			memcpy(a->path, e->obj + e->obj_len - keep, keep);
		}
		a->count++;
		a->last_ns = e->head.time_ns;
		return false;
	}
	b->absent_more++;
	return false;
}

static int report_one(struct drain *d, struct brane *b, struct absent *a, struct om_err *err)
{
	struct om_data data;
	int ret;

	om_data_init(&data);
	om_data_word(&data, "act", "absent");
	om_data_word(&data, "layer", om_event_layer(OM_WHERE_VIEW));
	om_data_word(&data, "rule", om_op_row(OM_OP_FILE_ABSENT)->rule);
	om_data_bytes(&data, "obj", a->path, a->len);
	om_data_id(&data, "count", a->count);
	om_data_int(&data, "t", (int64_t)(a->first_ns / 1000));
	om_data_int(&data, "until", (int64_t)(a->last_ns / 1000));
	ret = drain_put(d, b, "file.absent", &data, 0, err);
	if (!ret)
		memset(a, 0, sizeof(*a));
	return ret;
}

int drain_absent_report(struct drain *d, struct brane *b, struct om_err *err)
{
	struct om_data data;
	int ret = 0;

	for (uint32_t i = 0; b->absent && i < DRAIN_ABSENT && !ret; i++)
		if (b->absent[i].hash)
			ret = report_one(d, b, &b->absent[i], err);
	if (ret < 0 || !b->absent_more)
		return ret;
	om_data_init(&data);
	om_data_word(&data, "act", "absent");
	om_data_word(&data, "layer", om_event_layer(OM_WHERE_VIEW));
	om_data_word(&data, "rule", om_op_row(OM_OP_FILE_ABSENT)->rule);
	om_data_id(&data, "count", b->absent_more);
	ret = drain_put(d, b, "file.absent", &data, 0, err);
	if (!ret)
		b->absent_more = 0;
	return ret;
}
