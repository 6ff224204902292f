/*
 * Starts a brane's shim, in a cgroup of its own, with everything it needs as numbered descriptors.
 *
 * Comes in: a checked bundle, a prepared view, two cgroups. Goes out: a running workload (execve is
 * committed), or an error that names the step. Called by: the transaction's step "spawn". Never does:
 * put the shim into the brane's cgroup or leave it in the agent's (which may be killed as a whole).
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <loader/impl.h>

/* Of the child until execve. A guard page lies below it: an overflow ends the child, not the parent. */
#define SHIM_STACK	 65536u
#define SHIM_STACK_GUARD 4096u

static int sealed(const char *name, const void *data, size_t len)
{
	const uint8_t *p = data;
	OM_CLEANUP(om_close_fd) int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	while (fd >= 0 && len > 0) {
		ssize_t n = write(fd, p, len);
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		p += n;
		len -= (size_t)n;
	}
	if (fd < 0 ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0)
		return -errno;
	return OM_STEAL_FD(fd);
}

static int make_plan(const struct om_loader *l, const struct om_spawn *s)
{
	uint32_t n = s->view ? s->view->count : 0;
	size_t size = sizeof(struct om_plan) + n * sizeof(uint32_t) + 1;
	for (uint32_t i = 0; i < n; i++)
		size += strlen(s->view->to[i]) + 1;
	OM_CLEANUP(om_free_ptr) struct om_plan *p = calloc(1, size);
	if (!p)
		return -ENOMEM;
	memcpy(p->magic, OM_PLAN_MAGIC, sizeof(p->magic));
	p->size = (uint32_t)size;
	p->brane = s->info->brane;
	p->policy = s->info->policy;
	p->layers = s->info->layers;
	p->mounts = n;
	memcpy(p->name, s->info->name, sizeof(p->name));
	memcpy(p->instance, s->info->instance, sizeof(p->instance));
	memcpy(p->run_dir, l->run_dir, sizeof(p->run_dir));
	for (int i = 0; i < 3; i++)
		if (s->stdio[i] >= 0)
			p->stdio_given |= 1u << i;
	size_t at = sizeof(*p) + n * sizeof(uint32_t);
	for (uint32_t i = 0; i < n; i++) {
		size_t len = strlen(s->view->to[i]) + 1;
		p->target_off[i] = (uint32_t)at;
		memcpy((char *)p + at, s->view->to[i], len);
		at += len;
	}
	return sealed("omega-plan", p, size);
}

/* In the child, between clone and execve: system calls only, in the parent's memory. Writes FDS. */
static void become_shim(const char *path, int *fds, int n) OM_NORETURN;
static void become_shim(const char *path, int *fds, int n)
{
	static char *const argv[] = {(char *)"omegad-shim", NULL};
	static char *const envp[] = {NULL};
	int base = OM_FD_PLAN + n;

	(void)setsid(); /* no signal meant for the agent's group or terminal reaches it */
	/* First all of them out of the way, then each to its number: no dup2 overwrites a source. */
	for (int i = 0; i < n; i++) {
		fds[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, base);
		if (fds[i] < 0)
			_exit(126);
	}
	for (int i = 0; i < n; i++)
		if (dup2(fds[i], OM_FD_PLAN + i) < 0)
			_exit(126);
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	for (int i = 0; i < 3; i++)
		if ((null == i ? fcntl(i, F_SETFD, 0) : dup2(null, i)) < 0)
			_exit(126);
	if (close_range((unsigned int)base, ~0u, 0) < 0 || chdir("/") < 0)
		_exit(126);
	execve(path, argv, envp);
	_exit(127);
}

struct start {
	const char *path;
	int *fds;
	int n;
};

static void start(void *arg) OM_NORETURN;
static void start(void *arg)
{
	const struct start *s = arg;
	become_shim(s->path, s->fds, s->n);
}

/*
 * clone3, then START(ARG) in the child: its pid, or -errno. With memory shared until execve, as vfork
 * does: copying page tables, and faulting them in again on both sides, is most of a fork's cost. A
 * stack of its own, because the child would overwrite the frames that the parent returns through.
 */
