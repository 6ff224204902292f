/*
 * The host's side of lib/give.h: hands descriptors to whoever serves on `write`/give-*.
 *
 * Comes in: the scene, as for a row (write, tcp, udp, victim and cgroup are used; `dir` is the row's to
 * say). Goes out: descriptors, by SCM_RIGHTS. Called by: the matrix, which
 * starts it outside every brane as root and kills it at the end. Never does: look anywhere else, or end.
 *
 * A static program so that it needs nothing of the host. It is told nothing about branes: it is the
 * careless process that connects to a socket in a directory which a brane may write.
 */
#include <dirent.h>
#include <signal.h>

#include "tests/escape/lib/give.h"

#define GIVER_PAUSE_US 20000

static char **args;

const char *esc_arg(const char *key)
{
	size_t n = strlen(key);

	for (char **a = args; *a; a++)
		if (!strncmp(*a, key, n) && (*a)[n] == '=')
			return *a + n + 1;
	return "";
}

int esc_num(const char *key)
{
	return (int)strtol(esc_arg(key), NULL, 10);
}

/* A process of its own for each: a row that hangs holds up no other. */
static void visit(const char *path)
{
	int conn = give_unix(path);

	if (conn < 0)
		return;
	if (!fork()) {
		give_serve(conn);
		_exit(0);
	}
	close(conn);
}

static void look(const char *dir)
{
	char path[512];
	struct dirent *e;
	DIR *d = opendir(dir);

	if (!d)
		return;
	while ((e = readdir(d))) {
		if (strncmp(e->d_name, "give-", 5))
			continue;
		snprintf(path, sizeof(path), "%s/%s", dir, e->d_name);
		visit(path);
	}
	closedir(d);
}

int main(int argc, char **argv)
{
	args = argv;
	signal(SIGCHLD, SIG_IGN);
	for (;;) {
		look(esc_arg("write"));
		usleep(GIVER_PAUSE_US);
	}
}
