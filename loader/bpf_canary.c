/*
 * Whether BPF-LSM programs run, and whether the kernel tells the content of a file, found by running one
 * and by asking it about one.
 *
 * Comes in: nothing. Goes out: 0, or the error that says what to do. Called by: om_bpf_open before it
 * trusts the kernel layer, om_bpf_probe. Never does: read the kernel's list of LSMs or its configuration,
 * which say what was asked for and not what happens; leave anything attached.
 */
#include <errno.h>
#include <linux/hash_info.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <omega/sha256.h>
#include <loader/bpf_priv.h>

#include "canary.skel.h"
#include "content.skel.h"

static void canary_done(struct canary_bpf **skel)
{
	canary_bpf__destroy(*skel);
}

int om_bpf_canary(struct om_err *err)
{
	struct canary_bpf *skel OM_CLEANUP(canary_done) = NULL;
	int ret;

	om_bpf_quiet();
	skel = canary_bpf__open();
	if (!skel)
		return om_err_sys(err, OM_ERR_BPF_LOAD, -errno, "object canary");
	ret = canary_bpf__load(skel);
	if (!ret)
		ret = canary_bpf__attach(skel);
	if (ret)
		return om_err_sys(err, OM_ERR_BPF_UNSUPPORTED, ret,
				  "no BPF-LSM program can be attached");
	skel->bss->om_canary_tgid = (uint32_t)getpid();
	if (getsid(getpid()) < 0)
		return om_err_sys(err, OM_ERR_BPF_UNSUPPORTED, -errno, "getsid");
	if (!__atomic_load_n(&skel->bss->om_canary_hits, __ATOMIC_SEQ_CST))
		return om_err_set(
			err, OM_ERR_BPF_UNSUPPORTED, -EOPNOTSUPP,
			"BPF-LSM programs load but are never called: boot with \"bpf\" in lsm=");
	return 0;
}

static void content_done(struct content_bpf **skel)
{
	content_bpf__destroy(*skel);
}

/* A file of our own, mapped while the program watches. */
static int map_probe(struct content_bpf *skel, const char *text, size_t len, struct om_err *err)
{
	int file OM_CLEANUP(om_close_fd) = memfd_create("omega-content", MFD_CLOEXEC);
	struct stat st;
	void *p;

	if (file < 0 || write(file, text, len) != (ssize_t)len || fstat(file, &st))
		return om_err_sys(err, OM_ERR_IO, -errno, "a file to ask about");
	skel->bss->om_content_algo = -ENODATA;
	skel->bss->om_content_tgid = (uint32_t)getpid();
	skel->bss->om_content_ino = st.st_ino;
	p = mmap(NULL, len, PROT_READ, MAP_PRIVATE, file, 0);
	if (p == MAP_FAILED)
		return om_err_sys(err, OM_ERR_IO, -errno, "a file to ask about");
	(void)munmap(p, len);
	return 0;
}

int om_bpf_content_probe(struct om_err *err)
{
	static const char text[] = "what the kernel says is in here is in here";
	struct content_bpf *skel OM_CLEANUP(content_done) = NULL;
	uint8_t want[OM_SHA256_LEN];
	int ret;

	om_bpf_quiet();
	skel = content_bpf__open();
	if (!skel)
		return om_err_sys(err, OM_ERR_BPF_LOAD, -errno, "object content");
	ret = content_bpf__load(skel);
	if (!ret)
		ret = content_bpf__attach(skel);
	if (ret)
		return om_err_sys(err, OM_ERR_BPF_CONTENT, ret,
				  "the kernel refuses bpf_ima_file_hash");
	ret = map_probe(skel, text, sizeof(text), err);
	if (ret)
		return ret;
	ret = skel->bss->om_content_algo;
	if (ret < 0)
		return om_err_sys(err, OM_ERR_BPF_CONTENT, ret, "the kernel hashes no file");
	if (ret != HASH_ALGO_SHA256)
		return om_err_set(err, OM_ERR_BPF_CONTENT, -EOPNOTSUPP,
				  "the kernel hashes files with algorithm %d, not with SHA-256 "
				  "(ima_hash=sha256)",
				  ret);
	om_sha256(text, sizeof(text), want);
	if (memcmp(want, skel->bss->om_content_sha256, sizeof(want)) != 0)
		return om_err_set(err, OM_ERR_BPF_CONTENT, -EBADMSG,
				  "the kernel's SHA-256 of a file is another one");
	return 0;
}
