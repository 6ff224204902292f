/*
 * Notes: the node's after each commit, the branes', and the `checkpoint` file.
 *
 * Comes in: note lines, and the state that they must certify. Goes out: true, or a finding. Called
 * by: segment.c, verify.c. Never does: accept one signature where two are due.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/chain/verify/walk.h"

bool om_walk_read_note(struct walk *w)
{
	int n = om_note_from_line(w->note_line, w->note_line_len, w->note_text);

	return n > 0 && om_note_parse(w->note_text, (size_t)n, &w->note) == 0 &&
	       om_checkpoint_parse(w->note.body, w->note.body_len, &w->point) == 0;
}

static bool names_origin(const struct walk *w)
{
	return w->point.origin_len == strlen(w->origin) &&
	       !memcmp(w->point.origin, w->origin, w->point.origin_len);
}

static size_t log_key_name(const struct walk *w, char name[OM_KEY_NAME_MAX + 1])
{
	return (size_t)snprintf(name, OM_KEY_NAME_MAX + 1, "%s/c%llu", w->origin,
				(unsigned long long)w->commits);
}

/* A line by that name, whatever its key. */
static bool has_line(const struct om_note *n, const char *name, size_t len)
{
	for (uint32_t i = 0; i < n->n; i++)
		if (n->sig[i].name_len == len && !memcmp(n->sig[i].name, name, len))
			return true;
	return false;
}

/* A line that starts with "ORIGIN/c": a one-time key's of some commit. */
static bool has_log_line(const struct walk *w)
{
	size_t len = strlen(w->origin);

	for (uint32_t i = 0; i < w->note.n; i++)
		if (w->note.sig[i].name_len > len + 2 &&
		    !memcmp(w->note.sig[i].name, w->origin, len) &&
		    !memcmp(w->note.sig[i].name + len, "/c", 2))
			return true;
	return false;
}

#define FIND_NOTE(w, cls, ...)                                                 \
	om_walk_find((w), OM_FINDING_TAMPERED, (cls), (w)->tree.size + (w)->n, \
		     om_walk_offset((w), (w)->note_line), __VA_ARGS__)

/* The substrate's line: 12 another key, 20 none, 2 a signature that does not hold. */
static bool substrate_ok(struct walk *w)
{
	size_t len = strlen(w->origin);
	int ret = om_note_verify(&w->note, w->origin, len, w->pin.pk);

	if (ret == 1)
		return true;
	if (ret < 0)
		FIND_NOTE(w, "2", "the substrate signature does not hold");
	else if (has_line(&w->note, w->origin, len))
		FIND_NOTE(w, "12", "signed by another substrate key than the pinned one");
	else
		FIND_NOTE(w, "20", "the substrate signature is missing");
	return false;
}

static bool log_key_ok(struct walk *w)
{
	char name[OM_KEY_NAME_MAX + 1];
	size_t len = log_key_name(w, name);
	int ret = om_note_verify(&w->note, name, len, w->expect);

	if (ret == 1)
		return true;
	if (ret < 0)
		FIND_NOTE(w, "2", "the one-time signature does not hold");
	else if (has_line(&w->note, name, len))
		FIND_NOTE(w, "19", "not signed by the key that the commit before names");
	else if (has_log_line(w))
		FIND_NOTE(w, "24", "bears the one-time key of another commit");
	else
		FIND_NOTE(w, "20", "the one-time signature is missing");
	return false;
}

void om_walk_note_fault(struct walk *w)
{
	bool form = om_note_from_line(w->note_line, w->note_line_len, w->note_text) > 0;

	FIND_NOTE(w, form ? "29" : "2", "%s",
		  form ? "the note is no canonical signed note" : "the note line is malformed");
}

bool om_walk_node_note(struct walk *w)
{
	if (!names_origin(w)) {
		FIND_NOTE(w, "24", "the note is of another log");
		return false;
	}
	if (!substrate_ok(w) || !log_key_ok(w))
		return false;
	w->res->node_notes++;
	return true;
}

/* The brane that the note's origin names, or NULL. */
static struct walk_brane *note_brane(struct walk *w)
{
	size_t len = strlen(w->origin);
	uint32_t index;

