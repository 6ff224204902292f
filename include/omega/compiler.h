/*
 * Attributes and small macros that every folder uses.
 *
 * Comes in: nothing. Goes out: names for compiler attributes. Called by: all of the C code outside
 * bpf/. Never does: anything at run time, apart from the cleanup handlers declared at the end.
 */
#ifndef OMEGA_COMPILER_H
#define OMEGA_COMPILER_H

#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

#define OM_MUST_CHECK	__attribute__((warn_unused_result))
#define OM_PRINTF(f, a) __attribute__((format(printf, f, a)))
#if __has_attribute(nonstring)
#define OM_NONSTRING __attribute__((nonstring))
#else
#define OM_NONSTRING
#endif
#define OM_UNUSED   __attribute__((unused))
#define OM_NORETURN __attribute__((noreturn))
/* Runs FN(&variable) when the variable leaves its scope, on every path out of it. */
#define OM_CLEANUP(fn)	    __attribute__((cleanup(fn)))
#define OM_ARRAY_LEN(a)	    (sizeof(a) / sizeof((a)[0]))
#define OM_MIN(a, b)	    ((a) < (b) ? (a) : (b))
#define OM_MAX(a, b)	    ((a) > (b) ? (a) : (b))
#define OM_STATIC_ASSERT(c) _Static_assert(c, #c)

/* OM_CLEANUP(om_close_fd) int fd = -1; closes a descriptor that is not negative. */
static inline void om_close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/* OM_CLEANUP(om_free_ptr) char *p = NULL; frees a malloc'd pointer. */
static inline void om_free_ptr(void *p)
{
	free(*(void **)p);
}

/* Hands a descriptor or pointer to the caller and disarms its cleanup. */
#define OM_STEAL_FD(fd)               \
	({                            \
		int om_stolen = (fd); \
		(fd) = -1;            \
		om_stolen;            \
	})
#define OM_STEAL_PTR(p)                        \
	({                                     \
		__typeof__(p) om_stolen = (p); \
		(p) = NULL;                    \
		om_stolen;                     \
	})

#endif
