/*
 * One io_uring, one operation at a time: enough for the rows that work past the system call table.
 *
 * Comes in: a submission entry. Goes out: its result. Used by: rows 37 and 61 to 63. Never does: batch.
 */
#ifndef OMEGA_TESTS_ESCAPE_URING_H
#define OMEGA_TESTS_ESCAPE_URING_H

#include <linux/io_uring.h>
#include <sys/mman.h>

#include "tests/escape/lib/escape.h"

struct uring {
	int fd;
	struct io_uring_params p;
	char *ring;
	struct io_uring_sqe *sqe;
};

/* 0 or errno. */
static inline int uring_setup(struct uring *r, unsigned int flags)
{
	memset(r, 0, sizeof(*r));
	r->p.flags = flags;
	r->p.sq_thread_idle = 1000;
	r->fd = (int)syscall(SYS_io_uring_setup, 4, &r->p);
	if (r->fd < 0)
		return errno;
	r->ring = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, r->fd, IORING_OFF_SQ_RING);
	r->sqe = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, r->fd, IORING_OFF_SQES);
	return r->ring == MAP_FAILED || r->sqe == MAP_FAILED ? errno : 0;
}

static inline uint32_t *uring_at(struct uring *r, uint32_t off)
{
	return (uint32_t *)(void *)(r->ring + off);
}

/* What the operation returned: >= 0, or -errno. */
static inline int uring_do(struct uring *r, const struct io_uring_sqe *sqe)
{
	uint32_t *tail = uring_at(r, r->p.sq_off.tail), at = *tail % r->p.sq_entries;
	struct io_uring_cqe *cqe = (void *)(r->ring + r->p.cq_off.cqes);
	uint32_t *head = uring_at(r, r->p.cq_off.head), got = *head;
	unsigned int flags = IORING_ENTER_GETEVENTS;

	r->sqe[at] = *sqe;
	uring_at(r, r->p.sq_off.array)[at] = at;
	__atomic_store_n(tail, *tail + 1, __ATOMIC_RELEASE);
	if (r->p.flags & IORING_SETUP_SQPOLL)
		flags |= IORING_ENTER_SQ_WAKEUP;
	do {
		if (syscall(SYS_io_uring_enter, r->fd, 1, 1, flags, NULL, 0) < 0)
			return -errno;
	} while (__atomic_load_n(uring_at(r, r->p.cq_off.tail), __ATOMIC_ACQUIRE) == got);
	__atomic_store_n(head, got + 1, __ATOMIC_RELEASE);
	return cqe[got % r->p.cq_entries].res;
}

/* One operation in a ring of its own: 0 or errno. */
static inline int uring_once(unsigned int flags, const struct io_uring_sqe *sqe)
{
	struct uring r;
	int ret = uring_setup(&r, flags);

	if (ret)
		return ret;
	ret = uring_do(&r, sqe);
	return ret < 0 ? -ret : 0;
}

#endif
