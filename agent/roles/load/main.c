/*
 * omegad-load: start, event loop, end.
 *
 * Comes in: options of omegad, three sockets. Goes out: exit code. Called by: omegad. Never does: serve
 * before it has adopted what an earlier agent left.
 */
#include <errno.h>
#include <getopt.h>
#include <linux/capability.h>
#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include "agent/role/guard.h"
#include "agent/role/log.h"
#include "agent/role/sandbox.h"
#include "agent/roles/load/load.h"

#define CAP(c) (1ull << CAP_##c)
/*
 * What the loader and, through the bounding set, the shim need. Left out: everything that reaches the
 * machine instead of a brane (modules, raw I/O, time, boot, kernel log, MAC, audit).
 */
static const struct om_role_desc desc = {
	.name = "load",
	.uid = 0,
	.caps = CAP(CHOWN) | CAP(DAC_OVERRIDE) | CAP(DAC_READ_SEARCH) | CAP(FOWNER) | CAP(FSETID) |
		CAP(KILL) | CAP(SETGID) | CAP(SETUID) | CAP(SETPCAP) | CAP(NET_ADMIN) |
		CAP(SYS_CHROOT) | CAP(SYS_PTRACE) | CAP(SYS_ADMIN) | CAP(SYS_RESOURCE) |
		CAP(MKNOD) | CAP(SETFCAP) | CAP(PERFMON) | CAP(BPF),
	.syscalls = NULL, /* a filter would be inherited by every workload */
};

static uint32_t layer_bits(const char *list)
{
	return (strstr(list, "process") ? OM_LAYER_PROCESS : 0) |
	       (strstr(list, "kernel") ? OM_LAYER_KERNEL : 0) |
	       (strstr(list, "network") ? OM_LAYER_NETWORK : 0);
}

static void options(int argc, char **argv, struct om_loader_opts *o, char *shim, size_t size,
		    struct load *l)
{
	const char *layers = "", *cgroup = "";

	static const struct option longs[] = {
		{"run-dir", required_argument, NULL, 'r'},
		{"state-dir", required_argument, NULL, 's'},
		{"bpffs", required_argument, NULL, 'b'},
		{"layers", required_argument, NULL, 'l'},
		{"nft-table", required_argument, NULL, 'n'},
		{"libexec", required_argument, NULL, 'x'},
		{"cgroup", required_argument, NULL, 'c'},
		{"self-guard", required_argument, NULL, 'g'},
		{NULL, 0, NULL, 0},
	};
	int c;

