/*
 * What the emitters share: one row per layer, each able to say what it enforces and to be asked what
 * its own artifact says.
 *
 * Comes in: a normalised IR. Goes out: sections of a bundle. Called by: emit/bundle.c, emit/sim.c,
 * tests. Never does: let a layer read another layer's section, so that a bug in one emitter cannot be
 * hidden by the simulator of another.
 */
#ifndef OMEGA_POLICIES_EMIT_H
#define OMEGA_POLICIES_EMIT_H

#include <omega/bundle.h>
#include <omega/ir.h>
#include <omega/request.h>
#include <linux/seccomp.h>
#include <policies/profiles/syscalls.h>

struct om_emit {
	const struct om_ir *ir;
	struct om_bundle_w *w;
};

enum om_opinion {
	OM_OPINION_NONE, /* the layer is off, or does not see such operations */
	OM_OPINION_ALLOW,
	OM_OPINION_DENY, /* refused by this layer, if no earlier one refuses it */
	/*
	 * Refused by this layer alone as well, but a later one is asked first: an empty directory on
	 * the way to a mount exists, so BPF-LSM sees it being opened.
	 */
	OM_OPINION_DENY_LATE,
};

struct om_layer {
	const char *name;
	enum om_where where;
	uint32_t
		layers; /* OM_LAYER_*: emitted and asked when the IR wants one of these; 0: always */
	int (*emit)(const struct om_emit *e, struct om_err *err);
	enum om_opinion (*simulate)(const struct om_bundle *b, const struct om_request *req);
};

/* All layers, in the order in which the kernel asks them. */
extern const struct om_layer om_layers[];
extern const uint32_t om_layer_count;

int om_emit_lsm(const struct om_emit *e, struct om_err *err) OM_MUST_CHECK;
int om_emit_view(const struct om_emit *e, struct om_err *err) OM_MUST_CHECK;
int om_emit_net(const struct om_emit *e, struct om_err *err) OM_MUST_CHECK; /* EGRESS, LISTEN */
int om_emit_nft(const struct om_emit *e, struct om_err *err) OM_MUST_CHECK;
int om_emit_seccomp(const struct om_emit *e, struct om_err *err) OM_MUST_CHECK;
int om_emit_cgroup(const struct om_emit *e, struct om_err *err) OM_MUST_CHECK;
int om_emit_process(const struct om_emit *e, struct om_err *err) OM_MUST_CHECK;
int om_emit_grants(const struct om_emit *e, struct om_err *err) OM_MUST_CHECK;

enum om_opinion om_sim_lsm(const struct om_bundle *b, const struct om_request *req);
enum om_opinion om_sim_view(const struct om_bundle *b, const struct om_request *req);
enum om_opinion om_sim_net(const struct om_bundle *b, const struct om_request *req);
enum om_opinion om_sim_nft(const struct om_bundle *b, const struct om_request *req);
enum om_opinion om_sim_seccomp(const struct om_bundle *b, const struct om_request *req);
enum om_opinion om_sim_process(const struct om_bundle *b, const struct om_request *req);

/* OM_MAY_* that OP needs; 0 if it is no operation on a file. */
uint32_t om_op_need(enum om_op op);
/* Whether PATH lies below DIR ("/" has everything but itself below it). */
bool om_path_below(const char *dir, const char *path);
/* Asks the EGRESS (longest prefix) and LISTEN sets; OM_OPINION_NONE for other ops. */
enum om_opinion om_net_sets(const struct om_bundle *b, const struct om_request *req);

/* --- classic BPF over struct seccomp_data --- */

/*
 * The filter of SET: at most CAP instructions into PROG, their number into COUNT. Native arch only,
 * KILL_PROCESS elsewhere. OM_ERR_SECCOMP_EMIT if it does not fit.
 */
int om_seccomp_generate(const struct om_sys_set *set, struct om_b_insn *prog, uint32_t cap,
			uint32_t *count, struct om_err *err) OM_MUST_CHECK;

/* What the kernel's interpreter would return for DATA: a SECCOMP_RET_* value. */
uint32_t om_cbpf_run(const struct om_b_insn *prog, uint32_t count, const struct seccomp_data *data);

/* The SECCOMP_RET_* value that stands for ACTION. */
uint32_t om_seccomp_ret(enum om_sys_action action);

#endif
