/*
 * The record of a denial whose object is a process.
 *
 * Comes in: the process that something was to be done to. Goes out: om_emit's answer. Included by: lsm_guard,
 * and lsm_self for the agent's processes. Never does: decide.
 */
#ifndef OMEGA_BPF_TASK_H
#define OMEGA_BPF_TASK_H

#include "core.bpf.h"
#include "event.bpf.h"

static __always_inline int om_emit_task(struct om_ctx *c, struct task_struct *task, __u16 op,
					__u32 arg)
{
	struct om_body body = {};

	body.task.pid = (__u32)task->tgid;
	body.task.arg = arg;
	bpf_probe_read_kernel(body.task.comm, sizeof(body.task.comm), task->comm);
	c->op = op;
	return om_emit(c, &body, OM_BODY_TASK);
}

#endif
