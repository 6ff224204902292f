/*
 * Row 114: let somebody else say no first, so that the attempt is not this enforcer's to record: a
 * program attached later, a module, a filter or a Landlock domain of one's own.
 */
#include <linux/bpf.h>
#include <linux/filter.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>

#include "tests/escape/lib/net.h"

/* A map, the first thing that any program needs. */
static int program(void)
{
	union bpf_attr attr = {
		.map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 4, .max_entries = 1};
	int fd = (int)syscall(SYS_bpf, BPF_MAP_CREATE, &attr, sizeof(attr));

	return fd < 0 ? errno : 0;
}

static int filter_by(bool by_prctl)
{
	struct sock_filter allow = {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW};
	struct sock_fprog prog = {1, &allow};

	if (by_prctl)
		return esc_errno(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog, 0, 0));
	return esc_errno(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog));
}

static int filter(void)
{
	return filter_by(false);
}

static int filter_prctl(void)
{
	return filter_by(true);
}

/* A newer listener would answer instead of the enforcer's own. */
static int listener(void)
{
	struct sock_filter allow = {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW};
	struct sock_fprog prog = {1, &allow};

	return esc_errno(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
				 SECCOMP_FILTER_FLAG_NEW_LISTENER, &prog));
}

static int own_attributes(void)
{
	/* lsm_set_self_attr: a profile of another module for oneself. EINVAL or EOPNOTSUPP: it was asked. */
	if (syscall(460, 100 /* LSM_ATTR_CURRENT */, NULL, 0, 0) < 0 && errno == ENOSYS)
		return esc_skip("this kernel has no lsm_set_self_attr");
	return errno == EPERM ? EPERM : 0;
}

/* Its own domain forbids every connection: what it forbids is not attempted, and the kernel says EACCES. */
static int landlocked(void)
{
	struct {
		uint64_t fs, net;
	} rules = {0, 2 /* LANDLOCK_ACCESS_NET_CONNECT_TCP */};
	int fd = (int)syscall(SYS_landlock_create_ruleset, &rules, sizeof(rules), 0);

	if (fd < 0)
		return esc_skip("Landlock of this kernel has no network rules");
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
	    syscall(SYS_landlock_restrict_self, fd, 0) < 0)
		return errno;
	return esc_connect_to(esc_addr("127.0.0.1", esc_num("tcp")), SOCK_STREAM, 0);
}

static const struct esc_try tries[] = {
	{"bpf", program, "syscall", 1, ESC_OUTSIDE, NULL},
	{"seccomp", filter, "syscall", 1, ESC_OUTSIDE, NULL},
	{"seccomp-prctl", filter_prctl, "syscall", 1, ESC_OUTSIDE, NULL},
	{"listener", listener, "syscall", 1, ESC_OUTSIDE, NULL},
	{"self-attr", own_attributes, "syscall", 1, ESC_OUTSIDE, NULL},
	{"landlock", landlocked, "net.connect", 0, ESC_NEVER,
	 "the program's own domain answers before BPF-LSM: it cannot reach, and it is not "
	 "recorded"},
};

ESC_ROW(114, "another layer's denial hides the attempt",
	"seccomp: no filter, program or module from inside", tries);
