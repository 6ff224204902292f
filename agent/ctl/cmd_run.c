/*
 * run: one brane in the foreground.
 *
 * Comes in: a manifest, a command. Goes out: the workload's output and its exit code. Called by: main.
 * Never does: hand the workload this terminal (TIOCSTI and its kin would let it type into the shell
 * that comes after it): it gets pipes, and this process copies.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include "agent/ctl/command.h"
#include "agent/ctl/lib/daemon.h"
#include "agent/ctl/lib/out.h"
#include "agent/ctl/lib/source.h"

#define RELAY_BYTES 65536u

struct relay {
	int from, to; /* -1: over */
	bool close_to;
	char *buf;
	size_t len, off; /* what waits to be written */
};

struct run {
	struct om_ctl *ctl;
	const char *name;
	struct relay r[3];
	struct om_vl_client wait;
	int signals;	/* signalfd */
	int deleted_by; /* the signal that made us delete it, 0 */
	json_t *brane;	/* as it ended */
};

/* For what is not the workload's: the id's own code would look like the workload's. */
static int ours(const struct om_ctl *ctl, const struct om_err *err)
{
	om_ctl_error(ctl, err);
	return CTL_EXIT_RUN_OURS;
}

static int delete_brane(struct run *run, struct om_err *err)
{
	OM_CLEANUP(om_json_put) json_t *reply = NULL;

	return om_ctl_call_name(run->ctl, "io.omega.Control.Delete", run->name, &reply, err);
}

static void relay_end(struct relay *r)
{
	if (r->from >= 0 && r->from != STDIN_FILENO)
		close(r->from);
	if (r->close_to)
		om_close_fd(&r->to);
	r->from = r->to = -1;
	r->len = r->off = 0;
}

/* Moves what can be moved without waiting. */
static void relay_step(struct relay *r, short got_in, short got_out)
{
	ssize_t n;

	if (r->len == r->off && got_in) {
		n = read(r->from, r->buf, RELAY_BYTES);
		if (n < 0 && (errno == EINTR || errno == EAGAIN))
			return;
		if (n <= 0) {
			relay_end(r);
			return;
		}
		r->off = 0;
		r->len = (size_t)n;
	} else if (r->len > r->off && got_out) {
		n = write(r->to, r->buf + r->off, r->len - r->off);
		if (n < 0 && (errno == EINTR || errno == EAGAIN))
			return;
		if (n < 0) {
			relay_end(r); /* the other end is gone: EPIPE here, EOF there */
			return;
		}
		r->off += (size_t)n;
	}
}

static void take_signal(struct run *run)
{
	struct signalfd_siginfo si;
	struct om_err err;

	if (read(run->signals, &si, sizeof(si)) != sizeof(si))
		return;
	/* The second one means it: the brane stays confined whatever becomes of us. */
	if (run->deleted_by)
		_exit(128 + run->deleted_by);
	run->deleted_by = (int)si.ssi_signo;
	if (delete_brane(run, &err) < 0)
		om_ctl_error(run->ctl, &err);
}

/* Until the workload has ended and its output is copied. */
static int relay_all(struct run *run, struct om_err *err)
{
	bool waiting = true;

	while (waiting || run->r[1].from >= 0 || run->r[2].from >= 0) {
		struct pollfd p[8] = {{.fd = waiting ? run->wait.fd : -1, .events = POLLIN},
				      {.fd = run->signals, .events = POLLIN}};

		for (int i = 0; i < 3; i++) {
			const struct relay *r = &run->r[i];
			bool full = r->len > r->off;

			p[2 + 2 * i] = (struct pollfd){full ? -1 : r->from, POLLIN, 0};
			p[3 + 2 * i] =
				(struct pollfd){full || i == 0 ? r->to : -1, full ? POLLOUT : 0, 0};
		}
		/* Once it has ended only what is in the pipes is left. */
		if (poll(p, OM_ARRAY_LEN(p), waiting ? -1 : 1000) <= 0) {
			if (!waiting && errno != EINTR)
				break;
			continue;
		}
		if (p[1].revents)
			take_signal(run);
		if (p[0].revents) {
			int ret = om_vl_client_recv(&run->wait, run->ctl->timeout_ms, &run->brane,
						    err);

			waiting = false;
			if (ret < 0 && !run->deleted_by)
				return ret;
		}
		for (int i = 0; i < 3; i++) {
			/* The workload closed its stdin: nobody will read what we would send. */
			if (i == 0 && p[3].revents & POLLERR)
				relay_end(&run->r[0]);
			else
				relay_step(&run->r[i], p[2 + 2 * i].revents, p[3 + 2 * i].revents);
		}
	}
	return 0;
}

