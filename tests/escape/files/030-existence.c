/*
 * Row 30: that a name exists, how large and how old it is, says enough for many attacks. These calls
 * open nothing.
 */
#include <dirent.h>
#include <sys/statfs.h>
#include <sys/xattr.h>

#include "tests/escape/lib/files.h"

static int by_stat(void)
{
	struct stat st;

	return esc_errno(syscall(SYS_stat, esc_secret(), &st));
}

static int by_lstat(void)
{
	struct stat st;

	return esc_errno(syscall(SYS_lstat, esc_secret(), &st));
}

static int by_fstatat(void)
{
	struct stat st;

	return esc_errno(syscall(SYS_newfstatat, AT_FDCWD, esc_secret(), &st, AT_SYMLINK_NOFOLLOW));
}

static int by_statx(void)
{
	struct statx st;

	return esc_errno(statx(AT_FDCWD, esc_secret(), AT_STATX_DONT_SYNC, STATX_ALL, &st));
}

static int by_access(void)
{
	return esc_errno(syscall(SYS_access, esc_secret(), F_OK));
}

static int by_faccessat2(void)
{
	return esc_errno(syscall(SYS_faccessat2, AT_FDCWD, esc_secret(), R_OK, AT_EACCESS));
}

/* EINVAL: there is something, and it is no link. */
static int by_readlink(void)
{
	char buf[64];
	int ret = esc_errno(readlink(esc_secret(), buf, sizeof(buf)));

	return ret == EINVAL ? 0 : ret;
}

static int by_statfs(void)
{
	struct statfs st;

	return esc_errno(statfs(esc_secret(), &st));
}

static int by_getxattr(void)
{
	int ret = esc_errno(getxattr(esc_secret(), "user.none", NULL, 0));

	return ret == ENODATA || ret == EOPNOTSUPP ? 0 : ret;
}

static int by_listxattr(void)
{
	int ret = esc_errno(listxattr(esc_secret(), NULL, 0));

	return ret == EOPNOTSUPP ? 0 : ret;
}

static int by_chdir(void)
{
	return esc_errno(chdir(esc_arg("dir")));
}

/* EACCES or ENOEXEC: there is something, and it is no program. */
static int by_execve(void)
{
	char *argv[] = {(char *)"x", NULL};

	execv(esc_secret(), argv);
	return errno == ENOEXEC || errno == EACCES ? 0 : errno;
}

static int by_exclusive(void)
{
	int fd = open(esc_secret(), O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);

	return fd < 0 && errno == EEXIST ? 0 : esc_errno(fd);
}

/* EEXIST: the name is taken. */
static int by_mkdir(void)
{
	int ret = esc_errno(mkdir(esc_secret(), 0700));

	return ret == EEXIST ? 0 : ret;
}

static int by_symlink(void)
{
	int ret = esc_errno(symlink("x", esc_secret()));

	return ret == EEXIST ? 0 : ret;
}

/* ENOTDIR: there is something. */
static int by_rmdir(void)
{
	int ret = esc_errno(rmdir(esc_secret()));

	return ret == ENOTDIR ? 0 : ret;
}

static int list(const char *path)
{
	char buf[512];
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	long n = fd < 0 ? -1 : syscall(SYS_getdents64, fd, buf, sizeof(buf));

	return n > 0 ? 0 : n ? errno : ENODATA;
}

static int list_directory(void)
{
	return list(esc_arg("dir"));
}

/* Every brane has one, and it shows no names. */
static int list_root(void)
{
	return list("/");
}

#define LOOK(name, fn)                                       \
	{                                                    \
		name, fn, "file.absent", 1, ESC_INSIDE, NULL \
	}
/* A name to be made or removed is looked up as one to be made. */
#define MAKE(name, fn)                                       \
	{                                                    \
		name, fn, "file.create", 1, ESC_INSIDE, NULL \
	}
static const struct esc_try tries[] = {
	LOOK("stat", by_stat),
	LOOK("lstat", by_lstat),
	LOOK("fstatat", by_fstatat),
	LOOK("statx", by_statx),
	LOOK("access", by_access),
	LOOK("faccessat2", by_faccessat2),
	LOOK("readlink", by_readlink),
	LOOK("statfs", by_statfs),
	LOOK("getxattr", by_getxattr),
	LOOK("listxattr", by_listxattr),
	LOOK("chdir", by_chdir),
	LOOK("execve", by_execve),
	MAKE("create-exclusive", by_exclusive),
	MAKE("mkdir", by_mkdir),
	MAKE("symlink", by_symlink),
	MAKE("rmdir", by_rmdir),
	{"list", list_directory, "file.absent|file.read", 1, ESC_INSIDE, NULL},
	{"list-root", list_root, "file.read", 1, ESC_OUTSIDE, NULL},
};

ESC_ROW(30, "stat, access, readdir: does it exist?", "the view; file_open of directories", tries);
