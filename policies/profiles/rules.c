/*
 * The system calls that are allowed for some arguments only.
 *
 * Comes in: a number. Goes out: its rule. Called by: the seccomp generator and the reference
 * evaluation. Never does: look through a pointer: another thread can change what it points to between
 * the check and the call, so only register arguments are judged here.
 */
#include <linux/prctl.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <omega/compiler.h>
#include <policies/profiles/syscalls.h>

#define ALL 0xffffffffu
/* Without CLONE_NEWTIME: its bit is part of the exit signal in clone's flags. */
#define NAMESPACES                                                                                \
	((uint32_t)(CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | \
		    CLONE_NEWPID | CLONE_NEWNET))
#define TYPE_MASK 0xfu /* SOCK_TYPE_MASK: without SOCK_CLOEXEC and SOCK_NONBLOCK */

#define COUNT(...) (sizeof((uint32_t[]){__VA_ARGS__}) / sizeof(uint32_t))
/* (argument ARG & MASK) is one of the values; or has one of MASK's bits. */
#define IN(arg, mask, ...)                                    \
	{                                                     \
		(arg), OM_SYS_IN, (mask), COUNT(__VA_ARGS__), \
		{                                             \
			__VA_ARGS__                           \
		}                                             \
	}
#define ANY(arg, mask)                        \
	{                                     \
		(arg), OM_SYS_ANY, (mask), 0, \
		{                             \
			0                     \
		}                             \
	}

#define PTR(arg)                         \
	{                                \
		(arg), OM_SYS_PTR, 0, 0, \
		{                        \
			0                \
		}                        \
	}

/* A call that makes a file, or sets its mode, by argument ARG: not set-user-id, not set-group-id. */
#define MODE(nr_, arg)                                         \
	{                                                      \
		.nr = (nr_), .miss = OM_SYS_ALLOW, .clause = { \
			{1, {ANY(arg, S_ISUID | S_ISGID)}}     \
		}                                              \
	}
#define OPEN(nr_, flags, mode)                                                                \
	{                                                                                     \
		.nr = (nr_), .miss = OM_SYS_ALLOW, .clause = {                                \
			{2, {ANY(flags, O_CREAT | OM_TMPFILE), ANY(mode, S_ISUID | S_ISGID)}} \
		}                                                                             \
	}

/* Names that older headers lack. */
#define OM_TMPFILE	     020000000u /* O_TMPFILE without the bit of O_DIRECTORY */
#define OM_PR_SET_VMA	     0x53564d41
#define OM_PR_SET_MDWE	     65
#define OM_PR_GET_MDWE	     66
#define OM_TIOCLINUX	     0x541c
#define OM_ARCH_SET_GS	     0x1001
#define OM_ARCH_SET_FS	     0x1002
#define OM_ARCH_GET_FS	     0x1003
#define OM_ARCH_GET_GS	     0x1004
#define OM_ARCH_GET_CPUID    0x1011
#define OM_ARCH_XCOMP_SUPP   0x1021
#define OM_ARCH_XCOMP_PERM   0x1022
#define OM_ARCH_XCOMP_REQ    0x1023
#define OM_ARCH_CET_STATUS   0x3001
#define OM_ARCH_SHSTK_ENABLE 0x5001
#define OM_ARCH_SHSTK_STATUS 0x5005

