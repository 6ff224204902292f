/*
 * What a manifest may and may not add to the base profile.
 *
 * Comes in: a name. Goes out: its number, whether the profile has it, why it is never granted.
 * Called by: the syscalls capability. Never does: hold the profile itself; that is
 * base_syscalls.def.
 */
#include <string.h>
#include <seccomp.h>

#include <omega/compiler.h>
#include <policies/profiles/profile.h>
#include <policies/profiles/syscalls.h>

static const struct {
	const char *name, *why;
} never[] = {
	{"acct", "it writes a log of the whole machine"},
	{"add_key", "keyrings are not separated between branes"},
	{"adjtimex", "it sets the machine's clock"},
	{"bpf", "it can rewrite the policy that confines the brane"},
	{"chroot", "it changes the view that the grants are about"},
	{"clock_adjtime", "it sets the machine's clock"},
	{"clock_settime", "it sets the machine's clock"},
	{"clone3", "its flags lie in memory, where no filter sees them"},
	{"create_module", "it loads code into the kernel"},
	{"delete_module", "it changes the kernel"},
	{"fanotify_init", "it watches files outside the brane"},
	{"finit_module", "it loads code into the kernel"},
	{"fsconfig", "it mounts file systems that no grant names"},
	{"fsmount", "it mounts file systems that no grant names"},
	{"fsopen", "it mounts file systems that no grant names"},
	{"fspick", "it mounts file systems that no grant names"},
	{"init_module", "it loads code into the kernel"},
	{"io_uring_enter", "its operations pass the system call filter by"},
	{"io_uring_register", "its operations pass the system call filter by"},
	{"io_uring_setup", "its operations pass the system call filter by"},
	{"ioperm", "it reaches the machine's ports"},
	{"iopl", "it reaches the machine's ports"},
	{"kcmp", "it compares kernel objects of other processes"},
	{"kexec_file_load", "it replaces the kernel"},
	{"kexec_load", "it replaces the kernel"},
	{"keyctl", "keyrings are not separated between branes"},
	{"lookup_dcookie", "it reveals paths outside the brane"},
	{"modify_ldt", "it opens the 16 bit entry paths of the kernel"},
	{"mount", "it changes the view that the grants are about"},
	{"mount_setattr", "it takes read-only and nosuid off a mount"},
	{"move_mount", "it changes the view that the grants are about"},
	{"name_to_handle_at", "its handles open files outside the view"},
	{"nfsservctl", "it steers a kernel server"},
	{"open_by_handle_at", "it opens files outside the view"},
	{"open_tree", "it changes the view that the grants are about"},
	{"open_tree_attr", "it changes the view that the grants are about"},
	{"perf_event_open", "it observes the kernel and other branes"},
	{"personality", "it makes all memory executable"},
	{"pidfd_getfd", "it takes descriptors out of other processes"},
	{"pivot_root", "it changes the view that the grants are about"},
	{"process_madvise", "it steers the memory of other processes"},
	{"process_vm_readv", "it reads the memory of other processes"},
	{"process_vm_writev", "it writes the memory of other processes"},
	{"ptrace", "it steers other processes past their own filter"},
	{"quotactl", "it changes limits of the machine"},
	{"quotactl_fd", "it changes limits of the machine"},
	{"reboot", "it stops the machine"},
	{"remap_file_pages", "it remaps memory past the checks of mmap"},
	{"request_key", "keyrings are not separated between branes"},
	{"seccomp", "its notifications can answer for the brane's own filter"},
	{"setdomainname", "it renames the machine"},
	{"sethostname", "it renames the machine"},
	{"setns", "it leaves the brane's namespaces"},
	{"settimeofday", "it sets the machine's clock"},
	{"stime", "it sets the machine's clock"},
	{"swapoff", "it changes the machine's memory"},
	{"swapon", "it changes the machine's memory"},
	{"syslog", "it reads the kernel's log"},
	{"umount2", "it changes the view that the grants are about"},
	{"unshare", "it makes namespaces in which the grants mean something else"},
	{"uselib", "it maps code that no grant names"},
	{"userfaultfd", "it widens races in the kernel at will"},
	{"vhangup", "it steers the terminal of other processes"},
};

int om_profile_nr(const char *name)
{
	int nr = seccomp_syscall_resolve_name_arch(SCMP_ARCH_X86_64, name);

	/*
	 * Below zero: unknown to this libseccomp, or one of its own numbers for what x86_64 lacks.
	 */
	if (nr < 0)
		nr = om_sys_nr(name);
	/* A number without a row would be granted here and denied by the filter. */
	return om_sys_name(nr) ? nr : -1;
}

bool om_profile_allows(const char *name)
{
	enum om_sys_action action = om_sys_base(om_profile_nr(name));

	return action == OM_SYS_ALLOW || action == OM_SYS_RULE;
}

const char *om_profile_never(const char *name)
{
	for (size_t i = 0; i < OM_ARRAY_LEN(never); i++)
		if (strcmp(name, never[i].name) == 0)
			return never[i].why;
	return NULL;
}
