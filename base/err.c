/*
 * The error table and its look-ups.
 *
 * Comes in: ids. Goes out: texts and exit codes from err.def. Called by: everything. Never does:
 * allocate or print.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <omega/err.h>

struct err_row {
	enum om_err_id id;
	int exit_code;
	const char *text;
};

static const struct err_row err_rows[] = {
#define OM_ERR(name, id, exit, text) {(enum om_err_id)(id), (exit), (text)},
#include <omega/err.def>
#undef OM_ERR
};

static const struct err_row *find_row(enum om_err_id id)
{
	for (size_t i = 0; i < OM_ARRAY_LEN(err_rows); i++)
		if (err_rows[i].id == id)
			return &err_rows[i];
	return NULL;
}

/* One line only: a text that came from outside must not forge a second log line. */
static void flatten(char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < 0x20 || *text == 0x7f)
			*text = '?';
}

static int om_err_vset(struct om_err *err, enum om_err_id id, int ret, const char *fmt, va_list ap)
{
	if (ret >= 0)
		ret = -EINVAL;
	if (err) {
		err->id = id;
		err->ret = ret;
		vsnprintf(err->text, sizeof(err->text), fmt, ap);
		flatten(err->text);
	}
	return ret;
}

int om_err_set(struct om_err *err, enum om_err_id id, int ret, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	ret = om_err_vset(err, id, ret, fmt, ap);
	va_end(ap);
	return ret;
}

int om_err_sys(struct om_err *err, enum om_err_id id, int ret, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	ret = om_err_vset(err, id, ret, fmt, ap);
	va_end(ap);
	if (err) {
		size_t used = strlen(err->text);

		snprintf(err->text + used, sizeof(err->text) - used, ": %s", strerror(-ret));
	}
	return ret;
}

void om_err_prefix(struct om_err *err, const char *fmt, ...)
{
	char old[OM_ERR_TEXT_MAX];
	size_t used;
	va_list ap;

	if (!err)
		return;
	memcpy(old, err->text, sizeof(old));
	va_start(ap, fmt);
	vsnprintf(err->text, sizeof(err->text), fmt, ap);
	va_end(ap);
	used = strlen(err->text);
	snprintf(err->text + used, sizeof(err->text) - used, ": %.*s", (int)(sizeof(err->text) - 3),
		 old);
	flatten(err->text);
}

const char *om_err_text(enum om_err_id id)
{
	const struct err_row *row = find_row(id);

	return row ? row->text : "unknown error";
}

int om_err_exit(enum om_err_id id)
{
	const struct err_row *row = find_row(id);

	return row ? row->exit_code : 1;
}

const char *om_err_code(enum om_err_id id, char buf[static 8])
{
	snprintf(buf, 8, "OM%04u", (unsigned int)id % 10000u);
	return buf;
}

void om_err_each(void (*fn)(enum om_err_id id, int exit_code, const char *text, void *ctx),
		 void *ctx)
{
	for (size_t i = 0; i < OM_ARRAY_LEN(err_rows); i++)
		fn(err_rows[i].id, err_rows[i].exit_code, err_rows[i].text, ctx);
}
