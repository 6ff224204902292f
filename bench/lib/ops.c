/*
 * The operations that bench_decision repeats, and what they work on.
 *
 * Comes in: the bench's directory. Goes out: a table; each fn returns 0 or -errno, which nobody reads while it
 * is timed. Called by: bench_decision.c, in a child inside a brane or outside. Never does: leave anything
 * behind between two calls, except the descriptor that a child keeps for itself.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/xattr.h>
#include <unistd.h>
#include <linux/bpf.h>
#include <omega/compiler.h>
#include "bench/lib/ops.h"

enum { DEEP_2, DEEP_6, DEEP_16, OTHER_6, ABSENT, NEW_6, NEW_OTHER, SOCK, SOCK_OTHER, PATHS };
static char paths[PATHS][256];

/* --- files --- */

static int open_close(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd >= 0)
		close(fd);
	return fd < 0 ? -errno : 0;
}

static int change_mode(const char *path)
{
	return chmod(path, 0755) ? -errno : 0;
}

static int make_remove(const char *path)
{
	if (mkdir(path, 0755))
		return -errno;
	return rmdir(path) ? -errno : 0;
}

static int move_back(const char *path)
{
	if (rename(path, paths[NEW_6]))
		return -errno;
	return rename(paths[NEW_6], path) ? -errno : 0;
}

static int second_name(const char *path)
{
	if (link(path, paths[NEW_6]))
		return -errno;
	return unlink(paths[NEW_6]) ? -errno : 0;
}

static int cut(const char *path)
{
	return truncate(path, 4096) ? -errno : 0;
}

static int attribute(const char *path)
{
	return setxattr(path, "user.omega", "x", 1, 0) ? -errno : 0;
}

/* FS_IOC_GETVERSION asks, which is not looked up; 'f' 4 would change. Neither is known to tmpfs. */
static int control(const char *path)
{
	static int fd = -1;
	long arg = 0;

	if (fd < 0)
		fd = open(path, O_RDONLY | O_CLOEXEC);
	return ioctl(fd, _IOW('f', 4, long), &arg) ? -errno : 0;
}

/* Text: the kernel asks, reads it, and then knows no way to run it; for zeroes it would look for a module. */
static int execute(const char *path)
{
	char *const none[] = {NULL};

	execve(path, none, none);
	return -errno;
}

static int map_file(const char *path)
{
	static int fd = -1;
	void *p;

	if (fd < 0)
		fd = open(path, O_RDONLY | O_CLOEXEC);
	p = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0);
	return p == MAP_FAILED ? -errno : munmap(p, 4096);
}

static int map_memory(const char *arg)
{
	void *p = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return p == MAP_FAILED ? -errno : munmap(p, 4096);
}

/* --- network --- */

static int udp(void)
{
	static int fd = -1;

	if (fd < 0)
		fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	return fd;
}

static int send_udp(const char *addr)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(OPS_PORT)};

	inet_pton(AF_INET, addr, &to.sin_addr);
	return sendto(udp(), "x", 1, MSG_DONTWAIT, (struct sockaddr *)&to, sizeof(to)) < 0 ? -errno
											   : 0;
}

static int connect_udp(const char *addr)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(OPS_PORT)};

	inet_pton(AF_INET, addr, &to.sin_addr);
	return connect(udp(), (struct sockaddr *)&to, sizeof(to)) < 0 ? -errno : 0;
}

static int socket_of(int type, int proto)
{
	int fd = socket(AF_INET, type | SOCK_CLOEXEC, proto);

	if (fd >= 0)
		close(fd);
	return fd < 0 ? -errno : 0;
}

static int socket_udp(const char *arg)
{
	return socket_of(SOCK_DGRAM, 0);
}

static int socket_raw(const char *arg)
{
	return socket_of(SOCK_RAW, IPPROTO_ICMP);
}

static int bind_any(const char *arg)
{
	struct sockaddr_in any = {.sin_family = AF_INET};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int ret = bind(fd, (struct sockaddr *)&any, sizeof(any)) ? -errno : 0;

	close(fd);
	return ret;
}

static socklen_t unix_address(struct sockaddr_un *un, const char *path)
{
	un->sun_family = AF_UNIX;
	snprintf(un->sun_path, sizeof(un->sun_path), "%.100s", path);
	return sizeof(*un);
}

/* Nobody receives: the hook is asked before the queue is found full. */
static int send_unix(const char *path)
{
	static int fd = -1;
	struct sockaddr_un un = {0};
	socklen_t len = unix_address(&un, path);

	if (fd < 0)
		fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	return sendto(fd, "x", 1, MSG_DONTWAIT, (struct sockaddr *)&un, len) < 0 ? -errno : 0;
}

