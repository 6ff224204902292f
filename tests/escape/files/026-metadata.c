/*
 * Row 26: mode, owner, times and attributes: changing them is not opening the file. And set-user-id bits
 * in all spellings on files that the brane may write: a user of the host who runs such a file becomes
 * the brane's user.
 */
#include <sys/time.h>
#include <sys/xattr.h>
#include <utime.h>

#include "tests/escape/lib/files.h"

#define NR_SETXATTRAT 463
#define NR_FCHMODAT2  452
#define NR_OPENAT2    437

static int by_chmod(void)
{
	return esc_errno(chmod(esc_secret(), 0644));
}

static int by_fchmodat(void)
{
	return esc_errno(syscall(SYS_fchmodat, AT_FDCWD, esc_secret(), 0644));
}

static int by_fchmodat2(void)
{
	int ret = esc_errno(syscall(NR_FCHMODAT2, AT_FDCWD, esc_secret(), 0644, 0));

	return ret == ENOSYS ? esc_skip("no fchmodat2 in this kernel") : ret;
}

static int by_chown(void)
{
	return esc_errno(chown(esc_secret(), 0, 0));
}

static int by_lchown(void)
{
	return esc_errno(lchown(esc_secret(), 0, 0));
}

static int by_fchownat(void)
{
	return esc_errno(fchownat(AT_FDCWD, esc_secret(), 0, 0, AT_SYMLINK_NOFOLLOW));
}

static int by_utime(void)
{
	struct utimbuf t = {1, 1};

	return esc_errno(syscall(SYS_utime, esc_secret(), &t));
}

static int by_utimes(void)
{
	struct timeval t[2] = {{1, 0}, {1, 0}};

	return esc_errno(syscall(SYS_utimes, esc_secret(), t));
}

static int by_futimesat(void)
{
	return esc_errno(syscall(SYS_futimesat, AT_FDCWD, esc_secret(), NULL));
}

static int by_utimensat(void)
{
	struct timespec t[2] = {{1, 0}, {1, 0}};

	return esc_errno(utimensat(AT_FDCWD, esc_secret(), t, AT_SYMLINK_NOFOLLOW));
}

static int supported(long ret)
{
	if (ret < 0 && errno == EOPNOTSUPP)
		return esc_skip("this file system has no such attributes on this kernel");
	return esc_errno(ret);
}

static int by_setxattr(void)
{
	return supported(setxattr(esc_secret(), "user.x", "y", 1, 0));
}

static int by_lsetxattr(void)
{
	return supported(lsetxattr(esc_secret(), "user.x", "y", 1, 0));
}

static int by_setxattrat(void)
{
	uint64_t args[2] = {(uintptr_t) "y", 1};
	long ret = syscall(NR_SETXATTRAT, AT_FDCWD, esc_secret(), 0, "user.x", args, sizeof(args));

	if (ret < 0 && errno == ENOSYS)
		return esc_skip("no setxattrat in this kernel");
	return supported(ret);
}

static int by_acl(void)
{
	/* Version 2; user::rw- group::r-- other::r-- */
	static const uint16_t acl[] = {2, 0,	  1,	  6,	0xffff, 0xffff, 4,
				       4, 0xffff, 0xffff, 0x20, 4,	0xffff, 0xffff};

	return supported(setxattr(esc_secret(), "system.posix_acl_access", acl, sizeof(acl), 0));
}

static int by_removexattr(void)
{
	long ret;

	if (esc_outside() && setxattr(esc_secret(), "trusted.x", "y", 1, 0) < 0)
		return supported(-1);
	ret = removexattr(esc_secret(), "trusted.x");
	return supported(ret);
}

/* Capabilities on a program of the brane's own: revision 2, all of them, effective. */
static int file_caps(void)
{
	static const uint32_t caps[5] = {0x02000001, 0xffffffff, 0, 0xffffffff, 0};
	const char *path = esc_own("026-caps");
	int ret = esc_copy_to(path);

	if (ret)
		return ret;
	ret = supported(setxattr(path, "security.capability", caps, sizeof(caps), 0));
	unlink(path);
	return ret;
}

/* --- set-user-id: each makes or changes a file of its own, and removes it again --- */

static int gone(long ret, const char *path)
{
	ret = esc_errno(ret);
	unlink(path);
	return (int)ret;
}

static int suid_chmod(void)
{
	const char *p = esc_own("026-suid");

	close(esc_make(p, 0700));
	return gone(chmod(p, 04755), p);
}

static int sgid_chmod(void)
{
	const char *p = esc_own("026-suid");

	close(esc_make(p, 0700));
	return gone(chmod(p, 02755), p);
}

static int suid_fchmod(void)
{
	const char *p = esc_own("026-suid");

	return gone(fchmod(esc_make(p, 0700), 04755), p);
}

static int suid_fchmodat(void)
{
	const char *p = esc_own("026-suid");

	close(esc_make(p, 0700));
	return gone(syscall(SYS_fchmodat, AT_FDCWD, p, 06755), p);
}