	while ((c = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		if (c == 'r')
			o->run_dir = optarg;
		else if (c == 's')
			o->state_dir = optarg;
		else if (c == 'b')
			o->bpffs = optarg;
		else if (c == 'l')
			o->layers = layer_bits(layers = optarg);
		else if (c == 'n')
			o->nft_table = optarg;
		else if (c == 'c')
			o->cgroup = cgroup = optarg;
		else if (c == 'g')
			l->want_strict = !strcmp(optarg, "strict");
		else if (c == 'x')
			snprintf(shim, size, "%s/omegad-shim", optarg);
	}
	om_guard_opts(l->guard_opts, layers, o->nft_table ? o->nft_table : "", cgroup);
}

struct adoption {
	struct load *l;
	struct om_err err;
};

static void adopted(const struct om_brane_info *info, enum om_adopted how, const struct om_err *why,
		    void *ctx)
{
	static const enum om_note notes[] = {
		[OM_ADOPT_RUNNING] = OM_NOTE_ADOPTED,
		[OM_ADOPT_EXITED] = OM_NOTE_ADOPTED,
		[OM_ADOPT_TAMPERED] = OM_NOTE_TAMPERED,
		[OM_ADOPT_CUT_SHORT] = OM_NOTE_CUT_SHORT,
	};
	struct adoption *a = ctx;
	struct om_wire_note n;

	if (a->err.id)
		return;
	load_note_init(&n, notes[how], info, NULL);
	if (why && how == OM_ADOPT_TAMPERED) {
		n.err_id = (uint32_t)why->id;
		snprintf(n.text, sizeof(n.text), "%.*s", (int)sizeof(n.text) - 1, why->text);
	}
	om_slog(how == OM_ADOPT_TAMPERED ? OM_FAIL : OM_INFO, "adopt", "name", info->name, "how",
		how == OM_ADOPT_RUNNING	   ? "running"
		: how == OM_ADOPT_EXITED   ? "exited"
		: how == OM_ADOPT_TAMPERED ? "tampered"
					   : "cut-short",
		NULL);
	if (load_note_send(a->l, &n, false, &a->err) < 0)
		return;
	if (how == OM_ADOPT_EXITED)
		load_ended(a->l, info);
}

/* Pins that cannot be trusted: the branes are frozen already; the log says why before the role ends. */
static void tell_damaged(struct load *l, const struct om_err *why)
{
	struct om_err ignored = {0};
	struct om_wire_note n;

	load_note_init(&n, OM_NOTE_TAMPERED, NULL, NULL);
	n.err_id = (uint32_t)why->id;
	snprintf(n.text, sizeof(n.text), "%.*s", (int)sizeof(n.text) - 1, why->text);
	if (load_note_send(l, &n, true, &ignored) < 0)
		om_slog_err(OM_FAIL, "damage_unrecorded", NULL, &ignored);
}

static int begin(struct load *l, const struct om_loader_opts *o, struct om_err *err)
{
	struct adoption a = {.l = l};
	struct om_wire_note n;
	int ret = om_loader_open(o, &l->l, &l->layers, err);

	if (ret < 0 && err->id == OM_ERR_BPF_PIN)
		tell_damaged(l, err);
	if (ret < 0)
		return ret;
	/* Loading BPF reads the kernel's types: megabytes that are never needed again. */
	(void)malloc_trim(0);
	if (om_loader_bpf(l->l)) {
		struct om_bpf_drain_fds f = {-1, -1, -1};

		om_bpf_drain_fds(om_loader_bpf(l->l), &f);
		if (f.events >= 0 && f.stats >= 0 && f.folds >= 0)
			ret = om_msg_send(FD_DRAIN, OM_MSG_MAPS, 0, NULL, 0,
					  (int[]){f.events, f.stats, f.folds}, 3, err);
	}
	if (!ret)
		ret = om_loader_adopt(l->l, adopted, &a, err);
	if (!ret && a.err.id) {
		*err = a.err;
		ret = a.err.ret;
	}
	if (!ret)
		ret = load_guard(l, o, err);
	if (ret < 0)
		return ret;
	load_note_init(&n, OM_NOTE_READY, NULL, NULL);
	n.brane.layers = l->layers;
	/* Durable: from here on the log shows that this agent serves, and with which layers. */
	ret = load_note_send(l, &n, true, err);
	if (!ret)
		load_sweep(l);
	return ret < 0 ? ret : om_msg_send(FD_PARENT, OM_MSG_READY, 0, NULL, 0, NULL, 0, err);
}

static void on_ended(const struct om_brane_info *info, void *ctx)
{
	load_ended(ctx, info);
}

/* 1: the api role is gone. */
static int one_message(struct load *l, int fd, struct om_err *err)
{
	struct om_msg m;
	int ret = om_msg_recv(fd, 0, &m, err);

	if (ret == -ECONNRESET && fd == FD_API)
		return 1;
	if (ret <= 0)
		return ret;
	ret = fd == FD_API ? load_from_api(l, &m, err) : load_from_drain(l, &m, err);
	om_msg_done(&m);
	return ret;
}

static int serve(struct load *l, struct om_err *err)
{
	struct pollfd p[] = {{.fd = FD_PARENT, .events = POLLIN},
			     {.fd = FD_API, .events = POLLIN},
			     {.fd = FD_DRAIN, .events = POLLIN},
			     {.fd = om_loader_event_fd(l->l), .events = POLLIN}};

	for (;;) {
		int ret = 0;

		if (poll(p, OM_ARRAY_LEN(p), load_wait_ms(l)) < 0 && errno != EINTR)
			return om_err_sys(err, OM_ERR_IO, -errno, "poll");
		if (p[0].revents)
			return 0;
		if (p[3].revents)
			ret = om_loader_poll(l->l, on_ended, l, err);
		if (!ret && p[2].revents)
			ret = one_message(l, FD_DRAIN, err);
		if (!ret && p[1].revents) {
			ret = one_message(l, FD_API, err);
			/* api ends first in an orderly stop; the parent speaks next. */
			if (ret > 0)
				p[1].fd = -1;
		}
		if (ret >= 0 && l->stop_asked) {
			l->stop_asked = false;
			ret = om_msg_send(FD_PARENT, OM_MSG_STOP, 0, NULL, 0, NULL, 0, err);
		}
		if (ret < 0)
			return ret;
		load_restarts(l);
		load_obey_log(l);
	}
}

int main(int argc, char **argv)
{
	static struct load_entry entries[OM_BRANES_MAX];
	char shim[OM_PATH_MAX] = "";
	struct om_loader_opts o = {.shim = shim, .layers = OM_LAYER_ALL};
	struct load l = {.next_id = 1,
			 .log_state = OM_LOG_GOOD,
			 .log_applied = OM_LOG_GOOD,
			 .entries = entries};
	struct om_err err = {0};
	int ret;

	if (argc == 2 && !strcmp(argv[1], "--probe"))
		return load_probe();
	signal(SIGPIPE, SIG_IGN);
	om_slog_role(desc.name);
	options(argc, argv, &o, shim, sizeof(shim), &l);
	ret = om_role_enter(&desc, FD_PARENT, &err);
	if (!ret)
		ret = begin(&l, &o, &err);
	if (!ret)
		ret = serve(&l, &err);
	if (ret < 0)
		om_slog_err(OM_FAIL, "role_failed", NULL, &err);
	om_loader_free(l.l);
	return ret < 0 ? 1 : 0;
}
