/*
 * What a brane's shim tells the drain role: SOCK_SEQPACKET at RUN_DIR/shim.sock, fixed structs.
 *
 * The shim is the small supervisor that outlives the agent: it is the parent of the brane's pid 1,
 * holds the seccomp listener and the ends of the workload's output. It connects whenever the drain
 * role is there; until then denied system calls wait up to OM_NOTIFY_WAIT_MS, are then denied, and
 * are counted and reported as OM_SHIM_COUNTED when the drain role is back.
 *
 * The drain role accepts a connection only from uid 0 (SO_PEERCRED), and a HELLO only with the pid of
 * that peer and a name, instance and number that the load role announced.
 */
#ifndef OMEGA_SHIM_H
#define OMEGA_SHIM_H

#include <stdint.h>
#include <omega/abi/event.h>

#define OM_SHIM_VERSION 1

enum om_shim_type {
	OM_SHIM_HELLO = 1, /* first message on every connection */
	OM_SHIM_DENIED =
		2, /* one denied system call; answered by OM_SHIM_ACK once it is taken over */
	OM_SHIM_COUNTED = 3, /* denials that could not wait: count, first and last time */
	OM_SHIM_EXITED = 4,  /* the workload ended; answered by OM_SHIM_ACK once it is durable */
	OM_SHIM_ACK = 5,     /* drain to shim: message `id` is taken over */
};

/* Why a workload ended. */
enum om_exit_cause {
	OM_EXIT_NONE = 0,
	OM_EXIT_CODE = 1,    /* exited: code */
	OM_EXIT_SIGNAL = 2,  /* killed by signal: code */
	OM_EXIT_OOM = 3,     /* the cgroup's memory limit */
	OM_EXIT_DELETED = 4, /* by the operator */
	OM_EXIT_SETUP = 5,   /* never reached execve: code is an errno */
};

struct om_shim_msg {
	uint16_t version; /* OM_SHIM_VERSION */
	uint16_t type;	  /* enum om_shim_type */
	uint32_t brane;
	uint64_t id; /* per shim, rising; echoed by OM_SHIM_ACK */
	union {
		struct {
			char name[64];
			char instance[8];
			uint32_t shim_pid;
			uint32_t init_pid;
		} hello;
		struct om_event denied; /* head.seq: the shim's own count from 0; where: SECCOMP */
		struct {
			uint64_t count;
			uint64_t first_ns, last_ns; /* CLOCK_BOOTTIME */
			uint32_t nr;		    /* of the last one */
			uint32_t pad;
		} counted;
		struct {
			uint32_t cause; /* enum om_exit_cause */
			int32_t code;
			uint64_t time_ns;
			uint64_t run_ns; /* from execve to the end */
		} exited;
		uint8_t raw[128];
	} u;
};
_Static_assert(sizeof(struct om_shim_msg) == 144, "om_shim_msg");

#endif