static long clone_start(struct clone_args *ca, struct start *arg)
{
	long pid;
#if defined(__x86_64__)
	char *stack = mmap(NULL, SHIM_STACK, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
	if (stack == MAP_FAILED)
		return -errno;
	if (mprotect(stack, SHIM_STACK_GUARD, PROT_NONE) < 0) {
		pid = -errno;
	} else {
		ca->flags |= CLONE_VM | CLONE_VFORK;
		ca->stack = (uint64_t)(uintptr_t)stack;
		ca->stack_size = SHIM_STACK;
		__asm__ volatile("syscall\n\t"
				 "testq %%rax, %%rax\n\t"
				 "jnz 1f\n\t"
				 "movq %[arg], %%rdi\n\t"
				 "callq *%[fn]\n\t"
				 "ud2\n"
				 "1:"
				 : "=a"(pid)
				 : "0"((long)SYS_clone3), "D"(ca),
				   "S"(sizeof(*ca)), [fn] "r"(start), [arg] "r"(arg)
				 : "rcx", "r11", "cc", "memory");
	}
	(void)munmap(stack, SHIM_STACK);
#else
	pid = syscall(SYS_clone3, ca, sizeof(*ca));
	if (pid == 0)
		start(arg);
	if (pid < 0)
		pid = -errno;
#endif
	return pid;
}

static int clone_shim(const struct om_loader *l, const struct om_spawn *s, int *fds, int n,
		      int *pidfd)
{
	struct clone_args ca = {
		.flags = CLONE_INTO_CGROUP | CLONE_PIDFD,
		.exit_signal = SIGCHLD,
		.pidfd = (uint64_t)(uintptr_t)pidfd,
		.cgroup = (uint64_t)s->shim_cg,
	};
	struct start arg = {.path = l->shim, .fds = fds, .n = n};
	long pid = clone_start(&ca, &arg);
	return pid < 0 ? (int)pid : 0;
}

static int failed_start(const struct om_spawn *s, const struct om_ready *r, struct om_err *err)
{
	uint32_t n = 0;
	enum om_stage stage = (enum om_stage)r->stage;
	const uint32_t *argv = om_bundle_section(s->bundle, OM_SEC_ARGV, &n);
	const char *what = "";

	if (stage == OM_STAGE_MOUNT && s->view && r->index < s->view->count)
		what = s->view->to[r->index];
	else if (stage == OM_STAGE_EXEC && n > 0)
		what = om_bundle_str(s->bundle, argv[0]);
	else if (stage == OM_STAGE_WORKDIR)
		what = om_bundle_str(s->bundle, s->bundle->meta->workdir);
	return om_err_sys(err, om_stage_err(stage), r->err > 0 ? -r->err : -EIO, "%s%s%s",
			  om_stage_text(stage), *what ? " " : "", what);
}

static int await_ready(int control, struct om_ready *r, struct om_err *err)
{
	struct pollfd p = {control, POLLIN, 0};
	int ret;
	do
		ret = poll(&p, 1, OM_START_WAIT_MS);
	while (ret < 0 && errno == EINTR);
	if (ret <= 0)
		return om_err_set(err, OM_ERR_SPAWN, -ETIMEDOUT, "the shim does not answer");
	ssize_t n = recv(control, r, sizeof(*r), 0);
	if (n != (ssize_t)sizeof(*r) || r->version != OM_SHIM_VERSION)
		return om_err_set(err, OM_ERR_SPAWN, -EPIPE, "the shim ended without an answer");
	return 0;
}

int om_spawn(const struct om_loader *l, const struct om_spawn *s, struct om_ready *r, int *control,
	     int *shim_pidfd, struct om_err *err)
{
	OM_CLEANUP(om_close_fd) int plan = make_plan(l, s);
	OM_CLEANUP(om_close_fd)
	int bundle = sealed("omega-bundle", s->bundle->data, s->bundle->len);
	OM_CLEANUP(om_close_fd) int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	OM_CLEANUP(om_close_fd) int ours = -1;
	OM_CLEANUP(om_close_fd) int theirs = -1;
	int pair[2] = {-1, -1};

	if (plan < 0 || bundle < 0 || null < 0)
		return om_err_sys(err, OM_ERR_SPAWN,
				  plan < 0     ? plan
				  : bundle < 0 ? bundle
					       : -errno,
				  "cannot write the plan");
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return om_err_sys(err, OM_ERR_SPAWN, -errno, "cannot make a control socket");
	ours = pair[0];
	theirs = pair[1];
	int mounts = s->view ? (int)s->view->count : 0;
	int n = OM_FD_MOUNTS - OM_FD_PLAN + mounts;
	OM_CLEANUP(om_free_ptr) int *fds = calloc((size_t)n, sizeof(*fds));
	if (!fds)
		return om_err_set(err, OM_ERR_NOMEM, -ENOMEM, "%d descriptors", n);
	fds[OM_FD_PLAN - OM_FD_PLAN] = plan;
	fds[OM_FD_BUNDLE - OM_FD_PLAN] = bundle;
	fds[OM_FD_CONTROL - OM_FD_PLAN] = theirs;
	fds[OM_FD_CGROUP - OM_FD_PLAN] = s->cg;
	fds[OM_FD_DIR - OM_FD_PLAN] = s->dir;
	for (int i = 0; i < 3; i++)
		fds[OM_FD_STDIN - OM_FD_PLAN + i] = s->stdio[i] >= 0 ? s->stdio[i] : null;
	fds[OM_FD_ROOT - OM_FD_PLAN] = s->view ? s->view->root : null;
	for (int i = 0; i < mounts; i++)
		fds[OM_FD_MOUNTS - OM_FD_PLAN + i] = s->view->mounts[i];
	int ret = clone_shim(l, s, fds, n, shim_pidfd);
	if (ret < 0)
		return om_err_sys(err, OM_ERR_SPAWN, ret, "cannot start %s", l->shim);
	om_close_fd(&theirs);
	ret = await_ready(ours, r, err);
	if (ret < 0)
		return ret;
	*control = OM_STEAL_FD(ours);
	return r->stage == OM_STAGE_NONE ? 0 : failed_start(s, r, err);
}

int om_spawn_consent(int control, struct om_err *err)
{
	if (send(control, "", 1, MSG_NOSIGNAL) == 1)
		return 0;
	return om_err_sys(err, OM_ERR_SPAWN, -errno, "the shim died");
}
