/*
 * omegad, the parent: starts the roles, watches them, and ends them in order.
 *
 * Comes in: options. Goes out: five processes, four listening sockets, one exit code. Called by: the
 * init system or a person. Never does: parse anything but its own options, read what the roles say
 * beyond READY and STOP, or enforce: that is the kernel's work, and it goes on without omegad.
 */
#ifndef OMEGA_OMEGAD_H
#define OMEGA_OMEGAD_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <omega/err.h>

struct omegad_opts {
	const char *run_dir, *state_dir, *bpffs, *cgroup, *layers, *nft_table, *guard;
	char libexec[4096];
	int ready_fd; /* -1: none */
	bool probe;   /* only say what this kernel can enforce */
};

/* 0; 1: say no more, exit with *CODE. */
int omegad_options(int argc, char **argv, struct omegad_opts *o, int *code);

/*
 * When an earlier omegad left the self-guard strict: becomes the agent, which only this program with the same
 * directories and options can. 0: it is, or nothing is guarded. OM_ERR_GUARD: it must not be started.
 */
int omegad_claim(const struct omegad_opts *o, struct om_err *err) OM_MUST_CHECK;

/* Listening and shared descriptors, made once and kept over every restart of the roles. */
struct omegad_host {
	int lock;
	int observe, control, admin; /* listening, SOCK_STREAM */
	int shim;		     /* listening, SOCK_SEQPACKET */
};
int omegad_host_open(const struct omegad_opts *o, struct omegad_host *h, struct om_err *err)
	OM_MUST_CHECK;
void omegad_host_done(struct omegad_host *h);

enum omegad_role { ROLE_SIGN, ROLE_DRAIN, ROLE_LOAD, ROLE_COMPILE, ROLE_API, ROLE_COUNT };

struct omegad_set {
	pid_t pid[ROLE_COUNT]; /* 0: not running */
	int link[ROLE_COUNT];  /* READY and STOP; -1: none (sign has only its own protocol) */
	bool ready[ROLE_COUNT];
};
const char *omegad_role_name(enum omegad_role r);
/* Starts all of them; on failure those that run are killed. */
int omegad_set_start(struct omegad_set *s, const struct omegad_opts *o, const struct omegad_host *h,
		     struct om_err *err) OM_MUST_CHECK;
/*
 * In order: api (no new requests), load, drain (final commit), sign (erases), compile. Each gets
 * SECONDS, then SIGKILL. Returns how many did not end cleanly.
 */
int omegad_set_stop(struct omegad_set *s, unsigned int seconds);
/* Kills all of them at once: for a set whose member died or misbehaved. */
void omegad_set_kill(struct omegad_set *s);
/* Notes that PID ended: its role, or ROLE_COUNT for a stranger. */
enum omegad_role omegad_set_reaped(struct omegad_set *s, pid_t pid);

#endif
