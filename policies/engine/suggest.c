/*
 * What line of a manifest would have granted a request.
 *
 * Comes in: a request. Goes out: the rule that decides and the line. Called by: the interpreter,
 * the audit log's attribution, omegactl. Never does: suggest what can never be granted.
 */
#include <stdio.h>
#include <string.h>

#include <policies/policy.h>
#include <omega/cap.h>

/* TOML basic string. False if it does not fit. */
static bool put_quoted(char *buf, size_t size, size_t *n, const char *text)
{
	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;
		char part[8];
		int len;

		/*
		 * The path is the workload's choice: unescaped, it could write lines of a policy.
		 */
		if (c == '"' || c == '\\')
			len = snprintf(part, sizeof(part), "\\%c", c);
		else if (c < ' ' || c == 0x7f)
			len = snprintf(part, sizeof(part), "\\u%04X", c);
		else
			len = snprintf(part, sizeof(part), "%c", c);
		if (len < 0 || *n + (size_t)len >= size)
			return false;
		memcpy(buf + *n, part, (size_t)len);
		*n += (size_t)len;
	}
	return true;
}

void om_suggest_list(struct om_verdict *out, const char *brane, const char *table, const char *key,
		     const char *text)
{
	char *buf = out->suggestion;
	size_t size = sizeof(out->suggestion), n;
	int ret;

	snprintf(out->rule, sizeof(out->rule), "%s%s%s", table, table[0] ? "." : "", key);
	ret = snprintf(buf, size, "[brane.%s%s%s] %s = [\"", brane, table[0] ? "." : "", table,
		       key);
	n = ret < 0 ? size : (size_t)ret;
	if (n >= size || !put_quoted(buf, size, &n, text) || n + 3 > size) {
		buf[0] = 0;
		return;
	}
	memcpy(buf + n, "\"]", 3);
}

void om_suggest(const char *brane, const struct om_request *req, struct om_verdict *out)
{
	const struct om_cap *cap;

	out->rule[0] = 0;
	out->suggestion[0] = 0;
	for (uint32_t i = 0; (cap = om_registry_at(i)); i++)
		if (cap->suggest && cap->suggest(brane, req, out))
			return;
}
