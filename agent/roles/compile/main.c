/*
 * omegad-compile: foreign bytes in, findings and bundles out, without any privilege.
 *
 * Comes in: from the api role, a sealed manifest. Goes out: findings, one sealed bundle per brane.
 * Called by: omegad. Never does: open a path, make a socket or a process, keep anything from one
 * manifest for the next. Whoever takes it over with a crafted manifest can hand out a bundle of their
 * choice, which the one who sent the manifest could have had by writing another manifest.
 */
#include <errno.h>
#include <poll.h>
#include <seccomp.h>
#include <signal.h>
#include <string.h>
#include <policies/policy.h>
#include "agent/role/log.h"
#include "agent/role/sandbox.h"
#include "agent/role/wire.h"

enum { FD_PARENT = 3, FD_API = 4 };

static const int no_more[] = {-1};
static const struct om_role_desc desc = {
	.name = "compile",
	.uid = OM_UID_NOBODY,
	.syscalls = no_more,
	.files_max = 512, /* a bundle for each of OM_MANIFEST_BRANES_MAX branes in flight */
	.no_files = true,
	.no_processes = true,
};

static void policy_done(struct om_policy **p)
{
	om_policy_free(*p);
}

/* Splits the command's strings; each ends in NUL, COUNT of them, nothing left over. */
static int split(const struct om_map *m, const char **argv, uint32_t count, struct om_err *err)
{
	const char *p = m->data, *end = p + m->len;
	uint32_t n = 0;

	for (; p < end && n < count; n++) {
		argv[n] = p;
		p = memchr(p, 0, (size_t)(end - p));
		if (!p)
			break;
		p++;
	}
	if (!p || p != end || n != count)
		return om_err_set(err, OM_ERR_ROLE_PROTOCOL, -EBADMSG, "malformed command");
	argv[n] = NULL;
	return 0;
}

static int override(struct om_policy *p, const struct om_wire_compile *req, int fd,
		    struct om_err *err)
{
	const char *argv[OM_ARGV_MAX + 1];
	OM_CLEANUP(om_map_done) struct om_map m = {0};
	int ret;

	if (!req->argc)
		return 0;
	if (req->argc > OM_ARGV_MAX || fd < 0)
		return om_err_set(err, OM_ERR_ROLE_PROTOCOL, -EBADMSG, "malformed command");
	ret = om_memfd_map(fd, OM_MANIFEST_BYTES_MAX, &m, err);
	if (!ret)
		ret = split(&m, argv, req->argc, err);
	for (uint32_t i = 0; !ret && i < om_policy_count(p); i++)
		if (!req->only[0] || !strcmp(req->only, om_policy_ir(p, i)->name))
			ret = om_policy_set_command(p, i, argv, req->argc, err);
	return ret;
}

static int send_brane(uint64_t id, uint32_t i, const struct om_ir *ir, struct om_err *err)
{
	struct om_wire_compiled_brane b = {.index = i};
	OM_CLEANUP(om_free_ptr) uint8_t *data = NULL;
	OM_CLEANUP(om_close_fd) int fd = -1;
	size_t len;
	int ret = om_emit_bundle(ir, &data, &len, err);

	if (!ret)
		ret = om_memfd_new("bundle", data, len, &fd, err);
	if (ret < 0)
		return ret;
	memcpy(b.policy_id, ir->policy_id, sizeof(b.policy_id));
	strncpy(b.name, ir->name, sizeof(b.name) - 1);
	return om_msg_send(FD_API, OM_MSG_COMPILED_BRANE, id, &b, sizeof(b), &fd, 1, err);
}

