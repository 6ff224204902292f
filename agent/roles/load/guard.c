/*
 * The strict self-guard, as the load role sees it.
 *
 * Comes in: what omegad was asked for, the operator's release. Goes out: the level that holds, in the log before
 * it is lifted and after it was made. Called by: main.c, verbs.c. Never does: serve without the level that
 * was asked for; make it strict again in the life of an omegad that released it.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include "agent/role/log.h"
#include "agent/roles/load/load.h"

/* Names the omegad that released the guard: its roles may start anew, it stays released. */
static void released_path(char *path, size_t size, const char *run_dir)
{
	(void)snprintf(path, size, "%s/guard-released", run_dir);
}

static bool released(const char *run_dir)
{
	char path[OM_PATH_MAX], text[32] = "";
	OM_CLEANUP(om_close_fd) int fd = -1;

	released_path(path, sizeof(path), run_dir);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	return fd >= 0 && read(fd, text, sizeof(text) - 1) > 0 &&
	       strtol(text, NULL, 10) == getppid();
}

static int remember(const char *run_dir, struct om_err *err)
{
	char path[OM_PATH_MAX], text[32];
	OM_CLEANUP(om_close_fd) int fd = -1;
	int n = snprintf(text, sizeof(text), "%d\n", getppid());

	released_path(path, sizeof(path), run_dir);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0 || write(fd, text, (size_t)n) != n)
		return om_err_sys(err, OM_ERR_IO, -errno, "%s", path);
	return 0;
}

int load_guard(struct load *l, const struct om_loader_opts *o, struct om_err *err)
{
	enum om_guard want = l->want_strict ? OM_GUARD_STRICT : OM_GUARD_BRANE;
	struct om_wire_note n;
	bool fresh = false;
	int ret;

	l->run_dir = o->run_dir;
	if (want == OM_GUARD_STRICT && released(o->run_dir))
		want = OM_GUARD_BRANE;
	ret = om_loader_guard(l->l, want, l->guard_opts, &l->guard, &fresh, err);
	if (ret < 0)
		return ret;
	if (l->guard == OM_GUARD_STRICT && !l->want_strict)
		om_slog(OM_WARN, "guard", "level", "strict", "reason",
			"it was strict and was not released", NULL);
	if (!fresh)
		return 0;
	om_slog(OM_INFO, "guard", "level", "strict", NULL);
	load_note_init(&n, OM_NOTE_GUARD_STRICT, NULL, NULL);
	return load_note_send(l, &n, true, err);
}

int load_guard_release(struct load *l, const struct om_wire_peer *peer, struct om_err *err)
{
	struct om_wire_note n;
	int ret;

	if (l->guard != OM_GUARD_STRICT)
		return om_err_set(err, OM_ERR_CTL_PARAMETER, -EINVAL,
				  "the self-guard is not strict");
	load_note_init(&n, OM_NOTE_GUARD_RELEASED, NULL, peer);
	/* Durable first: what cannot be recorded does not happen. */
	ret = load_note_send(l, &n, true, err);
	if (!ret)
		ret = remember(l->run_dir, err);
	if (!ret)
		ret = om_loader_guard_release(l->l, err);
	if (ret < 0)
		return ret;
	l->guard = OM_GUARD_BRANE;
	om_slog(OM_WARN, "guard", "level", "brane", "reason", "released by the operator", NULL);
	return 0;
}
