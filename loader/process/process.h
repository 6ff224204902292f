/*
 * What the load role and the shim agree on: the plan, numbered descriptors, reports.
 *
 * Comes in: a bundle and detached mounts. Goes out: a workload born in its cgroup. Called by:
 * loader/txn/ (prepares, spawns) and agent/roles/shim (builds, supervises). Never does: cross a
 * privilege boundary: both ends are root, the plan is a sealed memfd.
 *
 *   load role --exec--> shim --fork--> builder --clone3--> init (pid 1 in the brane) --fork--> workload
 *
 * The builder is outside of the brane's cgroup and does whatever policy would deny to a member:
 * mounts, pivot_root, namespaces. Init and the workload are born inside.
 */
#ifndef OMEGA_LOADER_PROCESS_H
#define OMEGA_LOADER_PROCESS_H

#include <stddef.h>
#include <stdint.h>
#include <omega/bundle.h>
#include <omega/err.h>
#include <omega/ir.h>
#include <omega/shim.h>

/* Descriptors of a shim, by number. One that is not used is /dev/null. */
enum om_shim_fd {
	OM_FD_PLAN = 3, /* sealed memfd: struct om_plan, targets */
	OM_FD_BUNDLE,	/* sealed memfd: the bundle */
	OM_FD_CONTROL,	/* SEQPACKET to the load role: one om_ready out, one byte of consent in */
	OM_FD_CGROUP,	/* the brane's cgroup directory */
	OM_FD_DIR,	/* RUN_DIR/branes/NAME */
	OM_FD_STDIN,	/* given by `run` */
	OM_FD_STDOUT,
	OM_FD_STDERR,
	OM_FD_ROOT,  /* detached tmpfs: the private root */
	OM_FD_MOUNTS /* detached mounts, as many as om_plan.mounts, in order */
};

#define OM_PLAN_MAGIC "OMEGAPL1"

struct om_plan {
	char magic[8];
	uint32_t size; /* of the whole memfd */
	uint32_t brane;
	uint32_t policy;
	uint32_t layers; /* OM_LAYER_* to enforce */
	uint32_t mounts;
	uint32_t stdio_given; /* bit n: OM_FD_STDIN + n is real */
	char name[64];
	char instance[8];
	char run_dir[96];      /* where shim.sock is; also a directory to mount the root on */
	uint32_t target_off[]; /* of each mount: path in the view, from the plan's start */
};

/* Where a start failed. The text is the table in report.c. */
enum om_stage {
	OM_STAGE_NONE = 0,
	OM_STAGE_PLAN,
	OM_STAGE_FORK,
	OM_STAGE_NAMESPACE,
	OM_STAGE_ROOT,
	OM_STAGE_MOUNT, /* index: which mount */
	OM_STAGE_PIVOT,
	OM_STAGE_HOSTNAME,
	OM_STAGE_WORKDIR,
	OM_STAGE_KEYRING,
	OM_STAGE_BIRTH,
	OM_STAGE_CGROUP_NS,
	OM_STAGE_RLIMIT, /* index: which limit */
	OM_STAGE_STDIO,
	OM_STAGE_FDS,
	OM_STAGE_USER,
	OM_STAGE_CAPS,
	OM_STAGE_SIGNALS,
	OM_STAGE_SECCOMP,
	OM_STAGE_LISTENER,
	OM_STAGE_EXEC,
	OM_STAGE_COUNT
};

/* Builder, init and workload to the shim, over a pipe that execve closes. */
enum om_report_kind {
	OM_REPORT_FAILED = 1, /* stage, err, index */
	OM_REPORT_BORN,	      /* value: init's pid as the builder's pid namespace sees it */
	OM_REPORT_LISTENER, /* value: number of the seccomp listener in init, who waits for a byte */
};
struct om_report {
	uint32_t kind;
	uint32_t stage;
	int32_t err; /* an errno */
	uint32_t index;
	int64_t value;
};

/* Shim to load role, once, when execve is committed or the start has failed. */
struct om_ready {
	uint32_t version; /* OM_SHIM_VERSION */
	uint32_t stage;	  /* enum om_stage; NONE: it runs */
	int32_t err;
	uint32_t index;
	int32_t shim_pid, init_pid;
	uint64_t started_ns; /* CLOCK_REALTIME */
};

/* RUN_DIR/branes/NAME/exit, written once by rename when the workload has ended. */
#define OM_EXIT_MAGIC "OMEGAEX1"
struct om_exit_file {
	char magic[8];
	char instance[8];
	uint32_t cause; /* enum om_exit_cause */
	int32_t code;
	uint64_t time_ns; /* CLOCK_REALTIME */
	uint64_t run_ns;
};

/* What the child side works with. Everything is mapped and open before the first fork. */
struct om_birth {
	const struct om_plan *plan;
	struct om_bundle bundle;
	char **argv, **envp; /* point into the bundle */
	int report;	     /* write end, CLOEXEC */
	int go;		     /* read end: init waits here until the shim has the listener */
	int status;	     /* write end: init's struct om_init_status */
	int stdio[3];	     /* what the workload gets as 0, 1, 2 */
};
struct om_init_status {
	int32_t status; /* of wait4 */
	uint32_t pad;
};

/* loader/process/plan.c */
/* Maps and checks OM_FD_PLAN and OM_FD_BUNDLE; allocates argv and envp, never freed. */
int om_birth_open(struct om_birth *b) OM_MUST_CHECK;

/* loader/process/ns.c: the builder. Returns only in the builder: the pid of init or -errno, reported. */
int om_builder_run(const struct om_birth *b) OM_MUST_CHECK;

/* loader/process/init.c: pid 1 of the brane. Never returns. */
void om_init_run(const struct om_birth *b) OM_NORETURN;

/* loader/process/report.c */
void om_report_fail(int fd, enum om_stage stage, int err, uint32_t index);
/* "joining namespaces" and so on, for texts. */
const char *om_stage_text(enum om_stage stage);
/* The err.def id that a failure at STAGE has. */
enum om_err_id om_stage_err(enum om_stage stage);

/* loader/process/seccomp.c */
/* Installs the bundle's filter in the calling task; returns the listener or -errno. */
int om_seccomp_install(const struct om_b_insn *insns, uint32_t count) OM_MUST_CHECK;
/* Zeroes every capability set, bounding and ambient included, and locks securebits; 0 or -errno. */
int om_caps_drop(void) OM_MUST_CHECK;
/* Second half: after the user ids have changed. */
int om_caps_clear(void) OM_MUST_CHECK;
/*
 * Instead of om_caps_clear, for the shim: CAP_KILL stays. The kernel delivers a parent-death signal only
 * if the dying parent may send it, and the brane's user is another one.
 */
int om_caps_keep_kill(void) OM_MUST_CHECK;

/* loader/process/reap.c: kills all, waits, leaves CG usable for the next birth. 0 or -errno. */
int om_cgroup_end(int cg) OM_MUST_CHECK;

#endif
