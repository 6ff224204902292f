/*
 * Row 67: code for the kernel itself: a module handed over, a module as a file, and those that the kernel
 * fetches on its own because somebody asked for a protocol or a file system that nobody uses.
 */
#include <sys/mount.h>
#include <sys/socket.h>

#include "tests/escape/lib/escape.h"

static bool outside(void)
{
	return !strcmp(esc_arg("mode"), "outside");
}

/* No module: ENOEXEC is the loader's judgement, behind the door. */
static int init_(void)
{
	static const char junk[64] = "no module";
	int ret = esc_errno(syscall(SYS_init_module, junk, sizeof(junk), ""));

	return ret == ENOEXEC ? 0 : ret;
}

static int finit(void)
{
	int fd = open(esc_arg("self"), O_RDONLY | O_CLOEXEC);
	int ret = fd < 0 ? errno : esc_errno(syscall(SYS_finit_module, fd, "", 0));

	return ret == ENOEXEC || ret == EINVAL ? 0 : ret;
}

static int removed(void)
{
	int ret = esc_errno(syscall(SYS_delete_module, "omega_no_such_module", O_NONBLOCK));

	return ret == ENOENT ? 0 : ret;
}

/* The kernel looks for net-pf-NUMBER: without the module's file the family is missing, but it looked. */
static int by_family(int family, int type)
{
	int fd = socket(family, type | SOCK_CLOEXEC, 0);

	if (fd >= 0)
		close(fd);
	return fd < 0 && !(outside() && errno == EAFNOSUPPORT) ? errno : 0;
}

static int tipc(void)
{
	return by_family(AF_TIPC, SOCK_SEQPACKET);
}

static int rds(void)
{
	return by_family(AF_RDS, SOCK_SEQPACKET);
}

static int by_protocol(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 33 /* DCCP */);

	if (fd >= 0)
		close(fd);
	return fd < 0 && !(outside() && (errno == EPROTONOSUPPORT || errno == ESOCKTNOSUPPORT))
		       ? errno
		       : 0;
}

static int by_file_system(void)
{
	int ret = esc_errno(mount("none", esc_arg("write"), "omega_no_such_fs", 0, NULL));

	return ret == ENODEV ? 0 : ret;
}

/* tcp-ulp-NAME: an option of a socket. */
static int by_option(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int ret = esc_errno(setsockopt(fd, 6, 31 /* TCP_ULP */, "omega", 5));

	return ret == ENOENT ? 0 : ret;
}

static const struct esc_try tries[] = {
	{"init-module", init_, "syscall", 1, ESC_OUTSIDE, NULL},
	{"finit-module", finit, "syscall", 1, ESC_OUTSIDE, NULL},
	{"delete-module", removed, "syscall", 1, ESC_OUTSIDE, NULL},
	{"socket-tipc", tipc, "syscall|net.socket", 1, ESC_OUTSIDE, NULL},
	{"socket-rds", rds, "syscall|net.socket", 1, ESC_OUTSIDE, NULL},
	{"socket-dccp", by_protocol, "syscall|net.socket", 1, ESC_OUTSIDE, NULL},
	{"mount", by_file_system, "syscall", 1, ESC_OUTSIDE, NULL},
	{"tcp-ulp", by_option, "net.socket", 1, ESC_OUTSIDE, NULL},
};

ESC_ROW(67, "kernel modules, handed over or fetched", "filter, socket hooks, kernel_module_request",
	tries);
