/*
 * Key files and enrolment.
 *
 * Comes in: directory descriptors. Goes out: keys, into the caller's locked memory. Called by:
 * signer/local.c, enrolment. Never does: read a key that others may read, follow a link.
 */
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sodium.h>

#include <omega/sha256.h>
#include "agent/chain/format/note.h"
#include "agent/chain/signer/keyfile.h"

#define SUBSTRATE_NAME "substrate.key"
#define VKEY_NAME      "substrate.vkey"
#define NEXT_NAME      "next.key"

OM_STATIC_ASSERT(sizeof(struct om_substrate_file) == 8 + 136 + 32 + 32 + 32);
OM_STATIC_ASSERT(sizeof(struct om_next_file) == 8 + 64 + 8 + 8 + 40 + 40 + 32);

static int origin_valid(const char *origin)
{
	size_t len = strnlen(origin, OM_ORIGIN_MAX + 1);

	if (!len || len > OM_ORIGIN_MAX)
		return 0;
	for (size_t i = 0; i < len; i++) {
		char c = origin[i];

		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
		      c == '.' || c == '-' || c == '_' || c == '/'))
			return 0;
	}
	return 1;
}

int om_keyfile_load_substrate(int state_fd, struct om_substrate_file *f, struct om_err *err)
{
	OM_CLEANUP(om_close_fd)
	int fd = openat(state_fd, SUBSTRATE_NAME, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	uint8_t check[32];
	struct stat st;

	if (fd < 0)
		return om_err_sys(err, OM_ERR_LOG_KEY, -errno, "cannot open %s", SUBSTRATE_NAME);
	if (fstat(fd, &st) < 0 || (st.st_mode & 077))
		return om_err_set(err, OM_ERR_LOG_KEY, -EPERM, "%s must have mode 0600",
				  SUBSTRATE_NAME);
	if (read(fd, f, sizeof(*f)) != (ssize_t)sizeof(*f))
		return om_err_set(err, OM_ERR_LOG_KEY, -EBADMSG, "%s is damaged", SUBSTRATE_NAME);
	om_sha256(f, offsetof(struct om_substrate_file, check), check);
	if (memcmp(f->magic, "omgsubk1", 8) || sodium_memcmp(check, f->check, 32) ||
	    !origin_valid(f->origin))
		return om_err_set(err, OM_ERR_LOG_KEY, -EBADMSG, "%s is damaged", SUBSTRATE_NAME);
	return 0;
}

int om_keyfile_open_next(int run_fd, int *out, struct om_next_file *f, bool *found,
			 struct om_err *err)
{
	OM_CLEANUP(om_close_fd)
	int fd = openat(run_fd, NEXT_NAME, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	uint8_t check[32];
	struct stat st;

	if (fd < 0)
		return om_err_sys(err, OM_ERR_LOG_KEY, -errno, "cannot open %s", NEXT_NAME);
	if (fstat(fd, &st) < 0 || (st.st_mode & 077))
		return om_err_set(err, OM_ERR_LOG_KEY, -EPERM, "%s must have mode 0600", NEXT_NAME);
	*found = false;
	if (pread(fd, f, sizeof(*f), 0) == (ssize_t)sizeof(*f)) {
		om_sha256(f, offsetof(struct om_next_file, check), check);
		*found = !memcmp(f->magic, "omgnext2", 8) && !sodium_memcmp(check, f->check, 32);
	}
	*out = OM_STEAL_FD(fd);
	return 0;
}

int om_keyfile_store_next(int fd, struct om_next_file *f, struct om_err *err)
{
	memcpy(f->magic, "omgnext2", 8);
	om_sha256(f, offsetof(struct om_next_file, check), f->check);
	if (pwrite(fd, f, sizeof(*f), 0) != (ssize_t)sizeof(*f))
		return om_err_sys(err, OM_ERR_LOG_KEY, errno ? -errno : -EIO, "cannot write %s",
				  NEXT_NAME);
	return 0;
}

/*
 * A file without a name, or one under a name that nobody guesses where the file system cannot do that
 * (overlayfs before Linux 6.3): NAME is then how it is linked and removed, else "".
 */
static int make_unnamed(int dir, mode_t mode, char *name, size_t size)
{
	int fd = openat(dir, ".", O_TMPFILE | O_WRONLY | O_CLOEXEC, mode);

	*name = 0;
	if (fd >= 0 || (errno != EOPNOTSUPP && errno != EISDIR))
		return fd;
	snprintf(name, size, ".new-%08x%08x", randombytes_random(), randombytes_random());
	return openat(dir, name, O_CREAT | O_EXCL | O_NOFOLLOW | O_WRONLY | O_CLOEXEC, mode);
}

/* Writes a whole new file before it gets its name: two enrolments cannot mix. */
static int put_file(int dir, const char *name, mode_t mode, const void *p, size_t len,
		    struct om_err *err)
{
	char path[64], temp[32];
	OM_CLEANUP(om_close_fd) int fd = make_unnamed(dir, mode, temp, sizeof(temp));
	int ret = 0;

	if (fd < 0)
		return om_err_sys(err, OM_ERR_LOG_KEY, -errno, "cannot create %s", name);
	errno = 0;
	if (fchmod(fd, mode) < 0 || write(fd, p, len) != (ssize_t)len || fsync(fd) < 0)
		ret = om_err_sys(err, OM_ERR_LOG_KEY, errno ? -errno : -EIO, "cannot write %s",
				 name);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (!ret && linkat(AT_FDCWD, path, dir, name, AT_SYMLINK_FOLLOW) < 0 && errno != EEXIST)
		ret = om_err_sys(err, OM_ERR_LOG_KEY, -errno, "cannot link %s", name);
	/* What is left under the other name would be a second copy of a secret. */
	if (*temp && unlinkat(dir, temp, 0) < 0 && !ret)
		ret = om_err_sys(err, OM_ERR_LOG_KEY, -errno, "cannot remove %s", temp);
	if (!ret && fsync(dir) < 0)
		ret = om_err_sys(err, OM_ERR_LOG_KEY, -errno, "cannot sync %s", name);
	return ret;
}

static int make_substrate(int state_fd, const char *origin, struct om_err *err)
{
	struct om_substrate_file f = {.magic = "omgsubk1"};
	uint8_t sk[64];
	int ret;

	memcpy(f.origin, origin, strlen(origin));
	randombytes_buf(f.seed, sizeof(f.seed));
	crypto_sign_seed_keypair(f.pk, sk, f.seed);
	om_sha256(&f, offsetof(struct om_substrate_file, check), f.check);
	ret = put_file(state_fd, SUBSTRATE_NAME, 0600, &f, sizeof(f), err);
	sodium_memzero(&f, sizeof(f));
	sodium_memzero(sk, sizeof(sk));
	return ret;
}

int om_signer_enroll(int state_fd, const char *origin, struct om_err *err)
{
	struct om_substrate_file f;
	char vkey[OM_VKEY_MAX + 2];
	size_t len;
	int ret;

	if (sodium_init() < 0)
		return om_err_set(err, OM_ERR_LOG_KEY, -EIO, "libsodium does not start");
	if (!origin_valid(origin))
		return om_err_set(err, OM_ERR_INVALID, -EINVAL,
				  "origin must be a host name, '/', a word (at most %u bytes)",
				  OM_ORIGIN_MAX);
	if (faccessat(state_fd, SUBSTRATE_NAME, F_OK, AT_SYMLINK_NOFOLLOW) < 0) {
		ret = make_substrate(state_fd, origin, err);
		if (ret < 0)
			return ret;
	}
	ret = om_keyfile_load_substrate(state_fd, &f, err);
	sodium_memzero(f.seed, sizeof(f.seed));
	if (ret < 0)
		return ret;
	if (strcmp(f.origin, origin))
		return om_err_set(err, OM_ERR_LOG_KEY, -EEXIST, "this node is enrolled as %s",
				  f.origin);
	if (faccessat(state_fd, VKEY_NAME, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		return 0;
	len = om_vkey_format(f.origin, f.pk, vkey);
	vkey[len++] = '\n';
	return put_file(state_fd, VKEY_NAME, 0644, vkey, len, err);
}
