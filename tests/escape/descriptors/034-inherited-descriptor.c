/*
 * Row 34: a descriptor that was open before the policy was. Who asks at open is too late; what start-up
 * left open is the workload's. The three that are meant to be there may not be used for more than data.
 */
#include <sys/stat.h>
#include <sys/wait.h>

#include "tests/escape/lib/escape.h"

/* Descriptors that this program did not open itself. Outside, the host's carelessness is played. */
static int left_open(bool write_it)
{
	int own = -1, ret = EBADF;

	if (!strcmp(esc_arg("mode"), "outside"))
		own = open(esc_in("dir", "secret"), O_RDWR | O_CLOEXEC);
	for (int fd = 3; fd < 4096 && ret; fd++) {
		struct stat st;
		char c;

		if (fstat(fd, &st) < 0 || S_ISFIFO(st.st_mode))
			continue;
		ret = esc_errno(write_it ? pwrite(fd, "s", 1, 0) : pread(fd, &c, 1, 0));
	}
	if (own >= 0)
		close(own);
	return ret;
}

static int read_left_open(void)
{
	return left_open(false);
}

static int write_left_open(void)
{
	return left_open(true);
}

/* 0 is the host's /dev/null: its mode and owner are the host's business. */
static int stdin_mode(void)
{
	struct stat st;

	if (fstat(0, &st) < 0)
		return errno;
	return esc_errno(fchmod(0, st.st_mode & 07777));
}

static int stdin_owner(void)
{
	return esc_errno(fchown(0, 0, 0));
}

/* Across execve: what was opened without O_CLOEXEC would be the next program's. */
static int across_exec(void)
{
	char *argv[] = {(char *)esc_arg("self"), (char *)"exit", NULL};
	int fd = open(esc_in("dir", "sub/../secret"),
		      O_RDONLY); /* lint: allow(cloexec) to be inherited */

	if (fd < 0)
		return errno;
	return esc_exec(esc_arg("self"), argv);
}

static const struct esc_try tries[] = {
	{"read", read_left_open, "", 0, ESC_OUTSIDE, "init closes all but 0, 1 and 2: EBADF"},
	{"write", write_left_open, "", 0, ESC_OUTSIDE, "init closes all but 0, 1 and 2: EBADF"},
	{"stdin-mode", stdin_mode, "file.write", 1, ESC_OUTSIDE, NULL},
	{"stdin-owner", stdin_owner, "file.write", 1, ESC_OUTSIDE, NULL},
	{"across-exec", across_exec, "file.absent|file.read", 1, ESC_INSIDE, NULL},
};

ESC_ROW(34, "inherited descriptor", "init closes all, path_chmod, path_chown", tries);
