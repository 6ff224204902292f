/*
 * The generated filter in the real kernel: denied calls are notified and fail, healthy programs run.
 *
 * Each case is a child that loads the filter as the loader does (no_new_privs, NEW_LISTENER), hands the
 * listener to this process and then acts; this process answers EPERM and keeps the numbers.
 */
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <omega/compiler.h>
#include <policies/emit/emit.h>

struct outcome {
	int status; /* of waitpid */
	int seen[64];
	unsigned int count; /* denied calls, in order */
};

static struct om_b_insn prog[OM_SECCOMP_INSNS_MAX];
static struct sock_fprog fprog;

static void make_filter(bool write_exec)
{
	struct om_ir ir = {.layers = OM_LAYER_ALL, .write_exec = write_exec};
	struct om_sys_set set;
	uint32_t n;

	om_sys_set_init(&set, &ir);
	assert_int_equal(om_seccomp_generate(&set, prog, OM_SECCOMP_INSNS_MAX, &n, NULL), 0);
	fprog = (struct sock_fprog){(unsigned short)n, (struct sock_filter *)(void *)prog};
}

/* Runs in the child: _exit is its only way to fail. */
static void load_filter(int sock)
{
	char data = 0;
	struct iovec iov = {&data, 1};
	union {
		struct cmsghdr align;
		char buf[CMSG_SPACE(sizeof(int))];
	} ctl = {0};
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = ctl.buf,
			     .msg_controllen = sizeof(ctl.buf)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
	int fd;

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		_exit(201);
	fd = (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER,
			  &fprog);
	if (fd < 0)
		_exit(202);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	if (sendmsg(sock, &msg, 0) != 1)
		_exit(203);
	close(fd);
	close(sock);
}

static int receive_listener(int sock)
{
	char data;
	struct iovec iov = {&data, 1};
	union {
		struct cmsghdr align;
		char buf[CMSG_SPACE(sizeof(int))];
	} ctl = {0};
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = ctl.buf,
			     .msg_controllen = sizeof(ctl.buf)};
	int fd = -1;

	if (recvmsg(sock, &msg, MSG_CMSG_CLOEXEC) == 1 && CMSG_FIRSTHDR(&msg))
		memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof(fd));
	return fd;
}

static void answer_one(int listener, struct outcome *out)
{
	struct seccomp_notif req = {0};
	struct seccomp_notif_resp resp = {0};

	if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &req))
		return; /* the caller died meanwhile */
	if (out->count < OM_ARRAY_LEN(out->seen))
		out->seen[out->count] = req.data.nr;
	out->count++;
	resp.id = req.id;
	resp.error = -EPERM;
	(void)ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &resp);
}

/*
 * Until the last task under the filter is gone: the listener then hangs up. Before 6.11 a task keeps its
 * filter until it is reaped, so the child is reaped here, as soon as it ends; its own children are init's.
 */
static void answer(int listener, pid_t pid, struct outcome *out)
{
	struct pollfd p[2] = {{.fd = listener, .events = POLLIN}, {.events = POLLIN}};

	p[1].fd = (int)syscall(SYS_pidfd_open, pid, 0);
	assert_true(p[1].fd >= 0);
	while (!(p[0].revents & POLLHUP)) {
		if (poll(p, 2, -1) < 0)
			continue;
		if (p[0].revents & POLLIN)
			answer_one(listener, out);
		if (p[1].revents & POLLIN) {
			assert_int_equal(waitpid(pid, &out->status, 0), pid);
			close(p[1].fd);
			p[1].fd = -1;
			p[1].revents = 0;
		}
	}
	if (p[1].fd >= 0) {
		assert_int_equal(waitpid(pid, &out->status, 0), pid);
		close(p[1].fd);
	}
}

