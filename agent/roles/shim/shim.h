/*
 * Inside the shim: one supervisor process per brane, alive as long as the brane, not as the agent.
 *
 * Comes in: numbered descriptors (loader/process/process.h), seccomp notifications, the workload's
 * output. Goes out: om_shim_msg to the drain role, the files stdout, stderr and exit. Called by:
 * main.c only. Never does: answer a notification with "continue" (the arguments of a call can be
 * changed by another thread after they were looked at), join the brane's cgroup, or trust its brane.
 */
#ifndef OMEGA_AGENT_SHIM_SHIM_H
#define OMEGA_AGENT_SHIM_SHIM_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <omega/shim.h>
#include <loader/process/process.h>

/* Notifications taken from the kernel and not yet answered; further ones wait in the kernel. */
#define SHIM_PENDING_MAX 64
/* How long an ended brane's shim waits for the drain role to take the last message over. */
#define SHIM_LINGER_MS 60000
/* Between two attempts to reach the drain role. */
#define SHIM_RETRY_MS 250

struct shim_pending {
	uint64_t cookie; /* the kernel's id of the notification; valid while `used` */
	uint64_t deadline_ms;
	bool used, sent;
	struct om_shim_msg msg;
};

struct shim_output {
	int pipe;	  /* read end, -1: none */
	int file;	  /* in OM_FD_DIR */
	const char *name; /* "stdout" */
	size_t size;
};

struct shim {
	struct om_birth birth;
	/* start */
	int report, go, status; /* the shim's ends */
	pid_t init;
	int init_pidfd;
	int listener;
	bool consented; /* the load role wrote RUNNING down; before that its death is the brane's */
	uint64_t started_mono, started_real;
	/* run */
	struct shim_output out[2];
	int drain; /* connected SEQPACKET, -1 */
	uint64_t retry_ms;
	uint64_t gone_ms; /* since when there has been no connection to the drain role */
	uint64_t next_id, seq;
	struct shim_pending pending[SHIM_PENDING_MAX];
	struct {
		uint64_t count, first_ns, last_ns, sent_count, sent_id;
		uint32_t nr;
	} counted;
	/* end */
	bool ended, exit_acked;
	uint64_t exit_id, linger_ms;
	struct om_exit_file exit;
};

uint64_t shim_now(int clock); /* nanoseconds */
static inline uint64_t shim_ms(uint64_t ns)
{
	return ns / 1000000;
}

/* start.c: forks the builder, waits until execve is committed or failed, fills R. */
void shim_start(struct shim *s, struct om_ready *r);

/* notify.c */
void shim_drain_connect(struct shim *s, uint64_t now_ms);
void shim_drain_read(struct shim *s);
/* Takes one notification from the kernel and sends it on, if it can. */
void shim_notif_recv(struct shim *s, uint64_t now_ms);
/* Denies and counts what waited too long. */
void shim_notif_expire(struct shim *s, uint64_t now_ms);
bool shim_has_room(const struct shim *s);
/* When the next thing is due: ms from NOW, or -1. */
int shim_timeout(const struct shim *s, uint64_t now_ms);
void shim_send_exit(struct shim *s);

/* output.c */
int shim_output_open(struct shim_output *o) OM_MUST_CHECK;
/* Copies what the pipe holds; closes it at its end. */
void shim_output_copy(struct shim_output *o);

/* end.c */
void shim_cgroup_kill(void);
bool shim_cgroup_gone(void);
/* Collects init's status, clears the cgroup, writes `exit`. */
void shim_end(struct shim *s);

#endif
