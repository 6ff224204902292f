/*
 * Row 56: a program that is granted does something else: an interpreter runs what it is told to, a
 * multi-call program is what its name says. No list of programs stops that; what the code reaches for
 * does.
 */
#include <sys/socket.h>

#include "tests/escape/lib/files.h"

static int other_interpreter(void)
{
	char *argv[] = {(char *)"sh", (char *)"-c", (char *)"exit 0", NULL};

	return esc_exec("/bin/sh", argv);
}

static char **other_name;

static int renamed_self(void)
{
	execv(esc_arg("self"), other_name);
	return errno;
}

/* Granted, under another name: it runs, and reaches no more than before. */
static int multi_call(void)
{
	char try[] = "try=read", dir[600], mode[32];
	char *argv[] = {(char *)"busybox", try, dir, mode, NULL};

	snprintf(dir, sizeof(dir), "dir=%s", esc_arg("dir"));
	/* As inside, so that it needs no mount namespace of its own. */
	snprintf(mode, sizeof(mode), "mode=inside");
	other_name = argv;
	return esc_child(renamed_self);
}

/* bash -c 'exec 3<>/dev/tcp/...': code of the script's, sockets of the kernel's. */
static int by_network(void)
{
	return esc_connect(AF_INET, SOCK_STREAM, 0, esc_num("tcp"));
}

static int by_reading(void)
{
	return esc_open_read(AT_FDCWD, esc_secret(), O_RDONLY);
}

static const struct esc_try tries[] = {
	{"other-interpreter", other_interpreter, "file.absent|file.exec", 1, ESC_OUTSIDE, NULL},
	{"multi-call", multi_call, "file.absent|file.read", 1, ESC_INSIDE, NULL},
	{"network", by_network, "net.connect", 1, ESC_INSIDE, NULL},
	{"read", by_reading, "file.absent|file.read", 1, ESC_INSIDE, NULL},
};

ESC_ROW(56, "interpreters and multi-call programs", "what the code reaches for: files, network",
	tries);
