/*
 * Memory that is taken piece by piece and given back all at once.
 *
 * Comes in: sizes. Goes out: zeroed, aligned memory that lives until om_arena_done. Called by: parsers
 * and compilers, whose results are trees that die together. Never does: free one piece, or grow past
 * the limit that its owner set (an input must not decide how much memory is used).
 */
#ifndef OMEGA_ARENA_H
#define OMEGA_ARENA_H

#include <stddef.h>
#include <omega/compiler.h>

struct om_arena_chunk;

struct om_arena {
	struct om_arena_chunk *head; /* newest first */
	size_t used;		     /* bytes handed out, alignment padding included */
	size_t limit;		     /* of used; 0: no limit */
};

/* No memory is taken until the first allocation. A zeroed struct is an arena without a limit. */
void om_arena_init(struct om_arena *a, size_t limit);

/* Frees everything. A may be NULL or already done; it can be used again afterwards. */
void om_arena_done(struct om_arena *a);

/*
 * SIZE zeroed bytes aligned for any type; a SIZE of 0 gives a unique pointer. NULL when memory or the
 * limit is exhausted: the caller reports OM_ERR_NOMEM. Owned by the arena.
 */
void *om_arena_alloc(struct om_arena *a, size_t size) OM_MUST_CHECK;

/* As om_arena_alloc for N elements of SIZE bytes; NULL also when the product overflows. */
void *om_arena_array(struct om_arena *a, size_t n, size_t size) OM_MUST_CHECK;

/*
 * A larger array with the first OLD_N elements of OLD copied into it and the rest zeroed. OLD stays
 * allocated until the arena is done, so grow by doubling.
 */
void *om_arena_grow(struct om_arena *a, const void *old, size_t old_n, size_t n, size_t size)
	OM_MUST_CHECK;

/* Copies LEN bytes (NUL bytes included) and adds a terminating NUL. */
char *om_arena_strndup(struct om_arena *a, const char *s, size_t len) OM_MUST_CHECK;

/* Copies a NUL-terminated string. */
char *om_arena_strdup(struct om_arena *a, const char *s) OM_MUST_CHECK;

#endif
