/*
 * Row 50: system calls by another entry: int 0x80 with i386 numbers, the x32 bit, 32-bit code reached by a
 * far jump. A filter that compares numbers without the architecture takes open for fstat.
 */
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "tests/escape/lib/escape.h"

#define I386_OPEN   5
#define I386_READ   3
#define I386_GETPID 20
#define X32_BIT	    0x40000000

static long int80(long nr, long a, long b, long c)
{
	long ret;

	__asm__ volatile("int $0x80"
			 : "=a"(ret)
			 : "a"(nr), "b"(a), "c"(b), "d"(c)
			 : "memory", "r8", "r9", "r10", "r11");
	return ret;
}

/* 32-bit calls take 32-bit pointers. */
static int secret_by_int80(void)
{
	char *low = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	long fd;

	if (low == MAP_FAILED)
		return errno;
	strcpy(low, esc_in("dir", "secret"));
	fd = (int)int80(I386_OPEN, (long)low, O_RDONLY, 0);
	if (fd < 0)
		return (int)-fd;
	return (int)int80(I386_READ, fd, (long)low, 1) == 1 ? 0 : EIO;
}

/* Ended by SIGSYS: as good as EPERM, and no number that the suite could take for an errno. */
static int in_child(int (*fn)(void))
{
	int ret = esc_child(fn);

	return ret == 128 + SIGSYS ? EPERM : ret;
}

static int ia32_open(void)
{
	int ret = in_child(secret_by_int80);

	/* A kernel without the entry: a fault of the instruction. */
	return ret == 128 + SIGSEGV ? esc_skip("no 32-bit entry in this kernel") : ret;
}

static uint64_t saved_rsp;

/*
 * Code segment 0x23 is the kernel's for 32-bit user code, 0x33 the one for 64-bit code. A jump through
 * memory and not a return: QEMU without KVM reads a far return's stack as the kernel would, which SMAP
 * forbids, and the guest dies of it.
 */
static int far_jump_(void)
{
	static volatile struct __attribute__((packed)) {
		uint32_t offset;
		uint16_t segment;
	} to = {0, 0x23};
	int pid;

	__asm__ volatile("mov %%rsp, %[save]\n\t"
			 "movl $1f, %[to]\n\t"
			 "ljmpl *%[to]\n\t"
			 ".code32\n"
			 "1:\n\t"
			 "mov $20, %%eax\n\t"
			 "int $0x80\n\t"
			 "ljmp $0x33, $2f\n\t"
			 ".code64\n"
			 "2:\n\t"
			 "mov %[save], %%rsp\n\t"
			 : "=a"(pid)
			 : [save] "m"(saved_rsp), [to] "m"(to)
			 : "memory", "rcx", "rdx", "r8", "r9", "r10", "r11");
	return pid == getpid() ? 0 : EIO;
}

static int far_jump(void)
{
	int ret = in_child(far_jump_);

	return ret == 128 + SIGSEGV ? esc_skip("no 32-bit entry in this kernel") : ret;
}

static int x32_(void)
{
	return esc_errno(syscall(SYS_getpid | X32_BIT));
}

static int x32(void)
{
	int ret = in_child(x32_);

	return ret == ENOSYS ? esc_skip("this kernel was built without x32") : ret;
}

#define KILLED "the filter ends the task: SIGSYS; the record is its end"

static const struct esc_try tries[] = {
	{"int80-open", ia32_open, "", 0, ESC_OUTSIDE, KILLED},
	{"far-jump", far_jump, "", 0, ESC_OUTSIDE, KILLED},
	{"x32", x32, "", 0, ESC_OUTSIDE, KILLED},
};

ESC_ROW(50, "int 0x80, 32-bit code, x32", "filter: architecture first", tries);
