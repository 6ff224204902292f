/*
 * The kernel's own key of an open file.
 *
 * Comes in: a descriptor of this process. Goes out: device, inode, generation as the hooks read them.
 * Called by: loader/process/resolve.c. Never does: trust stat(2), which shows other numbers on btrfs, overlayfs
 * and FUSE.
 */
#include <errno.h>

#include <omega/abi/key.h>
#include <loader/bpf_priv.h>

int om_bpf_object_key(struct om_bpf *b, int fd, struct om_object_key *out, struct om_err *err)
{
	struct om_key_args args = {.fd = (uint32_t)fd};
	LIBBPF_OPTS(bpf_test_run_opts, run, .ctx_in = &args, .ctx_size_in = sizeof(args));
	int ret;

	if (b->key_prog < 0)
		return om_err_set(err, OM_ERR_BPF_UNSUPPORTED, -EOPNOTSUPP,
				  "objects have keys only with the kernel layer");
	if (fd < 0)
		return om_err_set(err, OM_ERR_INVALID, -EBADF, "descriptor %d", fd);
	ret = bpf_prog_test_run_opts(b->key_prog, &run);
	if (ret)
		return om_err_sys(err, OM_ERR_BPF_MAP, ret, "cannot run om_object_key");
	/* Inode 0 is what a failed kernel read leaves; no file system that can be granted uses it. */
	if (!args.found || !args.ino)
		return om_err_set(err, OM_ERR_INVALID, -EBADF, "descriptor %d has no object", fd);
	*out = (struct om_object_key){.dev = args.dev, .ino = args.ino, .gen = args.gen};
	return 0;
}
