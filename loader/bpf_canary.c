/*
 * Whether BPF-LSM programs run, found by running one.
 *
 * Comes in: nothing. Goes out: 0, or the error that says what to do. Called by: om_bpf_open before it
 * trusts the kernel layer, om_bpf_probe. Never does: read the kernel's list of LSMs, which says what was
 * asked for and not what happens; leave anything attached.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include <loader/bpf_priv.h>

#include "canary.skel.h"

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
