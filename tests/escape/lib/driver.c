/*
 * Runs what the matrix names, one after the other, inside a brane: it is the brane's command.
 *
 * Comes in: go=FIFO, of which every line is a command, its words separated by tabs; done=FIFO; out=FILE.
 * Goes out: for each command its wait status on done, what it printed in out. Called by:
 * tests/escape/matrix.py through the manifest. Static. Never does: decide anything.
 *
 *   run PROGRAM WORD...   fork, exec, wait; where the program stops itself it says `stopped`, and goes
 *                         on after any line
 *   flood N               N looks at N absent paths and N/4 connects to port 1: denials to fill a ring with
 *   end                   exit
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define WORDS_MAX 64

static const char *value(char **argv, const char *key)
{
	size_t n = strlen(key);

	for (; *argv; argv++)
		if (!strncmp(*argv, key, n) && (*argv)[n] == '=')
			return *argv + n + 1;
	return "";
}

static FILE *go;
static int done;

static int run(char **words, const char *out)
{
	char line[8];
	int status = 0;
	pid_t pid = fork();

	if (!pid) {
		int fd = open(out, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

		if (fd >= 0) {
			dup2(fd, 1);
			dup2(fd, 2);
		}
		setsid();
		execv(words[0], words);
		_exit(252);
	}
	if (pid < 0 || waitpid(pid, &status, WUNTRACED) != pid)
		return 252 << 8;
	if (WIFSTOPPED(status)) {
		if (dprintf(done, "stopped\n") < 0 || !fgets(line, sizeof(line), go))
			return 252 << 8;
		kill(pid, SIGCONT);
		if (waitpid(pid, &status, 0) != pid)
			return 252 << 8;
	}
	/* What a try left behind would act in the time of the next. */
	kill(-pid, SIGKILL);
	while (waitpid(-1, NULL, WNOHANG) > 0)
		;
	return status;
}

static void flood(int n)
{
	struct sockaddr_in to = {.sin_family = AF_INET,
				 .sin_port = htons(1),
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	char path[64];

	for (int i = 0; i < n; i++) {
		snprintf(path, sizeof(path), "/absent-%d", i);
		if (open(path, O_RDONLY | O_CLOEXEC) >= 0)
			_exit(3);
		if (i % 4)
			continue;
		int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (connect(fd, (void *)&to, sizeof(to)) == 0)
			_exit(4);
		close(fd);
	}
}

static size_t split(char *line, char **words)
{
	size_t n = 0;

	for (char *w = strtok(line, "\t\n"); w && n < WORDS_MAX; w = strtok(NULL, "\t\n"))
		words[n++] = w;
	words[n] = NULL;
	return n;
}

int main(int argc, char **argv)
{
	char *words[WORDS_MAX + 1];
	static char line[16384];

	/* The scene's `prog` is a copy of it. */
	if (!*value(argv, "go"))
		return 0;
	go = fopen(value(argv, "go"), "re");
	done = open(value(argv, "done"), O_WRONLY | O_CLOEXEC);
	if (!go || done < 0)
		return 1;
	prctl(PR_SET_NAME, "driver");
	while (fgets(line, sizeof(line), go)) {
		size_t n = split(line, words);
		int status = 0;

		if (n && !strcmp(words[0], "end"))
			return 0;
		if (n > 1 && !strcmp(words[0], "run"))
			status = run(words + 1, value(argv, "out"));
		else if (n > 1 && !strcmp(words[0], "flood"))
			flood((int)strtol(words[1], NULL, 10));
		if (dprintf(done, "%d\n", status) < 0)
			return 1;
	}
	return 0;
}