static int serve_unix(const char *path)
{
	struct sockaddr_un un = {0};
	socklen_t len = unix_address(&un, path);
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	return fd < 0 || bind(fd, (struct sockaddr *)&un, len) ? -errno : 0;
}

/* --- the kernel and other tasks --- */

static int ask_bpf(const char *arg)
{
	char attr[128] = "";

	return syscall(SYS_bpf, BPF_PROG_GET_NEXT_ID, attr, sizeof(attr)) ? -errno : 0;
}

static int ask_perf(const char *arg)
{
	char attr[128] = "";
	long fd = syscall(SYS_perf_event_open, attr, 0, -1, -1, 0);

	if (fd >= 0)
		close((int)fd);
	return fd < 0 ? -errno : 0;
}

static int mount_nothing(const char *arg)
{
	return mount("none", "/", NULL, MS_BIND, NULL) ? -errno : 0;
}

static int compare_parent(const char *arg)
{
	return syscall(SYS_kcmp, getpid(), getppid(), 0, 0, 0) < 0 ? -errno : 0;
}

static int keep_limit(const char *arg)
{
	struct rlimit r;

	return getrlimit(RLIMIT_NOFILE, &r) || setrlimit(RLIMIT_NOFILE, &r) ? -errno : 0;
}

static int signal_self(const char *arg)
{
	return kill(getpid(), 0) ? -errno : 0;
}

static int signal_parent(const char *arg)
{
	return kill(getppid(), 0) ? -errno : 0;
}

/* --- the table --- */

static const struct op lsm_ops[] = {
	{"open, granted, 2 deep", "om_file_open", open_close, paths[DEEP_2], true, true},
	{"open, granted, 6 deep", "om_file_open", open_close, paths[DEEP_6], true, true},
	{"open, granted, 16 deep", "om_file_open", open_close, paths[DEEP_16], true, true},
	{"open, denied, 6 deep", "om_file_open", open_close, paths[OTHER_6], true, false},
	{"open, outside", "om_file_open", open_close, paths[DEEP_6], false, true},
	{"open of an absent path (fexit)", "om_view_open", open_close, paths[ABSENT], true, false},
	{"chmod, granted, 6 deep", "om_path_chmod", change_mode, paths[DEEP_6], true, true},
	{"chmod, denied, 6 deep", "om_path_chmod", change_mode, paths[OTHER_6], true, false},
	{"chmod, outside", "om_path_chmod", change_mode, paths[DEEP_6], false, true},
	{"mkdir, granted, 6 deep", "om_path_mkdir", make_remove, paths[NEW_6], true, true},
	{"mkdir, denied, 6 deep", "om_path_mkdir", make_remove, paths[NEW_OTHER], true, false},
	{"mkdir, outside", "om_path_mkdir", make_remove, paths[NEW_6], false, true},
	{"rename there and back, granted", "om_path_rename", move_back, paths[DEEP_6], true, true},
	{"rename, denied", "om_path_rename", move_back, paths[OTHER_6], true, false},
	{"rename, outside", "om_path_rename", move_back, paths[DEEP_6], false, true},
	{"link, granted", "om_path_link", second_name, paths[DEEP_6], true, true},
	{"link, denied", "om_path_link", second_name, paths[OTHER_6], true, false},
	{"truncate, granted, 6 deep", "om_path_truncate", cut, paths[DEEP_6], true, true},
	{"setxattr, granted, 6 deep", "om_inode_setxattr", attribute, paths[DEEP_6], true, false},
	{"setxattr, denied, 6 deep", "om_inode_setxattr", attribute, paths[OTHER_6], true, false},
	{"ioctl that changes, granted", "om_file_ioctl", control, paths[DEEP_6], true, false},
	{"execve, granted, 6 deep", "om_bprm_check", execute, paths[DEEP_6], true, false},
	{"execve, outside", "om_bprm_check", execute, paths[DEEP_6], false, false},
	{"mmap to execute, granted, 6 deep", "om_mmap_file", map_file, paths[DEEP_6], true, true},
	{"mmap to execute, anonymous, denied", "om_mmap_file", map_memory, NULL, true, false},
	{"mmap to execute, outside", "om_mmap_file", map_file, paths[DEEP_6], false, true},
	{"socket, granted", "om_socket_create", socket_udp, NULL, true, true},
	{"socket, denied (raw)", "om_socket_create", socket_raw, NULL, true, false},
	{"socket, outside", "om_socket_create", socket_udp, NULL, false, true},
	{"connect, granted", "om_socket_connect", connect_udp, "127.0.0.1", true, true},
	{"connect, denied", "om_socket_connect", connect_udp, "10.9.9.9", true, false},
	{"connect, outside", "om_socket_connect", connect_udp, "127.0.0.1", false, true},
	{"bind, port 0", "om_socket_bind", bind_any, NULL, true, true},
	{"bind, outside", "om_socket_bind", bind_any, NULL, false, true},
	{"unix datagram, granted", "om_unix_may_send", send_unix, paths[SOCK], true, false},
	{"unix datagram, denied", "om_unix_may_send", send_unix, paths[SOCK_OTHER], true, false},
	{"unix datagram, outside", "om_unix_may_send", send_unix, paths[SOCK], false, false},
	{"bpf(), denied", "om_bpf", ask_bpf, NULL, true, false},
	{"bpf(), outside", "om_bpf", ask_bpf, NULL, false, false},
	{"perf_event_open, denied", "om_perf_event_open", ask_perf, NULL, true, false},
	{"mount, denied", "om_sb_mount", mount_nothing, NULL, true, false},
	{"ptrace access, denied", "om_ptrace_access", compare_parent, NULL, true, false},
	{"ptrace access, outside", "om_ptrace_access", compare_parent, NULL, false, true},
	{"setrlimit, oneself", "om_task_setrlimit", keep_limit, NULL, true, true},
	{"kill, oneself", "om_task_kill", signal_self, NULL, true, true},
	{"kill, denied", "om_task_kill", signal_parent, NULL, true, false},
	{"kill, outside", "om_task_kill", signal_parent, NULL, false, true},
	{"connect, granted, cgroup BPF", "om_connect4", connect_udp, "127.0.0.1", true, true},
	{"packet out, granted, cgroup BPF", "om_egress_skb", send_udp, "127.0.0.1", true, false},
};
static const struct op net_ops[] = {
	{"connect, granted", "om_connect4", connect_udp, "127.0.0.1", true, true},
	{"connect, denied", "om_connect4", connect_udp, "10.9.9.9", true, false},
	{"connect, outside", "om_connect4", connect_udp, "127.0.0.1", false, true},
	{"datagram, granted", "om_sendmsg4", send_udp, "127.0.0.1", true, false},
	{"datagram, denied", "om_sendmsg4", send_udp, "10.9.9.9", true, false},
	{"packet out, granted", "om_egress_skb", send_udp, "127.0.0.1", true, false},
	{"socket, granted", "om_sock_create", socket_udp, NULL, true, true},
	{"socket, denied (raw)", "om_sock_create", socket_raw, NULL, true, false},
};
OM_STATIC_ASSERT(OM_ARRAY_LEN(lsm_ops) <= OPS_MAX);

