/*
 * Every parser of the audit log that reads what an attacker may have written: record lines, note
 * lines, notes, checkpoints, vkeys, segment headers, JSON.
 *
 * Comes in: libFuzzer's bytes; the first picks the parser. Goes out: nothing, or a crash. Called by:
 * libFuzzer. Also holds two laws: what parses as a canonical string or base64 is written back the same.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "agent/chain/format/note.h"
#include "agent/chain/format/record.h"
#include "agent/chain/seg.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void law(int holds)
{
	if (!holds)
		abort();
}

static void record(const char *p, size_t n)
{
	struct om_record r;
	struct om_commit c;
	struct om_json_iter it;
	struct om_json_val k, v;
	char stamp[OM_TIME_LEN];

	if (om_record_parse(p, n, &r) < 0)
		return;
	law(om_json_canonical(p,
			      n)); /* the frame matcher accepts nothing that the checker does not */
	om_time_format(r.time, stamp);
	law(!memcmp(stamp, p + n - strlen("\",\"v\":1}") - OM_TIME_LEN, OM_TIME_LEN));
	(void)!om_commit_parse(r.data, &c);
	if (om_json_iter_init(&it, r.data) == 0)
		while (om_json_iter_next(&it, &k, &v) == 1)
			;
}

static void string(const char *p, size_t n)
{
	static char text[65536], again[6 * 65536];
	struct om_out o;
	int len;

	if (n > 60000 || om_json_scan_str(p, n) != (long)n)
		return;
	len = om_json_str((struct om_json_val){p, n}, text, sizeof(text));
	law(len >= 0);
	om_out_init(&o, again, sizeof(again));
	om_out_str(&o, text, (size_t)len);
	law((size_t)(o.p - again) == n && !memcmp(again, p, n));
}

static void note(const char *p, size_t n)
{
	static const uint8_t pk[32] = {1};
	struct om_checkpoint c;
	struct om_note note;
	char text[OM_NOTE_MAX];
	int len = om_note_from_line(p, n, text);

	if (len > 0 && om_note_parse(text, (size_t)len, &note) == 0)
		(void)!om_checkpoint_parse(note.body, note.body_len, &c);
	if (om_note_parse(p, n, &note) < 0)
		return;
	(void)!om_checkpoint_parse(note.body, note.body_len, &c);
	(void)!om_note_verify(&note, "a", 1, pk);
}

static void header(const char *p, size_t n)
{
	static struct om_seg_brane b;
	struct om_seg_head h;
	struct om_json_iter it;
	struct om_json_val k, v;

	if (om_seg_head_parse(p, n, &h) < 0 || om_json_iter_init(&it, h.branes) < 0)
		return;
	while (om_json_iter_next(&it, &k, &v) == 1)
		(void)!om_seg_brane_parse(k, v, &b);
}

static void base64(const char *p, size_t n)
{
	static uint8_t raw[65536];
	static char again[90000];
	int len = om_b64_decode(p, n, raw, sizeof(raw));

	if (len < 0)
		return;
	law(om_b64_encode(raw, (size_t)len, again) == n && !memcmp(again, p, n));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct om_vkey k;
	char *p;

	if (size < 1)
		return 0;
	/* an own copy, exact: reading one byte past it is an error that the sanitizer sees */
	p = malloc(size - 1 ? size - 1 : 1);
	memcpy(p, data + 1, size - 1);
	switch (data[0] % 7) {
	case 0:
		record(p, size - 1);
		break;
	case 1:
		note(p, size - 1);
		break;
	case 2:
		header(p, size - 1);
		break;
	case 3:
		string(p, size - 1);
		break;
	case 4:
		base64(p, size - 1);
		break;
	case 5:
		(void)!om_vkey_parse(p, size - 1, &k);
		break;
	default:
		(void)!om_json_canonical(p, size - 1);
		break;
	}
	free(p);
	return 0;
}
