/*
 * The two files of the signer: substrate.key (state directory) and next.key (tmpfs).
 *
 * Comes in: directory descriptors. Goes out: fixed structs. Called by: signer/local.c and nothing
 * else. Never does: leave a key in ordinary memory longer than the call, or put one in an error text.
 */
#ifndef OMEGA_CHAIN_KEYFILE_H
#define OMEGA_CHAIN_KEYFILE_H

#include <stdbool.h>
#include <stdint.h>
#include "agent/chain/signer.h"

/* Both files are these structs, whole, host byte order: they never leave the host. */
struct om_substrate_file {
	char magic[8]; /* "omgsubk1" */
	char origin[136];
	uint8_t seed[32];
	uint8_t pk[32];
	uint8_t check[32]; /* SHA-256 of all before it: a torn file is no key */
};

struct om_next_file {
	char magic[8];	  /* "omgnext2" */
	uint8_t seed[32]; /* of the key that signs the next node note */
	uint8_t pk[32];
	uint64_t commits;
	/* 1: the key is new and no commit names it. Whoever takes it up, however often, says `boot`. */
	uint64_t unnamed;
	uint64_t issued_size; /* the newest note handed out */
	uint8_t issued_root[32];
	uint64_t confirmed_size; /* the newest note known to be on disk */
	uint8_t confirmed_root[32];
	uint8_t check[32];
};

int om_keyfile_load_substrate(int state_fd, struct om_substrate_file *f, struct om_err *err)
	OM_MUST_CHECK;

/* Opens or makes next.key, 0600; *found says whether it held a whole struct. */
int om_keyfile_open_next(int run_fd, int *fd, struct om_next_file *f, bool *found,
			 struct om_err *err) OM_MUST_CHECK;

/* One pwrite over the old content, so that the old seed is gone from the tmpfs page. */
int om_keyfile_store_next(int fd, struct om_next_file *f, struct om_err *err) OM_MUST_CHECK;

#endif