const struct op *ops_list(bool lsm, size_t *n)
{
	*n = lsm ? OM_ARRAY_LEN(lsm_ops) : OM_ARRAY_LEN(net_ops);
	return lsm ? lsm_ops : net_ops;
}

int ops_make(const char *dir)
{
	static const struct {
		const char *top;
		int depth;
	} files[] = {
		[DEEP_2] = {"granted", 2},
		[DEEP_6] = {"granted", 6},
		[DEEP_16] = {"granted", 16},
		[OTHER_6] = {"other", 6},
	};

	for (size_t i = 0; i < OM_ARRAY_LEN(files); i++) {
		char *p = paths[i];
		size_t at = (size_t)snprintf(p, sizeof(paths[0]), "%.80s/%s", dir, files[i].top);
		int fd;

		(void)mkdir(p, 0755);
		for (int d = 1; d < files[i].depth; d++) {
			at += (size_t)snprintf(p + at, sizeof(paths[0]) - at, "/d%d", d);
			(void)mkdir(p, 0755);
		}
		snprintf(p + at, sizeof(paths[0]) - at, "/file");
		fd = open(p, O_WRONLY | O_CREAT | O_CLOEXEC, 0755);
		if (fd < 0 || write(fd, "text", 4) != 4 || ftruncate(fd, 4096))
			return -errno;
		close(fd);
	}
	snprintf(paths[SOCK], sizeof(paths[0]), "%.80s/granted/sock", dir);
	snprintf(paths[SOCK_OTHER], sizeof(paths[0]), "%.80s/other/sock", dir);
	if (serve_unix(paths[SOCK]) || serve_unix(paths[SOCK_OTHER]))
		return -errno;
	snprintf(paths[ABSENT], sizeof(paths[0]), "%.80s/granted/d1/absent", dir);
	snprintf(paths[NEW_6], sizeof(paths[0]), "%.80s/granted/d1/d2/d3/d4/d5/new", dir);
	snprintf(paths[NEW_OTHER], sizeof(paths[0]), "%.80s/other/d1/d2/d3/d4/d5/new", dir);
	return 0;
}