static int send_branes(uint64_t id, const struct om_wire_compile *req, struct om_policy *p,
		       uint32_t *sent, struct om_err *err)
{
	int ret = 0;

	for (uint32_t i = 0; !ret && i < om_policy_count(p); i++) {
		const struct om_ir *ir = om_policy_ir(p, i);

		if (req->only[0] && strcmp(req->only, ir->name) != 0)
			continue;
		ret = send_brane(id, i, ir, err);
		*sent += !ret;
	}
	if (!ret && !*sent)
		ret = om_err_set(err, OM_ERR_NOT_FOUND, -ENOENT, "the manifest has no brane '%s'",
				 req->only);
	return ret;
}

static int compile(const struct om_msg *m, const struct om_wire_compile *req,
		   struct om_diags *diags, uint32_t *sent, struct om_err *err)
{
	OM_CLEANUP(policy_done) struct om_policy *p = NULL;
	OM_CLEANUP(om_map_done) struct om_map text = {0};
	/* One more than is allowed: the parser itself refuses it, with a finding. */
	int ret = om_memfd_map(m->fds[0], OM_FRAME_MAX, &text, err);

	if (!ret)
		ret = om_policy_compile(text.data ? text.data : "", text.len, &p, diags, err);
	if (!ret)
		ret = override(p, req, m->nfds > 1 ? m->fds[1] : -1, err);
	if (!ret)
		ret = send_branes(m->head.id, req, p, sent, err);
	return ret;
}

static int handle(struct om_msg *m, struct om_err *fatal)
{
	const struct om_wire_compile *req = om_msg_body(m, OM_MSG_COMPILE, sizeof(*req), 1, 2);
	struct om_wire_compiled done = {0};
	OM_CLEANUP(om_diags_done) struct om_diags diags;
	OM_CLEANUP(om_close_fd) int fd = -1;
	struct om_err err = {0};
	int ret;

	if (!req || !om_msg_str_ok(req->only, sizeof(req->only)))
		return om_err_set(fatal, OM_ERR_ROLE_PROTOCOL, -EBADMSG, "message %u",
				  m->head.type);
	om_diags_init(&diags);
	ret = compile(m, req, &diags, &done.branes, &err);
	if (err.id == OM_ERR_ROLE_PROTOCOL || err.id == OM_ERR_ROLE_DIED) {
		*fatal = err;
		return ret;
	}
	if (ret < 0)
		om_wire_err_put(&done.err, &err);
	done.findings = diags.count;
	done.dropped = diags.dropped;
	if (diags.count) {
		ret = om_memfd_new("findings", diags.items, diags.count * sizeof(*diags.items), &fd,
				   fatal);
		if (ret < 0)
			return ret;
	}
	return om_msg_send(FD_API, OM_MSG_COMPILED, m->head.id, &done, sizeof(done), &fd, fd >= 0,
			   fatal);
}

static int serve(struct om_err *err)
{
	struct pollfd p[] = {{.fd = FD_PARENT, .events = POLLIN}, {.fd = FD_API, .events = POLLIN}};
	int ret = om_msg_send(FD_PARENT, OM_MSG_READY, 0, NULL, 0, NULL, 0, err);

	while (!ret) {
		struct om_msg m;

		if (poll(p, OM_ARRAY_LEN(p), -1) < 0 && errno != EINTR)
			return om_err_sys(err, OM_ERR_IO, -errno, "poll");
		/* The parent says nothing but "end"; when it is gone we are, too. */
		if (p[0].revents)
			return 0;
		if (!p[1].revents)
			continue;
		ret = om_msg_recv(FD_API, 0, &m, err);
		if (ret == -ECONNRESET)
			return 0;
		if (ret == 1) {
			ret = handle(&m, err);
			om_msg_done(&m);
		}
	}
	return ret;
}

int main(void)
{
	struct om_err err = {0};

	signal(SIGPIPE, SIG_IGN);
	om_slog_role(desc.name);
	if (om_role_enter(&desc, FD_PARENT, &err) < 0 || serve(&err) < 0) {
		om_slog_err(OM_FAIL, "role_failed", NULL, &err);
		return 1;
	}
	return 0;
}
