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

static bool has(const char *path)
{
	struct stat st;

	if (!fstatat(AT_FDCWD, path, &st, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT))
		return true;
	/* Anything but a plain "no": it may be there, so it counts as denied. */
	return errno != ENOENT && errno != ENOTDIR && errno != ENAMETOOLONG;
}

static bool host_has(const struct om_decoded *e)
{
	char path[OM_OBJ_MAX + 1];
	size_t n = e->obj_len;

	/*
	 * Relative to a directory of the task's, cut, or each process's own: no look from here tells. It
	 * counts as denied, or a brane could try etc/shadow from "/", or behind a thousand slashes, and
	 * the log would say that it looked for what does not exist.
	 */
	if (!n || e->obj[0] != '/' || e->cut)
		return true;
	memcpy(path, e->obj, n);
	path[n] = 0;
	if (!strncmp(path, "/proc/", 6) || !strncmp(path, "/dev/fd/", 8) || has(path))
		return true;
	if (!(e->head.need & OM_MAY_CREATE))
		return false;
	/* To be made, removed or renamed: the directory would have been changed, if the host has that. */
	while (n > 1 && path[n - 1] == '/')
		n--;
	while (n > 1 && path[n - 1] != '/')
		n--;
	path[n] = 0;
	return has(path);
}

/* The place of H, or a free one, or NULL: all are taken. */
static struct absent *place(struct brane *b, uint64_t h)
{
	for (uint32_t i = 0; i < b->absent_cap; i++) {
		struct absent *a = &b->absent[(h + i) % b->absent_cap];

		if (!a->hash || a->hash == h)
			return a;
	}
	return NULL;
}

static void grow(struct brane *b)
{
	uint32_t was = b->absent_cap, cap = was ? was * 2 : DRAIN_FIRST;
	struct absent *old = b->absent;
	struct absent *fresh = cap > DRAIN_ABSENT ? NULL : calloc(cap, sizeof(*fresh));

	if (!fresh)
		return;
	b->absent = fresh;
	b->absent_cap = cap;
	for (uint32_t i = 0; i < was; i++)
		if (old[i].hash)
			*place(b, old[i].hash) = old[i];
	free(old);
}

bool drain_absent(struct brane *b, const struct om_decoded *e)
{
	/* The kernel's, which is keyed: of a hash made here a brane could compute two paths with one entry. */
	uint64_t h = e->hash ? e->hash : 1;
	bool denied = host_has(e);
	struct absent *a;
	size_t keep;

	drain_name_keep(b, e->hash, e->obj, e->obj_len, denied);
	if (denied)
		return true;
	a = place(b, h);
	if (!a) {
		grow(b);
		a = place(b, h);
	}
	if (!a) {
		b->absent_more++;
		return false;
	}
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

	for (uint32_t i = 0; i < b->absent_cap && !ret; i++)
		if (b->absent[i].hash)
			ret = report_one(d, b, &b->absent[i], err);
	if (!ret) {
		free(b->absent);
		b->absent = NULL;
		b->absent_cap = 0;
	}
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
