/*
 * C2SP signed notes, verifier keys and checkpoints.
 *
 * Comes in: bodies and signatures to write, texts to read. Goes out: notes, their parts. Called by:
 * the log, the signer, verify. Never does: hold private keys, accept a second spelling of a note.
 * Formats: C2SP signed-note.md, tlog-checkpoint.md.
 */
#ifndef OMEGA_CHAIN_NOTE_H
#define OMEGA_CHAIN_NOTE_H

#include <stddef.h>
#include <stdint.h>
#include <omega/compiler.h>
#include "agent/chain/signer.h"

#define OM_KEY_NAME_MAX	 (OM_ORIGIN_MAX + 8u + OM_BRANE_ID_MAX)
#define OM_NOTE_MAX	 4096u /* a body, two signatures, and room for cosignatures */
#define OM_NOTE_SIGS_MAX 16u
#define OM_VKEY_MAX	 (OM_KEY_NAME_MAX + 64u)
#define OM_SIG_ED25519	 1u

/* name+hex(id)+base64(0x01 || pk) */
struct om_vkey {
	char name[OM_KEY_NAME_MAX + 1];
	uint32_t id;
	uint8_t pk[32];
};

struct om_note_sig {
	const char *name;
	size_t name_len;
	uint32_t id;
	uint8_t sig[128]; /* without the key id */
	size_t sig_len;
};

struct om_note {
	const char *body; /* up to and with its last LF: what is signed */
	size_t body_len;
	struct om_note_sig sig[OM_NOTE_SIGS_MAX];
	uint32_t n;
};

struct om_checkpoint {
	const char *origin;
	size_t origin_len;
	uint64_t size;
	uint8_t root[32];
};

/* First four bytes of SHA-256(name || LF || type || pk), big endian. */
uint32_t om_key_id(const char *name, size_t len, uint8_t type, const uint8_t pk[32]);

/* Text of a vkey into BUF of OM_VKEY_MAX + 1; its length. NAME is at most OM_KEY_NAME_MAX long. */
size_t om_vkey_format(const char *name, const uint8_t pk[32], char *buf);

/*
 * Reads a vkey (one LF at the end is allowed). Refuses a wrong id, a type other than Ed25519 and a
 * point that is not canonical, on the curve and of the main subgroup: verifiers disagree on those.
 */
int om_vkey_parse(const char *text, size_t len, struct om_vkey *k) OM_MUST_CHECK;

/* "origin LF size LF root LF" into BUF of OM_NOTE_MAX; its length. */
size_t om_checkpoint_body(const char *origin, uint64_t size, const uint8_t root[32], char *buf);

/* Reads such a body; extension lines are refused. 0 or -EBADMSG. */
int om_checkpoint_parse(const char *body, size_t len, struct om_checkpoint *c) OM_MUST_CHECK;

/*
 * Appends a signature line to the note of LEN bytes in BUF of OM_NOTE_MAX; the new length. The first
 * line is preceded by the empty one (FIRST).
 */
size_t om_note_sign_line(char *buf, size_t len, int first, const char *name, uint32_t id,
			 const uint8_t sig[64]);

/* Splits a note. 0, or -EBADMSG when it is not one; signatures past the limit are refused. */
int om_note_parse(const char *text, size_t len, struct om_note *n) OM_MUST_CHECK;

/*
 * Looks for NAME's signature by PK. 1: there and good. 0: no line by that name and key id.
 * -EBADMSG: there and bad, or twice.
 */
int om_note_verify(const struct om_note *n, const char *name, size_t name_len, const uint8_t pk[32])
	OM_MUST_CHECK;

/* {"note":"..."} and LF for the stream: into OUT of 2 * LEN + 16; its length. */
size_t om_note_line(const char *note, size_t len, char *out);

/* The inverse for one line without LF, into BUF of OM_NOTE_MAX; its length or -EBADMSG. */
int om_note_from_line(const char *line, size_t len, char *buf) OM_MUST_CHECK;

#endif
