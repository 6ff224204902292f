/*
 * A question to the policy, "may the brane do this?", and the answer. One text form serves
 * `omegactl simulate --request`, `omegactl can`, the vectors and the live tests:
 *
 *     file.read PATH   file.write PATH   file.create PATH   file.remove PATH   file.exec PATH
 *     file.exec sha256:HEX PATH: that content; without one, a content that the policy names
 *     net.connect ADDR:PORT[/tcp|/udp]   net.connect [V6]:PORT[/tcp|/udp]
 *     net.listen PORT[/tcp|/udp]   syscall NAME   env NAME   stdio in|out|err   mem.exec
 *
 * Comes in: text or events. Goes out: struct om_request, om_verdict. Called by: policies/, ctl, tests.
 */
#ifndef OMEGA_REQUEST_H
#define OMEGA_REQUEST_H

#include <stdbool.h>
#include <stdint.h>
#include <omega/abi/op.h>
#include <omega/err.h>
#include <omega/limits.h>

struct om_request {
	enum om_op op;
	char text[OM_PATH_MAX]; /* path, syscall name, variable name, stream */
	uint8_t addr[16];	/* IPv4 as ::ffff:a.b.c.d */
	uint16_t port;
	uint8_t proto;
	int nr;		  /* syscall number, -1 unknown */
	uint64_t args[6]; /* syscall arguments, 0 by default */
	bool has_sha256;
	uint8_t sha256[32]; /* content of what is to be executed */
};

struct om_verdict {
	bool allow;
	int32_t grant;	      /* index of the grant that allowed it, -1 */
	char rule[40];	      /* "filesystem.read": the capability and key that decides */
	char suggestion[512]; /* denied: the manifest line that would grant it, "" if none can */
};

/* Parses the text form. OM_ERR_REQUEST_FORMAT with what was expected. */
int om_request_parse(const char *text, size_t len, struct om_request *req, struct om_err *err)
	OM_MUST_CHECK;

/* Writes the text form into BUF, always NUL-terminated, truncated if it must be. */
void om_request_format(const struct om_request *req, char *buf, size_t size);

/* "file.read" for OM_OP_FILE_READ and so on; "none" for what is not an op. */
const char *om_op_name(enum om_op op);
/* The audit log's layer name: "lsm", "cgroup-bpf", "nft", "seccomp", "view", "cgroup", "process". */
const char *om_where_name(enum om_where where);

#endif