static const struct om_sys_rule rules[] = {
	/*
	 * Files that run as the brane's user when somebody else runs them: a granted tree is the
	 * host's, where nosuid does not hold. Where BPF-LSM decides it asks for the object as well, and
	 * these calls are allowed here.
	 */
	OPEN(2, 1, 2),
	OPEN(257, 2, 3),
	MODE(85, 1),
	MODE(90, 1),
	MODE(91, 1),
	MODE(133, 1),
	MODE(259, 2),
	MODE(268, 2),
	MODE(452, 2),
	/* mmap: memory that is writable and executable, or executable with no file behind it. */
	{.nr = 9,
	 .miss = OM_SYS_ALLOW,
	 .clause = {{1, {IN(2, PROT_WRITE | PROT_EXEC, PROT_WRITE | PROT_EXEC)}},
		    {2, {ANY(2, PROT_EXEC), ANY(3, MAP_ANONYMOUS)}}},
	 .example = {0, 4096, PROT_READ, MAP_PRIVATE}},
	/* mprotect: memory that was written and then becomes code. */
	{.nr = 10, .miss = OM_SYS_ALLOW, .clause = {{1, {ANY(2, PROT_EXEC)}}}},
	/*
	 * ioctl: put characters into the terminal's input (CVE-2017-5226; CVE-2019-10063 by high
	 * bits that the kernel drops), steer the console, change the line discipline.
	 */
	{.nr = 16,
	 .miss = OM_SYS_ALLOW,
	 .clause = {{1, {IN(1, ALL, TIOCSTI, OM_TIOCLINUX, TIOCSETD)}}},
	 .example = {1, TCGETS}},
	/*
	 * socket: unix, TCP and UDP. Raw and packet sockets, and families like netlink, vsock, AF_ALG,
	 * or protocols like SCTP, pass every cgroup program unseen.
	 */
	{.nr = 41,
	 .clause = {{3,
		     {IN(0, ALL, AF_INET, AF_INET6), IN(1, TYPE_MASK, SOCK_STREAM, SOCK_DGRAM),
		      IN(2, ALL, 0, OM_PROTO_TCP, OM_PROTO_UDP)},
		     OM_SYS_ALLOW},
		    {3,
		     {IN(0, ALL, AF_UNIX),
		      IN(1, TYPE_MASK, SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET),
		      IN(2, ALL, 0, AF_UNIX)},
		     OM_SYS_ALLOW}},
	 .example = {AF_UNIX, SOCK_STREAM, 0}},
	/* socketpair: only unix has them. */
	{.nr = 53,
	 .clause = {{3,
		     {IN(0, ALL, AF_UNIX),
		      IN(1, TYPE_MASK, SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET),
		      IN(2, ALL, 0, AF_UNIX)},
		     OM_SYS_ALLOW}},
	 .example = {AF_UNIX, SOCK_STREAM, 0}},
	/* clone: processes and threads. In a new namespace the caller would have capabilities. */
	{.nr = 56, .miss = OM_SYS_ALLOW, .clause = {{1, {ANY(0, NAMESPACES)}}}},
	/*
	 * prctl: a program's view of itself. Not among them: PR_SET_SECCOMP, PR_SET_MM, PR_SET_PTRACER,
	 * PR_CAP_AMBIENT, PR_SET_SECUREBITS, PR_SET_SPECULATION_CTRL.
	 */
	{.nr = 157,
	 .clause = {{1,
		     {IN(0, ALL, PR_SET_NAME, PR_GET_NAME, OM_PR_SET_VMA, PR_CAPBSET_READ,
			 PR_SET_PDEATHSIG, PR_GET_PDEATHSIG, PR_GET_DUMPABLE, PR_SET_DUMPABLE,
			 PR_GET_KEEPCAPS, PR_GET_TIMING, PR_GET_SECCOMP, PR_GET_TSC,
			 PR_GET_SECUREBITS, PR_SET_TIMERSLACK, PR_GET_TIMERSLACK,
			 PR_SET_CHILD_SUBREAPER, PR_GET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS,
			 PR_GET_NO_NEW_PRIVS, PR_GET_TID_ADDRESS, PR_GET_THP_DISABLE,
			 PR_GET_SPECULATION_CTRL, OM_PR_SET_MDWE, OM_PR_GET_MDWE)},
		     OM_SYS_ALLOW}},
	 .example = {PR_GET_NAME}},
	/*
	 * setrlimit, prlimit64: the limit on core files stays at OM_CORE_NONE. Were it 0, the kernel would
	 * pipe the memory of whatever crashes here into the host's core handler (core_pattern), which it
	 * starts as root outside every brane. Who sets it wants no core file, and there is none:
	 * done. Another's is refused.
	 */
	{.nr = 160, .miss = OM_SYS_ALLOW, .clause = {{1, {IN(0, ALL, RLIMIT_CORE)}, OM_SYS_DONE}}},
	{.nr = 302,
	 .miss = OM_SYS_ALLOW,
	 .clause = {{3, {IN(0, ALL, 0), IN(1, ALL, RLIMIT_CORE), PTR(2)}, OM_SYS_DONE},
		    {3, {ANY(0, ALL), IN(1, ALL, RLIMIT_CORE), PTR(2)}, OM_SYS_NOTIFY}}},
	/*
	 * arch_prctl: the thread pointer, and questions (CET_STATUS: as old loaders ask). Not: CPUID
	 * faulting, mapping a vDSO at a place of one's choice.
	 */
	{.nr = 158,
	 .clause = {{1,
		     {IN(0, ALL, OM_ARCH_SET_FS, OM_ARCH_GET_FS, OM_ARCH_SET_GS, OM_ARCH_GET_GS,
			 OM_ARCH_GET_CPUID, OM_ARCH_XCOMP_SUPP, OM_ARCH_XCOMP_PERM,
			 OM_ARCH_XCOMP_REQ, OM_ARCH_CET_STATUS, OM_ARCH_SHSTK_ENABLE,
			 OM_ARCH_SHSTK_STATUS)},
		     OM_SYS_ALLOW}},
	 .example = {OM_ARCH_GET_FS}},
};

const struct om_sys_rule *om_sys_rule(int nr)
{
	for (size_t i = 0; i < OM_ARRAY_LEN(rules); i++)
		if (rules[i].nr == nr)
			return &rules[i];
	return NULL;
}