/* Pipes: the workload's ends into CHILD, ours into run->r. */
static int make_pipes(struct run *run, int child[3], struct om_err *err)
{
	for (int i = 0; i < 3; i++) {
		int p[2];

		if (pipe2(p, O_CLOEXEC) < 0)
			return om_err_sys(err, OM_ERR_IO, -errno, "pipe");
		child[i] = p[i == 0 ? 0 : 1];
		run->r[i] = (struct relay){.from = i == 0 ? STDIN_FILENO : p[0],
					   .to = i == 0 ? p[1] : i,
					   .close_to = i == 0,
					   .buf = malloc(RELAY_BYTES)};
		if (!run->r[i].buf)
			return om_err_set(err, OM_ERR_NOMEM, -ENOMEM, "no memory for the pipes");
	}
	/* A workload that does not read must not stop us from seeing its end. */
	if (fcntl(run->r[0].to, F_SETFL, O_NONBLOCK) < 0)
		return om_err_sys(err, OM_ERR_IO, -errno, "pipe");
	return 0;
}

static json_t *apply_params(const struct om_source *src, const char *name, const struct om_args *a)
{
	json_t *params = json_pack(
		"{s:o,s:o,s:b,s:s,s:b}", "manifest", json_stringn(src->data, src->len), "file",
		om_ctl_json_text(src->name), "dry_run", 0, "only", name, "stdio", 1);
	json_t *argv;

	if (!params || !a->nrest)
		return params;
	argv = json_array();
	for (uint32_t i = 0; i < a->nrest; i++)
		if (json_array_append_new(argv, json_string(a->rest[i])) < 0) {
			json_decref(argv);
			json_decref(params);
			return NULL;
		}
	json_object_set_new(params, "command", argv);
	return params;
}

/* Input that somebody sent and that the manifest does not let in: an empty stream would puzzle them. */
static void mind_stdin(const struct om_ir *ir)
{
	struct stat st;

	for (uint32_t i = 0; i < ir->count; i++)
		if (ir->grants[i].kind == OM_GRANT_STDIO && ir->grants[i].stdio.which & OM_STDIO_IN)
			return;
	if (fstat(STDIN_FILENO, &st) == 0 && (S_ISFIFO(st.st_mode) || S_ISREG(st.st_mode)))
		fprintf(stderr,
			"note: stdin is not read: [brane.%s.stdio] in = true would grant it\n",
			ir->name);
}

/* 126 and 127 as a shell would say it. */
static int not_executed(int error)
{
	return error == ENOENT					       ? 127
	       : error == EACCES || error == ENOEXEC || error == EPERM ? 126
								       : 0;
}

static int exit_code(const struct run *run)
{
	const json_t *e = json_object_get(json_object_get(run->brane, "brane"), "exit");
	const char *cause = om_json_text(e, "cause", "");
	int code = (int)om_json_number(e, "code", 0);

	if (run->deleted_by)
		return 128 + run->deleted_by;
	if (strcmp(cause, "code") == 0)
		return code & 0xff;
	if (strcmp(cause, "signal") == 0)
		return 128 + (code & 0x7f);
	if (strcmp(cause, "oom") == 0 || strcmp(cause, "deleted") == 0)
		return 128 + SIGKILL;
	if (strcmp(cause, "setup") == 0 && not_executed(abs(code)))
		return not_executed(abs(code));
	return CTL_EXIT_RUN_OURS;
}

static int start(struct run *run, const struct om_source *src, const struct om_args *a,
		 const int child[3], struct om_err *err)
{
	OM_CLEANUP(om_vl_client_done) struct om_vl_client c = {.fd = -1};
	OM_CLEANUP(om_json_put) json_t *reply = NULL;
	json_t *params = apply_params(src, run->name, a);
	const char *change;
	int ret;

	if (!params)
		return om_err_set(err, OM_ERR_USAGE, -EINVAL, "the command is no UTF-8");
	ret = om_ctl_connect(run->ctl, "io.omega.Control.Apply", &c, err);
	if (ret < 0) {
		json_decref(params);
		return ret;
	}
	ret = om_vl_client_call(&c, "io.omega.Control.Apply", params, child, 3,
				run->ctl->timeout_ms, &reply, err);
	if (ret < 0) {
		om_findings_print(json_object_get(reply, "findings"), src->name, src->data,
				  src->len, stderr, run->ctl->color_err);
		return ret;
	}
	change = om_json_text(json_array_get(json_object_get(reply, "results"), 0), "change", "");
	if (strcmp(change, "created") != 0)
		return om_err_set(err, OM_ERR_EXISTS, -EEXIST, "brane '%s' was there already",
				  run->name);
	return 0;
}