static void confine(void (*act)(void *), void *arg, bool hold, struct outcome *out)
{
	int sock[2], listener;
	pid_t pid;

	memset(out, 0, sizeof(*out));
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sock), 0);
	fflush(NULL);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		close(sock[0]);
		load_filter(sock[1]);
		act(arg);
		_exit(0);
	}
	close(sock[1]);
	listener = receive_listener(sock[0]);
	close(sock[0]);
	if (listener >= 0 && hold)
		answer(listener, pid, out);
	if (listener >= 0)
		close(listener);
	if (listener < 0 || !hold)
		assert_int_equal(waitpid(pid, &out->status, 0), pid);
	assert_true(listener >= 0);
}

static void need(int number, bool holds)
{
	if (!holds)
		_exit(number);
}

static bool fails_with(int e, long ret)
{
	return ret == -1 && errno == e;
}

static void try_calls(void *arg)
{
	void *page;

	need(1, syscall(SYS_getpid) > 0);
	need(2, fails_with(EPERM, syscall(SYS_ptrace, 0, 0, 0, 0)));
	need(3, fails_with(EPERM, syscall(SYS_unshare, CLONE_NEWUSER)));
	need(4, fails_with(EPERM, socket(AF_NETLINK, SOCK_RAW, 0)));
	need(5, fails_with(EPERM, socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, 1)));
	need(6, socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0) >= 0);
	need(7, fails_with(ENOSYS, syscall(SYS_clone3, 0, 0)));
	need(8, fails_with(ENOSYS, syscall(1000)));
	need(9, fails_with(EPERM, syscall(SYS_ioctl, 0, 0x100005412ul, 0)));
	need(10, fails_with(EPERM, syscall(SYS_io_uring_setup, 1, 0)));
	need(11, fails_with(EPERM, prctl(PR_SET_SECCOMP, 2, 0, 0, 0)));
	page = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		    0);
	need(12, page == MAP_FAILED && errno == EPERM);
	page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	need(13, page != MAP_FAILED);
	need(14, fails_with(EPERM, mprotect(page, 4096, PROT_READ | PROT_EXEC)));
	need(15, fails_with(EPERM, syscall(SYS_clone, CLONE_NEWNS | SIGCHLD, 0, 0, 0, 0)));
}

static void denied_calls_are_notified_and_fail(void **state)
{
	static const int want[] = {SYS_ptrace,	 SYS_unshare,	     SYS_socket, SYS_socket,
				   SYS_ioctl,	 SYS_io_uring_setup, SYS_prctl,	 SYS_mmap,
				   SYS_mprotect, SYS_clone};
	struct outcome out;

	make_filter(false);
	confine(try_calls, NULL, true, &out);
	if (!WIFEXITED(out.status) || WEXITSTATUS(out.status))
		fail_msg("check %d", WIFEXITED(out.status) ? WEXITSTATUS(out.status) : -1);
	assert_int_equal(out.count, OM_ARRAY_LEN(want));
	assert_memory_equal(out.seen, want, sizeof(want));
}

static void try_without_listener(void *arg)
{
	/* The supervisor is gone: the call still fails, it is not let through. */
	while (syscall(SYS_unshare, CLONE_NEWUSER) == -1 && errno == EPERM)
		;
	need(1, fails_with(ENOSYS, syscall(SYS_unshare, CLONE_NEWUSER)));
	need(2, fails_with(ENOSYS, syscall(SYS_ptrace, 0, 0, 0, 0)));
}

static void nobody_listening_means_denied(void **state)
{
	struct outcome out;

	make_filter(false);
	confine(try_without_listener, NULL, false, &out);
	assert_true(WIFEXITED(out.status));
	assert_int_equal(WEXITSTATUS(out.status), 0);
}

static void enter_x32(void *arg)
{
	syscall(0x40000000 | SYS_getpid);
}

static void enter_i386(void *arg)
{
	long ret = 20; /* getpid of i386 */

	__asm__ volatile("int $0x80" : "+a"(ret)::"memory");
	_exit(ret > 0 ? 1 : 2);
}

