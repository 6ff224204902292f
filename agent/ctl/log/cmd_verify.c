/*
 * security verify-chain: the log, walked and judged.
 *
 * Comes in: the audit directory, a public key. Goes out: the verdict in words or JSON; exit 0, 1, 11,
 * 12. Called by: main. Never does: print a bare OK, or take the key that lies beside an offline copy: who
 * could replace the log could replace that too.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include "agent/chain/verify.h"
#include "agent/ctl/command.h"
#include "agent/ctl/lib/daemon.h"
#include "agent/ctl/lib/layers.h"
#include "agent/ctl/lib/out.h"
#include "agent/ctl/log/event.h"

#define VKEY_BYTES_MAX 1024u
/* Six heartbeats: a log that omegad writes right now is never older. */
#define LIVE_AGE_US (6 * (int64_t)OM_HEARTBEAT_S * 1000000)

static int read_key(const char *path, char buf[static VKEY_BYTES_MAX], bool must,
		    struct om_err *err)
{
	OM_CLEANUP(om_close_fd) int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, buf, VKEY_BYTES_MAX - 1);

	if (fd < 0 && errno == ENOENT && !must)
		return 0;
	if (fd < 0 && (errno == EACCES || errno == EPERM))
		return om_err_sys(err, OM_ERR_CTL_PERMISSION, -errno, "%s", path);
	if (n < 0)
		return om_err_sys(err, OM_ERR_IO, -errno, "%s", path);
	buf[n] = 0;
	return n > 0;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static int take_head(const char *text, struct om_verify_options *o, struct om_err *err)
{
	char *end;

	errno = 0;
	o->saved_size = strtoull(text, &end, 10);
	if (end == text || *end != ':' || errno || strlen(end + 1) != 64)
		return om_err_set(err, OM_ERR_USAGE, -EINVAL,
				  "--head %s: expected SIZE:ROOT, 64 hex digits", text);
	for (int i = 0; i < 32; i++) {
		int hi = hex_digit(end[1 + 2 * i]), lo = hex_digit(end[2 + 2 * i]);

		if (hi < 0 || lo < 0)
			return om_err_set(err, OM_ERR_USAGE, -EINVAL,
					  "--head: the root is no lower-case hex");
		o->saved_root[i] = (uint8_t)(hi << 4 | lo);
	}
	return 0;
}

/* DIR may be the audit directory itself or the state directory that was copied. */
static int open_offline(const struct om_ctl *ctl, const char *dir, int *fd, struct om_err *err)
{
	OM_CLEANUP(om_free_ptr) char *sub = NULL;
	struct stat st;

	if (asprintf(&sub, "%s/audit", dir) < 0) {
		sub = NULL;
		return om_err_set(err, OM_ERR_NOMEM, -ENOMEM, "no memory");
	}
	return om_ctl_audit_open(ctl, stat(sub, &st) == 0 && S_ISDIR(st.st_mode) ? sub : dir, fd,
				 err);
}

static int options(const struct om_ctl *ctl, const struct om_args *a, const char *offline,
		   char key[static VKEY_BYTES_MAX], struct om_verify_options *o, struct om_err *err)
{
	const char *keys = om_args_value(a, "keys", NULL);
	const char *age = om_args_value(a, "max-age", NULL), *head = om_args_value(a, "head", NULL);
	OM_CLEANUP(om_vl_client_done) struct om_vl_client c = {.fd = -1};
	OM_CLEANUP(om_free_ptr) char *path = NULL;
	int ret = 0;

	o->brane = om_args_value(a, "brane", NULL);
	o->now = om_ctl_now_us();
	if (age && !om_ctl_duration(age, &o->max_age))
		return om_err_set(err, OM_ERR_USAGE, -EINVAL,
				  "--max-age %s: expected a time such as 60s", age);
	if (head)
		ret = take_head(head, o, err);
	if (ret < 0)
		return ret;
	/* While omegad runs, a log that stopped growing was cut off or cannot be written. */
	if (!age && !offline && om_ctl_connect(ctl, "io.omega.Observe.Version", &c, NULL) == 0)
		o->max_age = LIVE_AGE_US;
	if (asprintf(&path, "%s/substrate.vkey", ctl->state_dir) < 0) {
		path = NULL;
		return om_err_set(err, OM_ERR_NOMEM, -ENOMEM, "no memory");
	}
	if (keys || !offline)
		ret = read_key(keys ? keys : path, key, keys != NULL, err);
	if (ret > 0)
		o->substrate_vkey = key;
	return OM_MIN(ret, 0);
}

static json_t *json_time(int64_t us)
{
	char time[CTL_TIME_MAX];

	return us ? json_string(om_ctl_time(us, time)) : json_null();
}

static json_t *findings_json(const struct om_verify_result *r)
{
	static const char *const levels[] = {"tampered", "warning", "note"};
	json_t *list = json_array();

	for (uint32_t i = 0; i < r->n_findings; i++) {
		const struct om_finding *f = &r->finding[i];

		json_array_append_new(
			list,
			json_pack("{s:s,s:s,s:s,s:o,s:o,s:o,s:o}", "level", levels[f->level],
				  "class", f->cls, "name", f->name, "leaf",
				  om_ctl_json_u64(f->leaf), "offset", om_ctl_json_u64(f->offset),
				  "segment", f->segment[0] ? json_string(f->segment) : json_null(),
				  "text", om_ctl_json_text(f->text)));
	}
	return list;
}

