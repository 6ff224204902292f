/*
 * Segment names and header lines: see seg.h.
 *
 * Comes in: state or lines. Goes out: lines or state. Called by: the log, recovery, verify, the
 * reader. Never does: open or write a segment.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "agent/chain/seg.h"

void om_seg_name(uint64_t first, char name[OM_SEG_NAME_LEN + 1])
{
	for (int i = 11; i >= 0; i--, first /= 10)
		name[i] = (char)('0' + first % 10);
	memcpy(name + 12, ".log", 5);
}

int om_seg_name_parse(const char *name, uint64_t *first)
{
	uint64_t v = 0;

	if (strlen(name) != OM_SEG_NAME_LEN || strcmp(name + 12, ".log"))
		return 0;
	for (int i = 0; i < 12; i++) {
		if (name[i] < '0' || name[i] > '9')
			return 0;
		v = v * 10 + (uint64_t)(name[i] - '0');
	}
	*first = v;
	return 1;
}

static int ascending(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static void close_dir(DIR **d)
{
	if (*d)
		closedir(*d);
}

int om_seg_list(int stream_fd, uint64_t **firsts, size_t *n)
{
	int fd = openat(stream_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	OM_CLEANUP(close_dir) DIR *d = fd < 0 ? NULL : fdopendir(fd);
	OM_CLEANUP(om_free_ptr) uint64_t *list = NULL;
	size_t cap = 0;
	struct dirent *e;
	uint64_t v;

	*n = 0;
	if (!d) {
		int ret = -errno;

		om_close_fd(&fd);
		return ret;
	}
	while ((e = readdir(d))) {
		if (!om_seg_name_parse(e->d_name, &v))
			continue;
		if (*n == cap) {
			uint64_t *grown = realloc(list, (cap + 64) * 2 * sizeof(*list));

			if (!grown)
				return -ENOMEM;
			list = grown;
			cap = (cap + 64) * 2;
		}
		list[(*n)++] = v;
	}
	if (*n)
		qsort(list, *n, sizeof(*list), ascending);
	*firsts = OM_STEAL_PTR(list);
	return 0;
}

bool om_seg_torn(const char *p, size_t len, uint64_t off)
{
	bool any = false;

	for (size_t i = 0; i < len; i++) {
		if (p[i])
			continue;
		if ((off + i) % 512)
			return false;
		while (i < len && !p[i])
			i++;
		if (i < len && (off + i) % 512)
			return false;
		any = true;
	}
	return any;
}

static void put_tree(struct om_out *o, const struct om_tree *t)
{
	bool first = true;

	om_out_lit(o, "[");
	for (int k = OM_TREE_LEVELS - 1; k >= 0; k--) {
		if (!(t->size >> k & 1))
			continue;
		if (first)
			om_out_lit(o, "[");
		else
			om_out_lit(o, ",[");
		first = false;
		om_out_int(o, k);
		om_out_lit(o, ",");
		om_out_b64(o, t->level[k], 32);
		om_out_lit(o, "]");
	}
	om_out_lit(o, "]");
}

void om_seg_head_begin(struct om_out *o, const struct om_seg_head *h)
{
	om_out_lit(o, "{\"seg\":{\"boot\":");
	om_out_str(o, h->boot, strlen(h->boot));
	om_out_lit(o, ",\"branes\":{");
}

void om_seg_head_brane(struct om_out *o, const struct om_seg_brane *b, bool first)
{
	if (!first)
		om_out_lit(o, ",");
	om_out_str(o, b->id, strlen(b->id));
	om_out_lit(o, ":[");
	om_out_int(o, (int64_t)b->tree.size);
	om_out_lit(o, ",");
	put_tree(o, &b->tree);
	om_out_lit(o, ",");
	om_out_b64(o, b->prev, 32);
	om_out_lit(o, ",");
	om_out_b64(o, b->key, 32);
	om_out_lit(o, "]");
}

void om_seg_head_end(struct om_out *o, const struct om_seg_head *h)
{
	om_out_lit(o, "},\"commits\":");
	om_out_int(o, (int64_t)h->commits);
	om_out_lit(o, ",\"drop\":{\"full\":");
	om_out_int(o, (int64_t)h->drop[0]);
	om_out_lit(o, ",\"rate\":");
	om_out_int(o, (int64_t)h->drop[1]);
	om_out_lit(o, ",\"ringbuf\":");
	om_out_int(o, (int64_t)h->drop[2]);
	om_out_lit(o, "},\"first\":");
	om_out_int(o, (int64_t)h->tree.size);
	om_out_lit(o, ",\"frontier\":");
	put_tree(o, &h->tree);
	om_out_lit(o, ",\"mono\":");
	om_out_int(o, h->mono);
	om_out_lit(o, ",\"next\":");
	om_out_b64(o, h->next, 32);
	om_out_lit(o, ",\"origin\":");
	om_out_str(o, h->origin, strlen(h->origin));
	om_out_lit(o, ",\"v\":1}}\n");
}

static int get_uint(struct om_json_val o, const char *key, uint64_t *out)
{
	struct om_json_val v;
	int64_t i;

	if (om_json_get(o, key, &v) < 0 || om_json_int(v, &i) < 0 || i < 0)
		return -EBADMSG;
	*out = (uint64_t)i;
	return 0;
}

/* The levels must be exactly the bits of SIZE, largest first. */
static int get_tree(struct om_json_val v, uint64_t size, struct om_tree *t)
{
	struct om_json_iter it, in;
	struct om_json_val pair, x;
	int64_t level;

	t->size = size;
	if (om_json_iter_init(&it, v) < 0 || it.kind != '[')
		return -EBADMSG;
	for (int k = OM_TREE_LEVELS - 1; k >= 0; k--) {
		if (!(size >> k & 1))
			continue;
		if (om_json_iter_next(&it, NULL, &pair) != 1 || om_json_iter_init(&in, pair) < 0 ||
		    om_json_iter_next(&in, NULL, &x) != 1 || om_json_int(x, &level) < 0 ||
		    level != k || om_json_iter_next(&in, NULL, &x) != 1 ||
		    om_json_b64(x, t->level[k], 32) < 0 || om_json_iter_next(&in, NULL, &x) != 0)
			return -EBADMSG;
	}
	return om_json_iter_next(&it, NULL, &pair) == 0 ? 0 : -EBADMSG;
}

