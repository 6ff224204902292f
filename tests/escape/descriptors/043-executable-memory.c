/*
 * Row 43: memory that is written and then run: in one mapping, in two steps, in two mappings of one
 * object, by System V, by device. Rules that look at MAP_ANONYMOUS alone miss all but the first.
 */
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/shm.h>

#include "tests/escape/lib/escape.h"

#define RW  (PROT_READ | PROT_WRITE)
#define RX  (PROT_READ | PROT_EXEC)
#define RWX (PROT_READ | PROT_WRITE | PROT_EXEC)

/* mov eax, 42; ret */
static const unsigned char code[] = {0xb8, 42, 0, 0, 0, 0xc3};

static int run(void *p)
{
	return ((int (*)(void))(uintptr_t)p)() == 42 ? 0 : EIO;
}

static int mapped(int prot, int flags, int fd)
{
	void *p;

	if (fd < 0 && !(flags & MAP_ANONYMOUS))
		return errno;
	p = mmap(NULL, 4096, prot, flags, fd, 0);

	if (p == MAP_FAILED)
		return errno;
	memcpy(p, code, sizeof(code));
	return run(p);
}

static int anonymous(void)
{
	return mapped(RWX, MAP_PRIVATE | MAP_ANONYMOUS, -1);
}

static int shared(void)
{
	return mapped(RWX, MAP_SHARED | MAP_ANONYMOUS, -1);
}

static int device_zero(void)
{
	return mapped(RWX, MAP_PRIVATE, open("/dev/zero", O_RDONLY | O_CLOEXEC));
}

static int protected(int how)
{
	char *p = mmap(NULL, 4096, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		return errno;
	memcpy(p, code, sizeof(code));
	if (how == 0 ? mprotect(p, 4096, RX) : (int)syscall(SYS_pkey_mprotect, p, 4096, RX, -1))
		return errno;
	return run(p);
}

static int by_mprotect(void)
{
	return protected(0);
}

static int by_pkey(void)
{
	return protected(1);
}

/* A private mapping of a granted program, written to and made code again: our bytes, its name. */
static int own_program(void)
{
	int fd = open(esc_arg("self"), O_RDONLY | O_CLOEXEC);
	char *p;

	if (fd < 0)
		return errno;
	p = mmap(NULL, 4096, RW, MAP_PRIVATE, fd, 0);
	if (p == MAP_FAILED)
		return errno;
	memcpy(p, code, sizeof(code));
	return mprotect(p, 4096, RX) < 0 ? errno : run(p);
}

/* Written through one mapping, run through the other: neither is both. */
static int twice(int fd)
{
	char *w, *x;

	if (fd < 0 || write(fd, code, sizeof(code)) != sizeof(code))
		return errno;
	w = mmap(NULL, 4096, RW, MAP_SHARED, fd, 0);
	if (w == MAP_FAILED)
		return errno;
	x = mmap(NULL, 4096, RX, MAP_SHARED, fd, 0);
	if (x == MAP_FAILED)
		return errno;
	memcpy(w, code, sizeof(code));
	return run(x);
}

static int memfd_twice(void)
{
	return twice(memfd_create("x", MFD_CLOEXEC));
}

/* Filled by write: the only mapping is a plain one of a file that happens to have no name. */
static int memfd_mapped(void)
{
	int fd = memfd_create("x", MFD_CLOEXEC);
	void *p;

	if (fd < 0 || write(fd, code, sizeof(code)) != sizeof(code))
		return errno;
	p = mmap(NULL, 4096, RX, MAP_PRIVATE, fd, 0);
	return p == MAP_FAILED ? errno : run(p);
}

static int memfd_mapped_shared(void)
{
	int fd = memfd_create("x", MFD_CLOEXEC);
	void *p;

	if (fd < 0 || write(fd, code, sizeof(code)) != sizeof(code))
		return errno;
	p = mmap(NULL, 4096, RX, MAP_SHARED, fd, 0);
	return p == MAP_FAILED ? errno : run(p);
}

static int file_twice(void)
{
	const char *path = esc_in("write", "twice");
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0700);

	return twice(fd);
}

static int memfd_rwx(void)
{
	int fd = memfd_create("x", MFD_CLOEXEC);

	if (fd < 0 || write(fd, code, sizeof(code)) != sizeof(code))
		return errno;
	return mapped(RWX, MAP_SHARED, fd);
}

static int sysv(void)
{
	int id = shmget(IPC_PRIVATE, 4096, IPC_CREAT | 0700), ret;
	void *p;

	if (id < 0)
		return errno;
	p = shmat(id, NULL, SHM_EXEC);
	ret = p == (void *)-1 ? errno : 0;
	shmctl(id, IPC_RMID, NULL);
	if (ret)
		return ret;
	memcpy(p, code, sizeof(code));
	return run(p);
}

static int remapped(void)
{
	char *p = mmap(NULL, 8192, strcmp(esc_arg("mode"), "outside") ? RW : RWX,
		       MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		return errno;
	memcpy(p + 4096, code, sizeof(code));
	if (syscall(SYS_remap_file_pages, p, 4096, 0, 1, 0) < 0)
		return errno;
	return run(p);
}

static int grown_stack(void)
{
	char *p = mmap(NULL, 65536, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN | MAP_STACK, -1,
		       0);

	if (p == MAP_FAILED)
		return errno;
	memcpy(p, code, sizeof(code));
	return mprotect(p, 4096, RX | PROT_GROWSDOWN) < 0 ? errno : run(p);
}

static const struct esc_try tries[] = {
	{"anonymous", anonymous, "syscall|mem.exec", 1, ESC_INSIDE, NULL},
	{"shared", shared, "syscall|mem.exec", 1, ESC_OUTSIDE, NULL},
	{"dev-zero", device_zero, "file.absent", 1, ESC_OUTSIDE, NULL},
	{"mprotect", by_mprotect, "syscall|mem.exec", 1, ESC_INSIDE, NULL},
	{"pkey-mprotect", by_pkey, "syscall|mem.exec", 1, ESC_OUTSIDE, NULL},
	{"own-program", own_program, "syscall|mem.exec", 1, ESC_OUTSIDE, NULL},
	{"memfd-map", memfd_mapped, "file.exec", 1, ESC_OUTSIDE, NULL},
	{"memfd-map-shared", memfd_mapped_shared, "file.exec", 1, ESC_OUTSIDE, NULL},
	{"memfd-twice", memfd_twice, "file.exec|file.write", 1, ESC_OUTSIDE, NULL},
	{"file-twice", file_twice, "file.exec", 1, ESC_OUTSIDE, NULL},
	{"memfd-rwx", memfd_rwx, "syscall|file.exec|file.write", 1, ESC_OUTSIDE, NULL},
	{"sysv", sysv, "syscall|mem.exec", 1, ESC_OUTSIDE, NULL},
	{"remap-file-pages", remapped, "syscall", 1, ESC_OUTSIDE, NULL},
	{"grows-down", grown_stack, "syscall|mem.exec", 1, ESC_INSIDE, NULL},
};

ESC_ROW(43, "memory that is written and then run", "filter, mmap_file, file_mprotect, shm_shmat",
	tries);
