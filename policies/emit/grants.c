/*
 * What each grant is called in reports.
 *
 * Comes in: an IR. Goes out: OM_SEC_GRANTS, one row per grant in the IR's order, so that an index in
 * any section, in a verdict and in the maps means the same grant. Called by: om_emit_bundle. Never
 * does: write a secret; environment variables appear by name only.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <omega/addr.h>
#include <policies/emit/emit.h>

/* A path twice, quotes and words: the reader's bound for these texts. */
#define TEXT_MAX (2 * OM_PATH_MAX + 64)

static const char *const limit_names[] = {
	[OM_LIMIT_CPU] = "cpu",	    [OM_LIMIT_MEMORY] = "memory", [OM_LIMIT_PIDS] = "pids",
	[OM_LIMIT_FILES] = "files", [OM_LIMIT_IO] = "io",	  [OM_LIMIT_CORE] = "core",
};

/* The manifest keys that give MAY, the strongest first; all of them when several lines were merged. */
static void file_keys(const struct om_grant_file *f, char *buf, size_t size)
{
	bool write = f->may & (OM_MAY_WRITE | OM_MAY_REMOVE);
	bool exec = f->may & (OM_MAY_EXEC | OM_MAY_EXEC_BOUND);

	if (f->prefix || (!write && (f->may & OM_MAY_CREATE)))
		snprintf(buf, size, "filesystem.create");
	else
		snprintf(buf, size, "filesystem.%s",
			 write && exec ? "write+exec"
			 : write       ? "write"
			 : exec	       ? "exec"
				       : "read");
}

static void file_text(const struct om_grant_file *f, char *buf, size_t size)
{
	const char *slash = f->path[1] ? "/" : "";
	char keys[64];

	file_keys(f, keys, sizeof(keys));
	if (f->prefix)
		snprintf(buf, size, "%s \"%s%s%s%s%s\"", keys, f->path, slash, f->prefix,
			 f->suffix ? "*" : "", f->suffix ? f->suffix : "");
	else
		snprintf(buf, size, "%s \"%s%s\"", keys, f->path, f->tree ? slash : "");
}

/* As the manifest writes it, host bits and family included, so that a reader finds the line again. */
static void egress_text(const struct om_grant_egress *g, char *buf, size_t size)
{
	char net[OM_ADDR_TEXT_MAX];

	om_addr_format(g->addr, g->bits, net);
	if (g->port_lo == g->port_hi)
		snprintf(buf, size, "network.egress \"%s:%u/%s\"", net, g->port_lo,
			 om_proto_name(g->proto));
	else
		snprintf(buf, size, "network.egress \"%s:%u-%u/%s\"", net, g->port_lo, g->port_hi,
			 om_proto_name(g->proto));
}

/* Streams of several lines were merged into one mask: all of them are named. */
static void stdio_text(uint32_t which, char *buf, size_t size)
{
	snprintf(buf, size, "stdio%s%s%s", which & OM_STDIO_IN ? " in" : "",
		 which & OM_STDIO_OUT ? " out" : "", which & OM_STDIO_ERR ? " err" : "");
}

/*
 * One line for every kind. -Wswitch-enum names this function when a kind is added: a grant without a
 * name could be enforced and never explained.
 */
static void grant_text(const struct om_grant *g, char *buf, size_t size)
{
	switch (g->kind) {
	case OM_GRANT_FILE:
		file_text(&g->file, buf, size);
		break;
	case OM_GRANT_MOUNT:
		snprintf(buf, size, "filesystem.mounts \"%s\" at \"%s\"",
			 g->mount.from ? g->mount.from : "tmpfs", g->mount.to);
		break;
	case OM_GRANT_EGRESS:
		egress_text(&g->egress, buf, size);
		break;
	case OM_GRANT_LISTEN:
		snprintf(buf, size, "network.listen \"%u/%s\"", g->listen.port,
			 om_proto_name(g->listen.proto));
		break;
	case OM_GRANT_LIMIT:
		snprintf(buf, size, "limits.%s %llu", limit_names[g->limit.which],
			 (unsigned long long)g->limit.value);
		break;
	case OM_GRANT_ENV:
		snprintf(buf, size, "environment.set %s", g->env.name);
		break;
	case OM_GRANT_STDIO:
		stdio_text(g->stdio.which, buf, size);
		break;
	case OM_GRANT_SYSCALL:
		snprintf(buf, size, "syscalls.allow \"%s\"", g->syscall.name);
		break;
	}
}

/* A path may hold any byte but NUL; a report is one line. */
static void flatten(char *s)
{
	for (; *s; s++)
		if ((unsigned char)*s < 0x20 || *s == 0x7f)
			*s = '?';
}

/* Row I is grant I, also where grant I makes no row anywhere else: indexes must not shift. */
int om_emit_grants(const struct om_emit *e, struct om_err *err)
{
	OM_CLEANUP(om_free_ptr) char *text = malloc(TEXT_MAX);

	if (!text)
		return om_err_set(err, OM_ERR_NOMEM, -ENOMEM, "grant texts");
	for (uint32_t i = 0; i < e->ir->count; i++) {
		struct om_b_grant row = {.line = e->ir->grants[i].pos.line};
		int ret;

		text[0] = '\0';
		grant_text(&e->ir->grants[i], text, TEXT_MAX);
		flatten(text);
		ret = om_bundle_w_str(e->w, text, &row.text, err);
		if (!ret)
			ret = om_bundle_w_add(e->w, OM_SEC_GRANTS, &row, 1, err);
		if (ret)
			return ret;
	}
	return 0;
}
