/*
 * Row 25: calls that move a file's bytes without read or write. Who traces system calls must know each
 * of them; new ones come with each kernel.
 */
#include <linux/aio_abi.h>
#include <linux/falloc.h>
#include <sys/sendfile.h>
#include <sys/uio.h>

#include "tests/escape/lib/files.h"

static int source(int flags)
{
	return open(esc_secret(), flags | O_CLOEXEC);
}

static int sink(const char *name)
{
	return esc_make(esc_own(name), 0600);
}

/* Bytes moved: more than none, or it was not reached. */
static int moved(ssize_t n)
{
	return n > 0 ? 0 : n ? errno : ENODATA;
}

static int by_sendfile(void)
{
	int to = sink("025-sendfile"), from = source(O_RDONLY);

	return from < 0 ? errno : moved(sendfile(to, from, NULL, 7));
}

static int by_splice(void)
{
	int p[2], from = source(O_RDONLY);

	if (from < 0 || pipe2(p, O_CLOEXEC) < 0)
		return errno;
	return moved(splice(from, NULL, p[1], NULL, 7, 0));
}

static int by_copy(void)
{
	int to = sink("025-copy"), from = source(O_RDONLY);

	return from < 0 ? errno : moved(copy_file_range(from, NULL, to, NULL, 7, 0));
}

static int by_preadv2(void)
{
	char buf[8];
	struct iovec v = {buf, sizeof(buf)};
	int from = source(O_RDONLY);

	return from < 0 ? errno : moved(preadv2(from, &v, 1, 0, 0));
}

static int by_readahead(void)
{
	int from = source(O_RDONLY);

	return from < 0 ? errno : esc_errno(readahead(from, 0, 7));
}

static int allocate(int mode, off_t from, off_t n)
{
	int fd = source(O_RDWR);

	return fd < 0 ? errno : esc_errno(fallocate(fd, mode, from, n));
}

static int by_fallocate(void)
{
	return allocate(FALLOC_FL_KEEP_SIZE, 4096, 4096);
}

/* Behind the end: what stands in the file stays. */
static int by_punch(void)
{
	return allocate(FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 4096, 4096);
}

static int by_aio(void)
{
	char buf[8];
	aio_context_t ctx = 0;
	int from = source(O_RDONLY);
	struct iocb cb = {.aio_lio_opcode = IOCB_CMD_PREAD,
			  .aio_fildes = (uint32_t)from,
			  .aio_buf = (uintptr_t)buf,
			  .aio_nbytes = sizeof(buf)},
		    *list = &cb;
	struct io_event ev;

	if (from < 0 || syscall(SYS_io_setup, 1, &ctx) < 0)
		return errno;
	if (syscall(SYS_io_submit, ctx, 1L, &list) != 1)
		return errno;
	if (syscall(SYS_io_getevents, ctx, 1L, 1L, &ev, NULL) != 1)
		return errno;
	return ev.res > 0 ? 0 : (int)-ev.res;
}

static int by_write(void)
{
	struct iovec v = {(void *)"secret\n", 7};
	int fd = source(O_WRONLY);

	return fd < 0 ? errno : moved(pwritev2(fd, &v, 1, 0, 0));
}

#define ROW_READ "file.absent|file.read"
static const struct esc_try tries[] = {
	{"sendfile", by_sendfile, ROW_READ, 1, ESC_INSIDE, NULL},
	{"splice", by_splice, ROW_READ, 1, ESC_INSIDE, NULL},
	{"copy_file_range", by_copy, ROW_READ, 1, ESC_INSIDE, NULL},
	{"preadv2", by_preadv2, ROW_READ, 1, ESC_INSIDE, NULL},
	{"readahead", by_readahead, ROW_READ, 1, ESC_INSIDE, NULL},
	{"aio", by_aio, ROW_READ, 1, ESC_INSIDE, NULL},
	{"fallocate", by_fallocate, "file.absent|file.write", 1, ESC_INSIDE, NULL},
	{"punch-hole", by_punch, "file.absent|file.write", 1, ESC_INSIDE, NULL},
	{"pwritev2", by_write, "file.absent|file.write", 1, ESC_INSIDE, NULL},
};

ESC_ROW(25, "sendfile, splice, copy_file_range, fallocate, aio", "the view; file_open", tries);