	if (w->point.origin_len <= len + 7 || memcmp(w->point.origin, w->origin, len) ||
	    memcmp(w->point.origin + len, "/brane/", 7))
		return NULL;
	return om_walk_brane(w, w->point.origin + len + 7, w->point.origin_len - len - 7, &index);
}

static bool brane_key_ok(struct walk *w, const struct walk_brane *b)
{
	int ret = om_note_verify(&w->note, w->point.origin, w->point.origin_len, b->key);

	if (ret == 1)
		return true;
	if (ret < 0)
		FIND_NOTE(w, "2", "the brane signature does not hold");
	else if (has_line(&w->note, w->point.origin, w->point.origin_len))
		FIND_NOTE(w, "13", "signed by another key than the brane's log names");
	else
		FIND_NOTE(w, "20", "the brane signature is missing");
	return false;
}

bool om_walk_brane_note(struct walk *w)
{
	struct walk_brane *b;
	uint8_t root[32];

	if (!om_walk_read_note(w)) {
		om_walk_note_fault(w);
		return false;
	}
	b = note_brane(w);
	if (!b || !b->keyed || !b->tree) {
		FIND_NOTE(w, names_origin(w) ? "24" : "2",
			  "the note stands where none can: it names no brane of this log");
		return false;
	}
	om_tree_root(b->tree, root);
	if (w->point.size != b->seq || memcmp(w->point.root, root, 32)) {
		int sub = om_note_verify(&w->note, w->origin, strlen(w->origin), w->pin.pk);

		FIND_NOTE(w, sub == 1 ? "24" : "2",
			  "the note does not certify the brane as it stands here");
		return false;
	}
	if (!substrate_ok(w) || !brane_key_ok(w, b))
		return false;
	b->notes++;
	w->res->brane_notes++;
	if (b->wants_final) {
		b->wants_final = false;
		w->finals -= w->finals > 0;
		free(b->tree);
		b->tree = NULL;
	}
	return true;
}

static size_t load(int audit_fd, char *buf)
{
	OM_CLEANUP(om_close_fd)
	int fd = openat(audit_fd, "checkpoint", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	ssize_t n = fd < 0 ? 0 : read(fd, buf, OM_NOTE_MAX);

	return n > 0 ? (size_t)n : 0;
}

void om_walk_checkpoint_load(struct walk *w, int audit_fd)
{
	w->early_len = load(audit_fd, w->early);
}

static bool parse_checkpoint(struct walk *w, const char *text, size_t len)
{
	return om_note_parse(text, len, &w->note) == 0 &&
	       om_checkpoint_parse(w->note.body, w->note.body_len, &w->point) == 0 &&
	       names_origin(w);
}

/* A head that was signed and lies past the end: the end was cut off. */
static void check_cut(struct walk *w)
{
	if (!w->early_len || !parse_checkpoint(w, w->early, w->early_len))
		return;
	if (w->point.size > w->tree.size &&
	    om_note_verify(&w->note, w->origin, strlen(w->origin), w->pin.pk) == 1)
		om_walk_find(w, OM_FINDING_TAMPERED, "9c", w->tree.size, 0,
			     "`checkpoint` bears a signed head of %llu leaves, the log has %llu",
			     (unsigned long long)w->point.size, (unsigned long long)w->tree.size);
}

void om_walk_checkpoint(struct walk *w, int audit_fd)
{
	char late[OM_NOTE_MAX];
	size_t len;
	uint8_t root[32];

	check_cut(w);
	if (w->stop)
		return;
	len = load(audit_fd, late);
	if (!len)
		return;
	if (!parse_checkpoint(w, late, len)) {
		om_walk_find(
			w, OM_FINDING_NOTE, "33", 0, 0,
			"`checkpoint` is damaged (it is derived; the next commit replaces it)");
		return;
	}
	om_tree_root(&w->tree, root);
	if (w->point.size < w->tree.size ||
	    (w->point.size == w->tree.size && memcmp(w->point.root, root, 32)))
		om_walk_find(w, OM_FINDING_NOTE, "34", w->point.size, 0,
			     "`checkpoint` is not the newest head (it is derived; the next commit "
			     "replaces it)");
}
