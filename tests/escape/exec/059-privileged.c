/*
 * Row 59: programs that give more rights than the caller has: set-user-id and file capabilities; and the
 * switches that keep rights across execve.
 */
#include <sys/prctl.h>
#include <sys/wait.h>

#include "tests/escape/lib/files.h"

/* The host's: it starts, asks for its usage, and would be root. */
static int suid_program(void)
{
	static const char *const known[] = {"/usr/bin/su", "/usr/bin/mount", "/usr/bin/passwd",
					    "/bin/su", "/bin/mount"};
	char *argv[] = {(char *)"x", (char *)"--version", NULL};
	const char *path = known[0];

	/* One look-up in a brane; outside the first that there is. */
	for (size_t i = 0; esc_outside() && i < 5; i++)
		if (!access(known[i], X_OK)) {
			path = known[i];
			break;
		}
	int ret = esc_exec(path, argv);
	/* It ran: what it says of its arguments is its own business. */
	return ret == 1 ? 0 : ret;
}

static int ambient(void)
{
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0)
		return errno;
	return 0;
}

static int securebits(void)
{
	return esc_errno(prctl(PR_SET_SECUREBITS, prctl(PR_GET_SECUREBITS), 0, 0, 0));
}

static int bits_on_copy(void)
{
	const char *path = esc_own("059-suid");
	int ret = esc_copy_to(path);

	if (ret)
		return ret;
	ret = chmod(path, 06755) < 0 ? errno : 0;
	if (!ret)
		ret = esc_run(path);
	unlink(path);
	return ret;
}

static const struct esc_try tries[] = {
	{"suid-program", suid_program, "file.absent|file.exec", 1, ESC_OUTSIDE, NULL},
	{"suid-copy", bits_on_copy, "file.write", 1, ESC_OUTSIDE, NULL},
	{"ambient", ambient, "syscall", 1, ESC_OUTSIDE, NULL},
	{"securebits", securebits, "syscall", 1, ESC_OUTSIDE, NULL},
};

ESC_ROW(59, "set-user-id, file capabilities, ambient rights", "no_new_privs; path_chmod; seccomp",
	tries);
