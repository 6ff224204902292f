/*
 * The ring buffer's consumer; the contract is in ring.h.
 *
 * Comes in: a map's descriptor. Goes out: samples. Called by: the drain role. Never does: copy a sample.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include "agent/events/ring.h"

#define BUSY	0x80000000u /* BPF_RINGBUF_BUSY_BIT */
#define DISCARD 0x40000000u /* BPF_RINGBUF_DISCARD_BIT */
#define HEADER	8u	    /* BPF_RINGBUF_HDR_SZ */

int om_ring_open(int map_fd, size_t bytes, struct om_ring *r, struct om_err *err)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	void *p;

	memset(r, 0, sizeof(*r));
	if (!bytes || bytes & (bytes - 1))
		return om_err_set(err, OM_ERR_BPF_MAP, -EINVAL, "ring buffer of %zu bytes", bytes);
	p = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_SHARED, map_fd, 0);
	if (p == MAP_FAILED)
		return om_err_sys(err, OM_ERR_BPF_MAP, -errno, "ring buffer");
	r->map[0] = p;
	r->map_len[0] = page;
	r->consumer = p;
	p = mmap(NULL, page + 2 * bytes, PROT_READ, MAP_SHARED, map_fd, (off_t)page);
	if (p == MAP_FAILED) {
		int ret = om_err_sys(err, OM_ERR_BPF_MAP, -errno, "ring buffer");

		om_ring_done(r);
		return ret;
	}
	r->map[1] = p;
	r->map_len[1] = page + 2 * bytes;
	r->producer = p;
	r->data = (const uint8_t *)p + page;
	r->size = bytes;
	r->at = __atomic_load_n(r->consumer, __ATOMIC_ACQUIRE);
	return 0;
}

void om_ring_done(struct om_ring *r)
{
	for (int i = 0; i < 2; i++)
		if (r->map[i])
			munmap(r->map[i], r->map_len[i]);
	memset(r, 0, sizeof(*r));
}

int om_ring_next(struct om_ring *r, const void **sample, size_t *len)
{
	for (;;) {
		uint64_t end = __atomic_load_n(r->producer, __ATOMIC_ACQUIRE);
		const uint8_t *p = r->data + (r->at & (r->size - 1));
		uint32_t head;
		size_t n;

		if (r->at == end)
			return 0;
		if (r->at > end || end - r->at > r->size)
			return -EBADMSG;
		head = __atomic_load_n((const uint32_t *)(const void *)p, __ATOMIC_ACQUIRE);
		if (head & BUSY)
			return 0;
		n = head & ~DISCARD;
		if (n > r->size - HEADER)
			return -EBADMSG;
		r->at += (n + HEADER + 7) & ~(size_t)7;
		if (head & DISCARD)
			continue;
		*sample = p + HEADER;
		*len = n;
		return 1;
	}
}

void om_ring_release(struct om_ring *r)
{
	__atomic_store_n(r->consumer, r->at, __ATOMIC_RELEASE);
}

size_t om_ring_used(const struct om_ring *r)
{
	return (size_t)(__atomic_load_n(r->producer, __ATOMIC_ACQUIRE) - *r->consumer);
}