static json_t *branes_json(const struct om_verify_result *r)
{
	json_t *list = json_array();

	for (uint32_t i = 0; i < r->n_branes; i++) {
		const struct om_verify_brane *b = &r->brane[i];

		json_array_append_new(
			list,
			json_pack("{s:o,s:o,s:o,s:o,s:o,s:b}", "id", om_ctl_json_text(b->id),
				  "events", om_ctl_json_u64(b->events), "notes",
				  om_ctl_json_u64(b->notes), "first", json_time(b->first_time),
				  "last", json_time(b->last_time), "open", (int)b->open));
	}
	return list;
}

static void add_line(char mark, const char *text, void *ctx)
{
	const char level[2] = {mark, 0};

	json_array_append_new(ctx, json_pack("{s:s,s:o}", "mark",
					     mark == '+'   ? "good"
					     : mark == '!' ? "warning"
					     : mark == 'x' ? "bad"
					     : mark == ' ' ? "plain"
							   : level,
					     "text", om_ctl_json_text(text)));
}

static json_t *result_json(const struct om_verify_result *r, const struct om_verify_options *o)
{
	static const char *const verdicts[] = {"intact", "incomplete", "tampered", "no-keys"};
	json_t *out = om_ctl_json_new(), *lines = json_array();
	char root[65];
	const struct {
		const char *key;
		uint64_t v;
	} counts[] = {
		{"size", r->size},
		{"commits", r->commits},
		{"node_notes", r->node_notes},
		{"brane_notes", r->brane_notes},
		{"events", r->brane_events},
		{"brane_filter_events", r->filter_events},
		{"lost_full", r->drop[0]},
		{"lost_rate", r->drop[1]},
		{"lost_ringbuf", r->drop[2]},
		{"unclean_restarts", r->unclean},
		{"key_breaks", r->key_breaks},
		{"clock_steps", r->clock_steps},
		{"kept_unsigned", r->kept_unsigned},
		{"torn_bytes", r->torn},
		{"tail_lines", r->tail_lines},
		{"tail_bytes", r->tail_bytes},
	};

	om_ctl_hex(r->root, root);
	json_object_set_new(out, "verdict",
			    json_string(verdicts[OM_MIN((unsigned)r->verdict, 3u)]));
	json_object_set_new(out, "exit", json_integer(om_verify_exit(r)));
	json_object_set_new(out, "integrity", json_boolean(r->integrity));
	json_object_set_new(out, "authenticity", json_boolean(r->authenticity));
	json_object_set_new(out, "fresh", r->fresh < 0 ? json_null() : json_boolean(r->fresh));
	json_object_set_new(out, "closed", json_boolean(r->closed));
	json_object_set_new(out, "complete_through", json_time(r->complete_through));
	json_object_set_new(out, "witnessed_size", json_null());
	json_object_set_new(out, "root", json_string(root));
	for (size_t i = 0; i < OM_ARRAY_LEN(counts); i++)
		json_object_set_new(out, counts[i].key, om_ctl_json_u64(counts[i].v));
	json_object_set_new(out, "findings", findings_json(r));
	json_object_set_new(out, "branes", branes_json(r));
	om_verify_lines(r, o, add_line, lines);
	json_object_set_new(out, "words", lines);
	return out;
}

static void print_line(char mark, const char *text, void *ctx)
{
	const struct om_ctl *ctl = ctx;
	enum ctl_color color = mark == '+'   ? CTL_GREEN
			       : mark == '!' ? CTL_YELLOW
			       : mark == 'x' ? CTL_RED
					     : CTL_PLAIN;
	const char *sign = mark == '+' ? "✓" : mark == 'x' ? "✗" : mark == '!' ? "!" : " ";

	printf("%s%s%s ", om_ctl_color(ctl->color_out, color), sign,
	       om_ctl_uncolor(ctl->color_out));
	om_ctl_put(stdout, text, strlen(text));
	printf("\n");
}

static void print_result(struct om_ctl *ctl, const struct om_verify_result *r,
			 const struct om_verify_options *o)
{
	if (o->brane) {
		printf("→ walking %" PRIu64 " events of brane ", r->filter_events);
		om_ctl_put(stdout, o->brane, strlen(o->brane));
		printf(" from HEAD\n");
	} else {
		printf("→ walking %" PRIu64 " leaves from HEAD\n", r->size);
	}
	om_verify_lines(r, o, print_line, ctl);
}

int cmd_verify_chain(struct om_ctl *ctl, const struct om_args *a)
{
	const char *offline = om_args_value(a, "offline", NULL);
	char key[VKEY_BYTES_MAX] = "";
	OM_CLEANUP(om_close_fd) int fd = -1;
	struct om_verify_options o = {0};
	struct om_verify_result r = {0};
	struct om_err err = {0};
	int ret = options(ctl, a, offline, key, &o, &err), code;

	if (!ret)
		ret = offline ? open_offline(ctl, offline, &fd, &err)
			      : om_ctl_audit_open(ctl, NULL, &fd, &err);
	if (ret < 0)
		return om_ctl_fail(ctl, &err);
	ret = om_verify(fd, &o, &r, &err);
	if (ret < 0) {
		om_verify_done(&r);
		return om_ctl_fail(ctl, &err);
	}
	code = om_verify_exit(&r);
	if (ctl->format == CTL_JSON || ctl->format == CTL_JSONL)
		ret = om_ctl_json(result_json(&r, &o), ctl->format == CTL_JSONL, &err);
	else
		print_result(ctl, &r, &o);
	/* A brane that the log does not know must not look like one that did nothing. */
	if (!ret && o.brane && !r.filter_branes && code == 0)
		ret = om_err_set(&err, OM_ERR_NOT_FOUND, -ENOENT, "the log has no brane '%s'",
				 o.brane);
	om_verify_done(&r);
	return ret < 0 ? om_ctl_fail(ctl, &err) : code;
}