/* A brane that is there already is somebody else's: its pipes are not ours, nor is its end. */
static int must_be_new(struct run *run, struct om_err *err)
{
	OM_CLEANUP(om_json_put) json_t *reply = NULL;
	int ret = om_ctl_call_name(run->ctl, "io.omega.Observe.Describe", run->name, &reply, err);

	if (!ret)
		return om_err_set(err, OM_ERR_EXISTS, -EEXIST,
				  "brane '%s'; delete it, or use another name in the manifest",
				  run->name);
	return err->id == OM_ERR_NOT_FOUND ? 0 : ret;
}

static int begin(struct run *run, const struct om_source *src, const struct om_args *a,
		 struct om_err *err)
{
	int child[3] = {-1, -1, -1};
	int ret = must_be_new(run, err);
	json_t *params;

	if (!ret)
		ret = make_pipes(run, child, err);
	if (!ret)
		ret = start(run, src, a, child, err);
	for (int i = 0; i < 3; i++)
		om_close_fd(&child[i]);
	if (!ret)
		ret = om_ctl_connect(run->ctl, "io.omega.Observe.Wait", &run->wait, err);
	params = json_pack("{s:s}", "name", run->name);
	if (!ret)
		return om_vl_client_send(&run->wait, "io.omega.Observe.Wait", params, NULL, 0, err);
	json_decref(params);
	return ret;
}

static int run_brane(struct run *run, const struct om_source *src, const struct om_args *a)
{
	struct om_err err = {0}, end = {0};
	sigset_t set;
	int ret, code;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	signal(SIGPIPE, SIG_IGN);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return CTL_EXIT_RUN_OURS;
	run->signals = signalfd(-1, &set, SFD_CLOEXEC);
	ret = begin(run, src, a, &err);
	if (ret < 0) {
		code = err.id == OM_ERR_EXEC_FAILED ? not_executed(-err.ret) : 0;
		/* Not granted for exec: there, but not to be executed. */
		code = err.id == OM_ERR_CAP_COMMAND ? 126 : code;
		om_ctl_error(run->ctl, &err);
		return code ? code : CTL_EXIT_RUN_OURS;
	}
	ret = relay_all(run, &err);
	code = ret < 0 ? ours(run->ctl, &err) : exit_code(run);
	if (!run->deleted_by && delete_brane(run, &end) < 0 && end.id != OM_ERR_NOT_FOUND)
		om_ctl_error(run->ctl, &end);
	return code;
}

static void run_done(struct run *run)
{
	for (int i = 0; i < 3; i++) {
		relay_end(&run->r[i]);
		free(run->r[i].buf);
	}
	om_vl_client_done(&run->wait);
	json_decref(run->brane);
	om_close_fd(&run->signals);
}

int cmd_run(struct om_ctl *ctl, const struct om_args *a)
{
	OM_CLEANUP(om_sources_done) struct om_sources s = {0};
	const char *file = om_args_value(a, "file", NULL);
	const char *name = a->npos > (file ? 0 : 1) ? a->pos[a->npos - 1] : NULL;
	OM_CLEANUP(run_done)
	struct run run = {
		.ctl = ctl, .r = {{-1, -1}, {-1, -1}, {-1, -1}}, .wait = {.fd = -1}, .signals = -1};
	struct om_err err = {0};
	int ret;

	file = file ? file : a->npos ? a->pos[0] : NULL;
	if (!file)
		ret = om_err_set(&err, OM_ERR_USAGE, -EINVAL, "run: name a manifest");
	else
		ret = om_sources_read(&s, file, &err);
	if (ret < 0)
		return ours(ctl, &err);
	ret = om_sources_compile(&s, &err);
	for (uint32_t i = 0; i < s.count; i++)
		om_source_print(ctl, &s.items[i], stderr, ctl->color_err);
	if (ret == -EINVAL)
		return CTL_EXIT_RUN_OURS;
	if (ret < 0)
		return ours(ctl, &err);
	if (!name && om_policy_count(s.items[0].policy) > 1)
		ret = om_err_set(&err, OM_ERR_USAGE, -EINVAL,
				 "%s defines %u branes: name the one to run", s.items[0].name,
				 om_policy_count(s.items[0].policy));
	else if (name && !om_policy_find(s.items[0].policy, name))
		ret = om_err_set(&err, OM_ERR_NOT_FOUND, -ENOENT, "%s defines no brane '%s'",
				 s.items[0].name, name);
	if (ret < 0)
		return ours(ctl, &err);
	run.name = name ? name : om_policy_ir(s.items[0].policy, 0)->name;
	mind_stdin(om_policy_find(s.items[0].policy, run.name));
	return run_brane(&run, &s.items[0], a);
}
