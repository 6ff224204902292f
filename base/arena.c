/*
 * The arena: a list of chunks and a bump pointer.
 *
 * Comes in: sizes. Goes out: zeroed memory. Called by: whoever includes omega/arena.h. Never does:
 * return memory that was handed out before, or more of it than the limit.
 */
#include <stdalign.h>
#include <stdint.h>
#include <string.h>

#include <omega/arena.h>

#define CHUNK_MIN 4096u
#define CHUNK_MAX (256u * 1024u) /* doubling stops here, so that at most this much lies idle */
#define ALIGN	  alignof(max_align_t)

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define OM_ARENA_SPLIT 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define OM_ARENA_SPLIT 1
#endif

struct om_arena_chunk {
	struct om_arena_chunk *next;
	size_t size; /* of data */
	size_t used;
	alignas(max_align_t) unsigned char data[];
};

void om_arena_init(struct om_arena *a, size_t limit)
{
	memset(a, 0, sizeof(*a));
	a->limit = limit;
}

void om_arena_done(struct om_arena *a)
{
	if (!a)
		return;
	while (a->head) {
		struct om_arena_chunk *next = a->head->next;

		free(a->head);
		a->head = next;
	}
	a->used = 0;
}

static struct om_arena_chunk *add_chunk(struct om_arena *a, size_t need)
{
	struct om_arena_chunk *c;
	size_t size = a->head ? OM_MIN(a->head->size * 2, (size_t)CHUNK_MAX) : CHUNK_MIN;

	size = OM_MAX(size, need);
#ifdef OM_ARENA_SPLIT
	/* One malloc a piece, so that AddressSanitizer sees a write past its end. */
	size = need;
#endif
	if (size > SIZE_MAX - sizeof(*c))
		return NULL;
	/* calloc: what the caller gets is zero, whatever the pages held before. */
	c = calloc(1, sizeof(*c) + size);
	if (!c)
		return NULL;
	c->size = size;
	c->next = a->head;
	a->head = c;
	return c;
}

void *om_arena_alloc(struct om_arena *a, size_t size)
{
	struct om_arena_chunk *c = a->head;
	size_t need;
	void *p;

	if (size > SIZE_MAX - ALIGN)
		return NULL;
	need = OM_MAX((size + ALIGN - 1) / ALIGN * ALIGN, ALIGN);
	if (a->limit && (a->used > a->limit || need > a->limit - a->used))
		return NULL;
#ifdef OM_ARENA_SPLIT
	c = add_chunk(a, OM_MAX(size, (size_t)1));
	if (!c)
		return NULL;
	a->used += need;
	return c->data;
#endif
	if (!c || c->size - c->used < need) {
		c = add_chunk(a, need);
		if (!c)
			return NULL;
	}
	p = c->data + c->used;
	c->used += need;
	a->used += need;
	return p;
}

void *om_arena_array(struct om_arena *a, size_t n, size_t size)
{
	size_t total;

	if (__builtin_mul_overflow(n, size, &total))
		return NULL;
	return om_arena_alloc(a, total);
}

void *om_arena_grow(struct om_arena *a, const void *old, size_t old_n, size_t n, size_t size)
{
	void *p = om_arena_array(a, n, size);

	if (p && old_n)
		memcpy(p, old, OM_MIN(old_n, n) * size);
	return p;
}

char *om_arena_strndup(struct om_arena *a, const char *s, size_t len)
{
	char *p;

	if (len == SIZE_MAX)
		return NULL;
	p = om_arena_alloc(a, len + 1);
	if (p && len)
		memcpy(p, s, len);
	return p;
}

char *om_arena_strdup(struct om_arena *a, const char *s)
{
	return om_arena_strndup(a, s, strlen(s));
}
