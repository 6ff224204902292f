/*
 * Fuzzes everything that a client's bytes reach before they are a request: framing in pieces, strict
 * JSON, the envelope, privilege and parameters; and, as the daemon's other reader of bytes from outside,
 * the decoding of kernel and shim events.
 *
 * Comes in: bytes; the first says how large the pieces are and which privilege the socket has. Goes out:
 * nothing, or a crash. The invariants: no byte is scanned into a message longer than the limit, and what
 * is accepted encodes and parses again.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include "agent/events/events.h"
#include "agent/varlink/frame.h"
#include "agent/varlink/methods.h"

#define FRAME_MAX 4096u /* small, so that the limit is reached all the time */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void one_message(const char *msg, size_t len, enum om_priv priv)
{
	struct om_err err = {0};
	struct om_vl_call call;
	enum om_method method = OM_METHOD_COUNT;
	json_t *params = NULL;
	char *again;
	size_t n;

	if (len > FRAME_MAX)
		__builtin_trap();
	if (om_vl_reply_parse(msg, len, &params, NULL, &err) < 0 && !err.id)
		__builtin_trap();
	json_decref(params);
	memset(&err, 0, sizeof(err));
	if (om_vl_call_parse(msg, len, &call, &err) < 0) {
		if (err.id != OM_ERR_CTL_FRAME && err.id != OM_ERR_NOMEM)
			__builtin_trap();
		return;
	}
	if (om_vl_judge(&call, priv, &method, &err) == 0) {
		if (method >= OM_METHOD_COUNT)
			__builtin_trap();
		/* A method of more privilege than the socket has must never pass. */
		if (priv < OM_PRIV_ADMIN && method == OM_METHOD_STOP)
			__builtin_trap();
		if (priv < OM_PRIV_CONTROL && method >= OM_METHOD_APPLY)
			__builtin_trap();
	}
	if (om_vl_encode(call.root, &again, &n, &err) == 0) {
		struct om_vl_call second;

		if (om_vl_call_parse(again, n - 1, &second, &err) < 0)
			__builtin_trap();
		om_vl_call_done(&second);
		free(again);
	}
	om_vl_call_done(&call);
}

static void frames(const uint8_t *data, size_t size, size_t step, enum om_priv priv)
{
	struct om_frames f;

	om_frames_init(&f, FRAME_MAX);
	while (size) {
		size_t room, len;
		char *to = om_frames_room(&f, step, &room), *msg;
		int ret;

		if (!to || !room || room > step)
			__builtin_trap();
		len = OM_MIN(room, size);
		memcpy(to, data, len);
		om_frames_added(&f, len);
		data += len;
		size -= len;
		while ((ret = om_frames_next(&f, &msg, &len)) == 1)
			one_message(msg, len, priv);
		if (ret < 0 || f.cap > FRAME_MAX + 1)
			break;
	}
	if (f.cap > FRAME_MAX + 1)
		__builtin_trap();
	om_frames_done(&f);
}

static void event(const uint8_t *data, size_t size)
{
	static struct om_event_path room; /* aligned, and exactly as large as the largest event */
	static struct om_decoded d;
	size_t n = OM_MIN(size, sizeof(room));

	memset(&room, 0xa5, sizeof(room));
	memcpy(&room, data, n);
	if (om_event_decode(&room, n, &d) == 0 &&
	    (d.obj_len > OM_OBJ_MAX || !d.row || !d.layer || d.n_args > 4))
		__builtin_trap();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	enum om_priv priv;

	if (!size)
		return 0;
	priv = (enum om_priv)(OM_PRIV_OBSERVE + data[0] % 3);
	frames(data + 1, size - 1, 1 + data[0] / 3 * 7u, priv);
	event(data + 1, size - 1);
	return 0;
}
