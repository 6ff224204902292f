/*
 * The protocol between the log and omegad-sign: one SOCK_SEQPACKET pair, fixed structs.
 *
 * Comes in: structs from the other process. Goes out: the same. Called by: signer/remote.c (client)
 * and signer/serve.c (the role). Never does: carry an event or a private key; every length is checked
 * against the message it came in, and a message out of turn ends the signer.
 *
 * A request is one message, but for SIGN: that is followed by ceil(n / OM_WIRE_LEAVES) LEAVES
 * messages, one COMMIT message and, when notes are wanted, one TAGS message. Every request but
 * CONFIRM has one answer; SIGN's is followed by ceil(n_notes / OM_WIRE_NOTES) NOTES messages.
 */
#ifndef OMEGA_CHAIN_WIRE_H
#define OMEGA_CHAIN_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "agent/chain/signer.h"

#define OM_WIRE_MAGIC	  0x67696e53u
#define OM_WIRE_VERSION	  1u
#define OM_WIRE_LEAVES	  512u /* leaves in one message: 18 KiB, below any socket buffer */
#define OM_WIRE_NOTES	  64u
#define OM_WIRE_MAX	  32768u
#define OM_WIRE_TIMEOUT_S 20 /* a signer that does not answer is dead */

enum om_wire_type {
	OM_WIRE_HELLO = 1,
	OM_WIRE_BRANE_OPEN,
	OM_WIRE_BRANE_CLOSE,
	OM_WIRE_SIGN,
	OM_WIRE_LEAVES_PART,
	OM_WIRE_COMMIT_PART,
	OM_WIRE_TAGS_PART,
	OM_WIRE_CONFIRM,
	OM_WIRE_ANSWER,
	OM_WIRE_NOTES_PART,
};

struct om_wire_head {
	uint32_t magic;
	uint16_t version;
	uint16_t type;
	uint32_t len;	 /* of the message, this header included */
	uint32_t serial; /* the request's; parts and answers repeat it */
};

struct om_wire_brane {
	char id[200]; /* NUL-terminated */
	uint64_t size;
	uint8_t frontier[64][32];
};

struct om_wire_sign {
	uint64_t size;
	uint32_t n;
	uint32_t commit_len;
	uint32_t n_notes;
	uint32_t pad;
};

struct om_wire_leaf {
	uint32_t brane;
	uint8_t hash[32];
};

struct om_wire_answer {
	int32_t ret; /* 0 or -errno */
	uint32_t err_id;
	char text[256];
	union {
		struct om_sign_welcome welcome;
		struct {
			uint32_t tag;
			uint8_t pk[32];
		} brane;
		struct {
			struct om_sign_note note;
			uint8_t next_pk[32];
		} sign;
	};
};

OM_STATIC_ASSERT(sizeof(struct om_wire_head) == 16);
OM_STATIC_ASSERT(sizeof(struct om_wire_leaf) == 36);
OM_STATIC_ASSERT(sizeof(struct om_sign_note) == 168);
OM_STATIC_ASSERT(OM_WIRE_LEAVES * 36 + 16 <= OM_WIRE_MAX);
OM_STATIC_ASSERT(OM_BRANES_MAX * 4 + 16 <= OM_WIRE_MAX);
OM_STATIC_ASSERT(OM_RECORD_MAX + 16 <= OM_WIRE_MAX);

/* One message with BODY after the header; -errno. */
int om_wire_send(int sock, enum om_wire_type type, uint32_t serial, const void *body, size_t len)
	OM_MUST_CHECK;

/*
 * Receives one message into BUF of OM_WIRE_MAX; returns the length of the body, -EPIPE at the end of
 * the connection, -EPROTO for a malformed header. HEAD is a copy; the body starts at
 * BUF + sizeof(struct om_wire_head).
 */
int om_wire_recv(int sock, struct om_wire_head *head, uint8_t *buf) OM_MUST_CHECK;

/*
 * Serves SOCK with S until the peer closes it (0) or breaks the protocol (-EPROTO). Called by the sign
 * role and by tests that fork.
 */
int om_signer_serve(int sock, struct om_signer *s, struct om_err *err) OM_MUST_CHECK;

#endif
