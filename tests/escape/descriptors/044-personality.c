/*
 * Row 44: calls that no LSM hook sees: a personality in which whatever is readable is executable, segments
 * of one's own, a vDSO at a chosen place, pages given away by reference.
 */
#include <asm/ldt.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/uio.h>

#include "tests/escape/lib/escape.h"

#define ARCH_SET_CPUID_	  0x1012
#define ARCH_MAP_VDSO_64_ 0x2003

/* xor eax, eax; ret */
static const unsigned char code[] = {0x31, 0xc0, 0xc3};

static int read_implies_exec(void)
{
	char *p;

	if (personality(READ_IMPLIES_EXEC) < 0)
		return errno;
	p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED)
		return errno;
	memcpy(p, code, sizeof(code));
	return ((int (*)(void))(uintptr_t)p)();
}

static int no_randomize(void)
{
	return esc_errno(personality(ADDR_NO_RANDOMIZE));
}

static int modify_ldt_(void)
{
	struct user_desc d = {.entry_number = 0, .limit = 0xfffff, .seg_32bit = 1, .useable = 1};

	return esc_errno(syscall(SYS_modify_ldt, 1, &d, sizeof(d)));
}

static int map_vdso(void)
{
	int ret = (int)syscall(SYS_arch_prctl, ARCH_MAP_VDSO_64_, 0x10000000ul);

	/* A second one is refused by the kernel itself: it was asked. */
	return ret < 0 && errno == EEXIST ? 0 : esc_errno(ret);
}

static int cpuid_faulting(void)
{
	int ret = esc_errno(syscall(SYS_arch_prctl, ARCH_SET_CPUID_, 1));

	return ret == ENODEV ? 0 : ret; /* the processor lacks it; the kernel would have */
}

static int pages_given(void)
{
	static char page[4096] __attribute__((aligned(4096)));
	struct iovec v = {page, sizeof(page)};
	int p[2];

	if (pipe2(p, O_CLOEXEC) < 0)
		return errno;
	return esc_errno(vmsplice(p[1], &v, 1, 8 /* SPLICE_F_GIFT */));
}

static const struct esc_try tries[] = {
	{"read-implies-exec", read_implies_exec, "syscall", 1, ESC_OUTSIDE, NULL},
	{"no-randomize", no_randomize, "syscall", 1, ESC_OUTSIDE, NULL},
	{"modify-ldt", modify_ldt_, "syscall", 1, ESC_OUTSIDE, NULL},
	{"map-vdso", map_vdso, "syscall", 1, ESC_OUTSIDE, NULL},
	{"cpuid-faulting", cpuid_faulting, "syscall", 1, ESC_OUTSIDE, NULL},
	{"vmsplice", pages_given, "syscall", 1, ESC_OUTSIDE, NULL},
};

ESC_ROW(44, "personality, modify_ldt, arch_prctl, vmsplice", "filter: no hook sees them", tries);
