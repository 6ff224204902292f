/*
 * omegad started under a strict self-guard that an earlier one left: it must show that it is the agent.
 *
 * Comes in: options. Goes out: the label of the agent, from the kernel. Called by: main, before anything of
 * the agent's is touched. Never does: decide anything: the pinned program om_self_claim compares the open
 * directories and the options with those that the guard was made for.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <omega/limits.h>
#include "agent/omegad/omegad.h"
#include "agent/role/guard.h"

static int bpf(int cmd, union bpf_attr *attr)
{
	return (int)syscall(SYS_bpf, cmd, attr, sizeof(*attr));
}

static int open_dir(const char *path)
{
	return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static int ask(int prog, const struct omegad_opts *o, struct om_err *err)
{
	OM_CLEANUP(om_close_fd) int run = open_dir(o->run_dir);
	OM_CLEANUP(om_close_fd) int state = open_dir(o->state_dir);
	OM_CLEANUP(om_close_fd) int pins = open_dir(o->bpffs);
	struct om_self_claim_args args = {
		.fds = {(uint32_t)run, (uint32_t)state, (uint32_t)pins},
	};
	union bpf_attr attr;

	om_guard_opts((char *)args.opts, o->layers, o->nft_table, o->cgroup ? o->cgroup : "");
	memset(&attr, 0, sizeof(attr));
	attr.test.prog_fd = (uint32_t)prog;
	attr.test.ctx_in = (uint64_t)(uintptr_t)&args;
	attr.test.ctx_size_in = sizeof(args);
	if (bpf(BPF_PROG_TEST_RUN, &attr) < 0)
		return om_err_sys(err, OM_ERR_GUARD, -errno, "cannot run om_self_claim");
	if (args.granted)
		return 0;
	return om_err_set(
		err, OM_ERR_GUARD, -EPERM,
		"it was made strict by an omegad with other directories or options, or this one "
		"was started in a way that others can reach into; nothing was touched");
}

int omegad_claim(const struct omegad_opts *o, struct om_err *err)
{
	OM_CLEANUP(om_close_fd) int prog = -1;
	char path[OM_PATH_MAX];
	union bpf_attr attr;
	int n = snprintf(path, sizeof(path), "%s/self/om_self_claim", o->bpffs);

	if (n < 0 || n >= (int)sizeof(path))
		return om_err_set(err, OM_ERR_INVALID, -ENAMETOOLONG, "%s", o->bpffs);
	memset(&attr, 0, sizeof(attr));
	attr.pathname = (uint64_t)(uintptr_t)path;
	prog = bpf(BPF_OBJ_GET, &attr);
	if (prog < 0)
		return errno == ENOENT || errno == ENOTDIR
			       ? 0
			       : om_err_sys(err, OM_ERR_GUARD, -errno, "%s", path);
	return ask(prog, o, err);
}
