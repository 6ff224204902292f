/*
 * One row of the escape catalogue: what a row's program declares, and what it may use.
 *
 * Comes in: the scene, as arguments KEY=VALUE (see esc_arg). Goes out: exit status 0 when the technique
 * reached what it was after, else the errno that stopped it; ESC_SKIP and a reason on standard output
 * when this kernel cannot try it. Used by: tests/escape/FAMILY/NNN-name.c, each a static program that
 * needs no file but itself. Never does: judge; the matrix (tests/escape/matrix.py) does.
 *
 * An absent path is recorded once and then counted: no two tries may name the same one in the same spelling.
 *
 * A program holds one or more tries. Each is run in a process of its own, in up to three modes:
 *   granted  the same code where nothing forbids it: inside a brane whose manifest grants it
 *            (ESC_INSIDE), or outside every brane as root (ESC_OUTSIDE, in a mount namespace of its own).
 *            It must reach, or it tests nothing.
 *   denied   inside a brane that grants nothing of it: must not reach, and leaves exactly `denials`
 *            records, each of a kind listed in `kind`.
 *   blind    the same with the ring buffer full and the agent killed: must not reach, and `denials`
 *            more are counted.
 */
#ifndef OMEGA_TESTS_ESCAPE_H
#define OMEGA_TESTS_ESCAPE_H

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

#define ESC_SKIP \
	254 /* exit status: this kernel or machine cannot try it; the reason is on stdout */

enum esc_granted {
	ESC_OUTSIDE = 0, /* no manifest line grants it: it is shown to work outside every brane */
	ESC_INSIDE,	 /* the granting brane can do it */
	ESC_NEVER,	 /* cannot be shown at all; `why` says so */
};

/* What stops being granted between the two halves of a try: it calls esc_tightened() between them. */
enum esc_swap {
	ESC_SWAP_NONE = 0,
	ESC_SWAP_NET,  /* tcp, udp, flow and listen */
	ESC_SWAP_FILE, /* reading and executing below dir */
	ESC_SWAP_EXEC, /* executing below dir, which may still be read */
};

struct esc_try {
	const char *name; /* short, unique in its program: "openat2" */
	int (*fn)(void);  /* 0: reached; errno > 0: stopped; esc_skip() */
	/* Kinds of record that are right, separated by '|': "file.read|file.absent". */
	const char *kind;
	/* How many denials one run makes; 0 with `why` when it is stopped without a record. */
	unsigned int denials;
	enum esc_granted granted;
	const char *why; /* for ESC_NEVER, or for denials == 0 */
	enum esc_swap swap;
};

struct esc_row {
	int number;	   /* stable name: the catalogue's */
	const char *title; /* one line, for the matrix */
	const char *stop;  /* which mechanism stops it, a few words */
	const struct esc_try *tries;
	size_t count;
};

/* Each program defines its own by ESC_ROW. */
extern const struct esc_row esc_row;

#define ESC_ROW(number_, title_, stop_, tries_)                         \
	const struct esc_row esc_row = {number_, title_, stop_, tries_, \
					sizeof(tries_) / sizeof((tries_)[0])}

/*
 * The scene. "" when there is no such key.
 *   dir     directory of the host with `secret` (mode 0644, content "secret\n"), `sub/secret`, `prog` (an
 *           executable that exits 0, static), `sock` (a listening unix stream socket)
 *           -- nothing in it is granted; the granting brane may read, write, create and execute all of it
 *   write   directory that every brane may read, write and create in, but not execute from
 *   tcp udp ports of listeners of the host on 127.0.0.1 (and ::1): granted in the granting brane alone
 *   tcp2 udp2  ports on which the host listens as well and no brane is granted
 *   flow  port of a listener, as tcp, that sends back what it gets, and keeps the connection
 *   listen  a port that the granting brane may listen on
 *   own     a port that every brane may reach and on which nobody listens
 *   victim  pid of a process of the host, uid 0
 *   shm     key of a SysV segment of the host   mq  name of a POSIX queue of the host
 *   abstract  name of the host's abstract stream socket; abstract_d a datagram one
 *   self    path of this program   mode  "inside" or "outside"
 *   run     the agent's run directory   state  its state directory   bpffs  its BPF file system
 *   pins    the directory of its pins
 *   cgroup  where the cgroup2 tree is mounted on the host   branes  the cgroup of all branes
 *   agent   pid of omegad   brane  this brane's name
 *   coresock  1 where the kernel can send cores to a unix socket
 */
const char *esc_arg(const char *key);
int esc_num(const char *key);

/* esc_arg(KEY) "/" NAME, in one of eight rotating static buffers. */
const char *esc_in(const char *key, const char *name);

/* errno when RET is negative, else 0. */
int esc_errno(long ret);

/* 0: a byte could be read; closes FD. FD negative: errno. */
int esc_read_fd(int fd);
int esc_open_read(int at, const char *path, int flags);

/* Between the halves of a try with a swap: returns when the brane's policy is another. */
void esc_tightened(void);

/* Prints why and returns the status for "cannot be tried". Use: return esc_skip("no vsock here"); */
int esc_skip(const char *why);

/*
 * Runs FN in a child and waits: its result, or 128 + signal when it was killed. For tries that need a
 * second process or that may be killed.
 */
int esc_child(int (*fn)(void));
/* Runs PROGRAM with ARGV in a child: 0 when it ran and exited 0, errno of the failed exec, 1 else. */
int esc_exec(const char *program, char *const argv[]);

/* 127.0.0.1:PORT / [::1]:PORT connect or send; 0: the connection came or the datagram left. */
int esc_connect(int family, int type, int proto, int port);

#endif
