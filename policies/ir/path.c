/*
 * Paths and name patterns as the IR compares them.
 *
 * Comes in: canonical absolute paths. Goes out: order, coverage, matches. Called by: the normal
 * form, the interpreter, the capabilities. Never does: resolve anything; a path here is only a
 * string.
 */
#include <string.h>

#include <policies/ir/ir.h>

/* '/' sorts before every other byte, so that "/a", "/a/b" come before "/a-b". */
static unsigned int weight(char c)
{
	unsigned char u = (unsigned char)c;

	return u == 0 ? 0 : u == '/' ? 1 : u + 1u;
}

int om_ir_path_compare(const char *a, const char *b)
{
	while (*a && *a == *b) {
		a++;
		b++;
	}
	return (int)weight(*a) - (int)weight(*b);
}

bool om_ir_path_covers(const char *dir, const char *path)
{
	size_t n = strlen(dir);

	if (n == 1)
		return true;
	return strncmp(dir, path, n) == 0 && (path[n] == 0 || path[n] == '/');
}

bool om_ir_pattern_match(const struct om_grant_file *g, const char *name, size_t len)
{
	size_t head = strlen(g->prefix), tail;

	if (!g->suffix)
		return head == len && memcmp(g->prefix, name, len) == 0;
	tail = strlen(g->suffix);
	return len >= head + tail && memcmp(g->prefix, name, head) == 0 &&
	       memcmp(g->suffix, name + len - tail, tail) == 0;
}