static int suid_fchmodat2(void)
{
	const char *p = esc_own("026-suid");
	int fd = esc_make(p, 0700), ret;

	ret = gone(syscall(NR_FCHMODAT2, fd, "", 04755, AT_EMPTY_PATH), p);
	return ret == ENOSYS ? esc_skip("no fchmodat2 in this kernel") : ret;
}

static int suid_open(void)
{
	const char *p = esc_own("026-suid");

	return gone(syscall(SYS_open, p, O_CREAT | O_WRONLY | O_CLOEXEC, 04755), p);
}

static int suid_openat(void)
{
	const char *p = esc_own("026-suid");

	return gone(openat(AT_FDCWD, p, O_CREAT | O_WRONLY | O_CLOEXEC, 04755), p);
}

static int sgid_openat(void)
{
	const char *p = esc_own("026-suid");

	return gone(openat(AT_FDCWD, p, O_CREAT | O_WRONLY | O_CLOEXEC, 02755), p);
}

static int suid_openat2(void)
{
	uint64_t how[3] = {O_CREAT | O_WRONLY | O_CLOEXEC, 04755, 0};
	const char *p = esc_own("026-suid");

	return gone(syscall(NR_OPENAT2, AT_FDCWD, p, how, sizeof(how)), p);
}

static int suid_creat(void)
{
	const char *p = esc_own("026-suid");

	return gone(creat(p, 04755), p);
}

static int suid_mknod(void)
{
	const char *p = esc_own("026-suid");

	return gone(mknod(p, S_IFREG | 04755, 0), p);
}

static int suid_mknodat(void)
{
	const char *p = esc_own("026-suid");

	return gone(syscall(SYS_mknodat, AT_FDCWD, p, S_IFREG | 04755, 0), p);
}

/* Without a name, for now. */
static int suid_tmpfile(void)
{
	return esc_errno(open(esc_arg("write"), O_TMPFILE | O_WRONLY | O_CLOEXEC, 04755));
}

static int suid_tmpfile2(void)
{
	uint64_t how[3] = {O_TMPFILE | O_WRONLY | O_CLOEXEC, 04755, 0};

	return esc_errno(syscall(NR_OPENAT2, AT_FDCWD, esc_arg("write"), how, sizeof(how)));
}

#define CHANGE(name, fn)                                                \
	{                                                               \
		name, fn, "file.absent|file.write", 1, ESC_INSIDE, NULL \
	}
#define SPECIAL(name, fn, kind)                      \
	{                                            \
		name, fn, kind, 1, ESC_OUTSIDE, NULL \
	}
static const struct esc_try tries[] = {
	CHANGE("chmod", by_chmod),
	CHANGE("fchmodat", by_fchmodat),
	CHANGE("fchmodat2", by_fchmodat2),
	CHANGE("chown", by_chown),
	CHANGE("lchown", by_lchown),
	CHANGE("fchownat", by_fchownat),
	CHANGE("utime", by_utime),
	CHANGE("utimes", by_utimes),
	CHANGE("futimesat", by_futimesat),
	CHANGE("utimensat", by_utimensat),
	CHANGE("setxattr", by_setxattr),
	CHANGE("lsetxattr", by_lsetxattr),
	CHANGE("setxattrat", by_setxattrat),
	CHANGE("acl", by_acl),
	SPECIAL("removexattr", by_removexattr, "file.absent|file.write"),
	{"file-capabilities", file_caps, "file.write", 0, ESC_OUTSIDE,
	 "needs CAP_SETFCAP, which no brane has; that is asked before any hook"},
	SPECIAL("suid-chmod", suid_chmod, "file.write"),
	SPECIAL("sgid-chmod", sgid_chmod, "file.write"),
	SPECIAL("suid-fchmod", suid_fchmod, "file.write"),
	SPECIAL("suid-fchmodat", suid_fchmodat, "file.write"),
	SPECIAL("suid-fchmodat2", suid_fchmodat2, "file.write"),
	SPECIAL("suid-open", suid_open, "file.create"),
	SPECIAL("suid-openat", suid_openat, "file.create"),
	SPECIAL("sgid-openat", sgid_openat, "file.create"),
	SPECIAL("suid-openat2", suid_openat2, "file.create"),
	SPECIAL("suid-creat", suid_creat, "file.create"),
	SPECIAL("suid-mknod", suid_mknod, "file.create"),
	SPECIAL("suid-mknodat", suid_mknodat, "file.create"),
	SPECIAL("suid-tmpfile", suid_tmpfile, "file.create"),
	SPECIAL("suid-tmpfile-openat2", suid_tmpfile2, "file.create"),
};

ESC_ROW(26, "chmod, chown, utimes, setxattr, file capabilities, set-user-id",
	"the view; path_chmod, path_chown, inode_setattr, inode_setxattr, path_mknod", tries);
