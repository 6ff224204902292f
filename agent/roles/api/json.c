/*
 * Values of the control protocol as JSON (docs/control.md, Types).
 *
 * Comes in: wire structs. Goes out: jansson values, NULL without memory. Called by: methods.c, apply.c.
 * Never does: format JSON by hand.
 */
#include <inttypes.h>
#include <stdio.h>
#include <time.h>
#include <omega/ir.h>
#include <omega/shim.h>
#include "agent/chain/format/b64.h"
#include "agent/roles/api/api.h"

static const char *word(const char *const *words, size_t n, uint32_t i)
{
	return i < n && words[i] ? words[i] : "unknown";
}
#define WORD(words, i) word(words, OM_ARRAY_LEN(words), i)

/* The loader's enum om_brane_state; asserted in the load role. */
static const char *const states[] = {NULL, "loading", "running", "exited", "frozen"};
static const char *const restarts[] = {"never", "on-failure", "always"};
static const char *const modes[] = {"enforce", "audit"};
static const char *const severities[] = {"error", "warning", "note"};
static const char *const causes[] = {
	[OM_EXIT_CODE] = "code",   [OM_EXIT_SIGNAL] = "signal",	  [OM_EXIT_OOM] = "oom",
	[OM_EXIT_SETUP] = "setup", [OM_EXIT_DELETED] = "deleted",
};

json_t *api_json_text(const char *p, size_t n)
{
	json_t *s = json_stringn(p, n);

	return s ? s : json_string("");
}

json_t *api_json_u64(uint64_t v)
{
	char text[24];

	snprintf(text, sizeof(text), "%" PRIu64, v);
	return json_string(text);
}

json_t *api_json_hex(const uint8_t *p, size_t n)
{
	char text[2 * 32 + 1];

	n = OM_MIN(n, (size_t)32);
	for (size_t i = 0; i < n; i++)
		snprintf(text + 2 * i, 3, "%02x", p[i]);
	return json_stringn(text, 2 * n);
}

json_t *api_json_bytes(const char *p, size_t n)
{
	OM_CLEANUP(om_free_ptr) char *text = malloc(OM_B64_LEN(n) + 1);

	return text ? json_stringn_nocheck(text, om_b64_encode(p, n, text)) : NULL;
}

static json_t *time_of(uint64_t ns)
{
	time_t s = (time_t)(ns / 1000000000u);
	struct tm tm;
	char text[48];
	size_t n;

	if (!ns || !gmtime_r(&s, &tm))
		return json_string("");
	n = strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(text + n, sizeof(text) - n, ".%06uZ", (unsigned int)(ns % 1000000000u / 1000));
	return json_string(text);
}

json_t *api_json_layers(uint32_t layers)
{
	static const char *const names[] = {"process", "kernel", "network"};
	json_t *a = json_array();

	for (unsigned int i = 0; i < OM_ARRAY_LEN(names); i++)
		if (layers & (1u << i))
			json_array_append_new(a, json_string(names[i]));
	return a;
}

json_t *api_json_brane(const struct om_wire_brane *b)
{
	bool ended = b->exit_cause != OM_EXIT_NONE;
	json_t *exit = ended ? json_pack("{s:s, s:i}", "cause", WORD(causes, b->exit_cause), "code",
					 b->exit_code)
			     : json_null();

	return json_pack("{s:o, s:o, s:s, s:o, s:o, s:s, s:s, s:i, s:o, s:i, s:o}", "name",
			 api_json_text(b->name, strnlen(b->name, sizeof(b->name))), "instance",
			 api_json_text(b->instance, strnlen(b->instance, sizeof(b->instance))),
			 "state", WORD(states, b->state), "policy_id",
			 api_json_hex(b->policy_id, sizeof(b->policy_id)), "layers",
			 api_json_layers(b->layers), "mode", WORD(modes, b->mode), "restart",
			 WORD(restarts, b->restart), "init_pid", b->init_pid, "started",
			 time_of(b->started_ns), "restarts", (int)b->restarts, "exit", exit);
}

json_t *api_json_finding(const struct om_diag *d, const char *file)
{
	char code[8];

	return json_pack("{s:s, s:s, s:s, s:i, s:i, s:i, s:o, s:o}", "severity",
			 WORD(severities, d->severity), "id", om_err_code(d->id, code), "file",
			 file, "line", (int)d->pos.line, "col", (int)d->pos.col, "len",
			 (int)d->pos.len, "message",
			 api_json_text(d->message, strnlen(d->message, sizeof(d->message))), "hint",
			 api_json_text(d->hint, strnlen(d->hint, sizeof(d->hint))));
}
