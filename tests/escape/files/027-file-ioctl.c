/*
 * Row 27: ioctls that change a file through a descriptor that is open for reading: flags, generation,
 * extended flags, verity, subvolumes.
 */
#include <linux/fs.h>
#include <linux/fsverity.h>
#include <sys/ioctl.h>

#include "tests/escape/lib/files.h"

#define NR_FILE_SETATTR	    469
#define BTRFS_SUBVOL_CREATE _IOC(_IOC_WRITE, 0x94, 14, 4096)

/* The brane's own program: it may be read and not changed. Outside a file that has flags. */
static const char *target(void)
{
	const char *path = esc_arg("self");

	if (esc_outside()) {
		path = esc_own("027-file");
		close(esc_make(path, 0600));
	}
	return path;
}

static int supported(long ret)
{
	if (ret < 0 && (errno == ENOTTY || errno == EOPNOTSUPP))
		return esc_skip("this file system has no such flags on this kernel");
	return esc_errno(ret);
}

static int set_flags(void)
{
	int fd = open(target(), O_RDONLY | O_CLOEXEC);
	long flags = FS_NODUMP_FL;

	return fd < 0 ? errno : supported(ioctl(fd, FS_IOC_SETFLAGS, &flags));
}

static int set_xflags(void)
{
	int fd = open(target(), O_RDONLY | O_CLOEXEC);
	struct fsxattr attr = {0};

	if (fd < 0)
		return errno;
	return supported(ioctl(fd, FS_IOC_FSSETXATTR, &attr));
}

static int secret_flags(void)
{
	int fd = open(esc_secret(), O_RDONLY | O_CLOEXEC);
	long flags = FS_NODUMP_FL;

	return fd < 0 ? errno : supported(ioctl(fd, FS_IOC_SETFLAGS, &flags));
}

/* A file system that knows verity makes the file immutable for the asking. */
static int enable_verity(void)
{
	struct fsverity_enable_arg arg = {.version = 1, .hash_algorithm = 1, .block_size = 4096};
	int fd = open(target(), O_RDONLY | O_CLOEXEC);

	return fd < 0 ? errno : supported(ioctl(fd, FS_IOC_ENABLE_VERITY, &arg));
}

/* btrfs makes a subvolume below an open directory, past the hooks on names. */
static int subvolume(void)
{
	char name[4096] = "";
	int fd = open(esc_outside() ? esc_arg("write") : "/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 ? errno : supported(ioctl(fd, BTRFS_SUBVOL_CREATE, name));
}

/* 6.17: the same without a descriptor. */
static int by_name(void)
{
	uint64_t attr[3] = {0};
	long ret = syscall(NR_FILE_SETATTR, AT_FDCWD, esc_secret(), attr, sizeof(attr), 0);

	if (ret < 0 && errno == ENOSYS)
		return esc_skip("no file_setattr in this kernel");
	return supported(ret);
}

static const struct esc_try tries[] = {
	{"setflags", set_flags, "file.write", 1, ESC_OUTSIDE, NULL},
	{"fssetxattr", set_xflags, "file.write", 1, ESC_OUTSIDE, NULL},
	{"setflags-of-secret", secret_flags, "file.absent|file.read", 1, ESC_INSIDE, NULL},
	{"enable-verity", enable_verity, "file.write", 1, ESC_OUTSIDE, NULL},
	{"subvolume", subvolume, "file.write|file.read", 1, ESC_OUTSIDE, NULL},
	{"file_setattr", by_name, "syscall", 1, ESC_OUTSIDE, NULL},
};

ESC_ROW(27, "FS_IOC_SETFLAGS and its kin", "file_ioctl; seccomp", tries);
