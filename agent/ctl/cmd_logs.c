/*
 * logs: what a workload wrote.
 *
 * Comes in: a name. Goes out: its stdout on stdout, its stderr on stderr. Called by: main. Never does: let
 * a workload's escape sequences reach a terminal, unless it is asked to (--raw).
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include "agent/chain/format/b64.h"
#include "agent/ctl/command.h"
#include "agent/ctl/lib/daemon.h"
#include "agent/ctl/lib/out.h"

#define POLL_US 200000

struct stream {
	const char *name;
	FILE *out;
	bool clean; /* out is a terminal */
	char next[24];
	bool ended;
};

/* Lines stay lines; everything else that a terminal would obey is made visible. */
static void put_clean(FILE *f, const char *p, size_t len)
{
	while (len) {
		size_t n = 0;

		while (n < len && p[n] != '\n' && p[n] != '\t')
			n++;
		om_ctl_put(f, p, n);
		if (n < len)
			fputc(p[n++], f);
		p += n;
		len -= n;
	}
}

static int write_chunk(struct stream *s, const char *b64, struct om_err *err)
{
	size_t len = strlen(b64), cap = len / 4 * 3 + 3;
	OM_CLEANUP(om_free_ptr) uint8_t *data = malloc(cap);
	int n = data ? om_b64_decode(b64, len, data, cap) : -ENOMEM;

	if (n == -ENOMEM)
		return om_err_set(err, OM_ERR_NOMEM, n, "no memory for the output");
	if (n < 0)
		return om_err_set(err, OM_ERR_CTL_FRAME, n, "the output is no base64");
	if (s->clean)
		put_clean(s->out, (const char *)data, (size_t)n);
	else
		fwrite(data, 1, (size_t)n, s->out);
	if (fflush(s->out) != 0)
		return om_err_sys(err, OM_ERR_IO, -errno, "cannot write the output");
	return 0;
}

/* Everything there is now; 1 when something came. */
static int read_some(struct om_ctl *ctl, const char *name, struct stream *s, struct om_err *err)
{
	int any = 0;

	for (;;) {
		OM_CLEANUP(om_json_put) json_t *reply = NULL;
		json_t *params = json_pack("{s:s,s:s,s:s}", "name", name, "stream", s->name,
					   "offset", s->next);
		const char *data;
		int ret;

		if (!params)
			return om_err_set(err, OM_ERR_USAGE, -EINVAL, "the name is no UTF-8");
		ret = om_ctl_call(ctl, "io.omega.Observe.Logs", params, &reply, err);
		if (ret < 0)
			return ret;
		data = om_json_text(reply, "data", "");
		s->ended = json_is_true(json_object_get(reply, "end"));
		if (!*data)
			return any;
		any = 1;
		ret = write_chunk(s, data, err);
		if (ret < 0)
			return ret;
		snprintf(s->next, sizeof(s->next), "%s", om_json_text(reply, "next", "0"));
		if (s->ended)
			return any;
	}
}

int cmd_logs(struct om_ctl *ctl, const struct om_args *a)
{
	const char *which = om_args_value(a, "stream", "all");
	const char *name = strncmp(a->pos[0], "brane/", 6) == 0 ? a->pos[0] + 6 : a->pos[0];
	bool raw = om_args_has(a, "raw"), follow = om_args_has(a, "follow");
	struct stream streams[] = {
		{"stdout", stdout, !raw && isatty(STDOUT_FILENO), "0", false},
		{"stderr", stderr, !raw && isatty(STDERR_FILENO), "0", false},
	};
	struct om_err err = {0};

	for (;;) {
		bool ended = true, any = false;

		for (size_t i = 0; i < OM_ARRAY_LEN(streams); i++) {
			struct stream *s = &streams[i];
			int ret;

			if (strcmp(which, "all") != 0 && strcmp(which, s->name) != 0)
				continue;
			ret = s->ended ? 0 : read_some(ctl, name, s, &err);
			if (ret < 0)
				return om_ctl_fail(ctl, &err);
			any |= ret > 0;
			ended &= s->ended;
		}
		if (!follow || ended)
			return 0;
		if (!any)
			usleep(POLL_US);
	}
}
