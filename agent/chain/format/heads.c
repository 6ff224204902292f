/*
 * The `heads` hash: see heads.h.
 *
 * Comes in: heads. Goes out: their root. Called by: the log, the signer, verify. Never does: allocate.
 */
#include <stdlib.h>
#include <string.h>

#include <omega/sha256.h>
#include "agent/chain/format/heads.h"
#include "agent/chain/format/merkle.h"
#include "agent/chain/format/note.h"

size_t om_brane_origin(const char *origin, const char *id, size_t id_len, char *buf)
{
	size_t len = strnlen(origin, OM_ORIGIN_MAX);

	id_len = OM_MIN(id_len, (size_t)OM_BRANE_ID_MAX);
	memcpy(buf, origin, len);
	memcpy(buf + len, "/brane/", 7);
	memcpy(buf + len + 7, id, id_len);
	buf[len + 7 + id_len] = 0;
	return len + 7 + id_len;
}

static int by_origin(const void *pa, const void *pb)
{
	const struct om_head *a = pa, *b = pb;
	int c = memcmp(a->id, b->id, OM_MIN(a->id_len, b->id_len));

	return c ? c : (int)a->id_len - (int)b->id_len;
}

void om_heads_root(const char *origin, struct om_head *heads, size_t n, uint8_t root[32])
{
	char name[OM_KEY_NAME_MAX + 1], body[OM_NOTE_MAX];
	uint8_t leaf[1][32];
	struct om_tree t;

	om_tree_init(&t);
	if (n > 1)
		qsort(heads, n, sizeof(*heads), by_origin);
	for (size_t i = 0; i < n; i++) {
		size_t len;

		om_brane_origin(origin, heads[i].id, heads[i].id_len, name);
		len = om_checkpoint_body(name, heads[i].size, heads[i].root, body);
		om_sha256_leaf(body, len, leaf[0]);
		om_tree_append(&t, leaf, 1);
	}
	om_tree_root(&t, root);
}
