/*
 * Row 31: a lock on a file that two can open is a channel between them, and holding one stops whoever
 * waits for it.
 */
#include <sys/file.h>

#include "tests/escape/lib/files.h"

static int secret(int flags)
{
	return open(esc_secret(), flags | O_CLOEXEC);
}

/* What every brane may read, and others too: its own program. Outside a file that nobody runs. */
static int shared(void)
{
	const char *path = esc_arg("self");

	if (esc_outside()) {
		path = esc_own("031-shared");
		close(esc_make(path, 0600));
	}
	return open(path, O_RDONLY | O_CLOEXEC);
}

static int by_fcntl(void)
{
	struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	int fd = secret(O_RDWR);

	return fd < 0 ? errno : esc_errno(fcntl(fd, F_SETLK, &l));
}

static int by_ofd(void)
{
	struct flock l = {.l_type = F_RDLCK, .l_whence = SEEK_SET};
	int fd = secret(O_RDONLY);

	return fd < 0 ? errno : esc_errno(fcntl(fd, F_OFD_SETLK, &l));
}

static int by_flock(void)
{
	int fd = secret(O_RDONLY);

	return fd < 0 ? errno : esc_errno(flock(fd, LOCK_EX | LOCK_NB));
}

/* Who else opens it waits until the lease is given back. */
static int by_lease(void)
{
	int fd = secret(O_RDONLY);

	return fd < 0 ? errno : esc_errno(fcntl(fd, F_SETLEASE, F_RDLCK));
}

/* flock() asks for no write access: readable is enough to shut all others out. */
static int exclusive_on_readable(void)
{
	int fd = shared();

	return fd < 0 ? errno : esc_errno(flock(fd, LOCK_EX | LOCK_NB));
}

static int lease_on_readable(void)
{
	int fd = shared();

	return fd < 0 ? errno : esc_errno(fcntl(fd, F_SETLEASE, F_RDLCK));
}

static const struct esc_try tries[] = {
	{"fcntl", by_fcntl, "file.absent|file.write", 1, ESC_INSIDE, NULL},
	{"ofd", by_ofd, "file.absent|file.read", 1, ESC_INSIDE, NULL},
	{"flock", by_flock, "file.absent|file.read", 1, ESC_INSIDE, NULL},
	{"lease", by_lease, "file.absent|file.read", 1, ESC_INSIDE, NULL},
	{"exclusive-on-readable", exclusive_on_readable, "file.write", 1, ESC_OUTSIDE, NULL},
	{"lease-on-readable", lease_on_readable, "file.write", 1, ESC_OUTSIDE, NULL},
};

ESC_ROW(31, "file locks as a channel", "the view; file_lock", tries);
