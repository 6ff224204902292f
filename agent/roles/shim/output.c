/*
 * The workload's output, kept in the brane's state directory within a bound: newest bytes win.
 *
 * Comes in: two pipes. Goes out: the files stdout and stderr. Called by: the supervisor's loop. Never
 * does: block on a reader, interpret a byte, or let a chatty workload fill the host's memory.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>
#include "agent/roles/shim/shim.h"

/* One page of pipe at a time: a workload that floods cannot keep the loop from its other duties. */
#define CHUNK 65536

int shim_output_open(struct shim_output *o)
{
	o->file = openat(OM_FD_DIR, o->name, O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC,
			 0600);
	if (o->file < 0 || fcntl(o->pipe, F_SETFL, O_NONBLOCK) < 0)
		return -errno;
	o->size = 0;
	return 0;
}

/* Keeps the newer half, in a new file, so that a reader of the old one is not disturbed. */
static void rotate(struct shim_output *o)
{
	static char buf[CHUNK];
	char name[16] = "tmp.";
	for (int i = 0; i < 10 && o->name[i]; i++)
		name[4 + i] = o->name[i];
	int fd = openat(OM_FD_DIR, name, O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	off_t from = (off_t)(o->size - OM_MIN(o->size, (size_t)OM_OUTPUT_BYTES_MAX / 2));
	size_t kept = 0;
	ssize_t n;

	while (fd >= 0 && (n = pread(o->file, buf, sizeof(buf), from)) > 0) {
		n = write(fd, buf, (size_t)n);
		if (n <= 0)
			break;
		from += n;
		kept += (size_t)n;
	}
	if (fd < 0 || renameat(OM_FD_DIR, name, OM_FD_DIR, o->name) < 0) {
		/* No room even for the half: start over rather than grow. */
		if (fd >= 0)
			close(fd);
		if (ftruncate(o->file, 0) < 0 || lseek(o->file, 0, SEEK_SET) < 0)
			return;
		o->size = 0;
		return;
	}
	close(o->file);
	o->file = fd;
	o->size = kept;
}

void shim_output_copy(struct shim_output *o)
{
	static char buf[CHUNK];
	ssize_t n = read(o->pipe, buf, sizeof(buf));
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		close(o->pipe);
		o->pipe = -1;
		return;
	}
	if (o->size + (size_t)n > OM_OUTPUT_BYTES_MAX)
		rotate(o);
	ssize_t w = write(o->file, buf, (size_t)n);
	if (w > 0)
		o->size += (size_t)w;
}