static void other_entries_kill(void **state)
{
	struct outcome out;

	make_filter(false);
	confine(enter_x32, NULL, true, &out);
	assert_true(WIFSIGNALED(out.status) && WTERMSIG(out.status) == SIGSYS);
	confine(enter_i386, NULL, true, &out);
	/* SIGSEGV: this kernel has no such entry at all. */
	assert_true(WIFSIGNALED(out.status));
	assert_true(WTERMSIG(out.status) == SIGSYS || WTERMSIG(out.status) == SIGSEGV);
}

struct program {
	bool write_exec;
	const char *argv[8];
	int expected; /* a call that it makes in vain, 0: none */
};

static void run_program(void *arg)
{
	const struct program *p = arg;
	int null = open("/dev/null", O_RDWR);

	dup2(null, 0);
	dup2(null, 1);
	dup2(null, 2);
	execv(p->argv[0], (char *const *)(uintptr_t)p->argv);
	_exit(127);
}

static void healthy_programs_run(void **state)
{
	static const char python[] =
		"import socket,threading,subprocess,tempfile,hashlib,ssl,asyncio\n"
		"t=threading.Thread(target=int);t.start();t.join()\n"
		"subprocess.run(['/bin/true'],check=True)\n"
		"s=socket.create_server(('127.0.0.1',0));socket.create_connection(s.getsockname())"
		"\n"
		"a,b=socket.socketpair();tempfile.TemporaryFile().write(b'x')\n"
		"asyncio.run(asyncio.sleep(0))\n";
	static const struct program programs[] = {
		{false, {"/bin/true"}, 0},
		{false,
		 {"/bin/bash", "-c",
		  "for i in 1 2; do echo $i | cat; done; x=$(ls /); sleep 0 & wait"},
		 0},
		{false,
		 {"/bin/sh", "-c",
		  "d=$(mktemp -d) && cd $d && touch a && cp -p a b && mv b c && ln c d && mkfifo p "
		  "&& ls -l && rm -r $d"},
		 0},
		{false, {"/usr/bin/python3", "-c", python}, 0},
		{false,
		 {"/usr/bin/perl", "-e",
		  "use Socket; my $p=fork; exit unless $p; wait; socket(S,AF_INET,SOCK_STREAM,0) "
		  "or die; `true`"},
		 0},
		{false, {"/usr/bin/curl", "-s", "--version"}, 0},
		{false, {"/usr/bin/openssl", "dgst", "-sha256", "/etc/passwd"}, 0},
		{false, {"/usr/bin/git", "--version"}, 0},
		{true,
		 {"/usr/bin/node", "-e",
		  "require('child_process').execSync('true');new "
		  "(require('worker_threads').Worker)('1',{eval:true})"},
		 SYS_io_uring_setup},
		{true, {"/usr/bin/java", "-version"}, 0},
	};

	for (size_t i = 0; i < OM_ARRAY_LEN(programs); i++) {
		const struct program *p = &programs[i];
		struct outcome out;

		if (access(p->argv[0], X_OK)) {
			print_message("# %s is not here\n", p->argv[0]);
			continue;
		}
		make_filter(p->write_exec);
		confine(run_program, (void *)(uintptr_t)p, true, &out);
		if (!WIFEXITED(out.status) || WEXITSTATUS(out.status))
			fail_msg("%s: status %x, first denied call %d", p->argv[0], out.status,
				 out.count ? out.seen[0] : -1);
		for (unsigned int k = 0; k < out.count && k < OM_ARRAY_LEN(out.seen); k++)
			if (!p->expected || out.seen[k] != p->expected)
				fail_msg("%s was denied call %d", p->argv[0], out.seen[k]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(denied_calls_are_notified_and_fail),
		cmocka_unit_test(nobody_listening_means_denied),
		cmocka_unit_test(other_entries_kill),
		cmocka_unit_test(healthy_programs_run),
	};

	return cmocka_run_group_tests_name("seccomp_filter", tests, NULL, NULL);
}