int om_seg_head_parse(const char *line, size_t len, struct om_seg_head *h)
{
	static const char *const classes[3] = {"full", "rate", "ringbuf"};
	struct om_json_val doc = {line, len}, seg, v;
	uint64_t first, mono, version;

	if (!om_json_canonical(line, len) || om_json_count(doc) != 1 ||
	    om_json_get(doc, "seg", &seg) < 0 || om_json_count(seg) != 10)
		return -EBADMSG;
	if (om_json_get(seg, "boot", &v) < 0 || om_json_str(v, h->boot, sizeof(h->boot)) < 0 ||
	    om_json_get(seg, "origin", &v) < 0 ||
	    om_json_str(v, h->origin, sizeof(h->origin)) < 0 ||
	    get_uint(seg, "commits", &h->commits) < 0 || get_uint(seg, "first", &first) < 0 ||
	    get_uint(seg, "mono", &mono) < 0 || get_uint(seg, "v", &version) < 0 || version != 1)
		return -EBADMSG;
	h->mono = (int64_t)mono;
	if (om_json_get(seg, "next", &v) < 0 || om_json_b64(v, h->next, 32) < 0 ||
	    om_json_get(seg, "frontier", &v) < 0 || get_tree(v, first, &h->tree) < 0 ||
	    om_json_get(seg, "branes", &h->branes) < 0 || h->branes.p[0] != '{' ||
	    om_json_get(seg, "drop", &v) < 0 || om_json_count(v) != 3)
		return -EBADMSG;
	for (int k = 0; k < 3; k++)
		if (get_uint(v, classes[k], &h->drop[k]) < 0)
			return -EBADMSG;
	return 0;
}

int om_seg_brane_parse(struct om_json_val key, struct om_json_val v, struct om_seg_brane *b)
{
	struct om_json_val size, tree, prev, pk;
	struct om_json_iter it;
	int64_t n;

	if (om_json_str(key, b->id, sizeof(b->id)) < 0 || om_json_iter_init(&it, v) < 0 ||
	    om_json_iter_next(&it, NULL, &size) != 1 || om_json_iter_next(&it, NULL, &tree) != 1 ||
	    om_json_iter_next(&it, NULL, &prev) != 1 || om_json_iter_next(&it, NULL, &pk) != 1 ||
	    om_json_iter_next(&it, NULL, &key) != 0 || om_json_int(size, &n) < 0 || n < 0)
		return -EBADMSG;
	if (get_tree(tree, (uint64_t)n, &b->tree) < 0 || om_json_b64(prev, b->prev, 32) < 0 ||
	    om_json_b64(pk, b->key, 32) < 0)
		return -EBADMSG;
	return 0;
}
