/*
 * Row 118: the log, its keys, and those who write it: read, change, cut or forge what was recorded, or
 * speak to the agent as somebody else.
 */
#include <dirent.h>
#include <sys/stat.h>

#include "tests/escape/lib/net.h"

static int opened(const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0)
		return errno;
	close(fd);
	return 0;
}

static const char *stream(void)
{
	return esc_in("state", "audit/stream/000000000000.log");
}

static int log_read(void)
{
	return opened(stream(), O_RDONLY);
}

static int log_written(void)
{
	/* Spelt otherwise: the same path again would be a repeat, which is counted. */
	return opened(esc_in("state", "./audit/stream/000000000000.log"), O_WRONLY | O_APPEND);
}

/* To the length that it has: nothing is lost where it is allowed. */
static int log_cut(void)
{
	struct stat st;

	if (!esc_is_outside())
		return esc_errno(truncate(esc_in("state", "audit/stream"), 0));
	if (stat(stream(), &st) < 0)
		return errno;
	/* Growing pages are the writer's: only the right to open for writing is asked for. */
	return opened(stream(), O_WRONLY);
}

static int checkpoint(void)
{
	return opened(esc_in("state", "audit/checkpoint"), O_RDWR);
}

static int signing_key(void)
{
	return opened(esc_in("state", "substrate.key"), O_RDONLY);
}

static int next_key(void)
{
	return opened(esc_in("run", "signer/next.key"), O_RDONLY);
}

static int bundle(void)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/branes/%s/bundle", esc_arg("run"),
		 esc_is_outside() ? "denied" : esc_arg("brane"));
	if (esc_is_outside()) /* the folder is enough: which branes there are is the scene's */
		snprintf(path, sizeof(path), "%s/branes", esc_arg("run"));
	return opened(path, O_RDONLY);
}

static int counted(void)
{
	return opened(esc_in("run", "drain"), O_RDONLY | O_DIRECTORY);
}

static int talked(const char *name, int type)
{
	struct esc_addr a = esc_unix(esc_in("run", name));
	int fd = esc_socket(AF_UNIX, type, 0);

	return esc_errno(connect(fd, &a.sa, a.len));
}

static int observe(void)
{
	return talked("observe.sock", SOCK_STREAM);
}

static int control(void)
{
	return talked("control.sock", SOCK_STREAM);
}

static int admin(void)
{
	return talked("admin.sock", SOCK_STREAM);
}

/* A shim's message is a record. */
static int shim(void)
{
	return talked("shim.sock", SOCK_SEQPACKET);
}

static const struct esc_try tries[] = {
	{"read", log_read, "file.absent", 1, ESC_OUTSIDE, NULL},
	{"write", log_written, "file.absent", 1, ESC_OUTSIDE, NULL},
	{"cut", log_cut, "file.absent", 1, ESC_OUTSIDE, NULL},
	{"checkpoint", checkpoint, "file.absent", 1, ESC_OUTSIDE, NULL},
	{"signing-key", signing_key, "file.absent", 1, ESC_OUTSIDE, NULL},
	{"next-key", next_key, "file.absent", 1, ESC_OUTSIDE, NULL},
	{"bundle", bundle, "file.absent", 1, ESC_OUTSIDE, NULL},
	{"counters", counted, "file.absent", 1, ESC_OUTSIDE, NULL},
	{"observe", observe, "file.absent", 1, ESC_OUTSIDE, NULL},
	{"control", control, "file.absent", 1, ESC_OUTSIDE, NULL},
	{"admin", admin, "file.absent", 1, ESC_OUTSIDE, NULL},
	{"shim", shim, "file.absent", 1, ESC_OUTSIDE, NULL},
};

ESC_ROW(118, "the log, its keys, the agent's sockets",
	"the view; hash chain and two signatures behind it", tries);
